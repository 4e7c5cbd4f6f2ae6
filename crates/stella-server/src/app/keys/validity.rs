//! `keys check-validity`: the runbook's rule, anchor by anchor.

use stella_core::api::keys::{AnchorValidity, Validity as Answer};
use stella_core::time::Timestamp;
use stella_core::trust::reason::{EndKind, Validity};
use stella_core::trust::{AnchorKey, TrustAnchor};
use stella_core::verify::Code;

use crate::app::error::Result;
use crate::app::{App, values};

impl App {
    /// Valid when every anchor that ever held the key held it as valid then,
    /// and one did at all.
    pub async fn key_validity(&self, id: &str, at_time: Option<&str>) -> Result<Answer> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        super::known(&state, &id)?;
        let now = self.not_before(&state);
        let at = at_time.map_or(Ok(now), |t| values::time(t, now))?;
        let anchors: Vec<_> = state
            .anchors_that_had(&id)
            .filter_map(|anchor| anchor.key(&id).map(|held| row(anchor, held, at)))
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
    let code = judge(held, at);
    AnchorValidity {
        anchor_id: anchor.id.to_string(),
        pattern: anchor.pattern.to_string(),
        valid: code == Code::Ok,
        added_at: held.added_at.to_string(),
        ends_at: match held.validity() {
            Validity::Until { end, .. } => Some(end.to_string()),
            Validity::Open | Validity::WindowUnknown => None,
        },
        reason: code.to_string(),
    }
}

/// `addedAt <= T < end`.
fn judge(held: &AnchorKey, at: Timestamp) -> Code {
    if at < held.added_at {
        return Code::KeyNotYetAdded;
    }
    match held.validity() {
        Validity::WindowUnknown => Code::KeyWindowUnknown,
        Validity::Until { end, why } if end <= at => match why {
            EndKind::Expired => Code::KeyExpired,
            EndKind::Revoked(reason) if reason.is_compromise() => Code::KeyCompromised,
            EndKind::Revoked(_) => Code::KeyRevoked,
        },
        Validity::Open | Validity::Until { .. } => Code::Ok,
    }
}
