//! Many at once: a folder of SBOMs signed with one command, a file of bundles
//! or a whole anchor judged with another, and both taken up again after an
//! interruption.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_testkit::binary::{Ran, Stella};

const EXE: &str = env!("CARGO_BIN_EXE_stella");

struct Bed {
    s: Stella,
    anchor: String,
}

impl Bed {
    /// Two profiles whose keys an anchor for npm holds.
    fn new() -> Self {
        let s = Stella::new(EXE);
        s.ok("init --no-key");
        s.ok("keys generate --profile default --key-id key-1");
        s.ok("keys generate --profile fips --key-id key-2");
        let anchor = s.json("anchor create --purl-pattern pkg:npm/* --key-ids key-1,key-2");
        let anchor = anchor["trustAnchorId"].as_str().expect("an id").to_owned();
        Self { s, anchor }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.s.folder().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A file with so many entries, one on each line.
    fn entries(&self, name: &str, numbers: impl IntoIterator<Item = u64>) -> String {
        let lines: Vec<String> = numbers.into_iter().map(|n| entry(n).to_string() + "\n").collect();
        self.s.file(name, lines.concat())
    }

    fn signed(&self) -> u64 {
        let status = self.s.json("attest status");
        status["signed"].as_u64().expect("a count")
    }

    fn create(&self, more: &str) -> Ran {
        self.s.run(&format!("attest create --type cyclonedx {more}"))
    }

    /// The bundles of what was created, one on each line.
    fn bundles(&self, name: &str, ids: &[String]) -> String {
        let lines: Vec<String> = ids
            .iter()
            .map(|id| {
                self.s
                    .ok(&format!("attest show {id} --bundle"))
                    .stdout
                    .trim()
                    .to_owned()
                    + "\n"
            })
            .collect();
        self.s.file(name, lines.concat())
    }

    fn trust(&self) -> String {
        self.s.ok(&format!("trust root --out {}", self.at("root.json")));
        self.s
            .ok(&format!("trust export --out {}", self.at("trust.json")));
        format!(
            "--offline --trust-bundle {} --trust-root {}",
            self.at("trust.json"),
            self.at("root.json")
        )
    }

    fn spawn(&self, line: &str) -> Child {
        let mut command: Command = self.s.command(line.split_whitespace());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it starts")
    }

    /// Killed once the file has so many lines, or when it is done before.
    fn kill_at(&self, line: &str, results: &str, lines: usize) {
        let mut child = self.spawn(line);
        let deadline = Instant::now() + Duration::from_secs(60);
        while rows(&fs::read_to_string(self.path(results)).unwrap_or_default()).len() < lines {
            if child.try_wait().expect("it is there").is_some() {
                break;
            }
            assert!(Instant::now() < deadline, "it does not come so far");
            thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn digest(n: u64) -> String {
    format!("{n:064x}")
}

fn entry(n: u64) -> Value {
    json!({
        "subject": format!("pkg:npm/part-{}@1.0.{n}@sha256:{}", n % 10, digest(n)),
        "predicate": {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": n},
    })
}

/// Whole lines of JSON.
fn rows(text: &str) -> Vec<Value> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn ids(rows: &[Value]) -> Vec<String> {
    let all = rows.iter().filter_map(|row| row["ids"].as_array()).flatten();
    all.map(|id| id.as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_folder_is_signed_with_one_command_and_what_failed_is_given_again() {
    let bed = Bed::new();
    fs::create_dir_all(bed.path("sboms/deep")).expect("made");
    bed.s.file(
        "sboms/a.json",
        serde_json::to_string_pretty(&entry(1)).expect("JSON"),
    );
    bed.s.file("sboms/deep/b.json", entry(2).to_string());
    let statement = r#"{ "_type": "https://in-toto.io/Statement/v1",
      "subject": [{"name": "pkg:npm/part-3@1.0.3", "digest": {"sha256": "HEX"}}],
      "predicateType": "https://cyclonedx.org/bom", "predicate": {"x": 1.50} }"#
        .replace("HEX", &digest(3));
    bed.s.file("sboms/statement.json", &statement);
    bed.entries("sboms/more.ndjson", 4..=6);
    bed.s.file("sboms/README.txt", "no entry");
    let no_subject = "{\n\"predicate\": {\"n\": 7}\n}";
    bed.s.file("sboms/z.json", no_subject);

    let line = format!(
        "--from-dir {} --failed {} -o json",
        bed.at("sboms"),
        bed.at("failed.ndjson")
    );
    let ran = bed.create(&line).ends(2).says("1 files were left out");
    let all = rows(&ran.stdout);
    let (summary, entries) = all.split_last().expect("a summary");
    let places: Vec<_> = entries
        .iter()
        .map(|row| row["file"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        [
            "a.json",
            "deep/b.json",
            "more.ndjson",
            "more.ndjson",
            "more.ndjson",
            "statement.json",
            "z.json"
        ]
    );
    assert_eq!(summary["summary"]["signed"], 6);
    assert_eq!(summary["summary"]["failed"], 1);
    assert_eq!(entries[6]["error"]["status"], 400, "{}", entries[6]);
    assert_eq!(bed.signed(), 6);
    for id in ids(entries) {
        bed.s.ok(&format!("verify attestation {id}"));
    }
    let kept = bed.s.json(&format!(
        "attest show {} --details",
        entries[5]["ids"][0].as_str().expect("an id")
    ));
    assert_eq!(kept["statement"]["predicate"]["x"], json!(1.5));
    let envelope = bed.s.json(&format!(
        "attest show {} --envelope",
        kept["id"].as_str().expect("an id")
    ));
    let payload = envelope["payload"].as_str().expect("a payload");
    assert_eq!(
        stella_core::dsse::decode_base64(payload).expect("base64"),
        statement.into_bytes(),
        "a statement is signed as its bytes are"
    );

    // Once more: what is there is answered again.
    let again = bed.create(&format!("--from-dir {}", bed.at("sboms")));
    again.ends(2).says("6 signed").says("6 were there already");
    assert_eq!(bed.signed(), 6);
    let again = bed.create(&line).ends(2);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);

    let failed = fs::read_to_string(bed.path("failed.ndjson")).expect("a file");
    assert_eq!(failed.lines().count(), 1, "{failed}");
    let subject = format!(
        r#""subject":"pkg:npm/part-7@1.0.7@sha256:{}","predicate""#,
        digest(7)
    );
    bed.s
        .file("mended.ndjson", failed.replace("\"predicate\"", &subject));
    bed.create(&format!("--from-ndjson {}", bed.at("mended.ndjson")))
        .ends(0)
        .says("1 entries: 1 signed");
    assert_eq!(bed.signed(), 7);
}

#[test]
fn an_interrupted_run_goes_on_and_signs_nothing_twice() {
    let bed = Bed::new();
    let n = 400;
    let input = bed.entries("in.ndjson", 1..=n);
    // Also those of which nobody could tell by their content whether they
    // were signed before: --force signs each anew, but only once.
    let line = format!(
        "attest create --type cyclonedx --profiles default,fips --force --from-ndjson {input} --results {}",
        bed.at("results.ndjson")
    );
    bed.kill_at(&line, "results.ndjson", 40);
    for stop in [120, 200] {
        bed.kill_at(&format!("{line} --resume"), "results.ndjson", stop);
    }
    bed.s.run(&line).ends(2).says("--resume");
    let resumed = bed.s.run(&format!("{line} --resume -q"));
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);

    let text = fs::read_to_string(bed.path("results.ndjson")).expect("results");
    let all = rows(&text);
    let lines: Vec<_> = all[1..]
        .iter()
        .map(|row| row["line"].as_u64().expect("a line"))
        .collect();
    assert_eq!(
        lines,
        (1..=n).collect::<Vec<_>>(),
        "each entry has its line, in order"
    );
    let ids = ids(&all[1..]);
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len() as u64, 2 * n, "one for each profile");
    assert_eq!(bed.signed(), 2 * n, "and nothing beside them");
    // Nothing is left to do, and that changes nothing.
    bed.s.ok(&format!("{line} --resume"));
    assert_eq!(bed.signed(), 2 * n);
    assert_eq!(
        fs::read_to_string(bed.path("results.ndjson")).expect("results"),
        text
    );
}

#[test]
fn what_cannot_be_signed_yet_is_recorded_once() {
    let s = Stella::new(EXE);
    s.ok("init --no-key");
    let lines: Vec<String> = (1..=30).map(|n| entry(n).to_string() + "\n").collect();
    let input = s.file("in.ndjson", lines.concat());
    let results = s.folder().join("results.ndjson");
    let line = format!(
        "attest create --type cyclonedx --from-ndjson {input} --results {}",
        results.display()
    );
    s.run(&line).ends(5).says("30 recorded").says("attest status");
    // As if it had been killed before the last lines were written.
    let text = fs::read_to_string(&results).expect("results");
    let cut: Vec<&str> = text.split_inclusive('\n').take(11).collect();
    fs::write(&results, cut.concat() + "{\"line\": 11, \"ne").expect("written");
    s.run(&format!("{line} --resume"))
        .ends(5)
        .says("going on after 10");
    let status = s.json("attest status");
    assert_eq!(status["recorded"], 30, "{status}");
    s.run(&format!("{line} --resume --accept-recorded")).ends(0);
}

#[test]
fn the_server_goes_away_in_the_middle_and_comes_back() {
    let bed = Bed::new();
    let n = 900;
    let input = bed.entries("in.ndjson", 1..=n);
    let mut server = bed.spawn("serve");
    let socket = bed.path("home/stella.sock");
    let deadline = Instant::now() + Duration::from_secs(30);
    while bed.s.run("attest status").code != 0 || !socket.exists() {
        assert!(Instant::now() < deadline, "it does not serve");
        thread::sleep(Duration::from_millis(20));
    }
    let line = format!(
        "attest create --type cyclonedx --from-ndjson {input} --results {}",
        bed.at("results.ndjson")
    );
    let mut client = bed.s.command(line.split_whitespace());
    let client = client
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    while rows(&fs::read_to_string(bed.path("results.ndjson")).unwrap_or_default()).len() < 100 {
        assert!(Instant::now() < deadline, "it does not come so far");
        thread::sleep(Duration::from_millis(1));
    }
    server.kill().expect("killed");
    let _ = server.wait();
    let ended = client.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{said}");
    assert!(said.contains("--resume"), "{said}");

    let mut server = bed.spawn("serve");
    bed.s.run(&format!("{line} --resume")).ends(0);
    let all = rows(&fs::read_to_string(bed.path("results.ndjson")).expect("results"));
    assert_eq!(all.len() as u64, n + 1);
    assert_eq!(bed.signed(), n, "none was signed twice");
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn a_file_of_bundles_is_judged_alike_here_and_offline() {
    let bed = Bed::new();
    let input = bed.entries("in.ndjson", 1..=20);
    let made = bed.create(&format!("--from-ndjson {input} -q")).ends(0);
    let ids: Vec<String> = made.stdout.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 20, "-q prints the ids");
    bed.bundles("good.ndjson", &ids);
    let trust = bed.trust();
    let good = bed.at("good.ndjson");
    for more in ["", trust.as_str()] {
        bed.s
            .run(&format!("verify --bundles {good} {more}"))
            .ends(0)
            .says("20 judged: 20 PASS, 0 FAIL, 0 INDETERMINATE");
    }

    let text = fs::read_to_string(bed.path("good.ndjson")).expect("bundles");
    let lines: Vec<&str> = text.lines().collect();
    let mut bytes = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let line = match n {
            2 => line.replace("\"sig\":\"", "\"sig\":\"AAAA"),
            3 => "rubbish".to_owned(),
            4 => String::new(),
            5 => line.replace("\"payload\":\"", "\"payload\":\"e30K"),
            _ => (*line).to_owned(),
        };
        bytes.extend(line.into_bytes());
        bytes.push(b'\n');
    }
    bytes.extend(b"\xff\xfe\n");
    let mixed = bed.s.file("mixed.ndjson", bytes);
    let judged = |more: &str| {
        let ran = bed
            .s
            .run(&format!("verify --bundles {mixed} {more} -o json"))
            .ends(12);
        let mut all = rows(&ran.stdout);
        let summary = all.pop().expect("a summary");
        assert_eq!(summary["summary"]["judged"], 20);
        assert_eq!(summary["summary"]["pass"], 16);
        let codes: Vec<(u64, String, String)> = all
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().expect("text").to_owned();
                let traced = row["trace"].as_array().is_some_and(|t| !t.is_empty());
                assert_eq!(traced, row["verdict"] != "PASS", "{row}");
                (
                    row["line"].as_u64().expect("a line"),
                    text("verdict"),
                    text("code"),
                )
            })
            .collect();
        codes
    };
    let here = judged("");
    assert_eq!(here, judged(&trust));
    let bad: Vec<(u64, &str)> = here
        .iter()
        .filter(|(_, verdict, _)| verdict != "PASS")
        .map(|(line, _, code)| (*line, code.as_str()))
        .collect();
    assert_eq!(
        bad,
        [
            (3, "signature.invalid"),
            (4, "envelope.invalid"),
            (6, "statement.invalid"),
            (21, "envelope.invalid")
        ]
    );
    // People see what did not pass, and which line it is.
    let told = bed.s.run(&format!("verify --bundles {mixed}")).ends(12);
    assert!(told.stdout.contains("line 3: FAIL"), "{}", told.stdout);
    assert!(!told.stdout.contains("line 1:"), "{}", told.stdout);
    let empty = bed.s.file("empty.ndjson", "");
    bed.s.run(&format!("verify --bundles {empty}")).ends(10);
    bed.s
        .run(&format!("verify --bundles {}", bed.at("missing")))
        .ends(3);
    bed.s
        .run(&format!("verify --bundles {good} --require-type openvex"))
        .ends(11);
}

#[test]
fn judging_goes_on_where_it_was_interrupted_and_over_no_other_file() {
    let bed = Bed::new();
    let input = bed.entries("in.ndjson", 1..=3);
    let made = bed.create(&format!("--from-ndjson {input} -q")).ends(0);
    let ids: Vec<String> = made.stdout.lines().map(str::to_owned).collect();
    let few = fs::read_to_string(bed.bundles("few.ndjson", &ids)).expect("bundles");
    let many = bed.s.file("many.ndjson", few.repeat(4_000));
    let trust = bed.trust();
    for (name, more) in [("here", ""), ("offline", trust.as_str())] {
        let results = format!("{name}.results");
        let line = format!("verify --bundles {many} {more} --results {}", bed.at(&results));
        bed.kill_at(&line, &results, 500);
        let resumed = bed.s.run(&format!("{line} --resume")).ends(0);
        assert!(resumed.stderr.contains("going on after"), "{}", resumed.stderr);
        resumed.says("12000 judged: 12000 PASS");
        let all = rows(&fs::read_to_string(bed.path(&results)).expect("results"));
        let lines: Vec<_> = all[1..]
            .iter()
            .map(|row| row["line"].as_u64().expect("a line"))
            .collect();
        assert_eq!(lines, (1..=12_000).collect::<Vec<_>>());

        let few = bed.at("few.ndjson");
        let other = format!(
            "verify --bundles {few} {more} --results {} --resume",
            bed.at(&results)
        );
        bed.s.run(&other).ends(2).says("the results are not of");
    }
    let of_create = format!(
        "attest create --from-ndjson {input} --type cyclonedx --results {}",
        bed.at("c.results")
    );
    bed.s.ok(&of_create);
    bed.s
        .run(&format!(
            "verify --bundles {many} --results {} --resume",
            bed.at("c.results")
        ))
        .ends(2)
        .says("attest create");
}

#[test]
fn a_trust_bundle_that_is_not_to_be_used_judges_nothing() {
    let bed = Bed::new();
    let input = bed.entries("in.ndjson", 1..=1);
    let made = bed.create(&format!("--from-ndjson {input} -q")).ends(0);
    let good = bed.bundles("good.ndjson", &[made.stdout.trim().to_owned()]);
    let trust = bed.trust();
    let results = bed.at("results.ndjson");
    bed.s
        .run(&format!(
            "verify --bundles {good} {trust} --now 2099-01-01 --results {results}"
        ))
        .ends(11)
        .says("trust.stale");
    assert!(!bed.path("results.ndjson").exists());
}

#[test]
fn a_whole_anchor_is_judged_and_nothing_of_another() {
    let bed = Bed::new();
    bed.s.file("home/signer.yaml", "limits: {maxList: 10}\n");
    let narrow = bed
        .s
        .json("anchor create --purl-pattern pkg:npm/part-3@* --key-ids key-1");
    let narrow = narrow["trustAnchorId"].as_str().expect("an id").to_owned();
    let input = bed.entries("in.ndjson", 1..=40);
    bed.create(&format!("--from-ndjson {input}")).ends(0);
    bed.s
        .run(&format!("verify anchor {}", bed.anchor))
        .ends(0)
        .says("36 judged: 36 PASS");
    bed.s
        .run(&format!("verify anchor --anchor-id {narrow}"))
        .ends(0)
        .says("4 judged: 4 PASS");

    // Interrupted, and gone on with: each has its line, newest first.
    let line = format!(
        "verify anchor {} --results {}",
        bed.anchor,
        bed.at("results.ndjson")
    );
    bed.s.ok(&line);
    let text = fs::read_to_string(bed.path("results.ndjson")).expect("results");
    let cut: Vec<&str> = text.split_inclusive('\n').take(15).collect();
    fs::write(bed.path("results.ndjson"), cut.concat() + "{\"att").expect("written");
    bed.s
        .run(&format!("{line} --resume"))
        .ends(0)
        .says("36 judged: 36 PASS");
    let resumed = fs::read_to_string(bed.path("results.ndjson")).expect("results");
    let ids = |text: &str| -> Vec<String> {
        let rows = rows(text);
        let id = |row: &Value| row["attestationId"].as_str().expect("an id").to_owned();
        rows[1..].iter().map(id).collect()
    };
    assert_eq!(ids(&resumed), ids(&text));
    assert!(ids(&text).is_sorted_by(|a, b| a > b), "newest first");

    bed.s
        .ok("keys revoke key-1 --reason compromise --compromised-since 2020-01-01 --yes");
    bed.s
        .run(&format!("verify anchor {}", bed.anchor))
        .ends(12)
        .says("36 FAIL");
    bed.s.run("verify anchor 00000000").ends(3);
    bed.s
        .run(&format!("verify anchor {} --signer nobody:*", bed.anchor))
        .ends(12)
        .says("36 signer.not-wanted");
}

#[test]
fn after_a_revocation_the_server_judges_anew_and_a_new_key_signs_all_of_it_again() {
    let bed = Bed::new();
    let n = 130;
    let input = bed.entries("in.ndjson", 1..=n);
    bed.create(&format!("--from-ndjson {input} --profiles default,fips"))
        .ends(0);
    bed.s
        .run("attest resign --key key-1 --all")
        .ends(2)
        .says("active key");
    bed.s.ok("keys generate --profile default --key-id key-3");
    bed.s.ok("anchor add-key --anchor-id ALL --key-id key-3 --yes");
    bed.s.run("keys activate key-3");
    let mut server = bed.spawn("serve");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !bed.path("home/stella.sock").exists() {
        assert!(Instant::now() < deadline, "it does not serve");
        thread::sleep(Duration::from_millis(20));
    }
    // Retired for good: what it signed before stays good, and is known to be.
    bed.s.ok("keys revoke key-1 --reason annual-rotation --yes");
    let status = format!("anchor status {}", bed.anchor);
    loop {
        let told = bed.s.json(&status);
        if told["judged"] == n && told["pendingRescans"] == 0 {
            assert_eq!(told["successRatePercent"], 100.0, "{told}");
            break;
        }
        assert!(Instant::now() < deadline, "{told}");
        thread::sleep(Duration::from_millis(100));
    }
    bed.s
        .ok("keys impact key-1")
        .says("(0 flipped), done")
        .says("no verdict changed");

    bed.s
        .ok("attest resign --key key-1 --all --dry-run")
        .says("at least 100 would be signed again");
    let again = bed.s.ok("attest resign --key key-1 --all --yes -o json");
    let mut all = rows(&again.stdout);
    assert_eq!(all.pop().expect("a summary")["summary"]["signed"], n);
    assert!(all.iter().all(|row| row["keyId"] == "key-3"), "{}", again.stdout);
    bed.s
        .ok("attest resign --key key-1 --all --yes")
        .says("nothing stands that key-1 signed");
    assert_eq!(bed.signed(), 3 * n);

    // Stolen long before: nothing that it signed stands for itself.
    bed.s
        .ok("keys revoke key-2 --reason compromise --compromised-since 2020-01-01 --yes");
    let told = loop {
        let told = bed.s.ok("keys impact key-2").stdout;
        if told.contains(", done") {
            break told;
        }
        assert!(Instant::now() < deadline, "{told}");
        thread::sleep(Duration::from_millis(100));
    };
    assert!(told.contains("key-2 is compromised"), "{told}");
    let _ = server.kill();
    let _ = server.wait();
}
