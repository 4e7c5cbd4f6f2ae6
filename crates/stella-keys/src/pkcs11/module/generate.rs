//! Making a key on a token, of which nothing secret ever leaves it.

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use stella_core::alg::{Algorithm, PublicKey};

use super::Module;
use super::login::is_logged_in;
use super::mechanism::{Way, blamed};
use super::public_key::Attributes;
use super::token::described;
use crate::hsm::{ErrorClass, TokenSelector};
use crate::pkcs11::message::{Failure, Generated};

impl Module {
    /// Makes a pair under a label that no key there has. What cannot be used
    /// is taken away again.
    pub(super) fn generate(
        &self,
        token: &TokenSelector,
        label: &str,
        id: &[u8],
        algorithm: Algorithm,
    ) -> Result<Generated, Failure> {
        let (slot, info) = self.resolve(token)?;
        let token = described(slot, &info);
        let way = self
            .ways(slot)?
            .into_iter()
            .find(|way| way.algorithm == algorithm && way.generate.is_some())
            .ok_or(Failure::UnsupportedAlgorithm(algorithm))?;
        let session = self.pkcs11()?.open_rw_session(slot)?;
        if info.login_required() && !is_logged_in(&session)? {
            return Err(Failure::LoginNeeded(token.name));
        }
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            let same = [
                Attribute::Class(class),
                Attribute::Label(label.as_bytes().to_vec()),
            ];
            if !session.find_objects(&same)?.is_empty() {
                return Err(Failure::LabelTaken(label.to_owned()));
            }
        }
        let pair = make_pair(&session, &way, label, id)
            .map_err(|failure| blamed(failure, &way, "generate", &self.configuration))?;
        match check(&session, pair, algorithm) {
            Ok(public_key) => Ok(Generated { token, public_key }),
            Err(failure) => {
                let _ = session.destroy_object(pair.private);
                let _ = session.destroy_object(pair.public);
                Err(failure)
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Pair {
    public: ObjectHandle,
    private: ObjectHandle,
}

fn make_pair(session: &Session, way: &Way, label: &str, id: &[u8]) -> Result<Pair, Failure> {
    let (mechanism, parameters) = way
        .generate_mechanism()
        .ok_or(Failure::UnsupportedAlgorithm(way.algorithm))?;
    let name = [
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let public = [
        &name[..],
        &[Attribute::Private(false), Attribute::Verify(true)],
        &parameters,
    ]
    .concat();
    let private = [
        &name[..],
        &[
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ],
    ]
    .concat();
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(Pair { public, private })
}

/// The token did what it was told, and tells the public half.
fn check(session: &Session, pair: Pair, algorithm: Algorithm) -> Result<PublicKey, Failure> {
    let private = Attributes::of_private(session, pair.private)?;
    if private.sensitive == Some(false) || private.extractable == Some(true) {
        return Err(Failure::new(
            ErrorClass::Config,
            "the token made a key that can be taken out of it; it was destroyed",
        ));
    }
    let public = Attributes::of_public(session, pair.public)?;
    public.public_key(algorithm).ok_or_else(|| {
        Failure::new(
            ErrorClass::Config,
            "the token does not tell the public half of the key that it made; the key was destroyed",
        )
    })
}
