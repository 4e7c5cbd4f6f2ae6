//! An instance for tests: its own store, a clock that stands still.

pub mod memory;
mod postgres;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use stella_core::api::attestations::{CreateAttestation, Created, SubjectInput};
use stella_core::api::keys::GenerateKey;
use stella_core::api::verify::{Times, VerdictReport, VerifyArtifact, VerifyAttestation, VerifyBundle};
use stella_core::dsse::{Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::id::{AnchorId, KeyId};
use stella_core::predicate::PredicateType;
use stella_core::time::Clock;
use stella_core::trust::EventBody;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::{anchor, key};
use stella_core::trust::reason::RevokeReason;
use stella_keys::software::{Sealer, SealingKey};
use stella_keys::{Sign, SignError};
use stella_server::app::attest::CreateOptions;
use stella_server::app::caller::SigningScope;
use stella_server::app::replicas::Replica;
use stella_server::app::signers::Signers;
use stella_server::app::tokens::KnownTokens;
use stella_server::app::trust::{Decision, Trust};
use stella_server::app::{App, Caller, Result, Role, Target};
use stella_server::config::Settings;
use stella_server::entropy::SystemEntropy;
use stella_server::http::peer::Peer;
use stella_store::Store;
use stella_store::sqlite::SqliteStore;
use stella_testkit::FixedClock;
use tower::ServiceExt as _;

pub struct World {
    pub app: Arc<App>,
    pub clock: Arc<FixedClock>,
    pub owner: Caller,
    _home: Arc<tempfile::TempDir>,
}

impl World {
    /// Without a key and without an anchor.
    pub async fn empty() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let store = open_store(home.path()).await;
        Self::over(store, settings, home)
    }

    /// The home as another process finds it that starts now.
    #[allow(dead_code, reason = "each test binary uses its own part of it")]
    pub async fn restarted(self) -> Self {
        let store = open_store(self._home.path()).await;
        Self::of(store, Settings::default(), self._home, self.clock)
    }

    /// Another process on the same home.
    #[allow(dead_code, reason = "each test binary uses its own part of it")]
    pub async fn beside(&self) -> Self {
        let store = open_store(self._home.path()).await;
        let (home, clock) = (Arc::clone(&self._home), Arc::clone(&self.clock));
        Self::of(store, Settings::default(), home, clock)
    }

    /// Over a store of the test's own.
    pub fn over(store: Arc<dyn Store>, settings: Settings, home: tempfile::TempDir) -> Self {
        let clock = Arc::new(FixedClock::at("2025-01-01T00:00:00Z"));
        Self::of(store, settings, Arc::new(home), clock)
    }

    fn of(
        store: Arc<dyn Store>,
        settings: Settings,
        home: Arc<tempfile::TempDir>,
        clock: Arc<FixedClock>,
    ) -> Self {
        let sealer = Sealer::new(&SealingKey::from_bytes([7; 32])).expect("a sealer");
        let app = App {
            store,
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            settings,
            trust: Trust::default(),
            known_tokens: KnownTokens::default(),
            signers: Signers::new(Some(sealer)),
            modules: Default::default(),
            doctor: Default::default(),
            backups: Default::default(),
            queued: Default::default(),
            replica: Replica {
                name: "one".to_owned(),
                process: uuid::Uuid::from_u128(1),
                started_at: clock.now(),
                url: Default::default(),
            },
            target: Target {
                place: "test".to_owned(),
                mode: "embedded",
            },
        };
        Self {
            app: Arc::new(app),
            clock,
            owner: Caller::owner("local:root"),
            _home: home,
        }
    }

    /// With the key `k1`, which the anchor `pkg:npm/*` holds.
    pub async fn ready() -> Self {
        Self::empty().await.with_key().await
    }

    pub async fn with_key(self) -> Self {
        let world = self;
        world.generate("k1", "default").await;
        world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
        world.pass(3600);
        world
    }

    /// How many signatures were ever made here; the store finds itself sound.
    pub async fn ledger_entries(&self) -> u64 {
        let report = self.app.verify_store().await.expect("a report");
        assert!(report.ok, "{:?}", report.findings);
        report.ledger_entries
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> String {
        self.clock.now().to_string()
    }

    pub async fn generate(&self, id: &str, profile: &str) {
        let request = GenerateKey {
            profile: Some(profile.to_owned()),
            key_id: Some(id.to_owned()),
            algorithm: None,
            key_type: None,
            standby: false,
            key_store: None,
        };
        self.app.generate_key(&self.owner, request).await.expect("a key");
    }

    pub async fn anchor(&self, pattern: &str, keys: &[&str], policy: AnchorPolicy) -> AnchorId {
        let id = AnchorId::new(self.clock.now(), rand10());
        let keys: Vec<KeyId> = keys.iter().map(|k| k.parse().expect("a key id")).collect();
        let pattern = pattern.parse().expect("a pattern");
        self.app
            .change(&self.owner, |s, now| {
                let events = anchor::create(s, id, Clone::clone(&pattern), policy.clone(), &keys, now)?;
                Ok(Decision::new(events, ()))
            })
            .await
            .expect("an anchor");
        id
    }

    pub async fn append(&self, bodies: Vec<EventBody>) {
        self.app
            .change(&self.owner, |_, _| Ok(Decision::new(bodies.clone(), ())))
            .await
            .expect("events");
    }

    pub async fn activate(&self, id: &str) {
        let id: KeyId = id.parse().expect("a key id");
        self.app
            .change(&self.owner, |s, now| {
                let activation = key::activate(s, &id, Duration::from_secs(14 * 86_400), now)?;
                Ok(Decision::new(activation.events, ()))
            })
            .await
            .expect("activated");
    }

    /// In the one anchor, and the key as a whole.
    pub async fn revoke(&self, anchor: AnchorId, id: &str, reason: RevokeReason, since: Option<&str>) {
        let since = since.map(|t| t.parse().expect("a time"));
        let revoked = |anchor_id| EventBody::KeyRevoked {
            anchor_id,
            key_id: id.parse().expect("a key id"),
            reason,
            effective_at: self.clock.now(),
            compromised_since: since,
            note: None,
        };
        self.append(vec![revoked(Some(anchor)), revoked(None)]).await;
    }

    /// Signed with our key, but not by us: what a thief of the key does.
    pub async fn sign_outside(&self, id: &str, payload: &[u8]) -> String {
        let trust = self.app.trust_head().await.expect("trust");
        let key = trust.keys.get(&id.parse::<KeyId>().expect("id")).expect("key");
        let signer = self.app.signer(key).await.expect("signer");
        let pae = stella_core::dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload);
        let envelope = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload.to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some(id.to_owned()),
                sig: signer.sign(&pae).expect("a signature"),
            }],
        };
        String::from_utf8(envelope.to_json()).expect("text")
    }

    /// The key's store misbehaves from now on; answers what it was before.
    pub async fn break_key(&self, id: &str, fault: Fault) -> Arc<dyn Sign> {
        let trust = self.app.trust_head().await.expect("trust");
        let id: KeyId = id.parse().expect("a key id");
        let key = trust.keys.get(&id).expect("a key");
        let first = key.stores().next().expect("a store").to_owned();
        self.break_key_in(id.as_str(), &first, fault).await
    }

    /// The same in one of its stores.
    pub async fn break_key_in(&self, id: &str, store: &str, fault: Fault) -> Arc<dyn Sign> {
        let trust = self.app.trust_head().await.expect("trust");
        let id: KeyId = id.parse().expect("a key id");
        let key = trust.keys.get(&id).expect("a key");
        let inner = self.app.signer_in(key, store).await.expect("a signer");
        let faulty: Arc<dyn Sign> = Arc::new(Faulty {
            inner: inner.clone(),
            fault,
        });
        self.app.signers.keep(&id, store, &faulty).await;
        inner
    }

    pub async fn create(&self, request: CreateAttestation) -> Result<Created> {
        self.app
            .create_attestation(&self.owner, request, CreateOptions::default())
            .await
    }

    pub async fn verify(&self, id: &str) -> VerdictReport {
        self.verify_at(id, times()).await
    }

    pub async fn verify_at(&self, id: &str, times: Times) -> VerdictReport {
        let request = VerifyAttestation {
            attestation: Some(id.to_owned()),
            last: false,
            signer: None,
            times,
        };
        self.app
            .verify_attestation(&self.owner, request)
            .await
            .expect("a verdict")
    }

    pub async fn gate(&self, digest: &str, purl: Option<&str>, types: &[&str]) -> VerdictReport {
        self.gate_as(&self.owner, digest, purl, types).await
    }

    pub async fn gate_as(
        &self,
        caller: &Caller,
        digest: &str,
        purl: Option<&str>,
        types: &[&str],
    ) -> VerdictReport {
        let request = VerifyArtifact {
            digests: sha256(digest),
            purl: purl.map(str::to_owned),
            require_types: types.iter().map(|t| (*t).to_owned()).collect(),
            signer: None,
            times: times(),
        };
        self.app
            .verify_artifact(caller, request)
            .await
            .expect("a verdict")
    }

    pub async fn verify_bundle(
        &self,
        document: String,
        digest: Option<&str>,
        purl: Option<&str>,
    ) -> VerdictReport {
        let request = VerifyBundle {
            document,
            digests: digest.map(sha256).unwrap_or_default(),
            purl: purl.map(str::to_owned),
            require_types: Vec::new(),
            times: times(),
        };
        self.app
            .verify_bundle(&self.owner, request)
            .await
            .expect("a verdict")
    }

    /// As the network would send it, byte for byte, by whoever owns the home.
    pub async fn post(
        &self,
        path: &str,
        body: impl Into<Vec<u8>>,
        header: Option<(&str, &str)>,
    ) -> (u16, Value) {
        let mut request = Request::post(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body.into())).expect("a request");
        request.extensions_mut().insert(Peer::Embedded {
            user: "root".to_owned(),
        });
        let response = stella_server::http::router(Arc::clone(&self.app))
            .oneshot(request)
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// The store of this home: SQLite, or with `STELLA_TEST_STORE=postgres` a
/// database of its own.
pub async fn open_store(home: &Path) -> Arc<dyn Store> {
    match std::env::var("STELLA_TEST_STORE").as_deref() {
        Ok("postgres") => Arc::new(postgres::open(home).await),
        Ok(other) => panic!("STELLA_TEST_STORE is postgres or not set, not {other}"),
        Err(_) => {
            let options = stella_store::sqlite::OpenOptions::default();
            Arc::new(SqliteStore::open(&home.join("stella.db"), &options).expect("a store"))
        }
    }
}

