//! Access tokens.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use stella_core::digest::Sha256;
use stella_core::id::TokenId;
use stella_core::time::Timestamp;

use super::rows::{collect, json, optional, parsed, text};
use super::{SqliteStore, failed};
use crate::{Result, TokenChange, TokenRow, TokenStore};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn token_by_hash(&self, hash: &Sha256) -> Result<Option<TokenRow>> {
        let hash = hash.to_hex();
        self.read("token by hash", move |c| {
            Ok(
                collect(c, "SELECT * FROM signer.tokens WHERE hash = ?1", [&hash], token)?
                    .into_iter()
                    .next(),
            )
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.read("tokens", |c| {
            collect(
                c,
                "SELECT * FROM signer.tokens ORDER BY created_at, id",
                [],
                token,
            )
        })
        .await
    }

    async fn note_token_used(&self, id: TokenId, at: Timestamp) -> Result<()> {
        self.write("note token used", move |c, _| {
            c.prepare_cached("UPDATE signer.tokens SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, '') < ?2")
                .and_then(|mut s| s.execute((id.to_string(), at.fixed_width())))
                .map(|_| ())
                .map_err(failed)
        })
        .await
    }
}

/// Part of the transaction that appends the event.
pub(super) fn apply(connection: &Connection, change: &TokenChange) -> Result<()> {
    let done = match change {
        TokenChange::Create(t) => connection.execute(
            "INSERT INTO signer.tokens (id, name, hash, authority, created_at, created_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                t.id.to_string(),
                &t.name,
                t.hash.to_hex(),
                t.authority.to_string(),
                t.created_at.fixed_width(),
                &t.created_by,
                t.expires_at.fixed_width(),
            ),
        ),
        TokenChange::Revoke { id, at } => connection.execute(
            "UPDATE signer.tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
            (id.to_string(), at.fixed_width()),
        ),
    };
    done.map(|_| ()).map_err(failed)
}

fn token(row: &Row<'_>) -> Result<TokenRow> {
    Ok(TokenRow {
        id: parsed(row, "id")?,
        name: text(row, "name")?,
        hash: parsed(row, "hash")?,
        authority: json(row, "authority")?,
        created_at: parsed(row, "created_at")?,
        created_by: text(row, "created_by")?,
        expires_at: parsed(row, "expires_at")?,
        revoked_at: optional(row, "revoked_at")?,
        last_used_at: optional(row, "last_used_at")?,
    })
}
