//! The gate behind the air gap: an instance signs and exports, files are
//! carried over, and the verdict falls there without it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stella_core::time::Timestamp;
use stella_testkit::binary::{Ran, Stella};

const PURL: &str = "pkg:npm/left-pad@1.3.0";

/// An instance with one attested artifact, and a place that knows nothing of it.
struct Scene {
    stella: Stella,
    artifact: String,
    id: String,
}

impl Scene {
    fn set() -> Self {
        Self::with_keys("key-1", "key-2")
    }

    fn with_keys(ed25519: &str, ecdsa: &str) -> Self {
        let stella = Stella::new(env!("CARGO_BIN_EXE_stella"));
        stella.ok("init --no-key");
        stella.ok(&format!("keys generate --profile default --key-id {ed25519}"));
        stella.ok(&format!("keys generate --profile fips --key-id {ecdsa}"));
        stella.ok(&format!(
            "anchor create --purl-pattern pkg:npm/* --key-ids {ed25519},{ecdsa}"
        ));
        let artifact = stella.file("left-pad-1.3.0.tgz", "the artifact");
        stella.file("sbom.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
        std::fs::create_dir(stella.folder().join("gap")).expect("a folder");
        let mut scene = Self {
            stella,
            artifact,
            id: String::new(),
        };
        scene.id = scene.attest("default", "sbom.bundle.json");
        scene
    }

    /// A file beyond the gap.
    fn there(&self, name: &str) -> PathBuf {
        self.stella.folder().join("gap").join(name)
    }

    fn attest(&self, profile: &str, bundle: &str) -> String {
        let created = self.stella.json(&format!(
            "attest create --type cyclonedx --subject {} --purl {PURL} --predicate {} --profile {profile} --bundle {}",
            self.artifact,
            self.stella.folder().join("sbom.json").display(),
            self.there(bundle).display()
        ));
        created["id"].as_str().expect("an id").to_owned()
    }

    fn anchor(&self) -> String {
        let anchors = self.stella.json("anchor list");
        let mut anchors = anchors["anchors"].as_array().expect("anchors").iter();
        let anchor = anchors.find(|a| a["purlPattern"] == "pkg:npm/*");
        let id = anchor.and_then(|a| a["trustAnchorId"].as_str());
        id.expect("the anchor").to_owned()
    }

    fn root(&self, name: &str) -> Value {
        self.stella
            .json(&format!("trust root --out {}", self.there(name).display()))
    }

    fn export(&self, name: &str, more: &str) -> Value {
        self.stella.json(&format!(
            "trust export --out {} {more}",
            self.there(name).display()
        ))
    }

    /// A command beyond the gap: no home, and none to be found.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stella"));
        command
            .args(line.split_whitespace())
            .current_dir(self.there(""))
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("STELLA_HOME", "/nonexistent/home")
            .env("STELLA_SERVER", "http://192.0.2.1:9")
            .env("STELLA_CONFIG", "/nonexistent/signer.yaml")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Ran {
        ran(line, &mut self.command(line))
    }

    fn gate(&self, more: &str) -> Ran {
        let line = format!(
            "verify artifact --file ../left-pad-1.3.0.tgz --purl {PURL} --bundle sbom.bundle.json \
             --offline --trust-bundle trust.json --trust-root root.json {more}"
        );
        self.run(&line)
    }
}

fn ran(line: &str, command: &mut Command) -> Ran {
    let output = command.output().expect("the binary runs");
    Ran {
        command: line.to_owned(),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
    }
}

#[test]
fn what_is_revoked_here_fails_there_with_the_next_bundle() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "");
    scene.gate("--trust-state seen").ends(0).says("PASS");
    // The key is stolen. The gate does not know yet; that is what expiry is for.
    scene
        .stella
        .ok("keys revoke key-1 --reason compromise --compromised-since 2020-01-01 --yes");
    scene.gate("--trust-state seen").ends(0);
    std::fs::copy(scene.there("trust.json"), scene.there("old.json")).expect("kept");
    scene.export("trust.json", "");
    let stopped = scene.gate("--trust-state seen -o json").ends(11).json();
    assert_eq!(stopped["code"], "time.not-proven", "{stopped}");
    // The instance, which has recorded the signature, knows no better.
    let there = scene.stella.run(&format!(
        "verify artifact --file {} --purl {PURL} -o json",
        scene.artifact
    ));
    assert_ne!(there.code, 0);
    // The old bundle would let it pass, and is not taken any more.
    std::fs::copy(scene.there("old.json"), scene.there("trust.json")).expect("put back");
    scene.gate("").ends(0);
    scene.gate("--trust-state seen").ends(11).says("trust.rollback");
    // A withdrawal is final.
    scene
        .stella
        .ok(&format!("attest withdraw {} --reason superseded --yes", scene.id));
    scene.export("trust.json", "");
    scene
        .gate("--trust-state seen")
        .ends(12)
        .says("attestation.withdrawn");
}

