//! The entry points, and the functions that are listed in place of the
//! target's.
#![allow(non_snake_case)]

use std::ptr;
use std::thread;

use cryptoki_sys::*;

use crate::rules::{Action, actions};
use crate::target::{initialize_arguments, target};
use crate::vendor;

/// # Safety
/// As in the standard: `list` is where the list's address goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(target) = target() else {
        return CKR_GENERAL_ERROR;
    };
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let mut functions = target.functions;
    replace(&mut functions);
    // SAFETY: not null, and the caller's.
    unsafe { *list = Box::leak(Box::new(functions)) };
    CKR_OK
}

/// # Safety
/// As in the standard: `interface` is where the interface's address goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> CK_RV {
    let Some(target) = target() else {
        return CKR_GENERAL_ERROR;
    };
    if interface.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let Ok(get) = &target.library.C_GetInterface else {
        // The target is older than interfaces: one around its list of version
        // 2, for there are callers who read whatever they are given.
        let mut functions = target.functions;
        replace(&mut functions);
        let only = CK_INTERFACE {
            pInterfaceName: c"PKCS 11".as_ptr().cast_mut().cast(),
            pFunctionList: ptr::from_mut(Box::leak(Box::new(functions))).cast(),
            flags: 0,
        };
        // SAFETY: not null, and the caller's.
        unsafe { *interface = Box::leak(Box::new(only)) };
        return CKR_OK;
    };
    // SAFETY: the caller's arguments as they came; then what the target says
    // that it has: an interface, and in it a list as long as its version says.
    unsafe {
        let rv = get(name, version, interface, flags);
        if rv != CKR_OK || (*interface).is_null() {
            return rv;
        }
        let mut copy = **interface;
        let list = copy.pFunctionList.cast::<CK_FUNCTION_LIST>();
        copy.pFunctionList = match ((*list).version.major, (*list).version.minor) {
            (3, 0 | 1) => replaced::<CK_FUNCTION_LIST_3_0>(list),
            (3.., _) => replaced::<CK_FUNCTION_LIST_3_2>(list),
            _ => replaced::<CK_FUNCTION_LIST>(list),
        };
        *interface = Box::leak(Box::new(copy));
        CKR_OK
    }
}

/// A copy of the list with our functions in it.
///
/// # Safety
/// `list` points to a `L`, which begins as a list of version 2 does.
unsafe fn replaced<L: Copy>(list: *mut CK_FUNCTION_LIST) -> CK_VOID_PTR {
    // SAFETY: the caller's promise.
    unsafe {
        let copy = ptr::from_mut(Box::leak(Box::new(*list.cast::<L>())));
        replace(&mut *copy.cast::<CK_FUNCTION_LIST>());
        copy.cast()
    }
}

/// Makes each function `fn name(arguments)` that follows its rules around the
/// target's of the same name; `replace` puts them into a list.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(with $changed:ident by $change:ident)? $(before $before:ident($early:ident))? $(or $instead:ident($($handed:ident),*))? $(after $after:ident($($given:ident),*))?)*) => {
        $(unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
            let actions = actions(stringify!($name));
            if let Some(rv) = first(&actions) {
                return rv;
            }
            let Some(function) = target().and_then(|t| t.functions.$name) else {
                return CKR_FUNCTION_NOT_SUPPORTED;
            };
            $(let $changed = $change($changed);)?
            $($before(&actions, $early);)?
            let instead: Option<CK_RV> = None;
            // SAFETY: the caller's arguments, for the function of that name.
            $(let instead = instead.or_else(|| unsafe { vendor::$instead($($handed),*) });)?
            // SAFETY: the same.
            #[allow(unused_mut)]
            let mut rv = instead.unwrap_or_else(|| unsafe { function($($argument),*) });
            $(if rv == CKR_OK {
                // SAFETY: the target filled what these point to.
                unsafe { $after(&actions, $($given),*) };
            })?
            for action in &actions {
                if let Action::FailLate(late) = action {
                    rv = *late;
                }
            }
            rv
        })*

        fn replace(list: &mut CK_FUNCTION_LIST) {
            list.C_GetFunctionList = Some(C_GetFunctionList);
            $(list.$name = Some($name);)*
        }
    };
}

