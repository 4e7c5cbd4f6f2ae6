//! Keys on a hardware token, with the real program and a worker of its own:
//! made there, taken as a ceremony left them, and signed with.

use std::fs;

use serde_json::Value;
use stella_testkit::binary::{Ran, Stella};
use stella_testkit::token::{Faults, Kind, Token};

struct Bed {
    s: Stella,
    token: Token,
    config: String,
}

impl Bed {
    /// The profile fips signs on the token `prod`, which the first module
    /// reads; the module `backup` reads another.
    fn new() -> (Self, Token) {
        let (token, backup) = (Token::soft_hsm("prod"), Token::soft_hsm("spare"));
        let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
        s.file("pin", format!("{}\n", token.pin()));
        s.file("pin-backup", backup.pin());
        let module = |token: &Token, pin: &str| {
            let (name, value) = &token.environment()[0];
            format!(
                "{{libraryPath: {}, pinFile: {}, env: {{{name}: {value}}}, requestTimeout: 3s}}",
                token.module().display(),
                s.folder().join(pin).display()
            )
        };
        let text = format!(
            "signer: {{profiles: {{fips: {{algorithm: ecdsa-p256, keyStore: \"hsm://pkcs11/token/prod\", allowSoftware: false}}}}}}
hsm: {{modules: {{primary: {}, backup: {}}}}}
",
            module(&token, "pin"),
            module(&backup, "pin-backup")
        );
        let config = s.file("signer.yaml", text);
        let bed = Self { s, token, config };
        bed.ok("init --no-key");
        (bed, backup)
    }

    fn run(&self, line: &str) -> Ran {
        self.s.run(&format!("--config {} {line}", self.config))
    }

    fn ok(&self, line: &str) -> Ran {
        self.run(line).ends(0)
    }

    fn json(&self, line: &str) -> Value {
        self.ok(&format!("{line} -o json")).json()
    }

    /// What the key signs verifies under the anchor of `init`.
    fn trusted(&self, key: &str) {
        let anchors = self.json("anchor list");
        let id = anchors["anchors"][0]["trustAnchorId"]
            .as_str()
            .unwrap_or_else(|| panic!("no anchor: {anchors}"))
            .to_owned();
        self.ok(&format!("anchor add-key --anchor-id {id} --key-id {key}"));
    }
}

#[test]
fn a_key_made_on_a_token_signs_and_is_found_by_label_and_serial() {
    let (bed, backup) = Bed::new();
    let key = bed.json("keys generate --profile fips --key-id fips-a");
    let store = key["keyStore"].as_str().expect("a store");
    let serial = bed.token.slot().serial;
    let named = format!("hsm://pkcs11/token/prod?module=primary&serial={serial}&object=fips-a&id=%");
    assert!(store.starts_with(&named), "{store}");
    assert_eq!(key["status"], "active");

    bed.ok("attest test-sign --profile fips --verbose")
        .says("hsm primary")
        .says("CKM_ECDSA")
        .says(&format!("token \"prod\" (serial {serial})"))
        .says(" ms");
    bed.ok("keys verify fips-a --operation sign")
        .says("fips-a can sign: CKM_ECDSA");

    bed.trusted("fips-a");
    bed.ok("attest create --type test --subject test:token --profile fips");
    bed.ok("verify attestation --last")
        .says("PASS")
        .says("SHA256-ECDSA-P256 by fips-a");

    // The name is taken, here and on the token.
    bed.run("keys generate --profile fips --key-id fips-a")
        .ends(1)
        .says("key ids are never reused");
    bed.token.generate(Kind::EcdsaP256, "fips-c", "07");
    bed.run("keys generate --profile fips --key-id fips-c")
        .ends(1)
        .says("has a key of that name")
        .says("keys import --key-store");

    // What stands in is made in another module, and never in software here.
    bed.run("keys generate --profile fips --key-id b --standby --key-store software://")
        .ends(1)
        .says("allowSoftware");
    bed.run("keys generate --profile fips --key-id b --key-store hsm://pkcs11/token/spare?module=backup")
        .ends(2);
    let standby = bed.json(
        "keys generate --profile fips --key-id fips-b --standby --key-store hsm://pkcs11/token/spare?module=backup",
    );
    assert_eq!(standby["status"], "standby");
    let store = standby["keyStore"].as_str().expect("a store");
    assert!(
        store.contains(&format!(
            "token/spare?module=backup&serial={}",
            backup.slot().serial
        )),
        "{store}"
    );
    bed.ok("keys verify fips-b --operation sign").says("hsm backup");

    // Signing is moved there only where the profile lists it and anchors believe it.
    bed.run("crypto hsm failover --to backup")
        .ends(1)
        .says("does not list it")
        .says("next: add backups: [{key: fips-b}]");
    let text = std::fs::read_to_string(&bed.config).expect("the configuration");
    let listed = text.replace("allowSoftware: false", "backups: [{key: fips-b}]");
    std::fs::write(&bed.config, listed).expect("the configuration");
    bed.run("crypto hsm failover --to backup")
        .ends(1)
        .says("accepts fips-a and not fips-b")
        .says("next: stella anchor add-key --anchor-id");
    bed.trusted("fips-b");
    bed.ok("crypto hsm failover --to backup --profile fips")
        .says("profile fips signs with fips-b");
    // Each command is a process of its own: it lasts.
    let sign = "attest create --type test --subject test:moved --profile fips";
    assert_eq!(bed.json(sign)["attestations"][0]["keyId"], "fips-b");
    bed.ok("crypto hsm status").says("signing of fips");
    bed.ok("attest status").says("signing was moved to module backup");
    bed.run("doctor --check check.attestor.signing-health")
        .says("signing was moved by hand: fips to backup");
    bed.ok("audit query --type CONFIG_SET").says("hsm.failover");
    bed.ok("crypto hsm failover --to auto")
        .says("profile fips signs with fips-a");
    assert_eq!(bed.json(sign)["attestations"][0]["keyId"], "fips-a");
}

