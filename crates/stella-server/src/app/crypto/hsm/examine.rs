//! `crypto hsm test`, `verify`, `ping`, `connectivity`, `pkcs11-status`: the
//! way to a key, step by step; the first step that fails is where it is cut.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use stella_core::api::hsm::{HsmFault, HsmModuleReport, HsmReport, HsmStep};
use stella_keys::hsm::{Hsm, HsmError, LoginState, ModuleInfo, Probe, Slot, TokenSelector};

use super::used::{UsedKey, UsedProfile};
use super::{ask, fault};
use crate::app::App;
use crate::app::error::{Error, Result};
use crate::config::HsmModule;

/// How far the way is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examination {
    /// Whether the module answers.
    Ping,
    /// The library, a slot, a session.
    Pkcs11Status,
    /// The library, a slot, a signature by every key that is used.
    Test,
    /// The same, and every step that lies between.
    Connectivity,
    /// The same, and the configuration before it.
    Verify,
}

const ALL: [(&str, Examination); 5] = [
    ("ping", Examination::Ping),
    ("pkcs11-status", Examination::Pkcs11Status),
    ("test", Examination::Test),
    ("connectivity", Examination::Connectivity),
    ("verify", Examination::Verify),
];

impl FromStr for Examination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, examination)| examination).ok_or_else(|| {
            let names = ALL.map(|(name, _)| name).join(", ");
            let shown: String = text.chars().take(64).collect();
            Error::not_found(
                "hsm.unknown-examination",
                format!("{shown} is nothing an HSM is examined by: use one of {names}"),
            )
        })
    }
}

impl App {
    pub async fn hsm_examine(&self, module: Option<&str>, what: Examination) -> Result<HsmReport> {
        let trust = self.trust_head().await?;
        let mut modules = Vec::new();
        for settings in self.chosen_modules(module)? {
            let keys = self.keys_in(&trust, settings);
            modules.push(self.examine_module(settings, what, keys).await?);
        }
        Ok(HsmReport {
            ok: modules.iter().all(|module| module.ok),
            modules,
        })
    }

    pub(super) async fn examine_module(
        &self,
        settings: &HsmModule,
        what: Examination,
        keys: Vec<UsedKey>,
    ) -> Result<HsmModuleReport> {
        let mut way = Way::default();
        self.go(&mut way, settings, what, keys).await?;
        Ok(HsmModuleReport {
            module: settings.name.clone(),
            ok: way.steps.iter().all(|step| step.ok),
            steps: way.steps,
        })
    }

    /// As far as it leads.
    async fn go(
        &self,
        way: &mut Way,
        settings: &HsmModule,
        what: Examination,
        keys: Vec<UsedKey>,
    ) -> Result<()> {
        let opened = match what {
            Examination::Verify => way.decide("Configuration", self.configured(settings)),
            _ => self
                .module(settings)
                .map_err(|e| {
                    way.decide::<()>("Configuration", Err(fault::of_error(&e)));
                })
                .ok(),
        };
        let Some(module) = opened else {
            return Ok(());
        };
        if what == Examination::Ping {
            way.ask("Module answers", &module, |m| m.slots(), |slots| answered(slots))
                .await?;
            return Ok(());
        }
        let Some(info) = way.ask("Library loaded", &module, |m| m.info(), library).await? else {
            return Ok(());
        };
        let profiles = self.profiles_in(settings);
        let Some(slots) = way
            .look("Slot available", slots(&module, &profiles, &keys))
            .await?
        else {
            return Ok(());
        };
        if what == Examination::Verify {
            for profile in &profiles {
                way.decide("Algorithm supported", supported(&settings.name, profile, &info));
            }
        }
        if what != Examination::Test {
            way.look("Session active", session(&module, slots, keys.first().cloned()))
                .await?;
        }
        if what != Examination::Pkcs11Status {
            for key in keys {
                let step = format!("Key {} signs", key.id);
                way.ask(
                    &step,
                    &module,
                    move |m| m.check(Some((&key.at, &key.public_key))),
                    signed,
                )
                .await?;
            }
        }
        Ok(())
    }

