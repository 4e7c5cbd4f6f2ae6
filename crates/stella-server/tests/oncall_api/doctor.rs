//! `doctor`: each check, healthy and not.

use serde_json::Value;
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::reason::RevokeReason;
use stella_keys::hsm::{ErrorClass, PinState};
use stella_store::ReplicaRow;

use super::*;
use crate::module::Module;
use crate::support::{Fault, about};

const HSM: &str = r#"
signer:
  profiles:
    fips: {algorithm: SHA256-ECDSA-P256, keyStore: "hsm://pkcs11/token/stella"}
hsm:
  modules:
    primary: {libraryPath: /usr/lib/module.so}
"#;

const BACKED: &str = r"
signer:
  profiles:
    default: {algorithm: ed25519, backups: [{key: k2}]}
";

impl Api {
    /// The one check of this name.
    async fn check(&self, id: &str) -> Value {
        let (status, report) = self.get(&format!("/v1/doctor?check={id}")).await;
        assert_eq!(status, 200, "{report}");
        assert_eq!(report["checks"].as_array().map(Vec::len), Some(1), "{report}");
        let check = report["checks"][0].clone();
        assert_eq!(
            (&check["id"], &check["status"]),
            (&Value::from(id), &report["status"])
        );
        check
    }

    /// Stands like this, and the worst finding is mended by this command.
    async fn stands(&self, id: &str, status: &str, next: &str) -> Value {
        let check = self.check(id).await;
        assert_eq!(check["status"], status, "{check}");
        let findings = check["findings"].as_array().expect("findings");
        let worst: Vec<_> = findings.iter().filter(|f| f["status"] == status).collect();
        assert!(!worst.is_empty(), "{check}");
        match next {
            "" => assert!(worst.iter().all(|f| f.get("next").is_none()), "{check}"),
            _ => {
                assert!(
                    worst
                        .iter()
                        .any(|f| f["next"].as_str().is_some_and(|n| n.contains(next))),
                    "{next}: {check}"
                );
                assert!(
                    worst
                        .iter()
                        .all(|f| f["cause"].as_str().is_some_and(|c| !c.is_empty())),
                    "{check}"
                );
            }
        }
        check
    }
}

