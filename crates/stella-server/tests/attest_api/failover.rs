//! A key store goes down under load, a standby key signs, and signing comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stella_core::api::attestations::{Attestation, CreateAttestation, Retry};
use stella_core::api::hsm::{FailedOver, Failover};
use stella_core::api::keys::SetConfig;
use stella_core::id::KeyId;
use stella_core::trust::KeyType;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::key::{NewOwnKey, enter_own};
use stella_core::trust::decide::store::add_store;
use stella_keys::software::SoftwareStore;
use stella_keys::{Generate as _, Sign};
use stella_server::app::attest::AttestationQuery;
use stella_server::app::logs::LogQuery;
use stella_server::app::trust::Decision;
use stella_server::config;

use crate::PAD;
use crate::support::{Fault, World, about};

const MODULES: &str = "hsm: {modules: {primary: {libraryPath: /lib/a.so}, backup: {libraryPath: /lib/b.so}}}";
const TOKEN_A: &str = "hsm://pkcs11/token/a?module=primary&object=a";
/// Another token of the second module, with the key of token A.
const CLONE: &str = "hsm://pkcs11/token/c?module=backup&object=a";
const TOKEN_B: &str = "hsm://pkcs11/token/b?module=backup&object=b";

/// The profile fips, on token A, with these backups.
async fn world(backups: &[&str], allow_software: bool) -> World {
    let mut settings = config::parse([(Path::new("signer.yaml"), MODULES)]).expect("a configuration");
    let signing = &mut settings.signing;
    signing.deadline = Duration::from_millis(600);
    signing.breaker.first_pause = Duration::from_millis(1);
    signing.breaker.max_pause = Duration::from_millis(5);
    signing.breaker.probe_interval = Duration::from_millis(1);
    let fips = settings
        .profiles
        .get_mut(&"fips".parse().expect("a profile"))
        .expect("fips");
    fips.key_store = "hsm://pkcs11/token/a?module=primary".to_owned();
    fips.allow_software = allow_software;
    fips.backups = backups.iter().map(|id| id.parse().expect("a key id")).collect();
    let world = World::with(settings).await;
    key(&world, "fips-a", TOKEN_A, false).await;
    for id in backups {
        let store = if id.ends_with("soft") {
            "software://"
        } else {
            TOKEN_B
        };
        key(&world, id, store, true).await;
    }
    let keys: Vec<_> = std::iter::once("fips-a").chain(backups.iter().copied()).collect();
    world.anchor("pkg:npm/*", &keys, AnchorPolicy::default()).await;
    world.pass(60);
    world
}

/// A key whose store is elsewhere, as far as anybody here can tell.
async fn key(world: &World, id: &str, store: &str, standby: bool) {
    let signer = SoftwareStore
        .generate("ecdsa-p256".parse().expect("an algorithm"))
        .expect("a key");
    let key_id: KeyId = id.parse().expect("a key id");
    world
        .app
        .change(&world.owner, |state, now| {
            let new = NewOwnKey {
                key_id: key_id.clone(),
                key_type: KeyType::Signing,
                public_key: signer.public_key().clone(),
                profile: "fips".parse().expect("a profile"),
                store: store.to_owned(),
                created_at: now,
                not_after: None,
                standby,
                imported: false,
            };
            Ok(Decision::new(enter_own(state, new, now)?, ()))
        })
        .await
        .expect("entered");
    let signer: Arc<dyn Sign> = Arc::new(signer);
    world.app.signers.keep(&key_id, store, &signer).await;
}

async fn mend(world: &World, id: &str, signer: &Arc<dyn Sign>) {
    let id: KeyId = id.parse().expect("a key id");
    let trust = world.app.trust_head().await.expect("trust");
    let first = trust.keys.get(&id).expect("a key").stores().next();
    let first = first.expect("a store");
    world.app.signers.keep(&id, first, signer).await;
}

