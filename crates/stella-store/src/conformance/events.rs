use std::sync::Arc;

use stella_core::id::KeyId;
use stella_core::trust::event::Event;
use stella_core::trust::{EventBody, RevokeReason, TrustState};

use super::fixture::*;
use crate::{Append, Appended, AuditFilter, SealedKeyRow, Store, StoreError};

pub(super) async fn appends_only_at_the_head(store: Arc<dyn Store>) {
    assert_eq!(store.events_after(0, 10).await.unwrap(), []);
    let mut fixture = Fixture::new(Arc::clone(&store));
    fixture.append(vec![entered("key-1"), activated("key-1")]).await;

    let late = events(0, vec![entered("key-2")]);
    let state = Arc::new(TrustState::fold(&late).unwrap());
    let moved = store
        .append(Append::new(0, late, state), vec![], vec![])
        .await
        .unwrap();
    assert_eq!(moved, Appended::HeadMoved { head: 2 });

    let ahead = events(7, vec![setting(1)]);
    let state = Arc::new(fixture.state.clone());
    let moved = store
        .append(Append::new(7, ahead, state), vec![], vec![])
        .await
        .unwrap();
    assert_eq!(moved, Appended::HeadMoved { head: 2 });

    let all = store.events_after(0, 10).await.unwrap();
    assert_eq!(TrustState::fold(&all).unwrap(), fixture.state);
    assert_eq!(store.events_after(0, 1).await.unwrap(), all[..1]);
    assert_eq!(store.events_after(1, 10).await.unwrap(), all[1..]);
    assert_eq!(store.events_after(2, 10).await.unwrap(), []);
}

