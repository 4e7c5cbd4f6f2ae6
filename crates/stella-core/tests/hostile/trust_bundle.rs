//! Trust bundles and roots that somebody would like an offline verifier to
//! take: none is ever used, and each is refused by its own name.

use serde_json::{Value, json};
use stella_core::bundle::trust::{
    BUNDLE_PAYLOAD_TYPE, InstanceId, Offline, ROOT_PAYLOAD_TYPE, Refused, Seen, SignedBundle, TrustBundle,
    TrustRoot,
};
use stella_core::dsse::{EnvelopeLimits, IN_TOTO_PAYLOAD_TYPE};
use stella_core::json::JsonLimits;
use stella_core::statement::StatementLimits;
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::key::enter_own;
use stella_core::trust::{EventBody, KeyType, TrustState};
use stella_core::verify::ask::{Moments, Wanted};
use stella_core::verify::document::DocumentLimits;
use stella_core::verify::{Code, VerifyLimits, VerifyPolicy};
use uuid::Uuid;

use crate::offline::*;
use crate::support::{History, anchor_id, at, authority, entered, key_id, new_own, payload, sign};

fn root() -> TrustRoot {
    TrustRoot::parse(&signed_root(&root_content(3, &[FEED]), &[FEED])).expect("a root")
}

fn code<T>(outcome: Result<T, Refused>) -> Code {
    outcome.map_or_else(|refused| refused.code, |_| Code::Ok)
}

fn opened(bytes: &[u8]) -> Code {
    code(SignedBundle::open(bytes, &root()))
}

/// One key, one anchor that holds it.
fn state() -> TrustState {
    let mut history = History::default();
    let now = at("2025-01-01T00:00:00Z");
    let events = enter_own(&history.state, new_own("k1", 0, "default", now), now).expect("enters");
    history.record(now, events);
    history.record(
        now,
        [
            EventBody::AnchorCreated {
                anchor_id: anchor_id(1),
                purl_pattern: "pkg:npm/*".parse().expect("a pattern"),
                policy: AnchorPolicy::default(),
            },
            EventBody::KeyAdded {
                anchor_id: anchor_id(1),
                key_id: key_id("k1"),
                added_at: now,
                expires_at: None,
            },
        ],
    );
    history.state
}

