//! Keys on real tokens, behind a worker that is killed, hung and replaced.

mod bed;
mod faults;
mod isolation;
mod keys;
mod library;
mod local;
mod pins;
mod reload;
mod restarts;
mod tokens;
mod vendor_mechanisms;
mod vendors;
