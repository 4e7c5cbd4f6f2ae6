//! Attestations, the ledger, idempotency and verdicts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row};
use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, AttestationId};
use stella_core::statement::{DigestSet, Subject};
use stella_core::time::Timestamp;

use super::events::number;
use super::rows::{collect, corrupt, json, optional, parsed, text};
use super::writer::{Chain, Link};
use super::{SqliteStore, failed};
use crate::{
    Attempt, Attempts, AttestationFilter, AttestationRow, AttestationState, AttestationStore, IdempotencyRow,
    Inserted, LedgerEntry, LedgerKey, NewAttestation, Outcome, QueueFigures, Requested, Result,
    SignatureStored, Signed, SignedHere, SignedPart, VerdictRow,
};

const COLUMNS: &str =
    "a.id, a.pae, a.payload_type, a.payload, a.predicate_type, a.profile, a.state, a.identity, a.token_id,
    a.authority, a.created_at, a.envelope, a.key_id, a.signed_at, a.attempts, a.last_error, a.last_attempt_at,
    a.next_attempt_at, a.supersedes, a.imported";

#[async_trait]
impl AttestationStore for SqliteStore {
    async fn insert_attestation(&self, new: NewAttestation) -> Result<Inserted> {
        self.write("insert attestation", move |c, chain| insert(c, chain, &new))
            .await
    }

    async fn store_signature(&self, id: AttestationId, signed: Signed) -> Result<SignatureStored> {
        self.write("store signature", move |c, chain| sign(c, chain, id, &signed))
            .await
    }

    async fn note_attempt(&self, id: AttestationId, attempt: Attempt) -> Result<()> {
        self.write("note attempt", move |c, _| {
            c.prepare_cached(
                "UPDATE signer.attestations SET state = ?2, attempts = attempts + 1, last_error = ?3, last_attempt_at = ?4,
                 next_attempt_at = ?5 WHERE id = ?1 AND state <> 'signed'",
            )
            .and_then(|mut s| {
                s.execute((
                    id.to_string(),
                    attempt.state.as_str(),
                    &attempt.error,
                    attempt.at.fixed_width(),
                    attempt.next_at.map(|t| t.fixed_width()),
                ))
            })
            .map(|_| ())
            .map_err(failed)
        })
        .await
    }

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRow>> {
        self.read("attestation", move |c| {
            Ok(select(c, "WHERE a.id = ?1", [id.to_string()])?.into_iter().next())
        })
        .await
    }

