//! Reading everything, and saying what is wrong with it.

use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, pae_digest};
use stella_core::id::AttestationId;
use stella_core::statement::Statement;
use stella_core::trust::TrustState;
use tokio_postgres::Row;
use uuid::Uuid;

use super::conn::Conn;
use super::row::{Columns, integer};
use super::{attestation_rows, events, ledger, projections, proofs};
use crate::chain::{CHAIN_START, chain_head, ledger_bytes};
use crate::{
    AttestationRow, LedgerKey, ProofRow, Result, STORED_ENVELOPE, STORED_STATEMENT, SignedPart, StoreError,
    VerifyReport, subjects_of,
};

/// Damage that stops one check is a finding like any other.
pub(super) async fn report(conn: &Conn) -> VerifyReport {
    let mut report = VerifyReport::default();
    let done = event_log(conn, &mut report).await;
    note(&mut report, "the events", done);
    let done = ledger_entries(conn, &mut report).await;
    note(&mut report, "the ledger", done);
    let done = chain(conn, &mut report).await;
    note(&mut report, "the hash chain", done);
    let done = attestations(conn, &mut report).await;
    note(&mut report, "the attestations", done);
    let done = proof_bundles(conn, &mut report).await;
    note(&mut report, "the proofs", done);
    if let Some(more) = report.findings.len().checked_sub(MAX_FINDINGS).filter(|n| *n > 0) {
        report.findings.truncate(MAX_FINDINGS);
        report.findings.push(format!("and {more} more"));
    }
    report
}

fn note(report: &mut VerifyReport, what: &str, done: Result<()>) {
    if let Err(error) = done {
        report.findings.push(format!("{what}: {error}"));
    }
}

const MAX_FINDINGS: usize = 200;

/// Rows that are held in memory at once.
const PAGE: i64 = 500;

