//! Access tokens: random, stored hashed, expiring, scoped.

use stella_core::digest::Sha256;

use crate::app::error::{Error, ErrorKind, Result};
use crate::app::{App, Caller};

impl App {
    /// Whose token this is. One answer for unknown, expired and revoked, so
    /// that nothing is learnt by guessing.
    pub async fn token_caller(&self, secret: &str) -> Result<Caller> {
        let refuse = || {
            Error::new(
                ErrorKind::Unauthenticated,
                "access.unauthenticated",
                "the token is unknown, expired or revoked",
            )
            .next("stella token create makes a new one; stella token list shows which have ended")
        };
        let now = self.now();
        let row = self
            .store
            .token_by_hash(&Sha256::of(secret.as_bytes()))
            .await?
            .ok_or_else(refuse)?;
        if row.revoked_at.is_some() || row.expires_at <= now {
            return Err(refuse());
        }
        let mut caller: Caller = serde_json::from_value(row.authority).map_err(|e| {
            Error::new(
                ErrorKind::Internal,
                "store.corrupt",
                format!("token {}: {e}", row.id),
            )
        })?;
        caller.identity = format!("token:{}", row.name);
        caller.token = Some(row.id);
        caller.remote = true;
        self.store.note_token_used(row.id, now).await?;
        Ok(caller)
    }
}