/// What is wrong, and how it is made so.
type Case = (&'static str, fn(&mut Value));

/// The payload of an honest bundle, to be spoilt.
fn honest() -> Value {
    serde_json::from_slice(&bundle(state()).to_payload().expect("a payload")).expect("JSON")
}

/// Signed by the true feed key, whatever it says.
fn says(text: impl AsRef<[u8]>) -> Code {
    opened(&signed(BUNDLE_PAYLOAD_TYPE, text.as_ref(), &[FEED]))
}

fn spoilt(change: impl FnOnce(&mut Value)) -> Code {
    let mut payload = honest();
    change(&mut payload);
    says(payload.to_string())
}

#[test]
fn an_honest_bundle_is_taken() {
    assert_eq!(opened(&signed_bundle(&bundle(state()))), Code::Ok);
    assert_eq!(spoilt(|_| {}), Code::Ok);
}

#[test]
fn no_flipped_bit_is_taken() {
    let bytes = signed_bundle(&bundle(TrustState::default()));
    let root = root();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = SignedBundle::open(&flipped, &root).err();
        assert!(
            refused.is_some(),
            "bit {bit} of {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn no_flipped_bit_of_a_root_is_taken() {
    let bytes = signed_root(&root_content(3, &[FEED]), &[FEED]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            code(TrustRoot::parse(&flipped)),
            Code::TrustRootInvalid,
            "bit {bit}"
        );
    }
}

#[test]
fn nothing_cut_short_is_taken() {
    let bytes = signed_bundle(&bundle(state()));
    for length in 0..bytes.len() {
        assert_eq!(opened(&bytes[..length]), Code::TrustInvalid, "{length} bytes");
    }
    assert_eq!(opened(&[bytes.as_slice(), b"{}"].concat()), Code::TrustInvalid);
}

#[test]
fn only_the_pinned_feed_key_signs() {
    let payload = bundle(state()).to_payload().expect("a payload");
    let by = |keys: &[usize]| opened(&signed(BUNDLE_PAYLOAD_TYPE, &payload, keys));
    assert_eq!(by(&[OTHER_FEED]), Code::TrustUntrusted);
    // A signing key under the feed key's name, and under its own.
    let mut forged: Value =
        serde_json::from_slice(&signed(BUNDLE_PAYLOAD_TYPE, &payload, &[0])).expect("JSON");
    assert_eq!(opened(forged.to_string().as_bytes()), Code::TrustUntrusted);
    forged["signatures"][0]["keyid"] = json!(feed_key(FEED).id.as_str());
    assert_eq!(opened(forged.to_string().as_bytes()), Code::TrustUntrusted);
    // The true signature without the name it belongs to.
    let mut unnamed: Value =
        serde_json::from_slice(&signed(BUNDLE_PAYLOAD_TYPE, &payload, &[FEED])).expect("JSON");
    unnamed["signatures"][0]["keyid"] = Value::Null;
    assert_eq!(opened(unnamed.to_string().as_bytes()), Code::TrustUntrusted);
    // Beside a stranger's, the true one still counts.
    assert_eq!(by(&[OTHER_FEED, FEED]), Code::Ok);
}

#[test]
fn what_the_feed_key_signs_for_another_purpose_is_no_bundle() {
    let payload_of_bundle = bundle(state()).to_payload().expect("a payload");
    let statement = payload(Some("pkg:npm/x"), "https://slsa.dev/provenance/v1");
    for (payload_type, bytes) in [
        (IN_TOTO_PAYLOAD_TYPE, &statement),
        (IN_TOTO_PAYLOAD_TYPE, &payload_of_bundle),
        (ROOT_PAYLOAD_TYPE, &payload_of_bundle),
        ("application/json", &payload_of_bundle),
    ] {
        assert_eq!(opened(&signed(payload_type, bytes, &[FEED])), Code::TrustInvalid);
    }
    // Relabelled afterwards, the signature covers another type.
    let mut relabelled: Value =
        serde_json::from_slice(&signed(ROOT_PAYLOAD_TYPE, &payload_of_bundle, &[FEED])).expect("JSON");
    relabelled["payloadType"] = json!(BUNDLE_PAYLOAD_TYPE);
    assert_eq!(opened(relabelled.to_string().as_bytes()), Code::TrustUntrusted);
    // And a bundle is no root.
    assert_eq!(
        code(TrustRoot::parse(&signed_bundle(&bundle(state())))),
        Code::TrustRootInvalid
    );
}

#[test]
fn a_key_that_the_instance_knows_as_a_signing_key_signs_no_bundle() {
    let mut history = History::default();
    let now = at("2025-01-01T00:00:00Z");
    history.record(
        now,
        [EventBody::KeyImported(entered("feed-10", FEED, None, None))],
    );
    let bytes = signed_bundle(&bundle(history.state));
    assert_eq!(opened(&bytes), Code::TrustUntrusted);

    let mut history = History::default();
    let mut feed = entered("feed-10", FEED, None, Some("default"));
    feed.key_type = KeyType::Feed;
    history.record(now, [EventBody::KeyGenerated(feed)]);
    assert_eq!(opened(&signed_bundle(&bundle(history.state))), Code::Ok);
}

#[test]
fn what_a_payload_says_must_be_whole_and_known() {
    let text = honest().to_string();
    for (what, payload) in [
        ("nothing", String::new()),
        ("no object", "[]".to_owned()),
        ("half", text[..text.len() / 2].to_owned()),
        (
            "a key twice",
            text.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        ),
        (
            "a key twice inside",
            text.replacen(
                "\"status\":\"active\"",
                "\"status\":\"active\",\"status\":\"active\"",
                1,
            ),
        ),
        (
            "deep",
            format!("{{\"version\":1,\"x\":{}{}}}", "[".repeat(500), "]".repeat(500)),
        ),
    ] {
        assert_eq!(says(&payload), Code::TrustInvalid, "{what}");
    }
    assert_eq!(says([0xff, 0xfe]), Code::TrustInvalid, "no text");
    let cases: [Case; 19] = [
        ("a number that not every reader reads as the same", |p| {
            p["log"]["entries"] = json!(u64::MAX)
        }),
        ("a later version", |p| p["version"] = json!(2)),
        ("an unknown field", |p| p["mustAlsoBe"] = json!("approved")),
        ("an unknown field of an anchor", |p| {
            p["anchors"][0]["onlyOn"] = json!("Monday")
        }),
        ("an unknown rule of an anchor", |p| {
            p["anchors"][0]["policy"]["requireWitness"] = json!(true)
        }),
        ("an unknown field of a key", |p| {
            p["keys"][0]["onlyFor"] = json!("tests")
        }),
        ("no anchors", |p| {
            _ = p.as_object_mut().expect("an object").remove("anchors")
        }),
        ("no limits", |p| {
            _ = p.as_object_mut().expect("an object").remove("limits")
        }),
        ("an anchor twice", |p| {
            p["anchors"] = json!([p["anchors"][0], p["anchors"][0]])
        }),
        ("a key twice", |p| p["keys"] = json!([p["keys"][0], p["keys"][0]])),
        ("a key's material twice", |p| {
            let mut copy = p["keys"][0].clone();
            copy["keyId"] = json!("copy");
            p["keys"] = json!([p["keys"][0], copy]);
        }),
        ("an anchor with a key nobody knows", |p| p["keys"] = json!([])),
        ("an anchor with a key twice", |p| {
            p["anchors"][0]["keys"] = json!([p["anchors"][0]["keys"][0], p["anchors"][0]["keys"][0]]);
        }),
        ("a pattern that is none", |p| {
            p["anchors"][0]["purlPattern"] = json!("pkg:*npm")
        }),
        ("a public key that is none", |p| {
            p["keys"][0]["publicKey"] = json!("AAAA")
        }),
        ("a policy version that is none", |p| {
            p["anchors"][0]["policyVersion"] = json!("v1.0")
        }),
        ("an end before its beginning", |p| {
            p["expiresAt"] = p["issuedAt"].clone()
        }),
        ("a number past its log", |p| p["number"] = json!(41)),
        ("a negative number", |p| p["number"] = json!(-1)),
    ];
    for (what, change) in cases {
        assert_eq!(spoilt(change), Code::TrustInvalid, "{what}");
    }
}

#[test]
fn another_instances_bundle_is_not_taken_under_this_root() {
    let mut other = bundle(state());
    other.instance = InstanceId(Uuid::from_u128(8));
    assert_eq!(opened(&signed_bundle(&other)), Code::TrustOtherInstance);
}

fn verdict(bundle: &TrustBundle, clock: &str, now: Option<&str>) -> Code {
    let signed = SignedBundle::open(&signed_bundle(bundle), &root()).expect("a bundle");
    let moments = Moments {
        as_of: None,
        now: now.map(at),
        at_time: None,
        min_time_evidence: None,
    };
    let statement = payload(Some("pkg:npm/left-pad@1.3.0"), "https://slsa.dev/provenance/v1");
    let envelope = stella_core::dsse::Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        signatures: vec![stella_core::dsse::EnvelopeSignature {
            keyid: Some("k1".to_owned()),
            sig: sign(0, &statement),
        }],
        payload: statement,
    };
    let offline = match Offline::at(&signed, moments, at(clock)) {
        Ok(offline) => offline,
        Err(refused) => return refused.code,
    };
    let answer = offline.document(&envelope.to_json(), &Wanted::default());
    let code = Code::ALL.iter().copied().find(|c| c.as_str() == answer.code);
    code.expect("a code")
}

