use clap::Args;

use crate::context::{Context, Outcome};
use crate::error::CliError;

#[derive(Args)]
pub struct Serve {}

impl Serve {
    pub async fn run(self, _context: &Context) -> Outcome {
        Err(CliError::failed("cli.todo", "no instance yet"))
    }
}
