//! Whether each module, and KMS, would sign now, with the keys used in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use stella_core::trust::{KeyRecord, KeyState, TrustState};
use stella_keys::hsm::{HsmError, KeyReference, Probe, Slot};

use super::{Check, Finding, local_hsms, probe};
use crate::app::crypto::hsm::{UsedKey, ask, likely_cause, mend};
use crate::app::signers::scheme;
use crate::app::{App, Permission, Result};
use crate::config::HsmModule;

pub const CHECK: Check = Check {
    id: "check.crypto.hsm-availability",
    about: "each configured HSM, local HSM and AWS KMS is reached, lets us in and signs with the keys used in it",
    needs: Permission::ReadStatus,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let trust = app.trust_head().await?;
    let mut findings = unconfigured(&app, &app.keys_in_modules(&trust));
    for module in &app.settings.hsm.modules {
        let keys = app.keys_in(&trust, module);
        findings.extend(reached(&app, module, keys).await?);
    }
    let in_local = in_use(&app, &trust).filter(|(_, store)| store.starts_with(LOCAL));
    let in_local = in_local
        .map(|(key, store)| (key.clone(), store.to_owned()))
        .collect();
    findings.extend(local_hsms::examine(&app, in_local).await);
    findings.extend(in_kms(&app, &trust).await);
    findings.extend(left_alone(&app, &trust));
    if findings.is_empty() {
        findings.push(Finding::skip(
            "no HSM is configured (hsm.modules, hsm.local), and no key is in KMS",
        ));
    }
    Ok(findings)
}

/// Each key there signs a probe.
async fn in_kms(app: &Arc<App>, trust: &TrustState) -> Vec<Finding> {
    let keys = in_use(app, trust).filter(|(_, store)| scheme(store) == "kms");
    let keys = keys.map(|(key, store)| (key.clone(), store.to_owned()));
    let probed = probe::all(app, keys.collect()).await;
    let findings = probed.into_iter().map(|probed| match probed.signed {
        Ok(signed) => Finding::pass(format!("AWS KMS: {}", probe::describe(&signed))),
        Err(e) => Finding::fail(
            format!("AWS KMS: {}: {}", probed.key, e.message),
            probe::cause(&e),
            format!("stella keys verify {} --operation sign", probed.key),
        ),
    });
    findings.collect()
}

/// Stores to which this server sends nothing but probes now.
fn left_alone(app: &App, trust: &TrustState) -> Vec<Finding> {
    let stores: BTreeSet<String> = in_use(app, trust)
        .filter_map(|(_, store)| app.key_store_of(store))
        .filter(|store| !app.signers.pool.is_up(store))
        .collect();
    let findings = stores.into_iter().map(|store| {
        let why = app.left_alone(&store);
        let next = if store.starts_with("HSM module") {
            "stella crypto hsm reconnect"
        } else {
            "stella attest reload"
        };
        Finding::warn(
            format!("{store} is left alone until probes are good again: {why}"),
            "it failed or hung lately; backup keys sign meanwhile where profiles list them",
            next,
        )
    });
    findings.collect()
}

/// Keys that sign, or stand by to, with each key-store URI of theirs.
fn in_use<'a>(app: &App, trust: &'a TrustState) -> impl Iterator<Item = (&'a KeyRecord, &'a str)> {
    let now = app.not_before(trust);
    let signs = move |key: &&KeyRecord| matches!(key.state(now), KeyState::Active | KeyState::Standby);
    trust
        .keys
        .values()
        .filter(signs)
        .flat_map(|key| key.stores().map(move |store| (key, store)))
}

/// Modules that a profile or a key names and the configuration does not.
fn unconfigured(app: &App, used: &[UsedKey]) -> Vec<Finding> {
    let profiles = app.settings.profiles.iter().filter_map(|(name, profile)| {
        let at: KeyReference = profile.key_store.parse().ok()?;
        Some((format!("profile {name}"), at.module))
    });
    let keys = used.iter().map(|key| (key.id.to_string(), key.at.module.clone()));
    let missing: BTreeSet<(String, String)> = profiles
        .chain(keys)
        .filter_map(|(who, module)| {
            let name = module.as_ref().map(|name| name.as_str());
            app.module_settings(name).err()?;
            Some((who, name.unwrap_or("any").to_owned()))
        })
        .collect();
    missing
        .into_iter()
        .map(|(who, module)| {
            Finding::fail(
                format!("{who} is held by a module of the configuration ({module}), and there is none such"),
                "hsm.modules does not name it",
                "add it to hsm.modules in signer.yaml with its libraryPath and pinFile, and restart",
            )
        })
        .collect()
}

async fn reached(app: &App, settings: &HsmModule, keys: Vec<UsedKey>) -> Result<Vec<Finding>> {
    let name = &settings.name;
    let module = match app.module(settings) {
        Ok(module) => module,
        Err(e) => return Ok(vec![Finding::from_error(&e)]),
    };
    let slots = match ask(Arc::clone(&module), |module| module.slots()).await? {
        Ok(slots) => slots,
        Err(e) => return Ok(vec![failed(&e)]),
    };
    let mut findings: Vec<Finding> = slots.iter().filter_map(|slot| pin(name, slot)).collect();
    if keys.is_empty() {
        let checked = ask(module, |module| module.check(None)).await?;
        findings.push(match checked {
            Ok(probe) => Finding::pass(format!(
                "module {name}: {} tokens, reached in {:.1} ms; no key in it is used",
                probe.tokens,
                millis(&probe)
            )),
            Err(e) => failed(&e),
        });
        return Ok(findings);
    }
    for key in keys {
        let id = key.id.to_string();
        let checked = ask(Arc::clone(&module), move |module| {
            module.check(Some((&key.at, &key.public_key)))
        });
        findings.push(match checked.await? {
            Ok(probe) => Finding::pass(signed(name, &id, &probe)),
            Err(e) => failed(&e),
        });
    }
    Ok(findings)
}

fn signed(module: &str, id: &str, probe: &Probe) -> String {
    match &probe.key {
        Some(key) => format!(
            "module {module}: {id} signed and verified in {:.1} ms (token {}, serial {}, slot {}, {})",
            key.took.as_secs_f64() * 1_000.0,
            key.token_label,
            key.token_serial,
            key.slot,
            key.mechanism
        ),
        None => format!("module {module}: reached in {:.1} ms", millis(probe)),
    }
}

fn millis(probe: &Probe) -> f64 {
    probe.took.as_secs_f64() * 1_000.0
}

fn failed(error: &HsmError) -> Finding {
    Finding::fail(error.to_string(), likely_cause(error), mend(error))
}

/// A PIN that is about to lock the token, before it does.
fn pin(module: &str, slot: &Slot) -> Option<Finding> {
    let at = format!("module {module}, token {}", slot.label);
    let verify = format!("stella crypto hsm auth verify --module {module}");
    if slot.pin.locked {
        return Some(Finding::fail(
            format!("{at}: the PIN is locked"),
            "too many wrong PINs were entered; only the token's security officer unlocks it",
            format!("set a new PIN with the vendor's tool, then {verify} --force"),
        ));
    }
    if slot.pin.final_try {
        return Some(Finding::fail(
            format!("{at}: one more wrong PIN locks it"),
            "wrong PINs were entered, here or by another program",
            format!("see that pinFile holds the right PIN, then {verify} --force"),
        ));
    }
    slot.pin.count_low.then(|| {
        Finding::warn(
            format!("{at}: a wrong PIN was entered since the last right one"),
            "the PIN was changed elsewhere, or another program has an old one",
            verify,
        )
    })
}

const LOCAL: &str = "hsm://local/";
