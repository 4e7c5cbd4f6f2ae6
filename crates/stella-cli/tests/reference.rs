//! What is written says what the code does: the pages of the reference, which
//! `UPDATE=1` writes anew, and the README's tour, typed as it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stella_testkit::binary::Stella;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_is_not_stale() {
    let folder = root().join("docs/reference");
    for (name, page) in stella_cli::reference::pages() {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(&folder).expect("the folder");
            fs::write(&path, &page).expect("written");
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == page,
            "docs/reference/{name} is stale: UPDATE=1 cargo test -p stella-cli --test reference"
        );
    }
}

#[test]
fn the_readmes_tour_goes_as_it_is_printed() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let (_, tour) = readme.split_once("## Five minutes").expect("the tour");
    let (tour, _) = tour.split_once("## Where to read on").expect("its end");
    let visitor = Visitor::new();
    let mut servers = Vec::new();
    let (mut typed, mut code) = (0, 0);
    for (command, printed) in commands(tour) {
        typed += 1;
        if let Some(command) = command.strip_suffix(" &") {
            servers.push(visitor.serve(command));
            continue;
        }
        let told = visitor.run(&command, &mut code);
        let (told, printed) = (shape(&told), shape(&printed));
        assert!(
            fits(&told, &printed),
            "$ {command}\n{told}\n--- README:\n{printed}"
        );
    }
    assert!(typed > 12, "only {typed} commands");
}

/// What follows each `$ ` in a block of the console until the next, a `\` at
/// the end joining lines.
fn commands(tour: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut fenced, mut console, mut joins) = (false, false, false);
    for line in tour.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            console = fenced && line == "```";
            continue;
        }
        if !console {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            joins = command.ends_with('\\');
            found.push((command.trim_end_matches('\\').to_owned(), String::new()));
        } else if let Some((command, printed)) = found.last_mut() {
            let to = if joins { command } else { printed };
            to.push_str(line.trim_end_matches('\\'));
            to.push('\n');
            joins = joins && line.ends_with('\\');
        }
    }
    found
}

/// Somebody with nothing but the program and an empty folder.
struct Visitor {
    stella: Stella,
    first_key: String,
}

impl Visitor {
    fn new() -> Self {
        let stella = Stella::new(env!("CARGO_BIN_EXE_stella"));
        fs::create_dir(stella.folder().join("work")).expect("a folder");
        let today = Command::new("date")
            .args(["-u", "+%Y%m%d"])
            .output()
            .expect("date runs");
        let first_key = format!("default-{}", String::from_utf8_lossy(&today.stdout).trim());
        Self { stella, first_key }
    }

    fn shell(&self, command: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_stella"))
            .parent()
            .expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &masked(command, "-", is_first_key, &self.first_key)])
            .current_dir(self.stella.folder().join("work"))
            .env_clear()
            .env("HOME", self.stella.folder())
            .env("PATH", format!("{}:{path}", programs.display()))
            .stdin(Stdio::null());
        shell
    }

    /// Both streams, as a terminal would show them.
    fn run(&self, command: &str, code: &mut i32) -> String {
        let line = format!("exec 2>&1; (exit {code}); {command}");
        let output = self.shell(&line).output().expect("bash runs");
        *code = output.status.code().unwrap_or(-1);
        let home = self.stella.folder().display().to_string();
        String::from_utf8_lossy(&output.stdout).replace(&home, "/home/me")
    }

    fn serve(&self, command: &str) -> Served {
        let command = format!("exec {}", command.replace(":8420", ":0"));
        let server = self
            .shell(&command)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let socket = self.stella.folder().join(".local/share/stella/stella.sock");
        for _ in 0..500 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Served(server)
    }
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pieces between the README's `...`, in their order.
fn fits(told: &str, printed: &str) -> bool {
    let mut pieces = printed.split("...").map(str::trim);
    let mut rest = match told.strip_prefix(pieces.next().unwrap_or_default()) {
        Some(rest) => rest,
        None => return false,
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    printed.ends_with("...") || rest.trim().is_empty()
}

/// Without what differs from day to day: times, ids, the first key's name, and
/// who is asking.
fn shape(text: &str) -> String {
    let is_hex = |word: &str| word.bytes().all(|b| b.is_ascii_hexdigit());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = masked(&text, "-.:", |w| w.contains('T') && w.ends_with('Z'), "TIME");
    let text = masked(&text, "-", |w| w.len() == 36 && w.matches('-').count() == 4, "ID");
    let text = masked(
        &text,
        "-",
        |w| w.len() == 8 && w.starts_with("01") && is_hex(w),
        "ID",
    );
    let text = masked(&text, "-", is_first_key, "default-DAY");
    let is_feed_key = |w: &str| w.strip_prefix("feed-").is_some_and(|day| day.len() == 8);
    let text = masked(&text, "-", is_feed_key, "feed-DAY");
    masked(&text, ":", |w| w.starts_with("local:"), "local:ME")
}

fn is_first_key(word: &str) -> bool {
    word.strip_prefix("default-").is_some_and(|day| day.len() == 8)
}

/// Every word that is meant, replaced; words are letters and digits, and `joints`.
fn masked(text: &str, joints: &str, meant: impl Fn(&str) -> bool, by: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || joints.contains(c);
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c| !inside(c)).unwrap_or(rest.len()));
        out.push_str(if meant(word) { by } else { word });
        let (between, next) = after.split_at(after.find(inside).unwrap_or(after.len()));
        out.push_str(between);
        rest = next;
    }
    out
}
