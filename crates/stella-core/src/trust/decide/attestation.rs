//! Withdrawing what was attested.

use crate::digest::Sha256;
use crate::trust::decide::Refusal;
use crate::trust::event::EventBody;
use crate::trust::reason::RevokeReason;
use crate::trust::state::TrustState;

/// Once withdrawn, always withdrawn: a second wish changes nothing.
pub fn withdraw(
    state: &TrustState,
    pae: Sha256,
    reason: RevokeReason,
    note: Option<String>,
) -> Result<Vec<EventBody>, Refusal> {
    if state.withdrawn.contains_key(&pae) {
        return Ok(Vec::new());
    }
    Ok(vec![EventBody::AttestationWithdrawn { pae, reason, note }])
}
