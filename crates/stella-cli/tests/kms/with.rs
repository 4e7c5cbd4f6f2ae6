//! The program beside a KMS that fails on demand.

use serde_json::Value;
use stella_testkit::aws_kms::{ACCESS_KEY, FakeKms, Fault, KeyState, REGION, SECRET_KEY};
use stella_testkit::binary::{Ran, Stella};
use stella_testkit::certificate::self_signed;

/// A home whose profiles keep their keys in KMS.
struct Desk {
    kms: FakeKms,
    stella: Stella,
    anchor: String,
}

impl Desk {
    /// Without any key yet.
    fn new() -> Self {
        Self::beside(FakeKms::start(), Stella::new(env!("CARGO_BIN_EXE_stella")))
    }

    fn beside(kms: FakeKms, stella: Stella) -> Self {
        let config = format!(
            "signer:\n  profiles:\n    \
             default: {{algorithm: SHA256-ED25519, keyStore: \"kms://aws/key/stellaops-default\"}}\n    \
             fips: {{algorithm: ecdsa-p256, keyStore: \"kms://aws/key/alias/stellaops-fips\"}}\n    \
             pqc: {{algorithm: ml-dsa-65, keyStore: \"kms://aws/key/stellaops-pqc\"}}\n\
             kms: {{aws: {{region: {REGION}, endpoint: \"{}\", requestTimeout: 3s, connectTimeout: 3s}}}}\n",
            kms.endpoint()
        );
        stella.file("signer.yaml", config);
        let mut desk = Self {
            kms,
            stella,
            anchor: String::new(),
        };
        let made = desk.ok("init -o json").json();
        desk.anchor = made["anchorId"].as_str().expect("an anchor").to_owned();
        desk
    }

    /// As a pipeline has it: credentials in the environment.
    fn run(&self, line: &str) -> Ran {
        let config = self.stella.folder().join("signer.yaml");
        let line = format!("--config {} {line}", config.display());
        let mut environment = vec![
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ];
        // Without one, what the machine trusts.
        let trusted = self.stella.folder().join("trusted.pem").display().to_string();
        if std::path::Path::new(&trusted).exists() {
            environment.push(("SSL_CERT_FILE", &trusted));
        }
        self.stella.run_with(&line, &environment)
    }

    fn ok(&self, line: &str) -> Ran {
        self.run(line).ends(0)
    }

    fn json(&self, line: &str) -> Value {
        self.ok(&format!("{line} -o json")).json()
    }

    /// Makes a key that the anchor of test statements accepts.
    fn key(&self, profile: &str, id: &str) {
        self.ok(&format!("keys generate --profile {profile} --key-id {id}"));
        self.ok(&format!(
            "anchor add-key --anchor-id {} --key-id {id}",
            self.anchor
        ));
    }

    fn alias(&self, name: &str) -> Option<String> {
        self.kms.aliases().remove(&format!("alias/{name}"))
    }
}

const SIGN: &str = "attest create --type test --subject test:verification";

#[test]
fn keys_are_made_in_kms_and_what_they_sign_passes() {
    let desk = Desk::new();
    for (profile, alias) in [
        ("default", "stellaops-default"),
        ("fips", "stellaops-fips"),
        ("pqc", "stellaops-pqc"),
    ] {
        let id = format!("key-{profile}");
        desk.key(profile, &id);
        let in_kms = desk.alias(alias).expect("the alias was made");
        let shown = desk.json(&format!("keys show {id}"));
        assert_eq!(
            shown["keyStore"],
            format!("kms://aws/key/{in_kms}"),
            "by its id, which stays"
        );
        let created = desk.json(&format!("{SIGN} --profile {profile}"));
        let attestation = created["id"].as_str().expect("an id");
        desk.ok(&format!("verify attestation --attestation {attestation}"))
            .says("PASS");
        let tested = desk.json(&format!("attest test-sign --profile {profile}"));
        assert_eq!(tested["store"], "aws-kms");
        assert_eq!(tested["slot"], in_kms);
    }
    let providers = desk.json("crypto providers list");
    let stores: Vec<_> = providers["algorithms"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|a| &a["stores"])
        .collect();
    assert_eq!(
        stores
            .iter()
            .filter(|s| s.to_string().contains("aws-kms"))
            .count(),
        3,
        "{providers}"
    );
    let descriptions = desk.kms.descriptions();
    assert!(
        descriptions.contains(&"Stella signing key key-fips".to_owned()),
        "{descriptions:?}"
    );
}

