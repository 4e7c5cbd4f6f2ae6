//! Public keys as tokens hold them, each in its own way.

use std::collections::BTreeMap;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use stella_core::alg::{Algorithm, PublicKey};

use super::mechanism::algorithm_of;
use crate::hsm::VendorMechanism;
use crate::pkcs11::message::{ECDSA_P256, ED25519, GOST, ML_DSA_65, SM2};

/// What was read of a key object.
#[derive(Default)]
pub(super) struct Attributes {
    pub label: Option<String>,
    pub id: Option<Vec<u8>>,
    pub key_type: Option<KeyType>,
    pub sensitive: Option<bool>,
    pub extractable: Option<bool>,
    pub always_sensitive: Option<bool>,
    pub never_extractable: Option<bool>,
    pub local: Option<bool>,
    ec_params: Option<Vec<u8>>,
    ec_point: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    spki: Option<Vec<u8>>,
}

impl Attributes {
    /// By which its other half is found.
    pub(super) fn names(session: &Session, key: ObjectHandle) -> Result<Self, Error> {
        Self::read(session, key, &[AttributeType::Id, AttributeType::Label])
    }

    /// Of a private key. Nothing secret is asked for.
    pub(super) fn of_private(session: &Session, key: ObjectHandle) -> Result<Self, Error> {
        let common = Self::read(
            session,
            key,
            &[
                AttributeType::Label,
                AttributeType::Id,
                AttributeType::KeyType,
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::AlwaysSensitive,
                AttributeType::NeverExtractable,
                AttributeType::Local,
            ],
        )?;
        // Of these a token need not have any, and not to have one is no fault.
        let mut all = common;
        for optional in [AttributeType::EcParams, AttributeType::PublicKeyInfo] {
            if let Ok(read) = session.get_attributes(key, &[optional]) {
                all.take(read);
            }
        }
        Ok(all)
    }

    pub(super) fn of_public(session: &Session, key: ObjectHandle) -> Result<Self, Error> {
        let mut all = Self::read(session, key, &[AttributeType::KeyType])?;
        let ec = [AttributeType::EcParams, AttributeType::EcPoint];
        let which: &[AttributeType] = match all.key_type {
            Some(KeyType::EC | KeyType::EC_EDWARDS) => &ec,
            Some(KeyType::ML_DSA | KeyType::GOSTR3410) => &[AttributeType::Value],
            _ => &[AttributeType::EcPoint, AttributeType::Value],
        };
        // Not to have one of these is no fault.
        if let Ok(read) = session.get_attributes(key, which) {
            all.take(read);
        }
        if all.ec_point.is_none()
            && all.value.is_none()
            && let Ok(read) = session.get_attributes(key, &[AttributeType::PublicKeyInfo])
        {
            all.take(read);
        }
        Ok(all)
    }

    fn read(session: &Session, key: ObjectHandle, which: &[AttributeType]) -> Result<Self, Error> {
        let mut out = Self::default();
        out.take(session.get_attributes(key, which)?);
        Ok(out)
    }

    fn take(&mut self, attributes: Vec<Attribute>) {
        let some = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
        for attribute in attributes {
            match attribute {
                Attribute::Label(label) => {
                    self.label = some(label).map(|l| String::from_utf8_lossy(&l).into_owned());
                }
                Attribute::Id(id) => self.id = some(id),
                Attribute::KeyType(key_type) => self.key_type = Some(key_type),
                Attribute::Sensitive(is) => self.sensitive = Some(is),
                Attribute::Extractable(is) => self.extractable = Some(is),
                Attribute::AlwaysSensitive(is) => self.always_sensitive = Some(is),
                Attribute::NeverExtractable(is) => self.never_extractable = Some(is),
                Attribute::Local(is) => self.local = Some(is),
                Attribute::EcParams(params) => self.ec_params = some(params),
                Attribute::EcPoint(point) => self.ec_point = some(point),
                Attribute::Value(value) => self.value = some(value),
                Attribute::PublicKeyInfo(spki) => self.spki = some(spki),
                _ => {}
            }
        }
    }

    pub(super) fn algorithm(&self, configured: &BTreeMap<Algorithm, VendorMechanism>) -> Option<Algorithm> {
        algorithm_of(self.key_type?, self.ec_params.as_deref(), configured)
    }

    /// The key, when it is one of this algorithm in a form that is known.
    pub(super) fn public_key(&self, algorithm: Algorithm) -> Option<PublicKey> {
        let from_spki = || {
            let key = PublicKey::from_spki_der(self.spki.as_deref()?).ok()?;
            (key.algorithm() == algorithm).then_some(key)
        };
        let from_value = || {
            let held = self.ec_point.as_deref().or(self.value.as_deref())?;
            let raw = unwrapped(held, raw_length(algorithm)?)?;
            PublicKey::from_raw(algorithm, raw).ok()
        };
        from_value().or_else(from_spki)
    }
}

/// Of the raw form of `stella_core`.
fn raw_length(algorithm: Algorithm) -> Option<usize> {
    match algorithm.id() {
        ECDSA_P256 | SM2 => Some(65),
        ED25519 => Some(32),
        GOST => Some(64),
        ML_DSA_65 => Some(1952),
        _ => None,
    }
}

/// The standard asks for a DER OCTET STRING around a point, and some tokens
/// leave it out: the length tells.
fn unwrapped(held: &[u8], length: usize) -> Option<&[u8]> {
    if held.len() == length {
        return Some(held);
    }
    let content = match held {
        [0x04, short, rest @ ..] if *short < 0x80 && usize::from(*short) == rest.len() => rest,
        [0x04, 0x81, one, rest @ ..] if usize::from(*one) == rest.len() => rest,
        [0x04, 0x82, high, low, rest @ ..]
            if usize::from(u16::from_be_bytes([*high, *low])) == rest.len() =>
        {
            rest
        }
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_wrapped_and_raw() {
        let point: Vec<u8> = [0x04].into_iter().chain(1..=64).collect();
        let wrapped = [&[0x04, 65][..], &point].concat();
        assert_eq!(unwrapped(&point, 65), Some(&point[..]));
        assert_eq!(unwrapped(&wrapped, 65), Some(&point[..]));
        assert_eq!(unwrapped(&wrapped[..66], 65), None);
        assert_eq!(unwrapped(&point[..64], 65), None);

        // An Ed25519 key may begin with anything, also like a wrapping.
        let raw = [&[0x04, 30][..], &[7; 30]].concat();
        assert_eq!(unwrapped(&raw, 32), Some(&raw[..]));

        let long = [&[0x04, 0x82, 0x07, 0xa0][..], &[9; 1952]].concat();
        assert_eq!(unwrapped(&long, 1952), Some(&[9; 1952][..]));
    }

    #[test]
    fn the_key_info_helps_where_there_is_no_point() {
        use crate::software::SoftwareStore;
        use crate::{Generate, Sign};
        for algorithm in Algorithm::all() {
            let key = SoftwareStore
                .generate(algorithm)
                .expect("key")
                .public_key()
                .clone();
            let by_value = Attributes {
                value: Some(key.raw().to_vec()),
                ..Attributes::default()
            };
            assert_eq!(by_value.public_key(algorithm), Some(key.clone()), "{algorithm}");
            let by_info = Attributes {
                spki: Some(key.spki_der().to_vec()),
                ..Attributes::default()
            };
            assert_eq!(by_info.public_key(algorithm), Some(key), "{algorithm}");
            assert_eq!(Attributes::default().public_key(algorithm), None);
        }
    }
}
