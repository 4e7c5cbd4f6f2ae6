use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stella_core::digest::Sha256;

use super::fixture::*;
use crate::{Append, Appended, LogFilter, LogRow, RefusedPin, ReplicaRow, Store, TokenChange, TokenRow};

pub(super) async fn tokens_come_with_their_events(store: Arc<dyn Store>) {
    let mut fixture = Fixture::new(Arc::clone(&store));
    fixture.append(vec![setting(1)]).await;
    let token = |n: u64| TokenRow {
        id: token_id(n),
        name: format!("ci-{n}"),
        hash: Sha256::of(&n.to_be_bytes()),
        authority: json!({"role": "signer", "purls": ["pkg:npm/%40pay/*"]}),
        created_at: at(n),
        created_by: "local:uid=0".into(),
        expires_at: at(1_000),
        revoked_at: None,
        last_used_at: None,
    };
    let append = async |head: u64, changes: Vec<TokenChange>| {
        let events = events(head, vec![setting(head)]);
        let state = Arc::default();
        store
            .append(Append::new(head, events, state), vec![], changes)
            .await
    };
    let created = append(
        1,
        vec![TokenChange::Create(token(1)), TokenChange::Create(token(2))],
    )
    .await;
    assert_eq!(created.unwrap(), Appended::Done);
    let moved = append(1, vec![TokenChange::Create(token(3))]).await;
    assert_eq!(moved.unwrap(), Appended::HeadMoved { head: 2 });
    assert_eq!(store.tokens().await.unwrap(), [token(1), token(2)]);

    // Of an append that fails nothing stays, not even its events.
    assert!(append(2, vec![TokenChange::Create(token(1))]).await.is_err());
    assert_eq!(store.events_after(2, 9).await.unwrap(), []);

    let revoke = |seconds: u64| TokenChange::Revoke {
        id: token_id(1),
        at: at(seconds),
    };
    append(2, vec![revoke(50)]).await.unwrap();
    append(3, vec![revoke(70)]).await.unwrap();
    for seconds in [60, 40] {
        store.note_token_used(token_id(2), at(seconds)).await.unwrap();
    }
    let revoked = TokenRow {
        revoked_at: Some(at(50)),
        ..token(1)
    };
    let used = TokenRow {
        last_used_at: Some(at(60)),
        ..token(2)
    };
    let by_hash = async |n: u64| store.token_by_hash(&Sha256::of(&n.to_be_bytes())).await.unwrap();
    assert_eq!(by_hash(1).await, Some(revoked));
    assert_eq!(by_hash(2).await, Some(used));
    assert_eq!(by_hash(3).await, None);
}

pub(super) async fn refused_pins_are_kept_by_token(store: Arc<dyn Store>) {
    let pin = |serial: &str, n: u8| RefusedPin {
        token_serial: serial.into(),
        salt: [n; 16],
        hash: Sha256::of(&[n]),
        refused_at: at(u64::from(n)),
    };
    for refused in [pin("a", 2), pin("a", 1), pin("b", 3)] {
        store.remember_refused_pin(refused).await.unwrap();
    }
    assert_eq!(store.refused_pins("a").await.unwrap(), [pin("a", 1), pin("a", 2)]);
    assert_eq!(store.refused_pins("c").await.unwrap(), []);

    assert_eq!(store.forget_refused_pins("a").await.unwrap(), 2);
    assert_eq!(store.forget_refused_pins("a").await.unwrap(), 0);
    assert_eq!(store.refused_pins("a").await.unwrap(), []);
    assert_eq!(store.refused_pins("b").await.unwrap(), [pin("b", 3)]);
}

pub(super) async fn tries_of_a_pin_are_counted_until_they_are_answered(store: Arc<dyn Store>) {
    assert_eq!(store.begin_login("a", at(1)).await.unwrap(), 0);
    assert_eq!(store.begin_login("a", at(2)).await.unwrap(), 1);
    assert_eq!(store.begin_login("b", at(3)).await.unwrap(), 0);
    assert_eq!(store.unanswered_logins("a").await.unwrap(), 2);
    // One that never reached the token says nothing about the others.
    store.withdraw_login("a").await.unwrap();
    assert_eq!(store.unanswered_logins("a").await.unwrap(), 1);
    store.withdraw_login("a").await.unwrap();
    store.withdraw_login("a").await.unwrap();
    assert_eq!(store.unanswered_logins("a").await.unwrap(), 0);
    assert_eq!(store.unanswered_logins("b").await.unwrap(), 1);

    // A refusal is an answer, and so is whatever makes them be forgotten.
    let refused = RefusedPin {
        token_serial: "b".into(),
        salt: [1; 16],
        hash: Sha256::of(b"1"),
        refused_at: at(4),
    };
    store.remember_refused_pin(refused).await.unwrap();
    assert_eq!(store.unanswered_logins("b").await.unwrap(), 0);
    store.begin_login("b", at(5)).await.unwrap();
    assert_eq!(store.forget_refused_pins("b").await.unwrap(), 1);
    assert_eq!(store.unanswered_logins("b").await.unwrap(), 0);
}