#[test]
fn a_ceremony_key_is_taken_as_it_is_once_it_has_signed() {
    let (bed, _backup) = Bed::new();
    bed.token.generate(Kind::EcdsaP256, "root-2025", "0a");
    let import =
        "keys import --profile fips --key-id fips-2025 --created-at 2026-01-01T00:00:00Z --key-store";
    let store = "hsm://pkcs11/token/prod?object=root-2025&id=%0A";

    bed.run(&format!("{import} hsm://pkcs11/token/prod"))
        .ends(2)
        .says("names a token and no key");
    bed.run(&format!("{import} hsm://pkcs11/token/prod?object=nobody"))
        .says("nobody")
        .says("next: stella");
    bed.run(&format!(
        "{import} pkcs11:token=prod;object=root-2025?pin-value=1234"
    ))
    .ends(2)
    .says("pinFile");

    let key = bed.json(&format!("{import} {store}"));
    assert_eq!(
        (&key["id"], &key["status"]),
        (&"fips-2025".into(), &"active".into())
    );
    assert_eq!(key["createdAt"], "2026-01-01T00:00:00Z");
    let notes = key["notes"].to_string();
    for said in ["SENSITIVE yes", "EXTRACTABLE no", "LOCAL yes"] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    bed.ok("attest logs --filter imported").says("EXTRACTABLE no");
    bed.trusted("fips-2025");
    bed.ok("attest create --type test --subject test:ceremony --profile fips");
    bed.ok("verify attestation --last")
        .says("PASS")
        .says("by fips-2025");

    // The same key is not entered twice, whatever it is called.
    bed.run(&format!(
        "keys import --profile fips --key-id again --key-store {store}"
    ))
    .ends(1)
    .says("the same key material cannot be entered twice");
    // A public key that is not the token's is no proof of anything.
    let elsewhere = Stella::new(env!("CARGO_BIN_EXE_stella"));
    elsewhere.ok("init");
    let keys = elsewhere.json("keys list");
    let other = keys["keys"][0]["publicKey"].as_str().expect("PEM");
    let file = bed.s.file("other.pem", other);
    bed.token.generate(Kind::EcdsaP256, "second", "0b");
    bed.run(&format!(
        "keys import --profile fips --key-id second --public-key {file} --key-store hsm://pkcs11/token/prod?object=second"
    ))
    .ends(1)
    .says("is not that of");
}

