use std::collections::BTreeSet;
use std::sync::Arc;

use super::fixture::*;
use crate::{
    AttemptNoted, AttestationState, Claim, Claiming, Inserted, NewAttestation, Outcome, SignatureStored,
    SignedLater, Store, Waiting, WaitingFilter,
};

const UNSIGNED: [AttestationState; 3] = [
    AttestationState::Recorded,
    AttestationState::Failed,
    AttestationState::Held,
];

/// All of these, for half a minute from `now` on.
fn claiming(replica: &str, numbers: &[u64], now: u64) -> Claiming {
    Claiming {
        attestations: numbers.iter().map(|n| attestation_id(*n)).collect(),
        states: UNSIGNED.to_vec(),
        due_by: None,
        replica: replica.into(),
        now: at(now),
        until: at(now + 30),
    }
}

fn everything(now: u64) -> WaitingFilter {
    WaitingFilter {
        states: UNSIGNED.to_vec(),
        due_by: None,
        after: None,
        now: at(now),
        limit: 100,
    }
}

async fn claimed(store: &Arc<dyn Store>, claiming: Claiming) -> Vec<Claim> {
    let claimed = store.claim(claiming).await.unwrap();
    for held in &claimed {
        let row = store.attestation(held.row.id).await.unwrap();
        assert_eq!(Some(&held.row), row.as_ref());
        assert_eq!(held.row.id, held.claim.attestation);
    }
    claimed.into_iter().map(|held| held.claim).collect()
}

async fn numbers(store: &Arc<dyn Store>, filter: WaitingFilter, of: u64) -> Vec<u64> {
    let found = store.waiting(filter).await.unwrap();
    let number = |w: &Waiting| (1..=of).find(|n| attestation_id(*n) == w.id).unwrap();
    found.iter().map(number).collect()
}

async fn insert(store: &Arc<dyn Store>, new: NewAttestation) {
    assert_eq!(
        store.insert_attestation(new.into()).await.unwrap(),
        Inserted::Done
    );
}

impl Fixture {
    /// Somebody's, for longer than any case takes.
    pub(super) async fn claim(&self, n: u64) -> Claim {
        let claiming = Claiming {
            until: at(100_000),
            ..claiming("one", &[n], 0)
        };
        claimed(&self.store, claiming).await.remove(0)
    }
}

pub(super) async fn attempts_are_counted_until_signed(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let record = attestation(1);
    insert(&store, record.clone()).await;
    let claim = fixture.claim(1).await;
    let failed = attempt(AttestationState::Failed, 60);
    assert_eq!(
        store.note_attempt(claim, failed).await.unwrap(),
        AttemptNoted::Done
    );
    let found = store.attestation(record.id).await.unwrap().unwrap();
    assert_eq!(found.state, AttestationState::Failed);
    assert_eq!((found.attempts.count, found.attempts.last_at), (2, Some(at(60))));
    assert_eq!(found.attempts.next_at, None);

    let claim = fixture.claim(1).await;
    let nonsense = attempt(AttestationState::Signed, 90);
    assert!(store.note_attempt(claim, nonsense).await.is_err());
    let signed = fixture.signed(&record, "key-1");
    store.store_signature(claim, signed).await.unwrap();
    let signed = store.attestation(record.id).await.unwrap();
    let late = attempt(AttestationState::Failed, 90);
    assert_eq!(
        store.note_attempt(claim, late).await.unwrap(),
        AttemptNoted::ClaimLost
    );
    assert_eq!(store.attestation(record.id).await.unwrap(), signed);
    assert_eq!(claimed(&store, claiming("one", &[1], 0)).await, []);
}

pub(super) async fn the_newest_signatures_tell_how_late_they_came(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    assert_eq!(store.newest_signatures(10).await.unwrap(), []);
    insert(&store, attestation(1)).await;
    for n in 2..=3 {
        insert(&store, fixture.signed_attestation(n)).await;
    }
    let signed = fixture.signed(&attestation(1), "key-1");
    let done = store.store_signature(fixture.claim(1).await, signed).await;
    assert_eq!(done.unwrap(), SignatureStored::Done);
    let made = |n| SignedLater {
        created_at: at(n),
        signed_at: at(500),
    };
    assert_eq!(store.newest_signatures(2).await.unwrap(), [made(1), made(3)]);
}

/// Sixteen want all of them at once, and each gets what the others do not.
pub(super) async fn of_many_who_want_a_record_one_claims_it(store: Arc<dyn Store>) {
    let all: Vec<u64> = (1..=40).collect();
    for n in &all {
        insert(&store, attestation(*n)).await;
    }
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (store, all) = (Arc::clone(&store), all.clone());
            let name = format!("replica-{n}");
            tokio::spawn(async move { store.claim(claiming(&name, &all, 0)).await.unwrap() })
        })
        .collect();
    let (mut records, mut fences) = (BTreeSet::new(), BTreeSet::new());
    for task in tasks {
        for held in task.await.unwrap() {
            assert!(records.insert(held.row.id), "{} is claimed twice", held.row.id);
            assert!(fences.insert(held.claim.fence), "a fence is given twice");
        }
    }
    assert_eq!(numbers(&store, everything(0), 40).await.len(), 40 - records.len());
    // What two stood in each other's way for is had at the second try.
    claimed(&store, claiming("late", &all, 0)).await;
    assert_eq!(numbers(&store, everything(0), 40).await, [0_u64; 0]);
    assert_eq!(store.claim(claiming("later", &all, 29)).await.unwrap(), []);
}

