//! A key that was made on a token with a vendor's tool, taken as it is.

use std::sync::Arc;

use stella_core::alg::PublicKey;
use stella_core::dsse;
use stella_keys::hsm::{FoundKey, KeyReference};
use stella_keys::{Retry, SignError};

use super::ask;
use super::key::{TokenKey, reference};
use crate::app::App;
use crate::app::attest::PROBE_PAYLOAD_TYPE;
use crate::app::error::{Error, Result};

/// A key on a token that was seen to sign.
pub(in crate::app) struct Taken {
    /// By label and serial of the token, and label and id of the key.
    pub at: KeyReference,
    pub public_key: PublicKey,
    /// What the token says about it, for people.
    pub attributes: String,
}

impl App {
    /// Finds the one key that the URI names, and has it sign a nonce.
    pub(in crate::app) async fn take_from_token(
        &self,
        uri: &str,
        public: Option<PublicKey>,
        allow_extractable: bool,
    ) -> Result<Taken> {
        let named = reference(uri)?;
        if named.object.is_none() && named.id.is_none() {
            return Err(Error::invalid(
                "key-store.names-no-key",
                format!("{named} names a token and no key on it"),
            )
            .next("add object=LABEL or id=%0A of the key to the URI"));
        }
        let module = self.module_of(&named)?;
        let asked = named.clone();
        let found = ask(Arc::clone(&module), move |module| module.find(&asked)).await??;
        let public_key = one_public_key(&found, public)?;
        if found.extractable == Some(true) && !allow_extractable {
            return Err(Error::conflict(
                "key.extractable",
                format!(
                    "the token lets {} be taken out of it: {}",
                    found.reference,
                    attributes(&found)
                ),
            )
            .next(
                "make a key that cannot leave the token; --allow-extractable takes this one all the same",
            ));
        }
        let mut at = found.reference.clone();
        at.module = Some(module.name().clone());
        let signer = TokenKey::new(module, at.clone(), public_key.clone());
        let mut nonce = [0_u8; 32];
        self.entropy.fill(&mut nonce)?;
        let probe = dsse::pae(PROBE_PAYLOAD_TYPE, &nonce);
        self.sign_within_deadline(Arc::new(signer), probe)
            .await
            .map_err(|e| not_possessed(&at, &e))?;
        Ok(Taken {
            attributes: attributes(&found),
            at,
            public_key,
        })
    }
}

fn one_public_key(found: &FoundKey, given: Option<PublicKey>) -> Result<PublicKey> {
    match (&found.public_key, given) {
        (Some(held), Some(given)) if *held != given => Err(Error::conflict(
            "key.other-public-key",
            format!("the public key given is not that of {}", found.reference),
        )
        .next("stella crypto hsm slots list")),
        (Some(held), _) => Ok(held.clone()),
        (None, Some(given)) => Ok(given),
        (None, None) => Err(Error::invalid(
            "key.no-public-key",
            format!("the token holds no public key beside {}", found.reference),
        )
        .next("give it with --public-key FILE")),
    }
}

fn not_possessed(at: &KeyReference, error: &SignError) -> Error {
    let text = format!("{at} did not sign: {error}");
    match error.retry() {
        Retry::Later => {
            Error::unavailable(error.code(), text).next("stella doctor --check check.crypto.hsm-availability")
        }
        Retry::AfterOperator | Retry::Never => {
            Error::conflict(error.code(), text).next("stella crypto hsm slots list")
        }
    }
}

/// `SENSITIVE yes, EXTRACTABLE no, LOCAL yes`; `?` where the token says nothing.
fn attributes(found: &FoundKey) -> String {
    [
        ("SENSITIVE", found.sensitive),
        ("ALWAYS_SENSITIVE", found.always_sensitive),
        ("EXTRACTABLE", found.extractable),
        ("NEVER_EXTRACTABLE", found.never_extractable),
        ("LOCAL", found.local),
    ]
    .map(|(name, value)| {
        let value = match value {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not told",
        };
        format!("{name} {value}")
    })
    .join(", ")
}
