//! What the worker's process shows, and when it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use stella_keys::hsm::Hsm;

use super::bed::{Bed, eventually, gone, p256, signal, token};

#[test]
fn arguments_and_environment_hold_no_secret_and_nothing_of_ours() {
    let bed = Bed::soft();
    let hsm = bed.start();
    hsm.generate(&token("stella"), "key", p256()).expect("logged in");
    let pid = hsm.status().pid.expect("pid");
    let of = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).expect(what);
    let arguments = of("cmdline");
    assert!(arguments.ends_with("__worker\0primary\0"), "{arguments:?}");
    let environment = of("environ");
    let names: Vec<_> = environment
        .split('\0')
        .filter_map(|v| Some(v.split_once('=')?.0))
        .collect();
    assert_eq!(names, ["SOFTHSM2_CONF"]);
    assert!(!arguments.contains(bed.token.pin()) && !environment.contains(bed.token.pin()));
    let core = of("limits")
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .map(str::to_owned);
    let core = core.expect("limit");
    assert_eq!(
        core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
}

#[test]
fn no_program_of_the_same_user_looks_into_the_worker() {
    let bed = Bed::soft();
    let mut options = bed.options();
    let root = rustix::process::getuid().is_root();
    if root {
        // For root nothing is closed: the worker is somebody else's then.
        let opened = Command::new("chmod")
            .args(["-R", "a+rwX"])
            .arg(bed.folder())
            .status();
        assert!(opened.is_ok_and(|status| status.success()));
        let worker = options.program.expect("the worker").display().to_string();
        let as_nobody = "/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups";
        options.program = Some(bed.script(&format!("exec {as_nobody} {worker} \"$@\"")));
        let opened = fs::set_permissions(bed.folder().join("script"), fs::Permissions::from_mode(0o755));
        opened.expect("permissions");
    }
    let hsm = bed.start_with(options);
    hsm.generate(&token("stella"), "key", p256()).expect("logged in");
    let pid = hsm.status().pid.expect("pid");
    let uid = |what: &str| {
        fs::metadata(format!("/proc/{pid}{what}"))
            .expect("metadata")
            .uid()
    };
    assert!(
        !root
            || fs::read_to_string(format!("/proc/{pid}/status"))
                .expect("status")
                .contains("Uid:\t65534")
    );
    // The kernel takes what it shows of such a process away from its user.
    assert_eq!((uid("/mem"), uid("/environ")), (0, 0));
}

#[test]
fn our_own_process_never_loads_the_library() {
    let bed = Bed::soft();
    let hsm = bed.start();
    hsm.generate(&token("stella"), "key", p256()).expect("key");
    let name = bed
        .token
        .module()
        .file_name()
        .and_then(|name| name.to_str())
        .expect("name");
    let maps = |of: &str| fs::read_to_string(format!("/proc/{of}/maps")).expect("maps");
    assert!(!maps("self").contains(name));
    assert!(maps(&hsm.status().pid.expect("pid").to_string()).contains(name));
}

#[test]
fn a_worker_ends_with_what_started_it() {
    let bed = Bed::soft();
    let hsm = bed.start();
    hsm.slots().expect("slots");
    let pid = hsm.status().pid.expect("pid");
    drop(hsm);
    eventually("the worker ends", || gone(pid));
}

/// It does not hear that its socket is closed.
#[test]
fn a_stopped_worker_ends_with_what_started_it() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.stop_timeout = Duration::from_millis(100);
    let hsm = bed.start_with(options.clone());
    hsm.slots().expect("slots");
    let first = hsm.status().pid.expect("pid");
    signal(first, "STOP");
    hsm.reload(options).expect("another takes its place");
    eventually("the one that was replaced is killed", || gone(first));

    let second = hsm.status().pid.expect("pid");
    signal(second, "STOP");
    drop(hsm);
    eventually("the last one is killed", || gone(second));
}

/// The kernel binds the two by the thread that starts the process.
#[test]
fn a_worker_outlives_the_thread_that_first_needed_it() {
    let bed = Bed::soft();
    let hsm = bed.start();
    std::thread::scope(|scope| {
        scope.spawn(|| hsm.slots().expect("slots"));
    });
    let pid = hsm.status().pid.expect("pid");
    hsm.slots().expect("slots");
    assert_eq!((hsm.status().pid, hsm.status().restarts), (Some(pid), 0));
}

/// It was stopped before it had heard of anything.
#[test]
fn a_worker_that_is_stopped_while_it_starts_is_killed() {
    let bed = Bed::soft();
    let mut options = bed.options();
    let told = bed.folder().join("pid");
    options.program = Some(bed.script(&format!("echo $$ > {}; kill -STOP $$", told.display())));
    options.start_timeout = Duration::from_millis(300);
    let hsm = bed.start_with(options);
    hsm.slots().expect_err("it does not start");
    let pid = fs::read_to_string(told).expect("it was started");
    let pid = pid.trim().parse().expect("a pid");
    eventually("it is killed", || gone(pid));
}

#[test]
fn a_worker_dies_with_a_parent_that_is_killed() {
    let mut parent = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "isolation::a_parent_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("parent");
    let output = BufReader::new(parent.stdout.take().expect("output"));
    let worker: u32 = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("worker is ")?.1.parse().ok())
        .expect("the worker's pid");
    assert!(!gone(worker));
    // Even one that hangs, and hears nothing of what its parent does.
    signal(worker, "STOP");
    signal(parent.id(), "KILL");
    parent.wait().expect("parent");
    eventually("the worker dies", || gone(worker));
}

#[test]
#[ignore = "it is the parent in the test above"]
fn a_parent_that_is_killed() {
    let bed = Bed::soft();
    let hsm = bed.start();
    hsm.generate(&token("stella"), "key", p256()).expect("logged in");
    println!("worker is {}", hsm.status().pid.expect("pid"));
    loop {
        std::thread::park();
    }
}
