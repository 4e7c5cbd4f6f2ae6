//! The suite that every driver runs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stella_core::alg::{Algorithm, PublicKey};
use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, AttestationId, EventId, KeyId, TokenId};
use stella_core::statement::{DigestSet, Subject};
use stella_core::time::Timestamp;
use stella_core::trust::event::{CustodyEntered, KeyEntered};
use stella_core::trust::{Event, EventBody, KeyType, TrustState};

use crate::{
    Appended, Attempt, AttestationFilter, AttestationState, AuditFilter, IdempotencyRow, Inserted, LedgerKey,
    LogFilter, LogRow, NewAttestation, Outcome, Requested, SealedKeyRow, SignatureStored, Signed, SignedHere,
    Store, TokenChange, TokenRow, VerdictRow,
};

/// Runs everything on fresh, empty stores from `make`.
pub async fn run<S: Store + 'static>(mut make: impl FnMut() -> Arc<S>) {
    events_keep_one_order(make()).await;
    concurrent_appends_leave_no_gap(make()).await;
    attestations_come_back_as_they_went_in(make()).await;
    a_signature_loses_the_race_with_a_revocation(make()).await;
    the_same_request_is_done_once(make()).await;
    listings_filter_and_page(make()).await;
    tokens_live_and_end(make()).await;
    the_log_is_read_and_trimmed(make()).await;
    verdicts_keep_the_latest(make()).await;
}

async fn events_keep_one_order<S: Store>(store: Arc<S>) {
    let log = Log::with_key(&*store, "key-1", 1).await;
    let stale = log.event(EventBody::KeyActivated { key_id: key("key-1") });
    let state = Arc::new(log.state.clone());
    let moved = store
        .append(0, vec![stale], state, Vec::new(), Vec::new())
        .await
        .expect("answers");
    assert_eq!(moved, Appended::HeadMoved { head: 1 });
    let events = store.events_after(0, 10).await.expect("events");
    assert_eq!(events, log.events);
    assert!(store.events_after(1, 10).await.expect("none").is_empty());
    assert_eq!(
        store.sealed_key(&key("key-1")).await.expect("read"),
        Some(b"sealed".to_vec())
    );
    assert!(store.has_sealed_keys().await.expect("read"));

    let by_type = |pattern: &str| AuditFilter {
        event_type: Some(pattern.to_owned()),
        limit: 10,
        ..AuditFilter::default()
    };
    assert_eq!(store.audit(by_type("KEY_*")).await.expect("audit").len(), 1);
    assert_eq!(
        store.audit(by_type("KEY_GENERATED")).await.expect("audit")[0].key_id,
        Some(key("key-1"))
    );
    // An underscore in a pattern is itself.
    assert!(store.audit(by_type("KEYX*")).await.expect("audit").is_empty());
    let later = AuditFilter {
        from: Some(at(10_000_000)),
        limit: 10,
        ..AuditFilter::default()
    };
    assert!(store.audit(later).await.expect("audit").is_empty());
    let report = store.verify().await.expect("verify");
    assert_eq!((report.events, report.findings), (1, Vec::<String>::new()));
    store.rebuild_projections().await.expect("rebuilt");
    assert!(store.verify().await.expect("verify").findings.is_empty());
}

async fn concurrent_appends_leave_no_gap<S: Store + 'static>(store: Arc<S>) {
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut log = Log::default();
                loop {
                    log.catch_up(&*store).await;
                    let body = EventBody::ConfigSet {
                        key: format!("k{n}"),
                        value: "v".to_owned(),
                    };
                    if log.append(&*store, body, Vec::new(), Vec::new()).await == Appended::Done {
                        return;
                    }
                    log = Log::default();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let events = store.events_after(0, 100).await.expect("events");
    let state = TrustState::fold(&events).expect("no gap");
    assert_eq!((state.head, state.settings.len()), (16, 16));
    assert!(store.verify().await.expect("verify").findings.is_empty());
}

