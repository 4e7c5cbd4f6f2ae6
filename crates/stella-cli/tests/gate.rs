//! The gate a user writes: `stella verify artifact ... || exit 1`, against
//! everything that could slip through it.

use std::path::Path;
use std::process::Command;

use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope, EnvelopeSignature};
use stella_testkit::binary::{Ran, Stella};

const PURL: &str = "pkg:npm/left-pad@1.3.0";

/// A home with a key, an anchor for npm, and an artifact.
struct Scene {
    stella: Stella,
    artifact: String,
    anchor: String,
}

impl Scene {
    fn set() -> Self {
        let stella = Stella::new(env!("CARGO_BIN_EXE_stella"));
        stella.ok("init --no-key");
        stella.ok("keys generate --profile default --key-id key-1");
        let anchor = stella.json("anchor create --purl-pattern pkg:npm/* --key-ids key-1");
        let anchor = anchor["trustAnchorId"].as_str().expect("an anchor id").to_owned();
        let artifact = stella.file("left-pad-1.3.0.tgz", "the artifact");
        stella.file("sbom.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
        Self {
            stella,
            artifact,
            anchor,
        }
    }

    fn create(&self, kind: &str, purl: &str, more: &str) -> String {
        let sbom = self.stella.folder().join("sbom.json");
        let artifact = &self.artifact;
        format!(
            "attest create --type {kind} --subject {artifact} --purl {purl} --predicate {} {more}",
            sbom.display()
        )
    }

    fn attest(&self, kind: &str, purl: &str, more: &str) -> String {
        self.stella.json(&self.create(kind, purl, more))["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    fn gate(&self, more: &str) -> Ran {
        self.stella.run(&format!(
            "verify artifact --file {} --purl {PURL} {more}",
            self.artifact
        ))
    }
}

#[test]
fn a_signed_sbom_opens_the_gate() {
    let scene = Scene::set();
    scene.gate("").ends(10).says("attestation.none");
    scene.attest("cyclonedx", PURL, "");
    scene.gate("--require-type cyclonedx").ends(0).says("PASS");
    let verdict = scene.gate("--require-type cyclonedx -o json").json();
    assert_eq!(
        (verdict["verdict"].as_str(), verdict["code"].as_str()),
        (Some("PASS"), Some("ok"))
    );
    assert!(verdict["trace"].as_array().is_some_and(|t| !t.is_empty()));
}

#[test]
fn one_required_type_missing_keeps_it_shut() {
    let scene = Scene::set();
    scene.attest("cyclonedx", PURL, "");
    scene
        .gate("--require-type cyclonedx --require-type slsaprovenance1")
        .ends(11)
        .says("attestation.missing");
}

#[test]
fn another_packages_key_cannot_claim_our_digest() {
    let scene = Scene::set();
    let s = &scene.stella;
    s.ok("keys generate --profile fips --key-id other-team");
    s.ok("anchor create --purl-pattern pkg:npm/other-team --key-ids other-team");
    scene.attest("cyclonedx", "pkg:npm/other-team@1.0.0", "--profile fips");
    scene
        .gate("--require-type cyclonedx")
        .ends(12)
        .says("subject.other-name");
    // Claiming our name instead, with a key our anchor never held.
    scene.attest("cyclonedx", PURL, "--profile fips");
    scene
        .gate("--require-type cyclonedx")
        .ends(12)
        .says("key.not-allowed");
    // And neither spoils what our own key says.
    scene.attest("cyclonedx", PURL, "");
    scene.gate("--require-type cyclonedx").ends(0);
}

#[test]
fn a_withdrawn_attestation_does_not_count() {
    let scene = Scene::set();
    let id = scene.attest("cyclonedx", PURL, "");
    scene
        .stella
        .ok(&format!("attest withdraw {id} --reason superseded --yes"));
    scene.gate("").ends(12).says("attestation.withdrawn");
}

#[test]
fn what_is_recorded_but_unsigned_does_not_count() {
    let scene = Scene::set();
    let s = &scene.stella;
    s.ok("keys revoke key-1 --reason compromise --yes");
    s.run(&scene.create("cyclonedx", PURL, ""))
        .ends(5)
        .says("recorded");
    scene.gate("").ends(11).says("attestation.unsigned");
    // A successor signs it, and the gate opens.
    s.ok("keys generate --profile default --key-id key-2");
    s.ok("anchor add-key --anchor-id ALL --key-id key-2 --yes");
    s.ok("attest retry --failed --last 1h");
    scene.gate("").ends(0);
}

#[test]
fn a_bundle_for_another_artifact_is_refused() {
    let scene = Scene::set();
    let bundle = scene
        .stella
        .folder()
        .join("sbom.bundle.json")
        .display()
        .to_string();
    scene.attest("cyclonedx", PURL, &format!("--bundle {bundle}"));
    let s = &scene.stella;
    s.run(&format!(
        "verify --bundle {bundle} --artifact {} --purl {PURL}",
        scene.artifact
    ))
    .ends(0);
    let other = s.file("other.tgz", "another artifact");
    s.run(&format!(
        "verify --bundle {bundle} --artifact {other} --purl {PURL}"
    ))
    .ends(12)
    .says("subject.mismatch");
    let unbound = s.run(&format!("verify --bundle {bundle} -o json")).ends(0).json();
    assert_eq!(unbound["artifactBound"], false);
}

#[test]
fn a_flipped_byte_never_passes() {
    let scene = Scene::set();
    let bundle = scene.stella.folder().join("sbom.bundle.json");
    scene.attest("cyclonedx", PURL, &format!("--bundle {}", bundle.display()));
    let mut text = std::fs::read_to_string(&bundle).expect("the bundle");
    let at = text.find("\"payload\":").expect("a payload") + 60;
    let flipped = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    text.replace_range(at..=at, flipped);
    std::fs::write(&bundle, text).expect("written");
    let ran = scene
        .stella
        .run(&format!("verify --bundle {} -o json", bundle.display()));
    assert_eq!(ran.code, 12, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn the_looser_anchor_never_rescues_what_the_stricter_rejects() {
    let scene = Scene::set();
    let s = &scene.stella;
    s.ok("keys generate --profile fips --key-id strict");
    s.ok("anchor create --purl-pattern pkg:npm/left-pad --key-ids strict");
    scene.attest("cyclonedx", PURL, "");
    scene.gate("").ends(12).says("key.not-allowed");
    s.ok(&format!("anchor explain {PURL}"))
        .says("pkg:npm/left-pad")
        .says(&scene.anchor[..8]);
}

#[test]
fn a_copy_of_the_key_does_not_pass_for_us() {
    let scene = Scene::set();
    let s = &scene.stella;
    // The thief has the private key; we have it sealed.
    let pem = s.folder().join("stolen.pem");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &text(&pem)]);
    s.ok(&format!(
        "keys import --key-id shared --profile default --private-key {}",
        pem.display()
    ));
    s.ok("anchor add-key --anchor-id ALL --key-id shared --yes");
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"{PURL}","digest":{{"sha256":"{}"}}}}],"predicateType":"https://cyclonedx.org/bom","predicate":{{}}}}"#,
        Sha256::of(b"the artifact")
    );
    let pae = s.file("pae", dsse::pae(dsse::IN_TOTO_PAYLOAD_TYPE, statement.as_bytes()));
    let signature = s.folder().join("sig");
    openssl(&[
        "pkeyutl",
        "-sign",
        "-rawin",
        "-inkey",
        &text(&pem),
        "-in",
        &pae,
        "-out",
        &text(&signature),
    ]);
    let forged = Envelope {
        payload_type: dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: statement.into_bytes(),
        signatures: vec![EnvelopeSignature {
            keyid: Some("shared".to_owned()),
            sig: std::fs::read(&signature).expect("a signature"),
        }],
    };
    let forged = s.file("forged.json", forged.to_json());
    let id = s.json(&format!("attest import {forged}"))["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    scene.gate("").says("ledger.unknown");
    s.run(&format!("attest resign {id}"))
        .ends(1)
        .says("never made the signature");
    s.ok(&format!("anchor update {} --require-ledger", scene.anchor));
    scene.gate("").ends(12).says("ledger.unknown");
}

fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .status()
        .expect("openssl is installed");
    assert!(done.success(), "openssl {arguments:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
