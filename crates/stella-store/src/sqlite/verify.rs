//! Reading everything, and saying what is wrong with it.

use rusqlite::{Connection, Row};
use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, pae_digest};
use stella_core::id::AttestationId;
use stella_core::statement::Statement;
use stella_core::trust::{Event, TrustState};

use super::row::{Columns, all, first, integer};
use super::{attestation_rows, events, ledger, projections, proofs};
use crate::chain::{CHAIN_START, chain_head, ledger_bytes};
use crate::{
    AttestationRow, LedgerKey, ProofRow, Result, STORED_ENVELOPE, STORED_STATEMENT, StoreError, VerifyReport,
    subjects_of,
};

/// Damage that stops one check is a finding like any other.
pub(super) fn report(conn: &Connection) -> VerifyReport {
    let mut report = VerifyReport::default();
    for (what, check) in CHECKS {
        if let Err(error) = check(conn, &mut report) {
            report.findings.push(format!("{what}: {error}"));
        }
    }
    if let Some(more) = report.findings.len().checked_sub(MAX_FINDINGS).filter(|n| *n > 0) {
        report.findings.truncate(MAX_FINDINGS);
        report.findings.push(format!("and {more} more"));
    }
    report
}

type Check = fn(&Connection, &mut VerifyReport) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("the database file", file),
    ("the events", event_log),
    ("the ledger", ledger_entries),
    ("the hash chain", chain),
    ("the attestations", attestations),
    ("the proofs", proof_bundles),
];

const MAX_FINDINGS: usize = 200;

