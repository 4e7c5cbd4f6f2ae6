//! A server with real sockets in a temporary home.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use stella_server::instance::{InitOptions, Instance, InstanceError, OpenMode, OpenOptions};
use stella_server::serve::{Listening, ServeError, ServeOptions, serve, serve_until};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    listening: Listening,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
}

async fn home(dir: &Path) -> PathBuf {
    let home = dir.join("home");
    Instance::init(&home, &InitOptions::default())
        .await
        .expect("a home");
    home
}

async fn open(home: &Path) -> Instance {
    Instance::open(home, OpenMode::Server, &OpenOptions::default())
        .await
        .expect("the home opens")
}

async fn start(home: &Path, listen: Option<&str>) -> Server {
    let instance = open(home).await;
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = oneshot::channel();
    let options = ServeOptions {
        listen: listen.map(str::to_owned),
    };
    let running = tokio::spawn(serve_until(
        instance,
        options,
        async {
            let _ = stopped.await;
        },
        |listening| {
            let _ = ready.send(listening.clone());
        },
    ));
    Server {
        listening: is_ready.await.expect("it listens"),
        stop,
        running,
    }
}

impl Server {
    async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.expect("it ends").expect("in good order");
    }

    fn tcp(&self) -> SocketAddr {
        self.listening.tcp.expect("it listens on TCP")
    }
}

/// One request, the connection closed after it.
fn exchange(mut stream: impl Read + Write, head: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let message = format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(message.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, b)| b.to_owned());
    (status, body.unwrap_or_default())
}

async fn local(socket: &Path, head: &str, body: &str) -> (u16, String) {
    let (socket, head, body) = (socket.to_owned(), head.to_owned(), body.to_owned());
    tokio::task::spawn_blocking(move || {
        exchange(UnixStream::connect(socket).expect("connects"), &head, &body)
    })
    .await
    .expect("the client ends")
}

