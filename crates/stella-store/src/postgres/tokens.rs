//! Access tokens. They change only together with the events that say so.

use async_trait::async_trait;
use stella_core::digest::Sha256;
use stella_core::id::TokenId;
use stella_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::conn::Conn;
use super::row::{At, Columns};
use crate::{Result, TokenChange, TokenRow, TokenStore};

#[async_trait]
impl TokenStore for PostgresStore {
    async fn token_by_hash(&self, hash: &Sha256) -> Result<Option<TokenRow>> {
        let conn = self.readers.reader().await?;
        let sql = "SELECT * FROM signer.tokens WHERE hash = $1";
        let row = conn.first(sql, &[&hash.as_bytes().as_slice()]).await?;
        row.as_ref().map(token).transpose()
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let conn = self.readers.reader().await?;
        let rows = conn.all("SELECT * FROM signer.tokens ORDER BY id", &[]).await?;
        rows.iter().map(token).collect()
    }

    async fn note_token_used(&self, id: TokenId, at: Timestamp) -> Result<()> {
        self.writer
            .write((id.0, At(at)), |commit, (id, at)| {
                let sql = "UPDATE signer.tokens SET last_used_at = $2
                           WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
                Box::pin(async move {
                    commit.conn.execute(sql, &[id, at]).await?;
                    Ok(())
                })
            })
            .await
    }
}

/// Inside the commit of the events.
pub(super) async fn change(conn: &Conn, changes: &[TokenChange]) -> Result<()> {
    for change in changes {
        match change {
            TokenChange::Create(token) => insert(conn, token).await?,
            // The first revocation is the one that counts.
            TokenChange::Revoke { id, at } => {
                let sql = "UPDATE signer.tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
                conn.execute(sql, &[&id.0, &At(*at)]).await?;
            }
        }
    }
    Ok(())
}

async fn insert(conn: &Conn, token: &TokenRow) -> Result<()> {
    let sql = "INSERT INTO signer.tokens
               (id, name, hash, authority, created_at, created_by, expires_at, revoked_at, last_used_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let params: [&(dyn ToSql + Sync); 9] = [
        &token.id.0,
        &token.name,
        &token.hash.as_bytes().as_slice(),
        &token.authority,
        &At(token.created_at),
        &token.created_by,
        &At(token.expires_at),
        &token.revoked_at.map(At),
        &token.last_used_at.map(At),
    ];
    conn.execute(sql, &params).await?;
    Ok(())
}

fn token(row: &Row) -> Result<TokenRow> {
    Ok(TokenRow {
        id: TokenId(row.id("id")?),
        name: row.column("name")?,
        hash: row.digest("hash")?,
        authority: row.json("authority")?,
        created_at: row.time("created_at")?,
        created_by: row.column("created_by")?,
        expires_at: row.time("expires_at")?,
        revoked_at: row.time_or_null("revoked_at")?,
        last_used_at: row.time_or_null("last_used_at")?,
    })
}