#[test]
fn the_answer_is_the_instances_own() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "");
    let other = scene.stella.file("gap/other.tgz", "another artifact");
    let document = scene.there("sbom.bundle.json").display().to_string();
    for (question, code) in [
        (format!("--artifact {} --purl {PURL}", scene.artifact), 0),
        (
            format!("--artifact {} --purl pkg:npm/other@1", scene.artifact),
            12,
        ),
        (
            format!("--artifact {} --purl pkg:pypi/left-pad@1", scene.artifact),
            12,
        ),
        (format!("--artifact {other} --purl {PURL}"), 12),
        (format!("--purl {PURL}"), 0),
        (String::new(), 0),
        (format!("--purl {PURL} --require-type slsaprovenance1"), 11),
        (format!("--purl {PURL} --at-time 2020-01-01"), 12),
        (format!("--purl {PURL} --now 2020-01-01"), 2),
    ] {
        let asked = format!("verify --bundle {document} {question} -o json");
        let here = scene.stella.run(&asked).ends(code);
        let there = scene
            .run(&format!(
                "{asked} --offline --trust-bundle trust.json --trust-root root.json"
            ))
            .ends(code);
        let (here, there) = (here.json(), there.json());
        for field in ["code", "verdict", "subject", "anchorId", "next", "artifactBound"] {
            assert_eq!(here[field], there[field], "{question}: {field}");
        }
    }
}

/// Of a statement that the instance never stored, it knows no more than the
/// bundle does: verdict, trace and advice are the same to the letter.
#[test]
fn what_is_taken_away_here_is_taken_away_there() {
    let elsewhere = Scene::with_keys("theirs", "others");
    let pem = elsewhere.stella.ok("keys show theirs --public").stdout;
    let key = elsewhere.stella.file("theirs.pem", pem);
    let scene = Scene::set();
    let anchor = scene.anchor();
    scene.stella.ok(&format!(
        "anchor add-key --anchor-id {anchor} --key-id theirs --key {key}"
    ));
    scene.root("root.json");
    let document = elsewhere.there("sbom.bundle.json").display().to_string();
    let artifact = elsewhere.artifact.clone();
    let agree = |more: &str, code: i32, reason: &str| {
        let issued = scene.export("trust.json", "")["issuedAt"]
            .as_str()
            .expect("a time")
            .parse::<Timestamp>()
            .expect("a time");
        let more = more.replace("ISSUED", &issued.to_string());
        let moment = issued.saturating_add(Duration::from_secs(3_600));
        let asked = format!(
            "verify --bundle {document} --artifact {artifact} --purl {PURL} --now {moment} -o json {more}"
        );
        let here = scene.stella.run(&asked).ends(code).json();
        let mut there = scene
            .run(&format!(
                "{asked} --offline --trust-bundle trust.json --trust-root root.json"
            ))
            .ends(code)
            .json();
        assert_eq!(there["code"], reason, "{there}");
        let first = there["trace"].as_array_mut().expect("a trace").remove(0);
        assert_eq!(first["name"], "trust", "by what it was judged stands first");
        assert_eq!(here, there);
    };
    agree("", 0, "ok");
    agree("--at-time 2020-01-01", 12, "key.not-yet-added");
    scene.stella.ok(&format!(
        "anchor revoke-key --anchor-id {anchor} --key-id theirs --reason compromise --yes"
    ));
    agree("", 11, "key.window-unknown");
    scene.stella.ok(&format!(
        "anchor revoke-key --anchor-id {anchor} --key-id theirs --reason compromise --compromised-since NOW --yes"
    ));
    agree("", 11, "time.not-proven");
    agree("--at-time ISSUED", 12, "key.compromised");
    scene
        .stella
        .ok(&format!("anchor update {anchor} --predicate-types openvex"));
    agree("", 12, "predicate.not-allowed");
    scene.stella.ok(&format!("anchor disable {anchor} --yes"));
    agree("", 12, "anchor.disabled");
}

