use std::sync::Arc;
use std::time::Duration;

use stella_core::digest::Sha256;
use stella_core::id::AttestationId;
use stella_core::time::Timestamp;
use stella_core::trust::EventBody;
use tokio::task::JoinSet;

use super::fixture::*;
use crate::{
    Attempts, AttestationFilter, AttestationRow, AttestationState, Claim, IdempotencyRow, Inserted,
    LedgerEntry, NewAttestation, Outcome, QueueFigures, RescanRow, SignatureStored, Signed, SignedPart,
    SigningSpan, Store, StoreError, VerdictRow,
};

/// What the store should answer for what was given to it.
fn row(new: &NewAttestation) -> AttestationRow {
    let (state, signed, attempts) = match new.outcome.clone() {
        Outcome::Signed(s) => (AttestationState::Signed, Some(part(s)), Attempts::default()),
        Outcome::Recorded(a) => {
            let attempts = Attempts {
                count: 1,
                last_error: Some(a.error),
                last_at: Some(a.at),
                next_at: a.next_at,
            };
            (a.state, None, attempts)
        }
        Outcome::Queued { next_at } => {
            let attempts = Attempts {
                next_at,
                ..Attempts::default()
            };
            (AttestationState::Recorded, None, attempts)
        }
    };
    AttestationRow {
        id: new.id,
        pae: new.pae,
        payload_type: new.payload_type.clone(),
        payload: new.payload.clone(),
        predicate_type: new.predicate_type.clone(),
        subjects: new.subjects.clone(),
        profile: new.profile.clone(),
        state,
        requested: new.requested.clone(),
        created_at: new.created_at,
        signed,
        attempts,
        supersedes: new.supersedes,
        imported: new.imported,
    }
}

fn part(signed: Signed) -> SignedPart {
    SignedPart {
        envelope: signed.envelope,
        key_id: signed.by.map(|by| by.key_id),
        recorded_at: signed.recorded_at,
    }
}

async fn insert(store: &Arc<dyn Store>, new: NewAttestation) {
    assert_eq!(
        store.insert_attestation(new.into()).await.unwrap(),
        Inserted::Done
    );
}

pub(super) async fn every_field_comes_back(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let mut held = attestation(3);
    held.outcome = Outcome::Recorded(attempt(AttestationState::Held, 3));
    held.requested.token = None;
    held.requested.authority = serde_json::Value::Null.into();
    held.supersedes = Some(attestation_id(1));
    held.profile = None;
    let mut queued = attestation(4);
    queued.outcome = Outcome::Queued { next_at: Some(at(4)) };
    for new in [attestation(1), fixture.signed_attestation(2), held, queued] {
        insert(&store, new.clone()).await;
        assert_eq!(store.attestation(new.id).await.unwrap(), Some(row(&new)));
    }
    assert_eq!(store.attestation(attestation_id(9)).await.unwrap(), None);
    // An id is given once; the first one stays as it was.
    let mut again = attestation(1);
    again.predicate_type = "other".into();
    assert!(matches!(
        store.insert_attestation(again.into()).await,
        Err(StoreError::Corrupt(_))
    ));
    assert_eq!(
        store.attestation(attestation_id(1)).await.unwrap(),
        Some(row(&attestation(1)))
    );
}

pub(super) async fn a_moved_key_signs_nothing(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    insert(&store, attestation(1)).await;
    let claim = fixture.claim(1).await;
    let (late, new) = (
        fixture.signed(&attestation(1), "key-1"),
        fixture.signed_attestation(2),
    );
    fixture.append(vec![activated("key-1")]).await;

    let moved = store.store_signature(claim, late).await.unwrap();
    assert_eq!(moved, SignatureStored::KeyMoved);
    assert_eq!(
        store.insert_attestation(new.into()).await.unwrap(),
        Inserted::KeyMoved
    );
    assert_eq!(store.attestation(attestation_id(2)).await.unwrap(), None);
    let stays = store.attestation(attestation_id(1)).await.unwrap();
    assert_eq!(stays, Some(row(&attestation(1))));

    // Chosen again, it signs; a key that was never entered does not.
    let signed = fixture.signed(&attestation(1), "key-1");
    let mut unknown = signed.clone();
    if let Some(by) = &mut unknown.by {
        by.key_id = key_id("nobody");
    }
    assert_eq!(
        store.store_signature(claim, unknown).await.unwrap(),
        SignatureStored::KeyMoved
    );
    assert_eq!(
        store.store_signature(claim, signed.clone()).await.unwrap(),
        SignatureStored::Done
    );
    let found = store.attestation(attestation_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.signed),
        (AttestationState::Signed, Some(part(signed)))
    );
}