async fn attest(world: &World, digit: &str) -> Attestation {
    let request = CreateAttestation {
        profiles: vec!["fips".to_owned()],
        ..about(PAD, digit, "evidence.stella/v1")
    };
    let mut created = world.create(request).await.expect("created");
    created.attestations.remove(0)
}

async fn set_mode(
    world: &World,
    mode: &str,
    profile: Option<&str>,
    lasts: Option<&str>,
) -> Result<Vec<String>, String> {
    let request = SetConfig {
        value: mode.to_owned(),
        profile: profile.map(str::to_owned),
        lasts: lasts.map(str::to_owned),
    };
    world
        .app
        .set_config(&world.owner, "signing.mode", &request)
        .await
        .map(|entry| entry.warnings)
        .map_err(|e| e.code.to_string())
}

async fn log(world: &World, level: &str) -> Vec<String> {
    let query = LogQuery {
        level: Some(level.to_owned()),
        ..LogQuery::default()
    };
    let list = world.app.read_logs(query).await.expect("a log");
    list.lines.into_iter().map(|line| line.message).collect()
}

/// As the server does by itself.
async fn probe_until(world: &World, id: &str, up: impl Fn(&Attestation) -> bool) -> Attestation {
    for digit in "0123456789".chars().cycle().take(400) {
        world.app.probe_stores().await.expect("probed");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let made = attest(world, &format!("{digit}")).await;
        world.pass(1);
        if up(&made) {
            return made;
        }
    }
    panic!("{id} never came back");
}

fn key_of(attestation: &Attestation) -> &str {
    attestation.key_id.as_deref().unwrap_or("none")
}

#[tokio::test]
async fn a_standby_key_signs_while_the_token_is_down_and_no_longer() {
    let world = world(&["fips-b"], false).await;
    let before = attest(&world, "a").await;
    assert_eq!((key_of(&before), before.signed_by_standby), ("fips-a", false));

    let healthy = world.break_key("fips-a", Fault::Down).await;
    for digit in ["b", "c", "d", "e"] {
        let made = attest(&world, digit).await;
        assert_eq!(
            (key_of(&made), made.signed_by_standby),
            ("fips-b", true),
            "{made:?}"
        );
        assert_eq!(made.signed_in.as_deref(), Some("hsm"));
        assert_eq!(world.verify(&made.id).await.verdict, "PASS");
    }
    let told = log(&world, "warn").await.join("\n");
    assert!(
        told.contains("fips-b stood in for the active key of profile fips"),
        "{told}"
    );
    assert!(
        told.contains("HSM module primary, token a is left alone"),
        "{told}"
    );
    let stood_in = told.matches("stood in").count();
    assert_eq!(stood_in, 3, "the fourth was not even sent to the token: {told}");

    let status = world.app.status().await.expect("a status");
    let fips = status
        .profiles
        .iter()
        .find(|p| p.profile == "fips")
        .expect("fips");
    assert_eq!(
        (fips.can_sign, fips.signs_with.as_deref()),
        (true, Some("fips-b"))
    );
    let warned = "profile fips signs with its standby key fips-b: HSM module primary, token a is down";
    assert!(
        status.warnings.iter().any(|w| w.starts_with(warned)),
        "{:?}",
        status.warnings
    );

    mend(&world, "fips-a", &healthy).await;
    assert_eq!(
        key_of(&attest(&world, "f").await),
        "fips-b",
        "not before its probes"
    );
    let back = probe_until(&world, "fips-a", |made| !made.signed_by_standby).await;
    assert_eq!(key_of(&back), "fips-a");
    let told = log(&world, "info").await.join("\n");
    assert!(told.contains("signing is back there"), "{told}");
}

/// The same key, as it was cloned into the other token.
async fn clone_of(world: &World, id: &str, store: &str, signer: &Arc<dyn Sign>) {
    let key_id: KeyId = id.parse().expect("a key id");
    world
        .app
        .change(&world.owner, |state, now| {
            Ok(Decision::new(add_store(state, &key_id, store, now)?, ()))
        })
        .await
        .expect("added");
    world.app.signers.keep(&key_id, store, signer).await;
}

