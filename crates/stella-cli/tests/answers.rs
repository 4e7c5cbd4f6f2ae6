//! What the commands print and how they end, against a server that answers
//! from a script.

mod support;

use serde_json::{Value, json};
use support::{Run, Scripted, run};

const ANCHOR: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn anchor_status_prints_the_runbooks_lines() {
    let server = Scripted::new(vec![(
        "GET /v1/anchors/550e8400.../status",
        200,
        json!({"anchorId": ANCHOR, "pattern": "pkg:npm/*", "status": "active", "policyVersion": "v2.3.1",
            "activeKeys": ["key-2024-prod", "key-2025-prod"], "successRatePercent": 100.0, "judged": 12,
            "pendingRescans": 0}),
    )]);
    let done = server.stellaops("anchor status --anchor-id 550e8400...");
    assert_eq!(
        done.out,
        format!(
            "Anchor: {ANCHOR}\nActive Keys: key-2024-prod, key-2025-prod\n\
             Verification Success Rate: 100%\nPending Rescans: 0\n"
        )
    );
    assert_eq!(done.code, 0);
}

#[test]
fn anchor_list_prints_the_runbooks_columns() {
    let anchor = |id: &str, pattern: &str, key: &str| {
        json!({"trustAnchorId": id, "purlPattern": pattern, "status": "active", "allowedKeyids": [key],
            "requiredPredicateTypes": [], "policyVersion": "v1.0.0", "revokedKeys": [], "keyHistory": [],
            "threshold": 1, "minTimeEvidence": "recorded", "timeOperators": 1, "requireLedger": false,
            "createdAt": "2025-01-01T00:00:00Z"})
    };
    let server = Scripted::new(vec![(
        "GET /v1/anchors",
        200,
        json!({"anchors": [
            anchor(ANCHOR, "pkg:npm/*", "key-2025-prod"),
            anchor("660f9500-f39c-51e5-b827-557766551111", "pkg:maven/*", "key-2025-java"),
        ]}),
    )]);
    let done = server.stellaops("trust-anchors list");
    assert_eq!(
        done.out,
        "ID                                    Pattern      Keys           Status\n\
         550e8400-e29b-41d4-a716-446655440000  pkg:npm/*    key-2025-prod  active\n\
         660f9500-f39c-51e5-b827-557766551111  pkg:maven/*  key-2025-java  active\n"
    );
}

#[test]
fn rotation_warnings_print_the_runbooks_columns() {
    let row = |id: &str, profile: &str, age: &str, level: &str, warning: &str| {
        json!({"keyId": id, "profile": profile, "ageDays": 300, "age": age, "maxAge": "12mo",
            "level": level, "warning": warning})
    };
    let server = Scripted::new(vec![(
        "GET /v1/signer/rotation-warnings",
        200,
        json!({"keys": [
            row("key-2024-prod", "default", "10mo", "due", "Rotation due in 2 months"),
            row("key-2024-java", "fips", "6mo", "ok", "OK"),
        ]}),
    )]);
    let done = server.stellaops("key rotation-warnings");
    assert_eq!(
        done.out,
        "Key ID         Profile  Age   Max Age  Warning\n\
         key-2024-prod  default  10mo  12mo     ⚠️ Rotation due in 2 months\n\
         key-2024-java  fips     6mo   12mo     ✓ OK\n"
    );
}

#[test]
fn a_revocation_shows_its_blast_radius_first_and_does_not_wait_without_a_terminal() {
    let radius = |dry_run: bool| {
        json!({"keyId": "key-2024-prod", "reason": "compromise", "effectiveAt": "2025-03-04T00:00:00Z",
            "anchors": [ANCHOR], "emptied": [], "endsSigning": true, "attestations": 12, "flipped": 12,
            "dryRun": dry_run, "next": ["stella keys impact key-2024-prod"]})
    };
    let path = "POST /v1/anchors/ALL/keys/key-2024-prod/revoke";
    let server = Scripted::new(vec![(path, 200, radius(true)), (path, 200, radius(false))]);
    let done = server.stellaops(
        "anchor revoke-key --anchor-id ALL --key-id key-2024-prod --reason compromise --effective-at NOW",
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.err.contains("12 signed by it, 12 no longer pass"),
        "{}",
        done.err
    );
    assert!(
        done.out.starts_with("key-2024-prod is revoked in 1 anchor"),
        "{}",
        done.out
    );
    let asked = server.bodies();
    assert_eq!(asked[0]["dryRun"], true);
    assert_eq!(asked[1]["dryRun"], false);
    assert_eq!(asked[1]["effectiveAt"], "NOW");
}