/// A key made outside and put into two devices, as vendors' cloning does.
#[test]
fn one_key_in_two_tokens_is_one_key_and_either_of_them_signs() {
    let (bed, backup) = Bed::new();
    let file = bed.s.folder().join("ceremony.pem");
    let made = std::process::Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
        ])
        .arg(&file)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    bed.token.import(&file, "fips-a", "0a");
    backup.import(&file, "fips-a", "0b");
    bed.token.generate(Kind::EcdsaP256, "other", "0c");
    let (prod, spare) = (
        "hsm://pkcs11/token/prod?object=fips-a",
        "hsm://pkcs11/token/spare?module=backup&object=fips-a",
    );
    bed.json(&format!(
        "keys import --profile fips --key-id fips-a --key-store {prod}"
    ));
    bed.trusted("fips-a");
    bed.run("doctor --check check.crypto.fallback-ready")
        .says("no backup is configured");

    // What is no clone of it, or no second place, is refused.
    bed.run("keys add-store fips-a --key-store hsm://pkcs11/token/prod?object=other")
        .ends(1)
        .says("is not that of");
    bed.token.import(&file, "twin", "0d");
    bed.run("keys add-store fips-a --key-store hsm://pkcs11/token/prod?object=twin&id=%0D")
        .ends(1)
        .says("fips-a is there already");
    bed.run(&format!(
        "keys import --profile fips --key-id fips-c --key-store {spare}"
    ))
    .ends(1)
    .says("is the key fips-a")
    .says("next: stella keys add-store fips-a --key-store");
    bed.run("keys add-store nobody --key-store kms://aws/key/x")
        .ends(3);

    let key = bed.json(&format!("keys add-store fips-a --key-store {spare}"));
    let further = key["furtherStores"][0].as_str().expect("a store").to_owned();
    assert!(
        further.contains(&format!(
            "token/spare?module=backup&serial={}",
            backup.slot().serial
        )),
        "{further}"
    );
    // Said twice, it stays once.
    let again = bed.json(&format!("keys add-store fips-a --key-store {spare}"));
    assert_eq!(again["furtherStores"].as_array().map(Vec::len), Some(1));
    bed.ok("audit query --type KEY_STORE_ADDED").says("fips-a");
    bed.ok("keys verify fips-a --operation sign")
        .says("hsm primary")
        .says("as well in hsm backup");
    bed.ok("doctor --check check.crypto.fallback-ready")
        .says("backup of profile fips: fips-a signed and verified")
        .says("hsm backup");
    bed.ok("doctor --check check.crypto.hsm-availability")
        .says("module backup: fips-a signed and verified");

    // The first token is pulled: the same key signs, and nothing is marked.
    bed.token.take_out();
    let made = bed.json("attest create --type test --subject test:clone --profile fips");
    let made = &made["attestations"][0];
    assert_eq!(
        (&made["keyId"], &made["state"]),
        (&"fips-a".into(), &"signed".into())
    );
    assert_ne!(made["signedByStandby"], true);
    bed.ok("verify attestation --last").says("PASS").says("by fips-a");
    bed.ok("attest logs --level warn")
        .says("fips-a of profile fips signed in HSM module backup, token spare");
    bed.token.put_back();

    // And the other one, which doctor finds before it is needed.
    backup.take_out();
    bed.run("doctor --check check.crypto.fallback-ready")
        .ends(1)
        .says("backup of profile fips")
        .says("next: stella keys verify fips-a --operation sign");
    bed.run("keys verify fips-a --operation sign")
        .ends(6)
        .says("token/spare");
    bed.ok("attest create --type test --subject test:first --profile fips");
    backup.put_back();

    // The first device is decommissioned: the second one takes its place.
    let first = key["keyStore"].as_str().expect("a store");
    let left = bed.json(&format!("keys remove-store fips-a --key-store {first}"));
    assert_eq!(left["keyStore"], further.as_str());
    assert_eq!(left.get("furtherStores"), None);
    bed.ok("attest create --type test --subject test:last --profile fips");
    bed.run(&format!("keys remove-store fips-a --key-store {further}"))
        .ends(1)
        .says("signs in")
        .says("alone")
        .says("next: stella keys add-store fips-a");
    bed.run(&format!("keys remove-store fips-a --key-store {first}"))
        .ends(3)
        .says("does not sign in");
    bed.ok("db verify");
}

