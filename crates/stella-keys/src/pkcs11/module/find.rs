//! Keys on a token.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use stella_core::alg::PublicKey;

use super::login::is_logged_in;
use super::public_key::Attributes;
use super::session::{Live, Sessions, Trouble};
use super::token::described;
use super::{Key, Module};
use crate::hsm::{ErrorClass, KeyReference};
use crate::pkcs11::message::{Failure, Found, Opened, Token};
use std::sync::{Arc, PoisonError};

impl Module {
    /// Finds the key and gives it a number. When the token tells the public
    /// half it must be the expected one.
    pub(super) fn open(
        &self,
        sessions: &mut Sessions,
        at: KeyReference,
        expected: &PublicKey,
    ) -> Result<Opened, Failure> {
        let (slot, info) = self.resolve(&at.token)?;
        let token = described(slot, &info);
        let algorithm = expected.algorithm();
        let way = self
            .ways(slot)?
            .into_iter()
            .find(|way| way.algorithm == algorithm)
            .ok_or(Failure::UnsupportedAlgorithm(algorithm))?;
        let (handle, held) = sessions.with(self, &token, |live| {
            let handle = private_key(live, &token, &at)?;
            refuse_always_authenticate(&live.session, handle)?;
            let held = public_half(&live.session, handle)?;
            Ok((handle, held.public_key(algorithm)))
        })?;
        if let Some(held) = held
            && held != *expected
        {
            return Err(Failure::new(
                ErrorClass::KeyMissing,
                format!(
                    "the key {} on the token {} is another: its public key is sha256:{}, not sha256:{}",
                    names(&at),
                    token.name,
                    held.fingerprint(),
                    expected.fingerprint()
                ),
            ));
        }
        let key = Key {
            reference: at,
            token: token.clone(),
            way,
        };
        let number = self.number(key)?;
        sessions.with(self, &token, |live| {
            live.handles.insert(number, handle);
            Ok(())
        })?;
        Ok(Opened {
            number,
            token,
            mechanism: way.describe(),
            input: way.input,
            finished: false,
        })
    }

    pub(super) fn find(&self, sessions: &mut Sessions, at: &KeyReference) -> Result<Found, Failure> {
        let (slot, info) = self.resolve(&at.token)?;
        let token = described(slot, &info);
        let configured = &self.configuration.mechanisms;
        sessions.with(self, &token, |live| {
            let handle = private_key(live, &token, at)?;
            let private = Attributes::of_private(&live.session, handle)?;
            let public = public_half(&live.session, handle)?;
            let algorithm = private
                .algorithm(configured)
                .or_else(|| public.algorithm(configured));
            let key_type = match (algorithm, private.key_type) {
                (Some(algorithm), _) => algorithm.id().to_owned(),
                (None, Some(other)) => format!("{other}, which this build cannot use"),
                (None, None) => "unknown".to_owned(),
            };
            Ok(Found {
                token: token.clone(),
                public_key: algorithm.and_then(|algorithm| public.public_key(algorithm)),
                key_type,
                label: private.label,
                id: private.id,
                sensitive: private.sensitive,
                extractable: private.extractable,
                always_sensitive: private.always_sensitive,
                never_extractable: private.never_extractable,
                local: private.local,
            })
        })
    }

    pub(super) fn key(&self, number: u32) -> Option<Arc<Key>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(usize::try_from(number).ok()?).map(Arc::clone)
    }

    /// A key has one number, however often it is opened.
    fn number(&self, key: Key) -> Result<u32, Failure> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let known = keys
            .iter()
            .position(|k| k.reference == key.reference && k.way == key.way && k.token.name == key.token.name);
        let index = known.unwrap_or_else(|| {
            keys.push(Arc::new(key));
            keys.len() - 1
        });
        u32::try_from(index).map_err(|_| Failure::new(ErrorClass::Config, "too many keys are open"))
    }
}

/// The one private key that is meant.
pub(super) fn private_key(live: &Live, token: &Token, at: &KeyReference) -> Result<ObjectHandle, Trouble> {
    let session = &live.session;
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
    if let Some(label) = &at.object {
        template.push(Attribute::Label(label.clone().into_bytes()));
    }
    if let Some(id) = &at.id {
        template.push(Attribute::Id(id.clone()));
    }
    let found = session.find_objects(&template)?;
    match found[..] {
        [one] => Ok(one),
        // Who is not logged in sees no private keys.
        [] if !is_logged_in(session)? => Err(Failure::LoginNeeded(token.name.clone()).into()),
        [] => Err(missing(token, format!("has no private key {}", names(at)))),
        [..] => {
            let ids: Vec<String> = found
                .iter()
                .filter_map(|key| Attributes::of_private(session, *key).ok()?.id)
                .map(|id| id.iter().map(|byte| format!("%{byte:02X}")).collect())
                .collect();
            Err(missing(
                token,
                format!(
                    "has {} private keys {}; name one by its id: {}",
                    found.len(),
                    names(at),
                    ids.join(", ")
                ),
            ))
        }
    }
}

/// The public object beside the private one, or what the private one tells.
fn public_half(session: &Session, private: ObjectHandle) -> Result<Attributes, Trouble> {
    let held = Attributes::names(session, private)?;
    let mut found = Vec::new();
    if let Some(id) = &held.id {
        found = public_keys(session, Attribute::Id(id.clone()))?;
    }
    if let (0 | 2.., Some(label)) = (found.len(), &held.label) {
        found = public_keys(session, Attribute::Label(label.clone().into_bytes()))?;
    }
    match found[..] {
        [public] => Ok(Attributes::of_public(session, public)?),
        _ => Ok(Attributes::of_private(session, private)?),
    }
}

/// A key that asks for the PIN at each signature is made for a person: a
/// refused PIN would be tried as often as there are requests.
fn refuse_always_authenticate(session: &Session, key: ObjectHandle) -> Result<(), Trouble> {
    // Not to have the attribute is not to ask for it.
    let asks = session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]);
    if matches!(asks.as_deref(), Ok([Attribute::AlwaysAuthenticate(true)])) {
        let detail =
            "the key asks for the PIN at each signature (CKA_ALWAYS_AUTHENTICATE); make one that does not";
        return Err(Failure::new(ErrorClass::Config, detail).into());
    }
    Ok(())
}

fn public_keys(session: &Session, by: Attribute) -> Result<Vec<ObjectHandle>, Trouble> {
    Ok(session.find_objects(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        by,
    ])?)
}

fn missing(token: &Token, what: String) -> Trouble {
    Failure::new(ErrorClass::KeyMissing, format!("the token {} {what}", token.name)).into()
}

/// `labelled "x" with the id %0A`.
fn names(at: &KeyReference) -> String {
    let label = at.object.as_ref().map(|label| format!("labelled \"{label}\""));
    let id = at.id.as_ref().map(|id| {
        let id: String = id.iter().map(|byte| format!("%{byte:02X}")).collect();
        format!("with the id {id}")
    });
    match (label, id) {
        (Some(label), Some(id)) => format!("{label} {id}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "at all".to_owned(),
    }
}