async fn network(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let (head, body) = (head.to_owned(), body.to_owned());
    tokio::task::spawn_blocking(move || {
        exchange(TcpStream::connect(address).expect("connects"), &head, &body)
    })
    .await
    .expect("the client ends")
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// The queue's own round is an hour away: it is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_waited_for_to_be_recorded_is_signed_at_once_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    std::fs::write(home.join("signer.yaml"), "server: {queueInterval: 1h}\n").expect("written");
    let server = start(&home, None).await;
    let socket = &server.listening.socket;
    let request = json!({
        "predicateType": "test",
        "subjects": [{"name": "test:later", "digest": {"sha256": "ab".repeat(32)}}],
    });
    let head = "POST /v1/attestations?wait=recorded HTTP/1.1\r\nContent-Type: application/json";
    let (status, body) = local(socket, head, &request.to_string()).await;
    assert_eq!(status, 202, "{body}");
    let made = parse(&body);
    let id = made["id"].as_str().expect("an id");
    let next = made["attestations"][0]["next"].as_str().expect("a command");
    assert_eq!(next, format!("stella attest wait {id}"));

    let look = format!("GET /v1/attestations/{id} HTTP/1.1");
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (_, body) = local(socket, &look, "").await;
        if parse(&body)["state"] == "signed" {
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "still unsigned: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_a_home_in_which_a_test_statement_can_be_signed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("home");
    let made = Instance::init(&path, &InitOptions::default())
        .await
        .expect("made");
    let key = made.key.expect("a first key");
    assert_eq!(key.status, "active");

    let instance = Instance::open(&path, OpenMode::Embedded, &OpenOptions::default())
        .await
        .expect("opens");
    let state = instance.app().trust_head().await.expect("the state");
    let anchor = state.anchors.values().next().expect("one anchor");
    assert_eq!(Some(anchor.id.to_string()), made.anchor_id);
    assert_eq!(anchor.pattern.as_str(), "test:*");
    assert!(anchor.holds(&key.id.parse().expect("an id")));

    let again = Instance::init(&path, &InitOptions::default()).await;
    assert_eq!(again.expect_err("refused").code(), "home.exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_configuration_leaves_no_half_a_home() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("c.yaml");
    std::fs::write(&config, "signer: {profils: {}}\n").expect("written");
    let home = dir.path().join("home");
    let options = InitOptions {
        config: Some(config),
        no_key: false,
        ..InitOptions::default()
    };
    let error = Instance::init(&home, &options).await.expect_err("refused");
    assert!(error.to_string().contains("did you mean profiles?"), "{error}");
    assert!(!home.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_key_cannot_be_made_here_the_home_is_made_without_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("c.yaml");
    std::fs::write(
        &config,
        "signer: {profiles: {default: {keyStore: \"kms://aws/key/stellaops-default\"}}}\n",
    )
    .expect("written");
    let home = dir.path().join("home");
    let options = InitOptions {
        config: Some(config),
        no_key: false,
        ..InitOptions::default()
    };
    let made = Instance::init(&home, &options).await.expect("made");
    assert!(made.key.is_none());
    assert!(
        made.notes[0].contains("kms://aws/key/stellaops-default"),
        "{:?}",
        made.notes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_fails_leaves_nothing_and_may_be_repeated() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("c.yaml");
    std::fs::write(&config, "store: {url: \"sqlite:/proc/none/stella.db\"}\n").expect("written");
    let home = dir.path().join("home");
    let options = InitOptions {
        config: Some(config),
        no_key: false,
        ..InitOptions::default()
    };
    let error = Instance::init(&home, &options).await.expect_err("no such place");
    assert_eq!(error.code(), "store.unavailable");
    let made = Instance::init(&home, &InitOptions::default()).await;
    assert!(made.is_ok(), "{:?}", made.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_in_good_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    let socket = home.join("stella.sock");
    let serving = tokio::spawn(serve(open(&home).await, ServeOptions::default()));
    while UnixStream::connect(&socket).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::TERM).expect("sent");
    let ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
    ended.expect("soon").expect("it ends").expect("in good order");
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_sealing_key_is_told_and_never_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    std::fs::remove_file(home.join("sealing.key")).expect("removed");
    let lost = Instance::open(&home, OpenMode::Embedded, &OpenOptions::default())
        .await
        .err()
        .expect("refused");
    assert!(matches!(lost, InstanceError::SealingKeyLost(_)), "{lost}");
    assert!(lost.next().expect("a way out").contains("backup"));
    assert!(!home.join("sealing.key").exists());
}

/// An empty one in its place would forget every key and every proof, and say
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_told_and_never_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    std::fs::rename(home.join("stella.db"), dir.path().join("moved.db")).expect("moved");
    for mode in [OpenMode::Embedded, OpenMode::Server] {
        let lost = Instance::open(&home, mode, &OpenOptions::default())
            .await
            .err()
            .expect("refused");
        assert_eq!(lost.code(), "store.missing", "{lost}");
        assert!(lost.to_string().contains("stella.db"), "{lost}");
        assert!(lost.next().expect("a way out").contains("backup"));
        assert!(!home.join("stella.db").exists());
    }
    std::fs::rename(dir.path().join("moved.db"), home.join("stella.db")).expect("restored");
    drop(open(&home).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_has_one_server_and_then_no_embedded_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    let options = OpenOptions::default();
    let one = Instance::open(&home, OpenMode::Embedded, &options)
        .await
        .expect("one");
    let two = Instance::open(&home, OpenMode::Embedded, &options)
        .await
        .expect("two at once");
    let refused = Instance::open(&home, OpenMode::Server, &options).await;
    assert_eq!(refused.err().expect("refused").code(), "home.in-use");
    drop((one, two));

    let server = start(&home, None).await;
    for mode in [OpenMode::Embedded, OpenMode::Server] {
        let refused = Instance::open(&home, mode, &options).await;
        assert_eq!(refused.err().expect("refused").code(), "home.in-use");
    }
    server.stop().await;
    assert!(Instance::open(&home, OpenMode::Embedded, &options).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_the_owners_alone_and_knows_who_asks() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    // Left over by a server that was killed.
    std::fs::write(home.join("stella.sock"), "").expect("written");
    let server = start(&home, None).await;
    let socket = server.listening.socket.clone();
    let mode = std::fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (status, body) = local(
        &socket,
        "POST /v1/tokens HTTP/1.1",
        &json!({"role": "verifier"}).to_string(),
    )
    .await;
    assert_eq!(status, 201, "{body}");
    let by = parse(&body)["createdBy"].as_str().expect("who").to_owned();
    assert_eq!(by, format!("local:{}", stella_server::user::current()));

    let (status, body) = local(&socket, "GET /readyz HTTP/1.1", "").await;
    assert_eq!((status, body.as_str()), (200, "ready\n"));
    server.stop().await;
    assert!(!socket.exists(), "it takes its socket away");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_needs_a_token_and_gets_what_it_allows() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    let server = start(&home, Some("127.0.0.1:0")).await;
    let (tcp, socket) = (server.tcp(), server.listening.socket.clone());

    let (status, body) = network(tcp, "GET /v1/signer/keys HTTP/1.1", "").await;
    assert_eq!(
        (status, &parse(&body)["code"]),
        (401, &json!("access.unauthenticated"))
    );
    assert_eq!(network(tcp, "GET /healthz HTTP/1.1", "").await.0, 200);
    let (status, body) = network(tcp, "GET /openapi.json HTTP/1.1", "").await;
    assert_eq!((status, &parse(&body)["info"]["title"]), (200, &json!("Stella")));
    let (status, page) = network(tcp, "GET /docs/ HTTP/1.1", "").await;
    assert!(status == 200 && page.contains("swagger"), "{status} {page}");

    let (_, made) = local(
        &socket,
        "POST /v1/tokens HTTP/1.1",
        &json!({"role": "verifier", "name": "gate"}).to_string(),
    )
    .await;
    let made = parse(&made);
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("stella_") && secret.len() == 50);
    let with = |line: &str| format!("{line} HTTP/1.1\r\nAuthorization: Bearer {secret}");
    assert_eq!(network(tcp, &with("GET /v1/signer/keys"), "").await.0, 200);
    let (status, body) = network(tcp, &with("POST /v1/signer/keys"), "{}").await;
    assert_eq!((status, &parse(&body)["code"]), (403, &json!("access.denied")));

    let revoke = format!(
        "POST /v1/tokens/{}/revoke HTTP/1.1",
        made["id"].as_str().expect("an id")
    );
    let (status, body) = local(&socket, &revoke, "").await;
    assert_eq!((status, &parse(&body)["status"]), (200, &json!("revoked")));
    assert_eq!(network(tcp, &with("GET /v1/signer/keys"), "").await.0, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_what_they_allow_and_keep_their_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    let server = start(&home, None).await;
    let socket = server.listening.socket.clone();
    let create = |body: Value| {
        let socket = socket.clone();
        async move { local(&socket, "POST /v1/tokens HTTP/1.1", &body.to_string()).await }
    };

    for (body, code) in [
        (json!({"role": "signer"}), "token.scope"),
        (json!({"role": "king"}), "token.role"),
        (json!({"role": "signer", "purls": ["pkg:*x*"]}), "token.purl"),
        (
            json!({"role": "verifier", "expiresInSeconds": 10_000_000_000_u64}),
            "token.expires",
        ),
        (json!({"role": "verifier", "name": "a b"}), "token.name"),
    ] {
        let (status, answer) = create(body.clone()).await;
        assert_eq!((status, &parse(&answer)["code"]), (400, &json!(code)), "{body}");
    }
    let (status, answer) = create(json!({
        "role": "signer", "name": "ci-pay", "purls": ["pkg:npm/@pay/*"], "types": ["cyclonedx"], "expiresInSeconds": 60
    }))
    .await;
    assert_eq!(status, 201, "{answer}");
    let made = parse(&answer);
    assert_eq!(made["purls"], json!(["pkg:npm/%40pay/*"]));

    let (_, listed) = local(&socket, "GET /v1/tokens HTTP/1.1", "").await;
    assert!(listed.contains("ci-pay"));
    let secret = made["secret"].as_str().expect("a secret");
    assert!(!listed.contains(secret));
    let files = std::fs::read_dir(&home).expect("the home");
    for file in files.flatten().filter(|f| f.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("readable");
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "the secret lies in {}", file.path().display());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_stays_on_loopback_unless_told_otherwise() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    let refused = |address: &str| {
        let (home, address) = (home.clone(), address.to_owned());
        async move {
            let options = ServeOptions {
                listen: Some(address),
            };
            serve_until(open(&home).await, options, async {}, |_| {}).await
        }
    };
    let error = refused("0.0.0.0:0").await.expect_err("refused");
    assert!(matches!(error, ServeError::PlainHttp(_)), "{error}");
    let error = refused("nonsense").await.expect_err("refused");
    assert!(matches!(error, ServeError::Address(_)), "{error}");
    assert!(!home.join("stella.sock").exists());

    std::fs::write(home.join("signer.yaml"), "server: {allowPlainHttp: true}\n").expect("written");
    assert!(refused("0.0.0.0:0").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_turns_readiness_first_and_does_not_wait_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    std::fs::write(
        home.join("signer.yaml"),
        "server: {drainDelay: 800ms, shutdownGrace: 300ms}\n",
    )
    .expect("written");
    let server = start(&home, Some("127.0.0.1:0")).await;
    let tcp = server.tcp();
    // Begins a request and never ends it.
    let mut slow = UnixStream::connect(&server.listening.socket).expect("connects");
    slow.write_all(b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        .expect("sent");

    let Server { stop, running, .. } = server;
    let _ = stop.send(());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (status, body) = network(tcp, "GET /readyz HTTP/1.1", "").await;
    assert_eq!((status, &parse(&body)["code"]), (503, &json!("server.stopping")));
    assert_eq!(network(tcp, "GET /healthz HTTP/1.1", "").await.0, 200);

    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended
        .expect("within its grace")
        .expect("it ends")
        .expect("in good order");
    assert!(TcpStream::connect(tcp).is_err());
    let mut rest = Vec::new();
    let cut = slow.read_to_end(&mut rest);
    assert!(cut.is_err() || rest.is_empty(), "it was cut off, not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_answer_with_their_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(dir.path()).await;
    std::fs::write(
        home.join("signer.yaml"),
        "server: {headerReadTimeout: 200ms, requestTimeout: 300ms}\nlimits: {maxBodyBytes: 100}\n",
    )
    .expect("written");
    let server = start(&home, None).await;
    let socket = server.listening.socket.clone();
    let (status, body) = local(&socket, "POST /v1/tokens HTTP/1.1", &"x".repeat(101)).await;
    assert_eq!((status, &parse(&body)["code"]), (413, &json!("body.too-large")));

    let cut = tokio::task::spawn_blocking(move || {
        // A head that never ends is cut off; a body that never ends is told so.
        let mut half = UnixStream::connect(&socket).expect("connects");
        half.write_all(b"GET /healthz HTTP/1.1\r\n").expect("sent");
        let mut rest = Vec::new();
        let _ = half.read_to_end(&mut rest);
        let mut slow = UnixStream::connect(&socket).expect("connects");
        slow.write_all(
            b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{",
        )
        .expect("sent");
        let mut answer = String::new();
        slow.read_to_string(&mut answer).expect("answered");
        answer
    });
    let answer = tokio::time::timeout(Duration::from_secs(5), cut)
        .await
        .expect("both end")
        .expect("the client ends");
    assert!(
        answer.contains(" 503 ") && answer.contains("request.timeout"),
        "{answer}"
    );
    server.stop().await;
}
