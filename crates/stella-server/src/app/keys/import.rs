//! `keys import`: somebody else's public key, or a private key of our own
//! that was made elsewhere.

use stella_core::alg::PublicKey;
use stella_core::api::keys::{ImportKey, Key};
use stella_core::id::KeyId;
use stella_core::time::Timestamp;
use stella_core::trust::KeyType;
use stella_core::trust::decide::key::{NewOwnKey, check_free, enter_external, enter_own};
use stella_keys::Sign as _;
use stella_keys::software::SoftwareKey;
use stella_store::{LogRow, SealedKeyRow};
use zeroize::Zeroizing;

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, signers, values};
use crate::config::Profile;

impl App {
    pub async fn import_key(&self, caller: &Caller, request: ImportKey) -> Result<Key> {
        let private = request
            .private_key
            .filter(|text| !text.trim().is_empty())
            .map(Zeroizing::new);
        let id = values::key_id(&request.key_id)?;
        let public = super::public_key(request.public_key.as_deref())?;
        let profile = request.profile.filter(|name| !name.is_empty());
        let created_at = request
            .created_at
            .as_deref()
            .map(|t| values::time(t, self.now()))
            .transpose()?;
        if let Some(uri) = request.key_store.filter(|uri| !uri.is_empty()) {
            let profile = match (private, profile) {
                (Some(_), _) => {
                    return Err(Error::invalid(
                        "key.import-two-places",
                        "a private key was given, and a key store that holds one",
                    )
                    .next("give --private-key or --key-store"));
                }
                (None, None) => return Err(needs_profile()),
                (None, Some(profile)) => self.known_profile(&profile)?,
            };
            let wanted = Wanted {
                id,
                profile,
                created_at,
                standby: request.standby,
            };
            return self
                .import_reference(caller, wanted, &uri, public, request.allow_extractable)
                .await;
        }
        match (private, profile, public) {
            (Some(private), Some(profile), public) => {
                let key = read_private(&private, public.as_ref())?;
                let wanted = Wanted {
                    id,
                    profile: self.known_profile(&profile)?,
                    created_at,
                    standby: request.standby,
                };
                self.seal_imported(caller, wanted, key).await
            }
            (Some(_), None, _) => Err(needs_profile()),
            (None, Some(_), _) => Err(Error::invalid(
                "key.import-needs-private-key",
                "a profile signs with a private key, and none was given",
            )
            .next("give --private-key or --key-store, or leave --profile out for a key that only verifies")),
            (None, None, None) => Err(Error::invalid("key.import-nothing", "no key was given")
                .next("give --public-key FILE, or --profile with --private-key FILE")),
            (None, None, Some(_)) if request.standby => Err(Error::invalid(
                "key.import-standby",
                "a key that only verifies cannot stand by to sign",
            )),
            (None, None, Some(public)) => self.enter_foreign(caller, id, public, created_at).await,
        }
    }

    async fn enter_foreign(
        &self,
        caller: &Caller,
        id: KeyId,
        public: PublicKey,
        created_at: Option<Timestamp>,
    ) -> Result<Key> {
        let ((), state) = self
            .change(caller, |state, now| {
                let events = enter_external(state, id.clone(), public.clone(), created_at, now)?;
                Ok(Decision::new(events, ()))
            })
            .await?;
        self.view_key(&state, &id)
    }