#[tokio::test]
async fn a_key_in_two_tokens_goes_on_signing_while_one_is_down_and_nobody_stands_in() {
    let world = world(&["fips-b"], false).await;
    let on_a = world.break_key("fips-a", Fault::Down).await;
    clone_of(&world, "fips-a", CLONE, &on_a).await;
    for digit in ["a", "b", "c", "d"] {
        let made = attest(&world, digit).await;
        assert_eq!(
            (key_of(&made), made.signed_by_standby),
            ("fips-a", false),
            "{made:?}"
        );
        assert_eq!(world.verify(&made.id).await.verdict, "PASS");
    }
    let told = log(&world, "warn").await.join("\n");
    let moved = "fips-a of profile fips signed in HSM module backup, token c: signing failed: fips-a";
    assert_eq!(
        told.matches(moved).count(),
        3,
        "the fourth was not sent to A: {told}"
    );
    let status = world.app.status().await.expect("a status");
    let fips = status.profiles.iter().find(|p| p.profile == "fips");
    let fips = fips.expect("fips");
    assert_eq!((fips.can_sign, &fips.signs_with), (true, &None));
    let why = "not in its first store: HSM module primary, token a is down";
    assert!(fips.detail.contains(why), "{}", fips.detail);

    // With that one down as well, another key signs.
    world.break_key_in("fips-a", CLONE, Fault::Down).await;
    let made = attest(&world, "e").await;
    assert_eq!((key_of(&made), made.signed_by_standby), ("fips-b", true));

    // Each is probed on its own, and the first store is the first again.
    world
        .app
        .signers
        .keep(&"fips-a".parse().expect("an id"), CLONE, &on_a)
        .await;
    probe_until(&world, "fips-a", |made| !made.signed_by_standby).await;
    mend(&world, "fips-a", &on_a).await;
    let back = "HSM module primary, token a answered its probes";
    for _ in 0..400 {
        world.app.probe_stores().await.expect("probed");
        tokio::time::sleep(Duration::from_millis(5)).await;
        if log(&world, "info").await.join("\n").contains(back) {
            break;
        }
    }
    assert!(log(&world, "info").await.join("\n").contains(back));
    world.pass(1);
    let status = world.app.status().await.expect("a status");
    let fips = status.profiles.iter().find(|p| p.profile == "fips");
    let detail = &fips.expect("fips").detail;
    assert!(!detail.contains("not in its first store"), "{detail}");
}

#[tokio::test]
async fn signing_is_moved_by_hand_to_the_other_token_of_the_same_key() {
    let world = world(&[], false).await;
    let on_a = world.break_key_in("fips-a", TOKEN_A, Fault::Lying).await;
    clone_of(&world, "fips-a", CLONE, &on_a).await;
    let done = world
        .app
        .hsm_failover(
            &world.owner,
            &Failover {
                to: "backup".to_owned(),
                profile: Some("fips".to_owned()),
                lasts: None,
            },
        )
        .await
        .expect("moved: no key but fips-a is there, and it is in both");
    assert_eq!(done.profiles[0].key_id, "fips-a");
    // The first store would answer wrongly, and is not even asked.
    assert_eq!(key_of(&attest(&world, "a").await), "fips-a");
    assert!(log(&world, "warn").await.iter().all(|l| !l.contains("signed in")));
}

#[tokio::test]
async fn a_token_that_hangs_costs_one_request_its_time_and_the_others_nothing() {
    let world = world(&["fips-b"], false).await;
    world.break_key("fips-a", Fault::Hung).await;
    assert_eq!(key_of(&attest(&world, "a").await), "fips-b");
    let told = log(&world, "error").await.join("\n");
    assert!(told.contains("token a is left alone"), "after one: {told}");
}

