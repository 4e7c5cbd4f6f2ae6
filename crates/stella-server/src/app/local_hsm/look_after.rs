//! `crypto local-hsm init`, `status`, `recover`.

use std::sync::Arc;

use serde_json::json;
use stella_core::api::local_hsm::{LocalHsm, LocalHsmMade};
use stella_keys::local_hsm::TokenState;
use stella_store::LogRow;
use zeroize::Zeroizing;

use super::RunLocalHsm;
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};
use crate::config;

impl App {
    /// A new one, with the PIN that its file holds. What is there already is
    /// never replaced.
    pub async fn initialize_local_hsm(&self, caller: &Caller, name: &str) -> Result<LocalHsmMade> {
        let (code, state) = self
            .with_files(name, |runner, settings| {
                let code = runner.initialize(settings)?;
                Ok((Zeroizing::new(code.expose().to_owned()), runner.state(settings)?))
            })
            .await?;
        self.note_local(caller, name, "was made").await;
        Ok(LocalHsmMade {
            hsm: self.view_local(name, &state)?,
            recovery_code: code.to_string(),
        })
    }

    pub async fn local_hsm(&self, name: &str) -> Result<LocalHsm> {
        let state = self
            .with_files(name, |runner, settings| runner.state(settings))
            .await?;
        self.view_local(name, &state)
    }

    /// Sets the PIN that its file holds, and unlocks it.
    pub async fn recover_local_hsm(&self, caller: &Caller, name: &str, code: String) -> Result<LocalHsm> {
        let code = Zeroizing::new(code);
        let state = self
            .with_files(name, move |runner, settings| {
                runner.recover(settings, code.trim())?;
                runner.state(settings)
            })
            .await?;
        // What was refused before may be the PIN of now.
        self.store.forget_refused_pins(&state.serial).await?;
        // Those that run have the old one.
        self.signers.forget().await;
        self.note_local(caller, name, "has a new PIN, by its recovery code")
            .await;
        self.view_local(name, &state)
    }

    async fn with_files<T: Send + 'static>(
        &self,
        name: &str,
        act: impl FnOnce(&dyn RunLocalHsm, &config::LocalHsm) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let settings = self.local_settings(name)?.clone();
        let runner: Arc<dyn RunLocalHsm> = self.signers.local.runner()?;
        tokio::task::spawn_blocking(move || act(runner.as_ref(), &settings))
            .await
            .map_err(|e| Error::internal(format!("a local HSM broke off: {e}")))?
    }

    fn view_local(&self, name: &str, state: &TokenState) -> Result<LocalHsm> {
        let folder = self.signers.local.runner()?.folder(self.local_settings(name)?);
        Ok(LocalHsm {
            name: state.name.to_string(),
            folder: folder.display().to_string(),
            serial: state.serial.clone(),
            wrong_pins: state.wrong,
            pin_limit: state.limit,
            locked: state.is_locked(),
        })
    }

    async fn note_local(&self, caller: &Caller, name: &str, what: &str) {
        self.note(LogRow {
            at: self.now(),
            level: "info".to_owned(),
            component: "hsm".to_owned(),
            message: format!("the local HSM {name} {what}"),
            fields: json!({ "module": name, "by": caller.identity }),
        })
        .await;
    }
}