#[test]
fn several_documents_are_taken_together() {
    let scene = Scene::set();
    scene.root("root.json");
    let anchor = scene.anchor();
    scene.attest("fips", "second.bundle.json");
    scene.stella.ok(&format!("anchor update {anchor} --threshold 2"));
    scene.export("trust.json", "");
    scene.gate("").ends(12).says("threshold.not-met");
    let both = scene
        .gate("--bundle second.bundle.json")
        .ends(0)
        .says("sbom.bundle.json, second.bundle.json");
    assert!(both.stdout.contains("2 of 2 distinct keys"), "{}", both.stdout);
    // What cannot be read decides nothing, and is told.
    scene.stella.file("gap/broken.json", "{");
    scene
        .gate("--bundle second.bundle.json --bundle broken.json")
        .ends(0)
        .says("envelope.invalid");
    scene
        .run(&format!(
            "verify artifact --file ../left-pad-1.3.0.tgz --purl {PURL} --bundle broken.json \
             --offline --trust-bundle trust.json --trust-root root.json"
        ))
        .ends(10);
    // The ledger is not here to be asked.
    scene
        .stella
        .ok(&format!("anchor update {anchor} --threshold 1 --require-ledger"));
    scene.export("trust.json", "");
    scene.gate("").ends(11).says("ledger.not-consulted");
}

/// Today's algorithm and tomorrow's over the same bytes, in one file.
#[test]
fn what_two_profiles_signed_is_verified_from_one_file() {
    let scene = Scene::set();
    scene.root("root.json");
    let anchor = scene.anchor();
    let both = scene.there("both.jsonl");
    scene.stella.ok(&format!(
        "attest create --type cyclonedx --subject {} --purl {PURL} --predicate {} --profiles default,fips --bundle {}",
        scene.artifact,
        scene.stella.folder().join("sbom.json").display(),
        both.display()
    ));
    scene.stella.ok(&format!("anchor update {anchor} --threshold 2"));
    scene.export("trust.json", "");
    let offline = "--offline --trust-bundle trust.json --trust-root root.json";
    let asked = |file: &Path| format!("verify --bundle {} --purl {PURL}", file.display());
    let of_both = |ran: Ran| {
        let ran = ran.ends(0);
        assert!(ran.stdout.contains("2 of 2 distinct keys"), "{}", ran.stdout);
    };
    of_both(scene.stella.run(&asked(&both)));
    of_both(scene.run(&format!("{} {offline}", asked(&both))));
    let artifact = format!("verify artifact --file ../left-pad-1.3.0.tgz --purl {PURL} --bundle both.jsonl");
    of_both(scene.run(&format!("{artifact} {offline}")));

    // One of the two, or one of them changed, is not enough.
    let lines = std::fs::read_to_string(&both).expect("bundles");
    let (first, second) = lines.split_once('\n').expect("two lines");
    let one = scene.there("one.json");
    std::fs::write(&one, first).expect("a file");
    let changed = scene.there("changed.jsonl");
    let other = second.replace("\"sig\":\"", "\"sig\":\"AAAA");
    std::fs::write(&changed, format!("{first}\n{other}")).expect("a file");
    for file in [&one, &changed] {
        scene.stella.run(&asked(file)).ends(12).says("threshold.not-met");
        scene
            .run(&format!("{} {offline}", asked(file)))
            .ends(12)
            .says("threshold.not-met");
    }
}

