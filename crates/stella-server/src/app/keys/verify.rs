//! `keys verify`: whether a key can do what it is for, in each of its stores.

use stella_core::api::attestations::TestSign;
use stella_core::api::keys::{KeyVerified, VerifyKey};

use crate::app::error::{Error, Result};
use crate::app::{App, Caller, values};

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
        let trust = self.trust_head().await?;
        let key = super::known(&trust, &values::key_id(&signed.key_id)?)?;
        let mut further = Vec::new();
        for store in key.own().map_or(&[][..], |own| &own.further_stores) {
            further.push(self.probe_key(key, store).await?);
        }
        Ok(KeyVerified {
            id: signed.key_id,
            operation,
            ok: signed.ok,
            store: signed.store,
            mechanism: signed.mechanism,
            slot: signed.slot,
            milliseconds: signed.milliseconds,
            further,
        })
    }
}

const SIGN: &str = "sign";