#[test]
fn a_dry_run_asks_once_and_prints_the_radius_as_its_answer() {
    let server = Scripted::new(vec![(
        "POST /v1/signer/keys/k1/revoke",
        200,
        json!({"keyId": "k1", "reason": "superseded", "effectiveAt": "2025-03-04T00:00:00Z", "anchors": [],
            "emptied": [], "endsSigning": false, "attestations": 0, "flipped": 0, "dryRun": true}),
    )]);
    let done = server.stella("keys revoke k1 --reason superseded --dry-run -o json");
    assert_eq!(done.json()["dryRun"], true);
    assert_eq!(server.bodies().len(), 1);
}

#[test]
fn verdicts_become_exit_codes() {
    for (verdict, code, exit) in [
        ("PASS", "ok", 0),
        ("INDETERMINATE", "attestation.none", 10),
        ("INDETERMINATE", "time.not-proven", 11),
        ("FAIL", "key.revoked", 12),
        ("INDETERMINATE", "anchor.none", 13),
    ] {
        let server = Scripted::new(vec![(
            "POST /v1/verify/artifact",
            200,
            json!({"verdict": verdict, "code": code, "subject": "x", "artifactBound": true, "trace": [],
                "now": "2025-03-04T00:00:00Z"}),
        )]);
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let done = server.stella(&format!("verify artifact --digest sha256:{digest} -o json"));
        assert_eq!(done.code, exit, "{code}");
        assert_eq!(done.json()["verdict"], verdict);
        assert_eq!(server.bodies()[0]["digests"]["sha256"], digest);
    }
}

#[test]
fn problems_become_exit_codes_and_say_what_mends_them() {
    for (status, exit) in [
        (400, 2),
        (404, 3),
        (401, 4),
        (403, 4),
        (409, 1),
        (422, 2),
        (500, 1),
        (503, 6),
    ] {
        let problem = json!({"type": "urn:stella:problem:x.y", "title": "t", "status": status,
            "detail": "HSM unavailable", "code": "x.y", "next": "stella attest retry"});
        // What is unavailable may be asked for again by the client itself.
        let row = ("GET /v1/signer/keys/k1", status, problem.clone());
        let server = Scripted::new(vec![row.clone(), row]);
        let done = server.stella("keys show k1 -o json");
        assert_eq!(done.code, exit, "{status}: {}", done.err);
        assert_eq!(done.json(), problem);
        assert_eq!(done.err, "error: HSM unavailable\n  next: stella attest retry\n");
    }
}

#[test]
fn recorded_but_unsigned_is_five_unless_accepted() {
    for (flags, exit) in [("", 5), (" --accept-recorded", 0)] {
        let server = Scripted::new(vec![(
            "POST /v1/attestations?wait=logged",
            202,
            json!({"id": "0192f3a0", "attestations": [attestation("recorded")]}),
        )]);
        let done = server.stella(&format!(
            "attest create --type test --subject test:verification{flags}"
        ));
        assert_eq!(done.code, exit, "{}", done.err);
        assert!(done.out.contains("last error"), "{}", done.out);
        let body = &server.bodies()[0];
        assert_eq!(body["subjects"][0]["name"], "test:verification");
        assert!(server.heads()[0].to_lowercase().contains("idempotency-key: "));
    }
}

#[test]
fn force_signs_anew_and_still_only_once() {
    let server = Scripted::new(vec![(
        "POST /v1/attestations?wait=logged",
        201,
        json!({"id": "0192f3a0", "attestations": [attestation("signed")]}),
    )]);
    let done = server.stella("attest create --type test --subject test:verification --force -q");
    assert_eq!((done.code, done.out.as_str()), (0, "0192f3a0\n"), "{}", done.err);
    assert!(server.heads()[0].to_lowercase().contains("idempotency-key: "));
    assert_eq!(server.bodies()[0]["force"], true);
}

#[test]
fn the_bundle_is_written_beside_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("bundle.json");
    let server = Scripted::new(vec![
        (
            "POST /v1/attestations?wait=logged",
            201,
            json!({"id": "0192f3a0", "attestations": [attestation("signed")]}),
        ),
        (
            "GET /v1/attestations/0192f3a0/bundle",
            200,
            json!({"a": "bundle"}),
        ),
    ]);
    let line = format!(
        "attest create --type test --subject test:verification --bundle {}",
        out.display()
    );
    assert_eq!(server.stella(&line).code, 0);
    assert_eq!(
        std::fs::read_to_string(&out).expect("written"),
        r#"{"a":"bundle"}"#
    );
}