/// A replica that slept over the end of its claim wakes up.
pub(super) async fn a_claim_that_was_taken_over_finishes_nothing(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    for n in 1..=3 {
        insert(&store, attestation(n)).await;
    }
    let signed = |n| fixture.signed(&attestation(n), "key-1");
    let slept = claimed(&store, claiming("one", &[1, 2, 3], 0)).await;
    assert_eq!(store.claim(claiming("two", &[1, 2], 29)).await.unwrap(), []);
    let taken = claimed(&store, claiming("two", &[1, 2], 30)).await;
    assert_eq!(taken.len(), 2);

    let before = store.attestation(attestation_id(1)).await.unwrap();
    let late = store.store_signature(slept[0], signed(1)).await.unwrap();
    assert_eq!(late, SignatureStored::ClaimLost);
    let failed = attempt(AttestationState::Failed, 60);
    assert_eq!(
        store.note_attempt(slept[0], failed.clone()).await.unwrap(),
        AttemptNoted::ClaimLost
    );
    assert_eq!(store.attestation(attestation_id(1)).await.unwrap(), before);
    assert_eq!(store.verify().await.unwrap().ledger_entries, 0);
    // Nor can it give away what is not its own any more.
    store.release(slept[..2].to_vec()).await.unwrap();
    assert_eq!(numbers(&store, everything(31), 3).await, [3]);

    let done = store.store_signature(taken[0], signed(1)).await.unwrap();
    assert_eq!(done, SignatureStored::Done);
    let late = store.store_signature(slept[0], signed(1)).await.unwrap();
    assert_eq!(late, SignatureStored::AlreadySigned);
    // What nobody took is finished, however late; a claim is good once.
    let done = store.store_signature(slept[2], signed(3)).await.unwrap();
    assert_eq!(done, SignatureStored::Done);
    assert_eq!(
        store.note_attempt(taken[1], failed.clone()).await.unwrap(),
        AttemptNoted::Done
    );
    assert_eq!(
        store.note_attempt(taken[1], failed).await.unwrap(),
        AttemptNoted::ClaimLost
    );
    assert_eq!(store.verify().await.unwrap().ledger_entries, 2);
}

pub(super) async fn the_oldest_comes_first_of_what_is_asked_for(store: Arc<dyn Store>) {
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let with = |n, outcome| NewAttestation {
        outcome,
        ..attestation(n)
    };
    // Its next attempt is half a minute after the first.
    insert(&store, attestation(2)).await;
    insert(&store, with(1, Outcome::Queued { next_at: None })).await;
    let failed = Outcome::Recorded(attempt(AttestationState::Failed, 3));
    insert(&store, with(3, failed)).await;
    insert(&store, with(4, Outcome::Queued { next_at: Some(at(4)) })).await;
    insert(&store, fixture.signed_attestation(5)).await;

    let ask = async |filter| numbers(&store, filter, 5).await;
    assert_eq!(ask(everything(0)).await, [1, 2, 3, 4]);
    let recorded = WaitingFilter {
        states: vec![AttestationState::Recorded],
        ..everything(10)
    };
    assert_eq!(ask(recorded.clone()).await, [1, 2, 4]);
    let due = WaitingFilter {
        due_by: Some(at(10)),
        ..recorded.clone()
    };
    assert_eq!(ask(due.clone()).await, [1, 4]);
    let after = WaitingFilter {
        after: Some(attestation_id(1)),
        limit: 1,
        ..recorded
    };
    assert_eq!(ask(after).await, [2]);
    let found = store.waiting(everything(0)).await.unwrap().remove(2);
    let expected = Waiting {
        id: attestation_id(3),
        pae: attestation(3).pae,
        profile: attestation(3).profile,
        created_at: at(3),
        last_attempt_at: Some(at(3)),
    };
    assert_eq!(found, expected);

    // Claimed only while it still is as it was found.
    let wanted = Claiming {
        states: vec![AttestationState::Recorded],
        due_by: Some(at(10)),
        ..claiming("one", &[4, 3, 2, 1, 5], 10)
    };
    let held = claimed(&store, wanted).await;
    let ids: BTreeSet<_> = held.iter().map(|claim| claim.attestation).collect();
    assert_eq!(ids, BTreeSet::from([attestation_id(1), attestation_id(4)]));
    assert_eq!(ask(due.clone()).await, [0_u64; 0]);
    store.release(held).await.unwrap();
    assert_eq!(ask(due).await, [1, 4]);
}
