//! `keys generate`.

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::api::keys::{GenerateKey, Key};
use stella_core::id::{KeyId, ProfileName};
use stella_core::time::Timestamp;
use stella_core::trust::decide::key::{NewOwnKey, check_free, enter_own};
use stella_core::trust::{KeyType, TrustState};
use stella_keys::Sign as _;
use stella_keys::software::SoftwareKey;
use stella_store::SealedKeyRow;

use crate::app::crypto::hsm::MadeOnToken;
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, aws_kms, signers, values};
use crate::config::{KeyStoreUri, Profile};

impl App {
    pub async fn generate_key(&self, caller: &Caller, request: GenerateKey) -> Result<Key> {
        let state = self.trust_head().await?;
        let (profile_name, profile) = self.profile_for(&request)?;
        let key_type = match &request.key_type {
            Some(text) => values::key_type(text)?,
            None => KeyType::Signing,
        };
        let id = match request.key_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => values::key_id(id)?,
            None => fresh_id(&state, &stem(key_type, &profile_name), self.now())?,
        };
        check_free(&state, &id, None)?;
        let store = chosen_store(&request, &profile_name, profile)?;
        let made = match signers::scheme(&store) {
            "software" => self.make_in_software(&id, profile)?,
            "kms" => self
                .make_in_kms(&state, &id, profile.algorithm, &store)
                .await?
                .into(),
            "hsm" if signers::is_local(&store) => self
                .make_in_local_hsm(&id, profile.algorithm, &store)
                .await?
                .into(),
            "hsm" => self.make_on_token(&id, profile.algorithm, &store).await?.into(),
            _ => return Err(signers::unsupported(&store)),
        };
        let max_age = i32::try_from(profile.max_age_months).unwrap_or(i32::MAX);
        let ((), state) = self
            .change(caller, |state, now| {
                let new = NewOwnKey {
                    key_id: id.clone(),
                    key_type,
                    public_key: made.public_key.clone(),
                    profile: profile_name.clone(),
                    store: made.store.clone(),
                    created_at: now,
                    not_after: Some(now.plus_months(max_age)),
                    standby: request.standby,
                    imported: made.existed,
                };
                let mut decision = Decision::new(enter_own(state, new, now)?, ());
                decision.sealed_keys.extend(made.sealed.clone());
                Ok(decision)
            })
            .await?;
        let record = state
            .keys
            .get(&id)
            .ok_or_else(|| Error::internal("the new key is not in the state"))?;
        Ok(super::view(record, &state, self.now()))
    }

    fn make_in_software(&self, id: &KeyId, profile: &Profile) -> Result<MadeKey> {
        let mut entropy = self.key_entropy();
        let key = SoftwareKey::generate(profile.algorithm, &mut entropy)
            .map_err(|e| Error::unavailable(e.code(), e.to_string()))?;
        let sealed = key
            .seal(self.signers.sealer()?, id, &mut entropy)
            .and_then(|sealed| sealed.to_bytes())
            .map_err(|e| Error::unavailable(e.code(), e.to_string()))?;
        Ok(MadeKey {
            public_key: key.public_key().clone(),
            store: "software://".to_owned(),
            existed: false,
            sealed: Some(SealedKeyRow {
                key_id: id.clone(),
                blob: sealed,
            }),
        })
    }

    /// The profile asked for, or the one of the algorithm; they must agree.
    fn profile_for(&self, request: &GenerateKey) -> Result<(ProfileName, &Profile)> {
        let profiles = &self.settings.profiles;
        let algorithm = request
            .algorithm
            .as_deref()
            .map(|text| {
                text.parse::<Algorithm>()
                    .map_err(|e| Error::invalid("key.algorithm", e))
            })
            .transpose()?;
        let name = match (&request.profile, algorithm) {
            (Some(name), _) => values::profile(name)?,
            (None, Some(wanted)) => profiles
                .iter()
                .find(|(_, p)| p.algorithm == wanted)
                .map(|(name, _)| name.clone())
                .ok_or_else(|| Error::not_found("profile.none", format!("no profile signs with {wanted}")))?,
            (None, None) => values::profile("default")?,
        };
        let profile = profiles.get(&name).ok_or_else(|| {
            let known: Vec<_> = profiles.keys().map(ProfileName::as_str).collect();
            Error::not_found(
                "profile.unknown",
                format!("no profile named {name}; there are {}", known.join(", ")),
            )
            .next("stella config list")
        })?;
        match algorithm {
            Some(wanted) if wanted != profile.algorithm => Err(Error::invalid(
                "key.algorithm",
                format!(
                    "profile {name} signs with {}, not with {wanted}",
                    profile.algorithm
                ),
            )),
            _ => Ok((name, profile)),
        }
    }

    pub(crate) fn key_entropy(&self) -> impl stella_keys::entropy::Entropy + use<> {
        KeyEntropy(std::sync::Arc::clone(&self.entropy))
    }
}

