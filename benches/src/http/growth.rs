//! What a server takes for the same requests with little in its store and
//! with much.

use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_core::alg::Algorithm;
use stella_keys::Sign as _;
use stella_keys::entropy::SystemEntropy;
use stella_keys::software::SoftwareKey;
use stella_testkit::postgres::Postgres;

use super::client::Client;
use super::load::Load;
use super::server::{self, Server};
use super::{set_up, text};
use crate::figures::{figure, median, ratio};

pub struct Growth {
    pub rounds: usize,
    pub turn: Duration,
    pub statement_bytes: usize,
    pub exe: PathBuf,
    pub store: String,
    /// Stored in the end.
    pub attestations: u64,
    pub anchors: u64,
    pub keys_per_anchor: u64,
}

pub fn run(growth: &Growth) -> Result<(), String> {
    let folder = tempfile::tempdir_in(".").map_err(text)?;
    let home = folder.path().join("home");
    let database = (growth.store == "postgres").then(Postgres::start);
    let url = database
        .as_ref()
        .map(|database| set_up(&growth.exe, folder.path(), database))
        .transpose()?;
    let server = Server::start(&growth.exe, folder.path(), &[PROFILE], url.as_deref())?;
    let token = server::said(&growth.exe, &home, &["token", "create", "--role", "admin", "-q"])?;
    let mut world = World {
        load: Load::new(growth.statement_bytes)?,
        client: Client::connect(server.port(), token.trim().to_owned())?,
        server: &server,
        growth,
    };
    let few = world.grow(0..1, FEW).and_then(|known| world.measure(&known))?;
    let more = growth.attestations.saturating_sub(FEW);
    let many = world
        .grow(1..growth.anchors.max(2), more)
        .and_then(|known| world.measure(&known))?;
    for ((name, before), (_, after)) in few.iter().zip(&many) {
        let name = format!("growth.{}.{name}", growth.store);
        figure(&format!("{name}.few"), before * 1e6, "µs");
        figure(&format!("{name}.many"), after * 1e6, "µs");
        ratio(&format!("{name}.many-to-few"), after / before);
    }
    server.stop()
}

struct World<'a> {
    growth: &'a Growth,
    server: &'a Server,
    load: Load,
    client: Client,
}

/// Method, path and body.
type Request = (&'static str, String, Value);

/// Something to ask about.
struct Known {
    /// Of the last team.
    anchor: String,
    key: String,
    /// Digests and packages.
    subjects: Vec<(String, String)>,
}

impl World<'_> {
    /// By these teams, each with an anchor and keys of its own, and by so many
    /// attestations of theirs.
    fn grow(&mut self, teams: Range<u64>, attestations: u64) -> Result<Known, String> {
        let mut known = Known {
            anchor: String::new(),
            key: String::new(),
            subjects: Vec::new(),
        };
        let begun = Instant::now();
        for team in teams.clone() {
            self.add_team(team, &mut known)?;
        }
        say(&format!(
            "{} anchors in {:.0?}",
            teams.end - teams.start,
            begun.elapsed()
        ));
        self.load.about(teams);
        let target = self.server.target(PROFILE);
        let part = attestations.div_ceil(PARTS);
        // What the first caller will have asked for at the end of the part.
        let sure = part / CALLERS as u64 / 2;
        known.subjects = (0..sure.max(1)).map(|n| self.load.subject(n)).collect();
        let mut left = attestations;
        while left > 0 {
            let turn = self.load.fill(&target, CALLERS, part.min(left))?;
            left = left.saturating_sub(part);
            let done = attestations - left;
            say(&format!(
                "{done} of {attestations} attestations, now {:.0}/s",
                turn.rate
            ));
        }
        Ok(known)
    }

    fn add_team(&mut self, team: u64, known: &mut Known) -> Result<(), String> {
        let p256: Algorithm = "ecdsa-p256".parse().map_err(|_| "no ECDSA P-256")?;
        let mut keys = vec![server::KEY.to_owned() + PROFILE];
        for n in 0..self.growth.keys_per_anchor {
            let key = SoftwareKey::generate(p256, &mut SystemEntropy).map_err(text)?;
            known.key = format!("team-{team}-{n}");
            let import = json!({ "keyId": known.key, "publicKey": key.public_key().to_pem() });
            self.client.ask("POST", "/v1/signer/keys/import", &import)?;
            keys.push(known.key.clone());
        }
        let anchor = json!({
            "purlPattern": format!("pkg:generic/team-{team}/*"),
            "keyIds": keys,
        });
        let (made, _) = self.client.ask("POST", "/v1/anchors", &anchor)?;
        let id = made["trustAnchorId"].as_str().ok_or("no trustAnchorId")?;
        known.anchor = id.to_owned();
        Ok(())
    }

    /// Seconds of each kind of request: what 64 callers get for each second,
    /// and the median of one caller.
    fn measure(&mut self, known: &Known) -> Result<Vec<(&'static str, f64)>, String> {
        let target = self.server.target(PROFILE);
        let mut waits = Vec::new();
        for _ in 0..self.growth.rounds {
            let turn = self.load.run(&target, CALLERS, self.growth.turn)?;
            waits.push(1.0 / turn.rate);
        }
        let mut measured = vec![("create-at-64", median(waits))];
        let lone = self.load.run(&target, 1, self.growth.turn)?;
        measured.push(("create-alone", seconds(lone.waited)));
        // A server hangs up on who says nothing for long.
        self.client.connect_anew()?;
        let (anchor, key) = (&known.anchor, &known.key);
        let get = |path: String| move |_: usize| ("GET", path.clone(), Value::Null);
        let subjects = &known.subjects;
        let artifact = |i: usize| {
            let (digest, package) = &subjects[i % subjects.len()];
            let artifact = json!({ "digests": { "sha256": digest }, "purl": package });
            ("POST", "/v1/verify/artifact".to_owned(), artifact)
        };
        let requests: [(&'static str, &dyn Fn(usize) -> Request); 8] = [
            ("verify-artifact", &artifact),
            ("anchor-status", &get(format!("/v1/anchors/{anchor}/status"))),
            ("audit-query", &get("/v1/audit?limit=50".to_owned())),
            (
                "audit-query-of-a-key",
                &get(format!("/v1/audit?keyId={key}&limit=50")),
            ),
            (
                "audit-query-of-a-type",
                &get("/v1/audit?type=KEY_REVOKED&limit=50".to_owned()),
            ),
            ("key-validity", &get(format!("/v1/signer/keys/{key}/validity"))),
            ("attest-list", &get("/v1/attestations?limit=50".to_owned())),
            ("attest-status", &get("/v1/status".to_owned())),
        ];
        for (name, request) in requests {
            let mut waits = Vec::new();
            for i in 0..self.growth.rounds * TIMES {
                let (method, path, body) = request(i);
                let (answer, took) = self.client.ask(method, &path, &body)?;
                if name == "verify-artifact" && answer["verdict"] != "PASS" {
                    return Err(format!("{body} is judged {answer}"));
                }
                waits.push(took);
            }
            measured.push((name, seconds(waits)));
        }
        Ok(measured)
    }
}

fn seconds(waits: Vec<Duration>) -> f64 {
    median(waits.iter().map(Duration::as_secs_f64).collect())
}

fn say(what: &str) {
    eprintln!("growth: {what}");
}

/// What there is before it grows, in one anchor of as many keys as any has.
const FEW: u64 = 1_000;
const CALLERS: usize = 64;
const PROFILE: &str = "ecdsa-p256";
/// How often each request is made in a round.
const TIMES: usize = 40;
/// After each of which the bench says how far it is.
const PARTS: u64 = 20;