fn file(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    let damage = all(conn, "PRAGMA signer.integrity_check", [], |row| {
        Ok(row.get::<_, String>(0)?)
    })?;
    let damage = damage.into_iter().filter(|line| line != "ok");
    report
        .findings
        .extend(damage.map(|line| format!("integrity check: {line}")));
    let orphans = all(conn, "PRAGMA signer.foreign_key_check", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    report.findings.extend(
        orphans
            .into_iter()
            .map(|(from, to)| format!("a row of {from} refers to a row of {to} that does not exist")),
    );
    Ok(())
}

fn event_log(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    let mut sound = Vec::new();
    let mut expected = 1;
    let sql = "SELECT * FROM signer.key_audit_log ORDER BY sequence";
    all(conn, sql, [], |row| {
        report.events += 1;
        let sequence = row.count("sequence")?;
        if sequence != expected {
            let gap = format!("events {expected} to {} are missing", sequence.saturating_sub(1));
            report.findings.push(gap);
        }
        expected = sequence + 1;
        match event(row) {
            Ok(event) => sound.push(event),
            Err(why) => report.findings.push(format!("event {sequence}: {why}")),
        }
        Ok(())
    })?;
    match TrustState::fold(&sound) {
        Ok(state) => compare_projections(conn, &state, report),
        Err(error) => {
            report
                .findings
                .push(format!("the keys and anchors cannot be compared: {error}"));
            Ok(())
        }
    }
}

fn event(row: &Row<'_>) -> std::result::Result<Event, String> {
    let event = events::event_of(row).map_err(|e| e.to_string())?;
    if event.to_bytes().ok() != row.get("bytes").ok() {
        return Err("its bytes are not in canonical form".into());
    }
    Ok(event)
}

fn compare_projections(conn: &Connection, state: &TrustState, report: &mut VerifyReport) -> Result<()> {
    for table in projections::TABLES {
        let (expected, mut stored) = (
            projections::expected(table, state)?,
            projections::stored(table, conn)?,
        );
        let name = table.name;
        for (key, row) in &expected {
            match stored.remove(key) {
                None => report.findings.push(format!("{name}: row {key} is missing")),
                Some(found) => {
                    let differing = table.columns.iter().zip(row).zip(&found);
                    for ((column, _), _) in differing.filter(|((_, a), b)| a != b) {
                        let finding = format!("{name}: {column} of row {key} is not what the events say");
                        report.findings.push(finding);
                    }
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

fn ledger_entries(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    let mut expected = 1;
    let sql = "SELECT l.*, a.pae, a.id AS attestation_id FROM signer.ledger_entries l
               LEFT JOIN signer.attestations a ON a.entry = l.attestation ORDER BY l.entry";
    all(conn, sql, [], |row| {
        report.ledger_entries += 1;
        let number = row.count("entry")?;
        if number != expected {
            let gap = format!(
                "ledger entries {expected} to {} are missing",
                number.saturating_sub(1)
            );
            report.findings.push(gap);
        }
        expected = number + 1;
        if row.get::<_, Option<String>>("attestation_id")?.is_none() {
            let finding = format!("ledger entry {number} names an attestation that does not exist");
            report.findings.push(finding);
            return Ok(());
        }
        let (key, entry) = (ledger::key_of(row)?, ledger::entry_of(row)?);
        let bytes: Vec<u8> = row.get("bytes")?;
        if ledger_bytes(number, &key, &entry)? != bytes {
            report.findings.push(format!(
                "ledger entry {number}: it, or the attestation that it names, differs from its bytes"
            ));
        }
        Ok(())
    })?;
    Ok(())
}

fn chain(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    let mut head = CHAIN_START;
    let (mut next_sequence, mut next_entry, mut next_commit) = (1, 1, 1);
    all(
        conn,
        "SELECT * FROM signer.event_chain ORDER BY commit_id",
        [],
        |row| {
            let commit = row.count("commit_id")?;
            let (events, sequence) = Span::of(row, "first_sequence", "last_sequence")?.advance(next_sequence);
            let (entries, entry) = Span::of(row, "first_entry", "last_entry")?.advance(next_entry);
            let (Some(events), Some(entries), true) = (events, entries, commit == next_commit) else {
                let finding = format!("event_chain: commit {commit} does not follow the one before it");
                report.findings.push(finding);
                (next_commit, next_sequence, next_entry) = (commit + 1, sequence, entry);
                head = row.digest("head")?;
                return Ok(());
            };
            let event_digests = digests(conn, "key_audit_log", "sequence", events)?;
            let entry_digests = digests(conn, "ledger_entries", "entry", entries)?;
            let stored = row.digest("head")?;
            if chain_head(&head, event_digests.iter(), entry_digests.iter()) != stored {
                report.findings.push(format!(
                "event_chain: commit {commit} does not match what it covers ({events} of the events, {entries} of the ledger): one of them was altered"
            ));
            }
            // Go on from what is stored, so that one alteration is one finding.
            head = stored;
            (next_commit, next_sequence, next_entry) = (commit + 1, sequence, entry);
            Ok(())
        },
    )?;
    report.chain_head = head.to_hex();
    for (what, table, column, next) in [
        ("key_audit_log", "key_audit_log", "sequence", next_sequence),
        ("ledger", "ledger_entries", "entry", next_entry),
    ] {
        let sql = format!("SELECT MAX({column}) AS last FROM signer.{table}");
        let last: i64 = first(conn, &sql, [], |row| Ok(row.get::<_, Option<i64>>("last")?))?
            .flatten()
            .unwrap_or(0);
        if last != integer(next) - 1 {
            report.findings.push(format!(
                "event_chain covers {what} up to {}, which goes up to {last}",
                next - 1
            ));
        }
    }
    Ok(())
}

/// A run of rows, both ends included; empty when the first is past the last.
#[derive(Clone, Copy)]
struct Span(u64, u64);

impl Span {
    fn of(row: &Row<'_>, from: &str, to: &str) -> Result<Self> {
        match row.get::<_, Option<i64>>(from)? {
            Some(_) => Ok(Self(row.count(from)?, row.count(to)?)),
            None => Ok(Self(1, 0)),
        }
    }

    /// The span, if it is empty or begins here; and where the next one begins.
    fn advance(self, expected: u64) -> (Option<Self>, u64) {
        if self.0 > self.1 {
            return (Some(self), expected);
        }
        ((self.0 == expected).then_some(self), self.1 + 1)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1.checked_sub(self.0) {
            None => f.write_str("none"),
            Some(0) => write!(f, "{}", self.0),
            Some(_) => write!(f, "{} to {}", self.0, self.1),
        }
    }
}

fn digests(conn: &Connection, table: &str, column: &str, span: Span) -> Result<Vec<Sha256>> {
    let sql = format!("SELECT bytes FROM signer.{table} WHERE {column} BETWEEN ?1 AND ?2 ORDER BY {column}");
    all(conn, &sql, (integer(span.0), integer(span.1)), |row| {
        Ok(Sha256::of(&row.get::<_, Vec<u8>>("bytes")?))
    })
}

fn attestations(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    let sql = "SELECT a.*, k.fingerprint FROM signer.attestations a
               LEFT JOIN signer.signing_keys k ON k.key_id = a.key_id ORDER BY a.id";
    all(conn, sql, [], |row| {
        report.attestations += 1;
        let id: String = row.get("id")?;
        let wrong = match attestation_rows::attestation(conn, row) {
            Ok(found) => attestation(conn, &found, row.get("fingerprint")?)?,
            Err(error) => Some(error.to_string()),
        };
        report
            .findings
            .extend(wrong.map(|why| format!("attestation {id}: {why}")));
        Ok(())
    })?;
    let sql = "SELECT COALESCE(MAX(entry), 0) AS last FROM signer.attestations";
    let last = first(conn, sql, [], |row| row.count("last"))?.unwrap_or(0);
    let missing = last.saturating_sub(report.attestations);
    if missing > 0 {
        let finding = format!("of {last} attestations {missing} are missing");
        report.findings.push(finding);
    }
    Ok(())
}

fn attestation(conn: &Connection, found: &AttestationRow, spki: Option<[u8; 32]>) -> Result<Option<String>> {
    let wrong = |why: &str| Ok(Some(why.to_owned()));
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
    let sql = "SELECT 1 FROM signer.attestations WHERE id = ?1 AND pae_start = substr(pae, 1, 8)
               AND NOT EXISTS (SELECT 1 FROM signer.subjects
                               WHERE attestation = entry AND digest_end <> substr(digest, -16))";
    if first(conn, sql, [found.id.to_string()], |_| Ok(()))?.is_none() {
        return wrong("what it is found by is not part of its digests");
    }
    let Some(signed) = &found.signed else {
        return Ok(None);
    };
    let envelope = match Envelope::parse(&signed.envelope, &STORED_ENVELOPE) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Some(format!("its envelope: {error}"))),
    };
    if envelope.pae_digest() != found.pae {
        return wrong("its envelope holds something else than its payload");
    }
    if signed.key_id.is_none() {
        return Ok(None);
    }
    let Some(spki) = spki else {
        return wrong("no event entered the key that signed it");
    };
    for signature in &envelope.signatures {
        let key = LedgerKey {
            pae: found.pae,
            spki: Sha256::from_bytes(spki),
            signature: Sha256::of(&signature.sig),
        };
        if ledger::entry(conn, &key)?.is_some() {
            return Ok(None);
        }
    }
    wrong("its signature is not in the ledger")
}

/// What each address stands for is still what it was made of.
fn proof_bundles(conn: &Connection, report: &mut VerifyReport) -> Result<()> {
    for proof in proofs::every(conn)? {
        let address = proof.address;
        let wrong = match rebuilt(conn, &proof) {
            Ok(found) if found == address => continue,
            Ok(found) => format!("what it is made of has the address sha256:{found}"),
            Err(error) => error.to_string(),
        };
        report.findings.push(format!("proof sha256:{address}: {wrong}"));
    }
    Ok(())
}

fn rebuilt(conn: &Connection, proof: &ProofRow) -> Result<Sha256> {
    let limits = ProofLimits {
        json: STORED_ENVELOPE.json,
        max_members: usize::MAX,
        max_signatures: usize::MAX,
    };
    let corrupt = |e: &dyn std::fmt::Display| StoreError::Corrupt(e.to_string());
    let part = |ids: &Vec<AttestationId>| {
        let envelopes = ids.iter().map(|id| {
            let row = attestation_rows::by_id(conn, *id)?;
            let signed = row
                .and_then(|r| r.signed)
                .ok_or_else(|| corrupt(&format!("attestation {id} is not there, or not signed")))?;
            Envelope::parse(&signed.envelope, &STORED_ENVELOPE).map_err(|e| corrupt(&e))
        });
        SignedPayload::of(envelopes.collect::<Result<Vec<_>>>()?).map_err(|e| corrupt(&e))
    };
    let members = proof.members.iter().map(part).collect::<Result<_>>()?;
    let bundle = ProofBundle::new(part(&proof.spine)?, members, &limits).map_err(|e| corrupt(&e))?;
    Ok(bundle.address())
}