/// A key that a store holds, not entered yet.
struct MadeKey {
    public_key: PublicKey,
    /// Where this very key is, for ever.
    store: String,
    existed: bool,
    /// Of a store that has no memory of its own.
    sealed: Option<SealedKeyRow>,
}

impl From<aws_kms::ForProfile> for MadeKey {
    fn from(key: aws_kms::ForProfile) -> Self {
        Self {
            public_key: key.found.public_key,
            store: key.found.at.uri(),
            existed: key.existed,
            sealed: None,
        }
    }
}

impl From<MadeOnToken> for MadeKey {
    fn from(key: MadeOnToken) -> Self {
        Self {
            public_key: key.public_key,
            store: key.store,
            existed: false,
            sealed: None,
        }
    }
}

/// The profile's, but for a standby key: what stands in for a store is best
/// kept in another one.
fn chosen_store(request: &GenerateKey, name: &ProfileName, profile: &Profile) -> Result<String> {
    let Some(text) = request.key_store.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(profile.key_store.clone());
    };
    let store = text
        .parse::<KeyStoreUri>()
        .map_err(|e| Error::invalid("key-store.reference", e))?;
    if !request.standby {
        return Err(Error::conflict(
            "key.store-not-the-profiles",
            format!("profile {name} keeps its keys in {}", profile.key_store),
        )
        .next("leave --key-store out, or make a key that only stands in, with --standby"));
    }
    let kind = signers::scheme(&profile.key_store);
    match store {
        KeyStoreUri::Software if kind != "software" && !profile.allow_software => Err(Error::conflict(
            "key.software-not-allowed",
            format!("profile {name} does not sign in software (allowSoftware: false)"),
        )
        .next("name another token or module, such as hsm://pkcs11/token/TOKEN?module=NAME")),
        store => Ok(store.to_string()),
    }
}

/// The instance's randomness in the form that key stores take it.
struct KeyEntropy(std::sync::Arc<dyn crate::entropy::Entropy>);

impl stella_keys::entropy::Entropy for KeyEntropy {
    fn fill(&mut self, out: &mut [u8]) -> std::result::Result<(), stella_keys::entropy::EntropyError> {
        self.0
            .fill(out)
            .map_err(|e| stella_keys::entropy::EntropyError(e.to_string()))
    }
}

/// Signing keys are told apart by their profile, others by what they sign.
fn stem(key_type: KeyType, profile: &ProfileName) -> String {
    match key_type {
        KeyType::Signing => profile.to_string(),
        other => other.to_string(),
    }
}

/// `default-20250201`, then `default-20250201-2`.
fn fresh_id(state: &TrustState, stem: &str, now: Timestamp) -> Result<KeyId> {
    let day: String = now.fixed_width().chars().take(10).filter(|c| *c != '-').collect();
    (1..=10_000)
        .map(|n| {
            if n == 1 {
                format!("{stem}-{day}")
            } else {
                format!("{stem}-{day}-{n}")
            }
        })
        .filter_map(|text| text.parse::<KeyId>().ok())
        .find(|id| !state.keys.contains_key(id))
        .ok_or_else(|| Error::conflict("key.id", "no free key id for this day; give one with --key-id"))
}