/// A release's whole proof carried over: the verdict falls there as it falls
/// on the instance, but for the ledger that only the instance has.
#[test]
fn a_proof_is_judged_there_as_here() {
    let scene = Scene::set();
    let second = scene.attest("default", "again.bundle.json");
    assert_eq!(second, scene.id, "the same evidence is one attestation");
    let reasoned = scene.stella.json(&format!(
        "attest create --type reasoning.stella/v1 --subject {} --purl {PURL} --predicate {}",
        scene.artifact,
        scene.stella.folder().join("sbom.json").display()
    ));
    let reasoned = reasoned["id"].as_str().expect("an id");
    let made = scene
        .stella
        .json(&format!("proof create {} {reasoned}", scene.id));
    let address = made["id"].as_str().expect("an address");
    scene.stella.ok(&format!(
        "proof export {address} --out {}",
        scene.there("proof.json").display()
    ));
    scene.root("root.json");
    scene.export("trust.json", "");
    let other = scene.stella.file("gap/other.tgz", "another artifact");
    let trust = "--offline --trust-bundle trust.json --trust-root root.json";
    let file = scene.there("proof.json").display().to_string();
    let otherwise = format!("sha256:{}", "0".repeat(64));
    for (proof, more, code) in [
        (file.as_str(), String::new(), 0),
        (&format!("{address} --proof-file {file}"), String::new(), 0),
        (
            &format!("{address} --proof-file {file}"),
            format!("--artifact {} --purl {PURL}", scene.artifact),
            0,
        ),
        (
            &file,
            format!("--artifact {} --purl pkg:npm/other@1", scene.artifact),
            12,
        ),
        (&file, format!("--artifact {other} --purl {PURL}"), 12),
        (&file, "--purl pkg:pypi/left-pad@1".to_owned(), 12),
        (&file, "--at-time 2020-01-01".to_owned(), 12),
        (&format!("{otherwise} --proof-file {file}"), String::new(), 12),
        (
            &format!("{}", scene.there("sbom.bundle.json").display()),
            String::new(),
            12,
        ),
    ] {
        let asked = format!("verify --proof-bundle {proof} {more} -o json");
        let here = scene.stella.run(&asked).ends(code).json();
        let there = scene.run(&format!("{asked} {trust}")).ends(code).json();
        for field in ["id", "code", "verdict", "subject", "anchorId", "artifactBound"] {
            assert_eq!(here[field], there[field], "{asked}: {field}");
        }
        assert_eq!(
            there["trace"][0]["name"], "trust",
            "{asked}: by what it was judged"
        );
    }
    scene
        .run(&format!("verify --proof-bundle {address} {trust}"))
        .ends(2)
        .says("--proof-file FILE")
        .says("proof export");

    scene
        .stella
        .ok(&format!("attest withdraw {reasoned} --reason superseded"));
    scene.export("newer.json", "");
    let question = format!("verify --proof-bundle {file} --offline --trust-root root.json");
    scene
        .run(&format!("{question} --trust-bundle newer.json"))
        .ends(12)
        .says("proof.member-withdrawn");
    let stale = scene.run(&format!(
        "{question} --trust-bundle newer.json --now 2099-01-01 -o json"
    ));
    let stale = stale.ends(11).json();
    assert_eq!(stale["code"], "trust.stale");
}

