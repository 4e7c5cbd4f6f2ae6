//! A program that is nothing but a worker, for the tests of this crate.
#![forbid(unsafe_code)]

fn main() {
    stella_keys::worker::run_if_asked();
    eprintln!("this program is started by tests");
    std::process::exit(2);
}
