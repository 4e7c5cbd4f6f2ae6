//! A store in memory in which keys can be made to change at the worst moment.
//! It keeps the contract's conditions (head, key version, idempotency), not its
//! durability.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, AttestationId, KeyId, TokenId};
use stella_core::time::Timestamp;
use stella_core::trust::{Event, TrustState};
use stella_store::*;

#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    events: Vec<Event>,
    state: Arc<TrustState>,
    sealed: HashMap<KeyId, Vec<u8>>,
    rows: BTreeMap<AttestationId, AttestationRow>,
    ledger: HashMap<LedgerKey, LedgerEntry>,
    idempotency: HashMap<(String, String), IdempotencyRow>,
    verdicts: HashMap<(AnchorId, AttestationId), VerdictRow>,
    rescans: BTreeMap<KeyId, RescanRow>,
    proofs: Vec<ProofRow>,
    tokens: Vec<TokenRow>,
    pins: Vec<RefusedPin>,
    logins: BTreeMap<String, u32>,
    log: Vec<LogRow>,
    claims: HashMap<AttestationId, (u64, Timestamp)>,
    fences: u64,
    replicas: BTreeMap<String, ReplicaRow>,
    /// How often yet the key counts as changed since it was chosen.
    key_moves: u32,
    /// How often yet the head counts as moved since it was decided on.
    head_moves: u32,
    /// The next change of trust takes effect, and nobody hears of it.
    loses_an_answer: bool,
    /// Nothing more is written.
    full: bool,
}

impl MemoryStore {
    #[allow(dead_code, reason = "each test binary uses its own part of it")]
    pub fn full() -> Self {
        let store = Self::default();
        store.tables().full = true;
        store
    }

    pub fn move_key(&self, times: u32) {
        self.tables().key_moves = times;
    }

    pub fn move_head(&self, times: u32) {
        self.tables().head_moves = times;
    }

