//! From an empty folder to a verdict, with the real program and no server:
//! the verification steps of the signing runbook, and the mistakes of a first
//! day.

use stella_testkit::binary::Stella;

fn stella() -> Stella {
    Stella::new(env!("CARGO_BIN_EXE_stella"))
}

#[test]
fn an_empty_folder_becomes_a_verdict() {
    let s = stella();
    // It never makes a home by itself.
    s.run("attest status").ends(2).says("next: stella");
    s.ok("init");
    s.run("init")
        .ends(2)
        .says("exists already")
        .says("next: stella --home");
    let status = s.ok("attest status").stdout;
    assert!(status.starts_with("target "), "the target comes first: {status}");
    s.ok("attest test-sign");

    let created = s.json("attest create --type test --subject test:verification");
    let id = created["id"].as_str().expect("an id");
    let verdict = s.ok("verify attestation --last");
    assert!(
        verdict.stdout.starts_with("PASS  test:verification  test  ok\n"),
        "{verdict:?}"
    );
    for check in ["envelope", "statement", "anchor", "signature", "time", "key"] {
        assert!(
            verdict.stdout.contains(&format!("  ✓ {check} ")),
            "{check}: {verdict:?}"
        );
    }
    s.ok(&format!("attest integrity-check {id}"));
    assert_eq!(
        s.ok("attest logs --level error --last 30m").stdout,
        "no log lines match\n"
    );
    s.ok(&format!("attest show {id}")).says("algorithm ");

    let absent = "0".repeat(64);
    s.run(&format!("verify artifact --digest sha256:{absent}"))
        .ends(10);
    s.run("attest show ffffffff").ends(3);
    s.ok("db verify");
}

#[test]
fn a_bundle_that_cannot_be_written_does_not_hide_what_was_signed() {
    let s = stella();
    s.ok("init");
    let nowhere = s.folder().join("no/such/bundle.json").display().to_string();
    let ran = s
        .run(&format!(
            "attest create --type test --subject test:x --bundle {nowhere} -o json"
        ))
        .ends(3)
        .says(&nowhere);
    let id = s.json("attest show last")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let problem = ran.json();
    assert!(problem["causes"].to_string().contains(&id), "{problem}");
    assert_eq!(problem["next"], format!("stella attest show {id} --bundle"));
}

