//! A short run of each drill; `./drill NAME` runs the long one.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use stella_drill::hsm::{self, Row};
use stella_drill::instance::Instance;
use stella_drill::kill_postgres;
use stella_drill::kill_sqlite::{Plan, lost, run};
use stella_drill::promises::Promise;
use stella_drill::store_faults;

const EXE: &str = env!("CARGO_BIN_EXE_stella");

#[test]
fn killed_commands_and_servers_lose_nothing_acknowledged() {
    let plan = Plan {
        kills: 16,
        seed: 7,
        signers: 2,
    };
    let report = run(Path::new(EXE), &plan, &|_| {}).expect("the drill goes on");
    assert!(report.faults >= plan.kills && report.acknowledged > 0, "{report}");
    assert!(report.lost.is_empty(), "{report}");
}

const POSTGRES: kill_postgres::Plan = kill_postgres::Plan {
    kills: 12,
    crashes: 1,
    seed: 7,
    replicas: 3,
    callers: 3,
    token: false,
};

/// Three servers on one PostgreSQL, and the database; the long run has
/// workers with a token as well.
#[test]
fn killed_replicas_and_a_killed_database_lose_nothing_acknowledged() {
    let report = kill_postgres::run(Path::new(EXE), &POSTGRES, &|_| {}).expect("the drill goes on");
    assert!(report.faults >= 13 && report.acknowledged > 0, "{report}");
    assert!(report.lost.is_empty(), "{report}");
}

fn drilled(only: &str, callers: usize, deadline: Duration) -> Row {
    let plan = hsm::Plan {
        callers,
        hold: Duration::from_millis(200),
        deadline,
        only: Some(only.to_owned()),
    };
    let rows = RefCell::new(Vec::new());
    let keep = |row: &Row, _, _| rows.borrow_mut().push(row.clone());
    let report = hsm::run(Path::new(EXE), &plan, &keep).expect("the drill goes on");
    assert!(report.faults == 1 && report.acknowledged > 0, "{report}");
    assert!(report.lost.is_empty(), "{report}");
    rows.into_inner().remove(0)
}

/// A server of the real binary, with workers of its own; the long run has all faults.
#[test]
fn a_token_that_lies_and_a_module_that_crashes_lose_no_request() {
    for only in ["a signature is corrupted", "the module calls abort()"] {
        let row = drilled(only, 4, Duration::from_secs(5));
        assert!(row.error.is_some() && row.stood_in > 0, "{row}");
    }
}

#[test]
fn what_nobody_could_sign_is_recorded_and_signed_when_a_token_is_back() {
    let row = drilled("both tokens are down", 4, Duration::from_secs(4));
    assert!(row.recorded > 0, "{row}");
}

/// Whoever waited for the token that hangs is told by its module in time for
/// the standby key to sign within the deadline; and each time it is back, the
/// primary signs again.
#[test]
fn under_load_a_token_that_hangs_five_times_costs_no_request() {
    let row = drilled("five times over", 8, Duration::from_secs(4));
    let told = row.error.as_deref().unwrap_or_default();
    assert!(told.contains("did not answer C_Sign"), "{row}");
    assert!(row.stood_in >= 5 && row.signed > row.stood_in, "{row}");
    assert!(row.back.is_some(), "{row}");
}

/// A drill that could not find a loss would prove nothing.
#[test]
fn the_drill_notices_what_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let instance = Instance::new(Path::new(EXE), &folder.path().join("home"));
    instance.ok(&["init"]).expect("a home");
    let sign = [
        "attest",
        "create",
        "--type",
        "test",
        "--subject",
        "test:drill",
        "-q",
    ];
    let id = instance.ok(&sign).expect("signed");
    let kept = Promise::Signed(id);
    let gone = [
        Promise::Signed("01941f60-6a80-7ad0-a050-6afbdd26ab48".to_owned()),
        Promise::KeyEntered("nobody".to_owned()),
        Promise::KeyAdded("nobody".to_owned()),
        Promise::KeyRevoked("nobody".to_owned()),
    ];
    let all = [std::slice::from_ref(&kept), &gone].concat();
    let found = lost(&instance, &all).expect("looked");
    assert_eq!(found, gone.map(|promise| format!("{promise:?}")));
}

#[test]
fn the_drill_on_postgresql_notices_what_is_gone() {
    let plan = kill_postgres::Plan {
        replicas: 1,
        ..POSTGRES
    };
    let bed = kill_postgres::Bed::make(Path::new(EXE), &plan).expect("a bed");
    let gone = Promise::Acknowledged {
        key: "caller-0-0".to_owned(),
        id: "01941f60-6a80-7ad0-a050-6afbdd26ab48".to_owned(),
    };
    let found = bed.lost(&[gone]).expect("looked");
    assert!(found.len() == 1 && found[0].contains("caller-0-0"), "{found:?}");
}

fn on_a_store(only: &str) {
    let plan = store_faults::Plan {
        name: "store-faults",
        callers: 3,
        hold: Duration::from_millis(800),
        only: Some(only.to_owned()),
    };
    let rows = RefCell::new(Vec::new());
    let keep = |row: &store_faults::Row, _, _| rows.borrow_mut().push(row.clone());
    let skip = |fault: &'static str, why: &str| eprintln!("skipped: {fault}: {why}");
    let report = store_faults::run(Path::new(EXE), &plan, &keep, &skip).expect("the drill goes on");
    assert!(report.lost.is_empty(), "{report}");
    for row in rows.into_inner() {
        assert!(row.acknowledged > 0 && row.back.is_some(), "{row}");
        let told = row.error.unwrap_or_default();
        assert!(told.contains("store.unavailable"), "{told}");
        assert_eq!(row.verify, None, "what is there can be verified all the same");
    }
}

/// The long run has more faults, and each for a minute.
#[test]
fn a_full_disk_loses_nothing_and_hinders_no_verification() {
    on_a_store("the disk is full");
}

#[test]
fn a_database_that_may_only_be_read_loses_nothing_and_hinders_no_verification() {
    on_a_store("may only be read");
}
