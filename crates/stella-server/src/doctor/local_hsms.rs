//! What the check of HSMs says of local ones: their PIN, and the keys in them.

use std::sync::Arc;

use stella_core::api::local_hsm::LocalHsm;
use stella_core::trust::KeyRecord;

use super::{Finding, probe};
use crate::app::App;

/// `keys` are those in use in any local HSM, each of which signs a probe.
pub async fn examine(app: &Arc<App>, keys: Vec<(KeyRecord, String)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for settings in &app.settings.hsm.local {
        match app.local_hsm(&settings.name).await {
            Ok(hsm) => findings.extend(pin(&hsm)),
            Err(e) => findings.push(Finding::from_error(&e)),
        }
    }
    for probed in probe::all(app, keys).await {
        findings.push(match probed.signed {
            Ok(signed) => Finding::pass(format!("local HSM: {}", probe::describe(&signed))),
            Err(e) => Finding::fail(
                format!("local HSM: {}: {}", probed.key, e.message),
                probe::cause(&e),
                e.next
                    .unwrap_or_else(|| format!("stella keys verify {} --operation sign", probed.key)),
            ),
        });
    }
    findings
}

fn pin(hsm: &LocalHsm) -> Option<Finding> {
    let name = &hsm.name;
    if hsm.locked {
        return Some(Finding::fail(
            format!("local HSM {name}: the PIN is locked"),
            format!("{} wrong PINs were entered", hsm.wrong_pins),
            format!("stella crypto local-hsm recover {name} --recovery-code-file FILE"),
        ));
    }
    (hsm.wrong_pins > 0).then(|| {
        Finding::warn(
            format!(
                "local HSM {name}: {} wrong PINs since the last right one, {} lock it",
                hsm.wrong_pins, hsm.pin_limit
            ),
            "pinFile holds another PIN than it was made with",
            format!("stella crypto local-hsm status {name}"),
        )
    })
}
