//! Workers that die or hang under load: every request is answered, every
//! signature that comes back verifies, and signing goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use stella_keys::hsm::{Hsm, WorkerState};
use stella_keys::pkcs11::Pkcs11;
use stella_keys::{Retry, SignError, sign_verified, sign_verified_async};
use tokio::task::spawn_blocking;

use super::bed::{Bed, eventually, key, signal};

#[test]
fn a_worker_that_is_killed_again_and_again_loses_no_request() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let faults = under_load(&hsm, |round| {
        signal(pid(&hsm), if round % 2 == 0 { "KILL" } else { "ABRT" });
    });
    assert!(hsm.status().restarts >= 3);
    for error in faults {
        assert!(matches!(error, SignError::Unavailable(_)), "{error}");
        assert_eq!(error.retry(), Retry::Later);
    }
}

#[test]
fn a_worker_that_hangs_is_killed_and_those_who_wait_hear_of_it() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.request_timeout = Duration::from_millis(400);
    let hsm = bed.start_with(options);
    let faults = under_load(&hsm, |_| signal(pid(&hsm), "STOP"));
    assert!(faults.iter().any(|e| matches!(e, SignError::TimedOut(_))));
    let text = hsm.status().last_error.expect("error").1.to_string();
    assert!(text.starts_with("HSM unavailable: module \"primary\""), "{text}");
    for error in faults {
        assert_eq!(error.retry(), Retry::Later);
    }
}

/// It would hang for the next as well.
#[test]
fn a_worker_that_hangs_is_killed_though_nobody_waits_any_more() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.request_timeout = Duration::from_millis(200);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    let hangs = pid(&hsm);
    signal(hangs, "STOP");
    eventually("all of it has stopped", || is_stopped(hangs));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let given_up = runtime.block_on(async {
        let signing = key.begin(&Arc::from(&b"message"[..])).expect("it is open");
        tokio::time::timeout(Duration::from_millis(10), signing).await
    });
    assert!(given_up.is_err(), "a stopped worker signed");
    eventually("another worker runs", || {
        let status = hsm.status();
        status.state == WorkerState::Running && status.pid != Some(hangs)
    });
    sign_verified(&*key, b"message").expect("signature");
}

#[test]
fn a_worker_that_hangs_while_it_starts_is_killed_too() {
    let bed = Bed::soft();
    let mut options = bed.options();
    // It is started and never answers.
    options.program = Some(bed.script("sleep 1000"));
    options.start_timeout = Duration::from_millis(200);
    let hsm = bed.start_with(options);
    let error = hsm.slots().expect_err("hangs");
    assert_eq!(error.code(), "hsm.timed-out");
    let text = error.to_string();
    assert!(
        text.contains("did not answer C_Initialize within 200 ms (worker killed)"),
        "{text}"
    );
}

#[test]
fn a_worker_that_ends_at_once_is_not_started_in_a_hot_loop() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.program = Some(bed.script("echo 'the library is cursed' >&2; exit 3"));
    options.restart_backoff = Duration::from_secs(600);
    options.max_restart_backoff = Duration::from_secs(600);
    let hsm = bed.start_with(options);
    for _ in 0..100 {
        assert_eq!(hsm.slots().expect_err("ended").code(), "hsm.unavailable");
    }
    let error = hsm.slots().expect_err("ended").to_string();
    assert!(
        error.contains("ended with exit code 3") && error.contains("next start is in"),
        "{error}"
    );
    assert!(matches!(hsm.status().state, WorkerState::Waiting { .. }));
    // The first failure is answered at once, the second with a wait.
    assert_eq!(hsm.status().restarts, 1);
    assert_eq!(bed.log.count("worker.said"), 2);
}

#[test]
fn a_library_that_talks_much_does_not_fill_the_log() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.program = Some(bed.script("yes 'debug: here' | head -10000 >&2; exit 3"));
    options.restart_backoff = Duration::from_secs(600);
    options.max_restart_backoff = Duration::from_secs(600);
    bed.start_with(options).slots().expect_err("ended");
    assert_eq!(bed.log.count("worker.said"), 200);
}

#[test]
fn a_worker_that_dies_while_nobody_asks_is_back_before_somebody_does() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    let first = pid(&hsm);
    signal(first, "KILL");
    eventually("another worker runs", || {
        let status = hsm.status();
        status.state == WorkerState::Running && status.pid != Some(first)
    });
    sign_verified(&*key, b"message").expect("signature");
}

/// Eight callers sign all the while, four of them as tasks, and `fault` is called three times, each
/// after signing went on. Answers what callers heard besides signatures.
fn under_load(hsm: &Pkcs11, fault: impl Fn(u32)) -> Vec<SignError> {
    let (key, ..) = key(hsm);
    let (over, signed) = (AtomicBool::new(false), AtomicU32::new(0));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let for_a_task = || {
        runtime.block_on(sign_verified_async(
            Arc::clone(&key),
            b"message".to_vec(),
            |blocks| async { spawn_blocking(blocks).await.expect("no panic") },
        ))
    };
    thread::scope(|scope| {
        let (key, over, signed, for_a_task) = (&key, &over, &signed, &for_a_task);
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                scope.spawn(move || {
                    let mut faults = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let made = if caller % 2 == 0 {
                            sign_verified(&**key, b"message")
                        } else {
                            for_a_task()
                        };
                        match made {
                            Ok(_) => {
                                signed.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(e) => {
                                faults.push(e);
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                    faults
                })
            })
            .collect();
        for round in 0..3 {
            let so_far = signed.load(Ordering::Relaxed);
            eventually("signing goes on", || signed.load(Ordering::Relaxed) > so_far + 50);
            fault(round);
            let so_far = signed.load(Ordering::Relaxed);
            eventually("signing goes on", || signed.load(Ordering::Relaxed) > so_far + 50);
        }
        over.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("caller"))
            .collect()
    })
}

/// Each thread stops when it next runs, which is after `kill` has answered.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('T'))
    })
}

fn pid(hsm: &Pkcs11) -> u32 {
    let mut pid = None;
    eventually("a worker runs", || {
        pid = hsm.status().pid;
        pid.is_some()
    });
    pid.expect("pid")
}