pub(super) async fn log_is_filtered_and_trimmed(store: Arc<dyn Store>) {
    let line = |seconds: u64, level: &str, component: &str, message: &str| LogRow {
        at: at(seconds),
        level: level.into(),
        component: component.into(),
        message: message.into(),
        fields: json!({"n": seconds}),
    };
    let lines = vec![
        line(1, "info", "signing", "Signed"),
        line(2, "error", "hsm", "HSM session timeout"),
        line(3, "warn", "config", "100% сломано, ÜBER_all"),
    ];
    store.log(lines.clone()).await.unwrap();
    let ask = async |set: fn(&mut LogFilter)| -> Vec<LogRow> {
        let mut filter = LogFilter {
            limit: 10,
            ..LogFilter::default()
        };
        set(&mut filter);
        store.read_log(filter).await.unwrap()
    };
    let pick = |numbers: &[usize]| -> Vec<_> { numbers.iter().map(|n| lines[*n].clone()).collect() };
    assert_eq!(ask(|_| ()).await, pick(&[2, 1, 0]));
    assert_eq!(ask(|f| f.limit = 1).await, pick(&[2]));
    assert_eq!(ask(|f| f.level = Some("error".into())).await, pick(&[1]));
    assert_eq!(ask(|f| f.level = Some("warn".into())).await, pick(&[2, 1]));
    assert_eq!(ask(|f| f.level = Some("info".into())).await, pick(&[2, 1, 0]));
    assert_eq!(ask(|f| f.since = Some(at(2))).await, pick(&[2, 1]));
    for (text, found) in [
        ("SESSION", vec![1]),
        ("Hsm", vec![1]),
        ("СЛОМАНО", vec![2]),
        ("über_", vec![2]),
        ("0% ", vec![2]),
        ("ber%all", vec![]),
    ] {
        let filter = LogFilter {
            contains: Some(text.into()),
            limit: 10,
            ..LogFilter::default()
        };
        assert_eq!(store.read_log(filter).await.unwrap(), pick(&found), "{text}");
    }
    assert_eq!(store.trim_log(at(3)).await.unwrap(), 2);
    assert_eq!(ask(|_| ()).await, pick(&[2]));
}

pub(super) async fn describes_itself(store: Arc<dyn Store>) {
    store.probe().await.unwrap();
    store.probe().await.unwrap();
    let empty = store.verify().await.unwrap();
    Fixture::with_a_key(Arc::clone(&store)).await;
    let about = store.describe().await.unwrap();
    assert_eq!(about.head, 4);
    assert!(about.schema_version > 0 && !about.driver.is_empty() && !about.place.is_empty());
    let filled = store.verify().await.unwrap();
    assert_eq!((empty.events, filled.events), (0, 4));
    assert_ne!(empty.chain_head, filled.chain_head);
}

pub(super) async fn of_several_one_leads(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.lead("trim").await.unwrap() })
        })
        .collect();
    let mut leading = Vec::new();
    for task in tasks {
        leading.extend(task.await.unwrap());
    }
    assert_eq!(leading.len(), 1);
    assert!(leading[0].stands().await);
    let other = store.lead("another duty").await.unwrap();
    assert!(other.is_some());
    assert!(store.lead("trim").await.unwrap().is_none());
    drop(leading);
    // A server may take a moment to notice that its client has gone.
    for _ in 0..1000 {
        if store.lead("trim").await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody can lead any more");
}

pub(super) async fn replicas_are_told_of_until_they_fall_silent(store: Arc<dyn Store>) {
    let replica = |name: &str, process: u64, seen: u64| ReplicaRow {
        name: name.into(),
        process: token_id(process).0,
        version: "0.1.0".into(),
        settings: json!({"signing.deadline": "ab"}),
        unable: json!([]),
        url: Some(format!("http://127.0.0.1:{process}")),
        started_at: at(1),
        seen_at: at(seen),
    };
    let note = async |row: ReplicaRow, before| store.note_replica(row, at(before)).await.unwrap();
    note(replica("two", 2, 10), 0).await;
    note(replica("one", 1, 10), 0).await;
    note(replica("one", 1, 20), 0).await;
    let both = [replica("one", 1, 20), replica("two", 2, 10)];
    assert_eq!(store.replicas().await.unwrap(), both);
    note(replica("one", 3, 30), 11).await;
    assert_eq!(store.replicas().await.unwrap(), [replica("one", 3, 30)]);
    // Whoever had the name before it takes it away from nobody.
    store.forget_replica("one", token_id(1).0).await.unwrap();
    assert_eq!(store.replicas().await.unwrap().len(), 1);
    store.forget_replica("one", token_id(3).0).await.unwrap();
    assert_eq!(store.replicas().await.unwrap(), []);
}