/// Each of 64 tasks keeps trying until its event is in.
pub(super) async fn concurrent_appends_lose_nothing(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    let log = store.events_after(0, usize::MAX).await.unwrap();
                    let mut state = TrustState::fold(&log).unwrap();
                    let head = state.head;
                    let new = events(head, vec![entered(&format!("key-{n}"))]);
                    state.apply(&new[0]).unwrap();
                    let done = store
                        .append(Append::new(head, new, Arc::new(state)), vec![], vec![])
                        .await
                        .unwrap();
                    match done {
                        Appended::Done => return,
                        Appended::HeadMoved { head: now } => assert!(now > head),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let log = store.events_after(0, usize::MAX).await.unwrap();
    let state = TrustState::fold(&log).unwrap();
    assert_eq!((log.len(), state.keys.size()), (64, 64));
}

pub(super) async fn the_chain_is_told_as_each_event_left_it(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let signed = fixture.signed_attestation(1);
    store.insert_attestation(signed.into()).await.unwrap();
    fixture.append(vec![setting(1)]).await;
    let last = fixture.state.head;

    let head = async |event| store.chain_head(event).await.unwrap();
    let (first, now) = (head(1).await.unwrap(), head(last).await.unwrap());
    assert_eq!((first.events, first.entries), (2, 0), "two events, one commit");
    assert_eq!(head(2).await, Some(first));
    assert_eq!((now.events, now.entries), (last, 1));
    assert_eq!(now.hash.to_hex(), store.verify().await.unwrap().chain_head);
    assert_ne!(now.hash, first.hash);
    assert_eq!(head(last + 1).await, None);
    assert_eq!(head(0).await, None);
}

pub(super) async fn a_failed_append_leaves_nothing(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let head = fixture.state.head;
    let state = Arc::new(fixture.state.clone());

    // A gap after the first, which by itself would have been fine.
    let mut gap = events(head, vec![setting(1), setting(2)]);
    gap[1].sequence += 1;
    let refused = store
        .append(Append::new(head, gap, Arc::clone(&state)), vec![], vec![])
        .await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    // An event id that is there already.
    let mut twice = events(head, vec![setting(1)]);
    twice[0].id = store.events_after(0, 1).await.unwrap()[0].id;
    let refused = store
        .append(Append::new(head, twice, state), vec![], vec![])
        .await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    assert_eq!(
        store.events_after(0, 100).await.unwrap().len(),
        fixture.state.head as usize
    );
    fixture.append(vec![setting(3)]).await;
}

pub(super) async fn sealed_keys_come_back(store: Arc<dyn Store>) {
    assert!(!store.has_sealed_keys().await.unwrap());
    let events = events(0, vec![entered("key-1")]);
    let state = Arc::new(TrustState::fold(&events).unwrap());
    let sealed = SealedKeyRow {
        key_id: key_id("key-1"),
        blob: vec![0, 1, 255],
    };
    store
        .append(Append::new(0, events, state), vec![sealed.clone()], vec![])
        .await
        .unwrap();
    assert!(store.has_sealed_keys().await.unwrap());
    assert_eq!(store.sealed_key(&sealed.key_id).await.unwrap(), Some(sealed.blob));
    assert_eq!(store.sealed_key(&key_id("other")).await.unwrap(), None);
}

pub(super) async fn the_first_who_names_the_sealing_key_decides(store: Arc<dyn Store>) {
    assert_eq!(store.sealing_key().await.unwrap(), None);
    assert_eq!(store.claim_sealing_key("one").await.unwrap(), "one");
    assert_eq!(store.claim_sealing_key("other").await.unwrap(), "one");
    assert_eq!(store.sealing_key().await.unwrap().as_deref(), Some("one"));
}

pub(super) async fn audit_filters(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    fixture.append(vec![setting(1), revoked("key-1")]).await;
    let log = store.events_after(0, 100).await.unwrap();

    let ask = async |filter: AuditFilter| -> Vec<u64> {
        let filter = AuditFilter {
            limit: if filter.limit == 0 { 100 } else { filter.limit },
            ..filter
        };
        let rows = store.audit(filter).await.unwrap();
        for row in &rows {
            let event: &Event = &log[row.sequence as usize - 1];
            assert_eq!((row.event_id, &row.actor), (event.id, &event.actor));
            assert_eq!(row.event_type, event.body.event_type());
            assert_eq!(row.key_id.as_ref(), event.body.key_id());
            assert_eq!(row.anchor_id, event.body.anchor_id());
            assert_eq!(
                (row.timestamp, &row.details),
                (event.recorded_at, &event.body.details())
            );
        }
        rows.iter().map(|row| row.sequence).collect()
    };
    let by_type = |t: &str| AuditFilter {
        event_type: Some(t.into()),
        ..AuditFilter::default()
    };
    let by_key = |id: KeyId| AuditFilter {
        key_id: Some(id),
        ..AuditFilter::default()
    };
    assert_eq!(ask(AuditFilter::default()).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(ask(by_type("KEY_*")).await, [6, 4, 2, 1]);
    assert_eq!(ask(by_type("KEY_ADDED")).await, [4]);
    assert_eq!(ask(by_type("*ED")).await, [6, 4, 3, 2, 1]);
    // Neither SQL's wildcards nor another case are what was asked for.
    assert_eq!(ask(by_type("KEY%")).await, Vec::<u64>::new());
    assert_eq!(ask(by_type("KEY?ADDED")).await, Vec::<u64>::new());
    assert_eq!(ask(by_type("KEY_ADDE_")).await, Vec::<u64>::new());
    assert_eq!(ask(by_type("key_*")).await, Vec::<u64>::new());
    assert_eq!(ask(by_key(key_id("key-1"))).await, [6, 4, 2, 1]);
    assert_eq!(ask(by_key(key_id("key"))).await, Vec::<u64>::new());
    let of = |filter: fn(&mut AuditFilter)| {
        let mut out = AuditFilter::default();
        filter(&mut out);
        out
    };
    assert_eq!(ask(of(|f| f.anchor_id = Some(anchor_id(1)))).await, [4, 3]);
    assert_eq!(ask(of(|f| f.actor = Some("token:odd".into()))).await, [5, 3, 1]);
    assert_eq!(ask(of(|f| f.from = Some(at(3)))).await, [6, 5, 4, 3]);
    assert_eq!(ask(of(|f| f.to = Some(at(3)))).await, [2, 1]);
    assert_eq!(ask(of(|f| (f.before, f.limit) = (Some(5), 2))).await, [4, 3]);
}

pub(super) async fn projections_are_rebuilt(store: Arc<dyn Store>) {
    let mut fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    fixture
        .append(vec![
            entered("key-2"),
            EventBody::KeyRetiring {
                key_id: key_id("key-1"),
                until: at(900),
                successor: key_id("key-2"),
            },
            anchor_created(2, "pkg:maven/*"),
            key_added(2, "key-1"),
            key_added(2, "key-2"),
            revoked("key-1"),
            EventBody::KeyRevoked {
                anchor_id: Some(anchor_id(2)),
                key_id: key_id("key-1"),
                reason: RevokeReason::Compromise,
                effective_at: at(5),
                compromised_since: Some(at(4)),
                note: Some("a \"note\"".into()),
            },
        ])
        .await;
    assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
    store.rebuild_projections().await.unwrap();
    let report = store.verify().await.unwrap();
    assert_eq!((report.events, report.findings), (11, vec![]));
}

fn revoked(key: &str) -> EventBody {
    EventBody::KeyRevoked {
        anchor_id: None,
        key_id: key_id(key),
        reason: RevokeReason::KeyLost,
        effective_at: at(5),
        compromised_since: None,
        note: None,
    }
}
