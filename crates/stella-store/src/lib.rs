//! Durable storage: one trait a concern, one conformance suite, native drivers.
//!
//! # The contract of every driver
//! * One method is one transaction. When it answers `Ok`, what it wrote
//!   survives `kill -9` and power loss; when it answers `Err`, nothing of it
//!   did, except for [`StoreError::Unknown`].
//! * Methods may be called from many tasks at once. A driver may join the
//!   writes of concurrent callers into one commit, but each caller hears only
//!   about its own.
//! * A driver retries what is its own doing (a busy lock, a serialization
//!   failure) within its own deadline. The caller retries nothing but a moved
//!   head ([`Appended::HeadMoved`]), after reading again.
//! * Times and ids come in; a driver has no clock and makes no random bytes.

mod chain;
#[cfg(test)]
mod plans;
pub mod postgres;
pub mod sqlite;
pub mod types;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, AttestationId, KeyId, TokenId};
use stella_core::time::Timestamp;
use stella_core::trust::Event;
use uuid::Uuid;

pub use types::*;

/// Everything a server needs of its storage.
pub trait Store:
    EventStore
    + AttestationStore
    + VerdictStore
    + QueueStore
    + ProofStore
    + TokenStore
    + PinStore
    + LogStore
    + ReplicaStore
    + Upkeep
{
}

impl<T> Store for T where
    T: EventStore
        + AttestationStore
        + VerdictStore
        + QueueStore
        + ProofStore
        + TokenStore
        + PinStore
        + LogStore
        + ReplicaStore
        + Upkeep
{
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage cannot be reached or is full; nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// There is no such store, and none was to be made.
    #[error("{0}")]
    Missing(String),
    /// The connection broke around the commit: it may have taken effect.
    #[error("the store broke off while committing; whether it took effect is not known: {0}")]
    Unknown(String),
    /// What was read breaks the store's own rules.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// A value that this storage cannot hold; nothing was written.
    #[error("the store cannot hold this: {0}")]
    Unstorable(String),
    /// Everything in it is kept elsewhere now.
    #[error("what was kept here has moved to {0}")]
    Moved(String),
    /// Another program's schema, or a newer one.
    #[error("{0}")]
    Schema(String),
}

impl StoreError {
    /// The same failure, for each of those who shared a commit.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::Missing(why) => Self::Missing(why.clone()),
            Self::Unknown(why) => Self::Unknown(why.clone()),
            Self::Corrupt(why) => Self::Corrupt(why.clone()),
            Self::Unstorable(why) => Self::Unstorable(why.clone()),
            Self::Moved(place) => Self::Moved(place.clone()),
            Self::Schema(why) => Self::Schema(why.clone()),
        }
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// The event log and what is folded from it.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Events with a sequence number above `after`, in order, at most `limit`.
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>>;

    /// Appends if the head has not moved, with the projections of every key
    /// and anchor the events touch, and with the sealed keys and tokens.
    async fn append(
        &self,
        append: Append,
        sealed_keys: Vec<SealedKeyRow>,
        tokens: Vec<TokenChange>,
    ) -> Result<Appended>;

    /// The hash chain after the commit that brought this event.
    async fn chain_head(&self, event: u64) -> Result<Option<ChainHead>>;

    async fn sealed_key(&self, id: &KeyId) -> Result<Option<Vec<u8>>>;

    /// Whether any sealed key exists, so that a lost sealing key is noticed.
    async fn has_sealed_keys(&self) -> Result<bool>;

    /// The name of the sealing key that private keys of this store are sealed
    /// with, once somebody has said which.
    async fn sealing_key(&self) -> Result<Option<String>>;

    /// Says which sealing key it is; answers the first that was said.
    async fn claim_sealing_key(&self, id: &str) -> Result<String>;

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>>;
}

#[async_trait]
pub trait AttestationStore: Send + Sync {
    /// Stores a new attestation: recorded, or signed with its ledger entry
    /// and the events that go with the signature. Shared with whoever goes on
    /// with what was stored.
    async fn insert_attestation(&self, new: Arc<NewAttestation>) -> Result<Inserted>;

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRow>>;

