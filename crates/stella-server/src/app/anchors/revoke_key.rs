//! `anchor revoke-key`.

use stella_core::api::keys::{Revocation, RevokeKey};

use crate::app::error::Result;
use crate::app::keys::revoke::Reach;
use crate::app::{App, Caller, values};

impl App {
    pub async fn revoke_anchor_key(
        &self,
        caller: &Caller,
        anchor: &str,
        key: &str,
        request: RevokeKey,
    ) -> Result<Revocation> {
        let head = self.trust_head().await?;
        let reach = Reach::Anchors(values::scope(&head, anchor)?);
        self.revoke(caller, &reach, key, request).await
    }
}