async fn attestations_come_back_as_they_went_in<S: Store>(store: Arc<S>) {
    let log = Log::with_key(&*store, "key-1", 1).await;
    let new = attestation(1, signed_by("key-1", log.state.head, 1));
    assert_eq!(
        store.insert_attestation(new.clone()).await.expect("inserted"),
        Inserted::Done
    );
    let row = store.attestation(new.id).await.expect("read").expect("there");
    assert_eq!(
        (row.state, &row.subjects, &row.payload),
        (AttestationState::Signed, &new.subjects, &new.payload)
    );
    assert_eq!(row.requested, new.requested);
    let signed = row.signed.as_ref().expect("signed");
    let Outcome::Signed(sent) = &new.outcome else {
        unreachable!()
    };
    assert_eq!((&signed.envelope, signed.recorded_at), (&sent.envelope, at(1)));
    assert_eq!(
        store.attestations_by_pae(&new.pae).await.expect("read"),
        vec![row.clone()]
    );
    let hex = new.subjects[0].digest.all()["sha256"].clone();
    assert_eq!(
        store
            .attestations_by_digest("sha256", &hex, 10)
            .await
            .expect("read"),
        vec![row.clone()]
    );
    assert!(
        store
            .attestations_by_digest("sha512", &hex, 10)
            .await
            .expect("read")
            .is_empty()
    );
    let prefix = &new.id.to_string()[..9];
    assert_eq!(
        store.attestations_by_prefix(prefix, 2).await.expect("read"),
        vec![new.id]
    );
    assert!(
        store
            .attestations_by_prefix("ffff", 2)
            .await
            .expect("read")
            .is_empty()
    );
    assert_eq!(
        store.last_attestation_by("local:me").await.expect("read"),
        Some(row)
    );
    assert_eq!(store.last_attestation_by("local:you").await.expect("read"), None);
    let known = ledger_key(1);
    let answers = store.ledger(&[ledger_key(9), known]).await.expect("ledger");
    assert!(answers[0].is_none());
    assert_eq!(
        answers[1].as_ref().map(|e| (e.signed_at, e.attestation)),
        Some((at(1), new.id))
    );
}

