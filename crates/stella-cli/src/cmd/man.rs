//! `man --out DIR`.

use std::path::PathBuf;

use clap::Args;

use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Man pages, one for each command
#[derive(Args)]
pub struct Man {
    /// Where to put them; without it the first page goes to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub async fn run(self, context: &Context) -> Outcome {
        let command = crate::cli::command("stella");
        let Some(out) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|e| CliError::failed("cli.output", e))?;
            context.printer.raw(&page)?;
            return Ok(Exit::Done);
        };
        let failed = |e: std::io::Error| CliError::file(&out, &e);
        std::fs::create_dir_all(&out).map_err(failed)?;
        clap_mangen::generate_to(command, &out).map_err(failed)?;
        context
            .printer
            .note(&format!("man pages are in {}", out.display()));
        Ok(Exit::Done)
    }
}
