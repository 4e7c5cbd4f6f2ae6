//! What an attacker hands in: bytes that are no statement, signatures that
//! are none, names that are not theirs. Nothing of it passes or panics.

mod document;
mod gate;
#[path = "../support/offline.rs"]
mod offline;
mod proof;
#[path = "../support/mod.rs"]
mod support;
mod trust_bundle;

use std::collections::BTreeSet;

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::digest::Sha256;
use stella_core::dsse::{
    self, Envelope, EnvelopeError, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE,
};
use stella_core::evidence::{Bound, Ledger, TimeClass, TimeEvidence};
use stella_core::id::AttestationId;
use stella_core::statement::StatementLimits;
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::event::KeyEntered;
use stella_core::trust::{EventBody, KeyType, RevokeReason};
use stella_core::verify::artifact::{self, Artifact, ArtifactJudgement, Candidate};
use stella_core::verify::{Budget, CheckStatus, Code, Judgement, SignatureCase, SignedStatement, Verdict};
use uuid::Uuid;

use support::{
    Bench, HEX, History, PURL, anchor_id, at, digest, entered, key_id, open, pair, payload, predicate,
    profile, public_key, sign, signature, subject_name,
};

const NOW: &str = "2025-06-01T00:00:00Z";
const SLSA: &str = "https://slsa.dev/provenance/v1";
const SBOM: &str = "https://cyclonedx.org/bom";

fn anchor(n: u128, pattern: &str, policy: AnchorPolicy, keys: &[&str]) -> Vec<EventBody> {
    let mut events = vec![EventBody::AnchorCreated {
        anchor_id: anchor_id(n),
        purl_pattern: pattern.parse().expect("a pattern"),
        policy,
    }];
    events.extend(keys.iter().map(|key| EventBody::KeyAdded {
        anchor_id: anchor_id(n),
        key_id: key_id(key),
        added_at: at("2025-01-01T00:00:00Z"),
        expires_at: None,
    }));
    events
}

/// Keys k0 to k4 are known; npm trusts k0 to k2, everything else k3.
fn world(policy: AnchorPolicy) -> History {
    let mut log = History::default();
    let now = at("2025-01-01T00:00:00Z");
    log.record(
        now,
        (0..5).map(|n| EventBody::KeyImported(entered(&format!("k{n}"), n, None, Some("default")))),
    );
    log.record(now, anchor(1, "pkg:npm/*", policy, &["k0", "k1", "k2"]));
    log.record(now, anchor(2, "*", AnchorPolicy::default(), &["k3"]));
    log
}

fn bench(policy: AnchorPolicy) -> Bench {
    Bench::new(world(policy).state)
}

fn judged(bench: &Bench, payload: &[u8], signatures: Vec<SignatureCase>) -> Judgement {
    open(payload, signatures).judge(bench.at(at(NOW)), &subject_name(PURL), &mut Budget::new(100))
}

fn named(n: usize, payload: &[u8], hint: &str) -> SignatureCase {
    SignatureCase {
        keyid: Some(hint.to_owned()),
        ..signature(n, payload)
    }
}

#[test]
fn no_flipped_bit_passes() {
    let bench = bench(AnchorPolicy::default());
    let good = payload(Some(PURL), SLSA);
    let case = signature(0, &good);
    assert_eq!(judged(&bench, &good, vec![case.clone()]).code, Code::Ok);
    for bit in 0..case.sig.len() * 8 {
        let mut bad = case.clone();
        bad.sig[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            judged(&bench, &good, vec![bad]).verdict,
            Verdict::Fail,
            "signature bit {bit}"
        );
    }
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened = SignedStatement::open(
            IN_TOTO_PAYLOAD_TYPE,
            &flipped,
            vec![case.clone()],
            &StatementLimits::default(),
        );
        match opened {
            Ok(s) => {
                let judgement = s.judge(bench.at(at(NOW)), &subject_name(PURL), &mut Budget::new(100));
                assert_eq!(judgement.verdict, Verdict::Fail, "payload bit {bit}");
            }
            Err(check) => assert_eq!(check.status, CheckStatus::Fail, "payload bit {bit}"),
        }
    }
    for length in [0, 1, 32, 63] {
        let short = SignatureCase {
            sig: case.sig[..length].to_vec(),
            ..case.clone()
        };
        assert_eq!(judged(&bench, &good, vec![short]).verdict, Verdict::Fail);
    }
    assert_eq!(judged(&bench, &good, Vec::new()).code, Code::SignatureInvalid);
}

