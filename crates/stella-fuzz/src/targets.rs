//! The targets. What parses must be written and read again as the same, so
//! that no two readers of it differ.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::value::RawValue;
use stella_core::alg::PublicKey;
use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::bundle::spine::{MemberRef, Spine};
use stella_core::bundle::{self, Document};
use stella_core::canonical::to_canonical;
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae_digest};
use stella_core::evidence::{Authority, Ledger};
use stella_core::json::{self, JsonLimits};
use stella_core::purl::{Purl, PurlPattern, SubjectName};
use stella_core::statement::{DigestSet, Statement, StatementLimits};
use stella_core::time::Timestamp;
use stella_core::trust::Event;
use stella_core::verify::artifact::{Artifact, Candidate, judge};
use stella_core::verify::proof::{self, Asked, Case, NothingKnown};
use stella_core::verify::{Budget, Moment, SignatureCase, SignedStatement, Verdict, Verifier, VerifyPolicy};
use stella_keys::Sign;
use stella_keys::software::SoftwareKey;

use crate::support::{HEX, History, PURL, anchor_id, entered, key_id, payload, sign, subject_name};
use crate::world::Draw;
use crate::{model, world};

pub(crate) fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

pub fn canonical(data: &[u8]) {
    if json::check(data, &JsonLimits::default()).is_err() {
        return;
    }
    let value: serde_json::Value = serde_json::from_slice(data).unwrap();
    let Ok(canonical) = to_canonical(&value) else {
        return;
    };
    json::check(&canonical, &JsonLimits::default()).unwrap();
    let again: serde_json::Value = serde_json::from_slice(&canonical).unwrap();
    assert_eq!(to_canonical(&again).unwrap(), canonical);
}

pub fn envelope(data: &[u8]) {
    let limits = EnvelopeLimits::default();
    let Ok(envelope) = Envelope::parse(data, &limits) else {
        return;
    };
    json::check(data, &limits.json).unwrap();
    let again = Envelope::parse(&envelope.to_json(), &limits).unwrap();
    assert_eq!(again, envelope);
}

pub fn bundle(data: &[u8]) {
    let limits = EnvelopeLimits::default();
    let Ok(document) = Document::parse(data, &limits) else {
        return;
    };
    // Read where it stands, or on its own: the same envelope.
    let bytes = bundle::envelope_bytes(data, &limits).unwrap();
    assert_eq!(Envelope::parse(bytes, &limits).as_ref(), Ok(&document.envelope));
    if document.envelope.signatures.len() == 1 {
        let built = bundle::build(bytes, &limits).unwrap();
        let again = Document::parse(&built, &limits).unwrap();
        assert_eq!(again.envelope, document.envelope);
    }
}

pub fn statement(data: &[u8]) {
    let limits = StatementLimits::default();
    let Ok(statement) = Statement::parse(data, &limits) else {
        return;
    };
    json::check(data, &limits.json).unwrap();
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(data).unwrap();
    let predicate = members.get("predicate").map_or("{}", |p| p.get());
    let built = Statement::build(
        statement.subjects(),
        statement.predicate_type(),
        predicate,
        &limits,
    );
    assert_eq!(Statement::parse(&built.unwrap(), &limits).unwrap(), statement);
}

pub fn digest(data: &[u8]) {
    if let Ok(digest) = DigestSet::parse_spec(text(data)) {
        assert!(digest.matches(&digest) || digest.accepted().next().is_none());
    }
}

pub fn purl(data: &[u8]) {
    if let Ok(purl) = text(data).parse::<Purl>() {
        let written = purl.to_string();
        assert_eq!(written.parse::<Purl>().unwrap().to_string(), written);
    }
    if let Ok(name) = SubjectName::parse(text(data)) {
        let written = name.to_string();
        assert_eq!(SubjectName::parse(&written).unwrap(), name);
    }
}

