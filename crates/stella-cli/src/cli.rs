//! From arguments to an exit code.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, ColorChoice, CommandFactory, FromArgMatches, Parser};

use crate::cmd::Verb;
use crate::context::{Context, Global, Outcome};
use crate::error::CliError;
use crate::exit::{Exit, TABLE};
use crate::printer::{Format, Printer};
use crate::replicas;

/// Sign supply-chain evidence, and gate promotions on verifying it
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_long_help = exit_codes())]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

pub fn run(arguments: &[OsString]) -> Exit {
    let program = program_name(arguments);
    let mut command = command(program);
    if arguments.iter().any(|a| a == "--no-color") {
        command = command.color(ColorChoice::Never);
    }
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, arguments),
    };
    let context = Context::new(cli.global, program, verb(&matches));
    let outcome = match (replicas::named(&matches), cli.verb.here(&context)) {
        (_, Ok(outcome)) => outcome,
        (None, Err(verb)) => with_runtime(verb.run(&context)),
        (Some(named), Err(_)) => with_runtime(replicas::ask(&context, &named, || again(&matches))),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) => context.printer.error(&error),
    }
}

/// What was typed, parsed once more.
fn again(matches: &ArgMatches) -> Result<Verb, CliError> {
    Cli::from_arg_matches(matches)
        .map(|cli| cli.verb)
        .map_err(|e| CliError::usage(e.render()))
}

fn with_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed("cli.runtime", format!("no threads: {e}")))?;
    runtime.block_on(work)
}

/// The whole tree, under the name it was called by.
pub fn command(program: &'static str) -> clap::Command {
    Cli::command().name(program).bin_name(program)
}

/// The names of the verbs, one below the other.
fn verb(matches: &ArgMatches) -> String {
    std::iter::successors(matches.subcommand(), |(_, below)| below.subcommand())
        .map(|(name, _)| name)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What was typed makes no sense, or asked for help.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // Nowhere left to complain if this fails; a closed pipe ends quietly.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::Done;
    }
    if let Some(format) = asked_format(arguments) {
        let printer = Printer::new(format, false, false, true);
        // Its first paragraph says what is wrong; the rest is how to use it.
        let text = error.render().to_string();
        let what: Vec<&str> = text
            .lines()
            .take_while(|line| !line.is_empty())
            .map(str::trim)
            .collect();
        let what = match error.kind() {
            // What it prints is the help.
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command was given".to_owned(),
            _ => what.join(" "),
        };
        let problem = CliError::usage(what.trim_start_matches("error: ")).to_problem();
        let _ = printer.answer(&problem, |_| {});
    }
    Exit::Usage
}

/// The parser has refused, so its own answer to this is not to be had.
fn asked_format(arguments: &[OsString]) -> Option<Format> {
    let mut words = arguments.iter().filter_map(|a| a.to_str());
    while let Some(word) = words.next() {
        let value = match word {
            "-o" | "--output" => words.next()?,
            _ => match word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")) {
                Some(value) => value.trim_start_matches('='),
                None => continue,
            },
        };
        return match value {
            "json" => Some(Format::Json),
            "yaml" => Some(Format::Yaml),
            _ => None,
        };
    }
    None
}

fn program_name(arguments: &[OsString]) -> &'static str {
    let called = arguments
        .first()
        .and_then(|a| Path::new(a).file_name())
        .and_then(OsStr::to_str);
    match called {
        Some("stellaops") => "stellaops",
        _ => "stella",
    }
}

fn exit_codes() -> String {
    let rows: Vec<String> = TABLE
        .iter()
        .map(|(exit, meaning)| format!("  {:>2}  {meaning}", exit.code()))
        .collect();
    format!("Exit codes:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_well_formed() {
        command("stella").debug_assert();
    }

    #[test]
    fn the_wanted_format_is_known_even_when_nothing_else_is() {
        let asked = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            asked_format(&words)
        };
        assert_eq!(asked("stella nonsense -o json"), Some(Format::Json));
        assert_eq!(asked("stella nonsense --output=yaml"), Some(Format::Yaml));
        assert_eq!(asked("stella -ojson nonsense"), Some(Format::Json));
        assert_eq!(asked("stella nonsense"), None);
    }
}