#[test]
fn nothing_is_trusted_that_was_not_pinned() {
    let scene = Scene::set();
    let root = scene.root("root.json");
    scene.export("trust.json", "");
    let asked = "verify --bundle sbom.bundle.json --offline";
    scene.run(asked).ends(2).says("trust export --out trust.json");
    scene
        .run(&format!("{asked} --trust-bundle trust.json"))
        .ends(2)
        .says("trust root --out root.json");
    // Pinned once for the whole machine.
    let line = format!("{asked} --trust-bundle trust.json");
    for (root, code) in [("root.json", 0), ("sbom.bundle.json", 11), ("", 2)] {
        ran(&line, scene.command(&line).env("STELLA_TRUST_ROOT", root)).ends(code);
    }
    // Without --offline they would be ignored, so they are refused.
    scene
        .run("verify --bundle sbom.bundle.json --trust-bundle trust.json --trust-root root.json")
        .ends(2);
    scene.gate("--as-of 2025-01-01").ends(2).says("one moment");
    scene.gate("--signer token:*").ends(2).says("--signer");
    // Somebody else's instance.
    let other = Scene::set();
    other.root("root.json");
    other.export("trust.json", "");
    for file in ["root.json", "trust.json"] {
        std::fs::copy(other.there(file), scene.there(&format!("other-{file}"))).expect("copied");
    }
    let mixed = |bundle: &str, root: &str| {
        scene.run(&format!(
            "{asked} --trust-bundle {bundle} --trust-root {root} -o json"
        ))
    };
    assert_eq!(
        mixed("other-trust.json", "root.json").ends(11).json()["code"],
        "trust.untrusted"
    );
    assert_eq!(
        mixed("trust.json", "trust.json").ends(11).json()["code"],
        "trust.root-invalid"
    );
    assert_eq!(
        mixed("root.json", "root.json").ends(11).json()["code"],
        "trust.invalid"
    );
    mixed("trust.json", "nothing.json").ends(3);
    // Both of the other: its keys are none of this statement's.
    assert_eq!(
        mixed("other-trust.json", "other-root.json").json()["verdict"],
        "FAIL"
    );
    // What a person looks at first.
    scene
        .run("trust inspect root.json")
        .ends(0)
        .says(root["sha256"].as_str().expect("a digest"));
    scene
        .run("trust inspect trust.json --trust-root root.json")
        .ends(0)
        .says("pkg:npm/*");
    scene
        .run("trust inspect trust.json --trust-root other-root.json")
        .ends(11)
        .says("signed by no feed key");
}

/// Whatever came over the gap instead of what was sent.
#[test]
fn nothing_that_was_altered_on_the_way_passes() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "");
    let asked = format!("verify --bundle sbom.bundle.json --purl {PURL} --offline -o json");
    let gate =
        |bundle: &str, root: &str| scene.run(&format!("{asked} --trust-bundle {bundle} --trust-root {root}"));
    gate("trust.json", "root.json").ends(0);
    let write = |bytes: &[u8]| std::fs::write(scene.there("bad.json"), bytes).expect("written");
    let (trust, root) = (
        std::fs::read(scene.there("trust.json")).expect("a bundle"),
        std::fs::read(scene.there("root.json")).expect("a root"),
    );
    let refuses = |what: &str| {
        for ran in [gate("bad.json", "root.json"), gate("trust.json", "bad.json")] {
            assert_eq!(ran.code, 11, "{what}: {}", ran.stderr);
            assert_eq!(ran.json()["verdict"], "INDETERMINATE", "{what}");
        }
    };
    for (sent, with) in [
        (&trust, ("bad.json", "root.json")),
        (&root, ("trust.json", "bad.json")),
    ] {
        for part in 0..12 {
            let at = sent.len() * part / 12;
            write(&sent[..at]);
            gate(with.0, with.1).ends(11);
            let mut flipped = sent.clone();
            flipped[at] ^= 1 << (part % 8);
            write(&flipped);
            gate(with.0, with.1).ends(11);
        }
    }
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("an array", b"[]".to_vec()),
        ("no text", vec![0xff; 1_000]),
        ("100 MB of nothing", vec![b' '; 100_000_000]),
        ("100 MB of brackets", vec![b'['; 100_000_000]),
        ("100 MB behind the bundle", {
            let mut long = trust.clone();
            long.resize(100_000_000, b' ');
            long
        }),
        (
            "a statement",
            std::fs::read(scene.there("sbom.bundle.json")).expect("a bundle"),
        ),
    ] {
        write(&bytes);
        refuses(what);
    }
    // Of what is judged as well.
    for bytes in [vec![b' '; 100_000_000], vec![b'['; 100_000_000], Vec::new()] {
        write(&bytes);
        let document = asked.replace("sbom.bundle.json", "bad.json");
        scene
            .run(&format!(
                "{document} --trust-bundle trust.json --trust-root root.json"
            ))
            .ends(12);
    }
}

