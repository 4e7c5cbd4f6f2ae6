//! Keys in AWS KMS: which key a URI means, and the store behind it, which is
//! started when it is first needed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::dsse;
use stella_core::id::KeyId;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::aws_kms::{self, Alias, AwsKms, AwsKmsOptions, FoundKey, KmsKeyRef};
use stella_keys::{GenerateError, Retry, Sign, SignError};

use crate::app::attest::PROBE_PAYLOAD_TYPE;
use crate::app::error::{Error, Result};
use crate::app::{App, signers};
use crate::config::Settings;

/// Absent until a key in it is needed: most instances have none.
#[derive(Default)]
pub struct Started(Mutex<Option<Arc<AwsKms>>>);

impl Started {
    /// The next key needs a new one, which reads its credentials again. What
    /// is in flight ends in the old one.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    fn store(&self, settings: &Settings) -> Result<Arc<AwsKms>> {
        let mut store = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(store) = store.as_ref() {
            return Ok(Arc::clone(store));
        }
        let started = AwsKms::start(options(settings))
            .map_err(|e| Error::unavailable(e.code(), e.to_string()).next(e.next()))?;
        Ok(Arc::clone(store.insert(Arc::new(started))))
    }
}

/// A key of KMS for a profile.
pub(in crate::app) struct ForProfile {
    pub found: FoundKey,
    /// It was there before anybody here asked for it.
    pub existed: bool,
}

impl App {
    /// Something that signs with a key of KMS. Nobody is asked yet.
    pub(in crate::app) fn open_in_kms(&self, key: &KeyRecord, uri: &str) -> Result<Arc<dyn Sign>> {
        let store = self.signers.kms.store(&self.settings)?;
        let signer = store
            .key(&reference(uri)?, key.public_key.clone())
            .map_err(|e| refused(&e))?;
        Ok(Arc::new(signer))
    }

    /// The key that the key store names, the profile's or that of a standby
    /// key: made with its alias where there is none yet, taken as it is where
    /// it is nobody's here. Where it is in use already, a successor is made,
    /// with an alias of its own: no alias is ever moved.
    pub(in crate::app) async fn make_in_kms(
        &self,
        state: &TrustState,
        id: &KeyId,
        algorithm: Algorithm,
        store: &str,
    ) -> Result<ForProfile> {
        let named = reference(store)?;
        let mut existed = true;
        let mut found = self.find_in_kms(&named).await?;
        if let KmsKeyRef::Alias(alias) = &named {
            let mut alias = alias.clone();
            if found.as_ref().is_some_and(|found| in_use(state, found)) {
                alias = successor(&alias, id)?;
                found = self.find_in_kms(&KmsKeyRef::Alias(alias.clone())).await?;
            }
            if found.is_none() {
                found = Some(self.create_in_kms(algorithm, alias, id).await?);
                existed = false;
            }
        }
        let found = found.ok_or_else(|| {
            Error::not_found("key-store.key-missing", format!("AWS KMS has no key {named}"))
                .next("name an alias as the key store: a key is then made under it")
        })?;
        if in_use(state, &found) {
            return Err(Error::conflict(
                "key.same-material",
                format!("{named} is a key of this instance already"),
            )
            .next("name an alias as the key store: its successors are then made beside it"));
        }
        self.proven_in_kms(&found, algorithm).await?;
        Ok(ForProfile { found, existed })
    }

    /// A key that is in KMS already, once it has signed a nonce.
    pub(in crate::app) async fn take_from_kms(
        &self,
        uri: &str,
        public: Option<PublicKey>,
    ) -> Result<FoundKey> {
        let named = reference(uri)?;
        let found = self.find_in_kms(&named).await?.ok_or_else(|| {
            Error::not_found("key-store.key-missing", format!("AWS KMS has no key {named}"))
                .next(format!("aws kms describe-key --key-id {}", named.key_id()))
        })?;
        if public.is_some_and(|public| public != found.public_key) {
            return Err(Error::conflict(
                "key.other-public-key",
                format!("the public key given is not that of {}", found.arn),
            )
            .next(format!("aws kms get-public-key --key-id {}", named.key_id())));
        }
        self.proven_in_kms(&found, found.public_key.algorithm()).await?;
        Ok(found)
    }