/// Up to the first line break a pattern, after it a name.
pub fn pattern(data: &[u8]) {
    let (pattern, name) = text(data).split_once('\n').unwrap_or((text(data), PURL));
    let Ok(pattern) = pattern.parse::<PurlPattern>() else {
        return;
    };
    let written: PurlPattern = pattern.to_string().parse().unwrap();
    assert_eq!(written.to_string(), pattern.to_string());
    if let Ok(name) = SubjectName::parse(name) {
        assert_eq!(pattern.matches(&name), written.matches(&name));
        assert!(!pattern.is_universal() || pattern.matches(&name));
    }
}

pub fn public_key(data: &[u8]) {
    let Ok(key) = PublicKey::from_any(data) else {
        return;
    };
    assert_eq!(PublicKey::from_spki_der(key.spki_der()).unwrap(), key);
    assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
    assert_eq!(PublicKey::from_raw(key.algorithm(), key.raw()).unwrap(), key);
    assert!(key.verify(b"message", data).is_err());
}

pub fn private_key(data: &[u8]) {
    let Ok(key) = SoftwareKey::import(data) else {
        return;
    };
    let signature = key.sign(b"message").unwrap();
    key.public_key().verify(b"message", &signature).unwrap();
}

pub fn event(data: &[u8]) {
    let Ok(event) = Event::from_bytes(data) else {
        return;
    };
    let written = event.to_bytes().unwrap();
    assert_eq!(Event::from_bytes(&written).unwrap(), event);
    let mut state = stella_core::trust::TrustState::default();
    let _ = state.apply(&event);
}

pub fn time(data: &[u8]) {
    if let Ok(time) = text(data).parse::<Timestamp>() {
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!(time.fixed_width().parse::<Timestamp>().unwrap(), time);
    }
}

/// Random histories of trust, evidence and questions, against the naive model.
pub fn verifier(data: &[u8]) {
    thread_local! {
        // The signature checks of all runs are the same few.
        static BUDGET: RefCell<Budget> = RefCell::new(Budget::new(u32::MAX));
    }
    let world: world::World = Draw(data.iter()).world();
    let judged = BUDGET.with_borrow_mut(|budget| world.judge(budget));
    assert_eq!(judged.verdict, model::verdict(&world), "{:?}", judged.trace);
    if let Some(code) = model::code(&world) {
        assert_eq!(judged.code, code, "{:?}", judged.trace);
    }
}

/// Whatever document is handed in passes only with a payload that was signed.
pub fn verify_document(data: &[u8]) {
    passes(data);
}

pub fn passes(data: &[u8]) -> bool {
    let Ok(document) = Document::parse(data, &EnvelopeLimits::default()) else {
        return false;
    };
    let (log, signed) = gate();
    let cases = document.envelope.signatures.iter().map(|s| SignatureCase {
        keyid: s.keyid.clone(),
        sig: s.sig.clone(),
        evidence: Vec::new(),
        ledger: Ledger::NotConsulted,
    });
    let opened = SignedStatement::open(
        &document.envelope.payload_type,
        &document.envelope.payload,
        cases.collect(),
        &StatementLimits::default(),
    );
    let Ok(statement) = opened else { return false };
    let artifact = Artifact {
        digest: DigestSet::parse_spec(&format!("sha256:{HEX}")).unwrap(),
        name: Some(subject_name(PURL)),
        require_types: Default::default(),
    };
    let candidate = Candidate {
        reference: String::new(),
        unsigned: false,
        other_signer: false,
        statement,
    };
    let (authorities, policy) = Default::default();
    let verifier = knowing(log, &authorities, &policy);
    let judged = judge(verifier, &artifact, &[candidate], &mut Budget::new(64));
    let passes = judged.verdict == Verdict::Pass;
    if passes {
        assert_eq!(document.envelope.payload_type, IN_TOTO_PAYLOAD_TYPE);
        assert!(signed.contains(&document.envelope.payload), "nobody signed that");
    }
    passes
}

/// A proof bundle, and that it says PASS of nothing but what was signed.
pub fn proof(data: &[u8]) {
    proves(data);
}