    /// At most `limit` whose id starts with this text.
    async fn attestations_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<AttestationId>>;

    async fn attestations_by_pae(&self, pae: &Sha256) -> Result<Vec<AttestationRow>>;

    /// Those with a subject of this digest, at most `limit`: our own before
    /// imports, so that these cannot crowd them out, and oldest first in each.
    async fn attestations_by_digest(
        &self,
        algorithm: &str,
        hex: &str,
        limit: usize,
    ) -> Result<Vec<AttestationRow>>;

    async fn list_attestations(&self, filter: AttestationFilter) -> Result<Vec<AttestationRow>>;

    async fn last_attestation_by(&self, identity: &str) -> Result<Option<AttestationRow>>;

    /// Which of these signatures this server made, in the order asked.
    async fn ledger(&self, signatures: &[LedgerKey]) -> Result<Vec<Option<LedgerEntry>>>;

    async fn idempotent(&self, identity: &str, key: &str) -> Result<Option<IdempotencyRow>>;
}

/// The latest verdict of each attestation under each anchor, for the anchors'
/// statistics; no verdict rests on them.
#[async_trait]
pub trait VerdictStore: Send + Sync {
    /// An earlier verdict replaces no later one.
    async fn note_verdicts(&self, verdicts: Vec<VerdictRow>) -> Result<()>;

    async fn verdict_counts(&self, anchor: AnchorId, policy_version: &str) -> Result<VerdictCounts>;

    /// Those reached under another policy, by attestation, after this one.
    async fn stale_verdicts(
        &self,
        anchor: AnchorId,
        policy_version: &str,
        after: Option<AttestationId>,
        limit: usize,
    ) -> Result<Vec<VerdictRow>>;

    /// One for each key at most.
    async fn rescans(&self) -> Result<Vec<RescanRow>>;

    /// With the verdicts of its last page, or not at all.
    async fn note_rescan(&self, rescan: RescanRow, verdicts: Vec<VerdictRow>) -> Result<()>;

    /// How many attestations the key signed here, before this one.
    async fn signed_before(&self, key: &KeyId, before: Option<AttestationId>) -> Result<u64>;
}

/// What is not signed yet, and who works on which of it.
///
/// Many processes may work on one queue. Each claims a record before it signs
/// it, and a claim has a fence: a number that no other claim of this store
/// ever has. A claim that ran out may be taken by somebody else, and from then
/// on whoever held it finishes nothing, however late it wakes up.
#[async_trait]
pub trait QueueStore: Send + Sync {
    /// Those that wait and that nobody holds, oldest first. Changes nothing.
    async fn waiting(&self, filter: WaitingFilter) -> Result<Vec<Waiting>>;

    /// Those of them that still are as asked for and that nobody holds, as
    /// they are now. What somebody else is claiming just now is left out.
    async fn claim(&self, claiming: Claiming) -> Result<Vec<Claimed>>;

    /// Turns a claimed attestation into a signed one, with the events that go
    /// with the signature, if it is still unsigned, the claim stands, the
    /// key's version is the one it was chosen at and the head the one the
    /// events were decided on. Done, the claim is gone.
    async fn store_signature(&self, claim: Claim, signed: Signed) -> Result<SignatureStored>;

    /// Notes a failed attempt at signing, and gives the claim back. `state` is
    /// `recorded` for one that will be tried again and `failed` for one set
    /// aside.
    async fn note_attempt(&self, claim: Claim, attempt: Attempt) -> Result<AttemptNoted>;

    /// Gives back what was not tried. Claims that others took stay theirs.
    async fn release(&self, claims: Vec<Claim>) -> Result<()>;

    async fn queue(&self) -> Result<QueueFigures>;

    /// Of the newest signatures made here, newest first, when each was made
    /// and when what it signs was recorded; at most `limit`.
    async fn newest_signatures(&self, limit: usize) -> Result<Vec<SignedLater>>;
}