/// Decided on what somebody remembered: only while that is still so.
pub(super) async fn what_was_decided_from_memory_is_decided_anew(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let remembered = Some(fixture.state.head);
    let signed = NewAttestation {
        expected_head: remembered,
        ..fixture.signed_attestation(1)
    };
    insert(&store, signed).await;
    fixture.append(vec![anchor_created(2, "pkg:pypi/*")]).await;
    let late = [fixture.signed_attestation(2), attestation(3)];
    for new in late {
        let new = NewAttestation {
            expected_head: remembered,
            ..new
        };
        assert_eq!(
            store.insert_attestation(new.clone().into()).await.unwrap(),
            Inserted::HeadMoved
        );
        assert_eq!(store.attestation(new.id).await.unwrap(), None);
        let again = NewAttestation {
            expected_head: Some(fixture.state.head),
            ..new
        };
        insert(&store, again).await;
    }
}

/// However many ask at once.
pub(super) async fn only_one_is_the_first_of_its_statement(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let one = fixture.signed_attestation(1);
    let pae = one.pae;
    let mut asking = JoinSet::new();
    for n in 1..=8 {
        let new = NewAttestation {
            id: attestation_id(n),
            first: true,
            ..one.clone()
        };
        let store = Arc::clone(&store);
        asking.spawn(async move { (new.id, store.insert_attestation(new.into()).await.unwrap()) });
    }
    let mut first = Vec::new();
    while let Some(asked) = asking.join_next().await {
        match asked.unwrap() {
            (id, Inserted::Done) => first.push(id),
            (id, Inserted::Known) => assert_eq!(store.attestation(id).await.unwrap(), None),
            (id, other) => panic!("{id}: {other:?}"),
        }
    }
    let stored = store.attestations_by_pae(&pae).await.unwrap();
    let stored: Vec<_> = stored.iter().map(|row| row.id).collect();
    assert_eq!((first.len(), stored), (1, first));
    // Who does not ask for that is stored beside it.
    let beside = NewAttestation {
        id: attestation_id(9),
        ..attestation(1)
    };
    insert(&store, beside).await;
}

/// Of many that share commits, each is told of its own case.
pub(super) async fn each_of_many_at_once_is_answered_for_itself(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let asked = |n: u64| IdempotencyRow {
        identity: "token:ci".into(),
        key: format!("build-{n}"),
        request: Sha256::of(&n.to_be_bytes()),
        attestations: vec![attestation_id(n)],
        at: at(n),
    };
    for n in 1..=10 {
        let earlier = NewAttestation {
            idempotency: Some(asked(n)),
            ..fixture.signed_attestation(n)
        };
        insert(&store, earlier).await;
    }
    let stale: Vec<_> = (100..180).map(|n| fixture.signed_attestation(n)).collect();
    fixture.append(vec![activated("key-1")]).await;
    let head = fixture.state.head;

    let mut asking = JoinSet::new();
    for n in 100..180_u64 {
        let fresh = NewAttestation {
            idempotency: Some(asked(n)),
            first: true,
            expected_head: Some(head),
            ..fixture.signed_attestation(n)
        };
        // Each but once: what two ask for at once is another test's.
        let earlier = (n - 100) / 8 + 1;
        let stale = stale[usize::try_from(n - 100).unwrap()].clone();
        let (new, expected) = match n % 8 {
            0 => {
                let repeated = NewAttestation {
                    idempotency: Some(asked(earlier)),
                    ..fresh
                };
                (repeated, Inserted::Repeated(asked(earlier)))
            }
            1 => {
                let known = NewAttestation {
                    pae: attestation(earlier).pae,
                    ..fresh
                };
                (known, Inserted::Known)
            }
            2 => {
                let decided_before = NewAttestation {
                    expected_head: Some(head - 1),
                    ..fresh
                };
                (decided_before, Inserted::HeadMoved)
            }
            3 => {
                let moved = NewAttestation {
                    outcome: stale.outcome,
                    ..fresh
                };
                (moved, Inserted::KeyMoved)
            }
            // Not signed yet.
            4 => {
                let queued = NewAttestation {
                    outcome: attestation(n).outcome,
                    ..fresh
                };
                (queued, Inserted::Done)
            }
            _ => (fresh, Inserted::Done),
        };
        let store = Arc::clone(&store);
        asking.spawn(async move {
            (
                new.id,
                expected,
                store.insert_attestation(new.into()).await.unwrap(),
            )
        });
    }
    while let Some(asked) = asking.join_next().await {
        let (id, expected, answered) = asked.unwrap();
        let stored = store.attestation(id).await.unwrap();
        assert_eq!(stored.is_some(), expected == Inserted::Done, "{id}");
        assert_eq!(answered, expected, "{id}");
    }
    let report = store.verify().await.unwrap();
    assert_eq!((report.attestations, report.ledger_entries), (10 + 40, 10 + 30));
}