#[test]
fn a_key_that_could_leave_its_token_is_not_taken_by_default() {
    let (bed, _backup) = Bed::new();
    bed.token.pkcs11_tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "loose",
        "--id",
        "0c",
        "--usage-sign",
        "--extractable",
    ]);
    let import = "keys import --profile fips --key-id loose --key-store hsm://pkcs11/token/prod?object=loose";
    bed.run(import)
        .ends(1)
        .says("EXTRACTABLE yes")
        .says("--allow-extractable");
    assert_eq!(
        bed.json("keys list --type signing")["keys"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    bed.ok(&format!("{import} --allow-extractable"))
        .says("EXTRACTABLE yes");
}

#[test]
fn a_token_that_is_down_records_and_says_what_to_run() {
    let (bed, _backup) = Bed::new();
    bed.ok("keys generate --profile fips --key-id fips-a");
    bed.trusted("fips-a");
    bed.token.take_out();
    let recorded = bed
        .run("attest create --type test --subject test:down --profile fips")
        .ends(5);
    recorded
        .says("signing failed: fips-a")
        .says("stella doctor --check check.crypto.hsm-availability, then stella attest retry --failed");
    bed.run("attest test-sign --profile fips")
        .ends(6)
        .says("next: stella doctor --check check.crypto.hsm-availability");
    bed.run("doctor --check check.crypto.hsm-availability").ends(1);
    bed.token.put_back();
    bed.ok("attest retry --failed");
    bed.ok("verify attestation --last").says("PASS");
    bed.ok("doctor --check check.crypto.hsm-availability")
        .says("signed and verified");
}

#[test]
fn a_wrong_pin_is_tried_once_by_all_processes_together() {
    let (bed, _backup) = Bed::new();
    bed.ok("keys generate --profile fips --key-id fips-a");
    bed.s.file("pin", "1234-wrong");
    for _ in 0..4 {
        let refused = bed.run("attest test-sign --profile fips").ends(6);
        refused.says("refused the login");
        bed.run("attest create --type test --subject test:pin --profile fips")
            .ends(5);
    }
    let tried = bed.json("attest logs --filter C_Login");
    let store = fs::read(bed.s.home().join("stella.db")).expect("the store");
    assert!(
        !store.windows(10).any(|w| w == b"1234-wrong"),
        "the PIN is in the store"
    );
    assert_eq!(refusals(&bed), 1, "{tried}");
    // The right PIN is not held responsible.
    bed.s.file("pin", bed.token.pin());
    bed.ok("attest test-sign --profile fips");
    bed.ok("attest retry --failed");

    fs::remove_file(bed.s.folder().join("pin")).expect("the PIN file");
    bed.run("attest test-sign --profile fips")
        .ends(6)
        .says("PIN file");
}

/// How often the token itself said no.
fn refusals(bed: &Bed) -> usize {
    let lines = bed.json("attest logs");
    let lines = lines["lines"].as_array().expect("lines");
    lines
        .iter()
        .filter(|l| l["fields"]["event"] == "pin.refused")
        .count()
}

/// GOST R 34.10-2012 in a process of its own, from nothing to a verdict.
#[test]
fn a_local_hsm_is_made_signs_counts_wrong_pins_and_is_recovered() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    let pin = s.file("pin", "correct-horse-20\n");
    let config = s.file(
        "signer.yaml",
        format!(
            "signer: {{profiles: {{gost: {{algorithm: gost2012-256, keyStore: \"hsm://local/gost\"}}}}}}
hsm: {{local: {{gost: {{pinFile: {pin}}}}}}}
signing: {{deadline: 20s}}
"
        ),
    );
    let run = |line: &str| s.run(&format!("--config {config} {line}"));
    run("init --no-key").ends(0);
    // Nothing is made by itself.
    run("keys generate --profile gost --key-id gost-a")
        .ends(6)
        .says("there is no local HSM")
        .says("next: stella crypto local-hsm init gost");
    run("doctor --check check.crypto.hsm-availability")
        .ends(1)
        .says("there is no local HSM")
        .says("next: stella crypto local-hsm init gost");
    let made = run("crypto local-hsm init gost -o json").ends(0).json();
    let code = made["recoveryCode"].as_str().expect("a recovery code").to_owned();
    run("crypto local-hsm init gost")
        .ends(1)
        .says("it is not replaced");

    let key = run("keys generate --profile gost --key-id gost-a -o json")
        .ends(0)
        .json();
    assert_eq!(key["keyStore"], "hsm://local/gost?object=gost-a");
    run("attest test-sign --profile gost")
        .ends(0)
        .says("GOST")
        .says("hsm gost");
    run("doctor --check check.crypto.hsm-availability")
        .ends(0)
        .says("local HSM: profile gost: gost-a signed and verified in");
    let anchors = run("anchor list -o json").ends(0).json();
    let anchor = anchors["anchors"][0]["trustAnchorId"]
        .as_str()
        .expect("an anchor")
        .to_owned();
    run(&format!("anchor add-key --anchor-id {anchor} --key-id gost-a")).ends(0);
    run("attest create --type test --subject test:gost --profile gost").ends(0);
    run("verify attestation --last")
        .ends(0)
        .says("PASS")
        .says("by gost-a");

    // Another PIN in the file: recorded, counted once, and told.
    s.file("pin", "another-horse-21");
    for _ in 0..2 {
        run("attest create --type test --subject test:later --profile gost")
            .ends(5)
            .says("local HSM operation failed: local HSM \"gost\"")
            .says("next: stella crypto local-hsm status gost");
    }
    run("doctor --check check.crypto.hsm-availability")
        .ends(1)
        .says("local HSM gost: 1 wrong PINs since the last right one")
        .says("next: stella crypto local-hsm status gost");
    run("crypto local-hsm status gost")
        .ends(0)
        .says("1 wrong since the last right one");
    let file = s.file("wrong", "00000000-00000000-00000000-00000000");
    run(&format!(
        "crypto local-hsm recover gost --recovery-code-file {file}"
    ))
    .ends(4)
    .says("recovery code was refused");
    let file = s.file("code", code);
    run(&format!(
        "crypto local-hsm recover gost --recovery-code-file {file}"
    ))
    .ends(0)
    .says("in order");
    run("attest retry --failed").ends(0);
    run("verify attestation --last").ends(0).says("PASS");
    run("crypto local-hsm status sm2").ends(3).says("there is gost");
}

