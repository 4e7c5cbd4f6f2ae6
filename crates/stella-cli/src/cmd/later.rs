//! Commands that the runbooks name and this build does not have yet: said so,
//! instead of "unrecognized".

use clap::Args;

use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Not in this build
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

impl Later {
    pub async fn run(self, context: &Context) -> Outcome {
        // What was typed, flags and their values aside.
        let words: Vec<String> = std::env::args()
            .skip(1)
            .take_while(|word| !word.starts_with('-') && Some(word) != self.rest.first())
            .collect();
        Err(missing(context, &words.join(" ")))
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