    pub fn lose_the_next_answer(&self) {
        self.tables().loses_an_answer = true;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Whether the key is still as it was when it was chosen.
    fn stands(&mut self, signed: &Signed) -> bool {
        if self.key_moves > 0 && signed.by.is_some() {
            self.key_moves -= 1;
            return false;
        }
        signed.by.as_ref().is_none_or(|by| {
            self.state
                .keys
                .get(&by.key_id)
                .is_some_and(|k| k.version == by.key_version)
        })
    }

    fn holds(&self, claim: Claim) -> bool {
        self.claims
            .get(&claim.attestation)
            .is_some_and(|(fence, _)| *fence == claim.fence)
    }

    fn is_free(
        &self,
        row: &AttestationRow,
        states: &[AttestationState],
        due_by: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let next = row.attempts.next_at;
        states.contains(&row.state)
            && due_by.is_none_or(|by| next.is_none_or(|next| next <= by))
            && self.claims.get(&row.id).is_none_or(|(_, until)| *until <= now)
    }

    fn head_moved(&mut self, signed: &Signed) -> bool {
        if self.head_moves > 0 && signed.events.is_some() {
            self.head_moves -= 1;
            return true;
        }
        let decided_on = signed.events.as_ref().map(|a| a.expected_head);
        decided_on.is_some_and(|head| head != self.state.head)
    }

    fn append(&mut self, append: Append) {
        self.events.extend(append.events);
        self.state = append.state;
    }

    fn enter(&mut self, id: AttestationId, signed: &Signed) {
        if let Some(append) = &signed.events {
            self.append(append.clone());
        }
        if let Some(by) = &signed.by {
            let entry = LedgerEntry {
                signed_at: signed.recorded_at,
                attestation: id,
                requested_by: by.requested_by.clone(),
            };
            self.ledger.entry(by.ledger).or_insert(entry);
        }
    }
}

fn part(signed: Signed) -> SignedPart {
    SignedPart {
        envelope: signed.envelope,
        key_id: signed.by.map(|b| b.key_id),
        recorded_at: signed.recorded_at,
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        let tables = self.tables();
        Ok(tables
            .events
            .iter()
            .filter(|e| e.sequence > after)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn append(
        &self,
        append: Append,
        sealed_keys: Vec<SealedKeyRow>,
        changes: Vec<TokenChange>,
    ) -> Result<Appended> {
        let mut tables = self.tables();
        if tables.state.head != append.expected_head {
            return Ok(Appended::HeadMoved {
                head: tables.state.head,
            });
        }
        tables.append(append);
        tables
            .sealed
            .extend(sealed_keys.into_iter().map(|k| (k.key_id, k.blob)));
        for change in changes {
            match change {
                TokenChange::Create(row) => tables.tokens.push(row),
                TokenChange::Revoke { id, at } => {
                    for row in tables.tokens.iter_mut().filter(|t| t.id == id) {
                        row.revoked_at = Some(at);
                    }
                }
            }
        }
        match std::mem::take(&mut tables.loses_an_answer) {
            true => Err(StoreError::Unknown("the connection broke".to_owned())),
            false => Ok(Appended::Done),
        }
    }

    async fn chain_head(&self, event: u64) -> Result<Option<ChainHead>> {
        let tables = self.tables();
        Ok((event <= tables.state.head).then(|| ChainHead {
            events: tables.state.head,
            entries: u64::try_from(tables.ledger.len()).unwrap_or(0),
            hash: Sha256::of(&tables.state.head.to_be_bytes()),
        }))
    }

    async fn sealed_key(&self, id: &KeyId) -> Result<Option<Vec<u8>>> {
        Ok(self.tables().sealed.get(id).cloned())
    }

    async fn has_sealed_keys(&self) -> Result<bool> {
        Ok(!self.tables().sealed.is_empty())
    }

    async fn sealing_key(&self) -> Result<Option<String>> {
        Ok(None)
    }

    async fn claim_sealing_key(&self, id: &str) -> Result<String> {
        Ok(id.to_owned())
    }

    async fn audit(&self, _: AuditFilter) -> Result<Vec<AuditRow>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl AttestationStore for MemoryStore {
    async fn insert_attestation(&self, new: Arc<NewAttestation>) -> Result<Inserted> {
        let new = Arc::unwrap_or_clone(new);
        let mut tables = self.tables();
        if let Some(row) = &new.idempotency {
            let key = (row.identity.clone(), row.key.clone());
            if let Some(earlier) = tables.idempotency.get(&key) {
                return Ok(Inserted::Repeated(earlier.clone()));
            }
        }
        if new.first && tables.rows.values().any(|row| row.pae == new.pae) {
            return Ok(Inserted::Known);
        }
        if new.expected_head.is_some_and(|head| head != tables.state.head) {
            return Ok(Inserted::HeadMoved);
        }
        if tables.rows.contains_key(&new.id) {
            return Err(StoreError::Unavailable("the id is taken".to_owned()));
        }
        let (state, signed, attempts) = match new.outcome {
            Outcome::Signed(signed) => {
                if !tables.stands(&signed) {
                    return Ok(Inserted::KeyMoved);
                }
                if tables.head_moved(&signed) {
                    return Ok(Inserted::HeadMoved);
                }
                tables.enter(new.id, &signed);
                (AttestationState::Signed, Some(part(signed)), Attempts::default())
            }
            Outcome::Recorded(a) => (
                a.state,
                None,
                Attempts {
                    count: 1,
                    last_error: Some(a.error),
                    last_at: Some(a.at),
                    next_at: a.next_at,
                },
            ),
            Outcome::Queued { next_at } => (
                AttestationState::Recorded,
                None,
                Attempts {
                    next_at,
                    ..Attempts::default()
                },
            ),
        };
        if let Some(row) = new.idempotency {
            tables
                .idempotency
                .insert((row.identity.clone(), row.key.clone()), row);
        }
        let row = AttestationRow {
            id: new.id,
            pae: new.pae,
            payload_type: new.payload_type,
            payload: new.payload,
            predicate_type: new.predicate_type,
            subjects: new.subjects,
            profile: new.profile,
            state,
            requested: new.requested,
            created_at: new.created_at,
            signed,
            attempts,
            supersedes: new.supersedes,
            imported: new.imported,
        };
        tables.rows.insert(row.id, row);
        Ok(Inserted::Done)
    }

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRow>> {
        Ok(self.tables().rows.get(&id).cloned())
    }

    async fn attestations_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
        let tables = self.tables();
        let found = tables.rows.keys().filter(|id| id.to_string().starts_with(prefix));
        Ok(found.take(limit).copied().collect())
    }

    async fn attestations_by_pae(&self, pae: &Sha256) -> Result<Vec<AttestationRow>> {
        Ok(self
            .tables()
            .rows
            .values()
            .filter(|r| r.pae == *pae)
            .cloned()
            .collect())
    }

    async fn attestations_by_digest(
        &self,
        algorithm: &str,
        hex: &str,
        limit: usize,
    ) -> Result<Vec<AttestationRow>> {
        let about = |r: &&AttestationRow| {
            r.subjects
                .iter()
                .any(|s| s.digest.all().get(algorithm).is_some_and(|v| v == hex))
        };
        let mut rows: Vec<_> = self.tables().rows.values().filter(about).cloned().collect();
        rows.sort_by_key(|r| r.imported);
        rows.truncate(limit);
        Ok(rows)
    }

    async fn list_attestations(&self, f: AttestationFilter) -> Result<Vec<AttestationRow>> {
        let wanted = |r: &&AttestationRow| {
            f.state.is_none_or(|s| r.state == s)
                && f.predicate_type.as_ref().is_none_or(|t| r.predicate_type == *t)
                && f.before.is_none_or(|b| r.id < b)
                && f.imported.is_none_or(|imported| r.imported == imported)
                && f.key_id
                    .as_ref()
                    .is_none_or(|id| r.signed.as_ref().and_then(|s| s.key_id.as_ref()) == Some(id))
                && f.subject
                    .as_ref()
                    .is_none_or(|n| r.subjects.iter().any(|s| s.name.as_ref() == Some(n)))
        };
        Ok(self
            .tables()
            .rows
            .values()
            .rev()
            .filter(wanted)
            .take(f.limit)
            .cloned()
            .collect())
    }

    async fn last_attestation_by(&self, identity: &str) -> Result<Option<AttestationRow>> {
        let tables = self.tables();
        Ok(tables
            .rows
            .values()
            .rev()
            .find(|r| r.requested.identity == identity)
            .cloned())
    }

    async fn ledger(&self, signatures: &[LedgerKey]) -> Result<Vec<Option<LedgerEntry>>> {
        let tables = self.tables();
        Ok(signatures.iter().map(|k| tables.ledger.get(k).cloned()).collect())
    }

    async fn idempotent(&self, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        let tables = self.tables();
        Ok(tables
            .idempotency
            .get(&(identity.to_owned(), key.to_owned()))
            .cloned())
    }
}

#[async_trait]
impl VerdictStore for MemoryStore {
    async fn note_verdicts(&self, verdicts: Vec<VerdictRow>) -> Result<()> {
        let mut tables = self.tables();
        for row in verdicts {
            tables.verdicts.insert((row.anchor, row.attestation), row);
        }
        Ok(())
    }

    async fn verdict_counts(&self, anchor: AnchorId, policy_version: &str) -> Result<VerdictCounts> {
        let mut counts = VerdictCounts::default();
        for row in self.tables().verdicts.values().filter(|v| v.anchor == anchor) {
            if row.policy_version == policy_version {
                *counts.current.entry(row.verdict.clone()).or_default() += 1;
            } else {
                counts.stale += 1;
            }
        }
        Ok(counts)
    }

    async fn stale_verdicts(
        &self,
        anchor: AnchorId,
        policy_version: &str,
        after: Option<AttestationId>,
        limit: usize,
    ) -> Result<Vec<VerdictRow>> {
        let tables = self.tables();
        let stale = tables.verdicts.values().filter(|v| {
            v.anchor == anchor
                && v.policy_version != policy_version
                && after.is_none_or(|after| v.attestation > after)
        });
        let mut stale: Vec<_> = stale.cloned().collect();
        stale.sort_by_key(|v| v.attestation);
        stale.truncate(limit);
        Ok(stale)
    }

    async fn rescans(&self) -> Result<Vec<RescanRow>> {
        Ok(self.tables().rescans.values().cloned().collect())
    }

    async fn note_rescan(&self, rescan: RescanRow, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.note_verdicts(verdicts).await?;
        self.tables().rescans.insert(rescan.key_id.clone(), rescan);
        Ok(())
    }

    async fn signed_before(&self, key: &KeyId, before: Option<AttestationId>) -> Result<u64> {
        let tables = self.tables();
        let own = tables.rows.values().filter(|r| {
            r.signed.as_ref().and_then(|s| s.key_id.as_ref()) == Some(key)
                && before.is_none_or(|before| r.id < before)
        });
        Ok(own.count() as u64)
    }
}

#[async_trait]
impl QueueStore for MemoryStore {
    async fn waiting(&self, f: WaitingFilter) -> Result<Vec<Waiting>> {
        let tables = self.tables();
        let rows = tables.rows.values().filter(|r| {
            f.after.is_none_or(|after| r.id > after) && tables.is_free(r, &f.states, f.due_by, f.now)
        });
        let waiting = |r: &AttestationRow| Waiting {
            id: r.id,
            pae: r.pae,
            profile: r.profile.clone(),
            created_at: r.created_at,
            last_attempt_at: r.attempts.last_at,
        };
        Ok(rows.take(f.limit).map(waiting).collect())
    }

    async fn claim(&self, c: Claiming) -> Result<Vec<Claimed>> {
        let mut tables = self.tables();
        let mut claimed = Vec::new();
        for id in c.attestations {
            let row = tables
                .rows
                .get(&id)
                .filter(|r| tables.is_free(r, &c.states, c.due_by, c.now));
            if let Some(row) = row.cloned() {
                tables.fences += 1;
                let fence = tables.fences;
                tables.claims.insert(id, (fence, c.until));
                let claim = Claim {
                    attestation: id,
                    fence,
                };
                claimed.push(Claimed { claim, row });
            }
        }
        Ok(claimed)
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<()> {
        let mut tables = self.tables();
        for claim in claims {
            if tables.holds(claim) {
                tables.claims.remove(&claim.attestation);
            }
        }
        Ok(())
    }

    async fn store_signature(&self, claim: Claim, signed: Signed) -> Result<SignatureStored> {
        let mut tables = self.tables();
        let id = claim.attestation;
        let holds = tables.holds(claim);
        let stands = tables.stands(&signed);
        match tables.rows.get(&id).map(|r| r.signed.is_some()) {
            None => return Ok(SignatureStored::NotFound),
            Some(true) => return Ok(SignatureStored::AlreadySigned),
            Some(false) if !holds => return Ok(SignatureStored::ClaimLost),
            Some(false) if !stands => return Ok(SignatureStored::KeyMoved),
            Some(false) if tables.head_moved(&signed) => return Ok(SignatureStored::HeadMoved),
            Some(false) => {}
        }
        tables.enter(id, &signed);
        if let Some(row) = tables.rows.get_mut(&id) {
            row.state = AttestationState::Signed;
            row.signed = Some(part(signed));
        }
        tables.claims.remove(&id);
        Ok(SignatureStored::Done)
    }

    async fn note_attempt(&self, claim: Claim, attempt: Attempt) -> Result<AttemptNoted> {
        let mut tables = self.tables();
        if !tables.holds(claim) {
            return Ok(AttemptNoted::ClaimLost);
        }
        tables.claims.remove(&claim.attestation);
        if let Some(row) = tables.rows.get_mut(&claim.attestation) {
            row.state = attempt.state;
            row.attempts = Attempts {
                count: row.attempts.count + 1,
                last_error: Some(attempt.error),
                last_at: Some(attempt.at),
                next_at: attempt.next_at,
            };
        }
        Ok(AttemptNoted::Done)
    }

    async fn newest_signatures(&self, limit: usize) -> Result<Vec<SignedLater>> {
        let tables = self.tables();
        let made = tables.ledger.values().filter_map(|entry| {
            Some(SignedLater {
                created_at: tables.rows.get(&entry.attestation)?.created_at,
                signed_at: entry.signed_at,
            })
        });
        Ok(made.take(limit).collect())
    }

    async fn queue(&self) -> Result<QueueFigures> {
        let tables = self.tables();
        let count = |state| tables.rows.values().filter(|r| r.state == state).count() as u64;
        Ok(QueueFigures {
            recorded: count(AttestationState::Recorded),
            signed: count(AttestationState::Signed),
            failed: count(AttestationState::Failed),
            held: count(AttestationState::Held),
            oldest_unsigned: None,
        })
    }
}

#[async_trait]
impl ProofStore for MemoryStore {
    async fn insert_proof(&self, proof: ProofRow) -> Result<ProofKept> {
        let mut tables = self.tables();
        if let Some(earlier) = tables.proofs.iter().find(|p| p.address == proof.address) {
            return Ok(ProofKept::Earlier(earlier.clone()));
        }
        tables.proofs.push(proof);
        Ok(ProofKept::Done)
    }

    async fn proof(&self, address: &Sha256) -> Result<Option<ProofRow>> {
        let tables = self.tables();
        Ok(tables.proofs.iter().find(|p| p.address == *address).cloned())
    }

    async fn proofs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Sha256>> {
        let tables = self.tables();
        let all = tables.proofs.iter().map(|p| p.address);
        Ok(all
            .filter(|a| a.to_hex().starts_with(prefix))
            .take(limit)
            .collect())
    }

    async fn list_proofs(&self, f: ProofFilter) -> Result<Vec<ProofRow>> {
        Ok(self.tables().proofs.iter().rev().take(f.limit).cloned().collect())
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn token_by_hash(&self, hash: &Sha256) -> Result<Option<TokenRow>> {
        Ok(self.tables().tokens.iter().find(|t| t.hash == *hash).cloned())
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        Ok(self.tables().tokens.clone())
    }

    async fn note_token_used(&self, _: TokenId, _: Timestamp) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl PinStore for MemoryStore {
    async fn refused_pins(&self, token_serial: &str) -> Result<Vec<RefusedPin>> {
        let tables = self.tables();
        let pins = tables.pins.iter().filter(|p| p.token_serial == token_serial);
        Ok(pins.cloned().collect())
    }

    async fn remember_refused_pin(&self, pin: RefusedPin) -> Result<()> {
        let mut tables = self.tables();
        tables.logins.remove(&pin.token_serial);
        tables.pins.push(pin);
        Ok(())
    }

    async fn begin_login(&self, token_serial: &str, _: Timestamp) -> Result<u32> {
        let mut tables = self.tables();
        let tries = tables.logins.entry(token_serial.to_owned()).or_default();
        *tries += 1;
        Ok(*tries - 1)
    }

    async fn unanswered_logins(&self, token_serial: &str) -> Result<u32> {
        Ok(self
            .tables()
            .logins
            .get(token_serial)
            .copied()
            .unwrap_or_default())
    }

    async fn withdraw_login(&self, token_serial: &str) -> Result<()> {
        if let Some(tries) = self.tables().logins.get_mut(token_serial) {
            *tries = tries.saturating_sub(1);
        }
        Ok(())
    }

    async fn forget_refused_pins(&self, token_serial: &str) -> Result<u64> {
        let mut tables = self.tables();
        tables.logins.remove(token_serial);
        let before = tables.pins.len();
        tables.pins.retain(|p| p.token_serial != token_serial);
        Ok((before - tables.pins.len()) as u64)
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn log(&self, lines: Vec<LogRow>) -> Result<()> {
        self.tables().log.extend(lines);
        Ok(())
    }

    async fn read_log(&self, f: LogFilter) -> Result<Vec<LogRow>> {
        let wanted = |l: &&LogRow| {
            f.level.as_ref().is_none_or(|level| l.level == *level)
                && f.contains
                    .as_ref()
                    .is_none_or(|c| l.component.contains(c.as_str()) || l.message.contains(c.as_str()))
        };
        Ok(self
            .tables()
            .log
            .iter()
            .filter(wanted)
            .take(f.limit)
            .cloned()
            .collect())
    }

    async fn trim_log(&self, _: Timestamp) -> Result<u64> {
        Ok(0)
    }
}

#[async_trait]
impl ReplicaStore for MemoryStore {
    async fn note_replica(&self, replica: ReplicaRow, forget_before: Timestamp) -> Result<()> {
        let mut tables = self.tables();
        tables.replicas.retain(|_, known| known.seen_at >= forget_before);
        tables.replicas.insert(replica.name.clone(), replica);
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        Ok(self.tables().replicas.values().cloned().collect())
    }

    async fn forget_replica(&self, name: &str, process: uuid::Uuid) -> Result<()> {
        self.tables()
            .replicas
            .retain(|_, known| known.name != name || known.process != process);
        Ok(())
    }
}

#[async_trait]
impl Upkeep for MemoryStore {
    async fn describe(&self) -> Result<StoreDescription> {
        let head = self.tables().state.head;
        Ok(StoreDescription {
            driver: "memory",
            place: String::new(),
            schema_version: 0,
            head,
        })
    }

    async fn snapshot(&self, _: &std::path::Path) -> Result<bool> {
        Ok(false)
    }

    async fn verify(&self) -> Result<VerifyReport> {
        Ok(VerifyReport {
            ledger_entries: self.tables().ledger.len() as u64,
            ..VerifyReport::default()
        })
    }

    async fn rebuild_projections(&self) -> Result<()> {
        Ok(())
    }

    async fn probe(&self) -> Result<()> {
        if self.tables().full {
            return Err(StoreError::Unavailable("database or disk is full".to_owned()));
        }
        Ok(())
    }

    async fn lead(&self, _: &str) -> Result<Option<Box<dyn Lead>>> {
        Ok(None)
    }
}
