//! Finding the instance: real sockets, real locks, temporary homes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use stella_cli::client::{Client, ClientError, Reached, TargetOptions, Timeouts};
use stella_server::home::{Home, Locking};
use stella_server::instance::{InitOptions, Instance, OpenMode, OpenOptions};
use stella_server::serve::{Listening, ServeOptions, serve_until};
use tokio::sync::oneshot;

/// Nothing of this machine gets in.
fn options(dir: &Path) -> TargetOptions {
    TargetOptions {
        system_socket: dir.join("no-system.sock"),
        user_home: Some(dir.join("no-user-home")),
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(5),
        },
        ..TargetOptions::default()
    }
}

async fn init(dir: &Path) -> PathBuf {
    let home = dir.join("home");
    Instance::init(&home, &InitOptions::default())
        .await
        .expect("a home");
    home
}

async fn refused(options: &TargetOptions) -> ClientError {
    match Client::connect(options).await {
        Ok(client) => panic!("it reached {}", client.reached()),
        Err(error) => error,
    }
}

async fn connect(options: &TargetOptions) -> Client {
    Client::connect(options).await.expect("it is found")
}

struct Server {
    listening: Listening,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

async fn serve(home: &Path) -> Server {
    let instance = Instance::open(home, OpenMode::Server, &OpenOptions::default())
        .await
        .expect("opens");
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, is_ready) = oneshot::channel();
    let options = ServeOptions {
        listen: Some("127.0.0.1:0".into()),
    };
    let running = tokio::spawn(async move {
        let until = async {
            let _ = stopped.await;
        };
        serve_until(instance, options, until, |l| {
            let _ = ready.send(l.clone());
        })
        .await
        .expect("in good order");
    });
    Server {
        listening: is_ready.await.expect("listens"),
        stop,
        running,
    }
}

async fn keys(client: &Client) -> usize {
    let keys = ask(client, Method::GET, "/v1/signer/keys", b"")
        .await
        .expect("the keys");
    keys["keys"].as_array().expect("a list").len()
}

async fn ask(client: &Client, method: Method, path: &str, body: &[u8]) -> Result<Value, ClientError> {
    client.send(method, path, &[], body).await?.success()?.json()
}

