//! Who is asked for a signature, in which order, and what came of it.

use std::time::{Duration, Instant};

use serde_json::json;
use stella_core::id::ProfileName;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::SignError;
use stella_keys::pool::{BreakerState, Change, Outcome, Role, StoreKind, order};
use stella_store::LogRow;

use super::stores::{Asked, Moment, of_request, store_of};
use crate::app::{App, signers};

/// A key that may be asked now, in one of its stores.
pub(in crate::app) struct Candidate<'a> {
    pub key: &'a KeyRecord,
    pub role: Role,
    /// The key-store URI.
    pub uri: &'a str,
    /// What fails and recovers with it; software does neither.
    pub store: Option<String>,
}

struct Place<'a> {
    key: &'a KeyRecord,
    uri: &'a str,
    store: Option<String>,
}

/// Why there is none, though the profile has an active key.
pub(in crate::app) enum NoCandidate {
    /// `signing.mode` leaves none.
    Mode,
    /// All stores are left alone for a while; what the first of them said.
    Down { store: String, why: String },
}

impl App {
    /// The active key must have been found able to sign.
    pub(in crate::app) fn keys_to_ask<'a>(
        &self,
        trust: &'a TrustState,
        profile: &ProfileName,
    ) -> Result<Vec<Candidate<'a>>, NoCandidate> {
        let settings = self.settings.profiles.get(profile);
        let listed = settings.map_or(&[][..], |p| p.backups.as_slice());
        let allow_software = settings.is_some_and(|p| p.allow_software);
        let keys = trust.signing_keys(profile, listed, self.not_before(trust));
        let roles = std::iter::once(Role::Active).chain(std::iter::repeat(Role::Standby));
        let rated = || {
            let rated = keys.iter().zip(roles.clone()).flat_map(|(key, role)| {
                key.stores().filter_map(move |uri| {
                    let place = Place {
                        key,
                        uri,
                        store: self.key_store_of(uri),
                    };
                    Some((role, StoreKind::of(uri)?, place))
                })
            });
            rated.collect::<Vec<_>>()
        };
        let mode = self.mode_for(trust, profile);
        let up = |place: &Place<'_>| {
            let store = place.store.as_ref();
            store.is_none_or(|store| self.signers.pool.is_up(store))
        };
        let moved = self.moved_to(trust, profile);
        let moved_to = |place: &Place<'_>| {
            moved
                .as_ref()
                .is_some_and(|moved| self.module_of_key(place.uri).as_ref() == Some(&moved.module))
        };
        let candidates: Vec<_> = order(rated(), mode, allow_software, up, moved_to)
            .into_iter()
            .map(|(role, Place { key, uri, store })| Candidate {
                key,
                role,
                uri,
                store,
            })
            .collect();
        if !candidates.is_empty() {
            return Ok(candidates);
        }
        let all = order(rated(), mode, allow_software, |_| true, |_| false);
        match all.into_iter().find_map(|(_, place)| place.store) {
            Some(store) => {
                let why = self.left_alone(&store);
                Err(NoCandidate::Down { store, why })
            }
            None => Err(NoCandidate::Mode),
        }
    }

    /// What fails and recovers together with a key.
    pub(crate) fn key_store_of(&self, uri: &str) -> Option<String> {
        let first = self.settings.hsm.modules.first();
        store_of(uri, first.map(|module| module.name.as_str()))
    }

    /// What it failed with, and when it is probed again.
    pub(crate) fn left_alone(&self, store: &str) -> String {
        let (state, error) = self.signers.pool.state(store, Instant::now());
        let next = match state {
            BreakerState::Closed => String::new(),
            BreakerState::Open { probe_in } => format!("probed again in {:.1} s", probe_in.as_secs_f64()),
            BreakerState::HalfOpen { good, wanted } => {
                format!("{good} of {wanted} good probes so far")
            }
        };
        [error, next]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Keeps what a request showed of a store, and tells when signing moves.
    pub(in crate::app) async fn note_request(&self, store: &str, result: Result<(), &SignError>) {
        let (outcome, error) = match result {
            Ok(()) => (Some(Outcome::Good), None),
            Err(e) => (of_request(e), Some(e.to_string())),
        };
        if let Some(outcome) = outcome {
            self.note_outcome(store, Asked::Request, outcome, error).await;
        }
    }

    pub(super) async fn note_outcome(
        &self,
        store: &str,
        asked: Asked,
        outcome: Outcome,
        error: Option<String>,
    ) -> Option<Change> {
        let change = self
            .signers
            .pool
            .note(store, asked, outcome, error.as_deref(), self.moment())?;
        let error = error.unwrap_or_default();
        let (level, message) = match change {
            Change::Opened => (
                "error",
                format!(
                    "{store} is left alone until probes are good again: backup keys sign where profiles list them ({error})"
                ),
            ),
            Change::Closed => (
                "info",
                format!("{store} answered its probes: signing is back there"),
            ),
        };
        self.note(LogRow {
            at: self.now(),
            level: level.to_owned(),
            component: "hsm".to_owned(),
            message,
            fields: json!({ "by": "failover", "store": store, "error": error }),
        })
        .await;
        Some(change)
    }

    /// Waits until the queue may ask the store of the profile's key. What it
    /// leaves of the rate is for who asks now.
    pub(in crate::app) async fn queue_turn(&self, trust: &TrustState, profile: &ProfileName) {
        let active = trust.active_key(profile, self.not_before(trust));
        let Some(own) = active.and_then(KeyRecord::own) else {
            return;
        };
        let of_kms = Some(self.settings.kms.aws.requests_per_second / 2);
        let of_kms = of_kms.filter(|_| signers::scheme(&own.store) == "kms");
        let asked = self.settings.signing.queue_rate;
        let Some(rate) = of_kms.into_iter().chain(asked).min() else {
            return;
        };
        let store = self.key_store_of(&own.store).unwrap_or_else(|| own.store.clone());
        let every = Duration::from_secs(1) / rate.max(1);
        let turn = self.signers.pool.queue_turn(&store, every, self.moment());
        tokio::time::sleep_until(turn.into()).await;
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: Instant::now(),
            random: self.chance(),
            settings: self.settings.signing.breaker,
        }
    }

    /// For jitter: where there is no randomness, none is needed.
    pub(in crate::app) fn chance(&self) -> u32 {
        let mut bytes = [0; 4];
        match self.entropy.fill(&mut bytes) {
            Ok(()) => u32::from_le_bytes(bytes),
            Err(_) => 0,
        }
    }
}
