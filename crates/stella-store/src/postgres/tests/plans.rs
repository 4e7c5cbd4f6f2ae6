//! No statement that the driver runs reads a table that grows from end to end,
//! unless it is said here why. PostgreSQL is told to avoid that where it can, as
//! it is told on every connection of the store, and here knows no values.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::{Inserted, plans};

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
        "SELECT attestation_id FROM signer.attestation_subjects AS s WHERE (SELECT id",
        "db verify",
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
        "SET plan_cache_mode = force_generic_plan{}; PREPARE asked AS {sql}; EXPLAIN (FORMAT JSON) EXECUTE asked{unset}",
        crate::postgres::conn::PLANS.replace("-c ", ";SET ")
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

/// Whatever PostgreSQL believes of the tables: nobody has looked at them yet.
#[tokio::test]
async fn who_stores_reads_no_table_from_end_to_end_while_it_grows() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let store: Arc<dyn Store> = Arc::new(open(&server.url_as("service", &database)).await);
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    let attestations = 1..=40;
    for n in attestations.clone() {
        let (one, other) = (
            fixture.signed_attestation(n),
            fixture.signed_attestation(1000 + n),
        );
        let (one, other) = tokio::join!(
            store.insert_attestation(one.into()),
            store.insert_attestation(other.into())
        );
        assert_eq!((one.unwrap(), other.unwrap()), (Inserted::Done, Inserted::Done));
    }
    // What a connection did is counted once it has ended.
    drop((fixture, store));
    let counted = |what: &str| {
        let sql = format!(
            "SELECT {what} FROM pg_stat_user_tables WHERE relname IN
             ('attestations', 'attestation_subjects', 'ledger', 'event_chain', 'key_audit_log')"
        );
        server.psql(&database, "postgres", &sql).unwrap()
    };
    let begun = Instant::now();
    while counted("min(n_tup_ins) FILTER (WHERE relname = 'ledger')") != "80" {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        counted("string_agg(relname, ' ') FILTER (WHERE seq_tup_read > 0)"),
        ""
    );
}
