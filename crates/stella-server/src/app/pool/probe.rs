//! Probes of key stores: those that are down, until they are well again, and
//! those that are up, so that a session that died is noticed before a
//! release waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stella_core::dsse;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::hsm::KeyReference;
use stella_keys::pool::{Change, Outcome};

use super::stores::{Asked, of_probe};
use crate::app::App;
use crate::app::attest::PROBE_PAYLOAD_TYPE;
use crate::app::error::Result;

impl App {
    /// Begins every probe that is due: find the key, sign a nonce, verify the
    /// signature. They end by themselves, each on its own, so that one that
    /// hangs delays no other.
    pub async fn probe_stores(self: &Arc<Self>) -> Result<()> {
        let trust = self.trust_head().await?;
        let now = self.not_before(&trust);
        let mut asked: BTreeMap<String, (&KeyRecord, &str)> = BTreeMap::new();
        for (name, profile) in &self.settings.profiles {
            for key in trust.signing_keys(name, &profile.backups, now) {
                for uri in key.stores() {
                    if let Some(store) = self.key_store_of(uri) {
                        asked.entry(store).or_insert((key, uri));
                    }
                }
            }
        }
        for (store, (key, uri)) in asked {
            let every = self.keepalive_interval(&trust, uri);
            if self.signers.pool.begin_probe(&store, every, self.moment()) {
                tokio::spawn(probe(Arc::clone(self), store, key.clone(), uri.to_owned()));
            }
        }
        Ok(())
    }

    /// How often a store that is up is probed; KMS keeps no session.
    fn keepalive_interval(&self, trust: &TrustState, uri: &str) -> Option<Duration> {
        let at: KeyReference = uri.parse().ok()?;
        let mut modules = self.settings.hsm.modules.iter();
        let module = match &at.module {
            Some(name) => modules.find(|m| m.name == name.as_str()),
            None => modules.next(),
        }?;
        let session = self.as_set(trust, module).session;
        session.keepalive.then_some(session.keepalive_interval)
    }
}

async fn probe(app: Arc<App>, store: String, key: KeyRecord, uri: String) {
    let (outcome, error) = match probed(&app, &key, &uri).await {
        Ok(()) => (Outcome::Good, None),
        Err((outcome, error)) => (outcome, Some(error)),
    };
    let change = app.note_outcome(&store, Asked::Probe, outcome, error).await;
    app.signers.pool.end_probe(&store, Instant::now());
    if change == Some(Change::Closed) {
        app.signers.recovered.notify_one();
    }
}

async fn probed(app: &App, key: &KeyRecord, uri: &str) -> std::result::Result<(), (Outcome, String)> {
    let signer = app
        .signer_in(key, uri)
        .await
        .map_err(|e| (Outcome::Failed, e.message))?;
    let mut nonce = [0_u8; 32];
    app.entropy
        .fill(&mut nonce)
        .map_err(|e| (Outcome::Failed, e.to_string()))?;
    app.sign_within_deadline(signer, dsse::pae(PROBE_PAYLOAD_TYPE, &nonce))
        .await
        .map(drop)
        .map_err(|e| (of_probe(&e), e.to_string()))
}
