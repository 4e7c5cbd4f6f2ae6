//! `keys verify KEY --operation sign`: can it be used right now?

use stella_core::api::attestations::TestSign;
use stella_core::api::keys::{KeyVerified, VerifyKey};

use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_key(&self, caller: &Caller, id: &str, request: VerifyKey) -> Result<KeyVerified> {
        let operation = request.operation.unwrap_or_else(|| "sign".to_owned());
        if operation != "sign" {
            return Err(Error::invalid(
                "key.operation",
                format!("{operation:?} is not an operation to verify: use sign"),
            ));
        }
        let probe = TestSign {
            profile: None,
            key_id: Some(id.to_owned()),
        };
        let signed = self.test_sign(caller, probe).await?;
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
