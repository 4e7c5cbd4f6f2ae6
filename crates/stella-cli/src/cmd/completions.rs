//! `completions SHELL`.

use clap::{Args, Command};
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
        let mut shown = shown(&crate::cli::command("stella"));
        clap_complete::generate(self.shell, &mut shown, name, &mut script);
        context.printer.raw(&script)?;
        Ok(Exit::Done)
    }
}

/// The command without what `--help` hides, which generators tell of. Commands
/// are named for as long as the process lives, and it ends after this.
fn shown(command: &Command) -> Command {
    let name = |name: &str| -> &'static str { Box::leak(name.to_owned().into_boxed_str()) };
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let mut out = Command::new(name(command.get_name()))
        .visible_aliases(command.get_visible_aliases().map(name))
        .args(command.get_arguments().filter(|a| !a.is_hide_set()).cloned())
        .subcommands(below.map(shown));
    if let Some(about) = command.get_about() {
        out = out.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        out = out.version(name(version));
    }
    out
}
