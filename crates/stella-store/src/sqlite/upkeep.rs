//! Reading everything, and mending what can be rebuilt.

use async_trait::async_trait;
use rusqlite::Connection;
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeLimits};
use stella_core::trust::TrustState;

use super::attestations::{ledger_bytes, select};
use super::events::{events, head};
use super::rows::{self, collect, text};
use super::writer::{Link, next_head};
use super::{SqliteStore, failed, schema};
use crate::{Result, StoreDescription, StoreError, Upkeep, VerifyReport};

/// Rows looked at between two page reads.
const PAGE: usize = 1_000;

#[async_trait]
impl Upkeep for SqliteStore {
    async fn describe(&self) -> Result<StoreDescription> {
        let place = self.path.display().to_string();
        self.read("describe", move |c| {
            Ok(StoreDescription {
                driver: "sqlite",
                place,
                schema_version: schema::version(),
                head: head(c)?,
            })
        })
        .await
    }

    async fn verify(&self) -> Result<VerifyReport> {
        self.read("verify", verify).await
    }

    async fn rebuild_projections(&self) -> Result<()> {
        self.write("rebuild projections", |c, _| {
            let state = fold(c, &mut VerifyReport::default())?;
            c.execute_batch("DELETE FROM signer.key_history; DELETE FROM signer.trust_anchors; DELETE FROM signer.signing_keys")
                .map_err(failed)?;
            rows::all(&state).iter().try_for_each(|row| row.write(c))
        })
        .await
    }

    async fn probe(&self) -> Result<()> {
        self.write("probe", |c, _| {
            c.execute(
                "UPDATE signer.operations_log SET level = level WHERE row = -1",
                [],
            )
            .map(|_| ())
            .map_err(failed)
        })
        .await
    }
}

fn verify(connection: &Connection) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let integrity = collect(connection, "PRAGMA signer.integrity_check", [], |row| {
        row.get::<_, String>(0).map_err(failed)
    })?;
    report.findings.extend(
        integrity
            .into_iter()
            .filter(|line| line != "ok")
            .map(|line| format!("the file is damaged: {line}")),
    );
    let state = fold(connection, &mut report)?;
    projections(connection, &state, &mut report)?;
    chain(connection, &mut report)?;
    envelopes(connection, &mut report)?;
    Ok(report)
}

/// The state that the events lead to, as far as they can be read.
fn fold(connection: &Connection, report: &mut VerifyReport) -> Result<TrustState> {
    let mut state = TrustState::default();
    loop {
        let page = match events(connection, state.head, PAGE) {
            Ok(page) => page,
            Err(StoreError::Corrupt(why)) => {
                report
                    .findings
                    .push(format!("the event log cannot be read: {why}"));
                return Ok(state);
            }
            Err(other) => return Err(other),
        };
        if page.is_empty() {
            return Ok(state);
        }
        for event in &page {
            if let Err(why) = state.apply(event) {
                report
                    .findings
                    .push(format!("the event log breaks its own rules: {why}"));
                return Ok(state);
            }
            report.events += 1;
        }
    }
}

fn projections(connection: &Connection, state: &TrustState, report: &mut VerifyReport) -> Result<()> {
    let expected = rows::all(state);
    for row in &expected {
        match row.stored(connection)? {
            None => report
                .findings
                .push(format!("{} lacks the row {}", row.table, row.id)),
            Some(stored) => {
                for ((name, wanted), found) in row.columns.iter().zip(&stored) {
                    if wanted != found {
                        report.findings.push(format!(
                            "{} row {}: column {name} is not what the events say",
                            row.table, row.id
                        ));
                    }
                }
            }
        }
    }
    for table in ["signing_keys", "trust_anchors", "key_history"] {
        let stored: i64 = connection
            .query_row(&format!("SELECT count(*) FROM signer.{table}"), [], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        let wanted = expected.iter().filter(|row| row.table == table).count();
        if usize::try_from(stored) != Ok(wanted) {
            report
                .findings
                .push(format!("{table} has {stored} rows, the events lead to {wanted}"));
        }
    }
    Ok(())
}

/// Walks the chain commit by commit along the rows it says it covers.
fn chain(connection: &Connection, report: &mut VerifyReport) -> Result<()> {
    let commits = collect(
        connection,
        "SELECT layout, head FROM signer.event_chain ORDER BY position",
        [],
        |row| Ok((text(row, "layout")?, text(row, "head")?)),
    )?;
    let mut event_bytes = digests(
        connection,
        "SELECT sequence AS n, bytes FROM signer.key_audit_log ORDER BY sequence",
        |row| {
            let bytes: Vec<u8> = row.get("bytes").map_err(failed)?;
            Ok(Sha256::of(&bytes))
        },
    )?
    .into_iter();
    let mut ledger_rows = digests(
        connection,
        "SELECT row AS n, * FROM signer.ledger ORDER BY row",
        |row| {
            let column = |name| text(row, name);
            Ok(ledger_bytes(&[
                &column("pae")?,
                &column("spki")?,
                &column("signature")?,
                &column("signed_at")?,
                &column("attestation_id")?,
                &column("requested_by")?,
            ]))
        },
    )?
    .into_iter();
    let mut head = String::new();
    for (position, (layout, stored)) in commits.iter().enumerate() {
        let links: Option<Vec<Link>> = layout
            .chars()
            .map(|kind| match kind {
                'e' => event_bytes.next().map(|(n, bytes)| Link::Event {
                    sequence: u64::try_from(n).unwrap_or(0),
                    bytes,
                }),
                _ => {
                    report.ledger_entries += 1;
                    ledger_rows.next().map(|(row, bytes)| Link::Ledger { row, bytes })
                }
            })
            .collect();
        let computed = links.map(|links| next_head(&head, &links).to_hex());
        if computed.as_deref() != Some(stored) {
            report.findings.push(format!(
                "the hash chain breaks at commit {}: an event or ledger entry was altered or removed",
                position + 1
            ));
            return Ok(());
        }
        head.clone_from(stored);
    }
    if event_bytes.next().is_some() || ledger_rows.next().is_some() {
        report
            .findings
            .push("there are events or ledger entries that the hash chain does not cover".to_owned());
    }
    report.chain_head = head;
    Ok(())
}

fn digests(
    connection: &Connection,
    sql: &str,
    digest: impl Fn(&rusqlite::Row<'_>) -> Result<Sha256>,
) -> Result<Vec<(i64, Sha256)>> {
    collect(connection, sql, [], |row| {
        Ok((row.get("n").map_err(failed)?, digest(row)?))
    })
}

/// Every stored envelope is what its row says it is.
fn envelopes(connection: &Connection, report: &mut VerifyReport) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = select(
            connection,
            "WHERE a.id > ?1 ORDER BY a.id LIMIT ?2",
            (&after, super::events::number(PAGE)),
        )?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id.to_string();
        for row in &page {
            report.attestations += 1;
            if stella_core::dsse::pae_digest(&row.payload_type, &row.payload) != row.pae {
                report.findings.push(format!(
                    "attestation {}: its payload is not what was recorded",
                    row.id
                ));
            }
            let Some(signed) = &row.signed else { continue };
            match Envelope::parse(&signed.envelope, &EnvelopeLimits::default()) {
                Ok(envelope) if envelope.pae_digest() == row.pae => {}
                Ok(_) => report.findings.push(format!(
                    "attestation {}: the envelope holds another payload",
                    row.id
                )),
                Err(e) => report.findings.push(format!("attestation {}: {e}", row.id)),
            }
        }
    }
}
