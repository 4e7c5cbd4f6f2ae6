//! What every command is given: where to ask, and where to answer.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use stella_core::time::{Clock, Timestamp};
use stella_server::clock::SystemClock;

use crate::api::Api;
use crate::client::{TargetOptions, Timeouts};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::{Format, Page, Printer};

pub type Outcome = Result<Exit, CliError>;

#[derive(Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How the answer is written
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: Format,
    /// Ask this server (http:// or https://)
    #[arg(long, global = true, env = "STELLA_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Ask the instance that lives in this folder
    #[arg(long, global = true, env = "STELLA_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Read this configuration file instead of the usual ones
    #[arg(long, global = true, env = "STELLA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The bearer token for a server (better in STELLA_TOKEN: others on this
    /// machine can see arguments)
    #[arg(
        long,
        global = true,
        env = "STELLA_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// Say more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say only what a script needs
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// No colours, even on a terminal
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
}

pub struct Context {
    pub global: Global,
    pub printer: Printer,
    /// `stella` or `stellaops`, as it was called.
    pub program: String,
    /// The command without its arguments, such as `keys list`.
    pub verb: String,
}

impl Context {
    pub fn new(global: Global, program: &str, verb: String) -> Self {
        let printer = Printer::new(global.output, global.quiet, global.verbose > 0, global.no_color);
        Self {
            global,
            printer,
            program: program.to_owned(),
            verb,
        }
    }

    pub async fn api(&self) -> Result<Api, CliError> {
        Api::connect(self, Timeouts::default()).await
    }

    /// For an answer that may be long in coming.
    pub async fn patient_api(&self, request: Duration) -> Result<Api, CliError> {
        let timeouts = Timeouts {
            request,
            ..Timeouts::default()
        };
        Api::connect(self, timeouts).await
    }

    /// Whether the command needs no server where many share one store.
    pub fn looks_after_the_store(&self) -> bool {
        self.verb == "doctor" || self.verb.starts_with("db ")
    }

    /// The home that was named, else the user's own.
    pub fn home(&self) -> Result<PathBuf, CliError> {
        self.global
            .home
            .clone()
            .or_else(|| TargetOptions::default().user_home)
            .ok_or_else(|| {
                CliError::usage("where the home is was not said, and this user has none")
                    .next(format!("{} --home DIR, or STELLA_HOME", self.program))
            })
    }

    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub fn shows_progress(&self) -> bool {
        !self.global.quiet && io::stderr().is_terminal()
    }

    /// Shows what a wide act touches and, where somebody is there to answer,
    /// asks. A script is told and goes on: revoking never waits.
    pub fn confirm(&self, radius: impl FnOnce(&mut Page), question: &str) -> Result<(), CliError> {
        self.printer.aside(radius);
        if self.global.yes || !io::stdin().is_terminal() {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        let mut answer = String::new();
        let read = write!(stderr, "{question} [y/N] ")
            .and_then(|()| stderr.flush())
            .and_then(|()| io::stdin().lock().read_line(&mut answer));
        match read {
            Ok(_) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
            _ => Err(
                CliError::failed("cli.cancelled", "cancelled; nothing was changed")
                    .next("the same command with --yes does it without asking"),
            ),
        }
    }
}
