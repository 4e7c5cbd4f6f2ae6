//! `attest reload`.

use serde_json::{Value, json};

use crate::app::error::Result;
use crate::app::{App, Caller};

impl App {
    /// Opened keys are dropped and opened again when next needed, and the
    /// runtime settings are read at the head of the log.
    pub async fn reload(&self, caller: &Caller) -> Result<Value> {
        self.signers.forget().await;
        let mode = self.config_entry("signing.mode").await?;
        tracing::info!(actor = %caller.identity, "reloaded");
        let mut warnings =
            vec!["signer.yaml is read at start: restart the server to apply a changed file".to_owned()];
        warnings.extend(mode.warnings);
        let state = self.trust_head().await?;
        warnings.extend(self.software_notices(&state));
        Ok(
            json!({ "reloaded": ["runtime settings", "signing keys"], "signingMode": mode.value, "warnings": warnings }),
        )
    }
}
