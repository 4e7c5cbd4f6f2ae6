//! What is not signed yet, and who works on which of it.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::attestations::{Moved, enter, moved, unsigned};
use super::ledger::Entered;
use super::row::{Columns, all, execute, first, integer, text};
use super::writer::Commit;
use super::{SqliteStore, attestation_rows as rows};
use crate::{
    Attempt, AttemptNoted, Claim, Claimed, Claiming, QueueFigures, QueueStore, Result, SignatureStored,
    Signed, SignedLater, Waiting, WaitingFilter,
};

#[async_trait]
impl QueueStore for SqliteStore {
    async fn waiting(&self, filter: WaitingFilter) -> Result<Vec<Waiting>> {
        self.readers.read(move |conn| waiting(conn, &filter)).await
    }

    async fn claim(&self, claiming: Claiming) -> Result<Vec<Claimed>> {
        self.writer
            .write(move |commit| claim(commit.conn, &claiming))
            .await
    }

    async fn store_signature(&self, claim: Claim, signed: Signed) -> Result<SignatureStored> {
        self.writer
            .write(move |commit| store_signature(commit, claim, &signed))
            .await
    }

    async fn note_attempt(&self, claim: Claim, attempt: Attempt) -> Result<AttemptNoted> {
        self.writer
            .write(move |commit| note_attempt(commit.conn, claim, &attempt))
            .await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<()> {
        self.writer
            .write(move |commit| claims.iter().try_for_each(|claim| give_back(commit.conn, *claim)))
            .await
    }

    async fn queue(&self) -> Result<QueueFigures> {
        self.readers.read(queue).await
    }

    async fn newest_signatures(&self, limit: usize) -> Result<Vec<SignedLater>> {
        let sql = "SELECT a.created_at, l.signed_at AS made_at
               FROM signer.ledger_entries l JOIN signer.attestations a ON a.entry = l.attestation
               ORDER BY l.entry DESC LIMIT ?1";
        let read = move |conn: &Connection| {
            all(conn, sql, [integer(limit)], |row| {
                Ok(SignedLater {
                    created_at: row.parsed("created_at")?,
                    signed_at: row.parsed("made_at")?,
                })
            })
        };
        self.readers.read(read).await
    }
}

fn waiting(conn: &Connection, filter: &WaitingFilter) -> Result<Vec<Waiting>> {
    let mut sql =
        "SELECT id, pae, profile, created_at, last_attempt_at FROM signer.attestations WHERE state <> 'signed'"
            .to_owned();
    let mut values: Vec<Value> = Vec::new();
    in_states(&mut sql, &mut values, filter.states.iter().map(|s| s.as_str()));
    if let Some(due_by) = filter.due_by {
        sql.push_str(DUE);
        values.push(due_by.fixed_width().into());
    }
    if let Some(after) = filter.after {
        sql.push_str(" AND id > ?");
        values.push(after.to_string().into());
    }
    sql.push_str(UNCLAIMED);
    values.push(filter.now.fixed_width().into());
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(integer(filter.limit).into());
    all(conn, &sql, params_from_iter(values), |row| {
        Ok(Waiting {
            id: row.parsed("id")?,
            pae: row.digest("pae")?,
            profile: row.parsed_or_null("profile")?,
            created_at: row.parsed("created_at")?,
            last_attempt_at: row.parsed_or_null("last_attempt_at")?,
        })
    })
}

/// One process at a time writes, so nobody else can be claiming meanwhile.
fn claim(conn: &Connection, claiming: &Claiming) -> Result<Vec<Claimed>> {
    let mut sql = "SELECT * FROM signer.attestations WHERE id = ?".to_owned();
    let mut values: Vec<Value> = Vec::new();
    let states = claiming.states.iter().map(|state| state.as_str());
    in_states(&mut sql, &mut values, states);
    if let Some(due_by) = claiming.due_by {
        sql.push_str(DUE);
        values.push(due_by.fixed_width().into());
    }
    sql.push_str(UNCLAIMED);
    values.push(claiming.now.fixed_width().into());
    let mut claimed = Vec::new();
    for id in &claiming.attestations {
        let id = id.to_string();
        let values = std::iter::once(Value::from(id.clone())).chain(values.iter().cloned());
        let Some(row) = rows::select(conn, &sql, params_from_iter(values))?.pop() else {
            continue;
        };
        execute(
            conn,
            "DELETE FROM signer.signing_claims WHERE attestation_id = ?1",
            [&id],
        )?;
        execute(
            conn,
            "INSERT INTO signer.signing_claims (attestation_id, replica, expires_at) VALUES (?1, ?2, ?3)",
            (&id, &claiming.replica, claiming.until.fixed_width()),
        )?;
        let claim = Claim {
            attestation: row.id,
            fence: conn.last_insert_rowid().unsigned_abs(),
        };
        claimed.push(Claimed { claim, row });
    }
    Ok(claimed)
}

const DUE: &str = " AND (next_attempt_at IS NULL OR next_attempt_at <= ?)";

const UNCLAIMED: &str = " AND NOT EXISTS (SELECT 1 FROM signer.signing_claims
                            WHERE attestation_id = attestations.id AND expires_at > ?)";

