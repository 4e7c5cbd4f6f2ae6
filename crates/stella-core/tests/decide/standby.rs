//! Keys that stand by: who signs, in which order, and what stays marked.

use super::*;

impl Operator {
    fn standby(&mut self, id: &str, n: usize, of: &str, not_after: Option<&str>) {
        let new = NewOwnKey {
            standby: true,
            not_after: not_after.map(at),
            ..new_own(id, n, of, self.now)
        };
        let events = key::enter_own(self.state(), new, self.now).expect("entered");
        self.record(events);
    }

    fn signs(&self, of: &str, listed: &[&str]) -> Vec<String> {
        let listed: Vec<KeyId> = listed.iter().map(|id| key_id(id)).collect();
        let keys = self.state().signing_keys(&profile(of), &listed, self.now);
        keys.iter().map(|key| key.id.to_string()).collect()
    }
}

#[test]
fn a_standby_key_signs_only_where_its_own_profile_lists_it() {
    let mut operator = Operator::new();
    operator.generate("fips-a", 1, "fips");
    operator.standby("fips-b", 2, "fips", None);
    operator.standby("fips-c", 3, "fips", Some("2024-06-01T00:00:00Z"));
    operator.standby("other", 4, "pqc", None);
    assert_eq!(operator.signs("fips", &[]), ["fips-a"]);
    assert_eq!(
        operator.signs("fips", &["other", "fips-c", "nobody", "fips-b"]),
        ["fips-a", "fips-c", "fips-b"],
        "in the order of the list; another profile's key and an unknown one are not in it"
    );
    operator.now = at("2024-06-01T00:00:00Z");
    assert_eq!(
        operator.signs("fips", &["fips-c", "fips-b"]),
        ["fips-a", "fips-b"],
        "a standby key ages like any other"
    );
}

#[test]
fn nobody_stands_in_for_a_key_that_was_revoked() {
    let mut operator = Operator::new();
    operator.generate("fips-a", 1, "fips");
    operator.standby("fips-b", 2, "fips", None);
    operator.create_anchor(1, "pkg:npm/*", &["fips-a", "fips-b"]);
    assert_eq!(operator.signs("fips", &["fips-b"]), ["fips-a", "fips-b"]);
    let end = compromise(START, Some(START));
    let revoked =
        revoke::everywhere(operator.state(), &key_id("fips-a"), &end, operator.now).expect("revoked");
    operator.record(revoked.events);
    assert!(operator.signs("fips", &["fips-b"]).is_empty());
}

#[test]
fn what_a_key_signed_while_it_stood_by_stays_marked_after_it_took_over() {
    let mut operator = Operator::new();
    operator.generate("fips-a", 1, "fips");
    operator.standby("fips-b", 2, "fips", None);
    let stood_by =
        |operator: &Operator, key: &str, moment: &str| operator.state().stood_by(&key_id(key), at(moment));
    assert!(stood_by(&operator, "fips-b", "2024-03-01T00:00:00Z"));
    operator.now = at(ROTATION);
    operator.activate("fips-b").expect("activated");
    assert!(stood_by(&operator, "fips-b", "2025-01-09T23:59:59Z"));
    assert!(!stood_by(&operator, "fips-b", ROTATION));
    assert!(!stood_by(&operator, "fips-a", START));
    operator.now = at("2025-01-12T00:00:00Z");
    operator.activate("fips-a").expect("taken back");
    let spans: Vec<_> = operator.state().standby_spans().collect();
    assert_eq!(spans, [(&key_id("fips-b"), Some(at(ROTATION)))]);
}
