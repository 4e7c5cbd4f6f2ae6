use super::*;
use stella_keys::hsm::{KeyReference, MechanismInput, TokenSelector};

use crate::config::{Alert, KeyStoreUri, Origin, StoreUrl};
use std::collections::BTreeSet;
use std::time::Duration;

use stella_core::alg::Algorithm;

fn settings(text: &str) -> Result<Settings> {
    read(&Node::parse(Path::new("signer.yaml"), text)?)
}

fn refusal(text: &str) -> String {
    settings(text).expect_err(text).to_string()
}

/// As printed in the key-rotation runbook.
const RUNBOOK: &str = r##"
signer:
  profiles:
    default:
      algorithm: "SHA256-ED25519"
      keyStore: "kms://aws/key/stellaops-default"
      rotation:
        enabled: true
        maxAgeMonths: 12
        warningMonths: 2
    fips:
      algorithm: "SHA256-ECDSA-P256"
      keyStore: "hsm://pkcs11/slot/0"
      rotation:
        enabled: true
        maxAgeMonths: 6
        warningMonths: 1
  rotation:
    warningMonths: 3
    alerts:
      - type: slack
        channel: "#security-ops"
      - type: email
        recipients: ["security@example.com"]
"##;

#[test]
fn the_runbooks_file_is_read() {
    let settings = settings(RUNBOOK).expect("the runbook's file");
    let names: Vec<_> = settings.profiles.keys().map(|n| n.as_str().to_owned()).collect();
    assert_eq!(names, ["default", "fips", "gost", "pqc", "sm2"]);
    assert_eq!(
        key_stores(&settings),
        [
            KeyStoreUri::AwsKms {
                key: "stellaops-default".into()
            },
            KeyStoreUri::Pkcs11(KeyReference::token(TokenSelector::Slot(0))),
            KeyStoreUri::Software,
            KeyStoreUri::Software,
            KeyStoreUri::Software
        ]
    );
    let warnings: Vec<_> = settings.profiles.values().map(|p| p.warning_months).collect();
    assert_eq!(warnings, [2, 1, 3, 3, 3]);
    assert_eq!(
        settings.rotation.alerts,
        [
            Alert::Slack {
                channel: "#security-ops".into()
            },
            Alert::Email {
                recipients: vec!["security@example.com".into()]
            }
        ]
    );
}

#[test]
fn every_section_is_read() {
    let settings = settings(
        r#"
signer:
  profiles:
    fips: {algorithm: ecdsa-p256, keyStore: "hsm://pkcs11/token/stella", backups: [{key: fips-b}], allowSoftware: false}
    shared: {algorithm: ed25519, exclusive: false, rotation: {enabled: false}}
    pqc: null
  rotation: {auto: true, overlap_days: 30, activate: manual}
store: {url: "sqlite:/var/lib/x.db", passwordFile: /run/secrets/db, pool: {size: 3}, lockTimeout: 2s, retry_for: 1s}
server: {listen: "127.0.0.1:8420", requestTimeout: 5s, max_connections: 7}
signing: {deadline: 2s}
verify: {requirePurl: true}
limits: {maxSubjects: 3}
tokens: {maxLife: 30d}
trust: {bundleLifetime: 2d, max_bundle_lifetime: 20d}
hsm:
  modules:
    primary: {libraryPath: /usr/lib/softhsm/libsofthsm2.so, pinFile: /run/secrets/pin, env: {SOFTHSM2_CONF: /etc/softhsm2.conf}, session: {timeout: 300s, keepalive: true, keepaliveInterval: 60s}, requestTimeout: 5s, signers: 4}
    backup: {libraryPath: /lib/b.so, pinFile: /run/b, startTimeout: 30s, stopTimeout: 3s, maxMessage: 65536, restartBackoff: {min: 50ms, max: 2s}, mechanisms: {gost2012-256: {sign: 0xD4321008, keyType: 0xD4321003, generate: "0xD4321005", input: message}}}
  local: {gost: {pinFile: /run/secrets/gost, requestTimeout: 2s}}
kms: {aws: {region: eu-central-1, endpoint: null, requestsPerSecond: 500, credentialsFile: /run/secrets/aws, requestTimeout: 2s}}
"#,
    )
    .expect("all of it");
    let fips = settings
        .profiles
        .get(&"fips".parse().expect("a name"))
        .expect("fips");
    assert!(!fips.allow_software);
    assert_eq!(fips.backups.len(), 1);
    assert!(!settings.profiles.keys().any(|p| p.as_str() == "pqc"));
    assert_eq!(settings.verify.shared_profiles.len(), 1);
    assert!(settings.rotation.auto && !settings.rotation.activate_on_trust);
    assert_eq!(settings.rotation.overlap, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.store.url, StoreUrl::File("/var/lib/x.db".into()));
    assert_eq!(settings.store.password_file, Some("/run/secrets/db".into()));
    assert_eq!(settings.store.pool_size, 3);
    assert_eq!(settings.store.lock_timeout, Duration::from_secs(2));
    assert_eq!(settings.store.retry_for, Duration::from_secs(1));
    assert_eq!(settings.server.request_timeout, Duration::from_secs(5));
    assert_eq!(settings.server.max_connections, 7);
    assert_eq!(settings.signing.deadline, Duration::from_secs(2));
    assert!(settings.verify.require_purl);
    assert_eq!(settings.limits.max_subjects, 3);
    assert_eq!(settings.tokens.max_life, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.trust.bundle_lifetime, Duration::from_secs(2 * 86_400));
    assert_eq!(
        settings.trust.max_bundle_lifetime,
        Duration::from_secs(20 * 86_400)
    );
    let modules: Vec<_> = settings.hsm.modules.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(modules, ["primary", "backup"], "the first is the default");
    let local = &settings.hsm.local[0];
    assert_eq!((local.name.as_str(), &local.folder), ("gost", &None));
    assert_eq!(local.request_timeout, Duration::from_secs(2));
    let backup = &settings.hsm.modules[1];
    assert_eq!(backup.start_timeout, Duration::from_secs(30));
    assert_eq!(backup.stop_timeout, Duration::from_secs(3));
    assert_eq!(backup.max_message, 65_536);
    assert_eq!(backup.restart_backoff, Duration::from_millis(50));
    assert_eq!(backup.max_restart_backoff, Duration::from_secs(2));
    let gost = &backup.mechanisms[&"gost2012-256".parse().expect("an algorithm")];
    let numbers = (gost.sign, gost.key_type, gost.generate);
    assert_eq!(numbers, (0xD432_1008, 0xD432_1003, Some(0xD432_1005)));
    assert_eq!(gost.input, MechanismInput::Message);
    let aws = settings.kms.aws;
    assert_eq!(aws.region.as_deref(), Some("eu-central-1"));
    assert_eq!((aws.endpoint, aws.requests_per_second), (None, 500));
    assert_eq!(aws.credentials_file, Some("/run/secrets/aws".into()));
    assert_eq!(aws.request_timeout, Duration::from_secs(2));
}