#[test]
fn an_expired_bundle_lets_nothing_pass() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "--expires 1s");
    std::thread::sleep(Duration::from_millis(1_100));
    let stale = scene.gate("-o json").ends(11).json();
    assert_eq!(
        (stale["code"].as_str(), stale["verdict"].as_str()),
        (Some("trust.stale"), Some("INDETERMINATE"))
    );
    assert_eq!(stale["parts"], Value::Null, "nothing was judged");
    scene.run("trust inspect trust.json").ends(0).says("(expired)");
}

#[test]
fn what_was_seen_is_never_forgotten_by_accident() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "");
    // The first time, many come at once.
    let first: Vec<_> = (0..8)
        .map(|_| {
            let mut command = scene.command(&format!(
                "verify --bundle sbom.bundle.json --purl {PURL} --offline --trust-root root.json --trust-bundle trust.json --trust-state many"
            ));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("it runs")
        })
        .collect();
    for mut gate in first {
        assert_eq!(gate.wait().expect("it ends").code(), Some(0));
    }
    scene.gate("--trust-state seen").ends(0).says("seen is new");
    let again = scene.gate("--trust-state seen").ends(0);
    assert!(!again.stderr.contains("is new"), "{}", again.stderr);
    let file = scene.there("seen/trust-state.json");
    let kept = std::fs::read(&file).expect("the state");
    for damaged in [&kept[..kept.len() / 2], b"", b"{}"] {
        std::fs::write(&file, damaged).expect("damaged");
        scene.gate("--trust-state seen").ends(1).says("trust-state.json");
        assert_eq!(std::fs::read(&file).expect("still there"), damaged);
    }
    std::fs::remove_file(&file).expect("lost");
    scene
        .gate("--trust-state seen")
        .ends(1)
        .says("restore the folder");
    assert!(!file.exists());
    std::fs::write(&file, kept).expect("restored");
    scene.gate("--trust-state seen").ends(0);
}

/// Whoever is last to write must not bring back a number that was passed.
#[test]
fn of_many_gates_at_once_the_newest_bundle_remains() {
    let scene = Scene::set();
    scene.root("root.json");
    for n in 0..8 {
        scene.export(&format!("{n}.json"), "");
    }
    let gate = |bundle: u8, state: &str| {
        format!(
            "verify --bundle sbom.bundle.json --purl {PURL} --offline --trust-root root.json --trust-bundle {bundle}.json --trust-state {state}"
        )
    };
    for state in ["seen", "seen-again", "seen-once-more"] {
        let running: Vec<_> = (0..8)
            .chain((0..8).rev())
            .map(|bundle| {
                let mut command = scene.command(&gate(bundle, state));
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().expect("it runs")
            })
            .collect();
        for mut gate in running {
            let code = gate.wait().expect("it ends").code();
            assert!(matches!(code, Some(0 | 11)), "{code:?}");
        }
        scene.run(&gate(6, state)).ends(11).says("trust.rollback");
        scene.run(&gate(7, state)).ends(0);
        assert_eq!(
            std::fs::read_dir(scene.there(state)).expect("listed").count(),
            2,
            "the state and its lock"
        );
    }
}

