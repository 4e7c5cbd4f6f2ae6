//! A server across a network proves who it is, and is told a password.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stella_testkit::certificate::{authority, issued};
use stella_testkit::postgres::Identity;

use super::*;
use crate::StoreError;

async fn refusal(url: &str, options: &OpenOptions) -> String {
    match Target::new(&url.parse().unwrap(), options) {
        Ok(target) => match Conn::open(&target).await {
            Err(StoreError::Unavailable(why)) => why,
            Err(other) => panic!("{url}: {other}"),
            Ok(_) => panic!("{url}: it was connected to"),
        },
        Err(e) => e.to_string(),
    }
}

fn with_password(folder: &Path, password: &str) -> OpenOptions {
    let file = folder.join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    OpenOptions {
        password_file: Some(file),
        ..OpenOptions::default()
    }
}

#[tokio::test]
async fn a_server_is_believed_for_its_authority_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    authority(path, "ours");
    authority(path, "theirs");
    issued(path, "server", "ours", "localhost");
    let server = Postgres::on_the_network(Some(Identity {
        folder: path,
        name: "server",
    }));
    server.password("an open secret");
    let options = with_password(path, "an open secret");
    let url = |host: &str, how: &str| format!("{}?{how}", server.network_url(host, "postgres"));
    let roots = |name: &str| format!("sslrootcert={}", path.join(name).display());

    let (ours, theirs) = (roots("ours.pem"), roots("theirs.pem"));
    for good in [
        url("localhost", &ours),
        url("127.0.0.1", &format!("sslmode=verify-ca&{ours}")),
        url("127.0.0.1", "sslmode=require"),
    ] {
        let target = Target::new(&good.parse().unwrap(), &options).unwrap();
        let conn = Conn::open(&target).await.unwrap();
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let encrypted: bool = conn.first(sql, &[]).await.unwrap().unwrap().get(0);
        assert!(encrypted, "{good}");
    }
    for (bad, why) in [
        (
            url("localhost", &theirs),
            "not signed by the authority that is trusted here",
        ),
        (
            url("localhost", &format!("sslmode=require&{theirs}")),
            "not signed by the authority",
        ),
        (url("localhost", ""), "issued by an authority that is not trusted"),
        (url("127.0.0.1", &ours), "its certificate is for another name"),
        (url("localhost", &roots("missing.pem")), "missing.pem"),
        (url("localhost", &roots("server.key")), "it holds no certificate"),
    ] {
        let refused = refusal(&bad, &options).await;
        assert!(refused.contains(why), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn a_server_without_tls_hears_no_password_unless_told_otherwise() {
    let server = Postgres::on_the_network(None);
    server.password("an open secret");
    let folder = tempfile::tempdir().unwrap();
    let url = |how: &str| format!("{}{how}", server.network_url("127.0.0.1", "postgres"));
    let right = with_password(folder.path(), "an open secret");
    for encrypted in ["?sslmode=require", "?sslmode=verify-ca", ""] {
        let refused = refusal(&url(encrypted), &right).await;
        assert!(refused.contains("ssl = on in postgresql.conf"), "{refused}");
    }
    let target = Target::new(&url("?sslmode=disable").parse().unwrap(), &right).unwrap();
    Conn::open(&target).await.unwrap();

    // Each connection reads the file anew.
    let wrong = with_password(folder.path(), "another");
    assert!(refusal(&url("?sslmode=disable"), &wrong).await.contains("28P01"));
    let file = folder.path().join("password");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        refusal(&url("?sslmode=disable"), &wrong)
            .await
            .contains("chmod 600")
    );
    std::fs::remove_file(&file).unwrap();
    assert!(
        refusal(&url("?sslmode=disable"), &wrong)
            .await
            .contains("cannot be read")
    );
}
