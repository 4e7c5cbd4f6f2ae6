//! What a module's failure most likely means, and the command that mends it.

use stella_keys::hsm::{ErrorClass, HsmError};

use crate::app::error::Error;

pub fn likely_cause(error: &HsmError) -> &'static str {
    match error.class {
        ErrorClass::Session => "the HSM ended the session, and did so again when it was opened anew",
        ErrorClass::Module => "the module or what is behind it is down, or its library cannot be loaded",
        ErrorClass::TimedOut => "the module hangs: mostly the way to a network HSM is cut",
        ErrorClass::Auth => "the PIN was changed or locked, or pinFile holds another one",
        ErrorClass::KeyMissing => "the token is another one, or the key was deleted or made twice",
        ErrorClass::Config => "the token cannot do what its profile asks of it",
    }
}

pub fn mend(error: &HsmError) -> String {
    let module = &error.module;
    match error.class {
        ErrorClass::Session => format!("stella crypto hsm reconnect --module {module}"),
        ErrorClass::Module | ErrorClass::TimedOut => {
            format!("stella crypto hsm connectivity --verbose --module {module}")
        }
        ErrorClass::Auth => format!("stella crypto hsm auth verify --module {module}"),
        ErrorClass::KeyMissing => format!("stella crypto hsm slots list --module {module}"),
        ErrorClass::Config => format!("stella crypto hsm pkcs11-info --module {module}"),
    }
}

impl From<HsmError> for Error {
    fn from(error: HsmError) -> Self {
        Self::unavailable(error.code(), error.to_string()).next(mend(&error))
    }
}
