//! `keys check-validity`: the runbook's rule, anchor by anchor.

use stella_core::api::keys::{AnchorValidity, Validity as Answer};
use stella_core::time::Timestamp;
use stella_core::trust::reason::{EndKind, Validity};
use stella_core::trust::{AnchorKey, TrustAnchor};

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::app::values;

impl App {
    /// Valid when at least one anchor holds the key and in every one that
    /// does `addedAt <= T < end`.
    pub async fn key_validity(&self, id: &str, at_time: Option<&str>) -> Result<Answer> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        if !state.keys.contains_key(&id) {
            return Err(
                Error::not_found("key.unknown", format!("no key named {id}")).next("stella keys list")
            );
        }
        let at = values::time(at_time.unwrap_or("NOW"), self.not_before(&state))?;
        let anchors: Vec<_> = state
            .anchors
            .values()
            .filter_map(|a| a.key(&id).map(|held| row(a, held, at)))
            .collect();
        Ok(Answer {
            key_id: id.to_string(),
            at_time: at.to_string(),
            valid: !anchors.is_empty() && anchors.iter().all(|a| a.valid),
            anchors,
        })
    }
}

fn row(anchor: &TrustAnchor, held: &AnchorKey, at: Timestamp) -> AnchorValidity {
    let (ends_at, ended) = match held.validity() {
        Validity::Open => (None, None),
        Validity::WindowUnknown => (
            None,
            Some("key.window-unknown: compromised, and nobody has stated since when".to_owned()),
        ),
        Validity::Until { end, why } => {
            let word = match why {
                EndKind::Expired => "key.expired".to_owned(),
                EndKind::Revoked(reason) => format!("key.revoked: {reason}"),
            };
            (Some(end), (end <= at).then_some(word))
        }
    };
    let reason = if at < held.added_at {
        Some("key.not-yet-added".to_owned())
    } else {
        ended
    };
    AnchorValidity {
        anchor_id: anchor.id.to_string(),
        pattern: anchor.pattern.to_string(),
        valid: reason.is_none(),
        added_at: held.added_at.to_string(),
        ends_at: ends_at.map(|t| t.to_string()),
        reason: reason.unwrap_or_else(|| "ok".to_owned()),
    }
}
