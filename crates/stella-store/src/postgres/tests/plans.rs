//! No statement that the driver runs reads a table that grows from end to end,
//! unless it is said here why. PostgreSQL is told to avoid that where it can.

use serde_json::Value;

use super::*;
use crate::plans;

/// As many rows as there are keys, anchors, tokens or servers.
const SMALL: &[&str] = &[
    "key_history",
    "trust_anchors",
    "signing_keys",
    "tokens",
    "replicas",
    "rescans",
    "meta",
    "refused_pins",
    "unanswered_logins",
];

/// Beginnings of statements that may, and why.
const WHOLE: &[(&str, &str)] = &[
    // Everything is what `db verify` and a new projection are about.
    ("SELECT * FROM signer.proofs ORDER BY entry", "db verify"),
    (
        "SELECT a.*, k.fingerprint FROM signer.attestations a",
        "db verify, in pages",
    ),
    // In the order of an index, up to the limit.
    (
        "SELECT * FROM signer.attestations WHERE TRUE ORDER BY id DESC LIMIT",
        "a page",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE ORDER BY sequence DESC LIMIT",
        "a page",
    ),
    ("SELECT 1 FROM signer.sealed_keys LIMIT 1", "one"),
    (
        "SELECT commit_id, head FROM signer.event_chain ORDER BY commit_id DESC LIMIT 1",
        "the newest",
    ),
    (
        "SELECT version, oldest_binary FROM signer.schema_versions ORDER BY version DESC LIMIT 1",
        "the newest",
    ),
    (
        "SELECT created_at, ledger.signed_at AS made_at FROM signer.ledger",
        "the newest",
    ),
    (
        "SELECT last_sequence, head, COALESCE(",
        "from the newest back to the one that is asked for",
    ),
    // What people ask now and then, newest first and up to the limit; a rare
    // value is looked for further back.
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND created_at >=",
        "attest list --since",
    ),
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND last_attempt_at >=",
        "attest retry --last",
    ),
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND EXISTS (SELECT 1 FROM unnest(",
        "attest list --signed-by-standby",
    ),
    // Planned for the values that are asked for; here there are none.
    (
        "SELECT * FROM signer.attestations WHERE TRUE AND id IN (SELECT attestation_id",
        "attest list --subject",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE AND event_type LIKE",
        "audit query --type KEY_*",
    ),
    (
        "SELECT * FROM signer.key_audit_log WHERE TRUE AND timestamp",
        "audit query --from, --to",
    ),
    (
        "SELECT * FROM signer.operations_log WHERE ($1::text[] IS NULL",
        "attest logs",
    ),
    ("SELECT p.* FROM signer.proofs p", "proof list"),
    // Over an index that holds nothing else.
    (
        "SELECT state, COUNT(*) AS number, MIN(created_at) AS oldest",
        "attest status",
    ),
];

/// Of all statements that were run in this process until now.
pub async fn nothing_that_grows_is_read_from_end_to_end(server: &Postgres) {
    let database = prepared(server).await;
    let seen = plans::seen();
    assert!(seen.len() > 80, "{}: they are not noted", seen.len());
    let (mut found, mut used) = (Vec::new(), Vec::new());
    for sql in seen {
        let flat = plans::flat(&sql);
        if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
            .iter()
            .any(|verb| flat.starts_with(verb))
        {
            continue;
        }
        for step in whole(server, &database, &sql) {
            match WHOLE.iter().find(|(begins, _)| flat.starts_with(begins)) {
                Some(why) => used.push(why),
                None => found.push(format!("{step}: {flat}")),
            }
        }
    }
    assert_eq!(found.join("\n"), "");
    let stale = WHOLE.iter().filter(|why| !used.contains(why));
    assert_eq!(
        stale.collect::<Vec<_>>(),
        Vec::<&(&str, &str)>::new(),
        "nobody runs these"
    );
}

/// The steps of its plan that read a whole table or a whole index.
fn whole(server: &Postgres, database: &str, sql: &str) -> Vec<String> {
    let highest = (1..=20)
        .rev()
        .find(|n| sql.contains(&format!("${n}")))
        .unwrap_or(0);
    let unset = match highest {
        0 => String::new(),
        n => format!("({})", vec!["NULL"; n].join(", ")),
    };
    let script = format!(
        "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
         PREPARE asked AS {sql}; EXPLAIN (FORMAT JSON) EXECUTE asked{unset}"
    );
    let said = server
        .psql(database, "postgres", &script)
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    let plan: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{sql}: {e}: {said}"));
    let mut found = Vec::new();
    look(&plan[0]["Plan"], &mut found);
    found
}

fn look(node: &Value, found: &mut Vec<String>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, table) = (text("Node Type"), text("Relation Name"));
    let reads_all = match kind {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" => node["Index Cond"].is_null(),
        _ => false,
    };
    if reads_all && !table.is_empty() && !SMALL.contains(&table) {
        found.push(format!("{kind} on {table}"));
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        look(below, found);
    }
}
