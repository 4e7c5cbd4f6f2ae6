//! The module behind this one.

use std::ffi::CString;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys::{CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_VOID_PTR, CKF_OS_LOCKING_OK, CKR_OK, Pkcs11};

pub struct Target {
    pub library: Pkcs11,
    /// The functions of version 2, which every module has.
    pub functions: CK_FUNCTION_LIST,
}

// SAFETY: functions and where they are, never changed; PKCS#11 modules are
// asked for locking of their own in C_Initialize.
unsafe impl Send for Target {}
unsafe impl Sync for Target {}

/// `None` where `FAULTY_TARGET` names no PKCS#11 module. It stays loaded as
/// long as the process lives.
pub fn target() -> Option<&'static Target> {
    static TARGET: OnceLock<Option<Target>> = OnceLock::new();
    TARGET.get_or_init(load).as_ref()
}

fn load() -> Option<Target> {
    let path = std::env::var_os("FAULTY_TARGET")?;
    // SAFETY: loading runs the module's constructors; that it is a PKCS#11
    // module is the test's promise.
    let library = match unsafe { Pkcs11::new(&path) } {
        Ok(library) => library,
        Err(e) => {
            eprintln!("FAULTY_TARGET: {e}");
            return None;
        }
    };
    let get = library.C_GetFunctionList.as_ref().ok()?;
    let mut list = ptr::null_mut();
    // SAFETY: `list` is where the standard says that the address goes.
    if unsafe { get(&mut list) } != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: the module said CKR_OK, so it is its list.
    let functions = unsafe { *list };
    Some(Target { library, functions })
}

/// What C_Initialize is called with: the caller's arguments, with
/// `FAULTY_RESERVED` in them where it is set.
pub fn initialize_arguments(from: CK_VOID_PTR) -> CK_VOID_PTR {
    static RESERVED: OnceLock<Option<CString>> = OnceLock::new();
    let reserved = RESERVED.get_or_init(|| CString::new(std::env::var("FAULTY_RESERVED").ok()?).ok());
    let Some(reserved) = reserved else { return from };
    let mut arguments = if from.is_null() {
        CK_C_INITIALIZE_ARGS {
            flags: CKF_OS_LOCKING_OK,
            ..Default::default()
        }
    } else {
        // SAFETY: the caller of C_Initialize passes these or null.
        unsafe { *from.cast::<CK_C_INITIALIZE_ARGS>() }
    };
    arguments.pReserved = reserved.as_ptr().cast_mut().cast();
    // Modules copy what they need; which of them keep the pointer is unknown.
    ptr::from_mut(Box::leak(Box::new(arguments))).cast()
}
