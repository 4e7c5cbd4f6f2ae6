//! Every command line of the runbooks works as written, under both names; one
//! that this build does not have yet says so.

use std::path::Path;
use std::process::Command;

use clap::error::ErrorKind;
use stella_cli::cli;

const PROGRAMS: [(&str, &str); 2] = [
    ("stella", env!("CARGO_BIN_EXE_stella")),
    ("stellaops", env!("CARGO_BIN_EXE_stellaops")),
];

#[test]
fn what_the_runbooks_type_is_understood() {
    let lines = lines("commands.txt");
    assert!(lines.len() > 40, "only {} commands", lines.len());
    for (program, _) in PROGRAMS {
        for words in &lines {
            let typed = std::iter::once(program).chain(words.iter().map(String::as_str));
            if let Err(error) = cli::command(program).try_get_matches_from(typed) {
                panic!("{program} {}: {error}", words.join(" "));
            }
        }
    }
}

/// What the pages of the documentation type, between lines of backquotes.
#[test]
fn what_the_pages_for_operators_type_is_understood() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut typed = 0;
    for page in [
        "runbooks/attestor-hsm-connection.md",
        "runbooks/attestor-signing-failed.md",
        "runbooks/crypto-ops.md",
        "operations/hsm-configuration.md",
    ] {
        let text = std::fs::read_to_string(docs.join(page)).expect(page);
        for line in text.lines().filter(|line| line.starts_with("stella ")) {
            typed += 1;
            if let Err(error) = cli::command("stella").try_get_matches_from(words(line)) {
                panic!("{page}: {line}: {error}");
            }
        }
    }
    assert!(typed > 40, "only {typed} commands");
}

#[test]
fn what_is_not_here_yet_is_said_to_be_missing() {
    for (program, path) in PROGRAMS {
        for words in lines("later.txt") {
            let typed = words.join(" ");
            let output = Command::new(path)
                .args(&words)
                .env_clear()
                .output()
                .expect("the program runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{typed}: {said}");
            let tree = cli::command(program);
            let verb = tree.find_subcommand(&words[0]).expect("a verb").get_name();
            let verb = format!("`{program} {verb}");
            assert!(
                said.contains("this build of") && said.contains(&verb),
                "{typed}: {said}"
            );
        }
    }
}

/// Whatever stands before the verb, and in whatever encoding.
#[test]
fn what_is_missing_is_named_behind_any_flags() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = std::ffi::OsStr::from_bytes(b"--home=\xff");
    let output = Command::new(PROGRAMS[0].1)
        .args([home, "-q".as_ref(), "crypto".as_ref(), "cert".as_ref()])
        .env_clear()
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`stella crypto cert`"), "{said}");
}

#[test]
fn every_verb_and_every_argument_explains_itself() {
    let mut command = cli::command("stella");
    command.build();
    explain(&mut command);
}

fn explain(command: &mut clap::Command) {
    let path = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    assert!(command.get_about().is_some(), "{path} has no words about it");
    for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
        let id = argument.get_id();
        assert!(
            argument.get_help().is_some(),
            "{path}: {id} has no words about it"
        );
    }
    let help = command.clone().try_get_matches_from([path.as_str(), "--help"]);
    assert_eq!(
        help.err().map(|e| e.kind()),
        Some(ErrorKind::DisplayHelp),
        "{path}"
    );
    for verb in command.get_subcommands_mut() {
        explain(verb);
    }
}

#[test]
fn nonsense_is_a_problem_for_programs_too() {
    for (nonsense, culprit) in [
        (&["keys", "frobnicate", "-o", "json"][..], "'frobnicate'"),
        (&["keys", "revoke", "k", "-o", "json"], "--reason <REASON>"),
        (&["keys", "-o", "json"], "command"),
        (&["-o", "json", "keys"], "no command was given"),
    ] {
        let output = Command::new(PROGRAMS[0].1)
            .args(nonsense)
            .env_clear()
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(2));
        let problem: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(problem["code"], "cli.usage");
        assert!(problem["detail"].to_string().contains(culprit), "{problem}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_ends_well_and_lists_the_exit_codes() {
    let output = Command::new(PROGRAMS[1].1)
        .arg("--help")
        .env_clear()
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Usage: stellaops"), "{text}");
    assert!(text.contains("12  the verdict is FAIL"), "{text}");
}

fn lines(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/runbooks")
        .join(file);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(words)
        .collect()
}

/// As a shell would split it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ', None) => words.push(String::new()),
            (c, _) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn completions_offer_what_help_shows_and_nothing_else() {
    let s = stella_testkit::binary::Stella::new(env!("CARGO_BIN_EXE_stella"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = s.ok(&format!("completions {shell}")).stdout;
        for offered in [
            "trust-anchors",
            "rotation-warnings",
            "pkcs11-reload",
            "purl-pattern",
        ] {
            assert!(script.contains(offered), "{shell}: {offered}");
        }
        for hidden in ["rekor", "issuer"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
    }
}