async fn a_signature_loses_the_race_with_a_revocation<S: Store>(store: Arc<S>) {
    let mut log = Log::with_key(&*store, "key-1", 1).await;
    let chosen_at = log.state.head;
    let recorded = attestation(2, waiting("no active key"));
    store
        .insert_attestation(recorded.clone())
        .await
        .expect("recorded");
    log.append(
        &*store,
        EventBody::KeyActivated { key_id: key("key-1") },
        Vec::new(),
        Vec::new(),
    )
    .await;
    let Outcome::Signed(stale) = signed_by("key-1", chosen_at, 2) else {
        unreachable!()
    };
    assert_eq!(
        store
            .store_signature(recorded.id, stale.clone())
            .await
            .expect("answers"),
        SignatureStored::KeyMoved
    );
    let new = attestation(3, Outcome::Signed(stale));
    assert_eq!(
        store.insert_attestation(new.clone()).await.expect("answers"),
        Inserted::KeyMoved
    );
    assert_eq!(store.attestation(new.id).await.expect("read"), None);
    let Outcome::Signed(fresh) = signed_by("key-1", log.state.head, 2) else {
        unreachable!()
    };
    assert_eq!(
        store
            .store_signature(recorded.id, fresh.clone())
            .await
            .expect("stored"),
        SignatureStored::Done
    );
    assert_eq!(
        store
            .store_signature(recorded.id, fresh.clone())
            .await
            .expect("answers"),
        SignatureStored::AlreadySigned
    );
    assert_eq!(
        store.store_signature(id(99), fresh).await.expect("answers"),
        SignatureStored::NotFound
    );
    // What is signed is not set aside any more.
    let attempt = Attempt {
        state: AttestationState::Failed,
        error: "late".to_owned(),
        at: at(9),
        next_at: None,
    };
    store.note_attempt(recorded.id, attempt).await.expect("no effect");
    let row = store
        .attestation(recorded.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((row.state, row.attempts.count), (AttestationState::Signed, 1));
}

async fn the_same_request_is_done_once<S: Store>(store: Arc<S>) {
    let mut first = attestation(4, waiting("down"));
    let row = IdempotencyRow {
        identity: "local:me".to_owned(),
        key: "abc".to_owned(),
        request: Sha256::of(b"request"),
        attestations: vec![first.id],
        at: at(4),
    };
    first.idempotency = Some(row.clone());
    assert_eq!(
        store.insert_attestation(first.clone()).await.expect("inserted"),
        Inserted::Done
    );
    let mut again = attestation(5, waiting("down"));
    again.idempotency = Some(IdempotencyRow {
        attestations: vec![again.id],
        ..row.clone()
    });
    assert_eq!(
        store.insert_attestation(again.clone()).await.expect("answers"),
        Inserted::Repeated(row.clone())
    );
    assert_eq!(store.attestation(again.id).await.expect("read"), None);
    assert_eq!(
        store.idempotent("local:me", "abc").await.expect("read"),
        Some(row)
    );
    assert_eq!(store.idempotent("local:you", "abc").await.expect("read"), None);
    // A key that moved leaves no trace of the request either.
    let mut moved = attestation(6, signed_by("nobody", 1, 6));
    moved.idempotency = Some(IdempotencyRow {
        identity: "local:me".to_owned(),
        key: "def".to_owned(),
        request: Sha256::of(b"other"),
        attestations: vec![moved.id],
        at: at(6),
    });
    assert_eq!(
        store.insert_attestation(moved).await.expect("answers"),
        Inserted::KeyMoved
    );
    assert_eq!(store.idempotent("local:me", "def").await.expect("read"), None);
}

async fn listings_filter_and_page<S: Store>(store: Arc<S>) {
    for n in 1..=5 {
        let tried = Attempt {
            state: AttestationState::Recorded,
            error: "down".to_owned(),
            at: at(i64::from(n)),
            next_at: None,
        };
        store
            .insert_attestation(attestation(n, Outcome::Recorded(tried)))
            .await
            .expect("recorded");
    }
    let page = |before, limit| AttestationFilter {
        before,
        limit,
        ..AttestationFilter::default()
    };
    let first = store.list_attestations(page(None, 2)).await.expect("listed");
    assert_eq!(first.iter().map(|r| r.id).collect::<Vec<_>>(), [id(5), id(4)]);
    let rest = store
        .list_attestations(page(Some(id(4)), 10))
        .await
        .expect("listed");
    assert_eq!(
        rest.iter().map(|r| r.id).collect::<Vec<_>>(),
        [id(3), id(2), id(1)]
    );
    let named = AttestationFilter {
        subject: Some("pkg:npm/a3".to_owned()),
        limit: 10,
        ..AttestationFilter::default()
    };
    assert_eq!(store.list_attestations(named).await.expect("listed").len(), 1);
    let signed = AttestationFilter {
        state: Some(AttestationState::Signed),
        limit: 10,
        ..AttestationFilter::default()
    };
    assert!(store.list_attestations(signed).await.expect("listed").is_empty());
    let tried = AttestationFilter {
        attempted_since: Some(at(4)),
        limit: 10,
        ..AttestationFilter::default()
    };
    assert_eq!(store.list_attestations(tried).await.expect("listed").len(), 2);
    let figures = store.queue(at(10)).await.expect("queue");
    assert_eq!(
        (figures.recorded, figures.signed, figures.oldest_unsigned),
        (5, 0, Some(at(1)))
    );
}

async fn tokens_live_and_end<S: Store>(store: Arc<S>) {
    let token = TokenRow {
        id: TokenId::new(at(1), [1; 10]),
        name: "ci".to_owned(),
        hash: Sha256::of(b"secret"),
        authority: json!({"role": "signer"}),
        created_at: at(1),
        created_by: "local:me".to_owned(),
        expires_at: at(100),
        revoked_at: None,
        last_used_at: None,
    };
    let mut log = Log::default();
    let created = EventBody::TokenCreated {
        token_id: token.id.to_string(),
        name: "ci".to_owned(),
        role: "signer".to_owned(),
    };
    log.append(
        &*store,
        created,
        Vec::new(),
        vec![TokenChange::Create(token.clone())],
    )
    .await;
    assert_eq!(
        store.token_by_hash(&token.hash).await.expect("read"),
        Some(token.clone())
    );
    assert_eq!(
        store.token_by_hash(&Sha256::of(b"guess")).await.expect("read"),
        None
    );
    store.note_token_used(token.id, at(5)).await.expect("noted");
    let revoked = EventBody::TokenRevoked {
        token_id: token.id.to_string(),
    };
    log.append(
        &*store,
        revoked,
        Vec::new(),
        vec![TokenChange::Revoke {
            id: token.id,
            at: at(6),
        }],
    )
    .await;
    let listed = store.tokens().await.expect("tokens");
    assert_eq!(
        (listed[0].last_used_at, listed[0].revoked_at),
        (Some(at(5)), Some(at(6)))
    );
}

async fn the_log_is_read_and_trimmed<S: Store>(store: Arc<S>) {
    let line = |second, level: &str, message: &str| LogRow {
        at: at(second),
        level: level.to_owned(),
        component: "verification".to_owned(),
        message: message.to_owned(),
        fields: json!({"n": second}),
    };
    let lines = vec![
        line(1, "info", "fine"),
        line(2, "warn", "odd"),
        line(3, "error", "Bad"),
    ];
    store.log(lines.clone()).await.expect("logged");
    let at_least = |level: &str| LogFilter {
        level: Some(level.to_owned()),
        limit: 10,
        ..LogFilter::default()
    };
    assert_eq!(
        store.read_log(at_least("error")).await.expect("read"),
        vec![lines[2].clone()]
    );
    assert_eq!(store.read_log(at_least("warn")).await.expect("read").len(), 2);
    let containing = |text: &str| LogFilter {
        contains: Some(text.to_owned()),
        limit: 10,
        ..LogFilter::default()
    };
    assert_eq!(store.read_log(containing("bad")).await.expect("read").len(), 1);
    assert_eq!(
        store
            .read_log(containing("VERIFICATION"))
            .await
            .expect("read")
            .len(),
        3
    );
    let since = LogFilter {
        since: Some(at(2)),
        limit: 10,
        ..LogFilter::default()
    };
    assert_eq!(store.read_log(since).await.expect("read").len(), 2);
    assert_eq!(store.trim_log(at(3)).await.expect("trimmed"), 2);
    assert_eq!(
        store
            .read_log(LogFilter {
                limit: 10,
                ..LogFilter::default()
            })
            .await
            .expect("read")
            .len(),
        1
    );
}

async fn verdicts_keep_the_latest<S: Store>(store: Arc<S>) {
    let anchor = AnchorId::new(at(1), [7; 10]);
    let verdict = |code: &str| VerdictRow {
        anchor,
        attestation: id(1),
        policy_version: "v1.0.0".to_owned(),
        verdict: "FAIL".to_owned(),
        code: code.to_owned(),
        at: at(1),
    };
    store
        .note_verdicts(vec![verdict("key.revoked")])
        .await
        .expect("noted");
    store
        .note_verdicts(vec![verdict("key.expired")])
        .await
        .expect("noted");
    assert_eq!(
        store.verdicts(anchor).await.expect("read"),
        vec![verdict("key.expired")]
    );
}

/// An event log as one writer sees it.
#[derive(Default)]
struct Log {
    events: Vec<Event>,
    state: TrustState,
}

impl Log {
    async fn with_key<S: Store>(store: &S, name: &str, seed: u8) -> Self {
        let mut log = Self::default();
        let entered = EventBody::KeyGenerated(KeyEntered {
            key_id: key(name),
            key_type: KeyType::Signing,
            public_key: public_key(seed),
            created_at: Some(at(0)),
            custody: Some(CustodyEntered {
                profile: "default".parse().expect("a name"),
                store: "software://".to_owned(),
                not_after: None,
                standby: false,
            }),
        });
        let sealed = SealedKeyRow {
            key_id: key(name),
            blob: b"sealed".to_vec(),
        };
        assert_eq!(
            log.append(store, entered, vec![sealed], Vec::new()).await,
            Appended::Done
        );
        log
    }

    fn event(&self, body: EventBody) -> Event {
        let sequence = self.state.head + 1;
        let seconds = i64::try_from(sequence).expect("small");
        let mut random = [0; 10];
        random[..8].copy_from_slice(&sequence.to_be_bytes());
        Event {
            sequence,
            id: EventId::new(at(seconds), random),
            recorded_at: at(seconds),
            actor: "local:me".to_owned(),
            body,
        }
    }

    async fn append<S: Store>(
        &mut self,
        store: &S,
        body: EventBody,
        sealed: Vec<SealedKeyRow>,
        tokens: Vec<TokenChange>,
    ) -> Appended {
        let event = self.event(body);
        let mut after = self.state.clone();
        after.apply(&event).expect("applies");
        let appended = store
            .append(
                self.state.head,
                vec![event.clone()],
                Arc::new(after.clone()),
                sealed,
                tokens,
            )
            .await
            .expect("answers");
        if appended == Appended::Done {
            self.state = after;
            self.events.push(event);
        }
        appended
    }

    async fn catch_up<S: Store>(&mut self, store: &S) {
        for event in store.events_after(self.state.head, 1000).await.expect("events") {
            self.state.apply(&event).expect("applies");
            self.events.push(event);
        }
    }
}

fn attestation(n: u8, outcome: Outcome) -> NewAttestation {
    let payload = format!(r#"{{"n":{n}}}"#).into_bytes();
    let payload_type = "application/x-test".to_owned();
    let digest = DigestSet::sha256(&Sha256::of(&[n]));
    let envelope = stella_core::dsse::Envelope {
        payload_type: payload_type.clone(),
        payload: payload.clone(),
        signatures: vec![stella_core::dsse::EnvelopeSignature {
            keyid: None,
            sig: vec![n],
        }],
    };
    let outcome = match outcome {
        Outcome::Signed(signed) => Outcome::Signed(Signed {
            envelope: envelope.to_json(),
            ..signed
        }),
        recorded @ Outcome::Recorded(_) => recorded,
    };
    NewAttestation {
        id: id(n),
        pae: envelope.pae_digest(),
        payload_type,
        payload,
        predicate_type: "https://test.stella/v1".to_owned(),
        subjects: vec![Subject {
            name: Some(format!("pkg:npm/a{n}")),
            digest,
        }],
        profile: Some("default".parse().expect("a name")),
        requested: Requested {
            identity: "local:me".to_owned(),
            token: None,
            authority: json!({"role": "admin"}),
        },
        created_at: at(i64::from(n)),
        supersedes: None,
        imported: false,
        outcome,
        idempotency: None,
    }
}

fn waiting(why: &str) -> Outcome {
    Outcome::Recorded(Attempt {
        state: AttestationState::Recorded,
        error: why.to_owned(),
        at: at(0),
        next_at: Some(at(60)),
    })
}

fn signed_by(name: &str, version: u64, n: u8) -> Outcome {
    Outcome::Signed(Signed {
        envelope: vec![n],
        recorded_at: at(i64::from(n)),
        by: Some(SignedHere {
            key_id: key(name),
            key_version: version,
            ledger: ledger_key(n),
            requested_by: "local:me".to_owned(),
        }),
    })
}

fn ledger_key(n: u8) -> LedgerKey {
    LedgerKey {
        pae: Sha256::of(&[n, 1]),
        spki: Sha256::of(&[n, 2]),
        signature: Sha256::of(&[n, 3]),
    }
}

fn id(n: u8) -> AttestationId {
    AttestationId::new(at(i64::from(n)), [n; 10])
}

fn key(name: &str) -> KeyId {
    name.parse().expect("a key id")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_735_689_600)
        .saturating_add(Duration::from_secs(u64::try_from(seconds).expect("not before")))
}

/// A multiple of the base point, so that it is a key and no two are equal.
fn public_key(seed: u8) -> PublicKey {
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed");
    let algorithm: Algorithm = "ed25519".parse().expect("an algorithm");
    PublicKey::from_raw(
        algorithm,
        aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref(),
    )
    .expect("a key")
}

/// Puts something into every table that is covered by a check.
pub async fn fill<S: Store>(store: &S) {
    let mut log = Log::with_key(store, "key-1", 1).await;
    log.append(
        store,
        EventBody::KeyActivated { key_id: key("key-1") },
        Vec::new(),
        Vec::new(),
    )
    .await;
    let new = attestation(1, signed_by("key-1", log.state.head, 1));
    assert_eq!(
        store.insert_attestation(new).await.expect("inserted"),
        Inserted::Done
    );
}

/// Appends until the store says no; answers how many it acknowledged.
pub async fn fill_until_refused<S: Store>(store: &S) -> u64 {
    let mut log = Log::default();
    loop {
        let event = log.event(EventBody::ConfigSet {
            key: "padding".to_owned(),
            value: "x".repeat(2000),
        });
        let mut after = log.state.clone();
        after.apply(&event).expect("applies");
        match store
            .append(
                log.state.head,
                vec![event],
                Arc::new(after.clone()),
                Vec::new(),
                Vec::new(),
            )
            .await
        {
            Ok(Appended::Done) => log.state = after,
            Err(crate::StoreError::Unavailable(_)) => return log.state.head,
            other => panic!("expected a clear refusal, not {other:?}"),
        }
    }
}

/// Appends `wanted` events beside whoever else does; answers how many it did.
pub async fn append_many<S: Store>(store: &S, name: &str, wanted: u64) -> u64 {
    let mut done = 0;
    while done < wanted {
        let mut log = Log::default();
        log.catch_up(store).await;
        let body = EventBody::ConfigSet {
            key: name.to_owned(),
            value: done.to_string(),
        };
        if log.append(store, body, Vec::new(), Vec::new()).await == Appended::Done {
            done += 1;
        }
    }
    done
}
