//! A short run of each drill; `./drill NAME` runs the long one.

use std::path::Path;
use std::time::Duration;

use stella_drill::hsm;
use stella_drill::instance::Instance;
use stella_drill::kill_sqlite::{Plan, lost, run};
use stella_drill::promises::Promise;

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

/// The real binary as the worker; the long run has them all.
#[test]
fn a_token_that_lies_and_a_module_that_crashes_lose_no_request() {
    for only in ["a signature is corrupted", "the module calls abort()"] {
        let plan = hsm::Plan {
            callers: 4,
            hold: Duration::from_millis(200),
            deadline: Duration::from_secs(5),
            only: Some(only.to_owned()),
        };
        let report = hsm::run(Path::new(EXE), &plan, &|row, _, _| {
            assert!(row.error.is_some(), "{row}")
        });
        let report = report.expect("the drill goes on");
        assert!(report.faults == 1 && report.acknowledged > 0, "{report}");
        assert!(report.lost.is_empty(), "{report}");
    }
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
