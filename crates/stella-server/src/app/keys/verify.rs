//! `keys verify`: whether a key can do what it is for.

use stella_core::api::attestations::TestSign;
use stella_core::api::keys::{KeyVerified, VerifyKey};

use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_key(&self, caller: &Caller, id: &str, request: VerifyKey) -> Result<KeyVerified> {
        let operation = request.operation.unwrap_or_else(|| SIGN.to_owned());
        if operation != SIGN {
            return Err(Error::invalid(
                "key.operation",
                format!("{operation:?} is nothing a key is tried at: use sign"),
            ));
        }
        let tried = TestSign {
            profile: None,
            key_id: Some(id.to_owned()),
        };
        let signed = self.test_sign(caller, tried).await?;
        Ok(KeyVerified {
            id: signed.key_id,
            operation,
            ok: signed.ok,
            store: signed.store,
            mechanism: signed.mechanism,
            slot: signed.slot,
            milliseconds: signed.milliseconds,
        })
    }
}

const SIGN: &str = "sign";
