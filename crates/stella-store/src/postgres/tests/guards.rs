//! What was signed, and that it was, cannot be changed by anybody.

use super::*;
use crate::conformance::fixture::{at, attestation, attestation_id};
use crate::{AttestationState, Claiming, Outcome};

const APPEND_ONLY: [&str; 7] = [
    "key_audit_log",
    "event_chain",
    "ledger",
    "attestations",
    "attestation_subjects",
    "proofs",
    "proof_parts",
];

const CHANGES: [&str; 6] = [
    "UPDATE signer.key_audit_log SET actor = 'nobody'",
    "UPDATE signer.event_chain SET head = head",
    "UPDATE signer.ledger SET requested_by = 'nobody'",
    "UPDATE signer.attestations SET payload = ''",
    "UPDATE signer.attestation_subjects SET digest = ''",
    "UPDATE signer.proofs SET created_by = 'nobody'",
];

async fn filled(server: &Postgres, database: &str) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(open(&server.url_as("service", database)).await);
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    for n in 1..=2 {
        let signed = fixture.signed_attestation(n);
        store.insert_attestation(signed.into()).await.unwrap();
    }
    let proof = fixture.proof(&[2], &[&[1]]).await;
    store.insert_proof(proof).await.unwrap();
    store
}

#[tokio::test]
async fn neither_the_service_nor_the_owner_changes_what_is_append_only() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let store = filled(&server, &database).await;
    let before = store.verify().await.unwrap();

    let envelope = "UPDATE signer.attestations SET envelope = 'another'";
    for (user, why) in [("service", "permission denied"), ("postgres", "append-only")] {
        for table in APPEND_ONLY {
            for change in ["DELETE FROM", "TRUNCATE"] {
                let cascade = if change == "TRUNCATE" { " CASCADE" } else { "" };
                let refused = server.psql(&database, user, &format!("{change} signer.{table}{cascade}"));
                assert!(
                    refused.clone().is_err_and(|e| e.contains(why)),
                    "{table}: {refused:?}"
                );
            }
        }
        for change in CHANGES {
            assert!(server.psql(&database, user, change).is_err(), "{user}: {change}");
        }
        // The one that signing needs is open until there is a signature.
        let refused = server.psql(&database, user, envelope);
        assert!(refused.is_err_and(|e| e.contains("a signed attestation never changes")));
    }
    for stranger in [
        "INSERT INTO signer.attestation_subjects VALUES (gen_random_uuid(), 0, 'x', 'sha256', 'x')",
        "INSERT INTO signer.ledger SELECT 3, pae, spki, signature, signed_at, gen_random_uuid(),
            requested_by, bytes FROM signer.ledger WHERE entry = 1",
    ] {
        for user in ["service", "postgres"] {
            let refused = server.psql(&database, user, stranger);
            let why = "speaks about no attestation that there is";
            assert!(
                refused.clone().is_err_and(|e| e.contains(why)),
                "{stranger}: {refused:?}"
            );
        }
    }
    for beyond in [
        "CREATE TABLE signer.more ()",
        "DROP TRIGGER attestations_content ON signer.attestations",
    ] {
        assert!(server.psql(&database, "service", beyond).is_err(), "{beyond}");
    }
    assert_eq!(store.verify().await.unwrap(), before);
    assert_eq!(before.findings, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_altered_in_spite_of_the_guards_is_found() {
    let server = Postgres::start();
    for (altered, finding) in [
        (
            "UPDATE signer.key_audit_log SET actor = 'x' WHERE sequence = 2",
            "event 2:",
        ),
        (
            "DELETE FROM signer.key_audit_log WHERE sequence = 2",
            "events 2 to 2 are missing",
        ),
        (
            "UPDATE signer.ledger SET requested_by = 'x' WHERE entry = 1",
            "ledger entry 1:",
        ),
        (
            "UPDATE signer.ledger SET bytes = 'x' WHERE entry = 2",
            "event_chain: commit",
        ),
        (
            "UPDATE signer.attestations SET payload = 'x'",
            "its payload does not have its digest",
        ),
        (
            "UPDATE signer.attestations SET envelope = 'x'",
            "its envelope: the envelope cannot be read",
        ),
        (
            "UPDATE signer.attestations SET envelope = (SELECT envelope FROM signer.attestations LIMIT 1)",
            "its payload does not have its digest",
        ),
        (
            "INSERT INTO signer.attestation_subjects VALUES (gen_random_uuid(), 0, 'x', 'sha256', 'x')",
            "has a subject and is not there",
        ),
        (
            "INSERT INTO signer.ledger SELECT 3, pae, spki, signature, signed_at, gen_random_uuid(),
                requested_by, bytes FROM signer.ledger WHERE entry = 1",
            "ledger entry 3 is about a signature that entered before",
        ),
        (
            "UPDATE signer.ledger SET attestation_id = gen_random_uuid() WHERE entry = 1",
            "ledger entry 1 is about something else than attestation",
        ),
        ("DELETE FROM signer.proof_parts WHERE part = 1", "proof sha256:"),
        (
            "UPDATE signer.signing_keys SET phase = 'retired'",
            "signing_keys: phase of row",
        ),
    ] {
        let database = prepared(&server).await;
        let store = filled(&server, &database).await;
        let unguarded = format!("SET session_replication_role = replica; {altered}");
        server.psql(&database, "postgres", &unguarded).unwrap();
        let findings = store.verify().await.unwrap().findings;
        assert!(
            findings.iter().any(|f| f.contains(finding)),
            "{altered}: {findings:?}"
        );
    }
}

#[tokio::test]
async fn a_payload_is_stored_beside_no_envelope_that_holds_it_and_read_either_way() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let store: Arc<dyn Store> = Arc::new(open(&server.url_as("service", &database)).await);
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    store
        .insert_attestation(fixture.signed_attestation(1).into())
        .await
        .unwrap();
    store.insert_attestation(attestation(2).into()).await.unwrap();
    // An envelope that gives something else back, whatever wrote it.
    let mut odd = fixture.signed_attestation(3);
    if let Outcome::Signed(signed) = &mut odd.outcome {
        signed.envelope = b"{}".to_vec();
    }
    store.insert_attestation(odd.into()).await.unwrap();

    let claiming = Claiming {
        attestations: vec![attestation_id(2)],
        states: vec![AttestationState::Recorded],
        due_by: None,
        replica: "one".into(),
        now: at(0),
        until: at(100),
    };
    let claim = store.claim(claiming).await.unwrap().remove(0).claim;
    let later = fixture.signed(&attestation(2), "key-1");
    store.store_signature(claim, later).await.unwrap();

    let sql = "SELECT string_agg((payload IS NULL)::text, ' ' ORDER BY id) FROM signer.attestations";
    let absent = server.psql(&database, "postgres", sql).unwrap();
    assert_eq!(absent, "true false false");
    for n in 1..=3 {
        let found = store.attestation(attestation_id(n)).await.unwrap().unwrap();
        assert_eq!(found.payload, attestation(n).payload, "{n}");
    }
    store.insert_attestation(attestation(4).into()).await.unwrap();
    let (content, lost) = ("the content of an attestation", "violates check constraint");
    for (change, why) in [
        (
            "UPDATE signer.attestations SET payload = 'x' WHERE payload IS NULL",
            content,
        ),
        (
            "UPDATE signer.attestations SET payload = NULL WHERE payload IS NOT NULL",
            content,
        ),
        (
            "INSERT INTO signer.attestations SELECT (jsonb_populate_record(a,
                '{\"id\": \"00000000-0000-0000-0000-000000000001\", \"payload\": null}')).*
             FROM signer.attestations a WHERE state <> 'signed'",
            lost,
        ),
    ] {
        let refused = server.psql(&database, "postgres", change);
        assert!(
            refused.clone().is_err_and(|e| e.contains(why)),
            "{change}: {refused:?}"
        );
    }
}