#[test]
fn kms_is_spoken_to_inside_tls_and_only_if_its_certificate_is_trusted() {
    let stella = Stella::new(env!("CARGO_BIN_EXE_stella"));
    let folder = stella.folder().to_owned();
    self_signed(&folder, "kms", "critical,CA:FALSE");
    let kms = FakeKms::start_with_tls(&folder.join("kms.pem"), &folder.join("kms.key"));
    let desk = Desk::beside(kms, stella);

    self_signed(&folder, "trusted", "critical,CA:FALSE");
    desk.run("keys generate --profile fips --key-id fips-1")
        .ends(6)
        .says("invalid peer certificate");
    assert!(desk.kms.requests().is_empty(), "nothing was sent");

    desk.stella.file("trusted.pem", "");
    desk.run("keys generate --profile fips --key-id fips-1")
        .ends(1)
        .says("this machine trusts no authority for TLS: install ca-certificates");

    std::fs::copy(folder.join("kms.pem"), folder.join("trusted.pem")).expect("copied");
    desk.key("fips", "fips-1");
    desk.ok(&format!("{SIGN} --profile fips"));
    desk.ok("verify attestation --last").says("PASS");
}

#[test]
fn a_successor_is_made_beside_its_predecessor_and_nobodys_alias_is_moved() {
    let desk = Desk::new();
    desk.key("default", "key-2025.prod");
    let first = desk.alias("stellaops-default");
    desk.key("default", "key-2026.prod");
    assert_eq!(desk.alias("stellaops-default"), first);
    assert!(desk.alias("stellaops-default-key-2026_prod").is_some());
    let signed = desk.json(SIGN);
    assert_eq!(signed["attestations"][0]["keyId"], "key-2026.prod", "{signed}");
    desk.ok("verify attestation --last").says("PASS");
    // The one before still signs what is asked of it by name.
    desk.ok("attest test-sign --key-id key-2025.prod");
}

#[test]
fn a_key_that_was_there_before_is_taken_once_and_only_if_it_signs() {
    let desk = Desk::new();
    let id = desk.kms.key("ECC_NIST_P256", "SIGN_VERIFY");
    desk.kms.alias("stellaops-fips", &id);
    desk.kms.next([
        Fault::Slow(std::time::Duration::ZERO),
        Fault::Error(
            400,
            "AccessDeniedException",
            "User is not authorized to perform: kms:Sign",
        ),
    ]);
    desk.run("keys generate --profile fips --key-id fips-1")
        .ends(1)
        .says("not authorized to perform: kms:Sign")
        .says("aws kms get-key-policy");
    desk.key("fips", "fips-1");
    assert_eq!(
        desk.json("keys show fips-1")["keyStore"],
        format!("kms://aws/key/{id}")
    );
    let events = desk.ok("audit query").stdout;
    assert!(
        events.contains("KEY_IMPORTED"),
        "it was not generated here: {events}"
    );
    assert_eq!(desk.kms.descriptions().len(), 1, "no other key was made");

    let other = desk.kms.key("ECC_NIST_P256", "SIGN_VERIFY");
    desk.kms.alias("stellaops-pqc", &other);
    desk.run("keys generate --profile pqc")
        .ends(1)
        .says("is a key of SHA256-ECDSA-P256, and the profile signs with ML-DSA-65");
}