    /// Its files are there before anything is started with them.
    fn configured(&self, settings: &HsmModule) -> std::result::Result<(Arc<dyn Hsm>, String), HsmFault> {
        let library = &settings.library_path;
        let edit = format!("mend hsm.modules.{} in signer.yaml and restart", settings.name);
        if let Err(e) = std::fs::metadata(library) {
            return Err(HsmFault {
                code: "hsm.library-missing".to_owned(),
                message: format!("HSM unavailable: {} cannot be read: {e}", library.display()),
                cause: "libraryPath names another place than the vendor's package installs to".to_owned(),
                next: edit,
                seconds_ago: None,
            });
        }
        self.modules.options(settings).map_err(|e| fault::of_error(&e))?;
        let module = self.module(settings).map_err(|e| fault::of_error(&e))?;
        let pin = match &settings.pin_file {
            Some(file) => format!("PIN in {}", file.display()),
            None => "no PIN".to_owned(),
        };
        Ok((module, format!("{}, {pin}", library.display())))
    }
}

/// The steps that were gone.
#[derive(Default)]
struct Way {
    steps: Vec<HsmStep>,
}

impl Way {
    fn decide<T>(&mut self, step: &str, came: std::result::Result<(T, String), HsmFault>) -> Option<T> {
        self.push(step, came, 0.0)
    }

    async fn ask<T: Send + 'static>(
        &mut self,
        step: &str,
        module: &Arc<dyn Hsm>,
        question: impl FnOnce(&dyn Hsm) -> std::result::Result<T, HsmError> + Send + 'static,
        measured: impl FnOnce(&T) -> String,
    ) -> Result<Option<T>> {
        let asked = ask(Arc::clone(module), question);
        self.look(step, async {
            Ok(match asked.await? {
                Ok(answer) => {
                    let measured = measured(&answer);
                    Ok((answer, measured))
                }
                Err(e) => Err(fault::of_module(&e)),
            })
        })
        .await
    }

    async fn look<T>(
        &mut self,
        step: &str,
        looking: impl Future<Output = Result<std::result::Result<(T, String), HsmFault>>>,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        let came = looking.await?;
        Ok(self.push(step, came, begun.elapsed().as_secs_f64() * 1_000.0))
    }

    fn push<T>(
        &mut self,
        step: &str,
        came: std::result::Result<(T, String), HsmFault>,
        milliseconds: f64,
    ) -> Option<T> {
        let (answer, measured, fault) = match came {
            Ok((answer, measured)) => (Some(answer), measured, None),
            Err(fault) => (None, fault.message.clone(), Some(fault)),
        };
        self.steps.push(HsmStep {
            step: step.to_owned(),
            ok: fault.is_none(),
            measured,
            milliseconds,
            fault,
        });
        answer
    }
}

type Came<T> = Result<std::result::Result<(T, String), HsmFault>>;

/// Every token that is needed is in a slot.
async fn slots(module: &Arc<dyn Hsm>, profiles: &[UsedProfile], keys: &[UsedKey]) -> Came<Vec<Slot>> {
    let slots = match ask(Arc::clone(module), |m| m.slots()).await? {
        Ok(slots) => slots,
        Err(e) => return Ok(Err(fault::of_module(&e))),
    };
    let name = module.name();
    let usable: Vec<&Slot> = slots
        .iter()
        .filter(|s| s.token_present && s.initialized)
        .collect();
    let there: Vec<String> = usable
        .iter()
        .map(|slot| format!("{} (slot {}, serial {})", slot.label, slot.id, slot.serial))
        .collect();
    let missing = |message: String, cause: &str| {
        Ok(Err(HsmFault {
            code: "hsm.token-missing".to_owned(),
            message,
            cause: cause.to_owned(),
            next: format!("stella crypto hsm slots list --module {name}"),
            seconds_ago: None,
        }))
    };
    if there.is_empty() {
        return missing(
            format!(
                "HSM unavailable: module \"{name}\" shows no initialised token in {} slots",
                slots.len()
            ),
            "the token was taken out or closed, or the HSM behind the library is not reached",
        );
    }
    let wanted = profiles
        .iter()
        .map(|profile| &profile.token)
        .chain(keys.iter().map(|key| &key.at.token));
    for token in wanted {
        if !usable.iter().any(|slot| is(slot, token)) {
            return missing(
                format!(
                    "HSM unavailable: module \"{name}\" has no {}; it has {}",
                    selector(token),
                    there.join(", ")
                ),
                "the token was taken out or exchanged, or signer.yaml names another",
            );
        }
    }
    let measured = there.join(", ");
    Ok(Ok((slots, measured)))
}