#[tokio::test]
async fn a_wrong_signature_is_never_released_and_another_key_signs() {
    let world = world(&["fips-b"], false).await;
    world.break_key("fips-a", Fault::Lying).await;
    let made = attest(&world, "a").await;
    assert_eq!(key_of(&made), "fips-b");
    assert_eq!(world.verify(&made.id).await.verdict, "PASS");
}

#[tokio::test]
async fn what_no_key_could_sign_waits_without_attempts_and_is_signed_when_a_store_is_back() {
    let world = world(&["fips-b"], false).await;
    let healthy = world.break_key("fips-a", Fault::Down).await;
    world.break_key("fips-b", Fault::Down).await;
    for digit in ["a", "b", "c"] {
        let made = attest(&world, digit).await;
        assert_eq!((made.state.as_str(), made.attempts), ("recorded", 1));
        let why = made.last_error.expect("a reason");
        assert!(
            why.contains("fips-a") && why.contains("then signing failed: fips-b"),
            "{why}"
        );
    }
    let made = attest(&world, "d").await;
    assert_eq!((made.state.as_str(), made.attempts), ("recorded", 0), "{made:?}");
    let why = made.last_error.expect("a reason");
    assert!(
        why.contains("HSM module primary, token a is down and was not asked"),
        "{why}"
    );
    let retried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("retried");
    assert_eq!((retried.signed, retried.still_unsigned), (0, 4));

    mend(&world, "fips-a", &healthy).await;
    probe_until(&world, "fips-a", |made| made.state == "signed").await;
    let drained = world.app.sign_waiting_while(&|| true).await.expect("a round");
    assert_eq!(drained.still_unsigned, 0);
    for row in all(&world, false).await {
        assert_eq!((row.state.as_str(), key_of(&row)), ("signed", "fips-a"));
    }
}

/// A standby key may sign less than the active one: nothing is given up for that.
#[tokio::test]
async fn what_is_too_long_for_the_standby_key_waits_for_the_active_one() {
    let world = world(&["fips-b"], false).await;
    world.break_key("fips-b", Fault::TooSmall).await;
    let healthy = world.break_key("fips-a", Fault::Down).await;
    // The last of them finds the active key's store left alone.
    for digit in ["a", "b", "c", "d"] {
        let made = attest(&world, digit).await;
        assert_eq!(made.state, "recorded", "{made:?}");
    }
    mend(&world, "fips-a", &healthy).await;
    probe_until(&world, "fips-a", |made| made.state == "signed").await;
    let drained = world.app.sign_waiting_while(&|| true).await.expect("a round");
    assert_eq!(drained.still_unsigned, 0);
}

#[tokio::test]
async fn a_standby_key_that_the_profile_does_not_list_signs_nothing() {
    let world = world(&[], false).await;
    key(&world, "fips-z", TOKEN_B, true).await;
    world.break_key("fips-a", Fault::Down).await;
    assert_eq!(attest(&world, "a").await.state, "recorded");
}

async fn all(world: &World, signed_by_standby: bool) -> Vec<Attestation> {
    let query = AttestationQuery {
        signed_by_standby,
        ..AttestationQuery::default()
    };
    let list = world.app.list_attestations(query).await.expect("a list");
    list.attestations
}

#[tokio::test]
async fn what_a_standby_key_signed_is_listed_also_after_it_took_over() {
    let world = world(&["fips-b"], false).await;
    attest(&world, "a").await;
    assert!(all(&world, true).await.is_empty());
    world.break_key("fips-a", Fault::Down).await;
    let stood_in = attest(&world, "b").await;
    world.pass(60);
    world.activate("fips-b").await;
    world.pass(60);
    let own = attest(&world, "c").await;
    assert_eq!((key_of(&own), own.signed_by_standby), ("fips-b", false));
    let marked: Vec<_> = all(&world, true).await.into_iter().map(|a| a.id).collect();
    assert_eq!(marked, [stood_in.id]);
}