#[test]
fn a_key_of_a_ceremony_is_imported_where_it_is_after_it_has_signed() {
    let desk = Desk::new();
    let id = desk.kms.key("ECC_NIST_P256", "SIGN_VERIFY");
    desk.kms.alias("ceremony/2026", &id);
    let import = "keys import --profile fips --key-id fips-2026 --key-store";
    desk.run(&format!("{import} kms://aws/key/ceremony/2027"))
        .ends(3)
        .says("AWS KMS has no key ceremony/2027");
    desk.run("keys import --profile pqc --key-id pqc-2026 --key-store kms://aws/key/ceremony/2026")
        .ends(2)
        .says("profile pqc signs with ML-DSA-65");
    desk.kms
        .next([Fault::Slow(std::time::Duration::ZERO), Fault::WrongSignature]);
    desk.run(&format!("{import} kms://aws/key/ceremony/2026"))
        .ends(1)
        .says("does not verify");
    let made = "2026-01-02T03:04:05Z";
    desk.ok(&format!(
        "{import} kms://aws/key/ceremony/2026 --created-at {made}"
    ))
    .says(&format!("arn:aws:kms:{REGION}:111122223333:key/{id}"));
    let shown = desk.json("keys show fips-2026");
    assert_eq!(shown["keyStore"], format!("kms://aws/key/{id}"));
    assert!(
        shown["createdAt"]
            .as_str()
            .expect("a time")
            .starts_with("2026-01-02T03:04:05")
    );
    desk.ok(&format!(
        "anchor add-key --anchor-id {} --key-id fips-2026",
        desk.anchor
    ));
    desk.ok(&format!("{SIGN} --profile fips"));
    desk.ok("verify attestation --last").says("PASS");
    // Its public half is known: another may not be claimed for it.
    let stranger = desk
        .stella
        .file("stranger.pem", desk.ok("keys show fips-2026 --public").stdout);
    let second = desk.kms.key("ECC_NIST_P256", "SIGN_VERIFY");
    desk.run(&format!(
        "keys import --profile fips --key-id fips-2 --key-store kms://aws/key/{second} --public-key {stranger}"
    ))
    .ends(1);
}

#[test]
fn a_statement_too_long_for_ed25519_in_kms_is_refused_for_good_with_the_profiles_that_can() {
    let desk = Desk::new();
    desk.key("default", "key-default");
    let long = desk
        .stella
        .file("long.json", format!("{{\"note\": \"{}\"}}", "x".repeat(5_000)));
    let create = format!("{SIGN} --predicate {long}");
    desk.kms.forget_requests();
    desk.run(&create)
        .ends(1)
        .says("the key store signs at most 4096 bytes")
        .says("Ed25519ph, which takes a digest, is another algorithm")
        .says("next: stella keys generate --profile fips");
    assert!(
        desk.kms.requests().is_empty(),
        "found out before anybody was asked"
    );
    desk.key("fips", "key-fips");
    desk.key("pqc", "key-pqc");
    let refused = desk
        .run(&format!("{create} --accept-recorded -o json"))
        .ends(1)
        .json();
    assert_eq!(
        refused["attestations"][0]["state"], "failed",
        "never repeated by itself"
    );
    assert_eq!(
        refused["attestations"][0]["next"],
        "stella attest create --profile fips (or pqc)"
    );
    for profile in ["fips", "pqc"] {
        desk.ok(&format!("{create} --profile {profile}"));
        desk.ok("verify attestation --last").says("PASS");
    }
}

#[test]
fn a_key_in_kms_stands_by_under_an_alias_of_its_own() {
    let desk = Desk::new();
    desk.key("fips", "fips-a");
    let generate = "keys generate --profile fips --key-id fips-b --standby --key-store";
    desk.ok(&format!("{generate} kms://aws/key/stellaops-standby"));
    let made = desk.alias("stellaops-standby").expect("the alias was made");
    let shown = desk.json("keys show fips-b");
    assert_eq!(shown["status"], "standby");
    assert_eq!(shown["keyStore"], format!("kms://aws/key/{made}"));
    desk.ok("keys verify fips-b --operation sign");
    // The same alias again: a successor beside it.
    desk.ok(
        "keys generate --profile fips --key-id fips-c --standby --key-store kms://aws/key/stellaops-standby",
    );
    assert_eq!(desk.alias("stellaops-standby"), Some(made));
    assert!(desk.alias("stellaops-standby-fips-c").is_some());

    let check = "doctor --check check.crypto.hsm-availability";
    desk.ok(check)
        .says("AWS KMS: profile fips: fips-b signed and verified");
    desk.kms.always(Some(Fault::Status(503)));
    desk.run(check)
        .ends(1)
        .says("AWS KMS: fips-b:")
        .says("stella keys verify fips-b --operation sign");
}

