use super::*;
use crate::Upkeep;

#[tokio::test]
async fn guards_hold_for_every_program() {
    let place = place();
    drop(filled(&place.path).await);
    let raw = stranger(&place.path);
    for forbidden in [
        "UPDATE key_audit_log SET actor = 'nobody'",
        "DELETE FROM key_audit_log WHERE sequence = 4",
        "INSERT OR REPLACE INTO key_audit_log SELECT * FROM key_audit_log WHERE sequence = 1",
        "UPDATE ledger_entries SET requested_by = 'nobody'",
        "DELETE FROM ledger_entries",
        "INSERT OR REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
        "UPDATE event_chain SET head = zeroblob(32)",
        "DELETE FROM event_chain",
        "INSERT OR REPLACE INTO event_chain SELECT * FROM event_chain",
        "DELETE FROM attestations",
        "INSERT OR REPLACE INTO attestations SELECT * FROM attestations",
        "INSERT OR REPLACE INTO attestations SELECT entry + 9, a.id, a.pae, a.pae_start, a.payload_type, x'00',
         a.predicate_type, a.profile, a.state, a.requested_by, a.requested_token, a.requested_authority,
         a.created_at, a.envelope, a.key_id, a.signed_at, a.attempts, a.last_error, a.last_attempt_at,
         a.next_attempt_at, a.supersedes, a.imported FROM attestations a",
        "UPDATE attestations SET entry = entry + 9",
        "UPDATE attestations SET envelope = x'00'",
        "UPDATE attestations SET payload = x'00'",
        "UPDATE attestations SET pae = zeroblob(32)",
        "UPDATE attestations SET key_id = NULL",
        "UPDATE attestations SET requested_by = 'nobody'",
        "UPDATE attestations SET state = 'recorded', envelope = NULL, key_id = NULL, signed_at = NULL",
        "UPDATE subjects SET digest = '00'",
        "DELETE FROM subjects",
        "UPDATE proofs SET created_by = 'nobody'",
        "DELETE FROM proofs",
        "INSERT OR REPLACE INTO proofs SELECT * FROM proofs",
        "UPDATE proof_parts SET position = 7",
        "DELETE FROM proof_parts",
        "INSERT OR REPLACE INTO proof_parts SELECT * FROM proof_parts",
    ] {
        let answer = raw.execute_batch(forbidden);
        let said = answer.expect_err(forbidden).to_string();
        assert!(
            ["append-only", "never", "exists"]
                .iter()
                .any(|word| said.contains(word)),
            "{forbidden}: {said}"
        );
    }
    drop(raw);
    let report = open(&place.path).verify().await.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!(
        (report.events, report.attestations, report.ledger_entries),
        (4, 2, 2)
    );
}

