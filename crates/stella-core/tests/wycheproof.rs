//! Project Wycheproof's signatures: what it calls valid is accepted, what it
//! calls invalid is refused, and where we part with it stands here with the
//! rule by which we do.

use stella_core::alg::{Algorithm, PublicKey};
use wycheproof::TestResult;

/// Valid to Wycheproof and refused here, by the flag of the case.
struct Stricter {
    algorithm: &'static str,
    flag: &'static str,
    rule: &'static str,
}

const STRICTER: &[Stricter] = &[Stricter {
    algorithm: "ML-DSA-65",
    flag: "ZeroPublicKey",
    rule: "a key whose t1 is zero is weak: anyone can sign for it",
}];

#[test]
fn ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).expect("vectors");
    let mut tally = Tally::of("SHA256-ED25519");
    for group in &set.test_groups {
        let key = PublicKey::from_spki_der(&group.der);
        for case in &group.tests {
            let flags: Vec<_> = case.flags.iter().map(|f| format!("{f:?}")).collect();
            let accepted = accepts(&key, &case.msg, &case.sig);
            tally.judge(case.tc_id, case.result, &flags, accepted);
        }
    }
    tally.close(150);
}

#[test]
fn ecdsa_p256_with_sha_256_in_der() {
    let name = wycheproof::ecdsa::TestName::EcdsaSecp256r1Sha256;
    let set = wycheproof::ecdsa::TestSet::load(name).expect("vectors");
    let mut tally = Tally::of("SHA256-ECDSA-P256");
    for group in &set.test_groups {
        let key = PublicKey::from_spki_der(&group.der);
        for case in &group.tests {
            let flags: Vec<_> = case.flags.iter().map(|f| format!("{f:?}")).collect();
            let accepted = accepts(&key, &case.msg, &case.sig);
            tally.judge(case.tc_id, case.result, &flags, accepted);
        }
    }
    tally.close(450);
}

#[test]
fn ml_dsa_65() {
    let name = wycheproof::mldsa_verify::TestName::MlDsa65Verify;
    let set = wycheproof::mldsa_verify::TestSet::load(name).expect("vectors");
    let algorithm: Algorithm = "ml-dsa-65".parse().expect("algorithm");
    let mut tally = Tally::of("ML-DSA-65");
    let mut with_context = 0;
    for group in &set.test_groups {
        let key = PublicKey::from_raw(algorithm, &group.pubkey);
        for case in &group.tests {
            let accepted = accepts(&key, &case.msg, &case.sig);
            // FIPS 204 algorithm 3 hashes the context; ours is the empty one.
            if case.ctx.as_ref().is_some_and(|ctx| !ctx.is_empty()) {
                with_context += 1;
                assert!(!accepted, "ML-DSA-65 case {}: with a context", case.tc_id);
                continue;
            }
            let flags: Vec<_> = case.flags.iter().map(|f| format!("{f:?}")).collect();
            tally.judge(case.tc_id, case.result, &flags, accepted);
        }
    }
    assert!(with_context > 0);
    tally.close(100);
}

fn accepts<E>(key: &Result<PublicKey, E>, message: &[u8], signature: &[u8]) -> bool {
    key.as_ref()
        .is_ok_and(|key| key.verify(message, signature).is_ok())
}

/// What was seen of one algorithm.
struct Tally {
    algorithm: &'static str,
    cases: usize,
    stricter: Vec<&'static str>,
    wrong: Vec<String>,
}

impl Tally {
    fn of(algorithm: &'static str) -> Self {
        Self {
            algorithm,
            cases: 0,
            stricter: Vec::new(),
            wrong: Vec::new(),
        }
    }

    fn judge(&mut self, case: usize, expected: TestResult, flags: &[String], accepted: bool) {
        self.cases += 1;
        let rule = STRICTER
            .iter()
            .find(|s| s.algorithm == self.algorithm && flags.iter().any(|f| f == s.flag));
        let right = match (expected, accepted, rule) {
            (TestResult::Valid, false, Some(rule)) => {
                self.stricter.push(rule.rule);
                true
            }
            (TestResult::Valid, accepted, None) => accepted,
            (TestResult::Invalid, accepted, _) => !accepted,
            (TestResult::Acceptable, ..) | (TestResult::Valid, true, Some(_)) => false,
        };
        if !right {
            self.wrong.push(format!(
                "case {case} {expected:?} {flags:?}: accepted = {accepted}"
            ));
        }
    }

    /// At least so many cases, lest the set be empty one day; and no rule that
    /// no case asks for.
    fn close(self, at_least: usize) {
        println!("{}: {} cases", self.algorithm, self.cases);
        assert!(
            self.cases >= at_least,
            "{}: only {} cases",
            self.algorithm,
            self.cases
        );
        assert!(self.wrong.is_empty(), "{}: {:#?}", self.algorithm, self.wrong);
        for rule in STRICTER.iter().filter(|s| s.algorithm == self.algorithm) {
            assert!(self.stricter.contains(&rule.rule), "not needed: {}", rule.rule);
        }
    }
}