    async fn find_in_kms(&self, at: &KmsKeyRef) -> Result<Option<FoundKey>> {
        let (store, at) = (self.signers.kms.store(&self.settings)?, at.clone());
        let found = tokio::task::spawn_blocking(move || store.find(&at)).await;
        found.map_err(broke_off)?.map_err(|e| refused(&e))
    }

    /// It is of the algorithm, and a signature shows that we may use it.
    async fn proven_in_kms(&self, found: &FoundKey, algorithm: Algorithm) -> Result<()> {
        let held = found.public_key.algorithm();
        if held != algorithm {
            return Err(Error::conflict(
                "key.algorithm",
                format!(
                    "{} is a key of {held}, and the profile signs with {algorithm}",
                    found.arn
                ),
            )
            .next("stella config list"));
        }
        let store = self.signers.kms.store(&self.settings)?;
        let signer = store
            .key(&found.at, found.public_key.clone())
            .map_err(|e| refused(&e))?;
        let mut nonce = [0_u8; 32];
        self.entropy.fill(&mut nonce)?;
        let probe = dsse::pae(PROBE_PAYLOAD_TYPE, &nonce);
        self.sign_within_deadline(Arc::new(signer), probe)
            .await
            .map_err(|e| refused(&e))?;
        Ok(())
    }

    async fn create_in_kms(&self, algorithm: Algorithm, alias: Alias, id: &KeyId) -> Result<FoundKey> {
        let store = self.signers.kms.store(&self.settings)?;
        let description = format!("Stella signing key {id}");
        let made = tokio::task::spawn_blocking(move || store.create(algorithm, &alias, &description)).await;
        made.map_err(broke_off)?.map_err(|e| match e {
            GenerateError::UnsupportedAlgorithm(_) => Error::conflict(e.code(), e.to_string())
                .next("stella crypto providers list shows where keys of it can be"),
            _ => Error::unavailable(e.code(), e.to_string()),
        })
    }
}

/// The longest message that a key of this algorithm signs in this store.
pub(in crate::app) fn message_limit(uri: &str, algorithm: Algorithm) -> Option<usize> {
    (signers::scheme(uri) == "kms")
        .then(|| aws_kms::message_limit(algorithm))
        .flatten()
}

/// No other store of this build has a limit.
pub(in crate::app) const WHY_LIMITED: &str = "the statement with its DSSE header: AWS KMS must be given all of what Ed25519 signs, \
     and Ed25519ph, which takes a digest, is another algorithm";

fn options(settings: &Settings) -> AwsKmsOptions {
    let aws = &settings.kms.aws;
    let at_most = settings.time_of_a_key();
    AwsKmsOptions {
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
        credentials_file: aws.credentials_file.clone(),
        requests_per_second: aws.requests_per_second,
        request_timeout: aws.request_timeout.min(at_most).max(Duration::from_millis(1)),
        connect_timeout: aws.connect_timeout,
    }
}

fn reference(uri: &str) -> Result<KmsKeyRef> {
    KmsKeyRef::from_uri(uri)
        .ok_or_else(|| signers::unsupported(uri))?
        .map_err(|e| Error::conflict("key-store.reference", e.to_string()).next("stella config list"))
}

fn in_use(state: &TrustState, found: &FoundKey) -> bool {
    state.key_of_material(&found.public_key.fingerprint()).is_some()
}

/// Key ids have dots, aliases have none.
fn successor(alias: &Alias, id: &KeyId) -> Result<Alias> {
    alias
        .with_suffix(&id.as_str().replace('.', "_"))
        .map_err(|e| Error::conflict("key-store.reference", e.to_string()).next("choose a shorter --key-id"))
}

fn refused(error: &SignError) -> Error {
    match error.retry() {
        Retry::Later => Error::unavailable(error.code(), error.to_string()),
        Retry::AfterOperator | Retry::Never => Error::conflict(error.code(), error.to_string()),
    }
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::internal(error.to_string())
}
