//! Access tokens: random, stored hashed, expiring, scoped.

mod create;
mod list;
mod memory;
mod revoke;

pub use memory::KnownTokens;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stella_core::api::tokens::Token;
use stella_core::digest::Sha256;
use stella_core::time::Timestamp;
use stella_store::TokenRow;

use crate::app::error::{Error, ErrorKind, Result};
use crate::app::{App, Caller};

/// By which a secret that leaked into a log or a repository is recognised.
pub const SECRET_PREFIX: &str = "stella_";

/// What is known of a caller whose token was remembered.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// As of which head of the event log the token is good.
    pub head: u64,
    /// The caller's, as it is kept with what they have signed.
    pub authority: Arc<Value>,
}

impl App {
    /// Whose token this is. One answer for unknown, expired and revoked, so
    /// that nothing is learnt by guessing.
    pub async fn token_caller(&self, secret: &str) -> Result<Caller> {
        let head = self.trust.last_known().head;
        let token = self.look_up(&Sha256::of(secret.as_bytes()), head).await?;
        caller_of(&token, self.now())
    }

    /// The same from memory, where it is there, with the head of the event log
    /// as of which it holds. Only for what proves at its commit that this is
    /// still the head, or asks again.
    pub async fn remembered_caller(&self, secret: &str) -> Result<(Caller, Remembered)> {
        let hash = Sha256::of(secret.as_bytes());
        let head = self.trust.last_known().head;
        let known = self.known_tokens.at(head, &hash);
        // Whose use is to be noted again is looked up again.
        let token = match known.filter(|token| !use_is_stale(&token.row, self.now())) {
            Some(token) => token,
            None => self.look_up(&hash, head).await?,
        };
        let authority = Arc::clone(&token.authority);
        Ok((caller_of(&token, self.now())?, Remembered { head, authority }))
    }

    async fn look_up(&self, hash: &Sha256, head: u64) -> Result<Arc<memory::Token>> {
        let now = self.now();
        let row = self.store.token_by_hash(hash).await?.ok_or_else(refused)?;
        let caller = Caller {
            identity: format!("token:{}", row.name),
            token: Some(row.id),
            remote: true,
            ..authority(&row)?
        };
        let authority = caller.kept()?;
        let mut token = memory::Token {
            row,
            caller,
            authority,
        };
        stands(&token.row, now)?;
        // Each note is a durable write, so not one a request; and a full disk
        // must not keep a verifier from verifying.
        if use_is_stale(&token.row, now) {
            let id = token.row.id;
            if let Err(e) = self.store.note_token_used(id, now).await {
                tracing::warn!(token = %id, "the use of a token could not be noted: {e}");
            }
            token.row.last_used_at = Some(now);
        }
        let token = Arc::new(token);
        self.known_tokens.keep(head, Arc::clone(&token));
        Ok(token)
    }

    /// A request may outlive its token: its body takes as long as the client
    /// likes to send it.
    pub(crate) async fn not_revoked_since(&self, caller: &Caller) -> Result<()> {
        let Some(id) = caller.token else {
            return Ok(());
        };
        let tokens = self.store.tokens().await?;
        if tokens.iter().any(|t| t.id == id && t.revoked_at.is_none()) {
            Ok(())
        } else {
            Err(refused())
        }
    }
}

fn caller_of(token: &memory::Token, now: Timestamp) -> Result<Caller> {
    stands(&token.row, now)?;
    Ok(token.caller.clone())
}

fn stands(row: &TokenRow, now: Timestamp) -> Result<()> {
    if row.revoked_at.is_some() || row.expires_at <= now {
        return Err(refused());
    }
    Ok(())
}

fn use_is_stale(row: &TokenRow, now: Timestamp) -> bool {
    row.last_used_at
        .is_none_or(|last| now.since(last) >= USE_NOTED_EVERY)
}

fn refused() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "access.unauthenticated",
        "the token is unknown, expired or revoked",
    )
    .next("stella token create makes a new one; stella token list shows which have ended")
}

/// A token as the API shows it.
fn view(row: &TokenRow, now: Timestamp) -> Result<Token> {
    let authority = authority(row)?;
    let scope = authority.scope;
    let status = if row.revoked_at.is_some() {
        "revoked"
    } else if row.expires_at <= now {
        "expired"
    } else {
        "active"
    };
    let texts = |list: Option<Vec<String>>| list.unwrap_or_default();
    Ok(Token {
        id: row.id.to_string(),
        name: row.name.clone(),
        role: authority.role.to_string(),
        purls: texts(scope.purls.map(|l| l.iter().map(ToString::to_string).collect())),
        types: texts(
            scope
                .types
                .map(|l| l.iter().map(|t| t.short().into_owned()).collect()),
        ),
        profiles: texts(
            scope
                .profiles
                .map(|l| l.iter().map(ToString::to_string).collect()),
        ),
        created_at: row.created_at.to_string(),
        created_by: row.created_by.clone(),
        expires_at: row.expires_at.to_string(),
        status: status.to_owned(),
        last_used_at: row.last_used_at.map(|t| t.to_string()),
    })
}

fn authority(row: &TokenRow) -> Result<Caller> {
    serde_json::from_value(row.authority.clone()).map_err(|e| {
        Error::new(
            ErrorKind::Internal,
            "store.corrupt",
            format!("token {}: {e}", row.id),
        )
    })
}

/// How exact "last used" is.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
