//! What goes in and out of a store. A populated type is a valid one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use stella_core::digest::Sha256;
use stella_core::dsse::EnvelopeLimits;
use stella_core::id::{AnchorId, AttestationId, EventId, KeyId, ProfileName, TokenId};
use stella_core::json::JsonLimits;
use stella_core::purl::SubjectName;
use stella_core::statement::{Statement, StatementLimits, Subject};
use stella_core::time::Timestamp;
use stella_core::trust::{Event, TrustState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Done,
    /// Somebody else appended first: read, decide again.
    HeadMoved {
        head: u64,
    },
}

/// The hash chain as one commit left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The last event it covers.
    pub events: u64,
    /// The last ledger entry it covers; 0 for none.
    pub entries: u64,
    pub hash: Sha256,
}

/// A private key as only its store can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKeyRow {
    pub key_id: KeyId,
    pub blob: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// `KEY_*`, `KEY_ADDED`; `None` for all.
    pub event_type: Option<String>,
    pub key_id: Option<KeyId>,
    pub anchor_id: Option<AnchorId>,
    pub actor: Option<String>,
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    /// Continue below this sequence number (newest first).
    pub before: Option<u64>,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub sequence: u64,
    pub event_id: EventId,
    pub event_type: String,
    pub key_id: Option<KeyId>,
    pub anchor_id: Option<AnchorId>,
    pub actor: String,
    pub timestamp: Timestamp,
    pub details: Value,
}

impl AuditRow {
    /// The event as its row shows it. Each row says everything twice, so a bit
    /// that rots in either is noticed whenever the log is read.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            sequence: event.sequence,
            event_id: event.id,
            event_type: event.body.event_type().to_owned(),
            key_id: event.body.key_id().cloned(),
            anchor_id: event.body.anchor_id(),
            actor: event.actor.clone(),
            timestamp: event.recorded_at,
            details: event.body.details(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttestationState {
    /// Durable, not signed yet, will be tried again.
    Recorded,
    Signed,
    /// Set aside: the record itself was refused.
    Failed,
    /// Its requester may no longer ask for it; waits for an approver.
    Held,
}

impl AttestationState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Signed => "signed",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }

    pub fn parse(s: &str) -> Option<Self> {
        [Self::Recorded, Self::Signed, Self::Failed, Self::Held]
            .into_iter()
            .find(|v| v.as_str() == s)
    }
}

/// What was let in is read whatever the bounds are now. An envelope is longer
/// than the request it came from as well: base64 grows, a signature is added.
pub const STORED_ENVELOPE: EnvelopeLimits = EnvelopeLimits {
    json: UNBOUNDED,
    max_signatures: usize::MAX,
};

pub const STORED_STATEMENT: StatementLimits = StatementLimits {
    json: UNBOUNDED,
    max_subjects: usize::MAX,
};

const UNBOUNDED: JsonLimits = JsonLimits {
    max_bytes: usize::MAX,
    max_depth: usize::MAX,
};