#[test]
fn a_key_says_what_is_missing_before_its_signatures_verify() {
    let s = stella();
    s.ok("init --no-key").says("next: stella keys generate");
    s.ok("keys generate --profile default --key-id k1")
        .says("verifies once an anchor holds it")
        .says("stella anchor create --purl-pattern PATTERN --key-ids k1");
    for pattern in ["pkg:npm/*", "pkg:cargo/*"] {
        s.ok(&format!("anchor create --purl-pattern {pattern} --key-ids k1"));
    }
    s.ok("keys generate --profile default --key-id k2")
        .says("signs once the anchors hold it");
    let anchors = s.json("anchor list");
    let id = |pattern: &str| {
        let all = anchors["anchors"].as_array().expect("anchors");
        let one = all.iter().find(|a| a["purlPattern"] == pattern);
        one.expect(pattern)["trustAnchorId"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    s.ok(&format!("anchor add-key {} --key-id k2", id("pkg:npm/*")))
        .says(&format!("not yet in    {}", id("pkg:cargo/*")));
    s.ok(&format!("anchor add-key {} --key-id k2", id("pkg:cargo/*")))
        .says("k2 now signs");

    // The key of a log enters no anchor.
    let log = s.ok("keys generate --type log --key-id log-1");
    assert!(!log.stderr.contains("anchor"), "{log:?}");
}

#[test]
fn a_misspelt_filter_is_no_empty_list() {
    let s = stella();
    s.ok("init");
    for typo in ["--type sgning", "--status actve"] {
        s.run(&format!("keys list {typo}"))
            .ends(2)
            .says("possible values");
    }
    s.ok("keys list --type signing --status active").says("default-");
}

#[test]
fn an_image_names_nothing_but_itself() {
    let s = stella();
    s.ok("init");
    let image = format!("ghcr.io/acme/app@sha256:{}", "ab".repeat(32));
    let create = format!("attest create --type test --image {image}");
    s.ok(&create).says("pkg:oci/app@sha256:");
    s.ok(&format!("{create} --subject sha256:{}", "ab".repeat(32)));
    let other = s.file("other.tar", "another");
    s.run(&format!("{create} --subject {other}"))
        .ends(2)
        .says("not that of pkg:oci/app");
}

#[test]
fn the_demo_plays_in_its_own_folder_alone() {
    let s = stella();
    let folder = s.folder().join("demo").display().to_string();
    let (store, config) = (
        s.folder().join("precious.db"),
        s.file("precious.yaml", "nonsense: {}\n"),
    );
    let store = format!("sqlite:{}", store.display());
    let demo = format!("demo --dir {folder}");
    s.run_with(&demo, &[("STELLA_STORE", &store), ("STELLA_CONFIG", &config)])
        .ends(0)
        .says(&format!("export STELLA_HOME={folder}/home STELLA_CONFIG="));
    assert!(!s.folder().join("precious.db").exists());
    s.run(&demo).ends(2).says("exists");
}

/// Whoever pages through the story or cuts it off has seen enough.
#[test]
fn a_demo_that_nobody_reads_on_ends_well() {
    let s = stella();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let folder = s.folder().join("demo").display().to_string();
    let output = s
        .command(["demo", "--dir", &folder])
        .stdout(writer)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// What OpenSSL writes is read, and it reads what we write, in both forms.
#[test]
fn keys_come_and_go_as_pem_and_as_der() {
    let stella = stella();
    let openssl = |arguments: &[&str]| {
        let done = std::process::Command::new("openssl")
            .args(arguments)
            .output()
            .expect("openssl is installed");
        assert!(
            done.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    };
    stella.ok("init --no-key");
    let file = |name: &str| stella.folder().join(name).display().to_string();
    let (private, private_der, public_der) = (file("k.pem"), file("k.der"), file("p.der"));
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &private,
    ]);
    openssl(&[
        "pkcs8",
        "-topk8",
        "-nocrypt",
        "-in",
        &private,
        "-outform",
        "DER",
        "-out",
        &private_der,
    ]);
    stella.ok(&format!(
        "keys import --key-id own --profile fips --private-key {private_der}"
    ));
    let ours = stella
        .command("keys show own --public --der".split_whitespace())
        .output()
        .expect("runs")
        .stdout;
    assert_eq!(
        ours,
        openssl(&["pkey", "-in", &private, "-pubout", "-outform", "DER"])
    );
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
    openssl(&[
        "pkey",
        "-in",
        &private,
        "-pubout",
        "-outform",
        "DER",
        "-out",
        &public_der,
    ]);
    stella.ok(&format!("keys import --key-id partner --public-key {public_der}"));
    let pem = stella.ok("keys show partner --public").stdout;
    assert_eq!(pem.as_bytes(), openssl(&["pkey", "-in", &private, "-pubout"]));
}

/// One artifact, signed by every profile there is.
#[test]
fn every_profile_signs_and_says_what_it_signs_with() {
    let stella = stella();
    stella.ok("init --no-key");
    let listed = stella.ok("crypto providers list --algorithms").stdout;
    for (profile, algorithm, unaudited) in [
        ("default", "SHA256-ED25519", false),
        ("fips", "SHA256-ECDSA-P256", false),
        ("pqc", "ML-DSA-65", false),
        ("gost", "GOST-R-34.10-2012", true),
        ("sm2", "SM2-P256", true),
    ] {
        let row = listed
            .lines()
            .find(|line| line.starts_with(algorithm))
            .expect(algorithm);
        assert_eq!(row.contains("(unaudited)"), unaudited, "{row}");

        let made = stella.ok(&format!("keys generate --profile {profile} --key-id {profile}-1"));
        assert_eq!(made.stdout.contains("unaudited"), unaudited, "{}", made.stdout);
        stella.ok(&format!(
            "anchor create --purl-pattern test:{profile}-* --key-ids {profile}-1"
        ));
        stella.ok(&format!(
            "attest create --type test --subject test:{profile}-app --profile {profile}"
        ));
        stella
            .ok("verify attestation --last")
            .says("PASS")
            .says(&format!("{algorithm} by {profile}-1"));
    }
    stella
        .ok("keys generate --algorithm gost2012-256 --key-id next")
        .says("GOST-R-34.10-2012");
}

#[test]
fn settings_that_need_a_warning_give_one() {
    let stella = stella();
    stella.ok("init --no-key");
    stella
        .ok("attest config set signing.mode software")
        .says("Software signing may not meet compliance requirements");
    stella
        .ok("attest reload")
        .says("Software signing may not meet compliance requirements");
    stella
        .ok("keys config set rotation.auto true")
        .says("does not rotate by itself yet");
}