#[test]
fn only_the_payload_type_that_was_signed_counts() {
    let bench = bench(AnchorPolicy::default());
    let body = payload(Some(PURL), SLSA);
    for kind in [
        "application/vnd.stella.feed+json",
        "application/vnd.in-toto+json ",
        "APPLICATION/VND.IN-TOTO+JSON",
        "",
    ] {
        let case = SignatureCase {
            sig: pair(0).sign(&dsse::pae(kind, &body)).as_ref().to_vec(),
            ..signature(0, &body)
        };
        let check = SignedStatement::open(kind, &body, vec![case.clone()], &StatementLimits::default())
            .expect_err("refused");
        assert_eq!(check.code, Some(Code::EnvelopePayloadType));
        assert_eq!(
            judged(&bench, &body, vec![case]).code,
            Code::KeyNotAllowed,
            "the same bytes under another name"
        );
    }
    // A signature over the bare payload is none over its encoding.
    let bare = SignatureCase {
        sig: pair(0).sign(&body).as_ref().to_vec(),
        ..signature(0, &body)
    };
    assert_eq!(judged(&bench, &body, vec![bare]).code, Code::KeyNotAllowed);
}

#[test]
fn one_key_is_one_voice_however_often_it_signs() {
    let two = || AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    let bench = bench(two());
    let body = payload(Some(PURL), SLSA);
    let voices = |hints: &[(usize, Option<&str>)]| {
        let cases = hints.iter().map(|(n, hint)| SignatureCase {
            keyid: hint.map(ToOwned::to_owned),
            ..signature(*n, &body)
        });
        judged(&bench, &body, cases.collect()).code
    };
    assert_eq!(voices(&[(0, None)]), Code::ThresholdNotMet);
    assert_eq!(
        voices(&[(0, None), (0, Some("k0")), (0, Some("anything"))]),
        Code::ThresholdNotMet
    );
    assert_eq!(
        voices(&[(0, None), (3, None)]),
        Code::ThresholdNotMet,
        "k3 is not of this anchor"
    );
    assert_eq!(voices(&[(0, None), (0, None), (1, Some("k1"))]), Code::Ok);
    assert_eq!(voices(&[(3, None), (2, None), (4, None), (1, None)]), Code::Ok);
}

/// A policy that never went through deciding, as in a bundle of another make.
#[test]
fn a_threshold_of_zero_asks_for_one() {
    let bench = bench(AnchorPolicy {
        threshold: 0,
        ..AnchorPolicy::default()
    });
    let body = payload(Some(PURL), SLSA);
    assert_eq!(judged(&bench, &body, Vec::new()).verdict, Verdict::Fail);
    assert_eq!(
        judged(&bench, &body, vec![signature(3, &body)]).verdict,
        Verdict::Fail
    );
    assert_eq!(
        judged(&bench, &body, vec![signature(0, &body)]).verdict,
        Verdict::Pass
    );
}

#[test]
fn enough_keys_of_which_one_is_unproven_leave_it_open() {
    let mut log = world(AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    });
    let revoke = |key: &str, since| EventBody::KeyRevoked {
        anchor_id: Some(anchor_id(1)),
        key_id: key_id(key),
        reason: RevokeReason::Superseded,
        effective_at: at("2025-02-01T00:00:00Z"),
        compromised_since: since,
        note: None,
    };
    log.record(at("2025-03-01T00:00:00Z"), [revoke("k1", None)]);
    let bench = Bench::new(log.state);
    let body = payload(Some(PURL), SLSA);
    let both = vec![signature(0, &body), signature(1, &body)];
    assert_eq!(judged(&bench, &body, both.clone()).code, Code::ThresholdOpen);
    let mut late = both;
    late[1].ledger = Ledger::Signed {
        at: at("2025-03-01T00:00:00Z"),
    };
    let judgement = judged(&bench, &body, late);
    assert_eq!(judgement.code, Code::ThresholdNotMet);
    let parents: Vec<_> = judgement
        .trace
        .iter()
        .filter(|c| c.name == "signature")
        .map(|c| (c.status, c.code))
        .collect();
    assert_eq!(
        parents,
        [
            (CheckStatus::Pass, None),
            (CheckStatus::Fail, Some(Code::KeyRevoked))
        ]
    );
}

