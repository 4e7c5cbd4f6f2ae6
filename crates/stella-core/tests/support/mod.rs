//! Keys, statements and histories that the tests of the engine share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use stella_core::alg::{Algorithm, PublicKey};
use stella_core::digest::Sha256;
use stella_core::dsse::{self, IN_TOTO_PAYLOAD_TYPE};
use stella_core::evidence::{Authority, Ledger};
use stella_core::id::{AnchorId, EventId, KeyId, ProfileName};
use stella_core::predicate::PredicateType;
use stella_core::purl::SubjectName;
use stella_core::statement::{DigestSet, Statement, StatementLimits, Subject};
use stella_core::time::Timestamp;
use stella_core::trust::decide::key::NewOwnKey;
use stella_core::trust::event::{CustodyEntered, KeyEntered};
use stella_core::trust::{Event, EventBody, KeyType, TrustState};
use stella_core::verify::{Moment, SignatureCase, SignedStatement, Verifier, VerifyPolicy};
use uuid::Uuid;

/// The digest of the artifact that the tests talk about.
pub const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
pub const PURL: &str = "pkg:npm/left-pad@1.3.0";

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub fn key_id(name: &str) -> KeyId {
    name.parse().expect("a key id")
}

pub fn profile(name: &str) -> ProfileName {
    name.parse().expect("a profile name")
}

pub fn anchor_id(n: u128) -> AnchorId {
    AnchorId(Uuid::from_u128(n))
}

pub fn subject_name(text: &str) -> SubjectName {
    SubjectName::parse(text).expect("a name")
}

pub fn predicate(name: &str) -> PredicateType {
    PredicateType::from_name(name).expect("a predicate type")
}

pub fn digest() -> DigestSet {
    DigestSet::parse_spec(&format!("sha256:{HEX}")).expect("a digest")
}

const PAIRS: u8 = 17;

/// Key pairs made from their number, once.
pub fn pair(n: usize) -> &'static Ed25519KeyPair {
    static MADE: OnceLock<Vec<Ed25519KeyPair>> = OnceLock::new();
    let pairs = MADE.get_or_init(|| {
        (1..=PAIRS)
            .map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key pair"))
            .collect()
    });
    &pairs[n]
}

pub fn public_key(n: usize) -> PublicKey {
    static KEYS: OnceLock<Vec<PublicKey>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let ed25519: Algorithm = "ed25519".parse().expect("an algorithm");
        (0..usize::from(PAIRS))
            .map(|n| PublicKey::from_raw(ed25519, pair(n).public_key().as_ref()).expect("a public key"))
            .collect()
    });
    keys[n].clone()
}

pub fn payload(name: Option<&str>, predicate_type: &str) -> Vec<u8> {
    let subject = Subject {
        name: name.map(ToOwned::to_owned),
        digest: digest(),
    };
    Statement::build(&[subject], predicate_type, "{}", &StatementLimits::default()).expect("a statement")
}

pub fn sign(n: usize, payload: &[u8]) -> Vec<u8> {
    pair(n)
        .sign(&dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload))
        .as_ref()
        .to_vec()
}

/// A signature by key `n` without evidence, which names no key.
pub fn signature(n: usize, payload: &[u8]) -> SignatureCase {
    SignatureCase {
        keyid: None,
        sig: sign(n, payload),
        evidence: Vec::new(),
        ledger: Ledger::NotConsulted,
    }
}

pub fn open(payload: &[u8], signatures: Vec<SignatureCase>) -> SignedStatement {
    SignedStatement::open(
        IN_TOTO_PAYLOAD_TYPE,
        payload,
        signatures,
        &StatementLimits::default(),
    )
    .expect("a statement to judge")
}

/// A log under construction: each body gets its number and its time.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub events: Vec<Event>,
    pub state: TrustState,
}

impl History {
    pub fn record(&mut self, now: Timestamp, bodies: impl IntoIterator<Item = EventBody>) {
        for body in bodies {
            let event = Event {
                sequence: self.state.head + 1,
                id: EventId(Uuid::from_u128(u128::from(self.state.head + 1))),
                recorded_at: now,
                actor: "local:uid=1000".to_owned(),
                body,
            };
            self.state.apply(&event).expect("an event that follows");
            self.events.push(event);
        }
    }
}

pub fn entered(id: &str, n: usize, created_at: Option<Timestamp>, of: Option<&str>) -> KeyEntered {
    KeyEntered {
        key_id: key_id(id),
        key_type: KeyType::Signing,
        public_key: public_key(n),
        created_at,
        custody: of.map(|p| CustodyEntered {
            profile: profile(p),
            store: "software://".to_owned(),
            not_after: None,
            standby: false,
        }),
    }
}

pub fn new_own(id: &str, n: usize, of: &str, now: Timestamp) -> NewOwnKey {
    NewOwnKey {
        key_id: key_id(id),
        key_type: KeyType::Signing,
        public_key: public_key(n),
        profile: profile(of),
        store: "software://".to_owned(),
        created_at: now,
        not_after: None,
        standby: false,
        imported: false,
    }
}

pub fn authority(id: &str, operator: &str) -> (String, Authority) {
    let authority = Authority {
        id: id.to_owned(),
        operator: operator.to_owned(),
        valid_from: Timestamp::MIN,
        valid_until: None,
        trusted: true,
    };
    (id.to_owned(), authority)
}

/// Everything a verifier is made of, owned.
#[derive(Debug, Clone)]
pub struct Bench {
    pub trust: TrustState,
    pub authorities: BTreeMap<String, Authority>,
    pub policy: VerifyPolicy,
}

impl Bench {
    pub fn new(trust: TrustState) -> Self {
        Self {
            trust,
            authorities: BTreeMap::from([
                authority("tsa-1", "tsa.example"),
                authority("tsa-2", "other.example"),
            ]),
            policy: VerifyPolicy::default(),
        }
    }

    pub fn at(&self, now: Timestamp) -> Verifier<'_> {
        Verifier {
            trust: &self.trust,
            authorities: &self.authorities,
            policy: &self.policy,
            moment: Moment::at(now),
            min_time_evidence: None,
        }
    }
}

pub fn sha(text: &str) -> Sha256 {
    Sha256::of(text.as_bytes())
}