#[test]
fn an_expired_bundle_judges_nothing() {
    let bundle = bundle(state());
    for (clock, now, code) in [
        ("2025-03-01T00:00:00Z", None, Code::Ok),
        ("2025-03-14T23:59:59.999999Z", None, Code::Ok),
        ("2025-03-15T00:00:00Z", None, Code::TrustStale),
        ("2026-01-01T00:00:00Z", None, Code::TrustStale),
        // A clock that is behind does not make it younger than it is.
        ("2020-01-01T00:00:00Z", None, Code::Ok),
        // A later verifier has a bundle that is as much older.
        ("2025-03-02T00:00:00Z", Some("2025-03-14T00:00:00Z"), Code::Ok),
        (
            "2025-03-02T00:00:00Z",
            Some("2025-03-15T00:00:00Z"),
            Code::TrustStale,
        ),
    ] {
        assert_eq!(verdict(&bundle, clock, now), code, "{clock} {now:?}");
    }
}

#[test]
fn no_older_bundle_is_taken_than_one_that_was_seen() {
    let signed = |number: u64, expires: &str, instance: u128| {
        let mut bundle = bundle(TrustState::default());
        bundle.number = number;
        bundle.log.events = number;
        bundle.expires_at = at(expires);
        bundle.instance = InstanceId(Uuid::from_u128(instance));
        let mut root = root_content(3, &[FEED]);
        root.instance = bundle.instance;
        let root = TrustRoot::parse(&signed_root(&root, &[FEED])).expect("a root");
        SignedBundle::open(&signed_bundle(&bundle), &root).expect("a bundle")
    };
    let (soon, late) = ("2025-03-15T00:00:00Z", "2025-04-15T00:00:00Z");
    let mut seen = Seen::default();
    assert_eq!(seen.note(&signed(40, soon, 7)), Ok(true));
    assert_eq!(seen.note(&signed(40, soon, 7)), Ok(false));
    assert_eq!(seen.note(&signed(42, soon, 7)), Ok(true));
    // Survives being written.
    let mut seen = Seen::parse(&seen.to_bytes().expect("bytes")).expect("reads");
    let refused = |seen: &mut Seen, bundle| seen.note(&bundle).map_err(|e| e.code);
    assert_eq!(refused(&mut seen, signed(41, late, 7)), Err(Code::TrustRollback));
    assert_eq!(refused(&mut seen, signed(42, late, 7)), Err(Code::TrustForked));
    assert_eq!(
        refused(&mut seen, signed(1, soon, 8)),
        Ok(true),
        "another instance"
    );
    assert_eq!(refused(&mut seen, signed(43, soon, 7)), Ok(true));
}