fn in_states<'a>(sql: &mut String, values: &mut Vec<Value>, these: impl ExactSizeIterator<Item = &'a str>) {
    sql.push_str(&format!(" AND state IN ({})", vec!["?"; these.len()].join(", ")));
    values.extend(these.map(|value| Value::from(value.to_owned())));
}

fn store_signature(commit: &mut Commit<'_>, claim: Claim, signed: &Signed) -> Result<SignatureStored> {
    let sql = "SELECT entry, state FROM signer.attestations WHERE id = ?1";
    let found: Option<(i64, String)> = first(commit.conn, sql, [claim.attestation.to_string()], |row| {
        Ok((row.get("entry")?, row.get("state")?))
    })?;
    let entry = match found {
        None => return Ok(SignatureStored::NotFound),
        Some((_, state)) if state == "signed" => return Ok(SignatureStored::AlreadySigned),
        Some((entry, _)) => entry,
    };
    if !stands(commit.conn, claim)? {
        return Ok(SignatureStored::ClaimLost);
    }
    match moved(commit, signed)? {
        Moved::Nothing => {}
        Moved::Key => return Ok(SignatureStored::KeyMoved),
        Moved::Head => return Ok(SignatureStored::HeadMoved),
    }
    execute(
        commit.conn,
        "UPDATE signer.attestations
         SET state = 'signed', envelope = ?2, key_id = ?3, signed_at = ?4, next_attempt_at = NULL
         WHERE id = ?1",
        (
            claim.attestation.to_string(),
            &signed.envelope,
            signed.by.as_ref().map(|by| by.key_id.as_str()),
            signed.recorded_at.fixed_width(),
        ),
    )?;
    let of = Entered {
        id: claim.attestation,
        entry,
        first: false,
    };
    enter(commit, &of, signed)?;
    give_back(commit.conn, claim)?;
    Ok(SignatureStored::Done)
}

/// Late news of a failure does not touch what is signed, or others try now.
fn note_attempt(conn: &Connection, claim: Claim, attempt: &Attempt) -> Result<AttemptNoted> {
    let state = unsigned(attempt)?.as_str();
    if !stands(conn, claim)? {
        return Ok(AttemptNoted::ClaimLost);
    }
    execute(
        conn,
        "UPDATE signer.attestations
         SET state = ?2, attempts = attempts + 1, last_error = ?3, last_attempt_at = ?4, next_attempt_at = ?5
         WHERE id = ?1 AND state <> 'signed'",
        (
            claim.attestation.to_string(),
            state,
            &attempt.error,
            attempt.at.fixed_width(),
            text(attempt.next_at),
        ),
    )?;
    give_back(conn, claim)?;
    Ok(AttemptNoted::Done)
}

/// Whether nobody else took it since.
fn stands(conn: &Connection, claim: Claim) -> Result<bool> {
    let sql = "SELECT 1 FROM signer.signing_claims WHERE attestation_id = ?1 AND fence = ?2";
    let key = (claim.attestation.to_string(), integer(claim.fence));
    Ok(first(conn, sql, key, |_| Ok(()))?.is_some())
}

fn give_back(conn: &Connection, claim: Claim) -> Result<()> {
    let sql = "DELETE FROM signer.signing_claims WHERE attestation_id = ?1 AND fence = ?2";
    execute(conn, sql, (claim.attestation.to_string(), integer(claim.fence)))?;
    Ok(())
}

fn queue(conn: &Connection) -> Result<QueueFigures> {
    let mut figures = QueueFigures::default();
    // None is ever deleted, so the last number says how many there are.
    let sql = "SELECT COALESCE(MAX(entry), 0) AS number FROM signer.attestations";
    figures.signed = first(conn, sql, [], |row| row.count("number"))?.unwrap_or(0);
    let sql = "SELECT state, COUNT(*) AS number, MIN(created_at) AS oldest
               FROM signer.attestations WHERE state <> 'signed' GROUP BY state";
    all(conn, sql, [], |row| {
        let number = row.count("number")?;
        figures.signed = figures.signed.saturating_sub(number);
        match row.get::<_, String>("state")?.as_str() {
            "recorded" => {
                figures.recorded = number;
                figures.oldest_unsigned = row.parsed_or_null("oldest")?;
            }
            "failed" => figures.failed = number,
            _ => figures.held = number,
        }
        Ok(())
    })?;
    Ok(figures)
}