    async fn seal_imported(&self, caller: &Caller, wanted: Wanted, key: SoftwareKey) -> Result<Key> {
        let profile = self.profile_of(&wanted, key.public_key()).await?;
        if signers::scheme(&profile.key_store) != "software" {
            return Err(Error::conflict(
                "key.store-not-software",
                format!(
                    "keys of profile {} live in {}; no private key is carried into it",
                    wanted.profile, profile.key_store
                ),
            )
            .next(format!(
                "stella keys generate --profile {0}, or stella keys import --profile {0} --key-store URI",
                wanted.profile
            )));
        }
        let blob = key
            .seal(self.signers.sealer()?, &wanted.id, &mut self.key_entropy())
            .and_then(|sealed| sealed.to_bytes())
            .map_err(|e| Error::unavailable(e.code(), e.to_string()))?;
        let held = Held {
            public_key: key.public_key().clone(),
            store: profile.key_store.clone(),
            sealed: Some(SealedKeyRow {
                key_id: wanted.id.clone(),
                blob,
            }),
        };
        self.enter_imported(caller, wanted, profile, held).await
    }

    /// A key that stays where it is: made on a token in a ceremony, say.
    async fn import_reference(
        &self,
        caller: &Caller,
        wanted: Wanted,
        uri: &str,
        public: Option<PublicKey>,
        allow_extractable: bool,
    ) -> Result<Key> {
        let state = self.trust_head().await?;
        check_free(&state, &wanted.id, public.as_ref())?;
        let (held, told) = self.held_where_it_is(uri, public, allow_extractable).await?;
        if let Some(same) = state.key_of_material(&held.public_key.fingerprint())
            && same.own().is_some()
        {
            let there = same.stores().any(|store| store == held.store);
            return Err(Error::conflict(
                "key.same-material",
                format!(
                    "{uri} is the key {}; the same key material cannot be entered twice",
                    same.id
                ),
            )
            .next(if there {
                format!("stella keys show {}", same.id)
            } else {
                format!("stella keys add-store {} --key-store '{uri}'", same.id)
            }));
        }
        let profile = self.profile_of(&wanted, &held.public_key).await?;
        let kind = signers::scheme(&held.store).to_owned();
        if signers::scheme(&profile.key_store) != kind && !wanted.standby {
            return Err(Error::conflict(
                "key.store-of-another-profile",
                format!(
                    "keys of profile {} live in {}, and this one is in {kind}://",
                    wanted.profile, profile.key_store
                ),
            )
            .next(format!(
                "name a profile whose keyStore is {kind}://, or --standby for a key that only stands in"
            )));
        }
        let mut key = self.enter_imported(caller, wanted, profile, held).await?;
        self.note(LogRow {
            at: self.now(),
            level: "info".to_owned(),
            component: kind,
            message: format!("{} was imported as it is: {told}", key.id),
            fields: serde_json::json!({ "keyId": key.id, "store": key.key_store, "by": caller.identity }),
        })
        .await;
        key.notes.push(told);
        Ok(key)
    }

    /// A signature there proves that it is ours to use.
    pub(super) async fn held_where_it_is(
        &self,
        uri: &str,
        public: Option<PublicKey>,
        allow_extractable: bool,
    ) -> Result<(Held, String)> {
        match signers::scheme(uri) {
            "kms" => self.held_in_kms(uri, public).await,
            scheme if scheme == "hsm" || uri.starts_with("pkcs11:") => {
                self.held_on_token(uri, public, allow_extractable).await
            }
            _ => Err(Error::invalid(
                "key.store-has-no-references",
                "a key is referred to where it is on a token or in AWS KMS",
            )
            .next("give --key-store 'hsm://pkcs11/token/TOKEN?object=LABEL' or kms://aws/key/ALIAS")),
        }
    }

    async fn held_on_token(
        &self,
        uri: &str,
        public: Option<PublicKey>,
        allow_extractable: bool,
    ) -> Result<(Held, String)> {
        let taken = self.take_from_token(uri, public, allow_extractable).await?;
        let held = Held {
            public_key: taken.public_key,
            store: taken.at.to_string(),
            sealed: None,
        };
        Ok((held, format!("the token says: {}", taken.attributes)))
    }

    async fn held_in_kms(&self, uri: &str, public: Option<PublicKey>) -> Result<(Held, String)> {
        let taken = self.take_from_kms(uri, public).await?;
        let held = Held {
            store: taken.at.uri(),
            public_key: taken.public_key,
            sealed: None,
        };
        Ok((held, format!("AWS KMS calls it {}", taken.arn)))
    }

