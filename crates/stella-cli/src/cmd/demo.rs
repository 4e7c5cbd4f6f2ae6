//! `demo`.

use std::path::PathBuf;

use clap::Args;
use stella_server::entropy::{Entropy, SystemEntropy};

use crate::context::{Context, Outcome};
use crate::demo::{self, Setting};
use crate::error::CliError;
use crate::exit::Exit;

/// Play the whole story in a fresh home: sign a real artifact, gate on it,
/// rotate, and have a key stolen
#[derive(Args)]
pub struct Demo {
    /// Where to play it; must not exist yet (default: a temporary folder, kept)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub async fn run(self, context: &Context) -> Outcome {
        let failed =
            |what: &str, e: &dyn std::fmt::Display| CliError::failed("demo.failed", format!("{what}: {e}"));
        let mut random = [0; 16];
        SystemEntropy
            .fill(&mut random)
            .map_err(|e| failed("no randomness", &e))?;
        let serial = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
        let default = || std::env::temp_dir().join(format!("stella-demo-{}", &serial[..8]));
        let folder = self.dir.unwrap_or_else(default);
        if folder.exists() {
            return Err(CliError::usage(format!(
                "the demo starts in a fresh folder, and {} exists",
                folder.display()
            )));
        }
        let exe = std::env::current_exe().map_err(|e| failed("this program's own path", &e))?;
        let setting = Setting {
            exe,
            folder,
            now: context.now().to_string(),
            serial,
        };
        demo::run(&setting, &mut std::io::stdout().lock()).map_err(|e| failed("the demo stopped", &e))?;
        Ok(Exit::Done)
    }
}