pub fn proves(data: &[u8]) -> bool {
    let limits = ProofLimits::default();
    let Ok(proof) = ProofBundle::parse(data, &limits) else {
        return false;
    };
    assert_eq!(proof.bytes(), data, "two documents say the same");
    let again = ProofBundle::new(proof.spine().clone(), proof.members().to_vec(), &limits);
    assert_eq!(again.unwrap().address(), Sha256::of(data));
    let (log, signed) = gate();
    let asked = Asked {
        name: Some(subject_name(PURL)),
        ..Asked::default()
    };
    let case = Case {
        bundle: &proof,
        asked: &asked,
        known: &NothingKnown,
        limits: &limits,
        statements: &StatementLimits::default(),
    };
    let (authorities, policy) = Default::default();
    let judged = proof::judge(knowing(log, &authorities, &policy), case, &mut Budget::new(64));
    let passes = judged.verdict == Verdict::Pass;
    if passes {
        assert_eq!(proof.spine().payload(), spine(signed), "nobody signed that spine");
        assert!(proof.members().iter().map(|m| m.payload()).eq(signed));
    }
    passes
}

/// What lists these statements, in this order.
fn spine(signed: &[Vec<u8>]) -> Vec<u8> {
    let limits = StatementLimits::default();
    let members = signed.iter().map(|payload| MemberRef {
        pae: pae_digest(IN_TOTO_PAYLOAD_TYPE, payload),
        predicate_type: Statement::parse(payload, &limits)
            .unwrap()
            .predicate_type()
            .to_owned(),
    });
    let subject = Statement::parse(&signed[0], &limits).unwrap().subjects()[0].clone();
    Spine::new(subject, members.collect()).to_payload().unwrap()
}

fn knowing<'a>(
    log: &'a History,
    authorities: &'a BTreeMap<String, Authority>,
    policy: &'a VerifyPolicy,
) -> Verifier<'a> {
    Verifier {
        trust: &log.state,
        authorities,
        policy,
        moment: Moment::at(world::t(100)),
        min_time_evidence: None,
    }
}

/// One key in one anchor, and what it signed. The seeds of the corpus are
/// envelopes over these payloads: the keys are made from their numbers.
pub(crate) fn gate() -> &'static (History, Vec<Vec<u8>>) {
    static GATE: OnceLock<(History, Vec<Vec<u8>>)> = OnceLock::new();
    GATE.get_or_init(|| {
        let mut log = History::default();
        use stella_core::trust::EventBody;
        log.record(
            world::t(0),
            [
                EventBody::KeyImported(entered("k0", 0, None, None)),
                EventBody::AnchorCreated {
                    anchor_id: anchor_id(1),
                    purl_pattern: "pkg:npm/*".parse().unwrap(),
                    policy: Default::default(),
                },
                EventBody::KeyAdded {
                    anchor_id: anchor_id(1),
                    key_id: key_id("k0"),
                    added_at: world::t(0),
                    expires_at: None,
                },
            ],
        );
        let signed = ["https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"];
        (log, signed.map(|kind| payload(Some(PURL), kind)).to_vec())
    })
}

/// Documents that pass, for the corpus.
pub fn seeds() -> Vec<Vec<u8>> {
    let (_, signed) = gate();
    let limits = EnvelopeLimits::default();
    let documents = signed
        .iter()
        .map(|payload| bundle::build(&envelope_of(payload).to_json(), &limits).unwrap());
    documents.collect()
}

/// A proof that passes, for the corpus.
pub fn proof_seed() -> Vec<u8> {
    let (_, signed) = gate();
    let part = |payload: &[u8]| SignedPayload::of([envelope_of(payload)]).unwrap();
    let members = signed.iter().map(|payload| part(payload)).collect();
    let proof = ProofBundle::new(part(&spine(signed)), members, &ProofLimits::default());
    proof.unwrap().bytes().to_vec()
}

fn envelope_of(payload: &[u8]) -> Envelope {
    Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: payload.to_vec(),
        signatures: vec![EnvelopeSignature {
            keyid: Some("k0".to_owned()),
            sig: sign(0, payload),
        }],
    }
}