/// A key store that misbehaves.
pub struct Faulty {
    pub inner: Arc<dyn Sign>,
    pub fault: Fault,
}

#[derive(Clone, Copy)]
pub enum Fault {
    /// Answers long after the deadline.
    Hung,
    /// Answers with something that is no signature of it.
    Lying,
    Down,
    /// Will never sign this message.
    TooSmall,
}

impl Sign for Faulty {
    fn public_key(&self) -> &stella_core::alg::PublicKey {
        self.inner.public_key()
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignError> {
        match self.fault {
            Fault::Hung => {
                std::thread::sleep(Duration::from_millis(1_000));
                self.inner.sign(message)
            }
            Fault::Lying => self.inner.sign(&[message, b"!"].concat()),
            Fault::Down => Err(SignError::Unavailable("no token".to_owned())),
            Fault::TooSmall => Err(SignError::MessageTooLarge {
                limit: 1,
                actual: message.len(),
            }),
        }
    }

    fn describe(&self) -> stella_keys::StoreDescription {
        self.inner.describe()
    }
}

pub fn times() -> Times {
    Times {
        at_time: None,
        as_of: None,
        now: None,
        min_time_evidence: None,
    }
}

pub fn as_of(t: &str) -> Times {
    Times {
        as_of: Some(t.to_owned()),
        ..times()
    }
}

/// A digest that only repeats one hex digit.
pub fn sha256(digit: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), digit.repeat(64))])
}