#[test]
fn a_memory_that_cannot_be_read_is_none() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"version":2,"newest":{}}"#,
        r#"{"version":1}"#,
        r#"{"version":1,"newest":{},"newest":{}}"#,
        r#"{"version":1,"newest":{"x":{"number":1,"digest":"00"}}}"#,
        r#"{"version":1,"newest":{"00000000-0000-0000-0000-000000000007":{"number":9007199254740993,"digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}"#,
    ] {
        assert!(Seen::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_root_names_feed_keys_and_is_signed_by_enough_of_its_own() {
    let parsed = |content: &stella_core::bundle::trust::RootContent, by: &[usize]| {
        code(TrustRoot::parse(&signed_root(content, by)))
    };
    let mut two = root_content(3, &[FEED, OTHER_FEED]);
    assert_eq!(parsed(&two, &[OTHER_FEED]), Code::Ok);
    two.threshold = 2;
    assert_eq!(parsed(&two, &[OTHER_FEED]), Code::TrustRootInvalid);
    assert_eq!(
        parsed(&two, &[FEED, FEED]),
        Code::TrustRootInvalid,
        "one key twice"
    );
    assert_eq!(parsed(&two, &[FEED, OTHER_FEED]), Code::Ok);
    for threshold in [0, 3] {
        two.threshold = threshold;
        assert_eq!(parsed(&two, &[FEED, OTHER_FEED]), Code::TrustRootInvalid);
    }
    let honest: Value =
        serde_json::from_slice(&root_content(3, &[FEED]).to_payload().expect("a payload")).expect("JSON");
    let cases: [Case; 6] = [
        ("a signing key", |p| {
            p["feedKeys"][0]["keyType"] = json!("signing")
        }),
        ("a signing key as root key", |p| {
            p["rootKeys"][0]["keyType"] = json!("signing")
        }),
        ("no key", |p| p["feedKeys"] = json!([])),
        ("a key twice", |p| {
            p["feedKeys"] = json!([p["feedKeys"][0], p["feedKeys"][0]])
        }),
        ("an unknown field", |p| {
            p["expiresAt"] = json!("2025-01-01T00:00:00Z")
        }),
        ("a later version", |p| p["version"] = json!(2)),
    ];
    for (what, change) in cases {
        let mut payload = honest.clone();
        change(&mut payload);
        let bytes = signed(ROOT_PAYLOAD_TYPE, payload.to_string().as_bytes(), &[FEED]);
        assert_eq!(code(TrustRoot::parse(&bytes)), Code::TrustRootInvalid, "{what}");
    }
}

#[test]
fn a_root_names_no_more_keys_and_no_greater_number_than_every_reader_takes() {
    let named = |keys: usize| {
        let keys: Vec<usize> = (0..keys).collect();
        root_content(1 << 53, &keys).to_payload().expect("a payload")
    };
    let parsed = |payload: &[u8]| code(TrustRoot::parse(&signed(ROOT_PAYLOAD_TYPE, payload, &[0])));
    assert_eq!(parsed(&named(16)), Code::Ok);
    assert_eq!(parsed(&named(17)), Code::TrustRootInvalid);
    let text = String::from_utf8(named(16)).expect("text");
    let greater = text.replace("9007199254740992", "9007199254740993");
    assert_ne!(greater, text);
    assert_eq!(parsed(greater.as_bytes()), Code::TrustRootInvalid);
}

/// Neither one name for two keys nor two names for one.
#[test]
fn a_root_names_each_key_once() {
    let mut names = root_content(3, &[FEED, OTHER_FEED]);
    names.feed_keys[1].id = names.feed_keys[0].id.clone();
    let mut material = root_content(3, &[FEED, OTHER_FEED]);
    material.feed_keys[1].public_key = material.feed_keys[0].public_key.clone();
    for content in [names, material] {
        assert_eq!(
            code(TrustRoot::parse(&signed_root(&content, &[FEED]))),
            Code::TrustRootInvalid
        );
    }
}

#[test]
fn a_root_gives_way_only_to_a_later_one_that_it_signed() {
    let made = |number, keys: &[usize], by: &[usize]| {
        TrustRoot::parse(&signed_root(&root_content(number, keys), by)).expect("a root")
    };
    let pinned = made(3, &[FEED], &[FEED]);
    let follows = |root: TrustRoot| code(root.follows(&pinned));
    assert_eq!(
        follows(made(5, &[FEED, OTHER_FEED], &[FEED, OTHER_FEED])),
        Code::Ok
    );
    assert_eq!(follows(made(5, &[OTHER_FEED], &[FEED, OTHER_FEED])), Code::Ok);
    assert_eq!(
        follows(made(5, &[OTHER_FEED], &[OTHER_FEED])),
        Code::TrustUntrusted
    );
    assert_eq!(
        follows(made(3, &[FEED, OTHER_FEED], &[FEED])),
        Code::TrustRollback
    );
    assert_eq!(follows(made(2, &[FEED], &[FEED])), Code::TrustRollback);
    let mut other = root_content(9, &[FEED]);
    other.instance = InstanceId(Uuid::from_u128(8));
    let other = TrustRoot::parse(&signed_root(&other, &[FEED])).expect("a root");
    assert_eq!(follows(other), Code::TrustOtherInstance);
}

/// Names and words of people, and where keys are kept, stay where they are.
#[test]
fn a_bundle_tells_nothing_of_people_and_places() {
    let mut history = History::default();
    let now = at("2025-01-01T00:00:00Z");
    let mut own = new_own("k1", 0, "default", now);
    own.store = "hsm://pkcs11/token/private-place".to_owned();
    let events = enter_own(&history.state, own, now).expect("enters");
    history.record(now, events);
    history.record(
        now,
        [
            EventBody::KeyRevoked {
                anchor_id: None,
                key_id: key_id("k1"),
                reason: stella_core::trust::RevokeReason::KeyLost,
                effective_at: now,
                compromised_since: None,
                note: Some("left on the private train".to_owned()),
            },
            EventBody::AttestationWithdrawn {
                pae: crate::support::sha("x"),
                reason: stella_core::trust::RevokeReason::Unspecified,
                note: Some("private quarrel".to_owned()),
            },
            EventBody::ConfigSet {
                key: "private.setting".to_owned(),
                value: "x".to_owned(),
            },
        ],
    );
    let text = String::from_utf8(bundle(history.state).to_payload().expect("a payload")).expect("text");
    assert!(text.contains("key-lost"), "{text}");
    for word in ["private", "uid=1000"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_bundle_comes_back_as_it_was() {
    let mut before = bundle(state());
    // Nothing as it is where nobody says otherwise.
    before.policy = VerifyPolicy {
        own_operator: "acme".to_owned(),
        shared_profiles: ["fips".parse().expect("a profile")].into(),
        recorded_for_compromise: true,
        require_purl: true,
        limits: VerifyLimits {
            max_signatures: 3,
            max_signature_checks: 9,
        },
    };
    let json = JsonLimits {
        max_bytes: 70_001,
        max_depth: 17,
    };
    before.limits = DocumentLimits {
        envelope: EnvelopeLimits {
            json,
            max_signatures: 4,
        },
        statement: StatementLimits {
            json,
            max_subjects: 5,
        },
        max_members: 7,
    };
    before.authorities.extend([authority("tsa-1", "tsa.example")]);
    let after = TrustBundle::read_unchecked(&signed_bundle(&before)).expect("reads");
    assert_eq!(after.to_payload(), before.to_payload());
    assert_eq!(after.trust.anchors, before.trust.anchors);
    assert_eq!(after.limits, before.limits);
    assert_eq!(after.policy, before.policy);
    assert_eq!(after.authorities, before.authorities);
    let _: Timestamp = after.expires_at;
}

/// Twice is refused also where both say the same.
#[test]
fn a_witness_is_named_once() {
    let mut bundle = bundle(state());
    bundle.authorities.extend([authority("tsa-1", "tsa.example")]);
    let mut payload: Value = serde_json::from_slice(&bundle.to_payload().expect("a payload")).expect("JSON");
    assert_eq!(says(payload.to_string()), Code::Ok);
    payload["authorities"] = json!([payload["authorities"][0], payload["authorities"][0]]);
    assert_eq!(says(payload.to_string()), Code::TrustInvalid);
}

/// What verifiers would not read is not written.
#[test]
fn a_bundle_that_would_be_too_large_is_not_made() {
    let mut bundle = bundle(state());
    let limit = 1024 * 1024;
    bundle.policy.own_operator = "a".repeat(limit / 10);
    assert!(bundle.to_payload_within(limit).is_ok());
    // It grows by a third in an envelope.
    bundle.policy.own_operator = "a".repeat(limit / 4 * 3);
    assert_eq!(
        bundle.to_payload_within(limit).expect_err("too large").code,
        Code::TrustInvalid
    );
    assert!(bundle.to_payload().is_ok(), "verifiers read more than that");
}

/// By what it was judged stands before each of the verdicts, once.
#[test]
fn an_answer_names_the_bundle_that_it_was_given_by() {
    let signed = SignedBundle::open(&signed_bundle(&bundle(state())), &root()).expect("a bundle");
    let moments = Moments {
        as_of: None,
        now: None,
        at_time: None,
        min_time_evidence: None,
    };
    let offline = Offline::at(&signed, moments, at("2025-03-02T00:00:00Z")).expect("in time");
    let answer = offline.document(b"{}", &Wanted::default());
    let said = "offline by trust bundle 40 of 2025-03-01T00:00:00Z, good until 2025-03-15T00:00:00Z, signed by feed-10";
    assert_eq!(
        (answer.trace[0].name.as_str(), answer.trace[0].detail.as_str()),
        ("trust", said)
    );
    assert_eq!(answer.parts[0].trace, answer.trace);
    assert_eq!(answer.trace.iter().filter(|c| c.name == "trust").count(), 1);
}
