//! Whether anchors believe what a standby key signs.

use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, TrustAnchor, TrustState};

/// Those that accept the active key now and not the one that would stand in.
pub(crate) fn anchors_without<'a>(
    trust: &'a TrustState,
    active: &KeyRecord,
    standby: &KeyRecord,
    now: Timestamp,
) -> Vec<&'a TrustAnchor> {
    let accepts = |anchor: &TrustAnchor, key: &KeyRecord| {
        anchor.key(&key.id).is_some_and(|entry| entry.is_current(now))
    };
    let all = trust.anchors.values();
    all.filter(|anchor| accepts(anchor, active) && !accepts(anchor, standby))
        .collect()
}
