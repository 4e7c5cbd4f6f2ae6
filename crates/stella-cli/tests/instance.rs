//! A command never works on the wrong instance: where none is meant, or the
//! one that is meant does not answer, it stops with a sentence.

use std::os::unix::net::UnixListener;

use stella_testkit::binary::Stella;

fn stella() -> Stella {
    Stella::new(env!("CARGO_BIN_EXE_stella"))
}

const SIGN: &str = "attest create --type test --subject test:verification";

#[test]
fn no_server_and_no_home() {
    let s = stella();
    s.run(SIGN).ends(2).says("init");
    assert!(!s.home().exists(), "a command must not make a home by itself");
    let mut bare = s.command(SIGN.split_whitespace());
    let output = bare.env_remove("STELLA_HOME").output().expect("runs");
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_empty_variable_in_a_script_is_not_no_variable() {
    let s = stella();
    s.ok("init");
    s.run_with(SIGN, &[("STELLA_SERVER", "")])
        .ends(2)
        .says("STELLA_SERVER");
}

#[test]
fn a_server_that_does_not_answer() {
    let s = stella();
    s.ok("init");
    // Bound and closed at once: nobody listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let server = format!("http://127.0.0.1:{port}");
    s.run_with(SIGN, &[("STELLA_SERVER", &server)])
        .ends(6)
        .says(&server);
}

#[test]
fn a_dead_socket_is_removed_with_a_note() {
    let s = stella();
    s.ok("init");
    drop(UnixListener::bind(s.home().join("stella.sock")).expect("a socket"));
    s.run(SIGN).ends(0).says("stella.sock");
    assert!(!s.home().join("stella.sock").exists());
}

#[test]
fn a_home_that_others_can_enter() {
    use std::os::unix::fs::PermissionsExt as _;
    let s = stella();
    s.ok("init");
    std::fs::set_permissions(s.home(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    s.run(SIGN).ends(2).says("chmod 700");
}

#[test]
fn a_folder_that_is_no_home() {
    let s = stella();
    std::fs::create_dir(s.home()).expect("a folder");
    std::fs::write(s.home().join("thesis.tex"), "precious").expect("a file");
    s.run(SIGN).ends(2);
    s.run("init").ends(2);
    assert_eq!(
        std::fs::read_to_string(s.home().join("thesis.tex")).expect("still there"),
        "precious"
    );
}
