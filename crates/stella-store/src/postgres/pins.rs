//! PINs that tokens refused, and tries that had no answer.

use async_trait::async_trait;
use stella_core::time::Timestamp;

use super::PostgresStore;
use super::conn::Conn;
use super::row::{At, Columns};
use crate::{PinStore, RefusedPin, Result, StoreError};

#[async_trait]
impl PinStore for PostgresStore {
    async fn refused_pins(&self, token_serial: &str) -> Result<Vec<RefusedPin>> {
        let sql = "SELECT * FROM signer.refused_pins WHERE token_serial = $1 ORDER BY refused_at, salt";
        let conn = self.readers.reader().await?;
        let rows = conn.all(sql, &[&token_serial]).await?;
        let read = rows.iter().map(|row| {
            Ok(RefusedPin {
                token_serial: row.column("token_serial")?,
                salt: salt(row.column("salt")?)?,
                hash: row.digest("hash")?,
                refused_at: row.time("refused_at")?,
            })
        });
        read.collect()
    }

    async fn remember_refused_pin(&self, pin: RefusedPin) -> Result<()> {
        self.writer
            .write(pin, |commit, pin| {
                Box::pin(async move {
                    let sql = "INSERT INTO signer.refused_pins (token_serial, salt, hash, refused_at)
                               VALUES ($1, $2, $3, $4)";
                    let (salt, hash) = (pin.salt.as_slice(), pin.hash.as_bytes().as_slice());
                    commit
                        .conn
                        .execute(sql, &[&pin.token_serial, &salt, &hash, &At(pin.refused_at)])
                        .await?;
                    strike_out(&commit.conn, &pin.token_serial).await
                })
            })
            .await
    }

    async fn begin_login(&self, token_serial: &str, at: Timestamp) -> Result<u32> {
        self.writer
            .write((token_serial.to_owned(), At(at)), |commit, (serial, at)| {
                Box::pin(async move {
                    let before = unanswered(&commit.conn, serial).await?;
                    let sql = "INSERT INTO signer.unanswered_logins AS noted (token_serial, tries, last_at)
                               VALUES ($1, 1, $2)
                               ON CONFLICT (token_serial) DO UPDATE
                               SET tries = noted.tries + 1, last_at = excluded.last_at";
                    commit.conn.execute(sql, &[serial, at]).await?;
                    Ok(before)
                })
            })
            .await
    }

    async fn unanswered_logins(&self, token_serial: &str) -> Result<u32> {
        let conn = self.readers.reader().await?;
        unanswered(&conn, token_serial).await
    }

    async fn withdraw_login(&self, token_serial: &str) -> Result<()> {
        self.writer
            .write(token_serial.to_owned(), |commit, serial| {
                Box::pin(async move {
                    let last = "DELETE FROM signer.unanswered_logins WHERE token_serial = $1 AND tries = 1";
                    if commit.conn.execute(last, &[serial]).await? == 0 {
                        let one =
                            "UPDATE signer.unanswered_logins SET tries = tries - 1 WHERE token_serial = $1";
                        commit.conn.execute(one, &[serial]).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn forget_refused_pins(&self, token_serial: &str) -> Result<u64> {
        self.writer
            .write(token_serial.to_owned(), |commit, serial| {
                Box::pin(async move {
                    strike_out(&commit.conn, serial).await?;
                    let sql = "DELETE FROM signer.refused_pins WHERE token_serial = $1";
                    commit.conn.execute(sql, &[serial]).await
                })
            })
            .await
    }
}

async fn unanswered(conn: &Conn, serial: &str) -> Result<u32> {
    let sql = "SELECT tries FROM signer.unanswered_logins WHERE token_serial = $1";
    let tries = conn.first(sql, &[&serial]).await?;
    let tries = tries.map_or(Ok(0), |row| row.count("tries"))?;
    Ok(u32::try_from(tries).unwrap_or(u32::MAX))
}

async fn strike_out(conn: &Conn, serial: &str) -> Result<()> {
    let sql = "DELETE FROM signer.unanswered_logins WHERE token_serial = $1";
    conn.execute(sql, &[&serial]).await?;
    Ok(())
}

fn salt(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt(format!("a salt has {} bytes", bytes.len())))
}
