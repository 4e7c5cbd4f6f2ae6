//! What goes with a release: one address for all that is attested about it,
//! and what a gate makes of it, with the real program.

use serde_json::Value;
use stella_core::digest::Sha256;
use stella_testkit::binary::{Ran, Stella};

const PURL: &str = "pkg:npm/left-pad@1.3.0";

/// A home with a key, an anchor for npm, and an artifact with its evidence.
struct Scene {
    stella: Stella,
    anchor: String,
    artifact: String,
    members: [String; 3],
}

impl Scene {
    fn set() -> Self {
        let stella = Stella::new(env!("CARGO_BIN_EXE_stella"));
        stella.ok("init --no-key");
        stella.ok("keys generate --profile default --key-id key-1");
        let anchor = stella.json("anchor create --purl-pattern pkg:npm/* --key-ids key-1");
        let artifact = stella.file("left-pad-1.3.0.tgz", "the artifact");
        let predicate = stella.file("predicate.json", r#"{"found":"nothing"}"#);
        let members = ["evidence.stella/v1", "reasoning.stella/v1", "cdx-vex.stella/v1"].map(|kind| {
            let made = stella.json(&format!(
                "attest create --type {kind} --subject {artifact} --purl {PURL} --predicate {predicate}"
            ));
            text(&made["id"])
        });
        Self {
            stella,
            anchor: text(&anchor["trustAnchorId"]),
            artifact,
            members,
        }
    }

    /// Found by the artifact alone: all statements about it agree on its name.
    fn prove(&self) -> String {
        let artifact = &self.artifact;
        let made = self
            .stella
            .json(&format!("proof create --subject {artifact} --purl {PURL}"));
        text(&made["id"])
    }

    fn verify(&self, what: &str, more: &str) -> Ran {
        self.stella.run(&format!("verify --proof-bundle {what} {more}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

#[test]
fn a_release_is_verified_by_one_address() {
    let scene = Scene::set();
    let s = &scene.stella;
    let address = scene.prove();
    let shown = s.json(&format!("proof show {address}"));
    let listed: Vec<_> = shown["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|m| text(&m["attestations"][0]))
        .collect();
    assert_eq!(listed, scene.members);
    assert_eq!(shown["wouldVerify"]["verdict"], "PASS");

    scene
        .verify(&address, "")
        .ends(0)
        .says("root")
        .says("reasoning.stella/v1")
        .says("not compared");
    let verdict = scene.verify(&address, "-o json").ends(0).json();
    assert_eq!(
        (&verdict["id"], &verdict["verdict"]),
        (&shown["id"], &"PASS".into())
    );
    assert_eq!(verdict["code"], "ok");
    let members = |verdict: &Value| {
        let trace = verdict["trace"].as_array().expect("a trace").clone();
        trace
            .into_iter()
            .filter(|c| c["name"] == "member")
            .collect::<Vec<_>>()
    };
    assert_eq!(members(&verdict).len(), 3);
    assert!(members(&verdict).iter().all(|m| !m["children"][0].is_null()));
    let brief: String = address.chars().take(19).collect();
    scene.verify(&format!("{brief}..."), "--at-time NOW").ends(0);

    // Bound to what is about to be shipped.
    let artifact = &scene.artifact;
    scene
        .verify(&address, &format!("--artifact {artifact} --purl {PURL}"))
        .ends(0);
    let other = s.file("other.tgz", "another artifact");
    scene
        .verify(&address, &format!("--artifact {other} --purl {PURL}"))
        .ends(12)
        .says("subject.mismatch");
    s.ok(&format!("proof list --subject {PURL}")).says(&address);
    s.ok("proof list --subject pkg:npm/other").says("no proofs match");
    s.ok(&format!("proof list --attestation {}", scene.members[0]))
        .says(&address);
    // Named one by one it is the same proof.
    let again = s.json(&format!("proof create {}", scene.members.join(" ")));
    assert_eq!((text(&again["id"]), &again["repeated"]), (address, &true.into()));
}

#[test]
fn an_exported_proof_is_its_address_and_an_altered_one_fails() {
    let scene = Scene::set();
    let s = &scene.stella;
    let address = scene.prove();
    let file = s.folder().join("proof.json").display().to_string();
    s.ok(&format!("proof export {address} --out {file}"));
    let bytes = std::fs::read(&file).expect("written");
    assert_eq!(
        address,
        format!("sha256:{}", Sha256::of(&bytes)),
        "sha256sum agrees"
    );
    let printed = s.ok(&format!("proof export {address}"));
    assert_eq!(printed.stdout.as_bytes(), bytes);

    let verdict = scene.verify(&file, "-o json").ends(0).json();
    assert_eq!(verdict["id"], address.as_str());
    scene.verify(&address, &format!("--proof-file {file}")).ends(0);

    let mut altered: Value = serde_json::from_slice(&bytes).expect("JSON");
    altered["members"].as_array_mut().expect("members").pop();
    let altered = s.file("altered.json", altered.to_string());
    scene.verify(&altered, "").ends(12);
    scene
        .verify(&address, &format!("--proof-file {altered}"))
        .ends(12);
    // Any other proof is not this one.
    let less = s.json(&format!("proof create {}", scene.members[0]));
    let less_file = s.folder().join("less.json").display().to_string();
    s.ok(&format!("proof export {} --out {less_file}", text(&less["id"])));
    scene
        .verify(&address, &format!("--proof-file {less_file}"))
        .ends(12)
        .says("proof.address");
    let garbage = s.file("garbage.json", "{}");
    let verdict = scene.verify(&garbage, "-o json").ends(12).json();
    assert_eq!(
        (&verdict["verdict"], &verdict["code"]),
        (&"FAIL".into(), &"proof.invalid".into())
    );
    scene
        .verify(&format!("sha256:{}", "0".repeat(64)), "")
        .ends(3)
        .says("is kept here");
    scene
        .verify(&file, &format!("--proof-file {file}"))
        .ends(2)
        .says("--proof-file");
}

#[test]
fn a_rotated_key_breaks_no_proof_and_a_withdrawn_member_does() {
    let scene = Scene::set();
    let s = &scene.stella;
    let address = scene.prove();
    s.ok("keys generate --profile default --key-id key-2");
    s.ok("anchor add-key --anchor-id ALL --key-id key-2 --yes");
    s.ok("anchor revoke-key --anchor-id ALL --key-id key-1 --reason annual-rotation --yes");
    scene.verify(&address, "").ends(0);
    // Before the key was in the anchor nothing of it was good.
    scene
        .verify(&address, "--at-time 2024-06-15T12:00:00Z")
        .ends(12)
        .says("key.not-yet-added");
    s.ok(&format!("attest resign {}", scene.members[1]));
    scene.verify(&address, "").ends(0).says("proof.member-superseded");
    let newer = scene.prove();
    assert_ne!(newer, address);
    s.ok(&format!(
        "attest withdraw {} --reason superseded --yes",
        scene.members[0]
    ));
    for proof in [&address, &newer] {
        scene.verify(proof, "").ends(12).says("proof.member-withdrawn");
    }
    s.run(&format!("proof create {}", scene.members.join(" ")))
        .ends(1)
        .says("attestation.withdrawn");
}

#[test]
fn a_time_is_asked_of_the_keys_that_were_good_then() {
    let scene = Scene::set();
    let s = &scene.stella;
    let address = scene.prove();
    let made = text(&s.json(&format!("proof show {address}"))["createdAt"]);
    let file = s.folder().join("proof.json").display().to_string();
    s.ok(&format!("proof export {address} --out {file}"));
    s.ok("keys generate --profile default --key-id key-2");
    s.ok("anchor add-key --anchor-id ALL --key-id key-2 --yes");
    s.ok("anchor revoke-key --anchor-id ALL --key-id key-1 --reason annual-rotation --yes");
    for what in [&address, &file] {
        scene.verify(what, &format!("--at-time {made}")).ends(0);
        // Whoever says that it was signed after the end says that it is bad.
        scene.verify(what, "--at-time NOW").ends(12).says("key.revoked");
    }
}

#[test]
fn a_proof_that_cannot_be_signed_now_is_recorded() {
    let scene = Scene::set();
    let s = &scene.stella;
    // No key of that profile has ever been made.
    let create = format!("proof create {} --profile fips", scene.members[0]);
    s.run(&create).ends(5).says("attest retry");
    let waiting = s.run(&format!("{create} -o json")).ends(5).json();
    assert_eq!(
        (&waiting["state"], &waiting["id"]),
        (&"recorded".into(), &Value::Null)
    );
    s.run(&format!("{create} --accept-recorded")).ends(0);
    s.ok("keys generate --profile fips --key-id key-f");
    s.ok(&format!(
        "anchor add-key --anchor-id {} --key-id key-f",
        scene.anchor
    ));
    s.ok("attest retry --failed");
    let made = s.json(&create);
    scene.verify(&text(&made["id"]), "").ends(0);
    s.run("proof create").ends(2).says("was not said");
}
