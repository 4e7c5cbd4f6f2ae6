//! Whether every profile that is used signs, and nothing waits to be signed.

use std::sync::Arc;

use stella_core::id::ProfileName;
use stella_core::trust::{KeyRecord, KeyState, KeyType, TrustState};

use super::{Check, Finding, probe};
use crate::app::runtime_config::SigningMode;
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.attestor.signing-health",
    about: "every profile in use signs, and nothing waits for a signature",
    needs: Permission::ReadStatus,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let trust = app.trust_head().await?;
    let mut findings = Vec::new();
    let mut signing = Vec::new();
    for profile in app.settings.profiles.keys() {
        match stands(&app, &trust, profile) {
            Stands::Unused => {}
            Stands::Signs(key) => {
                let first = key.own().map(|own| own.store.clone());
                signing.extend(first.map(|store| (key.clone(), store)));
            }
            Stands::Cannot(finding) => findings.push(finding),
        }
    }
    if signing.is_empty() && findings.is_empty() {
        findings.push(Finding::fail(
            "no profile has a key",
            "no signing key was made yet",
            "stella keys generate --profile default",
        ));
    }
    let probed = probe::all(&app, signing).await;
    findings.extend(probed.into_iter().map(|probed| {
        match probed.signed {
            Ok(signed) => Finding::pass(probe::describe(&signed)),
            Err(e) => Finding::fail(
                format!("profile {}: {}", probed.profile, e.message),
                probe::cause(&e),
                e.next
                    .unwrap_or_else(|| "stella attest test-sign --verbose".to_owned()),
            ),
        }
    }));
    findings.extend(in_software(&app, &trust));
    findings.extend(moved(&app, &trust));
    findings.extend(queue(&app, &trust).await?);
    Ok(findings)
}

/// Switched at run time, for all profiles or for one.
fn in_software(app: &App, trust: &TrustState) -> Option<Finding> {
    let profiles: Vec<&str> = app
        .settings
        .profiles
        .keys()
        .filter(|profile| app.signing_mode_of(trust, profile) == SigningMode::Software)
        .map(ProfileName::as_str)
        .collect();
    (!profiles.is_empty()).then(|| {
        Finding::warn(
            format!(
                "signing.mode is software ({}): software signing may not meet compliance requirements",
                profiles.join(", ")
            ),
            "somebody switched it at run time; stella audit query --type CONFIG_SET says who",
            "stella config unset signing.mode, or with --profile where it is set for one",
        )
    })
}

/// By an operator, for all profiles or for one.
fn moved(app: &App, trust: &TrustState) -> Option<Finding> {
    let profiles: Vec<String> = app
        .settings
        .profiles
        .keys()
        .filter_map(|profile| Some(format!("{profile} to {}", app.moved_to(trust, profile)?)))
        .collect();
    (!profiles.is_empty()).then(|| {
        Finding::warn(
            format!("signing was moved by hand: {}", profiles.join(", ")),
            "somebody moved it at run time; stella audit query --type CONFIG_SET says who",
            "stella crypto hsm failover --to auto",
        )
    })
}

enum Stands<'a> {
    /// It never had a key.
    Unused,
    Signs(&'a KeyRecord),
    Cannot(Finding),
}

fn stands<'a>(app: &App, trust: &'a TrustState, profile: &ProfileName) -> Stands<'a> {
    let now = app.not_before(trust);
    match trust.active_key(profile, now) {
        Some(key) if key.may_sign(now) => Stands::Signs(key),
        Some(key) => Stands::Cannot(Finding::fail(
            format!("profile {profile}: {} is past the age its profile allows", key.id),
            "the key was not rotated in time; statements are recorded unsigned",
            format!("stella keys generate --profile {profile}, then stella keys activate KEY"),
        )),
        None => without_active(trust, profile, now),
    }
}

fn without_active<'a>(
    trust: &'a TrustState,
    profile: &ProfileName,
    now: stella_core::time::Timestamp,
) -> Stands<'a> {
    let mut own = trust
        .keys
        .values()
        .filter(|key| key.profile() == Some(profile) && key.key_type == KeyType::Signing)
        .peekable();
    if own.peek().is_none() {
        return Stands::Unused;
    }
    let ready = own.find(|key| {
        matches!(
            key.state(now),
            KeyState::Pending | KeyState::Retiring | KeyState::Standby
        ) && !key.has_expired(now)
    });
    let next = match ready {
        Some(key) => format!("stella keys activate {}", key.id),
        None => format!("stella keys generate --profile {profile}"),
    };
    Stands::Cannot(Finding::fail(
        format!("profile {profile} has keys and none of them is active"),
        "its last active key was revoked or retired; statements are recorded unsigned",
        next,
    ))
}

async fn queue(app: &App, trust: &TrustState) -> Result<Vec<Finding>> {
    let queue = app.store.queue().await?;
    let mut findings = Vec::new();
    let withdrawn = app.withdrawn_unsigned(trust).await?;
    let waiting = queue
        .recorded
        .saturating_add(queue.failed)
        .saturating_sub(withdrawn);
    if waiting > 0 {
        let age = queue
            .oldest_unsigned
            .map(|since| format!(", the oldest for {} s", app.now().since(since).as_secs()))
            .unwrap_or_default();
        let cause = if app.target.mode == "embedded" {
            "the key store did not sign them when they came, and without a server nobody repeats it"
        } else {
            "the key store did not sign them when they came; the server goes on trying those that are not failed"
        };
        findings.push(Finding::warn(
            format!(
                "{} recorded and {} failed without a signature{age}",
                queue.recorded, queue.failed
            ),
            cause,
            "stella attest retry --failed",
        ));
    }
    if queue.held > 0 {
        findings.push(Finding::warn(
            format!("{} held without a signature", queue.held),
            "their requesters may no longer have them signed",
            "stella attest list --state held",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::pass(format!("{} signed, nothing waits", queue.signed)));
    }
    Ok(findings)
}
