//! Callers that each keep one connection, and ask again when they have their
//! answer. No two requests are about the same.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::text;

#[derive(Clone)]
pub struct Target {
    pub port: u16,
    pub profile: String,
    pub token: Option<String>,
}

pub struct Load {
    runtime: Runtime,
    statement_bytes: usize,
    next: u64,
    /// Whose packages the statements are about; of one nobody in particular
    /// when there are none.
    teams: Range<u64>,
}

pub struct Turn {
    pub rate: f64,
    pub waited: Vec<Duration>,
}

/// When the callers are done.
#[derive(Clone)]
enum End {
    After(Duration),
    /// So many requests are still to be made.
    Done(Rc<Cell<u64>>),
}

impl End {
    fn reached(&self, begun: Instant) -> bool {
        match self {
            Self::After(turn) => begun.elapsed() >= *turn,
            Self::Done(left) => left.replace(left.get().saturating_sub(1)) == 0,
        }
    }
}

/// When each caller asks.
#[derive(Clone, Copy)]
enum Pace {
    AtOnce,
    /// Whether or not the last answer is there in time: then the wait counts.
    Every(Duration),
}

impl Load {
    pub fn new(statement_bytes: usize) -> Result<Self, String> {
        // One thread: it is to leave the cores to what is measured.
        let runtime = Builder::new_current_thread().enable_all().build().map_err(text)?;
        Ok(Self {
            runtime,
            statement_bytes,
            next: 0,
            teams: 0..0,
        })
    }

    pub fn about(&mut self, teams: Range<u64>) {
        self.teams = teams;
    }

    pub fn run(&mut self, target: &Target, connections: usize, turn: Duration) -> Result<Turn, String> {
        self.load(target, connections, End::After(turn), Pace::AtOnce)
    }

    /// The digest and the package of the `n`th statement of the first caller
    /// of the next run.
    pub fn subject(&self, n: u64) -> (String, String) {
        subject(self.next + 1 + n, &self.teams)
    }

    /// Exactly so many requests.
    pub fn fill(&mut self, target: &Target, connections: usize, requests: u64) -> Result<Turn, String> {
        let left = Rc::new(Cell::new(requests));
        self.load(target, connections, End::Done(left), Pace::AtOnce)
    }

    pub fn paced(
        &mut self,
        target: &Target,
        connections: usize,
        rate: f64,
        turn: Duration,
    ) -> Result<Turn, String> {
        let every = Duration::from_secs_f64(connections as f64 / rate.max(1.0));
        self.load(target, connections, End::After(turn), Pace::Every(every))
    }

    fn load(&mut self, target: &Target, connections: usize, end: End, pace: Pace) -> Result<Turn, String> {
        let begun = Instant::now();
        let mut waited = Vec::new();
        let local = tokio::task::LocalSet::new();
        local.block_on(&self.runtime, async {
            let mut callers = tokio::task::JoinSet::new();
            for i in 0..connections {
                let caller = Caller {
                    target: target.clone(),
                    statement_bytes: self.statement_bytes,
                    number: self.next + ((i as u64) << 32),
                    teams: self.teams.clone(),
                };
                // They do not all ask in the same moment.
                let offset = match pace {
                    Pace::AtOnce => Duration::ZERO,
                    Pace::Every(every) => every.mul_f64(i as f64 / connections as f64),
                };
                callers.spawn_local(caller.ask_until(begun, offset, end.clone(), pace));
            }
            while let Some(caller) = callers.join_next().await {
                waited.append(&mut caller.map_err(text)??);
            }
            Ok::<_, String>(())
        })?;
        self.next += 1 << 40;
        Ok(Turn {
            rate: waited.len() as f64 / begun.elapsed().as_secs_f64(),
            waited,
        })
    }
}

struct Caller {
    target: Target,
    statement_bytes: usize,
    number: u64,
    teams: Range<u64>,
}

impl Caller {
    async fn ask_until(
        mut self,
        begun: Instant,
        offset: Duration,
        end: End,
        pace: Pace,
    ) -> Result<Vec<Duration>, String> {
        let address = ("127.0.0.1", self.target.port);
        let mut stream = TcpStream::connect(address).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let (mut waited, mut answer) = (Vec::new(), Vec::new());
        let mut due = begun + offset;
        while !end.reached(begun) {
            let since = match pace {
                Pace::AtOnce => Instant::now(),
                Pace::Every(every) => {
                    tokio::time::sleep_until(due.into()).await;
                    let since = due;
                    due += every;
                    since
                }
            };
            let request = self.request();
            stream.write_all(&request).await.map_err(text)?;
            read_answer(&mut stream, &mut answer).await?;
            waited.push(since.elapsed());
            if !answer.starts_with(b"HTTP/1.1 201") || !contains(&answer, b"\"signed\"") {
                return Err(format!("not signed: {}", String::from_utf8_lossy(&answer)));
            }
        }
        Ok(waited)
    }

    fn request(&mut self) -> Vec<u8> {
        self.number += 1;
        let (digest, package) = subject(self.number, &self.teams);
        let head = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"{package}","digest":{{"sha256":"{digest}"}}}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{{"fill":""#
        );
        let fill = self.statement_bytes.saturating_sub(head.len() + 3);
        let statement = format!("{head}{}\"}}}}", "x".repeat(fill));
        let body = format!(
            r#"{{"statement":"{}","profiles":["{}"]}}"#,
            STANDARD.encode(statement),
            self.target.profile
        );
        let token = match &self.target.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        format!(
            "POST /v1/attestations HTTP/1.1\r\nHost: localhost\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

fn subject(number: u64, teams: &Range<u64>) -> (String, String) {
    let package = match teams.end.checked_sub(teams.start) {
        None | Some(0) => "pkg:generic/bench@1".to_owned(),
        Some(all) => format!("pkg:generic/team-{}/app@1", teams.start + number % all),
    };
    (format!("{number:064x}"), package)
}

async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), String> {
    answer.clear();
    loop {
        if let Some(whole) = length(answer)
            && answer.len() >= whole
        {
            return Ok(());
        }
        if stream.read_buf(answer).await.map_err(text)? == 0 {
            return Err(format!("half an answer: {}", String::from_utf8_lossy(answer)));
        }
    }
}

/// Of head and body, once the head is there.
pub fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    };
    Some(head + text.lines().find_map(header).unwrap_or(0_usize))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}
