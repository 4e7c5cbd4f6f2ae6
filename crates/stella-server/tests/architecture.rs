//! The rules of the house that the compiler does not hold by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every line of code below these folders, with its place.
fn lines(folder: &str) -> Vec<(PathBuf, usize, String)> {
    let root = workspace().join(folder);
    let mut out = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("a folder")
                    .map(|e| e.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            for (n, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default().to_owned();
                out.push((path.clone(), n + 1, code));
            }
        }
    }
    assert!(!out.is_empty(), "no sources under {}", root.display());
    out
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the workspace")
        .to_owned()
}

fn nobody_says(folder: &str, words: &[&str], except: &[&str]) {
    let found: Vec<_> = lines(folder)
        .into_iter()
        .filter(|(path, ..)| !except.iter().any(|e| path.ends_with(e)))
        .filter(|(.., code)| words.iter().any(|w| code.contains(w)))
        .map(|(path, n, code)| format!("{}:{n}: {}", path.display(), code.trim()))
        .collect();
    assert!(
        found.is_empty(),
        "{folder} must not use {words:?}:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_core_knows_no_clock_no_file_and_no_network() {
    nobody_says(
        "crates/stella-core/src",
        &[
            "SystemTime",
            "Instant::now",
            "std::fs",
            "std::net",
            "tokio",
            "getrandom",
            "std::process",
        ],
        &["purl/tests.rs", "alg/ed25519.rs", "src/vectors.rs"],
    );
}

#[test]
fn use_cases_know_no_web_framework_and_no_database() {
    for folder in ["app", "doctor"] {
        nobody_says(
            &format!("crates/stella-server/src/{folder}"),
            &[
                "axum",
                "utoipa",
                "hyper",
                "rusqlite",
                "tokio_postgres",
                "cryptoki::",
                "use cryptoki",
            ],
            &[],
        );
    }
}

/// The fuzzers compile it without the server around it.
#[test]
fn the_configuration_stands_by_itself() {
    nobody_says("crates/stella-server/src/config", &["crate::"], &["tests.rs"]);
}

#[test]
fn the_time_is_asked_for_in_one_file() {
    for folder in [
        "crates/stella-server/src",
        "crates/stella-keys/src",
        "crates/stella-store/src",
    ] {
        nobody_says(folder, &["SystemTime::now", "Timestamp::now"], &["clock.rs"]);
    }
}

#[test]
fn imports_run_one_way() {
    let forbidden = [
        (
            "stella-core",
            vec![
                "stella-keys",
                "stella-store",
                "stella-server",
                "tokio",
                "axum",
                "rusqlite",
            ],
        ),
        (
            "stella-keys",
            vec!["stella-store", "stella-server", "axum", "rusqlite"],
        ),
        ("stella-store", vec!["stella-keys", "stella-server", "axum"]),
        ("stella-server", vec!["stella-cli", "clap"]),
        ("stella-cli", vec!["stella-store", "rusqlite"]),
    ];
    for (crate_name, names) in forbidden {
        let manifest = workspace().join("crates").join(crate_name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let production = text.split("[dev-dependencies]").next().unwrap_or_default();
        for name in names {
            let depends = production
                .lines()
                .any(|l| l.split(['.', ' ', '=']).next() == Some(name));
            assert!(!depends, "{crate_name} must not depend on {name}");
        }
    }
}

/// The crates that the program is built from.
fn crates_of_the_program(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "stella-cli",
            "--locked",
            "--edges",
            "normal,build",
        ])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut crates: Vec<String> = text
        .lines()
        .map(|l| l.split(" (").next().unwrap_or(l).to_owned())
        .filter(|l| !l.is_empty())
        .collect();
    crates.sort();
    crates.dedup();
    crates
}

#[test]
fn the_sdk_of_aws_is_built_for_its_feature_alone() {
    let of_aws = |crates: &[String]| {
        let sdk = crates
            .iter()
            .filter(|c| c.starts_with("aws-") && !c.starts_with("aws-lc-"));
        sdk.cloned().collect::<Vec<_>>()
    };
    let without = of_aws(&crates_of_the_program(&[]));
    assert!(without.is_empty(), "{without:?}");
    let with = crates_of_the_program(&["--features", "aws-kms"]);
    assert!(
        of_aws(&with).iter().any(|c| c.starts_with("aws-sdk-kms ")),
        "{with:?}"
    );
    // One TLS stack, one provider of its cryptography.
    for once in ["rustls", "aws-lc-rs", "hyper", "h2"] {
        let versions = with.iter().filter(|c| c.split(' ').next() == Some(once)).count();
        assert_eq!(versions, 1, "{once}: {with:?}");
    }
    let others = [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "s2n-tls",
    ];
    let found: Vec<_> = with
        .iter()
        .filter(|c| c.split(' ').next().is_some_and(|name| others.contains(&name)))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_threat_names_a_test_that_is_there() {
    let tests: Vec<String> = lines("crates")
        .into_iter()
        .filter_map(|(.., code)| {
            Some(
                code.trim()
                    .trim_start_matches("async ")
                    .strip_prefix("fn ")?
                    .to_owned(),
            )
        })
        .filter_map(|rest| Some(rest.split_once('(')?.0.to_owned()))
        .collect();
    let model = fs::read_to_string(workspace().join("docs/THREAT-MODEL.md")).expect("the threat model");
    let rows = model
        .lines()
        .skip_while(|line| *line != "## Threats")
        .filter(|line| line.starts_with("| ") && !line.starts_with("| threat "));
    let mut threats = 0;
    for row in rows {
        let named = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let named: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test stops this: {row}");
        for test in named {
            assert!(tests.iter().any(|t| t == test), "no test is called {test}: {row}");
        }
        threats += 1;
    }
    assert!(threats > 40, "only {threats} threats were read");
}