    async fn attestations_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
        let low = prefix.to_ascii_lowercase();
        self.read("attestations by prefix", move |c| {
            // Ids are hex and hyphens, so '~' lies behind every one of them.
            let high = format!("{low}~");
            let sql = "SELECT id FROM signer.attestations WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
            collect(c, sql, (&low, &high, number(limit)), |row| parsed(row, "id"))
        })
        .await
    }

    async fn attestations_by_pae(&self, pae: &Sha256) -> Result<Vec<AttestationRow>> {
        let pae = pae.to_hex();
        self.read("attestations by PAE", move |c| {
            select(c, "WHERE a.pae = ?1 ORDER BY a.id", [&pae])
        })
        .await
    }

    async fn attestations_by_digest(
        &self,
        algorithm: &str,
        hex: &str,
        limit: usize,
    ) -> Result<Vec<AttestationRow>> {
        let (algorithm, hex) = (algorithm.to_owned(), hex.to_owned());
        self.read("attestations by digest", move |c| {
            // What we signed first: imports cannot crowd it out of the limit.
            let rest = "WHERE a.id IN (SELECT attestation_id FROM signer.attestation_subjects WHERE digest = ?1 AND algorithm = ?2)
                ORDER BY a.imported, a.id LIMIT ?3";
            select(c, rest, (&hex, &algorithm, number(limit)))
        })
        .await
    }

    async fn list_attestations(&self, filter: AttestationFilter) -> Result<Vec<AttestationRow>> {
        self.read("list attestations", move |c| {
            let rest = "WHERE (?1 IS NULL OR a.state = ?1) AND (?2 IS NULL OR a.predicate_type = ?2)
                AND (?3 IS NULL OR a.id IN (SELECT attestation_id FROM signer.attestation_subjects WHERE name = ?3))
                AND (?4 IS NULL OR a.key_id = ?4) AND (?5 IS NULL OR a.identity = ?5)
                AND (?6 IS NULL OR a.created_at >= ?6) AND (?7 IS NULL OR a.last_attempt_at >= ?7)
                AND (?8 IS NULL OR a.id < ?8) ORDER BY a.id DESC LIMIT ?9";
            let parameters = (
                filter.state.map(AttestationState::as_str),
                filter.predicate_type.as_deref(),
                filter.subject.as_deref(),
                filter.key_id.as_ref().map(stella_core::id::KeyId::as_str),
                filter.identity.as_deref(),
                filter.since.map(|t| t.fixed_width()),
                filter.attempted_since.map(|t| t.fixed_width()),
                filter.before.map(|id| id.to_string()),
                number(filter.limit),
            );
            select(c, rest, parameters)
        })
        .await
    }

    async fn last_attestation_by(&self, identity: &str) -> Result<Option<AttestationRow>> {
        let identity = identity.to_owned();
        self.read("last attestation", move |c| {
            Ok(
                select(c, "WHERE a.identity = ?1 ORDER BY a.id DESC LIMIT 1", [&identity])?
                    .into_iter()
                    .next(),
            )
        })
        .await
    }

    async fn ledger(&self, signatures: &[LedgerKey]) -> Result<Vec<Option<LedgerEntry>>> {
        let signatures = signatures.to_vec();
        self.read("ledger", move |c| {
            signatures.iter().map(|key| ledger_entry(c, key)).collect()
        })
        .await
    }

    async fn idempotent(&self, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        let (identity, key) = (identity.to_owned(), key.to_owned());
        self.read("idempotent", move |c| idempotent(c, &identity, &key))
            .await
    }

    async fn queue(&self, _now: Timestamp) -> Result<QueueFigures> {
        self.read("queue", |c| {
            let mut figures = QueueFigures::default();
            let sql = "SELECT state, count(*) AS n, min(created_at) AS oldest FROM signer.attestations GROUP BY state";
            for (state, n, oldest) in collect(c, sql, [], |row| {
                Ok((text(row, "state")?, row.get::<_, i64>("n").map_err(failed)?, optional::<Timestamp>(row, "oldest")?))
            })? {
                let n = u64::try_from(n).unwrap_or(0);
                match AttestationState::parse(&state) {
                    Some(AttestationState::Recorded) => figures.recorded = n,
                    Some(AttestationState::Signed) => figures.signed = n,
                    Some(AttestationState::Failed) => figures.failed = n,
                    Some(AttestationState::Held) => figures.held = n,
                    None => return Err(corrupt("state", state)),
                }
                if state != "signed" {
                    figures.oldest_unsigned = [figures.oldest_unsigned, oldest].into_iter().flatten().min();
                }
            }
            Ok(figures)
        })
        .await
    }

    async fn note_verdicts(&self, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.write("note verdicts", move |c, _| {
            let sql = "INSERT INTO signer.verdicts (anchor_id, attestation_id, policy_version, verdict, code, at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (anchor_id, attestation_id) DO UPDATE SET
                policy_version = excluded.policy_version, verdict = excluded.verdict, code = excluded.code, at = excluded.at";
            let mut upsert = c.prepare_cached(sql).map_err(failed)?;
            for v in &verdicts {
                upsert
                    .execute((
                        v.anchor.to_string(),
                        v.attestation.to_string(),
                        &v.policy_version,
                        &v.verdict,
                        &v.code,
                        v.at.fixed_width(),
                    ))
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await
    }

    async fn verdicts(&self, anchor: AnchorId) -> Result<Vec<VerdictRow>> {
        self.read("verdicts", move |c| {
            let sql = "SELECT * FROM signer.verdicts WHERE anchor_id = ?1 ORDER BY attestation_id";
            collect(c, sql, [anchor.to_string()], |row| {
                Ok(VerdictRow {
                    anchor,
                    attestation: parsed(row, "attestation_id")?,
                    policy_version: text(row, "policy_version")?,
                    verdict: text(row, "verdict")?,
                    code: text(row, "code")?,
                    at: parsed(row, "at")?,
                })
            })
        })
        .await
    }
}

fn insert(connection: &Connection, chain: &mut Chain, new: &NewAttestation) -> Result<Inserted> {
    if let Some(idempotency) = &new.idempotency {
        if let Some(earlier) = idempotent(connection, &idempotency.identity, &idempotency.key)? {
            return Ok(Inserted::Repeated(earlier));
        }
        remember(connection, idempotency)?;
    }
    let (state, signed, attempt) = match &new.outcome {
        Outcome::Signed(signed) => (AttestationState::Signed, Some(signed), None),
        Outcome::Recorded(attempt) => (attempt.state, None, Some(attempt)),
    };
    if let Some(by) = signed.and_then(|s| s.by.as_ref())
        && key_moved(connection, by)?
    {
        // The idempotency row above goes with this member's savepoint only on
        // an error, so it is taken back by hand.
        if let Some(idempotency) = &new.idempotency {
            forget(connection, idempotency)?;
        }
        return Ok(Inserted::KeyMoved);
    }
    connection
        .prepare_cached(
            "INSERT INTO signer.attestations (id, pae, payload_type, payload, predicate_type, profile, state, identity, token_id,
             authority, created_at, envelope, key_id, signed_at, attempts, last_error, last_attempt_at, next_attempt_at,
             supersedes, imported)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )
        .and_then(|mut s| {
            s.execute(rusqlite::params![
                new.id.to_string(),
                new.pae.to_hex(),
                new.payload_type,
                new.payload,
                new.predicate_type,
                new.profile.as_ref().map(|p| p.as_str()),
                state.as_str(),
                new.requested.identity,
                new.requested.token.map(|t| t.to_string()),
                new.requested.authority.to_string(),
                new.created_at.fixed_width(),
                signed.map(|s| &s.envelope),
                signed.and_then(|s| s.by.as_ref()).map(|by| by.key_id.as_str()),
                signed.map(|s| s.recorded_at.fixed_width()),
                i64::from(attempt.is_some()),
                attempt.map(|a| &a.error),
                attempt.map(|a| a.at.fixed_width()),
                attempt.and_then(|a| a.next_at).map(|t| t.fixed_width()),
                new.supersedes.map(|id| id.to_string()),
                new.imported,
            ])
        })
        .map_err(failed)?;
    for (position, subject) in new.subjects.iter().enumerate() {
        for (algorithm, digest) in subject.digest.all() {
            connection
                .prepare_cached(
                    "INSERT INTO signer.attestation_subjects (attestation_id, position, name, algorithm, digest) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut s| s.execute((new.id.to_string(), number(position), &subject.name, algorithm, digest)))
                .map_err(failed)?;
        }
    }
    if let Some(signed) = signed {
        enter(connection, chain, new.id, signed)?;
    }
    Ok(Inserted::Done)
}

fn sign(
    connection: &Connection,
    chain: &mut Chain,
    id: AttestationId,
    signed: &Signed,
) -> Result<SignatureStored> {
    let state: Option<String> = connection
        .query_row(
            "SELECT state FROM signer.attestations WHERE id = ?1",
            [id.to_string()],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    match state.as_deref() {
        None => return Ok(SignatureStored::NotFound),
        Some("signed") => return Ok(SignatureStored::AlreadySigned),
        Some(_) => {}
    }
    if let Some(by) = &signed.by
        && key_moved(connection, by)?
    {
        return Ok(SignatureStored::KeyMoved);
    }
    connection
        .prepare_cached(
            "UPDATE signer.attestations SET state = 'signed', envelope = ?2, key_id = ?3, signed_at = ?4, next_attempt_at = NULL
             WHERE id = ?1 AND state <> 'signed'",
        )
        .and_then(|mut s| {
            s.execute((
                id.to_string(),
                &signed.envelope,
                signed.by.as_ref().map(|by| by.key_id.as_str()),
                signed.recorded_at.fixed_width(),
            ))
        })
        .map_err(failed)?;
    enter(connection, chain, id, signed)?;
    Ok(SignatureStored::Done)
}

/// The ledger entry of a signature made here.
fn enter(connection: &Connection, chain: &mut Chain, id: AttestationId, signed: &Signed) -> Result<()> {
    let Some(by) = &signed.by else { return Ok(()) };
    let (pae, spki, signature) = (
        by.ledger.pae.to_hex(),
        by.ledger.spki.to_hex(),
        by.ledger.signature.to_hex(),
    );
    let at = signed.recorded_at.fixed_width();
    // A deterministic scheme signs the same bytes the same way twice; the
    // first entry stands.
    let written = connection
        .prepare_cached(
            "INSERT INTO signer.ledger (pae, spki, signature, signed_at, attestation_id, requested_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut s| s.execute((&pae, &spki, &signature, &at, id.to_string(), &by.requested_by)))
        .map_err(failed)?;
    if written > 0 {
        let bytes = ledger_bytes(&[&pae, &spki, &signature, &at, &id.to_string(), &by.requested_by]);
        chain.add(Link::Ledger {
            row: connection.last_insert_rowid(),
            bytes,
        });
    }
    Ok(())
}

/// What the hash chain covers of a ledger row.
pub(super) fn ledger_bytes(columns: &[&str; 6]) -> Sha256 {
    Sha256::of(columns.join("\n").as_bytes())
}

fn key_moved(connection: &Connection, by: &SignedHere) -> Result<bool> {
    let version: Option<i64> = connection
        .prepare_cached("SELECT version FROM signer.signing_keys WHERE key_id = ?1")
        .and_then(|mut s| s.query_row([by.key_id.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    Ok(version != Some(number(by.key_version)))
}

fn remember(connection: &Connection, row: &IdempotencyRow) -> Result<()> {
    let ids: Vec<_> = row.attestations.iter().map(ToString::to_string).collect();
    connection
        .execute(
            "INSERT INTO signer.idempotency (identity, key, request, attestations, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (&row.identity, &row.key, row.request.to_hex(), ids.join(","), row.at.fixed_width()),
        )
        .map(|_| ())
        .map_err(failed)
}

fn forget(connection: &Connection, row: &IdempotencyRow) -> Result<()> {
    connection
        .execute(
            "DELETE FROM signer.idempotency WHERE identity = ?1 AND key = ?2",
            (&row.identity, &row.key),
        )
        .map(|_| ())
        .map_err(failed)
}

fn idempotent(connection: &Connection, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
    let sql = "SELECT * FROM signer.idempotency WHERE identity = ?1 AND key = ?2";
    let found = collect(connection, sql, (identity, key), |row| {
        let ids = text(row, "attestations")?;
        let attestations = ids
            .split(',')
            .filter(|id| !id.is_empty())
            .map(|id| id.parse().map_err(|e| corrupt("attestations", e)))
            .collect::<Result<_>>()?;
        Ok(IdempotencyRow {
            identity: text(row, "identity")?,
            key: text(row, "key")?,
            request: parsed(row, "request")?,
            attestations,
            at: parsed(row, "at")?,
        })
    })?;
    Ok(found.into_iter().next())
}

fn ledger_entry(connection: &Connection, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
    let sql = "SELECT signed_at, attestation_id, requested_by FROM signer.ledger WHERE pae = ?1 AND spki = ?2 AND signature = ?3";
    let found = collect(
        connection,
        sql,
        (key.pae.to_hex(), key.spki.to_hex(), key.signature.to_hex()),
        |row| {
            Ok(LedgerEntry {
                signed_at: parsed(row, "signed_at")?,
                attestation: parsed(row, "attestation_id")?,
                requested_by: text(row, "requested_by")?,
            })
        },
    )?;
    Ok(found.into_iter().next())
}

/// Attestations with their subjects; `rest` follows `FROM attestations a`.
pub(super) fn select(
    connection: &Connection,
    rest: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<AttestationRow>> {
    let sql = format!("SELECT {COLUMNS} FROM signer.attestations a {rest}");
    let mut found = collect(connection, &sql, parameters, attestation)?;
    for row in &mut found {
        row.subjects = subjects(connection, row.id)?;
    }
    Ok(found)
}

fn subjects(connection: &Connection, id: AttestationId) -> Result<Vec<Subject>> {
    let sql = "SELECT position, name, algorithm, digest FROM signer.attestation_subjects WHERE attestation_id = ?1 ORDER BY position";
    let mut by_position: BTreeMap<i64, (Option<String>, BTreeMap<String, String>)> = BTreeMap::new();
    for (position, name, algorithm, digest) in collect(connection, sql, [id.to_string()], |row| {
        let name: Option<String> = row.get("name").map_err(failed)?;
        Ok((
            row.get::<_, i64>("position").map_err(failed)?,
            name,
            text(row, "algorithm")?,
            text(row, "digest")?,
        ))
    })? {
        let entry = by_position.entry(position).or_insert((name, BTreeMap::new()));
        entry.1.insert(algorithm, digest);
    }
    by_position
        .into_values()
        .map(|(name, digests)| {
            Ok(Subject {
                name,
                digest: DigestSet::new(digests).map_err(|e| corrupt("digest", e))?,
            })
        })
        .collect()
}

fn attestation(row: &Row<'_>) -> Result<AttestationRow> {
    let state = text(row, "state")?;
    let envelope: Option<Vec<u8>> = row.get("envelope").map_err(failed)?;
    let signed = match envelope {
        Some(envelope) => Some(SignedPart {
            envelope,
            key_id: optional(row, "key_id")?,
            recorded_at: parsed(row, "signed_at")?,
        }),
        None => None,
    };
    Ok(AttestationRow {
        id: parsed(row, "id")?,
        pae: parsed(row, "pae")?,
        payload_type: text(row, "payload_type")?,
        payload: row.get("payload").map_err(failed)?,
        predicate_type: text(row, "predicate_type")?,
        subjects: Vec::new(),
        profile: optional(row, "profile")?,
        state: AttestationState::parse(&state).ok_or_else(|| corrupt("state", &state))?,
        requested: Requested {
            identity: text(row, "identity")?,
            token: optional(row, "token_id")?,
            authority: json(row, "authority")?,
        },
        created_at: parsed(row, "created_at")?,
        signed,
        attempts: Attempts {
            count: row.get("attempts").map_err(failed)?,
            last_error: row.get("last_error").map_err(failed)?,
            last_at: optional(row, "last_attempt_at")?,
            next_at: optional(row, "next_attempt_at")?,
        },
        supersedes: optional(row, "supersedes")?,
        imported: row.get("imported").map_err(failed)?,
    })
}