#[tokio::test]
async fn software_signs_in_a_tokens_stead_for_as_long_as_was_said() {
    let world = world(&["fips-soft"], true).await;
    assert_eq!(key_of(&attest(&world, "a").await), "fips-a");
    let warnings = set_mode(&world, "software", Some("fips"), Some("8h"))
        .await
        .expect("set");
    assert_eq!(
        warnings,
        ["Software signing may not meet compliance requirements"]
    );
    let made = attest(&world, "b").await;
    assert_eq!((key_of(&made), made.signed_by_standby), ("fips-soft", true));
    assert_eq!(made.signed_in.as_deref(), Some("software"));
    let notice = "software signing is on for profile fips until 2025-01-01T08:01:00Z";
    let warned = async || {
        let status = world.app.status().await.expect("a status");
        status.warnings.iter().any(|w| w.starts_with(notice))
    };
    assert!(warned().await);
    world.pass(8 * 3600 - 1);
    assert_eq!(key_of(&attest(&world, "c").await), "fips-soft");
    world.pass(1);
    assert_eq!(
        key_of(&attest(&world, "d").await),
        "fips-a",
        "it has ended by itself"
    );
    assert!(!warned().await);
}

#[tokio::test]
async fn software_for_good_and_where_it_is_forbidden_are_refused() {
    let strict = world(&["fips-b"], false).await;
    assert_eq!(
        set_mode(&strict, "software", Some("fips"), None).await,
        Err("config.software-forbidden".to_owned())
    );
    assert_eq!(
        set_mode(&strict, "software", None, Some("25h")).await,
        Err("config.lasts".to_owned())
    );
    assert_eq!(
        set_mode(&strict, "kms", Some("fips"), None).await,
        Err("config.no-such-store".to_owned())
    );
    // For all the others it is on; this one goes on with its token.
    let warnings = set_mode(&strict, "software", None, None).await.expect("set");
    assert!(
        warnings
            .iter()
            .any(|w| w.contains("profile fips goes on with its own key store")),
        "{warnings:?}"
    );
    assert_eq!(key_of(&attest(&strict, "a").await), "fips-a");

    let unprepared = world(&["fips-b"], true).await;
    assert_eq!(
        set_mode(&unprepared, "software", Some("fips"), None).await,
        Err("config.no-such-store".to_owned())
    );
    assert_eq!(
        set_mode(&unprepared, "hsm", Some("fips"), None).await,
        Ok(Vec::new())
    );
    assert_eq!(key_of(&attest(&unprepared, "a").await), "fips-a");
}

#[tokio::test]
async fn software_that_nobody_ends_ends_after_a_day() {
    let world = world(&["fips-soft"], true).await;
    set_mode(&world, "software", None, None).await.expect("set");
    assert_eq!(key_of(&attest(&world, "a").await), "fips-soft");
    world.pass(24 * 3600);
    assert_eq!(key_of(&attest(&world, "b").await), "fips-a");
}

async fn failover(
    world: &World,
    to: &str,
    profile: Option<&str>,
    lasts: Option<&str>,
) -> Result<FailedOver, (String, String)> {
    let request = Failover {
        to: to.to_owned(),
        profile: profile.map(str::to_owned),
        lasts: lasts.map(str::to_owned),
    };
    let done = world.app.hsm_failover(&world.owner, &request).await;
    done.map_err(|e| (e.code.to_string(), e.next.unwrap_or_default()))
}

