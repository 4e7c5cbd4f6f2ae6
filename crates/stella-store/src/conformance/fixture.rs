//! Keys, anchors, events and attestations to fill a store with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use stella_core::alg::PublicKey;
use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae_digest};
use stella_core::id::{AnchorId, AttestationId, EventId, KeyId, TokenId};
use stella_core::statement::{DigestSet, Statement, StatementLimits, Subject};
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::event::{CustodyEntered, KeyEntered};
use stella_core::trust::{Event, EventBody, KeyType, TrustState};

use crate::{
    Append, Appended, Attempt, AttestationState, LedgerKey, NewAttestation, Outcome, ProofRow, Requested,
    Signed, SignedHere, Store,
};

pub(super) const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// A store with the state that a server would hold of it.
pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub state: TrustState,
}

impl Fixture {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            state: TrustState::default(),
        }
    }

    /// With `key-1`, active, and an anchor that holds it.
    pub async fn with_a_key(store: Arc<dyn Store>) -> Self {
        let mut fixture = Self::new(store);
        fixture.append(vec![entered("key-1"), activated("key-1")]).await;
        fixture
            .append(vec![anchor_created(1, "pkg:npm/*"), key_added(1, "key-1")])
            .await;
        fixture
    }

    pub async fn append(&mut self, bodies: Vec<EventBody>) {
        let append = self.on_top(bodies);
        self.state = TrustState::clone(&append.state);
        let done = self.store.append(append, vec![], vec![]).await;
        assert_eq!(done.unwrap(), Appended::Done);
    }

    /// As if another call had stored these.
    pub fn apply(&mut self, bodies: Vec<EventBody>) {
        self.state = TrustState::clone(&self.on_top(bodies).state);
    }

    /// As decided on the present head, not appended yet.
    pub fn on_top(&self, bodies: Vec<EventBody>) -> Append {
        let mut state = self.state.clone();
        let events = events(state.head, bodies);
        for event in &events {
            state.apply(event).unwrap();
        }
        Append {
            expected_head: self.state.head,
            events,
            state: Arc::new(state),
        }
    }

    pub fn key_version(&self, id: &str) -> u64 {
        self.state.keys[&key_id(id)].version
    }

    /// As if `key` had signed this attestation just now.
    pub fn signed(&self, new: &NewAttestation, key: &str) -> Signed {
        let sig = Sha256::of_parts(&[key.as_bytes(), new.pae.as_bytes()]);
        let envelope = Envelope {
            payload_type: new.payload_type.clone(),
            payload: new.payload.clone(),
            signatures: vec![EnvelopeSignature {
                keyid: Some(key.into()),
                sig: sig.as_bytes().to_vec(),
            }],
        };
        Signed {
            envelope: envelope.to_json(),
            recorded_at: at(500),
            by: Some(SignedHere {
                key_id: key_id(key),
                key_version: self.key_version(key),
                ledger: LedgerKey {
                    pae: new.pae,
                    spki: self.state.keys[&key_id(key)].public_key.fingerprint(),
                    signature: Sha256::of(sig.as_bytes()),
                },
                requested_by: new.requested.identity.clone(),
            }),
            events: None,
        }
    }

    /// Of attestations that are stored and signed, the first of them the spine.
    pub async fn proof(&self, spine: &[u64], members: &[&[u64]]) -> ProofRow {
        let mut parts = Vec::new();
        for numbers in std::iter::once(&spine).chain(members) {
            let mut envelopes = Vec::new();
            for n in *numbers {
                let row = self.store.attestation(attestation_id(*n)).await.unwrap().unwrap();
                let bytes = row.signed.unwrap().envelope;
                envelopes.push(Envelope::parse(&bytes, &EnvelopeLimits::default()).unwrap());
            }
            parts.push(SignedPayload::of(envelopes).unwrap());
        }
        let spine_part = parts.remove(0);
        let bundle = ProofBundle::new(spine_part, parts, &ProofLimits::default()).unwrap();
        let ids = |numbers: &[u64]| numbers.iter().map(|n| attestation_id(*n)).collect();
        ProofRow {
            address: bundle.address(),
            spine: ids(spine),
            members: members.iter().map(|m| ids(m)).collect(),
            created_by: "token:ci".into(),
            created_at: at(600),
        }
    }

    pub fn signed_attestation(&self, n: u64) -> NewAttestation {
        let mut new = attestation(n);
        new.outcome = Outcome::Signed(self.signed(&new, "key-1"));
        new
    }
}

/// `seconds` into 2025.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_735_689_600 + seconds as i64)
}

pub fn key_id(id: &str) -> KeyId {
    id.parse().unwrap()
}

