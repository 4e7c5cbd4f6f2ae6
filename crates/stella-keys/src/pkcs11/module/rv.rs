//! What an error of PKCS#11 means.

use cryptoki::error::{Error, RvError};

use crate::hsm::ErrorClass;
use crate::pkcs11::message::Failure;

pub fn class(rv: RvError) -> ErrorClass {
    use RvError as E;
    match rv {
        E::SessionHandleInvalid
        | E::SessionClosed
        | E::ObjectHandleInvalid
        | E::KeyHandleInvalid
        | E::UserNotLoggedIn
        | E::OperationActive
        | E::OperationNotInitialized
        // The slot has another number by now.
        | E::SlotIdInvalid => ErrorClass::Session,
        E::PinIncorrect
        | E::PinInvalid
        | E::PinLenRange
        | E::PinExpired
        | E::PinLocked
        | E::PinTooWeak
        | E::UserPinNotInitialized
        | E::UserAnotherAlreadyLoggedIn
        | E::UserTooManyTypes => ErrorClass::Auth,
        E::MechanismInvalid
        | E::MechanismParamInvalid
        | E::KeyTypeInconsistent
        | E::KeyFunctionNotPermitted
        | E::KeySizeRange
        | E::CurveNotSupported
        | E::DomainParamsInvalid
        | E::AttributeReadOnly
        | E::AttributeSensitive
        | E::AttributeTypeInvalid
        | E::AttributeValueInvalid
        | E::TemplateIncomplete
        | E::TemplateInconsistent
        | E::DataInvalid
        | E::DataLenRange
        | E::ArgumentsBad
        | E::FunctionNotSupported
        | E::ActionProhibited
        | E::SessionReadOnly
        | E::TokenWriteProtected => ErrorClass::Config,
        // DEVICE_ERROR, DEVICE_REMOVED, TOKEN_NOT_PRESENT, GENERAL_ERROR,
        // CRYPTOKI_NOT_INITIALIZED, a vendor's own, and what is unheard of.
        _ => ErrorClass::Module,
    }
}

/// Whether the module said that it does not know the session: closing it
/// could close another that was given the same handle.
pub fn session_is_gone(rv: RvError) -> bool {
    matches!(
        rv,
        RvError::SessionHandleInvalid | RvError::SessionClosed | RvError::CryptokiNotInitialized
    )
}

/// `CKR_DEVICE_ERROR` from `DeviceError`.
pub fn name(rv: RvError) -> String {
    if let RvError::VendorDefined(code) = rv {
        return format!("CKR_VENDOR_DEFINED 0x{code:08X}");
    }
    let mut out = "CKR".to_owned();
    for c in format!("{rv:?}").chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        match e {
            Error::Pkcs11(rv, function) => {
                let class = class(rv);
                Self::Pkcs11 {
                    class,
                    function: Some(format!("C_{function:?}")),
                    ckr: Some(name(rv)),
                    detail: String::new(),
                    restart: class == ErrorClass::Module,
                }
            }
            Error::LibraryLoading(e) => Self::new(
                ErrorClass::Module,
                format!("the library cannot be loaded: {}", deepest(&e)),
            ),
            Error::NullFunctionPointer | Error::NotSupported => {
                Self::new(ErrorClass::Config, "the library lacks a function that is needed")
            }
            other => Self::new(ErrorClass::Module, other.to_string()),
        }
    }
}

/// The words of the loader, without those of the libraries around it.
fn deepest(e: &dyn std::error::Error) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    e.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_standard() {
        for (rv, expected) in [
            (RvError::DeviceError, "CKR_DEVICE_ERROR"),
            (RvError::SessionHandleInvalid, "CKR_SESSION_HANDLE_INVALID"),
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::CryptokiNotInitialized, "CKR_CRYPTOKI_NOT_INITIALIZED"),
            (
                RvError::VendorDefined(0x8000_0123),
                "CKR_VENDOR_DEFINED 0x80000123",
            ),
        ] {
            assert_eq!(name(rv), expected);
        }
    }

    #[test]
    fn the_codes_that_were_seen_on_tokens_fall_into_their_classes() {
        for (rv, expected) in [
            (RvError::SessionHandleInvalid, ErrorClass::Session),
            (RvError::ObjectHandleInvalid, ErrorClass::Session),
            (RvError::OperationActive, ErrorClass::Session),
            (RvError::DeviceError, ErrorClass::Module),
            (RvError::GeneralError, ErrorClass::Module),
            (RvError::TokenNotPresent, ErrorClass::Module),
            (RvError::CryptokiNotInitialized, ErrorClass::Module),
            (RvError::VendorDefined(0x8000_0001), ErrorClass::Module),
            (RvError::PinIncorrect, ErrorClass::Auth),
            (RvError::PinLocked, ErrorClass::Auth),
            (RvError::MechanismInvalid, ErrorClass::Config),
        ] {
            assert_eq!(class(rv), expected, "{rv:?}");
        }
    }
}