/// A signature and the events that go with it: both, or neither.
pub(super) async fn events_go_with_their_signature(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let superseded = |new: &NewAttestation| EventBody::AttestationSuperseded {
        pae: new.pae,
        successor: new.id,
    };
    let with_events = |fixture: &Fixture, new: &NewAttestation| Signed {
        events: Some(fixture.on_top(vec![superseded(new)])),
        ..fixture.signed(new, "key-1")
    };
    insert(&store, attestation(1)).await;
    let claim = fixture.claim(1).await;
    let mut new = attestation(2);
    let late = with_events(&fixture, &attestation(1));
    new.outcome = Outcome::Signed(with_events(&fixture, &new));
    fixture.append(vec![anchor_created(2, "pkg:pypi/*")]).await;

    let head = fixture.state.head;
    assert_eq!(
        store.insert_attestation(new.clone().into()).await.unwrap(),
        Inserted::HeadMoved
    );
    assert_eq!(
        store.store_signature(claim, late).await.unwrap(),
        SignatureStored::HeadMoved
    );
    assert_eq!(store.attestation(new.id).await.unwrap(), None);
    let stays = store.attestation(attestation_id(1)).await.unwrap();
    assert_eq!(stays, Some(row(&attestation(1))));
    assert!(store.events_after(head, 10).await.unwrap().is_empty());

    // Decided again on the new head, and the other one on what that left.
    new.outcome = Outcome::Signed(with_events(&fixture, &new));
    insert(&store, new.clone()).await;
    fixture.apply(vec![superseded(&new)]);
    let signed = with_events(&fixture, &attestation(1));
    assert_eq!(
        store.store_signature(claim, signed).await.unwrap(),
        SignatureStored::Done
    );
    let bodies: Vec<_> = store.events_after(head, 10).await.unwrap();
    let bodies: Vec<_> = bodies.into_iter().map(|e| e.body).collect();
    assert_eq!(bodies, [superseded(&new), superseded(&attestation(1))]);
    let report = store.verify().await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.ledger_entries, 2);
}