async fn failure(client: &Client, path: &str) -> ClientError {
    ask(client, Method::GET, path, b"").await.expect_err("it fails")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_both_ways_are_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = options(dir.path());
    let error = refused(&options).await;
    assert_eq!((error.exit().code(), error.code()), (2, "client.no-target"));
    let next = error.next().expect("a way out");
    assert!(
        next.contains("--server") && next.contains("stella init"),
        "{next}"
    );

    let mut named = options.clone();
    named.home = Some(dir.path().join("nowhere"));
    let error = refused(&named).await;
    assert_eq!((error.exit().code(), error.code()), (2, "home.missing"));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_server_is_worked_on_in_this_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let mut options = options(dir.path());
    options.home = Some(home.clone());
    let client = connect(&options).await;
    assert_eq!(*client.reached(), Reached::Embedded { home: home.clone() });
    assert_eq!(keys(&client).await, 1);

    // The user's own home, when none is named.
    options.home = None;
    options.user_home = Some(home);
    assert_eq!(keys(&connect(&options).await).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_with_a_server_is_asked_through_its_socket() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let server = serve(&home).await;
    let socket = home.join("stella.sock");
    let mut options = options(dir.path());
    options.home = Some(home.clone());
    let client = connect(&options).await;
    assert_eq!(*client.reached(), Reached::Socket { path: socket.clone() });
    assert_eq!(keys(&client).await, 1);

    options.home = None;
    options.system_socket = socket;
    assert_eq!(keys(&connect(&options).await).await, 1, "the machine's server");
    let _ = server.stop.send(());
    server.running.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_by_its_address_asks_for_a_token() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let server = serve(&home).await;
    let mut options = options(dir.path());
    options.home = Some(home);
    let verifier = json!({"role": "verifier"}).to_string();
    let embedded = connect(&options).await;
    let token = ask(&embedded, Method::POST, "/v1/tokens", verifier.as_bytes())
        .await
        .expect("a token");

    // A server that is named comes before a home.
    options.server = Some(format!("http://{}/", server.listening.tcp.expect("TCP")));
    let error = failure(&connect(&options).await, "/v1/signer/keys").await;
    assert_eq!((error.exit().code(), error.code()), (4, "access.unauthenticated"));
    options.token = Some(token["secret"].as_str().expect("a secret").to_owned());
    let known = connect(&options).await;
    assert_eq!(keys(&known).await, 1);
    let error = failure(&known, "/v1/signer/keys/none").await;
    assert_eq!((error.exit().code(), error.code()), (3, "key.unknown"));
    assert!(matches!(&error, ClientError::Problem(p) if p.detail.contains("none")));

    let _ = server.stop.send(());
    server.running.await.expect("ends");
    let error = failure(&known, "/v1/signer/keys").await;
    assert_eq!((error.exit().code(), error.code()), (6, "client.unreachable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_servers_socket_is_removed_with_a_note() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let socket = home.join("stella.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    assert!(socket.exists());
    let mut options = options(dir.path());
    options.home = Some(home.clone());
    let client = connect(&options).await;
    assert!(matches!(client.reached(), Reached::Embedded { .. }));
    assert!(client.notes()[0].contains("stella.sock"), "{:?}", client.notes());
    assert!(!socket.exists());
    assert_eq!(keys(&client).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lives_and_refuses_is_an_error_and_its_socket_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let socket = home.join("stella.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let lock = Home::open(&home)
        .expect("a home")
        .lock(Locking::Exclusive)
        .expect("locked");
    let mut options = options(dir.path());
    options.home = Some(home);
    let error = refused(&options).await;
    assert_eq!((error.exit().code(), error.code()), (6, "client.socket-refuses"));
    assert!(socket.exists());
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_just_starting_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = init(dir.path()).await;
    let lock = Home::open(&home)
        .expect("a home")
        .lock(Locking::Exclusive)
        .expect("locked");
    let mut options = options(dir.path());
    options.home = Some(home.clone());
    let connecting =
        tokio::spawn(async move { Client::connect(&options).await.map(|c| c.reached().clone()) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _listener = std::os::unix::net::UnixListener::bind(home.join("stella.sock")).expect("bound");
    let reached = connecting.await.expect("ends").expect("reached");
    assert!(matches!(reached, Reached::Socket { .. }), "{reached}");
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_lead_nowhere_say_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut options = options(dir.path());
    for bad in [
        "ftp://x",
        "stella.example",
        "https://",
        "http://me:secret@x",
        "http://x?y",
    ] {
        options.server = Some(bad.into());
        let error = refused(&options).await;
        assert_eq!(error.exit().code(), 2, "{bad}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    for scheme in ["http", "https"] {
        options.server = Some(format!("{scheme}://127.0.0.1:{port}"));
        let error = failure(&connect(&options).await, "/v1/status").await;
        assert_eq!((error.exit().code(), error.code()), (6, "client.unreachable"));
    }
}

/// Reads a request and hangs up, `drops` times; then answers. Counts them all.
fn closing_server(drops: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            if count.fetch_add(1, Ordering::SeqCst) >= drops {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
        }
    });
    (place, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_does_no_harm_twice_is_sent_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut options = options(dir.path());
    let (place, seen) = closing_server(1);
    options.server = Some(place);
    let error = connect(&options)
        .await
        .send(Method::POST, "/v1/attestations", &[], b"{}")
        .await
        .expect_err("it broke off");
    assert!(matches!(error, ClientError::BrokenOff { .. }), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);

    for (method, headers) in [
        (Method::GET, &[][..]),
        (Method::POST, &[("Idempotency-Key", "k-1")][..]),
    ] {
        let (place, seen) = closing_server(1);
        options.server = Some(place);
        let answer = connect(&options)
            .await
            .send(method, "/v1/attestations", headers, b"{}")
            .await
            .expect("the second time");
        assert_eq!((answer.status.as_u16(), seen.load(Ordering::SeqCst)), (200, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_leave_this_machine_in_the_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(outside) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let listener = TcpListener::bind((outside, 0)).expect("a port");
    let mut options = options(dir.path());
    options.server = Some(format!("http://{}", listener.local_addr().expect("an address")));
    options.token = Some("stella_secret".into());
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all
    });
    let error = failure(&connect(&options).await, "/v1/status").await;
    assert_eq!((error.exit().code(), error.code()), (2, "client.token-in-clear"));
    assert_eq!(heard.join().expect("ends"), b"");
}

/// Which of this machine's addresses faces outward; nothing is sent.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
