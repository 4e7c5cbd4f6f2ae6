//! `crypto local-hsm recover`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::local_hsm::{LocalHsm, RecoverLocalHsm};

use crate::api::Route;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Set the PIN that its file holds now, and unlock it, with the recovery code
#[derive(Args)]
pub struct Recover {
    /// Its name in hsm.local
    name: String,
    /// The file with the recovery code; - is standard input
    #[arg(long, value_name = "FILE")]
    recovery_code_file: PathBuf,
}

impl Recover {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = RecoverLocalHsm {
            recovery_code: files::read_text(&self.recovery_code_file)?.trim().to_owned(),
        };
        let route = Route::to(&["crypto", "local-hsm", &self.name, "recover"]);
        let hsm: LocalHsm = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&hsm, |page| super::describe(page, &hsm))?;
        Ok(Exit::Done)
    }
}
