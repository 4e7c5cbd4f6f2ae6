//! Backups as an operator makes, tries and needs them, with the real program
//! and the age tool beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use stella_testkit::binary::{Ran, Stella};

const EXE: &str = env!("CARGO_BIN_EXE_stella");

struct Bed {
    s: Stella,
    recipient: String,
}

impl Bed {
    /// A home with a key and two attestations, and an identity for its backups.
    fn new() -> Self {
        let s = Stella::new(EXE);
        s.ok("init");
        for n in 0..2 {
            s.ok(&format!("attest create --type test --subject test:early-{n}"));
        }
        let bed = Self {
            recipient: String::new(),
            s,
        };
        let recipient = bed.keygen("identity.txt");
        Self { recipient, ..bed }
    }

    fn keygen(&self, name: &str) -> String {
        let made = self.s.json(&format!("backup keygen --out {}", self.path(name)));
        made["recipient"].as_str().expect("a recipient").to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.s.folder().join(name).display().to_string()
    }

    fn create(&self, name: &str) -> Ran {
        let line = format!(
            "backup create --out {} --recipient {}",
            self.path(name),
            self.recipient
        );
        self.s.run(&line)
    }

    fn verify(&self, name: &str, identity: &str) -> Ran {
        let line = format!(
            "backup verify {} --identity {}",
            self.path(name),
            self.path(identity)
        );
        self.s.run(&line)
    }

    fn restore(&self, name: &str, home: &str) -> Ran {
        let (file, identity) = (self.path(name), self.path("identity.txt"));
        self.s.run(&format!(
            "--home {} backup restore {file} --identity {identity}",
            self.path(home)
        ))
    }

