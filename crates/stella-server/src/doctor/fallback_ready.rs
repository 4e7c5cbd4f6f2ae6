//! Whether what a profile fails over to would sign, and would be believed.

use std::sync::Arc;

use stella_core::id::{KeyId, ProfileName};
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, KeyState, KeyType, TrustAnchor, TrustState};

use super::{Check, Finding, probe};
use crate::app::signers::scheme;
use crate::app::{App, Permission, Result};
use crate::config::Profile;

pub const CHECK: Check = Check {
    id: "check.crypto.fallback-ready",
    about: "each profile's backup keys sign, so does its active key in its other stores, and every anchor of that accepts the backups",
    needs: Permission::ReadAnchors,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let trust = app.trust_head().await?;
    let now = app.not_before(&trust);
    let mut findings = Vec::new();
    let mut backups = Vec::new();
    for (name, profile) in &app.settings.profiles {
        let side = Side {
            trust: &trust,
            now,
            name,
            profile,
        };
        findings.extend(side.examine(&mut backups));
    }
    for probed in probe::all(&app, backups).await {
        findings.push(match probed.signed {
            Ok(signed) => Finding::pass(format!("backup of {}", probe::describe(&signed))),
            Err(e) => Finding::fail(
                format!("backup of profile {}: {}", probed.profile, e.message),
                probe::cause(&e),
                format!("stella keys verify {} --operation sign", probed.key),
            ),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::skip("no profile has backups, and none needs one"));
    }
    Ok(findings)
}

/// One profile at one moment.
struct Side<'a> {
    trust: &'a TrustState,
    now: Timestamp,
    name: &'a ProfileName,
    profile: &'a Profile,
}

impl Side<'_> {
    fn examine(&self, backups: &mut Vec<(KeyRecord, String)>) -> Vec<Finding> {
        let mut findings = self.unlisted();
        let active = self.trust.active_key(self.name, self.now);
        if let Some(active) = active {
            let further = active.own().map_or(&[][..], |own| &own.further_stores);
            backups.extend(further.iter().map(|store| (active.clone(), store.clone())));
            if further.is_empty() && self.profile.backups.is_empty() {
                findings.extend(self.alone(active));
            }
        }
        for id in &self.profile.backups {
            match self.backup(id) {
                Ok(backup) => {
                    backups.extend(backup.stores().map(|store| (backup.clone(), store.to_owned())));
                    findings.extend(
                        active
                            .map(|active| self.believed(active, backup))
                            .into_iter()
                            .flatten(),
                    );
                }
                Err(finding) => findings.push(finding),
            }
        }
        findings
    }

    /// A key that may stand in.
    fn backup(&self, id: &KeyId) -> std::result::Result<&KeyRecord, Finding> {
        let name = self.name;
        let make = format!("stella keys generate --profile {name} --key-id {id} --standby");
        let Some(key) = self.trust.keys.get(id) else {
            return Err(Finding::fail(
                format!("profile {name} lists the backup {id}, and there is no such key"),
                "it was never made, or its name is misspelt in signer.yaml",
                make,
            ));
        };
        let another = format!("stella keys generate --profile {name} --standby, and list it instead of {id}");
        if key.profile() != Some(name) {
            return Err(Finding::fail(
                format!("profile {name} lists the backup {id}, which is no key of this profile"),
                "a key signs for its own profile alone",
                another,
            ));
        }
        match key.state(self.now) {
            KeyState::Standby if key.has_expired(self.now) => Err(Finding::fail(
                format!("the backup {id} of profile {name} is past the age its profile allows"),
                "a standby key ages like any other",
                another,
            )),
            KeyState::Standby => Ok(key),
            state => Err(Finding::fail(
                format!("the backup {id} of profile {name} is {state}, not standby"),
                "only a standby key stands in; this one took over, or ended",
                another,
            )),
        }
    }

    /// Every anchor that accepts the active key has to accept the backup.
    fn believed(&self, active: &KeyRecord, backup: &KeyRecord) -> Vec<Finding> {
        let holding: Vec<_> = self
            .trust
            .anchors
            .values()
            .filter(|anchor| self.accepts(anchor, &active.id))
            .collect();
        let lacking: Vec<_> = holding
            .iter()
            .filter(|anchor| !self.accepts(anchor, &backup.id))
            .collect();
        if lacking.is_empty() {
            return vec![Finding::pass(format!(
                "{} is accepted by each of the {} anchors that accept {}",
                backup.id,
                holding.len(),
                active.id
            ))];
        }
        lacking
            .into_iter()
            .map(|anchor| self.disbelieved(anchor, active, backup))
            .collect()
    }

    fn disbelieved(&self, anchor: &TrustAnchor, active: &KeyRecord, backup: &KeyRecord) -> Finding {
        let measured = format!(
            "anchor {} ({}) accepts {} and not its backup {}",
            anchor.id, anchor.pattern, active.id, backup.id
        );
        if anchor.key(&backup.id).is_some_and(|key| key.end.is_some()) {
            return Finding::fail(
                measured,
                "the backup was revoked there, and a key revoked in an anchor is never added again",
                format!("stella keys generate --profile {} --standby", self.name),
            );
        }
        Finding::fail(
            measured,
            "the backup was not added when the anchor was made; what it signs would fail there",
            format!(
                "stella anchor add-key --anchor-id {} --key-id {}",
                anchor.id, backup.id
            ),
        )
    }

    fn accepts(&self, anchor: &TrustAnchor, id: &KeyId) -> bool {
        anchor.key(id).is_some_and(|key| key.is_current(self.now))
    }

    /// Keys made to stand in that never will.
    fn unlisted(&self) -> Vec<Finding> {
        self.trust
            .keys
            .values()
            .filter(|key| key.profile() == Some(self.name) && key.key_type == KeyType::Signing)
            .filter(|key| key.state(self.now) == KeyState::Standby)
            .filter(|key| !self.profile.backups.contains(&key.id))
            .map(|key| {
                Finding::warn(
                    format!(
                        "{} of profile {} is standby and no backup of it",
                        key.id, self.name
                    ),
                    "a standby key signs only where its profile lists it",
                    format!(
                        "add backups: [{{key: {}}}] to signer.profiles.{} in signer.yaml and restart the server",
                        key.id, self.name
                    ),
                )
            })
            .collect()
    }

    fn alone(&self, active: &KeyRecord) -> Option<Finding> {
        let store = &active.own()?.store;
        (scheme(store) != "software").then(|| {
            Finding::warn(
                format!("profile {} signs with {} in {store} alone", self.name, active.id),
                "no backup is configured: while that store is down, statements are recorded unsigned",
                format!(
                    "stella keys generate --profile {} --standby, on another token, and list it under backups",
                    self.name
                ),
            )
        })
    }
}
