//! The PostgreSQL that tests start for themselves.
#![allow(clippy::unwrap_used)]

use stella_testkit::postgres::Postgres;

#[test]
fn a_cluster_is_private_durable_and_ends_with_its_test() {
    let server = Postgres::start();
    let (one, other) = (server.database(), server.database());
    let ask = |database: &str, sql: &str| server.psql(database, "postgres", sql);
    ask(&one, "CREATE TABLE only_here (n int)").unwrap();
    assert!(ask(&other, "SELECT * FROM only_here").is_err());
    assert_eq!(ask(&one, "SHOW fsync").unwrap(), "on");
    assert_eq!(ask(&one, "SHOW listen_addresses").unwrap(), "");

    let folder = server.socket().to_owned();
    let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    assert!(std::path::Path::new("/proc").join(&pid).exists());
    drop(server);
    assert!(!std::path::Path::new("/proc").join(pid).exists());
    assert!(!folder.exists());
}
