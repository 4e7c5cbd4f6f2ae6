//! What went wrong, for people: why, and the command that mends it.

use stella_core::api::hsm::HsmFault;
use stella_keys::hsm::HsmError;

use super::{likely_cause, mend};
use crate::app::error::Error;

pub(super) fn of_module(error: &HsmError) -> HsmFault {
    HsmFault {
        code: error.code().to_owned(),
        message: error.to_string(),
        cause: likely_cause(error).to_owned(),
        next: mend(error),
        seconds_ago: None,
    }
}

pub(super) fn of_error(error: &Error) -> HsmFault {
    let cause = match error.causes.as_slice() {
        [] => "its configuration",
        causes => &causes.join(": "),
    };
    HsmFault {
        code: error.code.clone(),
        message: error.message.clone(),
        cause: cause.to_owned(),
        next: error
            .next
            .clone()
            .unwrap_or_else(|| "stella crypto hsm verify".to_owned()),
        seconds_ago: None,
    }
}
