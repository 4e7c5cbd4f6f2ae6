//! What happens to modules, written into the operations log.

use std::sync::Arc;

use serde_json::json;
use stella_core::time::Clock;
use stella_keys::hsm::{HsmEvent, HsmEvents, ModuleName, Severity};
use stella_store::{LogRow, Store};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Whoever tells of an event goes on at once; a task writes.
pub struct ModuleLog {
    lines: mpsc::Sender<LogRow>,
    clock: Arc<dyn Clock>,
}

impl ModuleLog {
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, runtime: &Handle) -> Self {
        let (lines, mut waiting) = mpsc::channel(MAX_WAITING);
        runtime.spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, MAX_WAITING).await > 0 {
                if let Err(error) = store.log(std::mem::take(&mut batch)).await {
                    tracing::warn!(%error, "the operations log did not take what happened to an HSM");
                }
            }
        });
        Self { lines, clock }
    }
}

impl HsmEvents for ModuleLog {
    fn event(&self, module: &ModuleName, event: &HsmEvent) {
        let level = match event.severity {
            Severity::Info => "info",
            Severity::Warning => "warn",
            Severity::Error => "error",
        };
        let line = LogRow {
            at: self.clock.now(),
            level: level.to_owned(),
            component: "hsm".to_owned(),
            message: event.text.clone(),
            fields: json!({ "module": module.as_str(), "event": event.kind }),
        };
        if self.lines.try_send(line).is_err() {
            tracing::warn!(%module, event = event.kind, "{}", event.text);
        }
    }
}

/// A vendor's library may chatter faster than a disk writes.
const MAX_WAITING: usize = 256;
