//! A PKCS#11 module for tests: it forwards every call to the module that
//! `FAULTY_TARGET` names, and fails in the ways that the rules in the file
//! `FAULTY_CONTROL` ask for. See [`rules`] for what can be asked.
//!
//! `FAULTY_RESERVED`, where it is set, is what the target finds in the
//! `pReserved` of `C_Initialize`: NSS reads its parameters there.

mod entry;
mod rules;
mod target;
mod vendor;

/// The file name under which cargo leaves the module.
pub const FILE_NAME: &str = "libstella_pkcs11_faults.so";