async fn event_log(conn: &Conn, report: &mut VerifyReport) -> Result<()> {
    let mut sound = Vec::new();
    let mut expected: u64 = 1;
    loop {
        let sql = "SELECT * FROM signer.key_audit_log WHERE sequence >= $1 ORDER BY sequence LIMIT $2";
        let rows = conn.all(sql, &[&integer(expected), &PAGE]).await?;
        for row in &rows {
            report.events += 1;
            let sequence = row.count("sequence")?;
            if sequence != expected {
                let last = sequence.saturating_sub(1);
                report
                    .findings
                    .push(format!("events {expected} to {last} are missing"));
            }
            expected = sequence + 1;
            match events::event_of(row) {
                Ok(event) if event.to_bytes().ok() == row.column("bytes").ok() => sound.push(event),
                Ok(_) => report
                    .findings
                    .push(format!("event {sequence}: its bytes are not in canonical form")),
                Err(why) => report.findings.push(format!("event {sequence}: {why}")),
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    match TrustState::fold(&sound) {
        Ok(state) => compare_projections(conn, &state, report).await,
        Err(error) => {
            report
                .findings
                .push(format!("the keys and anchors cannot be compared: {error}"));
            Ok(())
        }
    }
}

async fn compare_projections(conn: &Conn, state: &TrustState, report: &mut VerifyReport) -> Result<()> {
    for table in projections::TABLES {
        let expected = projections::expected(table, state)?;
        let mut stored = projections::stored(table, conn).await?;
        let name = table.name;
        for (key, row) in &expected {
            let Some(found) = stored.remove(key) else {
                report.findings.push(format!("{name}: row {key} is missing"));
                continue;
            };
            for ((column, said), found) in table.columns.iter().zip(row).zip(&found) {
                if said != found {
                    let finding = format!("{name}: {column} of row {key} is not what the events say");
                    report.findings.push(finding);
                }
            }
        }
        let strangers = stored.keys();
        report
            .findings
            .extend(strangers.map(|key| format!("{name}: row {key} comes from no event")));
    }
    Ok(())
}

async fn ledger_entries(conn: &Conn, report: &mut VerifyReport) -> Result<()> {
    let mut expected: u64 = 1;
    loop {
        let sql = "SELECT l.*, (SELECT pae FROM signer.attestations WHERE id = l.attestation_id) AS attested,
                     EXISTS (SELECT FROM signer.ledger AS earlier WHERE earlier.attestation_id = ANY (ARRAY
                               (SELECT id FROM signer.attestations WHERE pae = l.pae))
                             AND earlier.entry < l.entry AND earlier.pae = l.pae
                             AND earlier.spki = l.spki AND earlier.signature = l.signature) AS again
                   FROM signer.ledger l WHERE l.entry >= $1 ORDER BY l.entry LIMIT $2";
        let rows = conn.all(sql, &[&integer(expected), &PAGE]).await?;
        for row in &rows {
            report.ledger_entries += 1;
            let number = row.count("entry")?;
            if number != expected {
                let last = number.saturating_sub(1);
                report
                    .findings
                    .push(format!("ledger entries {expected} to {last} are missing"));
            }
            expected = number + 1;
            report.findings.extend(ledger_entry(row, number)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

fn ledger_entry(row: &Row, number: u64) -> Result<Vec<String>> {
    let (key, entry) = (ledger::key_of(row)?, ledger::entry_of(row)?);
    let mut wrong = Vec::new();
    if ledger_bytes(number, &key, &entry)? != row.column::<&[u8]>("bytes")? {
        wrong.push(format!(
            "ledger entry {number}: its columns differ from its bytes"
        ));
    }
    if row.column("again")? {
        wrong.push(format!(
            "ledger entry {number} is about a signature that entered before"
        ));
    }
    if row.column::<Option<&[u8]>>("attested")? != Some(key.pae.as_bytes().as_slice()) {
        let of = entry.attestation;
        wrong.push(format!(
            "ledger entry {number} is about something else than attestation {of}, which it names"
        ));
    }
    Ok(wrong)
}

async fn chain(conn: &Conn, report: &mut VerifyReport) -> Result<()> {
    let mut head = CHAIN_START;
    let (mut next_sequence, mut next_entry, mut next_commit) = (1, 1, 1);
    loop {
        let sql = "SELECT * FROM signer.event_chain WHERE commit_id >= $1 ORDER BY commit_id LIMIT $2";
        let rows = conn.all(sql, &[&integer(next_commit), &PAGE]).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let commit = row.count("commit_id")?;
            let (events, entries) = (
                span(row, "first_sequence", "last_sequence")?,
                span(row, "first_entry", "last_entry")?,
            );
            let follows = commit == next_commit
                && events.is_none_or(|(first, _)| first == next_sequence)
                && entries.is_none_or(|(first, _)| first == next_entry);
            let stored = row.digest("head")?;
            if follows {
                let said = digests(conn, "key_audit_log", "sequence", events).await?;
                let signed = digests(conn, "ledger", "entry", entries).await?;
                if chain_head(&head, said.iter(), signed.iter()) != stored {
                    report.findings.push(format!(
                        "event_chain: commit {commit} does not match what it covers ({} of the events, \
                         {} of the ledger): one of them was altered",
                        in_words(events),
                        in_words(entries),
                    ));
                }
            } else {
                let finding = format!("event_chain: commit {commit} does not follow the one before it");
                report.findings.push(finding);
            }
            // Go on from what is stored, so that one alteration is one finding.
            head = stored;
            next_commit = commit + 1;
            next_sequence = events.map_or(next_sequence, |(_, last)| last + 1);
            next_entry = entries.map_or(next_entry, |(_, last)| last + 1);
        }
    }
    report.chain_head = head.to_hex();
    for (table, column, next) in [
        ("key_audit_log", "sequence", next_sequence),
        ("ledger", "entry", next_entry),
    ] {
        let sql = format!("SELECT COALESCE(MAX({column}), 0) AS last FROM signer.{table}");
        let last = conn.first(&sql, &[]).await?;
        let last = last.map_or(Ok(0), |row| row.count("last"))?;
        if last + 1 != next {
            let covered = next - 1;
            report.findings.push(format!(
                "event_chain covers {table} up to {covered}, which goes up to {last}"
            ));
        }
    }
    Ok(())
}

/// A run of rows, both ends included.
type Span = Option<(u64, u64)>;

fn span(row: &Row, from: &str, to: &str) -> Result<Span> {
    match row.column::<Option<i64>>(from)? {
        Some(_) => Ok(Some((row.count(from)?, row.count(to)?))),
        None => Ok(None),
    }
}

fn in_words(span: Span) -> String {
    match span {
        None => "none".into(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first} to {last}"),
    }
}

async fn digests(conn: &Conn, table: &str, column: &str, span: Span) -> Result<Vec<Sha256>> {
    let Some((first, last)) = span else {
        return Ok(Vec::new());
    };
    let sql = format!("SELECT bytes FROM signer.{table} WHERE {column} BETWEEN $1 AND $2 ORDER BY {column}");
    let rows = conn.all(&sql, &[&integer(first), &integer(last)]).await?;
    let digest = |row: &Row| Ok(Sha256::of(row.column("bytes")?));
    rows.iter().map(digest).collect()
}

async fn attestations(conn: &Conn, report: &mut VerifyReport) -> Result<()> {
    let sql = "SELECT attestation_id FROM signer.attestation_subjects AS s
               WHERE (SELECT id FROM signer.attestations WHERE id = s.attestation_id) IS NULL LIMIT $1";
    for row in conn.all(sql, &[&integer(MAX_FINDINGS)]).await? {
        let id = row.id("attestation_id")?;
        report
            .findings
            .push(format!("attestation {id} has a subject and is not there"));
    }
    // Nothing has the id of zeros.
    let mut after = Uuid::nil();
    loop {
        // Without an OR for the first page: it would walk from the first row
        // to the page each time.
        let sql = "SELECT a.*, k.fingerprint FROM signer.attestations a
                   LEFT JOIN signer.signing_keys k ON k.key_id = a.key_id
                   WHERE a.id > $1 ORDER BY a.id LIMIT $2";
        let rows = conn.all(sql, &[&after, &PAGE]).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.id("id")?;
        let read = attestation_rows::read(conn, &rows).await?;
        for (row, read) in rows.iter().zip(read) {
            report.attestations += 1;
            let wrong = match read {
                Ok(found) => attestation(conn, &found, row.column("fingerprint")?).await?,
                Err(error) => Some(error.to_string()),
            };
            let id = row.id("id")?;
            report
                .findings
                .extend(wrong.map(|why| format!("attestation {id}: {why}")));
        }
    }
}

async fn attestation(conn: &Conn, found: &AttestationRow, spki: Option<&[u8]>) -> Result<Option<String>> {
    let wrong = |why: &str| Ok(Some(why.to_owned()));
    let parse = |signed: &SignedPart| Envelope::parse(&signed.envelope, &STORED_ENVELOPE);
    // First: the payload may be in it alone.
    let envelope = match found.signed.as_ref().map(parse).transpose() {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Some(format!("its envelope: {error}"))),
    };
    if pae_digest(&found.payload_type, &found.payload) != found.pae {
        return wrong("its payload does not have its digest");
    }
    let statement = match Statement::parse(&found.payload, &STORED_STATEMENT) {
        Ok(statement) => statement,
        Err(error) => return Ok(Some(format!("its payload: {error}"))),
    };
    if statement.predicate_type() != found.predicate_type {
        return wrong("its predicate type is not that of its payload");
    }
    if subjects_of(&statement) != found.subjects {
        return wrong("its subjects are not those of its payload");
    }
    let Some((signed, envelope)) = found.signed.as_ref().zip(envelope) else {
        return Ok(None);
    };
    if envelope.pae_digest() != found.pae {
        return wrong("its envelope holds something else than its payload");
    }
    if signed.key_id.is_none() {
        return Ok(None);
    }
    let Some(spki) = spki.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
        return wrong("no event entered the key that signed it");
    };
    for signature in &envelope.signatures {
        let key = LedgerKey {
            pae: found.pae,
            spki: Sha256::from_bytes(spki),
            signature: Sha256::of(&signature.sig),
        };
        if ledger::entry(conn, &key).await?.is_some() {
            return Ok(None);
        }
    }
    wrong("its signature is not in the ledger")
}

/// What each address stands for is still what it was made of.
async fn proof_bundles(conn: &Conn, report: &mut VerifyReport) -> Result<()> {
    for proof in proofs::every(conn).await? {
        let address = proof.address;
        let wrong = match rebuilt(conn, &proof).await {
            Ok(found) if found == address => continue,
            Ok(found) => format!("what it is made of has the address sha256:{found}"),
            Err(error) => error.to_string(),
        };
        report.findings.push(format!("proof sha256:{address}: {wrong}"));
    }
    Ok(())
}

async fn rebuilt(conn: &Conn, proof: &ProofRow) -> Result<Sha256> {
    let limits = ProofLimits {
        json: STORED_ENVELOPE.json,
        max_members: usize::MAX,
        max_signatures: usize::MAX,
    };
    let mut members = Vec::new();
    for member in &proof.members {
        members.push(part(conn, member).await?);
    }
    let spine = part(conn, &proof.spine).await?;
    let bundle = ProofBundle::new(spine, members, &limits).map_err(|e| corrupt(&e))?;
    Ok(bundle.address())
}

async fn part(conn: &Conn, ids: &[AttestationId]) -> Result<SignedPayload> {
    let mut envelopes = Vec::new();
    for id in ids {
        let row = attestation_rows::by_id(conn, *id).await?;
        let signed = row
            .and_then(|r| r.signed)
            .ok_or_else(|| corrupt(&format!("attestation {id} is not there, or not signed")))?;
        envelopes.push(Envelope::parse(&signed.envelope, &STORED_ENVELOPE).map_err(|e| corrupt(&e))?);
    }
    SignedPayload::of(envelopes).map_err(|e| corrupt(&e))
}

fn corrupt(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