#[test]
fn the_bundles_of_several_profiles_stand_one_on_each_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("bundles.jsonl");
    let mut other = attestation("signed");
    other["id"] = "0192f3a1".into();
    let server = Scripted::new(vec![
        (
            "POST /v1/attestations?wait=logged",
            201,
            json!({"id": "0192f3a0", "attestations": [attestation("signed"), other]}),
        ),
        ("GET /v1/attestations/0192f3a0/bundle", 200, json!({"a": 1})),
        ("GET /v1/attestations/0192f3a1/bundle", 200, json!({"b": 2})),
    ]);
    let line = format!(
        "attest create --type test --subject test:x --profiles default,fips --bundle {}",
        out.display()
    );
    let done = server.stella(&line);
    assert_eq!(
        std::fs::read_to_string(&out).expect("written"),
        "{\"a\":1}\n{\"b\":2}\n"
    );
    assert!(
        done.out.contains("\n\nid              0192f3a1\n"),
        "{}",
        done.out
    );
}

#[test]
fn show_prints_a_line_with_the_algorithm() {
    let mut details = attestation("signed");
    details["authority"] = json!({});
    details["statement"] = json!({});
    details["signatures"] = json!([]);
    details["siblings"] = json!([]);
    let server = Scripted::new(vec![("GET /v1/attestations/0192f3a0", 200, details)]);
    let done = server.stella("attest show 0192f3a0");
    let line = done
        .out
        .lines()
        .find(|l| l.contains("algorithm"))
        .expect("as the runbook greps");
    assert!(line.ends_with("SHA256-ED25519"), "{line}");
}

#[test]
fn software_signing_prints_the_runbooks_warning() {
    let server = Scripted::new(vec![(
        "PUT /v1/signer/config/signing.mode",
        200,
        json!({"key": "signing.mode", "value": "software", "origin": "runtime", "runtime": true,
               "warnings": ["Software signing may not meet compliance requirements"]}),
    )]);
    let done = server.stella("attest config set signing.mode software");
    assert!(
        done.err
            .contains("Warning: Software signing may not meet compliance requirements"),
        "{}",
        done.err
    );
}

#[test]
fn a_key_never_goes_into_an_anchor_that_was_not_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key-2023-prod.pem");
    std::fs::write(&file, "PEM").expect("written");
    let server = Scripted::new(vec![("GET /v1/anchors", 200, json!({"anchors": []}))]);
    let done = server.stella(&format!("trust-anchors add-key --key {}", file.display()));
    assert_eq!(done.code, 3);
    assert!(done.err.contains("next: stella anchor create"), "{}", done.err);
}

#[test]
fn a_token_that_is_named_is_shown_before_it_ends() {
    let token = |status: &str| {
        json!({"id": "0192f3a0-1", "name": "ci", "role": "signer", "purls": [], "types": [], "profiles": [],
            "createdAt": "t", "createdBy": "local:me", "expiresAt": "t", "status": status})
    };
    let server = Scripted::new(vec![
        ("GET /v1/tokens", 200, json!({"tokens": [token("active")]})),
        ("POST /v1/tokens/ci/revoke", 200, token("revoked")),
    ]);
    let done = server.stella("token revoke ci");
    assert_eq!(done.out, "0192f3a0-1 is revoked\n", "{}", done.err);
    assert!(
        done.err.contains("revoking token 0192f3a0-1 (ci, signer)"),
        "{}",
        done.err
    );
}

#[test]
fn nobody_there_is_safe_to_repeat() {
    let done = run("stella", &["--server", "http://127.0.0.1:9", "keys", "list"]);
    assert_eq!(done.code, 6, "{}", done.err);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let server = Scripted::new(vec![("GET /v1/anchors", 200, json!({"anchors": []}))]);
    let done: Run = server.with_closed_stdout("anchor list");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

fn attestation(state: &str) -> Value {
    json!({"id": "0192f3a0", "state": state, "paeDigest": "00", "predicateType": "https://test.stella/v1",
        "subjects": [{"name": "test:verification", "digest": {"sha256": "00"}}], "profile": "default",
        "keyId": "k1", "algorithm": "SHA256-ED25519", "requestedBy": "local:ci",
        "createdAt": "2025-03-04T00:00:00Z", "imported": false, "attempts": 1,
        "lastError": if state == "signed" { Value::Null } else { "signing failed".into() }})
}
