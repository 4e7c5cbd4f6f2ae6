//! Access tokens. They change only together with the events that say so.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use stella_core::digest::Sha256;
use stella_core::id::TokenId;
use stella_core::time::Timestamp;

use super::SqliteStore;
use super::row::{Columns, all, execute, first, json_text, text};
use crate::{Result, TokenChange, TokenRow, TokenStore};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn token_by_hash(&self, hash: &Sha256) -> Result<Option<TokenRow>> {
        let hash = *hash;
        self.readers
            .read(move |conn| {
                let sql = "SELECT * FROM signer.tokens WHERE hash = ?1";
                first(conn, sql, [hash.as_bytes()], token)
            })
            .await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.readers
            .read(|conn| all(conn, "SELECT * FROM signer.tokens ORDER BY id", [], token))
            .await
    }

    async fn note_token_used(&self, id: TokenId, at: Timestamp) -> Result<()> {
        self.writer
            .write(move |commit| {
                execute(
                    commit.conn,
                    "UPDATE signer.tokens SET last_used_at = ?2
                     WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
                    (id.to_string(), at.fixed_width()),
                )?;
                Ok(())
            })
            .await
    }
}

/// Inside the commit of the events.
pub(super) fn change(conn: &Connection, changes: &[TokenChange]) -> Result<()> {
    for change in changes {
        match change {
            TokenChange::Create(token) => insert(conn, token)?,
            // The first revocation is the one that counts.
            TokenChange::Revoke { id, at } => {
                execute(
                    conn,
                    "UPDATE signer.tokens SET revoked_at = COALESCE(revoked_at, ?2) WHERE id = ?1",
                    (id.to_string(), at.fixed_width()),
                )?;
            }
        }
    }
    Ok(())
}

fn insert(conn: &Connection, token: &TokenRow) -> Result<()> {
    execute(
        conn,
        "INSERT INTO signer.tokens
         (id, name, hash, authority, created_at, created_by, expires_at, revoked_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            token.id.to_string(),
            &token.name,
            token.hash.as_bytes(),
            json_text(&token.authority)?,
            token.created_at.fixed_width(),
            &token.created_by,
            token.expires_at.fixed_width(),
            text(token.revoked_at),
            text(token.last_used_at),
        ),
    )?;
    Ok(())
}

fn token(row: &Row<'_>) -> Result<TokenRow> {
    Ok(TokenRow {
        id: row.parsed("id")?,
        name: row.get("name")?,
        hash: row.digest("hash")?,
        authority: row.json("authority")?,
        created_at: row.parsed("created_at")?,
        created_by: row.get("created_by")?,
        expires_at: row.parsed("expires_at")?,
        revoked_at: row.parsed_or_null("revoked_at")?,
        last_used_at: row.parsed_or_null("last_used_at")?,
    })
}
