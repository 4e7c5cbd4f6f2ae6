//! `attest status` and `db verify`.

use stella_core::api::status::{DbReport, ProfileStatus, Status};
use stella_core::id::ProfileName;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::pool::Role;
use stella_store::QueueFigures;

use crate::app::App;
use crate::app::attest::Drain;
use crate::app::error::Result;
use crate::app::pool::NoCandidate;
use crate::config::Profile;

impl App {
    pub async fn status(&self) -> Result<Status> {
        let trust = self.trust_head().await?;
        let now = self.now();
        let store = self.store.describe().await?;
        let queue = self.store.queue().await?;
        let drain = Drain::of(&self.store.newest_signatures(LOOKED_AT).await?, now);
        let withdrawn = self.withdrawn_unsigned(&trust).await?;
        let profiles = self.profile_statuses(&trust).await?;
        Ok(Status {
            target: self.target.place.clone(),
            mode: self.target.mode.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: format!(
                "{} {} (schema {})",
                store.driver, store.place, store.schema_version
            ),
            warnings: self.warnings(&trust, &profiles, &queue, withdrawn),
            signing_mode: self.signing_mode(&trust).as_str().to_owned(),
            profiles,
            recorded: queue.recorded,
            signed: queue.signed,
            failed: queue.failed,
            held: queue.held,
            oldest_unsigned_seconds: queue.oldest_unsigned.map(|t| now.since(t).as_secs()),
            drained_per_minute: drain.per_minute(),
            drained_in_seconds: drain.seconds_for(queue.recorded),
            anchors: u64::try_from(trust.anchors.size()).unwrap_or(u64::MAX),
            event_head: trust.head,
        })
    }

    /// Reads everything and compares.
    pub async fn verify_store(&self) -> Result<DbReport> {
        let place = self.store.describe().await?;
        let report = self.store.verify().await?;
        Ok(DbReport {
            store: format!("{} {}", place.driver, place.place),
            ok: report.findings.is_empty(),
            events: report.events,
            attestations: report.attestations,
            ledger_entries: report.ledger_entries,
            chain_head: report.chain_head,
            findings: report.findings,
        })
    }

    pub(super) async fn profile_statuses(&self, trust: &TrustState) -> Result<Vec<ProfileStatus>> {
        let mut profiles = Vec::with_capacity(self.settings.profiles.len());
        for (name, profile) in &self.settings.profiles {
            profiles.push(self.profile_status(trust, name, profile).await?);
        }
        Ok(profiles)
    }

    async fn profile_status(
        &self,
        trust: &TrustState,
        name: &ProfileName,
        profile: &Profile,
    ) -> Result<ProfileStatus> {
        let now = self.not_before(trust);
        let active = trust.active_key(name, now);
        let mut signs_with = None;
        let (can_sign, detail) = match active {
            None => (
                false,
                format!("no active key; stella keys generate --profile {name}"),
            ),
            Some(key) if key.has_expired(now) => {
                (false, format!("{} is past the age its profile allows", key.id))
            }
            Some(key) => match self.keys_to_ask(trust, name) {
                Ok(keys) => match keys.first().filter(|k| k.role == Role::Standby) {
                    Some(standby) => {
                        signs_with = Some(standby.key.id.to_string());
                        (true, self.set_aside(trust, name, key))
                    }
                    None => {
                        let first = keys.first().map(|k| k.uri);
                        self.where_it_signs(trust, name, key, first).await
                    }
                },
                Err(NoCandidate::Down { store, why }) => (false, format!("{store} is down: {why}")),
                Err(NoCandidate::Mode) => (false, "signing.mode leaves it no key to sign with".to_owned()),
            },
        };
        Ok(ProfileStatus {
            profile: name.to_string(),
            algorithm: profile.algorithm.to_string(),
            key_store: profile.key_store.clone(),
            active_key: active.map(|k| k.id.to_string()),
            signs_with,
            can_sign,
            detail,
        })
    }

    /// The active key signs: in its first store, or in which, and why there.
    async fn where_it_signs(
        &self,
        trust: &TrustState,
        profile: &ProfileName,
        key: &KeyRecord,
        uri: Option<&str>,
    ) -> (bool, String) {
        let usual = key.own().map(|own| own.store.as_str());
        let signer = match uri {
            Some(uri) => self.signer_in(key, uri).await,
            None => self.signer(key).await,
        };
        match signer {
            Ok(signer) => {
                let about = signer.describe();
                let slot = about.slot.map(|s| format!(", {s}")).unwrap_or_default();
                let why = if uri == usual {
                    String::new()
                } else {
                    format!(
                        "; not in its first store: {}",
                        self.set_aside(trust, profile, key)
                    )
                };
                (true, format!("{}, {}{slot}{why}", about.store, about.mechanism))
            }
            Err(e) => (false, e.message),
        }
    }

    /// Why the active key does not sign where it usually does.
    fn set_aside(&self, trust: &TrustState, profile: &ProfileName, active: &KeyRecord) -> String {
        let store = active.own().and_then(|own| self.key_store_of(&own.store));
        match store.filter(|store| !self.signers.pool.is_up(store)) {
            Some(store) => format!("{store} is down: {}", self.left_alone(&store)),
            None => match self.moved_to(trust, profile) {
                Some(moved) => format!(
                    "signing was moved to module {moved}; stella crypto hsm failover --to auto gives it back"
                ),
                None => "by signing.mode".to_owned(),
            },
        }
    }

    fn warnings(
        &self,
        trust: &TrustState,
        profiles: &[ProfileStatus],
        queue: &QueueFigures,
        withdrawn: u64,
    ) -> Vec<String> {
        let mut out: Vec<String> = profiles
            .iter()
            .filter(|p| !p.can_sign && p.active_key.is_some())
            .map(|p| format!("profile {} cannot sign: {}", p.profile, p.detail))
            .collect();
        let stood_in = profiles.iter().filter_map(|p| {
            let key = p.signs_with.as_ref()?;
            Some(format!(
                "profile {} signs with its standby key {key}: {}",
                p.profile, p.detail
            ))
        });
        out.extend(stood_in);
        if profiles.iter().all(|p| !p.can_sign) {
            out.push("nothing can be signed: stella keys generate --profile default".to_owned());
        }
        if trust.anchors.is_empty() {
            out.push("no trust anchor: nothing verifies; stella anchor create adds one".to_owned());
        }
        let waiting = queue
            .recorded
            .saturating_add(queue.failed)
            .saturating_sub(withdrawn);
        if waiting > 0 {
            out.push(format!(
                "{waiting} recorded without a signature: stella attest retry --failed"
            ));
        }
        if queue.held > 0 {
            out.push(format!(
                "{} held: their requesters may no longer have them signed",
                queue.held
            ));
        }
        out.extend(self.software_notices(trust));
        out
    }
}

/// Of the newest signatures, to see how fast the queue is.
const LOOKED_AT: usize = 1000;
