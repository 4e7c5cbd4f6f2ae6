//! A whole attestation through the engine, from the envelope's bytes to a
//! verdict with its trace, beside the bare signature check on one core.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ML_DSA_65, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm,
};
use stella_core::alg::{Algorithm, PublicKey};
use stella_core::bundle;
use stella_core::dsse::{self, Envelope, EnvelopeLimits, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::evidence::{Authority, Ledger};
use stella_core::id::{AnchorId, EventId};
use stella_core::predicate::PredicateType;
use stella_core::statement::{DigestSet, Statement, StatementLimits, Subject};
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::event::KeyEntered;
use stella_core::trust::{Event, EventBody, KeyType, TrustState};
use stella_core::verify::artifact::{Artifact, Candidate, judge};
use stella_core::verify::{Budget, Moment, SignatureCase, SignedStatement, Verdict, Verifier, VerifyPolicy};
use stella_keys::Sign;
use stella_keys::entropy::SystemEntropy;
use stella_keys::software::SoftwareKey;
use uuid::Uuid;

use crate::figures::{figure, rates, ratio};

const PURL: &str = "pkg:npm/left-pad@1.3.0";
const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const NOW: i64 = 1_735_689_600;

pub struct Effort {
    pub rounds: usize,
    pub turn: Duration,
    /// Of the whole statement, about.
    pub statement_bytes: usize,
}

pub fn run(effort: &Effort) -> Result<(), String> {
    let payload = statement(effort.statement_bytes)?;
    figure("verify.statement", payload.len() as f64, "bytes");
    for algorithm in Algorithm::all() {
        one(algorithm, &payload, effort)?;
    }
    Ok(())
}

fn one(algorithm: Algorithm, payload: &[u8], effort: &Effort) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let key = SoftwareKey::generate(algorithm, &mut SystemEntropy).map_err(|e| text(&e))?;
    let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload);
    let signature = key.sign(&pae).map_err(|e| text(&e))?;
    let envelope = Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: payload.to_vec(),
        signatures: vec![EnvelopeSignature {
            keyid: Some("k1".to_owned()),
            sig: signature.clone(),
        }],
    };
    let limits = EnvelopeLimits::default();
    let bundle = bundle::build(&envelope.to_json(), &limits).map_err(|e| text(&e))?;
    let world = World::of(key.public_key().clone())?;
    if world.verdict(&bundle)? != Verdict::Pass {
        return Err(format!("{algorithm}: what was signed does not pass"));
    }

    let bare = Bare::of(key.public_key())?;
    let mut raw_sign = || {
        black_box(key.sign(black_box(&pae)).is_ok());
    };
    let mut raw_verify = || {
        assert!(bare.verify(black_box(&pae), black_box(&signature)));
    };
    let mut engine = || {
        assert_eq!(world.verdict(black_box(&bundle)), Ok(Verdict::Pass));
    };
    let [signs, verifies, whole] = rates(
        effort.rounds,
        effort.turn,
        [&mut raw_sign, &mut raw_verify, &mut engine],
    );
    let short = algorithm.scheme().short_names().first().copied();
    let name = short.unwrap_or(algorithm.id());
    figure(&format!("verify.{name}.raw-sign"), signs, "1/s");
    figure(&format!("verify.{name}.raw-verify"), verifies, "1/s");
    figure(&format!("verify.{name}.attestation"), whole, "1/s");
    figure(
        &format!("verify.{name}.overhead"),
        (1.0 / whole - 1.0 / verifies) * 1e6,
        "us",
    );
    ratio(&format!("verify.{name}.attestation-to-raw"), whole / verifies);
    Ok(())
}

/// The signature check with nothing around it. AWS-LC's own parsed key where
/// it knows the algorithm, so that the limit is the library's and not ours.
pub enum Bare {
    Parsed(ParsedPublicKey),
    Ours(PublicKey),
}

impl Bare {
    pub fn of(key: &PublicKey) -> Result<Self, String> {
        let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm().id() {
            "SHA256-ED25519" => &ED25519,
            "SHA256-ECDSA-P256" => &ECDSA_P256_SHA256_ASN1,
            "ML-DSA-65" => &ML_DSA_65,
            _ => return Ok(Self::Ours(key.clone())),
        };
        let parsed = UnparsedPublicKey::new(algorithm, key.raw()).parse();
        parsed.map(Self::Parsed).map_err(|e| e.to_string())
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Parsed(key) => key.verify_sig(message, signature).is_ok(),
            Self::Ours(key) => key.verify(message, signature).is_ok(),
        }
    }
}