#[test]
fn a_key_id_narrows_the_search_and_decides_nothing() {
    let bench = bench(AnchorPolicy::default());
    let body = payload(Some(PURL), SLSA);
    let code = |n: usize, hint: &str| judged(&bench, &body, vec![named(n, &body, hint)]).code;
    assert_eq!(code(0, "k0"), Code::Ok);
    assert_eq!(
        code(0, "k1"),
        Code::SignatureInvalid,
        "that key alone, though k0 would verify"
    );
    assert_eq!(
        code(0, "k3"),
        Code::SignatureInvalid,
        "known, if not to this anchor"
    );
    assert_eq!(code(3, "k3"), Code::KeyNotAllowed, "true, and not of this anchor");
    assert_eq!(code(5, "k0"), Code::SignatureInvalid);
    for unknown in ["K0", "k0 ", "", "SHA256:abc", "ключ", &"k".repeat(100_000)] {
        assert_eq!(code(2, unknown), Code::Ok, "{:.20}", unknown);
        assert_eq!(code(5, unknown), Code::KeyNotAllowed, "{:.20}", unknown);
    }
}

/// A log's or a feed's key in an anchor, which deciding would have refused.
#[test]
fn a_key_of_another_type_does_not_speak_for_statements() {
    let mut log = world(AnchorPolicy::default());
    let feed = KeyEntered {
        key_type: KeyType::Feed,
        ..entered("feed", 5, None, Some("feed"))
    };
    let add = EventBody::KeyAdded {
        anchor_id: anchor_id(1),
        key_id: key_id("feed"),
        added_at: at(NOW),
        expires_at: None,
    };
    log.record(at(NOW), [EventBody::KeyImported(feed), add]);
    let bench = Bench::new(log.state);
    let body = payload(Some(PURL), SLSA);
    assert_eq!(
        judged(&bench, &body, vec![signature(5, &body)]).code,
        Code::KeyNotAllowed
    );
    assert_eq!(
        judged(&bench, &body, vec![named(5, &body, "feed")]).code,
        Code::KeyNotAllowed
    );
}

