//! `--replica NAME|all`: a command about one host, asked of the replica that
//! was named, or of each.

use std::sync::{Arc, Mutex, PoisonError};

use clap::{ArgMatches, Args};
use serde_json::{Value, json};
use stella_core::api::replicas::{ReplicaList, ReplicaStatus};

use crate::api::Route;
use crate::cmd::Verb;
use crate::context::{Context, Global, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::{Format, Paint};

/// For commands about the host that answers.
#[derive(Args)]
pub struct PerHost {
    /// Ask this replica of those that share the store, or `all`, one after
    /// the other
    // Read from what was parsed: the command itself only answers.
    #[arg(long, global = true, value_name = "NAME|all")]
    replica: Option<String>,
}

/// What was typed, of whichever command takes it.
pub fn named(matches: &ArgMatches) -> Option<String> {
    let last = std::iter::successors(Some(matches), |m| m.subcommand().map(|(_, below)| below)).last()?;
    last.try_get_one::<String>("replica").ok().flatten().cloned()
}

/// `verb` parses what was typed once more: each replica gets the whole
/// command.
pub async fn ask(context: &Context, named: &str, verb: impl Fn() -> Result<Verb, CliError>) -> Outcome {
    let list: ReplicaList = context.api().await?.get(&Route::to(&["replicas"])).await?;
    if named != "all" {
        let replica = list.replicas.iter().find(|replica| replica.name == named);
        let replica = replica.ok_or_else(|| unknown(named, &list, context))?;
        let there = at(context, &list, replica).await?;
        return verb()?.run(&there).await;
    }
    let mut exit = Exit::Done;
    let mut answers = Vec::with_capacity(list.replicas.len());
    let people = context.printer.format == Format::Table;
    for (index, replica) in list.replicas.iter().enumerate() {
        if people && !context.global.quiet {
            context.printer.answer(&(), |page| {
                if index > 0 {
                    page.line("");
                }
                let url = replica.url.as_deref().unwrap_or("no address");
                let name = page.paint(Paint::Bold, &replica.name);
                page.line(format!("replica {name} ({url})"));
            })?;
        }
        let mut answered = Value::Null;
        let outcome = match at(context, &list, replica).await {
            Err(error) => Err(error),
            Ok(there) if people => verb()?.run(&there).await,
            Ok(mut there) => {
                let kept = Arc::new(Mutex::new(Value::Null));
                there.printer.kept = Some(Arc::clone(&kept));
                let outcome = verb()?.run(&there).await;
                answered = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
                outcome
            }
        };
        let ended = match outcome {
            Ok(ended) => ended,
            Err(error) if people => context.printer.error(&error),
            Err(error) => {
                answered = json!(error.to_problem());
                error.exit
            }
        };
        // The first that went wrong is what the command ends with.
        if exit == Exit::Done {
            exit = ended;
        }
        answers.push(json!({"replica": replica.name, "exit": ended.code(), "answer": answered}));
    }
    if !people {
        context.printer.answer(&json!({"replicas": answers}), |_| {})?;
    }
    Ok(exit)
}

/// The way to that replica, once it has said that it is the one.
async fn at(context: &Context, list: &ReplicaList, replica: &ReplicaStatus) -> Result<Context, CliError> {
    let mut global: Global = context.global.clone();
    // Whoever answers now is asked the way it was found.
    if replica.name != list.name {
        let url = replica.url.clone().ok_or_else(|| {
            CliError::new(
                Exit::Unavailable,
                "replica.no-address",
                format!("replica {} tells no address of its own", replica.name),
            )
            .because("it listens on no address, or on all of its host's")
            .next("set server.advertise in its configuration, such as https://10.0.0.7:8420")
        })?;
        global.server = Some(url);
    }
    let there = Context::new(global, &context.program, context.verb.clone());
    let who: Result<ReplicaList, CliError> = match there.api().await {
        Ok(api) => api.get(&Route::to(&["replicas"])).await,
        Err(error) => Err(error),
    };
    let who = who.map_err(|e| match replica.silent {
        true => e.because(format!(
            "replica {} was last heard of {}",
            replica.name, replica.seen_at
        )),
        false => e,
    })?;
    if who.name != replica.name {
        return Err(CliError::new(
            Exit::Unavailable,
            "replica.other",
            format!(
                "replica {} is not where it says: replica {} answers there",
                replica.name, who.name
            ),
        )
        .because(format!(
            "its address is {}",
            replica.url.as_deref().unwrap_or("not known")
        ))
        .next("set server.advertise to an address that leads to this replica alone"));
    }
    Ok(there)
}

fn unknown(named: &str, list: &ReplicaList, context: &Context) -> CliError {
    let known: Vec<&str> = list
        .replicas
        .iter()
        .map(|replica| replica.name.as_str())
        .collect();
    CliError::new(
        Exit::NotFound,
        "replica.unknown",
        format!("no replica is named {named}; there are {}", known.join(", ")),
    )
    .next(format!("{} {} --replica all", context.program, context.verb))
}