/// Sixteen race to sign one record, while others are inserted.
pub(super) async fn one_of_many_signatures_is_stored(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let record = attestation(1);
    insert(&store, record.clone()).await;
    let claim = fixture.claim(1).await;
    let tasks: Vec<_> = (0..16_u64)
        .map(|n| {
            let (store, new) = (Arc::clone(&store), fixture.signed_attestation(100 + n));
            let signed = fixture.signed(&record, "key-1");
            tokio::spawn(async move {
                insert(&store, new).await;
                store.store_signature(claim, signed).await.unwrap()
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            SignatureStored::Done => done += 1,
            other => assert_eq!(other, SignatureStored::AlreadySigned),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(store.verify().await.unwrap().ledger_entries, 17);
    let signed = fixture.signed(&record, "key-1");
    let nobody = Claim {
        attestation: attestation_id(9),
        ..claim
    };
    let nobody = store.store_signature(nobody, signed).await.unwrap();
    assert_eq!(nobody, SignatureStored::NotFound);
}

pub(super) async fn an_equal_signature_enters_the_ledger_once(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let first = fixture.signed_attestation(1);
    let mut second = first.clone();
    second.id = attestation_id(2);
    let Outcome::Signed(Signed { by: Some(by), .. }) = &first.outcome else {
        panic!("it was signed here")
    };
    let key = by.ledger;
    insert(&store, first.clone()).await;
    insert(&store, second).await;
    let mut other = key;
    other.signature = Sha256::of(b"forged");
    let entry = LedgerEntry {
        signed_at: at(500),
        attestation: first.id,
        requested_by: "token:ci".into(),
    };
    assert_eq!(store.ledger(&[other, key]).await.unwrap(), [None, Some(entry)]);
    assert_eq!(store.attestations_by_pae(&first.pae).await.unwrap().len(), 2);
}

pub(super) async fn an_import_enters_no_ledger(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let mut import = attestation(1);
    let mut signed = fixture.signed(&import, "key-1");
    signed.by = None;
    import.outcome = Outcome::Signed(signed);
    import.imported = true;
    insert(&store, import.clone()).await;
    assert_eq!(store.attestation(import.id).await.unwrap(), Some(row(&import)));
    assert_eq!(store.verify().await.unwrap().ledger_entries, 0);
}

pub(super) async fn a_repeated_request_is_answered_from_memory(store: Arc<dyn Store>) {
    let asked = |n: u64, identity: &str| IdempotencyRow {
        identity: identity.into(),
        key: "build-7".into(),
        request: Sha256::of(&n.to_be_bytes()),
        attestations: vec![attestation_id(n)],
        at: at(n),
    };
    let with = |n: u64, identity: &str| NewAttestation {
        idempotency: Some(asked(n, identity)),
        ..attestation(n)
    };
    assert_eq!(store.idempotent("token:ci", "build-7").await.unwrap(), None);
    insert(&store, with(1, "token:ci")).await;
    let repeated = store
        .insert_attestation(with(2, "token:ci").into())
        .await
        .unwrap();
    assert_eq!(repeated, Inserted::Repeated(asked(1, "token:ci")));
    assert_eq!(store.attestation(attestation_id(2)).await.unwrap(), None);
    // The key is the identity's own.
    insert(&store, with(3, "token:other")).await;
    let found = store.idempotent("token:ci", "build-7").await.unwrap();
    assert_eq!(found, Some(asked(1, "token:ci")));

    // Of many at once, one is stored.
    let tasks: Vec<_> = (10..26)
        .map(|n| {
            tokio::spawn({
                let (store, new) = (Arc::clone(&store), with(n, "token:race"));
                async move { store.insert_attestation(new.into()).await.unwrap() == Inserted::Done }
            })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(task.await.unwrap());
    }
    assert_eq!(stored, 1);
}

pub(super) async fn lists_are_filtered_and_paged(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    for n in 1..=6 {
        let mut new = match n {
            5 => attestation_of("https://example.com/other", n),
            n if n % 2 == 0 => fixture.signed_attestation(n),
            n => attestation(n),
        };
        new.requested.identity = if n < 4 { "token:a" } else { "token:b" }.into();
        insert(&store, new).await;
    }
    let ask = async |set: fn(&mut AttestationFilter)| -> Vec<AttestationId> {
        let mut filter = AttestationFilter {
            limit: 100,
            ..AttestationFilter::default()
        };
        set(&mut filter);
        let rows = store.list_attestations(filter).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    };
    let ids = |numbers: &[u64]| -> Vec<_> { numbers.iter().map(|n| attestation_id(*n)).collect() };
    assert_eq!(ask(|_| ()).await, ids(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(ask(|f| f.limit = 2).await, ids(&[6, 5]));
    assert_eq!(
        ask(|f| (f.limit, f.before) = (2, Some(attestation_id(5)))).await,
        ids(&[4, 3])
    );
    assert_eq!(
        ask(|f| f.state = Some(AttestationState::Signed)).await,
        ids(&[6, 4, 2])
    );
    assert_eq!(
        ask(|f| f.predicate_type = Some(PREDICATE.into())).await,
        ids(&[6, 4, 3, 2, 1])
    );
    assert_eq!(ask(|f| f.subject = Some("pkg:npm/app@3".into())).await, ids(&[3]));
    assert_eq!(ask(|f| f.subject = Some("pkg:npm/app".into())).await, ids(&[]));
    assert_eq!(ask(|f| f.key_id = Some(key_id("key-1"))).await, ids(&[6, 4, 2]));
    assert_eq!(
        ask(|f| f.identity = Some("token:a".into())).await,
        ids(&[3, 2, 1])
    );
    assert_eq!(ask(|f| f.since = Some(at(5))).await, ids(&[6, 5]));
    assert_eq!(ask(|f| f.attempted_since = Some(at(3))).await, ids(&[5, 3]));
    let row = store.attestation(attestation_id(4)).await.unwrap().unwrap();
    let signed_at = row.signed.unwrap().recorded_at;
    let later = signed_at.saturating_add(Duration::from_millis(1));
    let signed_in = async |spans: &[(&str, Option<Timestamp>)]| -> Vec<AttestationId> {
        let spans = spans.iter().map(|(key, until)| SigningSpan {
            key_id: key_id(key),
            until: *until,
        });
        let filter = AttestationFilter {
            signed_in: Some(spans.collect()),
            limit: 100,
            ..AttestationFilter::default()
        };
        let rows = store.list_attestations(filter).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(signed_in(&[("key-1", None)]).await, ids(&[6, 4, 2]));
    assert_eq!(
        signed_in(&[("key-0", None), ("key-1", Some(later))]).await,
        ids(&[6, 4, 2])
    );
    let none = signed_in(&[("key-0", None), ("key-1", Some(signed_at))]).await;
    assert_eq!(none, ids(&[]), "the end of a span is not part of it");
    assert_eq!(signed_in(&[]).await, ids(&[]));
    let last = store.last_attestation_by("token:a").await.unwrap();
    assert_eq!(last.map(|row| row.id), Some(attestation_id(3)));
    assert_eq!(store.last_attestation_by("token").await.unwrap(), None);
}

pub(super) async fn lookups(store: Arc<dyn Store>) {
    for n in 1..=3 {
        insert(&store, attestation(n)).await;
    }
    let id = attestation_id(2).to_string();
    let by_prefix = async |prefix: &str, limit| store.attestations_by_prefix(prefix, limit).await.unwrap();
    assert_eq!(by_prefix(&id, 9).await, [attestation_id(2)]);
    assert_eq!(by_prefix(&id[..30].to_uppercase(), 9).await, [attestation_id(2)]);
    assert_eq!(by_prefix(&id[..4], 9).await.len(), 3);
    assert_eq!(by_prefix(&id[..4], 2).await.len(), 2);
    assert_eq!(by_prefix("%", 9).await, []);
    assert_eq!(by_prefix("ffff", 9).await, []);

    let hex = Sha256::of(&2_u64.to_be_bytes()).to_hex();
    let by_digest = async |algorithm: &str, hex: &str, limit| -> Vec<AttestationId> {
        let rows = store.attestations_by_digest(algorithm, hex, limit).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(by_digest("sha256", &hex, 9).await, [attestation_id(2)]);
    assert_eq!(
        by_digest("sha256", &hex.to_uppercase(), 9).await,
        [attestation_id(2)]
    );
    assert_eq!(by_digest("sha512", &hex, 9).await, []);
    assert_eq!(
        by_digest("gitCommit", "ABCDEF", 2).await,
        [attestation_id(1), attestation_id(2)]
    );
    let mut foreign = attestation(0);
    foreign.imported = true;
    insert(&store, foreign).await;
    for (limit, expected) in [(3, vec![1, 2, 3]), (9, vec![1, 2, 3, 0])] {
        let expected: Vec<_> = expected.into_iter().map(attestation_id).collect();
        assert_eq!(by_digest("gitCommit", "ABCDEF", limit).await, expected);
    }
    let pae = attestation(3).pae;
    assert_eq!(
        store.attestations_by_pae(&pae).await.unwrap(),
        [row(&attestation(3))]
    );
}

pub(super) async fn queue_figures(store: Arc<dyn Store>) {
    assert_eq!(store.queue().await.unwrap(), QueueFigures::default());
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    for (n, state) in [
        (1, AttestationState::Failed),
        (2, AttestationState::Held),
        (3, AttestationState::Recorded),
        (4, AttestationState::Recorded),
    ] {
        let mut new = attestation(n);
        new.outcome = Outcome::Recorded(attempt(state, n));
        insert(&store, new).await;
    }
    insert(&store, fixture.signed_attestation(5)).await;
    let figures = QueueFigures {
        recorded: 2,
        signed: 1,
        failed: 1,
        held: 1,
        // Of those that the queue will sign; the others wait for people.
        oldest_unsigned: Some(at(3)),
    };
    assert_eq!(store.queue().await.unwrap(), figures);
}

pub(super) async fn the_latest_verdict_stays(store: Arc<dyn Store>) {
    let verdict = |anchor: u64, n: u64, seconds: u64, verdict: &str| VerdictRow {
        anchor: anchor_id(anchor),
        attestation: attestation_id(n),
        policy_version: "v1.0.1".into(),
        verdict: verdict.into(),
        code: "ok".into(),
        at: at(seconds),
    };
    let first = vec![
        verdict(1, 1, 10, "PASS"),
        verdict(1, 2, 10, "PASS"),
        verdict(2, 1, 10, "FAIL"),
    ];
    store.note_verdicts(first).await.unwrap();
    let later = vec![verdict(1, 1, 20, "FAIL"), verdict(1, 2, 5, "INDETERMINATE")];
    store.note_verdicts(later).await.unwrap();
    let stale = async |anchor, version: &str, after, limit| {
        let after: Option<u64> = after;
        let after = after.map(attestation_id);
        store
            .stale_verdicts(anchor_id(anchor), version, after, limit)
            .await
            .unwrap()
    };
    let (one, two) = (verdict(1, 1, 20, "FAIL"), verdict(1, 2, 10, "PASS"));
    assert_eq!(stale(1, "v1.0.2", None, 9).await, [one.clone(), two.clone()]);
    assert_eq!(stale(1, "v1.0.2", None, 1).await, [one]);
    assert_eq!(stale(1, "v1.0.2", Some(1), 9).await, [two]);
    assert_eq!(stale(1, "v1.0.2", Some(2), 9).await, []);
    assert_eq!(stale(1, "v1.0.1", None, 9).await, [], "they are of this policy");
    assert_eq!(stale(2, "v1.0.2", None, 9).await.len(), 1);
    assert_eq!(stale(3, "v1.0.2", None, 9).await, []);

    let counts = async |anchor, version: &str| {
        let counts = store.verdict_counts(anchor_id(anchor), version).await.unwrap();
        let of = |verdict: &str| counts.current.get(verdict).copied().unwrap_or_default();
        (of("PASS"), of("FAIL"), counts.stale)
    };
    assert_eq!(counts(1, "v1.0.1").await, (1, 1, 0));
    assert_eq!(counts(1, "v1.0.2").await, (0, 0, 2));
    assert_eq!(counts(3, "v1.0.1").await, (0, 0, 0));
}

pub(super) async fn a_rescan_goes_on_where_it_was_noted(store: Arc<dyn Store>) {
    assert_eq!(store.rescans().await.unwrap(), []);
    let row = RescanRow {
        key_id: key_id("a"),
        event: 7,
        imports: false,
        before: Some(attestation_id(9)),
        judged: 50,
        flipped: 3,
        began_at: at(10),
        ended_at: None,
    };
    let found = VerdictRow {
        anchor: anchor_id(1),
        attestation: attestation_id(9),
        policy_version: "v1.0.1".into(),
        verdict: "FAIL".into(),
        code: "key.revoked".into(),
        at: at(11),
    };
    store.note_rescan(row.clone(), vec![found]).await.unwrap();
    assert_eq!(store.rescans().await.unwrap(), std::slice::from_ref(&row));
    let counts = store.verdict_counts(anchor_id(1), "v1.0.1").await.unwrap();
    assert_eq!(counts.current.get("FAIL"), Some(&1));
    let ended = RescanRow {
        imports: true,
        before: None,
        judged: 60,
        ended_at: Some(at(12)),
        ..row.clone()
    };
    store.note_rescan(ended.clone(), vec![]).await.unwrap();
    // One that somebody else began for a later change is not undone.
    let later = RescanRow {
        event: 8,
        ..row.clone()
    };
    store.note_rescan(later.clone(), vec![]).await.unwrap();
    store.note_rescan(ended, vec![]).await.unwrap();
    assert_eq!(store.rescans().await.unwrap(), [later]);
}