functions! {
    fn C_Initialize(arguments: CK_VOID_PTR) with arguments by initialize_arguments
    fn C_Finalize(reserved: CK_VOID_PTR)
    fn C_GetInfo(info: *mut CK_INFO)
    fn C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG) after slot_list(list, count)
    fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) with slot by inside
    fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) with slot by inside after token_info(info)
    fn C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) with slot by inside
    fn C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) with slot by inside
    fn C_SetPIN(session: CK_SESSION_HANDLE, old: *mut CK_UTF8CHAR, old_length: CK_ULONG, new: *mut CK_UTF8CHAR, new_length: CK_ULONG)
    fn C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: CK_VOID_PTR, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE) with slot by inside
    fn C_CloseSession(session: CK_SESSION_HANDLE) before forget(session)
    fn C_CloseAllSessions(slot: CK_SLOT_ID) with slot by inside
    fn C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) after session_info(info)
    fn C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG)
    fn C_Logout(session: CK_SESSION_HANDLE)
    fn C_CreateObject(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE)
    fn C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE)
    fn C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) or attributes(session, object, template, count)
    fn C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG)
    fn C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG)
    fn C_FindObjectsFinal(session: CK_SESSION_HANDLE)
    fn C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) before lose(session) or sign_init(session, mechanism, key)
    fn C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, signature: *mut CK_BYTE, signature_length: *mut CK_ULONG) or sign(session, data, length, signature, signature_length) after signed(signature, signature_length)
    fn C_SignUpdate(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG)
    fn C_SignFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_length: *mut CK_ULONG) after signed(signature, signature_length)
    fn C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE)
    fn C_Verify(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, signature: *mut CK_BYTE, signature_length: CK_ULONG)
    fn C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) or generate(session, mechanism, public, public_count, private, private_count, public_key, private_key)
    fn C_GenerateRandom(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG)
}

/// What happens before the target is called, or instead.
fn first(actions: &[Action]) -> Option<CK_RV> {
    for action in actions {
        match action {
            Action::Fail(rv) => return Some(*rv),
            Action::Delay(time) => thread::sleep(*time),
            Action::Hang => loop {
                thread::park();
            },
            Action::Abort => std::process::abort(),
            _ => {}
        }
    }
    None
}

/// Takes from the caller what it has, as another application of the same
/// process could.
fn lose(actions: &[Action], session: CK_SESSION_HANDLE) {
    let Some(functions) = target().map(|target| target.functions) else {
        return;
    };
    for action in actions {
        // SAFETY: the target's functions, with its session and room for what
        // they answer.
        unsafe {
            match (action, functions.C_Logout, functions.C_GetSessionInfo) {
                (Action::LogOut, Some(log_out), _) => {
                    log_out(session);
                }
                (Action::CloseAll, _, Some(session_info)) => {
                    let mut info = CK_SESSION_INFO::default();
                    if let (CKR_OK, Some(close)) =
                        (session_info(session, &mut info), functions.C_CloseAllSessions)
                    {
                        close(info.slotID);
                    }
                }
                _ => {}
            }
        }
    }
}

fn forget(_: &[Action], session: CK_SESSION_HANDLE) {
    vendor::forget(session);
}

/// By how much slot ids are higher outside than the target's.
fn renumbered() -> CK_SLOT_ID {
    let by = |action| match action {
        Action::Renumber(by) => Some(by),
        _ => None,
    };
    actions("C_GetSlotList").into_iter().find_map(by).unwrap_or(0)
}

fn inside(slot: CK_SLOT_ID) -> CK_SLOT_ID {
    slot.wrapping_sub(renumbered())
}

unsafe fn slot_list(actions: &[Action], list: *mut CK_SLOT_ID, count: *mut CK_ULONG) {
    if count.is_null() {
        return;
    }
    for action in actions {
        // SAFETY: the target said CKR_OK, so `count` is the length of `list`.
        unsafe {
            match action {
                Action::Empty => *count = 0,
                Action::Renumber(by) if !list.is_null() => {
                    for i in 0..*count as usize {
                        let slot = list.add(i);
                        *slot = (*slot).wrapping_add(*by);
                    }
                }
                _ => {}
            }
        }
    }
}

unsafe fn token_info(actions: &[Action], info: *mut CK_TOKEN_INFO) {
    for action in actions {
        if let Action::Flags(flags) = action {
            // SAFETY: the target said CKR_OK, so it is filled.
            unsafe { (*info).flags |= flags };
        }
    }
}

unsafe fn session_info(_: &[Action], info: *mut CK_SESSION_INFO) {
    let by = renumbered();
    // SAFETY: the target said CKR_OK, so it is filled.
    unsafe { (*info).slotID = (*info).slotID.wrapping_add(by) };
}

unsafe fn signed(actions: &[Action], signature: *mut CK_BYTE, length: *mut CK_ULONG) {
    // A question about the length alone comes without room for the signature.
    if signature.is_null() || length.is_null() {
        return;
    }
    for action in actions {
        // SAFETY: the target said CKR_OK, so `length` is that of `signature`.
        unsafe {
            match action {
                Action::Corrupt if *length > 0 => *signature.add(*length as usize - 1) ^= 1,
                Action::Short if *length > 0 => *length -= 1,
                _ => {}
            }
        }
    }
}
