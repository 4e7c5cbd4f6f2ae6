//! The servers that share this one's store, and what each tells of itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use stella_core::api::replicas::{ReplicaList, ReplicaStatus};
use stella_core::digest::Sha256;
use stella_core::time::Timestamp;
use stella_store::ReplicaRow;
use uuid::Uuid;

use super::App;
use super::error::Result;
use super::runtime_config::table::SETTINGS;
use crate::config::Settings;

/// How this server is told from others.
#[derive(Debug)]
pub struct Replica {
    pub name: String,
    /// Another one for each start.
    pub process: Uuid,
    pub started_at: Timestamp,
    /// Where clients reach it and no other, known once it listens.
    pub url: OnceLock<String>,
}

/// Digests of the settings that all replicas should have alike, by name.
pub type Digests = BTreeMap<String, String>;

impl App {
    /// One heartbeat.
    pub async fn tell_of_itself(&self) -> Result<()> {
        let now = self.now();
        let trust = self.trust_head().await?;
        let mut unable = BTreeMap::new();
        for status in self.profile_statuses(&trust).await? {
            if !status.can_sign && status.active_key.is_some() {
                unable.insert(status.profile, status.detail);
            }
        }
        let replica = ReplicaRow {
            name: self.replica.name.clone(),
            process: self.replica.process,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: json!(digests(&self.settings)),
            unable: json!(unable),
            url: self.replica.url.get().cloned(),
            started_at: self.replica.started_at,
            seen_at: now,
        };
        self.store
            .note_replica(replica, now.saturating_sub(FORGOTTEN))
            .await?;
        Ok(())
    }

    /// All that were heard of, and which one answers.
    pub async fn list_replicas(&self) -> Result<ReplicaList> {
        let silent_since = self.silent_since();
        let rows = self.store.replicas().await?;
        let mut replicas: Vec<ReplicaStatus> = rows
            .into_iter()
            .map(|row| ReplicaStatus {
                silent: row.seen_at < silent_since,
                name: row.name,
                url: row.url,
                version: row.version,
                started_at: row.started_at.to_string(),
                seen_at: row.seen_at.to_string(),
            })
            .collect();
        let own = &self.replica;
        // The first heartbeat may still be to come; one that is embedded has none.
        if replicas.iter().all(|replica| replica.name != own.name) {
            replicas.push(ReplicaStatus {
                name: own.name.clone(),
                url: own.url.get().cloned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: own.started_at.to_string(),
                seen_at: self.now().to_string(),
                silent: false,
            });
        }
        Ok(ReplicaList {
            name: own.name.clone(),
            replicas,
        })
    }

    pub async fn take_leave(&self) -> Result<()> {
        self.store
            .forget_replica(&self.replica.name, self.replica.process)
            .await?;
        Ok(())
    }

    /// From when on nobody heard from a replica that is told of.
    pub fn silent_since(&self) -> Timestamp {
        self.now()
            .saturating_sub(self.settings.server.heartbeat.saturating_mul(MISSED))
    }
}

/// Addresses, files and what else is a host's own may differ.
pub fn digests(settings: &Settings) -> Digests {
    let digest = |text: &str| Sha256::of(text.as_bytes()).to_hex();
    let own = |key: &str| OWN.iter().any(|prefix| key.starts_with(prefix));
    let mut digests: Digests = SETTINGS
        .iter()
        .filter(|setting| !setting.runtime && !own(setting.key))
        .map(|setting| (setting.key.to_owned(), digest(&(setting.value)(settings))))
        .collect();
    for (name, profile) in &settings.profiles {
        digests.insert(format!("signer.profiles.{name}"), digest(&format!("{profile:?}")));
    }
    digests
}

const OWN: [&str; 5] = ["server.", "store.", "pkcs11.", "hsm.", "kms."];

/// Heartbeats that a server may leave out before it counts as silent.
const MISSED: u32 = 4;

/// Nobody looks for one that was away for so long.
const FORGOTTEN: Duration = Duration::from_secs(86_400);
