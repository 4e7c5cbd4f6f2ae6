//! Commands that the runbooks name and this build does not have yet: said so,
//! instead of "unrecognized".

use std::ffi::OsString;

use clap::Args;

use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Not in this build
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

impl Later {
    pub async fn run(self, context: &Context) -> Outcome {
        Err(missing(context, &context.verb))
    }
}

pub fn missing(context: &Context, what: &str) -> CliError {
    let program = &context.program;
    let mut error = CliError::usage(format!(
        "this build of {program} does not have `{program} {what}` yet"
    ));
    error.code = "cli.not-in-this-build".to_owned();
    error.next(format!("{program} --help lists what it has"))
}