/// Each change by somebody who took the guards away, and how it is named.
#[tokio::test]
async fn every_alteration_is_named() {
    for (change, named) in [
        (
            "UPDATE key_audit_log SET actor = 'nobody' WHERE sequence = 2",
            "event 2",
        ),
        (
            "UPDATE key_audit_log SET bytes = CAST(replace(CAST(bytes AS TEXT), 'token:', 'tokem:') AS BLOB),
             actor = replace(actor, 'token:', 'tokem:') WHERE sequence = 3",
            "commit 2 does not match what it covers (3 to 4 of the events",
        ),
        (
            "UPDATE key_audit_log SET bytes = x'7b7d' WHERE sequence = 1",
            "event 1",
        ),
        (
            "DELETE FROM key_audit_log WHERE sequence = 2",
            "events 2 to 2 are missing",
        ),
        (
            "DELETE FROM key_audit_log WHERE sequence = 4",
            "up to 4, which goes up to 3",
        ),
        (
            "DELETE FROM event_chain WHERE commit_id = 1",
            "commit 2 does not follow",
        ),
        (
            "DELETE FROM event_chain WHERE commit_id = 4",
            "covers ledger up to 1",
        ),
        (
            "UPDATE event_chain SET head = zeroblob(32) WHERE commit_id = 3",
            "commit 3",
        ),
        (
            "UPDATE ledger_entries SET requested_by = 'nobody' WHERE entry = 2",
            "ledger entry 2",
        ),
        (
            "DELETE FROM ledger_entries WHERE entry = 1",
            "ledger entries 1 to 1 are missing",
        ),
        (
            "UPDATE ledger_entries SET attestation = (SELECT max(entry) FROM attestations)",
            "ledger entry 1: it, or the attestation that it names, differs",
        ),
        (
            "PRAGMA foreign_keys = OFF; UPDATE ledger_entries SET attestation = 77 WHERE entry = 2",
            "ledger entry 2 names an attestation that does not exist",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM attestations WHERE entry = 1",
            "of 2 attestations 1 are missing",
        ),
        ("UPDATE signing_keys SET phase = 'retired'", "signing_keys: phase"),
        (
            "UPDATE trust_anchors SET purl_pattern = '*'",
            "trust_anchors: purl_pattern",
        ),
        (
            "UPDATE key_history SET revoked_at = '2025-01-01'",
            "key_history: revoked_at",
        ),
        ("DELETE FROM key_history", "is missing"),
        (
            "INSERT INTO signing_keys SELECT 'thief', public_key, zeroblob(32), algorithm, key_type,
             created_at, entered_at, profile, store, not_after, phase, retiring_until, revocation, version
             FROM signing_keys",
            "row thief comes from no event",
        ),
        (
            "UPDATE attestations SET payload = x'7b7d'",
            "its payload does not have its digest",
        ),
        ("UPDATE attestations SET envelope = x'7b7d'", "its envelope"),
        (
            "UPDATE attestations SET key_id = 'thief'",
            "no event entered the key",
        ),
        (
            "DELETE FROM subjects WHERE position = 1",
            "its subjects are not those of its payload",
        ),
        (
            "UPDATE subjects SET digest = lower(hex(zeroblob(32))) WHERE algorithm = 'sha256'",
            "its subjects are not those of its payload",
        ),
        (
            "INSERT INTO subjects SELECT entry, 9, 'pkg:npm/other', 'sha256', lower(hex(zeroblob(32))), '0000000000000000' FROM attestations",
            "its subjects are not those of its payload",
        ),
        (
            "UPDATE subjects SET digest_end = '0123456789abcdef'",
            "what it is found by is not part of its digests",
        ),
        (
            "UPDATE attestations SET pae_start = zeroblob(8)",
            "what it is found by is not part of its digests",
        ),
        (
            "UPDATE attestations SET predicate_type = 'https://openvex.dev/ns/v0.2.0'",
            "its predicate type is not that of its payload",
        ),
        (
            "UPDATE proof_parts SET attestation_id = (SELECT max(id) FROM attestations)",
            "what it is made of has the address",
        ),
        ("UPDATE proofs SET address = zeroblob(32)", "proof sha256:0000"),
        (
            "DELETE FROM proof_parts WHERE part = 0",
            "a part of it is missing",
        ),
        ("DELETE FROM proof_parts WHERE part = 1", "it has no member"),
        (
            "DELETE FROM attestations",
            "refers to a row of attestations that does not exist",
        ),
    ] {
        let place = place();
        drop(filled(&place.path).await);
        let raw = stranger(&place.path);
        let triggers: Vec<String> = raw
            .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(|name| name.unwrap())
            .collect();
        for trigger in triggers {
            raw.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        }
        raw.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        raw.execute_batch(change).unwrap();
        drop(raw);
        let report = open(&place.path).verify().await.unwrap();
        assert!(
            report.findings.iter().any(|finding| finding.contains(named)),
            "{change}: {:#?}",
            report.findings
        );
    }
}

#[tokio::test]
async fn rebuilding_mends_the_projections() {
    let place = place();
    drop(filled(&place.path).await);
    let raw = stranger(&place.path);
    raw.execute_batch(
        "DELETE FROM key_history; UPDATE trust_anchors SET purl_pattern = '*'; DELETE FROM signing_keys",
    )
    .unwrap();
    drop(raw);
    let store = open(&place.path);
    assert!(!store.verify().await.unwrap().findings.is_empty());
    store.rebuild_projections().await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
}

/// A byte of the file itself, anywhere in the middle of it.
#[tokio::test]
async fn a_damaged_page_is_a_finding_or_an_error() {
    let place = place();
    drop(filled(&place.path).await);
    let mut bytes = std::fs::read(&place.path).unwrap();
    let at = bytes.windows(9).position(|w| w == b"token:odd").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&place.path, bytes).unwrap();
    let report = open(&place.path).verify().await.unwrap();
    assert!(!report.findings.is_empty());
}
