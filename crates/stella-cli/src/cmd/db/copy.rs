//! `db copy`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use stella_server::instance::{Instance, Moved};

use super::StoreFlags;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Move everything that this home keeps in SQLite to a PostgreSQL
#[derive(Args)]
pub struct Copy {
    /// What it is kept in
    #[arg(long, value_enum, default_value = "sqlite")]
    from: From,
    /// Where it goes, as servers reach it: postgres://USER@HOST/DATABASE, set up and empty
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file with the password for it alone
    #[arg(long, value_name = "FILE")]
    password_file: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum From {
    Sqlite,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    to: String,
    tables: Vec<Table>,
    events: u64,
    attestations: u64,
    ledger_entries: u64,
    chain_head: String,
    /// Whether the home's configuration says where it is now.
    configured: bool,
}

#[derive(Serialize)]
struct Table {
    table: &'static str,
    rows: u64,
}

impl Copy {
    pub async fn run(self, context: &Context) -> Outcome {
        let From::Sqlite = self.from;
        let flags = StoreFlags {
            store: Some(self.to),
            password_file: self.password_file,
        };
        let Some(choice) = flags.choice()? else {
            return Err(CliError::usage("where to was not said"));
        };
        super::expect_no_password(&choice)?;
        let config = context.global.config.as_deref();
        let moved = Instance::move_to(&context.home()?, config, &choice).await?;
        tell(context, moved)
    }
}

fn tell(context: &Context, moved: Moved) -> Outcome {
    let answer = Answer {
        to: moved.to,
        tables: moved
            .tables
            .iter()
            .map(|copied| Table {
                table: copied.table,
                rows: copied.rows,
            })
            .collect(),
        events: moved.report.events,
        attestations: moved.report.attestations,
        ledger_entries: moved.report.ledger_entries,
        chain_head: moved.report.chain_head,
        configured: moved.configured,
    };
    context.printer.answer(&answer, |page| {
        page.line(format!("moved to {}, compared row by row", answer.to));
        page.field("events", answer.events);
        page.field("attestations", answer.attestations);
        page.field("ledger", answer.ledger_entries);
        page.field("chain head", &answer.chain_head);
        if !answer.configured {
            page.field(
                "note",
                "set store.url in the home's configuration to that database",
            );
        }
        page.next(format!("{} serve", context.program));
    })?;
    Ok(Exit::Done)
}