#[tokio::test]
async fn an_operator_moves_signing_to_another_module_and_gives_it_back() {
    let world = world(&["fips-b"], false).await;
    let done = failover(&world, "backup", None, None).await.expect("moved");
    assert_eq!((done.to.as_str(), done.profiles.len()), ("backup", 1));
    assert_eq!(done.profiles[0].key_id, "fips-b");
    let made = attest(&world, "a").await;
    assert_eq!((key_of(&made), made.signed_by_standby), ("fips-b", true));
    assert_eq!(world.verify(&made.id).await.verdict, "PASS");

    let status = world.app.status().await.expect("a status");
    let warned = "profile fips signs with its standby key fips-b: signing was moved to module backup;";
    assert!(
        status.warnings.iter().any(|w| w.starts_with(warned)),
        "{:?}",
        status.warnings
    );
    let entry = world.app.config_entry("hsm.failover").await.expect("a setting");
    assert_eq!(
        (entry.value.as_str(), entry.origin.as_str()),
        ("backup", "runtime")
    );
    let told = log(&world, "warn").await.join("\n");
    assert!(
        told.contains("signing of every profile is moved: hsm.failover backup"),
        "{told}"
    );

    // The one it was moved away from stands by now.
    let healthy = world.break_key("fips-b", Fault::Down).await;
    assert_eq!(key_of(&attest(&world, "b").await), "fips-a");
    mend(&world, "fips-b", &healthy).await;

    failover(&world, "auto", None, None).await.expect("given back");
    assert_eq!(key_of(&attest(&world, "c").await), "fips-a");
    let entry = world.app.config_entry("hsm.failover").await.expect("a setting");
    assert_eq!((entry.value.as_str(), entry.origin.as_str()), ("auto", "default"));
}

#[tokio::test]
async fn a_move_of_one_profile_ends_by_itself_and_that_profile_can_stay_out() {
    let world = world(&["fips-b"], false).await;
    failover(&world, "backup", Some("fips"), Some("8h"))
        .await
        .expect("moved");
    assert_eq!(key_of(&attest(&world, "a").await), "fips-b");
    world.pass(8 * 3600);
    assert_eq!(key_of(&attest(&world, "b").await), "fips-a");

    failover(&world, "backup", None, None).await.expect("moved");
    failover(&world, "auto", Some("fips"), None)
        .await
        .expect("stays out");
    assert_eq!(key_of(&attest(&world, "c").await), "fips-a");
    failover(&world, "auto", None, None).await.expect("given back");
    failover(&world, "backup", None, None).await.expect("moved");
    assert_eq!(
        key_of(&attest(&world, "d").await),
        "fips-b",
        "nothing is left over"
    );
}

#[tokio::test]
async fn signing_is_moved_nowhere_that_it_would_end_or_not_be_believed() {
    let code = |refused: Result<FailedOver, (String, String)>| refused.expect_err("refused");
    let world = world(&["fips-b"], false).await;
    let (unknown, _) = code(failover(&world, "nowhere", None, None).await);
    assert_eq!(unknown, "hsm.unknown-module");
    let (long, _) = code(failover(&world, "backup", None, Some("25h")).await);
    assert_eq!(long, "config.lasts");

    // The key there does not sign.
    let healthy = world.break_key("fips-b", Fault::Down).await;
    code(failover(&world, "backup", None, None).await);
    assert_eq!(key_of(&attest(&world, "a").await), "fips-a");
    mend(&world, "fips-b", &healthy).await;

    // An anchor of the active key does not accept it.
    world
        .anchor("pkg:npm/@pay/*", &["fips-a"], AnchorPolicy::default())
        .await;
    world.pass(60);
    for profile in [None, Some("fips")] {
        let (code, next) = code(failover(&world, "backup", profile, None).await);
        assert_eq!(code, "hsm.failover-not-trusted");
        assert!(
            next.contains("anchor add-key --anchor-id") && next.contains("fips-b"),
            "{next}"
        );
    }

    let alone = self::world(&[], false).await;
    let (none, next) = code(failover(&alone, "backup", Some("fips"), None).await);
    assert_eq!(none, "hsm.failover-no-key");
    assert!(
        next.starts_with("stella keys generate --profile fips --standby"),
        "{next}"
    );
    key(&alone, "fips-z", TOKEN_B, true).await;
    let (none, next) = code(failover(&alone, "backup", None, None).await);
    assert_eq!(none, "hsm.failover-no-key");
    assert!(next.starts_with("add backups: [{key: fips-z}]"), "{next}");
}
