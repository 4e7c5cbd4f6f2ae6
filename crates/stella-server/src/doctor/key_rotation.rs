//! Whether keys are near the end of their age, or past it.

use std::sync::Arc;

use stella_core::api::keys::RotationWarning;
use stella_core::trust::{KeyRecord, KeyState, KeyType};

use super::{Check, Finding};
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.keys.rotation",
    about: "no key that signs is near the end of the age its profile allows",
    needs: Permission::ReadKeys,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let warnings = app.rotation_warnings().await?.keys;
    if warnings.is_empty() {
        return Ok(vec![Finding::skip("no key signs here")]);
    }
    let trust = app.trust_head().await?;
    let now = app.not_before(&trust);
    let finding = |key: &RotationWarning| {
        let successor = trust.keys.values().find(|other| {
            other
                .profile()
                .is_some_and(|profile| profile.as_str() == key.profile)
                && other.state(now) == KeyState::Pending
                && other.key_type == KeyType::Signing
        });
        finding(key, successor)
    };
    Ok(warnings.iter().map(finding).collect())
}

fn finding(key: &RotationWarning, successor: Option<&KeyRecord>) -> Finding {
    let measured = format!(
        "{} of profile {}: {} of {} old, {}",
        key.key_id, key.profile, key.age, key.max_age, key.warning
    );
    let (cause, next) = match successor {
        Some(successor) => (
            format!(
                "its successor {} was made and is not in every anchor yet",
                successor.id
            ),
            format!("stella anchor add-key --anchor-id ALL --key-id {}", successor.id),
        ),
        None => (
            "its successor was not made yet".to_owned(),
            format!("stella keys generate --profile {}", key.profile),
        ),
    };
    match key.level.as_str() {
        "ok" => Finding::pass(measured),
        "overdue" => Finding::fail(measured, cause, next),
        _ => Finding::warn(measured, cause, next),
    }
}