/// With a key in use its token is logged in to; a PIN is never tried for less.
async fn session(module: &Arc<dyn Hsm>, before: Vec<Slot>, key: Option<UsedKey>) -> Came<()> {
    let logged_in = |slots: &[Slot]| {
        let tokens: Vec<&str> = slots
            .iter()
            .filter(|slot| slot.login == LoginState::LoggedIn)
            .map(|slot| slot.label.as_str())
            .collect();
        format!("logged in to {}", tokens.join(", "))
    };
    let Some(key) = key else {
        let measured = if before.iter().any(|slot| slot.login == LoginState::LoggedIn) {
            logged_in(&before)
        } else {
            "not needed: no key on its tokens is used".to_owned()
        };
        return Ok(Ok(((), measured)));
    };
    let opened = ask(Arc::clone(module), move |m| {
        m.check(Some((&key.at, &key.public_key)))?;
        m.slots()
    });
    Ok(match opened.await? {
        Ok(slots) => Ok(((), logged_in(&slots))),
        Err(e) => Err(fault::of_module(&e)),
    })
}

fn supported(
    module: &str,
    profile: &UsedProfile,
    info: &ModuleInfo,
) -> std::result::Result<((), String), HsmFault> {
    match info.mechanisms.iter().find(|m| m.algorithm == profile.algorithm) {
        Some(m) => Ok((
            (),
            format!(
                "profile {}: {} by {}",
                profile.name, profile.algorithm, m.mechanism
            ),
        )),
        None => Err(HsmFault {
            code: "hsm.refused".to_owned(),
            message: format!(
                "module \"{module}\" has no mechanism for {}, the algorithm of profile {}",
                profile.algorithm, profile.name
            ),
            cause: "the token or its firmware does not have it, or its configuration switches it off"
                .to_owned(),
            next: format!("stella crypto hsm pkcs11-info --module {module}"),
            seconds_ago: None,
        }),
    }
}

fn is(slot: &Slot, token: &TokenSelector) -> bool {
    match token {
        TokenSelector::Slot(id) => slot.id == *id,
        TokenSelector::Token { label, serial } => {
            slot.label == *label && serial.as_ref().is_none_or(|serial| slot.serial == *serial)
        }
    }
}

fn selector(token: &TokenSelector) -> String {
    match token {
        TokenSelector::Slot(id) => format!("token in slot {id}"),
        TokenSelector::Token { label, serial: None } => format!("token {label}"),
        TokenSelector::Token {
            label,
            serial: Some(serial),
        } => format!("token {label} with serial {serial}"),
    }
}

fn answered(slots: &[Slot]) -> String {
    let tokens = slots.iter().filter(|slot| slot.initialized).count();
    format!("{} slots, {tokens} tokens", slots.len())
}

fn library(info: &ModuleInfo) -> String {
    format!(
        "{} ({} {}, Cryptoki {})",
        info.library.display(),
        info.description,
        info.library_version,
        info.cryptoki_version
    )
}

fn signed(probe: &Probe) -> String {
    match &probe.key {
        Some(key) => format!(
            "token {} (slot {}), {}, verified; {:.1} ms for the signature",
            key.token_label,
            key.slot,
            key.mechanism,
            key.took.as_secs_f64() * 1_000.0
        ),
        None => "reached".to_owned(),
    }
}
