//! No statement that the driver runs reads a table that grows from end to end,
//! unless it is said here why.

use super::*;
use crate::plans;

/// As many rows as there are keys, anchors, tokens or servers.
const SMALL: &[&str] = &[
    "signer.key_history",
    "signer.trust_anchors",
    "signer.signing_keys",
    "signer.tokens",
    "signer.replicas",
    "signer.rescans",
];

/// Beginnings of statements that may, and why.
const WHOLE: &[(&str, &str)] = &[
    // Everything is what `db verify` and a new projection are about.
    ("SELECT * FROM signer.event_chain ORDER BY commit_id", "db verify"),
    (
        "SELECT * FROM signer.key_audit_log ORDER BY sequence",
        "db verify, projections",
    ),
    ("SELECT * FROM signer.proofs ORDER BY entry", "db verify"),
    (
        "SELECT a.*, k.fingerprint FROM signer.attestations a",
        "db verify",
    ),
    (
        "SELECT l.*, a.pae, a.id AS attestation_id FROM signer.ledger_entries l",
        "db verify",
    ),
    // In the order of the table or of an index, up to the limit.
    (
        "SELECT * FROM signer.attestations WHERE TRUE ORDER BY id DESC LIMIT ?",
        "a page",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE ORDER BY sequence DESC LIMIT ?",
        "a page",
    ),
    (
        "SELECT * FROM signer.operations_log WHERE TRUE ORDER BY at DESC, line DESC LIMIT ?",
        "a page",
    ),
    (
        "SELECT a.created_at, l.signed_at AS made_at FROM signer.ledger_entries l",
        "the newest",
    ),
    (
        "SELECT head FROM signer.event_chain ORDER BY commit_id DESC LIMIT 1",
        "the newest",
    ),
    (
        "SELECT last_sequence, head, COALESCE(",
        "from the newest back to the one that is asked for",
    ),
    ("SELECT 1 FROM signer.sealed_keys LIMIT 1", "one"),
    // What people ask now and then, newest first and up to the limit; a rare
    // value is looked for further back.
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND created_at >= ?",
        "attest list --since",
    ),
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND last_attempt_at >= ?",
        "attest retry --last",
    ),
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND (FALSE",
        "attest list --signed-by-standby",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE AND event_type LIKE ?",
        "audit query",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE AND timestamp",
        "audit query",
    ),
    (
        "SELECT * FROM signer.operations_log WHERE TRUE AND",
        "attest logs; kept as long as logRetention",
    ),
    ("SELECT p.* FROM signer.proofs p", "proof list"),
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND state = ?",
        "attest list --state signed",
    ),
    // Over an index that holds nothing else.
    (
        "SELECT id, pae, profile, created_at, last_attempt_at FROM signer.attestations",
        "the queue",
    ),
    (
        "SELECT state, COUNT(*) AS number, MIN(created_at) AS oldest",
        "attest status",
    ),
];

pub(super) async fn nothing_that_grows_is_read_from_end_to_end(store: &SqliteStore) {
    let seen = plans::seen();
    assert!(seen.len() > 80, "{}: they are not noted", seen.len());
    let (mut found, mut used) = (Vec::new(), Vec::new());
    for sql in seen {
        let flat = plans::flat(&sql);
        for step in steps(store, sql).await {
            if !step.contains("SCAN") || SMALL.iter().any(|table| step.contains(table)) {
                continue;
            }
            match WHOLE.iter().find(|(begins, _)| flat.starts_with(begins)) {
                Some(why) => used.push(why),
                None => found.push(format!("{step}: {flat}")),
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    let stale = WHOLE.iter().filter(|why| !used.contains(why));
    assert_eq!(
        stale.collect::<Vec<_>>(),
        Vec::<&(&str, &str)>::new(),
        "nobody runs these"
    );
}

async fn steps(store: &SqliteStore, sql: String) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {sql}");
    let read = store.readers.read(move |conn| {
        let mut statement = conn.prepare(&explained)?;
        let unset = vec![rusqlite::types::Null; statement.parameter_count()];
        let mut rows = statement.query(rusqlite::params_from_iter(unset))?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            steps.push(row.get::<_, String>("detail")?);
        }
        Ok(steps)
    });
    read.await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}