#[test]
fn what_is_to_be_signed_leaves_this_machine_encrypted_or_not_at_all() {
    let read = |endpoint: &str| settings(&format!("kms: {{aws: {{endpoint: \"{endpoint}\"}}}}\n"));
    for good in [
        "https://vpce-1.kms.eu-central-1.vpce.amazonaws.com",
        "http://127.0.0.1:4566",
        "http://localhost:4566/",
        "http://[::1]:4566",
    ] {
        let settings = read(good).expect(good);
        assert_eq!(settings.kms.aws.endpoint.as_deref(), Some(good));
    }
    for bad in [
        "http://kms.example.com",
        "http://127.0.0.1.example.com",
        "https://",
        "kms.example.com",
        "ftp://127.0.0.1",
    ] {
        let error = read(bad).expect_err(bad).to_string();
        assert!(error.contains("kms.aws.endpoint must be an https://"), "{error}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_and_the_line() {
    assert_eq!(
        refusal("signer:\n  profiles:\n    fips:\n      algorithm: ecdsa-p256\n      keystor: software://\n"),
        "signer.yaml:5: unknown key signer.profiles.fips.keystor; did you mean keyStore?"
    );
    assert_eq!(
        refusal("serve: {}\n"),
        "signer.yaml:1: unknown key serve; did you mean server?"
    );
}

#[test]
fn both_spellings_are_one_key_and_once_is_enough() {
    let camel = settings("signer: {rotation: {overlapDays: 3}}").expect("camelCase");
    let snake = settings("signer: {rotation: {overlap_days: 3}}").expect("snake_case");
    assert_eq!(camel.rotation, snake.rotation);
    assert_eq!(
        refusal("signer:\n  rotation:\n    overlapDays: 3\n    overlap_days: 4\n"),
        "signer.yaml:4: signer.rotation.overlap_days is given twice, first at line 3"
    );
    assert_eq!(
        settings("server: {}\nserver: {}\n").expect_err("twice").code(),
        "config.syntax"
    );
}

#[test]
fn wrong_values_say_what_is_right() {
    for (text, says) in [
        ("server: {requestTimeout: 5}", "duration such as 300s"),
        ("server: {maxConnections: 0}", "above zero"),
        ("server: {allowPlainHttp: 1}", "true or false"),
        ("server: 5", "must be a map"),
        ("store: {url: \"mysql://x\"}", "sqlite:"),
        (
            "signer: {rotation: {overlapDays: 14, overlap: 30d}}",
            "give one of them",
        ),
        ("store: {url: \"sqlite:data/x.db\"}", "from the root"),
        ("store: {url: \"postgres://db/stella\"}", "names no user"),
        ("store: {poolSize: 3}", "did you mean"),
        (
            "signer: {profiles: {x: {}}}",
            "signer.profiles.x.algorithm is missing",
        ),
        ("signer: {profiles: {x: {algorithm: rsa}}}", "rsa"),
        (
            "signer: {profiles: {x: {algorithm: ed25519, keyStore: \"ftp://x\"}}}",
            "hsm://pkcs11/slot/N",
        ),
        (
            "signer: {profiles: {\"a b\": {algorithm: ed25519}}}",
            "profile name",
        ),
        (
            "signer: {rotation: {alerts: [{type: fax}]}}",
            "slack, email or webhook",
        ),
        ("[1, 2]", "map"),
        ("server: {listen: [", "signer.yaml"),
    ] {
        let said = refusal(text);
        assert!(said.contains(says), "{text}: {said}");
    }
}

#[test]
fn every_algorithm_has_a_profile_in_software_and_another_store_where_the_file_says_so() {
    let defaults = settings("{}").expect("an empty file");
    let algorithms: BTreeSet<_> = defaults.profiles.values().map(|p| p.algorithm).collect();
    assert_eq!(algorithms, Algorithm::all().collect());
    assert!(defaults.profiles.values().all(|p| p.key_store == "software://"));

    let settings = settings(
        "signer: {profiles: {gost: {keyStore: \"hsm://local/gost\"}, sm2: {algorithm: sm2, keyStore: \"hsm://local/sm2\"}}}",
    )
    .expect("a file");
    for name in ["gost", "sm2"] {
        let profile = &settings.profiles[&name.parse().expect("a name")];
        assert_eq!(profile.key_store, format!("hsm://local/{name}"));
        assert_eq!(
            profile.algorithm,
            defaults.profiles[&name.parse().expect("a name")].algorithm
        );
    }
}

#[test]
fn the_homes_file_goes_over_the_machines_and_the_environment_over_both() {
    let dir = tempfile::tempdir().expect("a folder");
    let (system, home) = (dir.path().join("etc.yaml"), dir.path().join("home.yaml"));
    std::fs::write(
        &system,
        "signer: {profiles: {ci: {algorithm: ed25519, keyStore: \"kms://aws/key/a\"}}}\nserver: {listen: \"127.0.0.1:1\"}\n",
    )
    .expect("written");
    std::fs::write(
        &home,
        "# over it\nsigner: {profiles: {ci: {key_store: \"software://\"}}}\n",
    )
    .expect("written");
    let mut sources = Sources {
        explicit: None,
        usual: vec![system, home.clone(), dir.path().join("absent.yaml")],
        store_url: Some("postgres://me:secret@db/stella".into()),
    };
    let settings = load(&sources).expect("both");
    let ci = settings.profiles.get(&"ci".parse().expect("a name")).expect("ci");
    assert_eq!(ci.key_store, "software://");
    assert_eq!(settings.server.listen.as_deref(), Some("127.0.0.1:1"));
    let shown = format!("{} {settings:?}", settings.store.url);
    assert!(
        shown.contains("database stella at db as me") && !shown.contains("secret"),
        "{shown}"
    );
    assert_eq!(
        settings.origins.of("store.url"),
        Origin::Environment("STELLA_STORE")
    );
    let Origin::File(place) = settings.origins.of("signer.profiles.ci.keyStore") else {
        panic!("from a file");
    };
    assert_eq!(
        (place.file.as_ref(), place.line),
        (home.display().to_string().as_str(), 2)
    );
    assert_eq!(settings.origins.of("server.request_timeout"), Origin::Default);

    sources.explicit = Some(dir.path().join("absent.yaml"));
    assert_eq!(
        load(&sources).expect_err("named and absent").code(),
        "config.unreadable"
    );
    // Nobody is told to change the mode of a folder that others share.
    sources.explicit = Some(std::env::temp_dir());
    assert_eq!(load(&sources).expect_err("a folder").code(), "config.unreadable");
}

#[test]
fn no_file_or_an_empty_one_is_all_defaults() {
    for text in ["", "# nothing\n", "---\n", "signer:\n"] {
        let settings = settings(text).expect(text);
        let stores = key_stores(&settings);
        assert!(stores.iter().all(|s| *s == KeyStoreUri::Software));
    }
}

fn key_stores(settings: &Settings) -> Vec<KeyStoreUri> {
    let stores = settings.profiles.values().map(|p| p.key_store.parse());
    stores.map(|s| s.expect("checked when it was read")).collect()
}

#[test]
fn a_key_store_that_hangs_leaves_each_backup_its_part_of_the_deadline() {
    let mut settings = Settings::default();
    settings.signing.deadline = Duration::from_secs(10);
    assert_eq!(settings.time_of_a_key(), Duration::from_secs(9));
    let profile = settings.profiles.values_mut().next().expect("a profile");
    profile.backups = ["b", "c"].map(|id| id.parse().expect("a key id")).to_vec();
    assert_eq!(settings.time_of_a_key(), Duration::from_secs(3));
}
