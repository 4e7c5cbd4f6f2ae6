//! `anchor list`, `anchor show`.

use stella_core::api::anchors::{Anchor, AnchorList};
use stella_core::id::AnchorId;
use stella_core::trust::TrustState;

use super::view;
use crate::app::error::{Error, Result};
use crate::app::{App, values};

impl App {
    pub async fn list_anchors(&self) -> Result<AnchorList> {
        let state = self.trust_head().await?;
        let now = self.not_before(&state);
        Ok(AnchorList {
            anchors: state.anchors.values().map(|a| view(a, &state, now)).collect(),
        })
    }

    pub async fn show_anchor(&self, id: &str) -> Result<Anchor> {
        let state = self.trust_head().await?;
        let anchor = values::anchor(&state, id)?;
        Ok(view(anchor, &state, self.not_before(&state)))
    }

    pub(super) fn view_anchor(&self, state: &TrustState, id: AnchorId) -> Result<Anchor> {
        let anchor = state
            .anchors
            .get(&id)
            .ok_or_else(|| Error::internal("the anchor is not in the state"))?;
        Ok(view(anchor, state, self.not_before(state)))
    }
}