    /// What is in the folder, beside the home.
    fn files(&self) -> Vec<String> {
        names(self.s.folder())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Killed when the test ends, however it ends.
struct Serving(Child);

impl Serving {
    fn start(s: &Stella) -> Self {
        let serving = s
            .command(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let serving = Self(serving);
        for _ in 0..600 {
            if s.run("attest status").stdout.contains("(server)") {
                return serving;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("it never served");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_home_is_backed_up_while_it_serves_and_lives_on_elsewhere() {
    let bed = Bed::new();
    let serving = Serving::start(&bed.s);
    let acknowledged = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    let promised = thread::scope(|scope| {
        for caller in 0..3 {
            let (bed, acknowledged, over) = (&bed, &acknowledged, &over);
            scope.spawn(move || {
                for n in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let line = format!("attest create --type test --subject test:{caller}-{n} -q");
                    let id = bed.s.ok(&line).stdout.trim().to_owned();
                    acknowledged.lock().expect("not poisoned").push(id);
                }
            });
        }
        while acknowledged.lock().expect("not poisoned").len() < 20 {
            thread::sleep(Duration::from_millis(10));
        }
        let promised = acknowledged.lock().expect("not poisoned").clone();
        let made = bed.create("home.age");
        over.store(true, Ordering::SeqCst);
        made.ends(0).says("made the backup").says(&bed.recipient);
        promised
    });
    assert_eq!(mode(bed.path("home.age")), 0o600);
    let left = names(&bed.s.home());
    assert!(left.iter().all(|name| !name.contains("backup")), "{left:?}");
    bed.s.ok("audit query --type BACKUP_CREATED").says(&bed.recipient);
    drop(serving);

    bed.verify("home.age", "identity.txt").ends(0).says("is whole");
    bed.restore("home.age", "elsewhere").ends(0).says("restored");
    let elsewhere = bed.path("elsewhere");
    assert_eq!(mode(&elsewhere), 0o700);
    for file in ["stella.db", "sealing.key"] {
        assert_eq!(mode(Path::new(&elsewhere).join(file)), 0o600, "{file}");
    }
    for id in &promised {
        let line = format!("--home {elsewhere} verify attestation --attestation {id}");
        bed.s.ok(&line).says("PASS");
    }
    bed.s.ok(&format!("--home {elsewhere} db verify"));
    // It goes on: the same key signs, and what it signs is trusted.
    let keys = |home: &str| bed.s.json(&format!("--home {home} keys list"))["keys"][0]["fingerprint"].clone();
    assert_eq!(keys(&elsewhere), keys(&bed.s.home().display().to_string()));
    bed.s.ok(&format!(
        "--home {elsewhere} attest create --type test --subject test:after"
    ));
    bed.s
        .ok(&format!("--home {elsewhere} verify attestation --last"))
        .says("PASS");
}

#[test]
fn a_backup_that_is_not_whole_or_not_ours_becomes_no_home() {
    let bed = Bed::new();
    bed.create("home.age").ends(0);
    let whole = fs::read(bed.path("home.age")).expect("the backup");
    bed.keygen("other.txt");
    bed.verify("home.age", "other.txt")
        .ends(1)
        .says("encrypted to other recipients")
        .says("next: give the identity");
    let changed = |name: &str, bytes: &[u8]| {
        fs::write(bed.path(name), bytes).expect("written");
        bed.verify(name, "identity.txt").ends(1).says("  next: ");
        bed.restore(name, "never").ends(1);
        assert!(!Path::new(&bed.path("never")).exists(), "{name}");
    };
    for at in [0, 40, 150, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        changed("flipped.age", &bytes);
    }
    // Also where one of its pieces ends.
    let piece = (64 << 10) + 16;
    for length in [0, 100, 250, whole.len() / 2 / piece * piece, whole.len() - 1] {
        changed("cut.age", &whole[..length]);
    }
    changed("longer.age", &[&whole[..], b"!"].concat());
    let hidden: Vec<_> = bed
        .files()
        .into_iter()
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(hidden, Vec::<String>::new(), "nothing is left of the tries");

    // A home that is there stays as it is, and so does a file.
    bed.restore("home.age", "home")
        .ends(2)
        .says("restored into no home that exists")
        .says("--home DIR");
    bed.create("home.age").ends(2).says("no backup replaces another");
    assert_eq!(fs::read(bed.path("home.age")).expect("the backup"), whole);
    fs::create_dir(bed.path("empty")).expect("a folder");
    bed.restore("home.age", "empty").ends(0);
    bed.s
        .ok(&format!("--home {} verify attestation --last", bed.path("empty")))
        .says("PASS");
}

#[test]
fn a_backup_is_never_plain_and_never_half_there() {
    let bed = Bed::new();
    let out = bed.path("home.age");
    bed.s
        .run(&format!("backup create --out {out}"))
        .ends(2)
        .says("--recipient");
    bed.s
        .run(&format!("backup create --out {out} --recipient age1nobody"))
        .ends(2)
        .says("is no age recipient");
    let nobody = bed.s.file("nobody.txt", "# nobody yet\n");
    bed.s
        .run(&format!("backup create --out {out} --recipients-file {nobody}"))
        .ends(2)
        .says("backup keygen");
    // No room for it.
    let line = format!(
        "trap '' XFSZ; ulimit -f 8; exec {EXE} backup create --out {out} --recipient {}",
        bed.recipient
    );
    let mut limited = Command::new("bash");
    limited
        .args(["-c", &line])
        .env("STELLA_HOME", bed.s.home())
        .env("HOME", bed.s.folder());
    let ended = limited.output().expect("bash runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("error:"), "{said}");
    assert!(
        bed.files().iter().all(|name| !name.contains("home.age")),
        "{:?}",
        bed.files()
    );
    assert!(names(&bed.s.home()).iter().all(|name| !name.contains("backup")));
    bed.create("home.age").ends(0);
}

/// Who has lost us can still open it, and what the tool made is taken.
#[test]
fn the_age_tool_opens_our_backups_and_we_open_its() {
    let bed = Bed::new();
    let identity = bed.path("tool.txt");
    let made = Command::new("age-keygen").args(["-o", &identity]).output();
    let made = made.expect("age is installed");
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&identity).expect("an identity");
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    let recipients = bed.s.file(
        "recipients.txt",
        format!("# the tool's\n{}\n", recipient.expect("a recipient")),
    );
    let out = bed.path("home.age");
    bed.s.ok(&format!(
        "backup create --out {out} --recipient {} --recipients-file {recipients}",
        bed.recipient
    ));
    bed.verify("home.age", "tool.txt").ends(0);
    bed.verify("home.age", "identity.txt").ends(0);

    let plain = PathBuf::from(bed.path("plain.tar"));
    let age = |arguments: &[&str]| {
        let ran = Command::new("age").args(arguments).output().expect("age runs");
        assert!(ran.status.success(), "{ran:?}");
    };
    let plain_name = plain.display().to_string();
    for identity in ["tool.txt", "identity.txt"] {
        age(&["-d", "-i", &bed.path(identity), "-o", &plain_name, &out]);
    }
    let listed = Command::new("tar")
        .arg("tf")
        .arg(&plain)
        .output()
        .expect("tar runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        ["manifest.json", "stella.db", "sealing.key"]
    );
    let again = bed.path("again.age");
    age(&["-r", &bed.recipient, "-o", &again, &plain_name]);
    bed.restore("again.age", "elsewhere").ends(0);

    // What was put into it by somebody who can encrypt to us is not taken.
    let folder = bed.s.folder().join("open");
    fs::create_dir(&folder).expect("a folder");
    let tar = |arguments: &[&str]| {
        let ran = Command::new("tar").args(arguments).current_dir(&folder).output();
        let ran = ran.expect("tar runs");
        assert!(ran.status.success(), "{ran:?}");
    };
    tar(&["xf", &plain_name]);
    fs::write(folder.join("extra"), "x").expect("written");
    tar(&[
        "cf",
        &plain_name,
        "manifest.json",
        "stella.db",
        "sealing.key",
        "extra",
    ]);
    fs::remove_file(&again).expect("removed");
    age(&["-r", &bed.recipient, "-o", &again, &plain_name]);
    bed.verify("again.age", "identity.txt")
        .ends(1)
        .says("more than its manifest");
}

#[test]
fn a_local_hsm_and_the_configuration_go_along_and_pins_do_not() {
    let bed = Bed::new();
    let pin = bed.s.file("pin", "a long enough pin\n");
    let config = format!("hsm: {{local: {{gost: {{pinFile: {pin}}}}}}}\n");
    bed.s.file("home/signer.yaml", config);
    bed.s.ok("crypto local-hsm init gost");
    bed.s.ok("keys generate --profile gost --key-id gost-a");
    bed.create("home.age").ends(0);
    bed.verify("home.age", "identity.txt")
        .ends(0)
        .says("not in it")
        .says("the PIN of local HSM gost");
    bed.restore("home.age", "elsewhere").ends(0);
    let elsewhere = bed.path("elsewhere");
    bed.s
        .ok(&format!(
            "--home {elsewhere} attest create --type test --subject test:gost --profile gost"
        ))
        .says("gost-a");
}
