//! Homes that were damaged, opened, led elsewhere or put under a wrong clock:
//! each gets a sentence, none is begun anew in silence, and none passes what
//! did not pass.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use stella_testkit::binary::{Ran, Stella};

const NOBODY: u32 = 65534;

fn stella() -> Stella {
    Stella::new(env!("CARGO_BIN_EXE_stella"))
}

fn initialised() -> Stella {
    let s = stella();
    s.ok("init");
    s
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Bytes chosen again by the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from(z >> 33).expect("31 bits") % n.max(1)
    }
}

#[test]
fn a_lost_database_is_not_begun_anew() {
    let s = initialised();
    std::fs::remove_file(s.home().join("stella.db")).expect("removed");
    for command in [
        "keys list",
        "attest create --type test --subject test:x",
        "serve",
        "db verify",
    ] {
        s.run(command)
            .ends(6)
            .says("there is no database")
            .says("restore");
    }
    s.run("init").ends(2).says("exists already");
    assert!(!s.home().join("stella.db").exists());
}

#[test]
fn an_init_that_was_cut_off_is_said_so_and_begun_again() {
    let s = stella();
    std::fs::create_dir(s.home()).expect("a folder");
    chmod(&s.home(), 0o700);
    std::fs::write(s.home().join("home.lock"), "").expect("a marker");
    std::fs::write(s.home().join("sealing.key"), "half a k").expect("a key begun");
    chmod(&s.home().join("sealing.key"), 0o600);
    s.run("keys list").ends(2).says("never finished").says("init");
    s.ok("init");
    s.ok("attest create --type test --subject test:x");
}

#[test]
fn a_lost_sealing_key_is_not_replaced() {
    let s = initialised();
    std::fs::remove_file(s.home().join("sealing.key")).expect("removed");
    s.run("attest test-sign")
        .ends(6)
        .says("sealing.key")
        .says("backup");
    assert!(!s.home().join("sealing.key").exists());
}

#[test]
fn files_that_others_may_use_are_refused_with_the_command_that_mends_it() {
    let s = initialised();
    for file in ["sealing.key", "stella.db"] {
        let path = s.home().join(file);
        chmod(&path, 0o644);
        s.run("keys list").ends(6).says("chmod 600");
        chmod(&path, 0o600);
    }
    s.file("home/signer.yaml", "signing: {deadline: 2s}\n");
    let config = s.home().join("signer.yaml");
    chmod(&config, 0o666);
    s.run("keys list").ends(2).says("chmod go-w");
    chmod(&config, 0o644);
    s.ok("keys list");
}

#[test]
fn a_link_in_the_place_of_a_file_is_refused() {
    let s = initialised();
    for file in ["sealing.key", "stella.db"] {
        let (path, elsewhere) = (s.home().join(file), s.folder().join(file));
        std::fs::rename(&path, &elsewhere).expect("moved");
        symlink(&elsewhere, &path).expect("a link");
        s.run("keys list").ends(6).says(file);
        std::fs::remove_file(&path).expect("unlinked");
        std::fs::rename(&elsewhere, &path).expect("moved back");
    }
    s.ok("keys list");
}

#[test]
fn files_of_another_user_are_refused() {
    if !is_root() {
        println!("skipped: only root gives files away");
        return;
    }
    let s = initialised();
    let key = s.home().join("sealing.key");
    chown(&key, Some(NOBODY), None).expect("chown");
    s.run("keys list").ends(6).says("belongs to user 65534");
    chown(&key, Some(0), None).expect("chown");
    let config = PathBuf::from(s.file("home/signer.yaml", "signing: {deadline: 2s}\n"));
    chown(&config, Some(NOBODY), None).expect("chown");
    s.run("keys list").ends(2).says("owner 65534");
}

/// As root the kernel would let it write, so somebody else asks.
#[test]
fn a_home_that_cannot_be_written() {
    let s = initialised();
    let mut command = s.command(["keys", "list"]);
    if is_root() {
        use std::os::unix::process::CommandExt as _;
        let exe = s.folder().join("stella");
        std::fs::copy(env!("CARGO_BIN_EXE_stella"), &exe).expect("a copy");
        chmod(s.folder(), 0o755);
        for path in [s.home(), s.home().join("home.lock")] {
            chown(&path, Some(NOBODY), None).expect("chown");
        }
        command = Command::new(exe);
        command
            .args(["keys", "list"])
            .env_clear()
            .env("STELLA_HOME", s.home());
        command.uid(NOBODY);
    }
    chmod(&s.home().join("home.lock"), 0o400);
    let output = command.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
}

#[test]
fn a_home_of_a_newer_release_is_left_alone() {
    let s = initialised();
    let database = s.home().join("stella.db");
    let raised = Command::new("sqlite3")
        .arg(&database)
        .arg("PRAGMA user_version = 99")
        .status()
        .expect("sqlite3 runs");
    assert!(raised.success());
    let before = std::fs::read(&database).expect("bytes");
    s.run("keys list").ends(6).says("newer release");
    assert!(std::fs::read(&database).expect("bytes") == before);
}

