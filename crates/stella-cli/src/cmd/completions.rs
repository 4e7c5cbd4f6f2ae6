//! `completions SHELL`.

use clap::Args;
use clap_complete::Shell;

use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Completions for a shell
#[derive(Args)]
pub struct Completions {
    /// The shell that will read them
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub async fn run(self, context: &Context) -> Outcome {
        let name = context.program.clone();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::command("stella"), name, &mut script);
        context.printer.raw(&script)?;
        Ok(Exit::Done)
    }
}
