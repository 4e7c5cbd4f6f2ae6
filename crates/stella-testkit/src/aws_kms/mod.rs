//! A KMS of AWS for tests, over HTTP: it holds real keys, follows the rules
//! that the documentation gives, and fails where a test tells it to.

mod http;
mod keys;
mod rules;
mod sigv4;

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use keys::Material;

/// The only credentials that are known.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "eu-central-1";
pub const ACCOUNT: &str = "111122223333";

/// Ends, with all its keys, when it is dropped.
pub struct FakeKms {
    endpoint: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the next request meets instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Throttled,
    /// An error of KMS by its name.
    Error(u16, &'static str, &'static str),
    /// A status with a body that is none of KMS's.
    Status(u16),
    /// No answer, ever.
    Hang,
    /// The connection is closed instead of an answer.
    Cut,
    /// It is done, and the answer is lost.
    CutAfterDoing,
    /// A signature over another message.
    WrongSignature,
    /// The signature, a byte short.
    ShortSignature,
    /// 200, and no JSON.
    Garbage,
    /// Answered, after this long.
    Slow(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
    Unavailable,
}

/// A request, as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// `Sign`, of `TrentService.Sign`.
    pub operation: String,
    pub body: Value,
    pub authorization: String,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, Key>,
    aliases: BTreeMap<String, String>,
    seen: Vec<Request>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    /// Of Sign, in any second.
    rate: Option<usize>,
    signed_at: VecDeque<Instant>,
    /// Requests are held until so many are there.
    meeting: usize,
    arrived: usize,
    /// For how many requests a new key is not known yet.
    unknown_for: u32,
}

struct Key {
    material: Material,
    state: KeyState,
    usage: String,
    description: String,
    unknown_for: u32,
}

struct Shared {
    state: Mutex<State>,
    /// Set when it ends, for those who hang.
    over: std::sync::atomic::AtomicBool,
}

impl FakeKms {
    pub fn start() -> Self {
        Self::serving(None)
    }

    /// With certificate and key from PEM files.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        Self::serving(Some(http::tls(certificate, key)))
    }

    fn serving(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            over: Default::default(),
        });
        let served = Arc::clone(&shared);
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || http::serve(&listener, tls.as_ref(), &served));
        Self {
            endpoint: format!("{scheme}://{address}"),
            address,
            shared,
        }
    }

    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// For the next requests, one after the other.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// For every request, until told otherwise.
    pub fn always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    pub fn limit(&self, signatures_per_second: usize) {
        self.state().rate = Some(signatures_per_second);
    }

    /// As KMS is: what was made a moment ago is not known everywhere at once.
    pub fn learn_slowly(&self, requests: u32) {
        self.state().unknown_for = requests;
    }

    /// Nobody is answered before so many wait at once.
    pub fn hold_until(&self, requests: usize) {
        let mut state = self.state();
        (state.meeting, state.arrived) = (requests, 0);
    }

    /// Makes a key behind the client's back; its id.
    pub fn key(&self, spec: &str, usage: &str) -> String {
        let mut state = self.state();
        let id = state.fresh_id();
        let material = Material::generate(spec).expect("a key of this spec");
        state.keys.insert(
            id.clone(),
            Key {
                material,
                state: KeyState::Enabled,
                usage: usage.to_owned(),
                description: String::new(),
                unknown_for: 0,
            },
        );
        id
    }

    /// `name` without `alias/`; moved if it is there.
    pub fn alias(&self, name: &str, key_id: &str) {
        self.state()
            .aliases
            .insert(format!("alias/{name}"), key_id.to_owned());
    }

    /// By id or alias.
    pub fn set_state(&self, name: &str, to: KeyState) {
        let mut state = self.state();
        let id = state.resolve(name).expect("the key");
        if let Some(key) = state.keys.get_mut(&id) {
            key.state = to;
        }
    }

    /// What was asked for, in order. Those that met a fault are among them.
    pub fn requests(&self) -> Vec<Request> {
        self.state().seen.clone()
    }

    pub fn operations(&self) -> Vec<String> {
        self.state().seen.iter().map(|r| r.operation.clone()).collect()
    }

    pub fn forget_requests(&self) {
        self.state().seen.clear();
    }

    /// Alias and id of the key that it leads to.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.state().aliases.clone()
    }

    pub fn descriptions(&self) -> Vec<String> {
        self.state()
            .keys
            .values()
            .map(|k| k.description.clone())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FakeKms {
    fn drop(&mut self) {
        self.shared.over.store(true, std::sync::atomic::Ordering::SeqCst);
        // Wakes the one that accepts.
        let _ = std::net::TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn is_gathering(&self) -> bool {
        let state = self.state();
        state.arrived < state.meeting
    }

    fn is_over(&self) -> bool {
        self.over.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl State {
    fn fresh_id(&self) -> String {
        format!("1234abcd-12ab-34cd-56ef-{:012x}", self.keys.len() + 1)
    }

    /// The id of the key under an id, an alias, or the ARN of either.
    fn resolve(&self, name: &str) -> Option<String> {
        let name = name
            .strip_prefix(&format!("arn:aws:kms:{REGION}:{ACCOUNT}:"))
            .unwrap_or(name);
        let name = name.strip_prefix("key/").unwrap_or(name);
        let id = self.aliases.get(name).map_or(name, String::as_str);
        self.keys.contains_key(id).then(|| id.to_owned())
    }
}