#[test]
fn while_kms_is_out_statements_are_recorded_and_signed_when_it_is_back() {
    let desk = Desk::new();
    desk.key("default", "key-default");
    for (fault, says) in [
        (Fault::Status(503), "HTTP 503"),
        (Fault::Throttled, "ThrottlingException"),
        (Fault::Hang, "AWS KMS"),
        (Fault::WrongSignature, "does not verify"),
        (
            Fault::Error(400, "ExpiredTokenException", "The security token is expired"),
            "aws sts get-caller-identity",
        ),
    ] {
        desk.kms.always(Some(fault.clone()));
        desk.run(SIGN)
            .ends(5)
            .says(says)
            .says("stella attest retry --failed");
        desk.kms.always(None);
        desk.ok("attest retry --failed")
            .says("1 signed, 0 still unsigned");
    }
    desk.kms
        .set_state("alias/stellaops-default", KeyState::PendingDeletion);
    desk.run(SIGN)
        .ends(5)
        .says("pending deletion")
        .says("aws kms cancel-key-deletion --key-id 1234abcd");
    desk.kms.set_state("alias/stellaops-default", KeyState::Enabled);
    desk.ok("attest retry --failed")
        .says("1 signed, 0 still unsigned");
    desk.ok("db verify");
}

#[test]
fn the_role_of_a_container_is_enough_and_without_any_credentials_it_says_so() {
    let desk = Desk::new();
    let config = desk.stella.folder().join("signer.yaml");
    let generate = format!(
        "--config {} keys generate --profile default --key-id key-1",
        config.display()
    );
    let nobody = ("AWS_EC2_METADATA_DISABLED", "true");
    desk.stella
        .run_with(&generate, &[nobody])
        .ends(1)
        .says("no credentials")
        .says("aws sts get-caller-identity");
    let agent = format!("{}/credentials", desk.kms.endpoint());
    let role = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str());
    desk.stella.run_with(&generate, &[nobody, role]).ends(0);
}

#[test]
fn credentials_that_were_renewed_in_their_file_are_read_by_a_reload() {
    let desk = Desk::new();
    desk.key("default", "key-default");
    let credentials = |secret: &str| {
        let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n");
        desk.stella.file("credentials", text)
    };
    let file = credentials("of last year");
    let config = desk.stella.folder().join("signer.yaml");
    let text = std::fs::read_to_string(&config).expect("the file");
    let text = text.replace("requestTimeout: 3s", &format!("credentialsFile: {file}"));
    std::fs::write(&config, text).expect("written");
    let mut server = desk
        .stella
        .command(["--config", &config.display().to_string(), "serve"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let socket = desk.stella.home().join("stella.sock");
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(
            server.try_wait().expect("its state").is_none(),
            "the server ended"
        );
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        desk.stella.run(SIGN).ends(5).says("InvalidSignatureException");
        credentials(SECRET_KEY);
        desk.stella.ok("attest reload");
        desk.stella.ok(&format!("{SIGN} --force"));
        desk.stella.ok("attest retry --failed");
    }));
    server.kill().expect("killed");
    server.wait().expect("gone");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_kms_that_hangs_is_named_before_the_callers_own_deadline() {
    let desk = Desk::new();
    desk.key("default", "key-default");
    let config = desk.stella.folder().join("signer.yaml");
    let mut text = std::fs::read_to_string(&config).expect("the file");
    text.push_str("signing: {deadline: 3s}\n");
    std::fs::write(&config, text).expect("written");
    desk.kms.always(Some(Fault::Hang));
    desk.run(SIGN)
        .ends(5)
        .says("AWS KMS, key 1234abcd")
        .says("no answer within");
}