/// Which attestations the address of a proof bundle stands for. They are
/// signed and never change, so neither does what is made of them.
#[async_trait]
pub trait ProofStore: Send + Sync {
    /// Keeps it under its address; where that is kept already nothing is
    /// written.
    async fn insert_proof(&self, proof: ProofRow) -> Result<ProofKept>;

    async fn proof(&self, address: &Sha256) -> Result<Option<ProofRow>>;

    /// At most `limit` whose address, in hex, starts with this text.
    async fn proofs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Sha256>>;

    /// The last one kept comes first.
    async fn list_proofs(&self, filter: ProofFilter) -> Result<Vec<ProofRow>>;
}

#[async_trait]
pub trait TokenStore: Send + Sync {
    async fn token_by_hash(&self, hash: &Sha256) -> Result<Option<TokenRow>>;

    async fn tokens(&self) -> Result<Vec<TokenRow>>;

    async fn note_token_used(&self, id: TokenId, at: Timestamp) -> Result<()>;
}

/// Which PINs a hardware token refused. It is told by the token's serial
/// number, and outlives every process.
#[async_trait]
pub trait PinStore: Send + Sync {
    /// The first that was refused comes first.
    async fn refused_pins(&self, token_serial: &str) -> Result<Vec<RefusedPin>>;

    /// It is an answer to the tries that had none.
    async fn remember_refused_pin(&self, pin: RefusedPin) -> Result<()>;

    /// Notes that a PIN is about to be tried; answers how many such notes of
    /// this token have no answer yet, this one not counted.
    async fn begin_login(&self, token_serial: &str, at: Timestamp) -> Result<u32>;

    async fn unanswered_logins(&self, token_serial: &str) -> Result<u32>;

    /// The last try that was noted did not reach the token: it alone is struck
    /// out, for it says nothing about those before it.
    async fn withdraw_login(&self, token_serial: &str) -> Result<()>;

    /// Those of this token and no other, with the tries that had no answer;
    /// says how many PINs there were.
    async fn forget_refused_pins(&self, token_serial: &str) -> Result<u64>;
}

/// The servers that share a store, as each told of itself.
#[async_trait]
pub trait ReplicaStore: Send + Sync {
    /// Written anew at each heartbeat; rows that nobody wrote since
    /// `forget_before` go away.
    async fn note_replica(&self, replica: ReplicaRow, forget_before: Timestamp) -> Result<()>;

    /// By name.
    async fn replicas(&self) -> Result<Vec<ReplicaRow>>;

    /// The one that ends in good order, if its name is not another's by now.
    async fn forget_replica(&self, name: &str, process: Uuid) -> Result<()>;
}

/// The operations log: what the on-call person reads, kept for a while.
#[async_trait]
pub trait LogStore: Send + Sync {
    async fn log(&self, lines: Vec<LogRow>) -> Result<()>;

    async fn read_log(&self, filter: LogFilter) -> Result<Vec<LogRow>>;

    /// Drops lines older than this.
    async fn trim_log(&self, before: Timestamp) -> Result<u64>;
}

#[async_trait]
pub trait Upkeep: Send + Sync {
    /// What this store is, for people: driver, place, schema version.
    async fn describe(&self) -> Result<StoreDescription>;

    /// Reads everything: the hash chain, the projections against the fold,
    /// envelopes against their digests, the driver's own integrity check.
    async fn verify(&self) -> Result<VerifyReport>;

    /// Writes all of it, as it was at one moment, into a new file at `to`,
    /// while others go on writing. `false` where that is the work of the
    /// database's own tools.
    async fn snapshot(&self, to: &Path) -> Result<bool>;

    /// Writes the projections anew from the events.
    async fn rebuild_projections(&self) -> Result<()>;

    /// A durable no-op write, for health checks.
    async fn probe(&self) -> Result<()>;

    /// The lead of a periodic duty, which one of all processes on this store
    /// has at a time; nothing if somebody else has it.
    async fn lead(&self, duty: &str) -> Result<Option<Box<dyn Lead>>>;
}

/// Given up when it is dropped, and lost with the connection or the process.
#[async_trait]
pub trait Lead: Send + Sync {
    /// Asked before each round of the duty.
    async fn stands(&self) -> bool;
}