    /// The profile it is for, once the key may be entered there.
    async fn profile_of(&self, wanted: &Wanted, public_key: &PublicKey) -> Result<&Profile> {
        let state = self.trust_head().await?;
        check_free(&state, &wanted.id, Some(public_key))?;
        let name = &wanted.profile;
        let profile = self
            .settings
            .profiles
            .get(name)
            .ok_or_else(|| Error::not_found("profile.unknown", format!("no profile named {name}")))?;
        if public_key.algorithm() != profile.algorithm {
            return Err(Error::invalid(
                "key.algorithm",
                format!(
                    "profile {name} signs with {}, and this is a key of {}",
                    profile.algorithm,
                    public_key.algorithm()
                ),
            ));
        }
        Ok(profile)
    }

    async fn enter_imported(
        &self,
        caller: &Caller,
        wanted: Wanted,
        profile: &Profile,
        held: Held,
    ) -> Result<Key> {
        let state = self.trust_head().await?;
        let now = self.not_before(&state);
        let created_at = wanted.created_at.unwrap_or(now);
        let max_age = i32::try_from(profile.max_age_months).unwrap_or(i32::MAX);
        let not_after = created_at.plus_months(max_age);
        check_age(&wanted.id, created_at, not_after, now)?;
        let ((), state) = self
            .change(caller, |state, now| {
                let new = NewOwnKey {
                    key_id: wanted.id.clone(),
                    key_type: KeyType::Signing,
                    public_key: held.public_key.clone(),
                    profile: wanted.profile.clone(),
                    store: held.store.clone(),
                    created_at,
                    not_after: Some(not_after),
                    standby: wanted.standby,
                    imported: true,
                };
                let mut decision = Decision::new(enter_own(state, new, now)?, ());
                decision.sealed_keys.extend(held.sealed.clone());
                Ok(decision)
            })
            .await?;
        self.view_key(&state, &wanted.id)
    }
}

/// The key, and where it is from now on.
pub(super) struct Held {
    pub public_key: PublicKey,
    pub store: String,
    sealed: Option<SealedKeyRow>,
}

fn needs_profile() -> Error {
    Error::invalid(
        "key.import-needs-profile",
        "a private key signs for a profile, and none was named",
    )
    .next("give --profile")
}

struct Wanted {
    id: KeyId,
    profile: stella_core::id::ProfileName,
    created_at: Option<Timestamp>,
    standby: bool,
}

fn read_private(text: &Zeroizing<String>, public: Option<&PublicKey>) -> Result<SoftwareKey> {
    // PEM as it stands; otherwise base64 of DER, as JSON has no bytes.
    let der = (!text.contains("-----"))
        .then(|| stella_core::dsse::decode_base64(text.trim()).map(Zeroizing::new))
        .flatten();
    let bytes: &[u8] = der.as_ref().map_or(text.as_bytes(), |der| der);
    let key = SoftwareKey::import(bytes).map_err(|e| Error::invalid(e.code(), e))?;
    if public.is_some_and(|public| public != key.public_key()) {
        return Err(Error::conflict(
            "key.other-public-key",
            "the public key given does not belong to the private key",
        ));
    }
    Ok(key)
}

fn check_age(id: &KeyId, created_at: Timestamp, not_after: Timestamp, now: Timestamp) -> Result<()> {
    if created_at > now {
        return Err(Error::invalid(
            "key.created-in-future",
            "a key cannot have been created in the future",
        ));
    }
    if not_after <= now {
        return Err(Error::conflict(
            "key.past-its-life",
            format!("{id} was past the age its profile allows on {not_after}; it could sign nothing"),
        )
        .next("import its public key alone to go on verifying with it"));
    }
    Ok(())
}