struct World {
    trust: TrustState,
    authorities: BTreeMap<String, Authority>,
    policy: VerifyPolicy,
    artifact: Artifact,
}

impl World {
    /// One key in one anchor.
    fn of(key: PublicKey) -> Result<Self, String> {
        let anchor_id = AnchorId(Uuid::from_u128(1));
        let key_id = "k1".parse().map_err(|_| "a key id")?;
        let bodies = [
            EventBody::KeyImported(KeyEntered {
                key_id,
                key_type: KeyType::Signing,
                public_key: key,
                created_at: None,
                custody: None,
            }),
            EventBody::AnchorCreated {
                anchor_id,
                purl_pattern: "pkg:npm/*".parse().map_err(|_| "a pattern")?,
                policy: AnchorPolicy::default(),
            },
            EventBody::KeyAdded {
                anchor_id,
                key_id: "k1".parse().map_err(|_| "a key id")?,
                added_at: Timestamp::from_secs(NOW),
                expires_at: None,
            },
        ];
        let mut trust = TrustState::default();
        for (sequence, body) in (1..).zip(bodies) {
            let event = Event {
                sequence,
                id: EventId(Uuid::from_u128(u128::from(sequence))),
                recorded_at: Timestamp::from_secs(NOW),
                actor: "bench".to_owned(),
                body,
            };
            trust.apply(&event).map_err(|e| e.to_string())?;
        }
        Ok(Self {
            trust,
            authorities: BTreeMap::new(),
            policy: VerifyPolicy::default(),
            artifact: Artifact {
                digest: DigestSet::parse_spec(&format!("sha256:{HEX}")).map_err(|e| e.to_string())?,
                name: Some(stella_core::purl::SubjectName::parse(PURL).map_err(|e| e.to_string())?),
                require_types: [cyclonedx()?].into_iter().collect(),
            },
        })
    }

    /// As `verify --bundle F --digest D --purl P --require-type cyclonedx`.
    fn verdict(&self, bundle: &[u8]) -> Result<Verdict, String> {
        let document =
            bundle::Document::parse(bundle, &EnvelopeLimits::default()).map_err(|e| e.to_string())?;
        let envelope = document.envelope;
        let signatures = envelope
            .signatures
            .into_iter()
            .map(|s| SignatureCase {
                keyid: s.keyid,
                sig: s.sig,
                evidence: Vec::new(),
                ledger: Ledger::NotConsulted,
            })
            .collect();
        let statement = SignedStatement::open(
            &envelope.payload_type,
            &envelope.payload,
            signatures,
            &StatementLimits::default(),
        )
        .map_err(|check| check.detail)?;
        let candidate = Candidate {
            reference: "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
            unsigned: false,
            other_signer: false,
            statement,
        };
        let verifier = Verifier {
            trust: &self.trust,
            authorities: &self.authorities,
            policy: &self.policy,
            moment: Moment::at(Timestamp::from_secs(NOW + 86_400)),
            min_time_evidence: None,
        };
        let judged = judge(verifier, &self.artifact, &[candidate], &mut Budget::new(64));
        Ok(black_box(judged).verdict)
    }
}

/// A CycloneDX statement of about this size.
pub fn statement(bytes: usize) -> Result<Vec<u8>, String> {
    let subject = Subject {
        name: Some(PURL.to_owned()),
        digest: DigestSet::parse_spec(&format!("sha256:{HEX}")).map_err(|e| e.to_string())?,
    };
    let mut components = Vec::new();
    loop {
        let predicate = format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{}]}}"#,
            components.join(",")
        );
        let payload = Statement::build(
            std::slice::from_ref(&subject),
            cyclonedx()?.as_uri(),
            &predicate,
            &StatementLimits::default(),
        )
        .map_err(|e| e.to_string())?;
        if payload.len() >= bytes {
            return Ok(payload);
        }
        let n = components.len();
        components.push(format!(
            r#"{{"type":"library","name":"component-{n}","version":"1.{n}.0","purl":"pkg:npm/component-{n}@1.{n}.0"}}"#
        ));
    }
}

fn cyclonedx() -> Result<PredicateType, String> {
    PredicateType::from_name("cyclonedx").map_err(|e| e.to_string())
}