/// Subjects by their canonical names, as they are looked up.
pub fn subjects_of(statement: &Statement) -> Vec<Subject> {
    let canonical = |name: &str| SubjectName::parse(name).map_or_else(|_| name.to_owned(), |n| n.to_string());
    statement
        .subjects()
        .iter()
        .map(|s| Subject {
            name: s.name.as_deref().map(canonical),
            digest: s.digest.clone(),
        })
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRow {
    pub id: AttestationId,
    pub pae: Sha256,
    pub payload_type: String,
    pub payload: Vec<u8>,
    /// The wire URI.
    pub predicate_type: String,
    pub subjects: Vec<Subject>,
    /// Which profile is to sign; `None` for an import.
    pub profile: Option<ProfileName>,
    pub state: AttestationState,
    pub requested: Requested,
    pub created_at: Timestamp,
    /// Present exactly when signed.
    pub signed: Option<SignedPart>,
    pub attempts: Attempts,
    pub supersedes: Option<AttestationId>,
    pub imported: bool,
}

/// Who asked for it, apart from the key that signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    pub identity: String,
    pub token: Option<TokenId>,
    /// The authority that was checked, to be checked again before a late signature.
    pub authority: Arc<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPart {
    /// The exact bytes of the DSSE envelope.
    pub envelope: Vec<u8>,
    /// The key that signed here; `None` for an import.
    pub key_id: Option<KeyId>,
    /// When this store recorded the signature.
    pub recorded_at: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    pub count: u32,
    pub last_error: Option<String>,
    pub last_at: Option<Timestamp>,
    pub next_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewAttestation {
    pub id: AttestationId,
    pub pae: Sha256,
    pub payload_type: String,
    pub payload: Vec<u8>,
    pub predicate_type: String,
    pub subjects: Vec<Subject>,
    pub profile: Option<ProfileName>,
    pub requested: Requested,
    pub created_at: Timestamp,
    pub supersedes: Option<AttestationId>,
    pub imported: bool,
    pub outcome: Outcome,
    pub idempotency: Option<IdempotencyRow>,
    /// Where the event log's head must still be: whatever was decided from
    /// memory is decided anew when something happened since.
    pub expected_head: Option<u64>,
    /// Stored only if nothing is yet about the same statement.
    pub first: bool,
}

#[derive(Debug, Clone)]
pub enum Outcome {
    Signed(Signed),
    /// Not signed: why, and when it is tried again.
    Recorded(Attempt),
    /// Not tried yet: whoever works on the queue signs it, first at `next_at`.
    Queued {
        next_at: Option<Timestamp>,
    },
}

impl Outcome {
    pub fn signed(&self) -> Option<&Signed> {
        match self {
            Self::Signed(signed) => Some(signed),
            Self::Recorded(_) | Self::Queued { .. } => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Signed {
    pub envelope: Vec<u8>,
    pub recorded_at: Timestamp,
    /// Absent for an import, which never enters the ledger.
    pub by: Option<SignedHere>,
    /// What happens with the signature or not at all.
    pub events: Option<Append>,
}

/// Events with the fold up to and including them, to be stored only while
/// the head is still the one they were decided on.
#[derive(Debug, Clone)]
pub struct Append {
    pub expected_head: u64,
    pub events: Vec<Event>,
    pub state: Arc<TrustState>,
}

impl Append {
    pub fn new(expected_head: u64, events: Vec<Event>, state: Arc<TrustState>) -> Self {
        Self {
            expected_head,
            events,
            state,
        }
    }
}

#[derive(Debug, Clone)]
pub struct SignedHere {
    pub key_id: KeyId,
    /// The key's version when it was chosen; the store refuses if it moved.
    pub key_version: u64,
    pub ledger: LedgerKey,
    pub requested_by: String,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub state: AttestationState,
    pub error: String,
    pub at: Timestamp,
    pub next_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    Done,
    /// The key changed since it was chosen: choose and sign again.
    KeyMoved,
    /// The events that go with it were decided on an older head.
    HeadMoved,
    /// This identity used this idempotency key before.
    Repeated(IdempotencyRow),
    /// It was to be the first of its statement, and is not.
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureStored {
    Done,
    KeyMoved,
    HeadMoved,
    /// Somebody else signed it meanwhile.
    AlreadySigned,
    /// It ran out, and somebody else took it.
    ClaimLost,
    NotFound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptNoted {
    Done,
    /// It is signed, or somebody else's to try.
    ClaimLost,
}

/// The right to finish one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub attestation: AttestationId,
    /// No two claims have the same.
    pub fence: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub claim: Claim,
    pub row: AttestationRow,
}

/// What is to be claimed, by whom and for how long.
#[derive(Debug, Clone)]
pub struct Claiming {
    pub attestations: Vec<AttestationId>,
    pub states: Vec<AttestationState>,
    /// Only what is due by then.
    pub due_by: Option<Timestamp>,
    /// Told to people; it is the fence that decides.
    pub replica: String,
    pub now: Timestamp,
    /// From then on somebody else may take it.
    pub until: Timestamp,
}

/// Which unsigned records, as of `now`.
#[derive(Debug, Clone)]
pub struct WaitingFilter {
    pub states: Vec<AttestationState>,
    /// Only what is due by then.
    pub due_by: Option<Timestamp>,
    /// Continue after this id.
    pub after: Option<AttestationId>,
    pub now: Timestamp,
    pub limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedLater {
    pub created_at: Timestamp,
    pub signed_at: Timestamp,
}

/// An unsigned record, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: AttestationId,
    pub pae: Sha256,
    pub profile: Option<ProfileName>,
    pub created_at: Timestamp,
    pub last_attempt_at: Option<Timestamp>,
}

/// What identifies one signature: what was signed, by which key, which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerKey {
    pub pae: Sha256,
    pub spki: Sha256,
    pub signature: Sha256,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub signed_at: Timestamp,
    pub attestation: AttestationId,
    pub requested_by: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRow {
    pub identity: String,
    pub key: String,
    /// Binds the route and the request's content.
    pub request: Sha256,
    pub attestations: Vec<AttestationId>,
    pub at: Timestamp,
}

/// A key, up to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSpan {
    pub key_id: KeyId,
    /// Exclusive; `None` for as long as it signs.
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
pub struct AttestationFilter {
    pub state: Option<AttestationState>,
    pub predicate_type: Option<String>,
    /// Exact canonical subject name.
    pub subject: Option<String>,
    pub key_id: Option<KeyId>,
    /// Signed in one of these spans; with none of them, nothing is.
    pub signed_in: Option<Vec<SigningSpan>>,
    pub identity: Option<String>,
    /// Brought in, or not.
    pub imported: Option<bool>,
    pub since: Option<Timestamp>,
    /// By last attempt, for `retry --last`.
    pub attempted_since: Option<Timestamp>,
    /// Newest first, continue before this id.
    pub before: Option<AttestationId>,
    pub limit: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFigures {
    pub recorded: u64,
    pub signed: u64,
    pub failed: u64,
    pub held: u64,
    pub oldest_unsigned: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    pub anchor: AnchorId,
    pub attestation: AttestationId,
    pub policy_version: String,
    pub verdict: String,
    pub code: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRow {
    /// SHA-256 of the bundle's bytes.
    pub address: Sha256,
    /// One attestation for each signature over the spine.
    pub spine: Vec<AttestationId>,
    /// The members in their order, each likewise.
    pub members: Vec<Vec<AttestationId>>,
    pub created_by: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofKept {
    Done,
    /// Somebody kept it before.
    Earlier(ProofRow),
}

#[derive(Debug, Clone, Default)]
pub struct ProofFilter {
    /// Exact canonical name of the spine's subject.
    pub subject: Option<String>,
    /// Algorithm and hex of a digest of the spine's subject.
    pub digest: Option<(String, String)>,
    /// Those that hold it.
    pub attestation: Option<AttestationId>,
    /// Continue after this one.
    pub before: Option<Sha256>,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    pub name: String,
    /// SHA-256 of the secret; the secret itself is never stored.
    pub hash: Sha256,
    /// Role and scopes, as the server wrote them.
    pub authority: Value,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub enum TokenChange {
    Create(TokenRow),
    Revoke { id: TokenId, at: Timestamp },
}

/// A PIN that a token refused, as a slow, salted hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPin {
    pub token_serial: String,
    pub salt: [u8; 16],
    pub hash: Sha256,
    pub refused_at: Timestamp,
}

/// A server, as it told of itself. No value of a setting is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRow {
    pub name: String,
    /// Another one for each start: two servers of one name are told apart.
    pub process: uuid::Uuid,
    pub version: String,
    /// The names of settings that replicas must agree on, each with a digest
    /// of its value.
    pub settings: Value,
    /// Profiles that have an active key with which it cannot sign, and why.
    pub unable: Value,
    /// Where clients reach this one and no other.
    pub url: Option<String>,
    pub started_at: Timestamp,
    pub seen_at: Timestamp,
}

/// What the verdicts under one anchor say, by the policy they were reached
/// under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// Under the policy asked about.
    pub current: BTreeMap<String, u64>,
    /// Under another.
    pub stale: u64,
}

impl VerdictCounts {
    /// Of whether each is under that policy, what it says, and how many do.
    pub(crate) fn of(rows: impl IntoIterator<Item = (bool, String, u64)>) -> Self {
        let mut counts = Self::default();
        for (current, verdict, rows) in rows {
            if current {
                *counts.current.entry(verdict).or_default() += rows;
            } else {
                counts.stale += rows;
            }
        }
        counts
    }
}

/// How far the attestations of an ended key were judged anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescanRow {
    pub key_id: KeyId,
    /// The key's version that it follows.
    pub event: u64,
    /// First what was signed here, then what was brought in.
    pub imports: bool,
    /// Newest first, continue before this id.
    pub before: Option<AttestationId>,
    pub judged: u64,
    /// Those that passed before the key ended and no longer do.
    pub flipped: u64,
    pub began_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    pub at: Timestamp,
    /// `error`, `warn`, `info`.
    pub level: String,
    /// `signing`, `verification`, `hsm`, `config`, ...
    pub component: String,
    pub message: String,
    pub fields: Value,
}

#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// This level and worse.
    pub level: Option<String>,
    pub since: Option<Timestamp>,
    /// Case-insensitive, in component or message.
    pub contains: Option<String>,
    pub limit: usize,
}

impl LogFilter {
    pub(crate) fn this_and_worse(level: &str) -> Vec<&str> {
        const WORST_FIRST: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
        match WORST_FIRST.iter().position(|known| *known == level) {
            Some(at) => WORST_FIRST.into_iter().take(at + 1).collect(),
            None => vec![level],
        }
    }
}

/// A UUIDv8 (RFC 9562 section 5.8) of the anchor and the key: rebuilding gives
/// a row of `key_history` the id that it had.
pub(crate) fn history_id(anchor: AnchorId, key: &KeyId) -> uuid::Uuid {
    let digest = Sha256::of_parts(&[anchor.0.as_bytes(), key.as_str().as_bytes()]);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDescription {
    pub driver: &'static str,
    pub place: String,
    pub schema_version: u32,
    pub head: u64,
}

/// Every finding is one thing that is wrong, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub events: u64,
    pub attestations: u64,
    pub ledger_entries: u64,
    /// The head of the hash chain, to be kept elsewhere.
    pub chain_head: String,
    pub findings: Vec<String>,
}