#[tokio::test]
async fn a_healthy_instance_passes_and_begins_with_what_it_is() {
    let api = Api::ready().await;
    let (status, report) = api.get("/v1/doctor").await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(
        (&report["target"], &report["mode"]),
        (&"test".into(), &"embedded".into())
    );
    assert_eq!(report["status"], "pass", "{report}");
    let ids = |report: &Value| -> Vec<String> {
        let checks = report["checks"].as_array().expect("checks");
        checks
            .iter()
            .map(|c| c["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    // What has nothing to look at is not told of, unless it is asked for.
    assert!(!ids(&report).contains(&"check.crypto.hsm-availability".to_owned()));
    let (_, all) = api.get("/v1/doctor?all=true").await;
    let known: Vec<_> = stella_server::doctor::CHECKS.iter().map(|c| c.id).collect();
    assert_eq!(ids(&all), known);
    assert_eq!(all["status"], "pass");
}

#[tokio::test]
async fn several_checks_are_named_and_a_misspelt_one_is_answered_with_the_nearest() {
    let api = Api::ready().await;
    let (_, report) = api.get("/v1/doctor?check=check.clock,check.keys.rotation").await;
    assert_eq!(report["checks"].as_array().map(Vec::len), Some(2), "{report}");
    let (status, problem) = api.get("/v1/doctor?check=check.atestor.signing-helth").await;
    assert_eq!((status, &problem["code"]), (404, &"doctor.unknown-check".into()));
    let said = problem["detail"].as_str().expect("words");
    assert!(
        said.contains("did you mean check.attestor.signing-health?"),
        "{said}"
    );
}

#[tokio::test]
async fn who_may_not_see_anchors_is_not_told_of_them() {
    let api = Api::ready().await;
    let path = "/v1/doctor?check=check.anchors.keys,check.attestor.signing-health";
    let (status, report) = api.call(&by(Role::Signer), Method::GET, path, "").await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["checks"][0]["status"], "pass", "{report}");
    assert_eq!(report["checks"][1]["status"], "skip", "{report}");
    assert!(!report.to_string().contains("pkg:npm"), "{report}");
}

#[tokio::test]
async fn signing_health_is_a_signature_of_every_profile_that_is_used() {
    const ID: &str = "check.attestor.signing-health";
    let api = Api::ready().await;
    let check = api.stands(ID, "pass", "").await;
    assert!(
        check
            .to_string()
            .contains("profile default: k1 signed and verified"),
        "{check}"
    );
    for (fault, cause) in [
        (Fault::Down, "the key store, or the way to it, is down"),
        (Fault::Lying, "the key store holds another key"),
    ] {
        let sound = api.world.break_key("k1", fault).await;
        let check = api
            .stands(ID, "fail", "stella keys verify --operation sign")
            .await;
        assert!(check.to_string().contains(cause), "{check}");
        let id = "k1".parse().expect("a key id");
        api.world.app.signers.keep(&id, "software://", &sound).await;
    }
    api.stands(ID, "pass", "").await;
}

#[tokio::test]
async fn signing_health_sees_what_waits_and_who_cannot_sign() {
    const ID: &str = "check.attestor.signing-health";
    let none = Api {
        world: World::empty().await,
    };
    none.stands(ID, "fail", "stella keys generate --profile default")
        .await;

    let api = Api::ready().await;
    let sound = api.world.break_key("k1", Fault::Down).await;
    let recorded = api
        .world
        .create(about("pkg:npm/a@1", "a", "test"))
        .await
        .expect("recorded");
    assert_eq!(recorded.attestations[0].state, "recorded");
    let id = "k1".parse().expect("a key id");
    api.world.app.signers.keep(&id, "software://", &sound).await;
    api.world.pass(90);
    let check = api.stands(ID, "warn", "stella attest retry --failed").await;
    assert!(check.to_string().contains("the oldest for 90 s"), "{check}");

    // Past the age that its profile allows.
    api.world.pass(400 * 86_400);
    api.stands(ID, "fail", "stella keys generate --profile default")
        .await;
}

#[tokio::test]
async fn software_signing_stays_visible_until_it_is_switched_back() {
    const ID: &str = "check.attestor.signing-health";
    let api = Api::ready().await;
    let owner = &api.world.owner;
    let (path, software) = ("/v1/signer/config/signing.mode", r#"{"value": "software"}"#);
    let (status, entry) = api.call(owner, Method::PUT, path, software).await;
    assert_eq!(status, 200, "{entry}");
    let check = api.stands(ID, "warn", "stella config unset signing.mode").await;
    assert!(
        check.to_string().contains("signing.mode is software (default"),
        "{check}"
    );
    let (status, _) = api.call(owner, Method::DELETE, path, "").await;
    assert_eq!(status, 200);
    api.stands(ID, "pass", "").await;
}

#[tokio::test]
async fn an_hsm_is_asked_and_its_failure_told_with_the_way_out() {
    const ID: &str = "check.crypto.hsm-availability";
    let without = Api::ready().await;
    without.stands(ID, "skip", "").await;

    let api = Api::with(HSM).await;
    let module = Module::named("primary");
    api.world.app.modules.keep("primary", module.clone());
    api.stands(ID, "pass", "").await;
    api.held_elsewhere("f1", "hsm://pkcs11/token/stella?serial=c0ffee&object=f1")
        .await;
    let check = api.stands(ID, "pass", "").await;
    assert!(
        check
            .to_string()
            .contains("f1 signed and verified in 1.0 ms (token stella, serial c0ffee, slot 7"),
        "{check}"
    );
    for (class, function, ckr, next) in [
        (
            ErrorClass::Session,
            "C_Sign",
            "CKR_SESSION_HANDLE_INVALID",
            "hsm reconnect --module primary",
        ),
        (
            ErrorClass::Module,
            "C_Initialize",
            "CKR_DEVICE_ERROR",
            "hsm connectivity --verbose --module primary",
        ),
        (
            ErrorClass::TimedOut,
            "C_Sign",
            "none",
            "hsm connectivity --verbose --module primary",
        ),
        (
            ErrorClass::Auth,
            "C_Login",
            "CKR_PIN_INCORRECT",
            "hsm auth verify --module primary",
        ),
        (
            ErrorClass::KeyMissing,
            "C_FindObjects",
            "none",
            "hsm slots list --module primary",
        ),
        (
            ErrorClass::Config,
            "C_SignInit",
            "CKR_MECHANISM_INVALID",
            "hsm pkcs11-info --module primary",
        ),
    ] {
        module.fails(class, function, ckr);
        let check = api.stands(ID, "fail", next).await;
        assert!(check.to_string().contains(function), "{check}");
    }
}

#[tokio::test]
async fn a_pin_that_is_about_to_lock_is_told_of_before_it_does() {
    const ID: &str = "check.crypto.hsm-availability";
    let api = Api::with(HSM).await;
    let module = Module::named("primary");
    api.world.app.modules.keep("primary", module.clone());
    let flags = |low, last, locked| PinState {
        initialized: true,
        count_low: low,
        final_try: last,
        locked,
        to_be_changed: false,
    };
    for (pin, status, next) in [
        (flags(true, false, false), "warn", "auth verify"),
        (
            flags(true, true, false),
            "fail",
            "auth verify --module primary --force",
        ),
        (flags(true, true, true), "fail", "vendor's tool"),
    ] {
        module.state().pin = pin;
        api.stands(ID, status, next).await;
    }
    // To ask how it stands never tries a PIN.
    assert!(!module.state().asked.iter().any(|asked| asked.contains("pin")));
}

#[tokio::test]
async fn a_profile_in_a_module_that_is_not_configured_is_found_out() {
    let api = Api::with(&HSM.replace("token/stella", "token/stella?module=secondary")).await;
    api.world.app.modules.keep("primary", Module::named("primary"));
    let check = api
        .stands(
            "check.crypto.hsm-availability",
            "fail",
            "hsm.modules in signer.yaml",
        )
        .await;
    assert!(check.to_string().contains("secondary"), "{check}");
}

#[tokio::test]
async fn a_backup_signs_and_is_believed_wherever_the_active_key_is() {
    const ID: &str = "check.crypto.fallback-ready";
    let api = Api::with(BACKED).await;
    let world = &api.world;
    world.generate("k1", "default").await;
    let npm = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    api.stands(
        ID,
        "fail",
        "stella keys generate --profile default --key-id k2 --standby",
    )
    .await;

    let standby = r#"{"profile": "default", "keyId": "k2", "standby": true}"#;
    let (made, key) = api
        .call(&world.owner, Method::POST, "/v1/signer/keys", standby)
        .await;
    assert_eq!((made, &key["status"]), (201, &"standby".into()), "{key}");
    let mend = format!("stella anchor add-key --anchor-id {npm} --key-id k2");
    let check = api.stands(ID, "fail", &mend).await;
    assert!(check.to_string().contains("pkg:npm/*"), "{check}");

    let added = format!("/v1/anchors/{npm}/keys");
    let (status, answer) = api
        .call(&world.owner, Method::POST, &added, r#"{"keyId": "k2"}"#)
        .await;
    assert_eq!(status, 200, "{answer}");
    world.pass(60);
    let check = api.stands(ID, "pass", "").await;
    assert!(
        check
            .to_string()
            .contains("backup of profile default: k2 signed and verified"),
        "{check}"
    );

    world.break_key("k2", Fault::Down).await;
    api.stands(ID, "fail", "stella keys verify k2 --operation sign")
        .await;
}

#[tokio::test]
async fn a_backup_that_has_taken_over_or_was_revoked_is_none() {
    const ID: &str = "check.crypto.fallback-ready";
    let api = Api::with(BACKED).await;
    let world = &api.world;
    world.generate("k1", "default").await;
    world.generate("k2", "default").await;
    let check = api
        .stands(ID, "fail", "--standby, and list it instead of k2")
        .await;
    assert!(check.to_string().contains("is pending, not standby"), "{check}");
}

#[tokio::test]
async fn a_standby_key_that_no_profile_lists_and_an_hsm_key_without_backup_are_warned_of() {
    const ID: &str = "check.crypto.fallback-ready";
    let api = Api::with(HSM).await;
    api.stands(ID, "skip", "").await;
    api.held_elsewhere("f1", "hsm://pkcs11/token/stella?object=f1")
        .await;
    api.stands(ID, "warn", "--profile fips --standby").await;

    let api = Api::ready().await;
    api.stands(ID, "skip", "").await;
    let standby = r#"{"profile": "default", "keyId": "k2", "standby": true}"#;
    let (made, _) = api
        .call(&api.world.owner, Method::POST, "/v1/signer/keys", standby)
        .await;
    assert_eq!(made, 201);
    api.stands(ID, "warn", "backups: [{key: k2}]").await;
}

#[tokio::test]
async fn the_store_takes_a_write_or_says_why_not() {
    const ID: &str = "check.store.integrity-light";
    let api = Api::ready().await;
    let check = api.stands(ID, "pass", "").await;
    assert!(check.to_string().contains("kept a durable write"), "{check}");

    let full = Api {
        world: World::over(
            Arc::new(support::memory::MemoryStore::full()),
            config::Settings::default(),
            tempfile::tempdir().expect("a folder"),
        ),
    };
    full.stands(ID, "fail", "df -h").await;
}

#[tokio::test]
async fn replicas_that_differ_are_silent_or_cannot_sign_are_told_of() {
    const ID: &str = "check.attestor.replicas";
    let api = Api::ready().await;
    let app = &api.world.app;
    let none = api.get(&format!("/v1/doctor?all=true&check={ID}")).await.1;
    assert_eq!(none["checks"][0]["status"], "skip", "{none}");

    app.tell_of_itself().await.expect("told");
    let own = app.store.replicas().await.expect("replicas").remove(0);
    let other = |name: &str| ReplicaRow {
        name: name.to_owned(),
        process: uuid::Uuid::from_u128(2),
        ..own.clone()
    };
    let note = async |row: ReplicaRow| {
        let noted = app.store.note_replica(row, Timestamp::from_secs(0)).await;
        noted.expect("noted");
    };
    note(other("two")).await;
    api.stands(ID, "pass", "").await;

    let mut differs = other("two");
    differs.settings["signing.deadline"] = "another".into();
    note(differs).await;
    let check = api
        .stands(ID, "warn", "stella config list, here and on two")
        .await;
    assert!(
        check.to_string().contains("other values for signing.deadline\""),
        "{check}"
    );
    let mut unable = other("two");
    unable.unable = serde_json::json!({"fips": "module primary is down"});
    note(unable).await;
    let check = api.stands(ID, "warn", "stella doctor --check").await;
    assert!(
        check.to_string().contains("cannot sign for profile fips"),
        "{check}"
    );
    let mut older = other("two");
    older.version = "0.0.9".to_owned();
    note(older).await;
    api.stands(ID, "warn", "stella --version").await;
    note(other("two")).await;
    api.world.pass(60);
    app.tell_of_itself().await.expect("told");
    let check = api.stands(ID, "warn", "stella doctor, on two").await;
    assert!(check.to_string().contains("two was not seen since"), "{check}");
    assert!(!check.to_string().contains(" is down"), "{check}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_noticed() {
    const ID: &str = "check.clock";
    let api = Api::ready().await;
    api.stands(ID, "pass", "").await;
    api.world.append(vec![]).await;
    let last = api.world.now();
    api.world.generate("k2", "fips").await;
    api.world
        .clock
        .set("2025-01-01T00:00:00Z".parse().expect("a time"));
    let check = api.stands(ID, "fail", "timedatectl").await;
    assert!(check.to_string().contains(&last), "{check}");
    api.world
        .clock
        .set("2012-01-01T00:00:00Z".parse().expect("a time"));
    api.stands(ID, "fail", "timedatectl").await;
}

#[tokio::test]
async fn a_key_near_its_end_is_warned_of_and_one_past_it_fails() {
    const ID: &str = "check.keys.rotation";
    let none = Api {
        world: World::empty().await,
    };
    none.stands(ID, "skip", "").await;
    let api = Api::ready().await;
    api.stands(ID, "pass", "").await;
    api.world.pass(330 * 86_400);
    api.stands(ID, "warn", "stella keys generate --profile default")
        .await;
    api.world.pass(60 * 86_400);
    api.stands(ID, "fail", "stella keys generate --profile default")
        .await;
    api.world.generate("k2", "default").await;
    let take_over = "stella anchor add-key --anchor-id ALL --key-id k2";
    api.stands(ID, "fail", take_over).await;
    api.world.activate("k2").await;
    api.stands(ID, "pass", "").await;
}

#[tokio::test]
async fn an_anchor_that_nobody_can_sign_for_is_found() {
    const ID: &str = "check.anchors.keys";
    let none = Api {
        world: World::empty().await,
    };
    none.stands(ID, "warn", "stella anchor create").await;
    let api = Api::ready().await;
    api.stands(ID, "pass", "").await;
    // Held only by one that does not sign yet.
    api.world.generate("k2", "default").await;
    let pypi = api
        .world
        .anchor("pkg:pypi/*", &["k2"], AnchorPolicy::default())
        .await;
    let check = api.stands(ID, "warn", &pypi.to_string()).await;
    assert!(check.to_string().contains("k2 (pending)"), "{check}");
    let empty = api
        .world
        .anchor("pkg:maven/*", &[], AnchorPolicy::default())
        .await;
    api.stands(ID, "fail", &format!("--anchor-id {empty} --key-id k1"))
        .await;
    let reason = RevokeReason::Superseded;
    api.world.revoke(pypi, "k2", reason, None).await;
    api.stands(ID, "fail", &format!("--anchor-id {pypi}")).await;
}

#[tokio::test]
async fn verification_health_judges_what_was_signed_last() {
    const ID: &str = "check.attestor.verification-health";
    let none = Api {
        world: World::empty().await,
    };
    none.stands(ID, "warn", "stella anchor create").await;

    let api = Api::ready().await;
    api.stands(ID, "skip", "").await;
    let good = about("pkg:npm/a@1", "a", "test");
    api.world.create(good).await.expect("signed");
    let check = api.stands(ID, "pass", "").await;
    assert!(check.to_string().contains("1 of the newest 1 pass"), "{check}");

    // Nobody decides on this one.
    let other = api.world.create(about("pkg:pypi/b@1", "b", "test")).await;
    let id = other.expect("signed").attestations.remove(0).id;
    let next = format!("stella verify attestation --attestation {id} --verbose");
    let check = api.stands(ID, "warn", &next).await;
    assert!(check.to_string().contains("anchor.none"), "{check}");

    // The key is compromised: nothing passes.
    let anchor = api.world.app.trust_head().await.expect("trust");
    let anchor = *anchor.anchors.keys().next().expect("an anchor");
    api.world
        .revoke(anchor, "k1", RevokeReason::Compromise, None)
        .await;
    let check = api.stands(ID, "fail", "stella verify attestation").await;
    assert!(check.to_string().contains("key.compromised"), "{check}");
}

#[tokio::test]
async fn verification_health_leaves_out_what_was_withdrawn_and_sees_disabled_anchors() {
    const ID: &str = "check.attestor.verification-health";
    let api = Api::ready().await;
    let other = api.world.create(about("pkg:pypi/b@1", "b", "test")).await;
    let id = other.expect("signed").attestations.remove(0).id;
    api.stands(ID, "fail", "stella verify attestation").await;
    let path = format!("/v1/attestations/{id}/withdraw");
    let owner = &api.world.owner;
    let (status, said) = api
        .call(owner, Method::POST, &path, r#"{"reason": "superseded"}"#)
        .await;
    assert_eq!(status, 200, "{said}");
    api.stands(ID, "skip", "").await;
    let anchor = api.world.app.trust_head().await.expect("trust");
    let anchor = *anchor.anchors.keys().next().expect("an anchor");
    let path = format!("/v1/anchors/{anchor}");
    let off = r#"{"status": "disabled", "note": "incident 4"}"#;
    let (status, said) = api.call(owner, Method::PATCH, &path, off).await;
    assert_eq!(status, 200, "{said}");
    api.stands(ID, "fail", "stella anchor list").await;
}

#[tokio::test]
async fn nobody_is_told_to_retry_what_was_withdrawn() {
    const ID: &str = "check.attestor.signing-health";
    let api = Api::ready().await;
    let sound = api.world.break_key("k1", Fault::Down).await;
    let recorded = api.world.create(about("pkg:npm/a@1", "a", "test")).await;
    let id = recorded.expect("recorded").attestations.remove(0).id;
    let key = "k1".parse().expect("a key id");
    api.world.app.signers.keep(&key, "software://", &sound).await;
    let warnings = async || {
        let (_, status) = api.get("/v1/status").await;
        status["warnings"].to_string()
    };
    assert!(warnings().await.contains("attest retry"));
    api.stands(ID, "warn", "stella attest retry --failed").await;
    let path = format!("/v1/attestations/{id}/withdraw");
    let body = r#"{"reason": "superseded"}"#;
    let (status, said) = api.call(&api.world.owner, Method::POST, &path, body).await;
    assert_eq!(status, 200, "{said}");
    assert!(!warnings().await.contains("attest retry"));
    api.stands(ID, "pass", "").await;
    // The queue leaves it alone too.
    let tried = api.world.app.sign_waiting_while(&|| true).await.expect("a round");
    assert_eq!(tried.tried, 0);
}

#[tokio::test]
async fn hsm_status_tells_of_a_kms_where_there_is_no_module() {
    let api = Api::ready().await;
    let (status, problem) = api.get("/v1/crypto/hsm").await;
    assert_eq!((status, &problem["code"]), (404, &"hsm.none".into()));
    api.held_elsewhere("fips-kms", "kms://aws/key/alias/fips").await;
    let (status, list) = api.get("/v1/crypto/hsm").await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["modules"], serde_json::json!([]));
    assert_eq!(list["otherStores"][0]["store"], "AWS KMS", "{list}");
    assert_eq!(list["otherStores"][0]["state"], "closed", "{list}");
    // Who names a module asks about a module.
    let (status, _) = api.get("/v1/crypto/hsm?module=primary").await;
    assert_eq!(status, 404);
}
