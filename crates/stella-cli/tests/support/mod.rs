//! Running the real program, and a server that answers from a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What a command did.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }
}

pub fn run(program: &str, arguments: &[&str]) -> Run {
    finish(command(program, arguments))
}

/// Answers one request after the other as written; each must be the expected
/// one.
pub struct Scripted {
    url: String,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Scripted {
    pub fn new(script: Vec<(&'static str, u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (expected, status, answer) in script {
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                serve(stream, expected, status, &answer, &record);
            }
        });
        Self { url, seen }
    }

    pub fn stella(&self, line: &str) -> Run {
        self.run("stella", line)
    }

    pub fn stellaops(&self, line: &str) -> Run {
        self.run("stellaops", line)
    }

    pub fn with_closed_stdout(&self, line: &str) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command("stella", line);
        command.stdout(writer);
        finish(command)
    }

    pub fn heads(&self) -> Vec<String> {
        self.seen
            .lock()
            .expect("seen")
            .iter()
            .map(|s| s.0.clone())
            .collect()
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.seen
            .lock()
            .expect("seen")
            .iter()
            .map(|s| s.1.clone())
            .collect()
    }

    fn run(&self, program: &str, line: &str) -> Run {
        finish(self.command(program, line))
    }

    fn command(&self, program: &str, line: &str) -> Command {
        let words: Vec<&str> = ["--server", &self.url]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        command(program, &words)
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let path = match program {
        "stellaops" => env!("CARGO_BIN_EXE_stellaops"),
        _ => env!("CARGO_BIN_EXE_stella"),
    };
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn finish(mut command: Command) -> Run {
    let output = command.output().expect("the program runs");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn serve(
    stream: TcpStream,
    expected: &str,
    status: u16,
    answer: &Value,
    record: &Mutex<Vec<(String, Value)>>,
) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("a line") == 0 || line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = head.lines().next().unwrap_or_default().to_owned();
    record.lock().expect("record").push((head, body));
    let (status, answer) = if asked == format!("{expected} HTTP/1.1") {
        (status, answer.to_string())
    } else {
        (418, format!("expected {expected}, was asked {asked}"))
    };
    let response = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
    reader
        .into_inner()
        .write_all(response.as_bytes())
        .expect("answered");
}