/// What a vendor's documentation lists, and what is written down of it.
const OFFERED: &str = "
C_GenerateKeyPair sm2 0x80000A00
C_SignInit sm2 0x80000A01
C_GenerateKeyPair gost 0xD4321005
C_SignInit gost 0xD4321006
";

/// An instance whose profiles sm2 and gost sign on the token `prod` with these
/// mechanisms.
fn with_vendor_mechanisms(token: &Token, mechanisms: &str) -> (Stella, String) {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    let pin = s.file("pin", token.pin());
    let env: Vec<String> = token
        .environment()
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let store = "keyStore: \"hsm://pkcs11/token/prod\", allowSoftware: false";
    let text = format!(
        "signer: {{profiles: {{sm2: {{algorithm: sm2, {store}}}, gost: {{algorithm: gost2012-256, {store}}}}}}}
hsm: {{modules: {{primary: {{libraryPath: {}, pinFile: {pin}, env: {{{}}}, mechanisms: {mechanisms}}}}}}}
",
        token.module().display(),
        env.join(", "),
    );
    let config = s.file("signer.yaml", text);
    s.run(&format!("--config {config} init --no-key")).ends(0);
    (s, config)
}

#[test]
fn sm2_and_gost_sign_on_a_token_by_the_numbers_of_its_vendor() {
    const RIGHT: &str = "{sm2: {sign: 0x80000A01, generate: 0x80000A00, keyType: 0x3, input: digest}, \
                         gost2012-256: {sign: 0xD4321006, generate: 0xD4321005, keyType: 0x30, input: digest}}";
    let mut token = Token::soft_hsm("prod");
    Faults::before(&mut token).set(OFFERED);
    let (s, config) = with_vendor_mechanisms(&token, RIGHT);
    let run = |line: &str| s.run(&format!("--config {config} {line}"));
    let anchors = run("anchor list -o json").ends(0).json();
    let anchor = anchors["anchors"][0]["trustAnchorId"]
        .as_str()
        .expect("an anchor")
        .to_owned();
    let mut made = Vec::new();
    for (profile, algorithm, mechanism) in [
        ("sm2", "SM2-P256", "CKM_VENDOR_DEFINED 0x80000A01"),
        ("gost", "GOST-R-34.10-2012", "CKM_VENDOR_DEFINED 0xD4321006"),
    ] {
        let key = run(&format!(
            "keys generate --profile {profile} --key-id {profile}-a -o json"
        ))
        .ends(0)
        .json();
        made.push((profile, key["keyStore"].as_str().expect("a store").to_owned()));
        run(&format!("attest test-sign --profile {profile} --verbose"))
            .ends(0)
            .says(mechanism);
        run(&format!(
            "anchor add-key --anchor-id {anchor} --key-id {profile}-a"
        ))
        .ends(0);
        run(&format!(
            "attest create --type test --subject test:{profile} --profile {profile}"
        ))
        .ends(0);
        run("verify attestation --last")
            .ends(0)
            .says("PASS")
            .says(&format!("{algorithm} by {profile}-a"));
    }

    // Another instance takes the keys by reference.
    let (other, config) = with_vendor_mechanisms(&token, RIGHT);
    for (profile, store) in &made {
        let named = format!("--profile {profile} --key-id {profile}-taken --key-store {store}");
        let line = format!("--config {config} keys import {named} --created-at 2026-01-01T00:00:00Z");
        other.run(&line).ends(0);
    }

    // A number that the token does not have is named with its setting.
    let wrong = RIGHT.replace("sign: 0x80000A01", "sign: 0x80000BAD");
    let (third, config) = with_vendor_mechanisms(&token, &wrong);
    third
        .run(&format!(
            "--config {config} keys generate --profile sm2 --key-id sm2-b"
        ))
        .ends(1)
        .says("hsm.modules.primary.mechanisms.SM2-P256.sign is 0x80000BAD");
}