/// What the kernel saw is the proof: no socket, no thread, no process, and of
/// files only those that were named, and what every program is loaded from.
#[test]
fn it_opens_no_socket_and_no_other_file() {
    let scene = Scene::set();
    scene.root("root.json");
    scene.export("trust.json", "");
    let verify = format!(
        "verify artifact --file ../left-pad-1.3.0.tgz --purl {PURL} --bundle sbom.bundle.json --offline \
         --trust-bundle trust.json --trust-root root.json"
    );
    for (line, named) in [
        (
            verify.as_str(),
            [
                "../left-pad-1.3.0.tgz",
                "root.json",
                "sbom.bundle.json",
                "trust.json",
            ]
            .as_slice(),
        ),
        (
            "trust inspect trust.json --trust-root root.json",
            &["root.json", "trust.json"],
        ),
    ] {
        let Some(calls) = traced(&scene, line) else { return };
        for call in &calls {
            assert!(call.contains(" open"), "{call}");
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"];
            assert!(!writes.iter().any(|mode| call.contains(mode)), "{call}");
        }
        let mut opened: Vec<&str> = calls.iter().map(|call| path_of(call)).collect();
        opened.retain(|path| !loads(Path::new(path)));
        opened.sort_unstable();
        assert_eq!(opened, named, "each once, and no other");
    }
    // What it remembers is in the folder that was named, and nowhere else.
    let Some(calls) = traced(&scene, &format!("{verify} --trust-state seen")) else {
        return;
    };
    for call in &calls {
        let files = [" open", " mkdir", " rename"];
        assert!(files.iter().any(|name| call.contains(name)), "{call}");
        let path = path_of(call);
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", " mkdir", " rename"];
        if writes.iter().any(|mode| call.contains(mode)) {
            assert!(path.starts_with("seen/") || path.contains(".seen."), "{call}");
        }
    }
    assert!(scene.there("seen/trust-state.json").exists());
}

/// The system calls of a command that ends well, as far as they reach out of
/// the process. `None` where nobody may trace.
fn traced(scene: &Scene, line: &str) -> Option<Vec<String>> {
    let log = scene.there("calls");
    let plain = scene.command(line);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-o"])
        .arg(&log)
        .args([
            "-e",
            "trace=network,clone,clone3,fork,vfork,execve,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat",
        ])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(scene.there(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        strace.env(name, value.unwrap_or_default());
    }
    let Ok(output) = strace.output() else {
        eprintln!("skipped: strace is not installed");
        return None;
    };
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    if text.is_empty() || text.contains("PTRACE_TRACEME") {
        eprintln!("skipped: tracing is not allowed here");
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let mut calls = text.lines().filter(|line| !line.contains("+++ exited"));
    let start = calls.next().expect("a start");
    assert!(start.contains(" execve("), "{start}");
    Some(calls.map(str::to_owned).collect())
}

fn path_of(call: &str) -> &str {
    call.split('"').nth(1).expect("a path")
}

/// Where the loader, the C library and the allocator look at every start.
fn loads(path: &Path) -> bool {
    let library = ["/lib", "/lib64", "/usr/lib"]
        .iter()
        .any(|dir| path.starts_with(dir))
        && path.to_string_lossy().contains(".so");
    library || START.iter().any(|file| path == Path::new(file))
}

/// The last two are how the kernel gives memory, which the allocator asks.
const START: [&str; 5] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/proc/self/maps",
    "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/mm/transparent_hugepage/enabled",
];