pub fn anchor_id(n: u64) -> AnchorId {
    AnchorId::new(at(n), random(n))
}

pub fn attestation_id(n: u64) -> AttestationId {
    AttestationId::new(at(n), random(n))
}

pub fn token_id(n: u64) -> TokenId {
    TokenId::new(at(n), random(n))
}

fn random(n: u64) -> [u8; 10] {
    let digest = Sha256::of(&n.to_be_bytes());
    std::array::from_fn(|i| digest.as_bytes()[i])
}

/// A valid Ed25519 public key whose private half nobody has.
pub fn public_key(name: &str) -> PublicKey {
    let ed25519 = "SHA256-ED25519".parse().unwrap();
    (0_u32..)
        .find_map(|n| {
            let point = Sha256::of_parts(&[name.as_bytes(), &n.to_be_bytes()]);
            PublicKey::from_raw(ed25519, point.as_bytes()).ok()
        })
        .unwrap()
}

pub fn events(head: u64, bodies: Vec<EventBody>) -> Vec<Event> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (head + 1..)
        .zip(bodies)
        .map(|(sequence, body)| Event {
            sequence,
            id: EventId::new(at(sequence), random(COUNT.fetch_add(1, Ordering::Relaxed))),
            recorded_at: at(sequence),
            actor: format!("token:{}", if sequence % 2 == 0 { "even" } else { "odd" }),
            body,
        })
        .collect()
}

pub fn entered(key: &str) -> EventBody {
    EventBody::KeyGenerated(KeyEntered {
        key_id: key_id(key),
        key_type: KeyType::Signing,
        public_key: public_key(key),
        created_at: Some(at(0)),
        custody: Some(CustodyEntered {
            profile: "default".parse().unwrap(),
            store: "software://".into(),
            not_after: Some(at(31_536_000)),
            standby: false,
        }),
    })
}

pub fn activated(key: &str) -> EventBody {
    EventBody::KeyActivated { key_id: key_id(key) }
}

pub fn anchor_created(n: u64, pattern: &str) -> EventBody {
    EventBody::AnchorCreated {
        anchor_id: anchor_id(n),
        purl_pattern: pattern.parse().unwrap(),
        policy: AnchorPolicy::default(),
    }
}

pub fn key_added(anchor: u64, key: &str) -> EventBody {
    EventBody::KeyAdded {
        anchor_id: anchor_id(anchor),
        key_id: key_id(key),
        added_at: at(0),
        expires_at: None,
    }
}

pub fn setting(n: u64) -> EventBody {
    EventBody::ConfigSet {
        key: format!("test.{n}"),
        value: n.to_string(),
    }
}

/// Recorded, about `pkg:npm/app@n`.
pub fn attestation(n: u64) -> NewAttestation {
    attestation_of(PREDICATE, n)
}

pub fn attestation_of(predicate_type: &str, n: u64) -> NewAttestation {
    let digest = Sha256::of(&n.to_be_bytes());
    let sets = [
        DigestSet::sha256(&digest),
        DigestSet::new(BTreeMap::from([
            ("gitCommit".into(), "ABCDEF".into()),
            ("sha512".into(), digest.to_hex().repeat(2)),
        ]))
        .unwrap(),
    ];
    let names = [Some(format!("pkg:npm/app@{n}")), None];
    let subjects: Vec<_> = names
        .into_iter()
        .zip(sets)
        .map(|(name, digest)| Subject { name, digest })
        .collect();
    let payload = Statement::build(&subjects, predicate_type, "{}", &StatementLimits::default()).unwrap();
    NewAttestation {
        id: attestation_id(n),
        pae: pae_digest(IN_TOTO_PAYLOAD_TYPE, &payload),
        payload_type: IN_TOTO_PAYLOAD_TYPE.into(),
        payload,
        predicate_type: predicate_type.into(),
        subjects,
        profile: Some("default".parse().unwrap()),
        requested: Requested {
            identity: "token:ci".into(),
            token: Some(token_id(1)),
            authority: json!({"role": "signer", "purls": ["pkg:npm/*"], "weight": 0.1}).into(),
        },
        created_at: at(n),
        supersedes: None,
        imported: false,
        outcome: Outcome::Recorded(attempt(AttestationState::Recorded, n)),
        idempotency: None,
        expected_head: None,
        first: false,
    }
}

pub fn attempt(state: AttestationState, seconds: u64) -> Attempt {
    Attempt {
        state,
        error: "HSM unavailable".into(),
        at: at(seconds),
        next_at: (state == AttestationState::Recorded).then(|| at(seconds + 30)),
    }
}
