//! One key in several tokens: where it signs, and in which order.

use stella_core::trust::decide::store::{add_store, remove_store};

use super::*;

const FIRST: &str = "software://";
const B: &str = "hsm://pkcs11/token/b?object=k";
const C: &str = "hsm://pkcs11/token/c?object=k";

impl Operator {
    fn gains(&mut self, id: &str, store: &str) {
        let events = add_store(self.state(), &key_id(id), store, self.now).expect("added");
        self.record(events);
    }

    fn loses(&mut self, id: &str, store: &str) {
        let events = remove_store(self.state(), &key_id(id), store).expect("removed");
        self.record(events);
    }

    fn stores(&self, id: &str) -> Vec<&str> {
        self.state().keys[&key_id(id)].stores().collect()
    }
}

#[test]
fn a_key_keeps_its_stores_in_the_order_in_which_it_gained_them() {
    let mut operator = Operator::new();
    operator.generate("k", 1, "fips");
    let version = operator.state().keys[&key_id("k")].version;
    operator.gains("k", B);
    operator.gains("k", C);
    assert_eq!(operator.stores("k"), [FIRST, B, C]);
    assert!(
        operator.state().keys[&key_id("k")].version > version,
        "who chose it before chooses again"
    );
    let head = operator.state().head;
    operator.gains("k", B);
    assert_eq!(operator.state().head, head, "said twice, it is recorded once");

    operator.loses("k", FIRST);
    assert_eq!(
        operator.stores("k"),
        [B, C],
        "the next one takes the first one's place"
    );
    operator.loses("k", C);
    assert_eq!(operator.stores("k"), [B]);
    let last = remove_store(operator.state(), &key_id("k"), B).expect_err("the last");
    assert_eq!(last.code, "key.last-store");
    let gone = remove_store(operator.state(), &key_id("k"), C).expect_err("gone");
    assert_eq!(gone.code, "key.not-in-store");
}

#[test]
fn only_a_key_that_still_signs_gains_a_store() {
    let mut operator = Operator::new();
    operator.generate("k", 1, "fips");
    operator.create_anchor(1, "pkg:npm/*", &["k"]);
    let refused = |operator: &Operator, id: &str| {
        add_store(operator.state(), &key_id(id), B, operator.now)
            .expect_err("refused")
            .code
    };
    assert_eq!(refused(&operator, "nobody"), "key.unknown");
    let foreign = key::enter_external(
        operator.state(),
        key_id("foreign"),
        support::public_key(2),
        None,
        operator.now,
    );
    operator.record(foreign.expect("entered"));
    assert_eq!(refused(&operator, "foreign"), "key.external");
    let feed = NewOwnKey {
        key_type: KeyType::Feed,
        ..new_own("feed", 3, "fips", operator.now)
    };
    let feed = key::enter_own(operator.state(), feed, operator.now).expect("entered");
    operator.record(feed);
    assert_eq!(refused(&operator, "feed"), "key.not-a-signing-key");
    let end = compromise(START, Some(START));
    let revoked = revoke::everywhere(operator.state(), &key_id("k"), &end, operator.now).expect("revoked");
    operator.record(revoked.events);
    assert_eq!(refused(&operator, "k"), "key.ended");
}

#[test]
fn a_log_that_takes_away_what_a_key_never_had_was_altered() {
    let enter = EventBody::KeyImported(entered("k", 0, None, Some("fips")));
    let (add, remove) = (
        |store: &str| EventBody::KeyStoreAdded {
            key_id: key_id("k"),
            store: store.to_owned(),
        },
        |store: &str| EventBody::KeyStoreRemoved {
            key_id: key_id("k"),
            store: store.to_owned(),
        },
    );
    let fold = |bodies: &[EventBody]| {
        let events: Vec<_> = (1..)
            .zip(bodies.iter().cloned())
            .map(|(n, body)| events::event(n, body))
            .collect();
        TrustState::fold(&events).map(|state| state.head)
    };
    let with = |more: &[EventBody]| fold(&[std::slice::from_ref(&enter), more].concat());
    assert_eq!(with(&[add(B), remove(B), add(B), remove(FIRST)]), Ok(5));
    assert_eq!(with(&[add(B), add(B)]), Err(Corrupt::Twice(3)));
    assert_eq!(with(&[add(FIRST)]), Err(Corrupt::Twice(2)));
    assert_eq!(with(&[remove(FIRST)]), Err(Corrupt::NoSuchStore(2)));
    assert_eq!(with(&[add(B), remove(C)]), Err(Corrupt::NoSuchStore(3)));
    assert_eq!(fold(&[add(B)]), Err(Corrupt::NoSuchKey(1)));
}