/// One subject, of a digest that only repeats one hex digit.
pub fn about(name: &str, digit: &str, kind: &str) -> CreateAttestation {
    CreateAttestation {
        statement: None,
        predicate_type: Some(kind.to_owned()),
        subjects: vec![SubjectInput {
            name: Some(name.to_owned()),
            digest: sha256(digit),
        }],
        predicate: Some(format!("{{\"about\": \"{name}\"}}")),
        profiles: Vec::new(),
        force: None,
    }
}

/// A whole statement's exact bytes.
pub fn payload(name: &str, digit: &str, kind: &str) -> Vec<u8> {
    let uri = PredicateType::from_name(kind).expect("a type");
    format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"{name}","digest":{{"sha256":"{}"}}}}],"predicateType":"{}","predicate":{{}}}}"#,
        digit.repeat(64),
        uri.as_uri()
    )
    .into_bytes()
}

pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A signer over the network who may only have this much signed.
pub fn scoped(purl: &str, kind: &str) -> Caller {
    Caller {
        identity: "token:ci".to_owned(),
        token: None,
        role: Role::Signer,
        scope: SigningScope {
            purls: Some(vec![purl.parse().expect("a pattern")]),
            types: Some(BTreeSet::from([PredicateType::from_name(kind).expect("a type")])),
            profiles: None,
        },
        remote: true,
    }
}

fn rand10() -> [u8; 10] {
    stella_server::entropy::id_bytes(&SystemEntropy).expect("randomness")
}
