//! PINs that tokens refused, and tries that had no answer.

use async_trait::async_trait;
use rusqlite::Connection;
use stella_core::time::Timestamp;

use super::SqliteStore;
use super::row::{Columns, all, execute};
use crate::{PinStore, RefusedPin, Result, StoreError};

#[async_trait]
impl PinStore for SqliteStore {
    async fn refused_pins(&self, token_serial: &str) -> Result<Vec<RefusedPin>> {
        let serial = token_serial.to_owned();
        self.readers
            .read(move |conn| {
                let sql = "SELECT * FROM signer.refused_pins
                           WHERE token_serial = ?1 ORDER BY refused_at, salt";
                all(conn, sql, [serial], |row| {
                    Ok(RefusedPin {
                        token_serial: row.get("token_serial")?,
                        salt: salt(&row.get::<_, Vec<u8>>("salt")?)?,
                        hash: row.digest("hash")?,
                        refused_at: row.parsed("refused_at")?,
                    })
                })
            })
            .await
    }

    async fn remember_refused_pin(&self, pin: RefusedPin) -> Result<()> {
        self.writer
            .write(move |commit| {
                execute(
                    commit.conn,
                    "INSERT INTO signer.refused_pins (token_serial, salt, hash, refused_at)
                     VALUES (?1, ?2, ?3, ?4)",
                    (
                        &pin.token_serial,
                        pin.salt.as_slice(),
                        pin.hash.as_bytes(),
                        pin.refused_at.fixed_width(),
                    ),
                )?;
                strike_out(commit.conn, &pin.token_serial)
            })
            .await
    }

    async fn begin_login(&self, token_serial: &str, at: Timestamp) -> Result<u32> {
        let serial = token_serial.to_owned();
        self.writer
            .write(move |commit| {
                let before = unanswered(commit.conn, &serial)?;
                execute(
                    commit.conn,
                    "INSERT INTO signer.unanswered_logins (token_serial, tries, last_at)
                     VALUES (?1, 1, ?2)
                     ON CONFLICT (token_serial) DO UPDATE
                     SET tries = tries + 1, last_at = excluded.last_at",
                    (&serial, at.fixed_width()),
                )?;
                Ok(before)
            })
            .await
    }

    async fn unanswered_logins(&self, token_serial: &str) -> Result<u32> {
        let serial = token_serial.to_owned();
        self.readers.read(move |conn| unanswered(conn, &serial)).await
    }

    async fn withdraw_login(&self, token_serial: &str) -> Result<()> {
        let serial = token_serial.to_owned();
        self.writer
            .write(move |commit| {
                let last = "DELETE FROM signer.unanswered_logins WHERE token_serial = ?1 AND tries = 1";
                if execute(commit.conn, last, [&serial])? == 0 {
                    let one = "UPDATE signer.unanswered_logins SET tries = tries - 1 WHERE token_serial = ?1";
                    execute(commit.conn, one, [&serial])?;
                }
                Ok(())
            })
            .await
    }

    async fn forget_refused_pins(&self, token_serial: &str) -> Result<u64> {
        let serial = token_serial.to_owned();
        self.writer
            .write(move |commit| {
                strike_out(commit.conn, &serial)?;
                let sql = "DELETE FROM signer.refused_pins WHERE token_serial = ?1";
                Ok(execute(commit.conn, sql, [&serial])? as u64)
            })
            .await
    }
}

fn unanswered(conn: &Connection, serial: &str) -> Result<u32> {
    let sql = "SELECT tries FROM signer.unanswered_logins WHERE token_serial = ?1";
    let tries = all(conn, sql, [serial], |row| Ok(row.get::<_, u32>("tries")?))?;
    Ok(tries.first().copied().unwrap_or_default())
}

fn strike_out(conn: &Connection, serial: &str) -> Result<()> {
    let sql = "DELETE FROM signer.unanswered_logins WHERE token_serial = ?1";
    execute(conn, sql, [serial])?;
    Ok(())
}

fn salt(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt(format!("a salt has {} bytes", bytes.len())))
}
