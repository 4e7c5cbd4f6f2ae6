//! What the worker's process shows, and when it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

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