/// A board without a battery, a mistyped year.
#[test]
fn nothing_is_signed_or_judged_by_a_clock_that_is_plainly_wrong() {
    let s = initialised();
    let id = s.ok("attest create --type test --subject test:x -q").stdout;
    let verify = ["verify", "attestation", "--attestation", id.trim()];
    let sign = ["attest", "create", "--type", "test", "--subject", "test:y"];
    for (clock, right) in [
        ("1970-01-01 00:00:10", false),
        ("1999-12-31 12:00:00", false),
        ("2100-01-01 00:00:01", false),
        ("2099-06-01 00:00:00", true),
    ] {
        for arguments in [&verify[..], &sign[..]] {
            let mut command = Command::new("faketime");
            command
                .arg(clock)
                .arg(env!("CARGO_BIN_EXE_stella"))
                .args(arguments);
            command.env("STELLA_HOME", s.home()).env("TZ", "UTC");
            let output = command.output().expect("faketime runs");
            let said = String::from_utf8_lossy(&output.stderr);
            if right {
                assert_ne!(output.status.code(), Some(6), "{clock}: {said}");
            } else {
                assert_eq!(output.status.code(), Some(6), "{clock}: {said}");
                assert!(said.contains("clock") && said.contains(&clock[..10]), "{said}");
                assert!(said.contains("timedatectl"), "{said}");
            }
        }
    }
}

/// A small disk, step by step fuller: each command is done or it is not, and
/// says so. `ulimit -f` bounds every file that the command writes.
#[test]
fn a_disk_that_is_full_at_any_write() {
    let s = initialised();
    let exe = env!("CARGO_BIN_EXE_stella");
    let size = std::fs::metadata(s.home().join("stella.db"))
        .expect("a database")
        .len();
    let mut refused = 0;
    for kib in (0..size / 1024 + 96).step_by(16) {
        let line = format!(
            "trap '' XFSZ; ulimit -f {kib}; exec {exe} attest create --type test --subject test:full-{kib} -q"
        );
        let output = s.command(["-c", &line]);
        let output = shell(output, &line);
        let (code, said) = (output.code, output.stderr.clone());
        match code {
            0 => {
                let shown = s.json(&format!("attest show {}", output.stdout.trim()));
                assert_eq!(shown["state"], "signed");
            }
            6 | 1 => {
                assert!(said.starts_with("error: "), "{kib} KiB: {said}");
                refused += 1;
            }
            other => panic!("{kib} KiB: exit {other}: {said}"),
        }
    }
    assert!(refused > 0, "the disk was never full");
    assert_eq!(s.json("db verify")["ok"], true);
    s.ok("attest create --type test --subject test:after");
}

fn shell(stella: Command, line: &str) -> Ran {
    let mut command = Command::new("bash");
    command.args(["-c", line]).env_clear();
    command.envs(stella.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let output = command.output().expect("bash runs");
    Ran {
        command: line.to_owned(),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One attestation passes, one was withdrawn, one key is revoked. Then any
/// file is cut off or overwritten anywhere.
#[test]
fn torn_and_rotten_files_are_errors_and_never_a_pass() {
    let s = initialised();
    let good = s.ok("attest create --type test --subject test:good -q").stdout;
    let bad = s.ok("attest create --type test --subject test:bad -q").stdout;
    let (good, bad) = (good.trim(), bad.trim());
    s.ok(&format!("attest withdraw {bad} --reason policy-violation"));
    s.file("home/signer.yaml", "signing: {deadline: 2s}\n");
    let files = [
        "stella.db",
        "stella.db",
        "stella.db",
        "sealing.key",
        "signer.yaml",
    ];
    let whole: Vec<Vec<u8>> = files
        .iter()
        .map(|f| std::fs::read(s.home().join(f)).expect("a file"))
        .collect();
    let keys = s.ok("keys list -o json").stdout;
    let mut chance = Chance(20_250_101);
    let mut noticed = 0;
    for round in 0..60 {
        let which = round % files.len();
        let path = s.home().join(files[which]);
        let mut bytes = whole[which].clone();
        if chance.below(3) == 0 {
            bytes.truncate(chance.below(bytes.len()));
        } else {
            let (from, length) = (chance.below(bytes.len()), 1 + chance.below(64));
            for byte in bytes.iter_mut().skip(from).take(length) {
                *byte = u8::try_from(chance.below(256)).expect("a byte");
            }
        }
        overwrite(&path, &bytes);
        let listed = s.run("keys list -o json");
        match listed.code {
            0 => assert_eq!(listed.stdout, keys, "round {round}: other keys"),
            1 | 2 | 6 => assert!(listed.stderr.starts_with("error: "), "round {round}: {listed:?}"),
            _ => panic!("round {round}: {listed:?}"),
        }
        let verdict = s.run(&format!("verify attestation --attestation {bad}"));
        assert_ne!(verdict.code, 0, "round {round}: {verdict:?}");
        assert!(verdict.code > 0, "round {round}: {verdict:?}");
        let checked = s.run("db verify");
        assert!(checked.code >= 0, "round {round}: {checked:?}");
        if listed.code != 0 || checked.code != 0 {
            noticed += 1;
        }
        for leftover in ["stella.db-wal", "stella.db-shm"] {
            let _ = std::fs::remove_file(s.home().join(leftover));
        }
        overwrite(&path, &whole[which]);
    }
    assert!(noticed > 20, "only {noticed} of 60 were noticed");
    s.ok(&format!("verify attestation --attestation {good}"));
}

fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
}
