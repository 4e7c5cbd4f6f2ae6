//! `crypto hsm auth`: the PIN, tried once and when somebody says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use stella_core::api::hsm::{PinVerified, UpdatePin, VerifyPin};
use stella_core::trust::TrustState;
use stella_keys::hsm::{HsmOptions, Pin, PinReport, TokenSelector};
use zeroize::Zeroize as _;

use super::{ask, tokens};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};
use crate::config::HsmModule;

impl App {
    pub async fn verify_pin(
        &self,
        caller: &Caller,
        module: Option<&str>,
        request: VerifyPin,
    ) -> Result<PinVerified> {
        let settings = self.module_settings(module)?;
        let trust = self.trust_head().await?;
        let token = match request.slot {
            Some(slot) => TokenSelector::Slot(slot),
            None => self.one_token(&trust, settings).await?,
        };
        tracing::info!(actor = %caller.identity, module = settings.name, force = request.force, "a PIN is tried");
        let options = self.modules.options(&self.as_set(&trust, settings))?;
        let report = self.try_once(settings, options, token, request.force).await?;
        Ok(verified(settings, report))
    }

    /// The PIN is one that was changed elsewhere. Accepted, it is what this
    /// server uses until it ends; it is not written anywhere, for a file with
    /// a secret belongs to whoever provides it.
    pub async fn update_pin(
        &self,
        caller: &Caller,
        module: Option<&str>,
        request: UpdatePin,
    ) -> Result<PinVerified> {
        let settings = self.module_settings(module)?;
        let trust = self.trust_head().await?;
        let UpdatePin { slot, mut pin } = request;
        let new = Pin::new(pin.as_bytes().to_vec());
        pin.zeroize();
        if new.expose().is_empty() {
            return Err(Error::invalid("hsm.pin-empty", "the PIN is empty").next(format!(
                "stella crypto hsm auth update --slot {slot}, and type it"
            )));
        }
        self.shares_no_pin(&trust, settings)?;
        let mut with_new = self.modules.options(&self.as_set(&trust, settings))?;
        let in_file = with_new.pin.as_ref() == Some(&new);
        with_new.pin = Some(new);
        tracing::info!(actor = %caller.identity, module = settings.name, "a new PIN is tried");
        let token = TokenSelector::Slot(slot);
        let mut just_typed = with_new.clone();
        just_typed.pin_is_new = true;
        let report = self.try_once(settings, just_typed, token, false).await?;
        self.reload_module(settings, with_new).await?;
        self.signers.pool.close_module(&settings.name, Instant::now());
        self.signers.recovered.notify_one();
        Ok(PinVerified {
            next: (!in_file).then(|| keep(settings)),
            warnings: if in_file {
                Vec::new()
            } else {
                vec![format!(
                    "the file with the PIN still holds another one: after a restart that one would be tried, and refused ({})",
                    file(settings)
                )]
            },
            ..verified(settings, report)
        })
    }

    /// In an instance of its own: the one in use is logged in, and goes on.
    async fn try_once(
        &self,
        settings: &HsmModule,
        options: HsmOptions,
        token: TokenSelector,
        force: bool,
    ) -> Result<PinReport> {
        let beside = self.modules.another(settings, options)?;
        Ok(ask(beside, move |module| module.verify_pin(&token, force)).await??)
    }

    /// One PIN is configured for all tokens of a module: where keys lie on
    /// several, a new PIN of one would be a wrong one of the others.
    fn shares_no_pin(&self, trust: &TrustState, settings: &HsmModule) -> Result<()> {
        let tokens: HashSet<TokenSelector> = self
            .keys_in(trust, settings)
            .into_iter()
            .map(|key| key.at.token)
            .collect();
        if tokens.len() < 2 {
            return Ok(());
        }
        Err(Error::conflict(
            "hsm.pin-shared",
            format!(
                "keys are used on {} tokens of module {}, which have one PIN: it has to be changed on all of them",
                tokens.len(),
                settings.name
            ),
        )
        .next(keep(settings)))
    }

    /// The token whose PIN is meant where none is named: trying the PIN on
    /// another would be a wrong one there.
    async fn one_token(&self, trust: &TrustState, settings: &HsmModule) -> Result<TokenSelector> {
        let mut named: Vec<TokenSelector> = self
            .keys_in(trust, settings)
            .into_iter()
            .map(|key| key.at.token)
            .chain(
                self.profiles_in(settings)
                    .into_iter()
                    .map(|profile| profile.token),
            )
            .collect();
        if !named.is_empty() {
            return Ok(named.swap_remove(0));
        }
        let module = self.module(settings)?;
        let slots = ask(Arc::clone(&module), |module| module.slots()).await??;
        let mut usable = slots.iter().filter(|slot| slot.initialized);
        match (usable.next(), usable.next()) {
            (Some(only), None) => Ok(TokenSelector::Slot(only.id)),
            _ => Err(Error::invalid(
                "hsm.which-token",
                format!("module {} has several tokens or none: say which", settings.name),
            )
            .next(format!("stella crypto hsm slots list --module {}", settings.name))),
        }
    }
}

fn verified(settings: &HsmModule, report: PinReport) -> PinVerified {
    let mut warnings = Vec::new();
    if report.before.count_low || report.before.final_try {
        warnings.push(format!(
            "a wrong PIN was entered on token {} since the last right one: another program may have an old PIN",
            report.token_label
        ));
    }
    if report.after.to_be_changed {
        warnings.push(format!("token {} wants its PIN changed", report.token_label));
    }
    PinVerified {
        module: settings.name.clone(),
        token: report.token_label,
        serial: report.token_serial,
        slot: report.slot,
        before: tokens::pin(report.before).to_owned(),
        after: tokens::pin(report.after).to_owned(),
        warnings,
        next: None,
    }
}

fn file(settings: &HsmModule) -> String {
    match &settings.pin_file {
        Some(file) => file.display().to_string(),
        None => format!("hsm.modules.{}.pinFile is not set", settings.name),
    }
}

fn keep(settings: &HsmModule) -> String {
    let module = &settings.name;
    match &settings.pin_file {
        Some(file) => format!(
            "write the new PIN into {}, then stella crypto hsm reconnect --module {module}",
            file.display()
        ),
        None => {
            format!("set hsm.modules.{module}.pinFile in signer.yaml to a file with the new PIN and restart")
        }
    }
}