#[test]
fn what_is_no_statement_says_why() {
    let code = |bytes: &[u8]| {
        let check = SignedStatement::open(
            IN_TOTO_PAYLOAD_TYPE,
            bytes,
            Vec::new(),
            &StatementLimits::default(),
        )
        .expect_err("refused");
        let inner = check
            .detail
            .rsplit_once('(')
            .map(|(_, c)| c.trim_end_matches(')').to_owned())
            .unwrap_or_default();
        (check.code.expect("a code"), inner)
    };
    let wrap = |subject: &str, rest: &str| {
        format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{subject}],"predicateType":"x:y"{rest}}}"#).into_bytes()
    };
    let subject = format!(r#"{{"name":"a","digest":{{"sha256":"{HEX}"}}}}"#);
    let million = vec![subject.as_str(); 100_001].join(",");
    let too_many = Code::StatementTooManySubjects;
    assert_eq!(
        code(&wrap(&million, "")),
        (too_many, "statement.too-many-subjects".to_owned())
    );
    assert_eq!(code(&wrap(&vec!["{}"; 1_000_000].join(","), "")).0, too_many);
    let limit = StatementLimits::default().max_subjects;
    assert!(
        SignedStatement::open(
            IN_TOTO_PAYLOAD_TYPE,
            &wrap(&vec![subject.as_str(); limit].join(","), ""),
            Vec::new(),
            &StatementLimits::default()
        )
        .is_ok()
    );
    assert_eq!(
        code(&wrap(&vec![subject.as_str(); limit + 1].join(","), "")).0,
        too_many
    );

    let deep = format!(
        r#","predicate":{}{}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    let mut not_utf8 = wrap(&subject, r#","predicate":"?""#);
    if let Some(byte) = not_utf8.iter_mut().find(|b| **b == b'?') {
        *byte = 0xff;
    }
    let huge = wrap(
        &subject,
        &format!(r#","predicate":"{}""#, "x".repeat(100_000_000)),
    );
    for (bytes, inner) in [
        (wrap(&subject, &deep), "json.too-deep"),
        (not_utf8, "json.utf8"),
        (wrap(&subject, r#","predicateType":"x:z""#), "json.duplicate-key"),
        (
            wrap(&subject, r#","predicate":{"a":1,"\u0061":2}"#),
            "json.duplicate-key",
        ),
        (huge, "json.too-large"),
        (wrap("", ""), "statement.no-subject"),
        (wrap(r#"{"name":"a"}"#, ""), "statement.digest"),
        (wrap(&subject, "")[..40].to_vec(), "json.syntax"),
        (Vec::new(), "json.syntax"),
        (b"[]".to_vec(), "json.shape"),
    ] {
        assert_eq!(code(&bytes), (Code::StatementInvalid, inner.to_owned()));
    }
}

#[test]
fn an_envelope_beyond_its_limits_is_not_read() {
    let envelope = |signatures: usize, payload: Vec<u8>| Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload,
        signatures: vec![
            EnvelopeSignature {
                keyid: None,
                sig: vec![1; 64]
            };
            signatures
        ],
    };
    let parse = |e: Envelope| Envelope::parse(&e.to_json(), &EnvelopeLimits::default()).map_err(|e| e.code());
    assert!(parse(envelope(16, Vec::new())).is_ok());
    assert_eq!(
        parse(envelope(17, Vec::new())),
        Err("envelope.too-many-signatures")
    );
    assert_eq!(parse(envelope(1, vec![0; 100_000_000])), Err("json.too-large"));
    assert!(matches!(
        Envelope::parse(b"{", &EnvelopeLimits::default()),
        Err(EnvelopeError::Json(_))
    ));

    let bench = bench(AnchorPolicy::default());
    let body = payload(Some(PURL), SLSA);
    assert_eq!(
        judged(&bench, &body, vec![signature(0, &body); 16]).code,
        Code::Ok
    );
    assert_eq!(
        judged(&bench, &body, vec![signature(0, &body); 17]).code,
        Code::EnvelopeTooManySignatures
    );
}

#[test]
fn a_spent_budget_leaves_the_answer_open() {
    let body = payload(Some(PURL), SLSA);
    let code = |policy: AnchorPolicy, checks: u32, makers: &[usize]| {
        let bench = bench(policy);
        let cases = makers.iter().map(|n| signature(*n, &body)).collect();
        open(&body, cases)
            .judge(bench.at(at(NOW)), &subject_name(PURL), &mut Budget::new(checks))
            .code
    };
    let one = AnchorPolicy::default;
    let two = || AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    // Without a hint k2 is the third key to be tried.
    assert_eq!(
        [0, 1, 2, 3].map(|n| code(one(), n, &[2])),
        [
            Code::BudgetExhausted,
            Code::BudgetExhausted,
            Code::BudgetExhausted,
            Code::Ok
        ]
    );
    assert_eq!(
        code(one(), 4, &[5, 2]),
        Code::BudgetExhausted,
        "a bad signature may cost a good one its chance, never more"
    );
    assert_eq!(code(one(), 4, &[2, 5]), Code::Ok);
    assert_eq!(code(two(), 1, &[0, 1]), Code::BudgetExhausted);
    assert_eq!(code(two(), 3, &[0, 1]), Code::Ok);
    // What was checked once is known, also to another anchor and another name.
    let bench = bench(one());
    let mut budget = Budget::new(1);
    let statement = open(&body, vec![signature(0, &body)]);
    for _ in 0..3 {
        assert_eq!(
            statement
                .judge(bench.at(at(NOW)), &subject_name(PURL), &mut budget)
                .code,
            Code::Ok
        );
    }
    // And is not known for other bytes.
    let other = payload(Some(PURL), SBOM);
    let forged = SignatureCase {
        sig: sign(0, &body),
        ..signature(0, &other)
    };
    assert_eq!(
        open(&other, vec![forged])
            .judge(bench.at(at(NOW)), &subject_name(PURL), &mut budget)
            .code,
        Code::BudgetExhausted
    );
}

#[test]
fn weak_keys_do_not_exist() {
    let ed25519: Algorithm = "ed25519".parse().expect("an algorithm");
    let mut identity = [0; 32];
    identity[0] = 1;
    for raw in [[0; 32], identity] {
        assert_eq!(
            PublicKey::from_raw(ed25519, &raw).expect_err("weak").code(),
            "key.weak"
        );
    }
    let weak = "302a300506032b6570032100".to_owned() + &hex_of(&identity);
    let body = format!(
        r#"{{"type":"KEY_IMPORTED","details":{{"keyId":"k","keyType":"signing","publicKey":"{}"}}}}"#,
        base64_of(&weak)
    );
    assert!(
        serde_json::from_str::<EventBody>(&body).is_err(),
        "not through an event either"
    );
    let sound = body.replace(&base64_of(&weak), &public_key(0).spki_base64());
    assert!(serde_json::from_str::<EventBody>(&sound).is_ok());
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn base64_of(hex: &str) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
        .collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_disabled_anchor_still_decides_and_fails() {
    let mut log = world(AnchorPolicy::default());
    log.record(
        at(NOW),
        [EventBody::AnchorDisabled {
            anchor_id: anchor_id(1),
            note: None,
        }],
    );
    log.record(
        at(NOW),
        [EventBody::KeyAdded {
            anchor_id: anchor_id(2),
            key_id: key_id("k0"),
            added_at: at(NOW),
            expires_at: None,
        }],
    );
    let bench = Bench::new(log.state);
    let body = payload(Some(PURL), SLSA);
    assert_eq!(
        judged(&bench, &body, vec![signature(0, &body)]).code,
        Code::AnchorDisabled
    );
    let none = Bench::new(History::default().state);
    assert_eq!(
        judged(&none, &body, vec![signature(0, &body)]).code,
        Code::AnchorNone
    );
}

/// A witness without a name in the configuration, or the signer's own.
#[test]
fn nobody_vouches_for_himself() {
    let mut log = world(AnchorPolicy {
        require_evidence: Some(TimeClass::Attested),
        ..AnchorPolicy::default()
    });
    log.record(at(NOW), [EventBody::ConfigUnset { key: "x".to_owned() }]);
    let mut bench = Bench::new(log.state);
    let body = payload(Some(PURL), SLSA);
    let by = |bench: &Bench, authority: &str, when: Timestamp| {
        let mut case = signature(0, &body);
        case.evidence.push(TimeEvidence {
            class: TimeClass::Attested,
            authority: authority.to_owned(),
            bound: Bound::ExistedBy(when),
            accuracy: None,
            recorded_at: at("2025-01-01T00:00:00Z"),
        });
        judged(bench, &body, vec![case]).code
    };
    let when = at("2025-02-01T00:00:00Z");
    assert_eq!(by(&bench, "tsa-1", when), Code::Ok);
    assert_eq!(by(&bench, "tsa-9", when), Code::EvidenceRequired);
    assert_eq!(
        by(&bench, "tsa-1", Timestamp::UNIX_EPOCH),
        Code::EvidenceRequired,
        "zero is no time"
    );
    assert_eq!(by(&bench, "tsa-1", Timestamp::MIN), Code::EvidenceRequired);
    assert_eq!(
        by(&bench, "tsa-1", Timestamp::MAX),
        Code::EvidenceRequired,
        "the future proves nothing"
    );
    bench.policy.own_operator = "tsa.example".to_owned();
    assert_eq!(by(&bench, "tsa-1", when), Code::EvidenceRequired);
    assert_eq!(by(&bench, "tsa-2", when), Code::Ok);
    bench.policy.shared_profiles = [profile("default")].into();
    if let Some(a) = bench.authorities.get_mut("tsa-2") {
        a.trusted = false;
    }
    assert_eq!(by(&bench, "tsa-2", when), Code::EvidenceRequired);
}
