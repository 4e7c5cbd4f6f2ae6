//! `db migrate`.

use clap::Args;
use serde::Serialize;
use stella_server::database::{Database, Maintenance, SchemaState};

use super::StoreFlags;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Bring the schema of a PostgreSQL up to date, as the database's owner
#[derive(Args)]
pub struct Migrate {
    /// Say what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    owner: StoreFlags,
    /// The role that servers run as, which may then use it (default: the user
    /// in store.url, where --store names another)
    #[arg(long, value_name = "ROLE")]
    service: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    store: String,
    /// As it is now.
    schema_version: u32,
    /// What was run, or would be.
    migrations: Vec<Migration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    done: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Migration {
    version: u32,
    oldest_binary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Outcome {
        let config = context.global.config.as_deref();
        match Database::find(&context.home()?, config, self.owner.choice()?, self.service)? {
            Database::Sqlite => super::status::of_sqlite(context).await,
            Database::Postgres(database) => run(context, &database, self.plan).await,
        }
    }
}

async fn run(context: &Context, database: &Maintenance, plan: bool) -> Outcome {
    let before = database.state().await?;
    let mut answer = Answer {
        store: before.place.clone(),
        schema_version: before.version,
        migrations: migrations(&before, plan),
        service: database.service().map(ToOwned::to_owned),
        done: !plan,
    };
    if !plan {
        // Another may have been first.
        let added = database.migrate().await?;
        answer.migrations.retain(|m| added.contains(&m.version));
        answer.schema_version = added.last().copied().unwrap_or(before.version.max(before.newest));
    }
    context.printer.answer(&answer, |page| {
        page.line(match (answer.migrations.is_empty(), plan) {
            (true, _) => format!(
                "nothing to migrate: the schema's version is {}",
                answer.schema_version
            ),
            (false, true) => format!("to be migrated from version {}", answer.schema_version),
            (false, false) => format!("migrated to version {}", answer.schema_version),
        });
        page.field("store", &answer.store);
        for migration in &answer.migrations {
            let oldest = &migration.oldest_binary;
            page.field(
                "version",
                format!("{} (runs on {oldest} and later)", migration.version),
            );
        }
        if let Some(role) = &answer.service {
            let word = if plan { "would be let in" } else { "let in" };
            page.field("servers", format!("role {role}, {word}"));
        }
        if plan {
            page.next(format!("{} db migrate; -o json shows the SQL", context.program));
        }
    })?;
    Ok(Exit::Done)
}

fn migrations(state: &SchemaState, with_sql: bool) -> Vec<Migration> {
    let pending = state.pending.iter().map(|pending| Migration {
        version: pending.version,
        oldest_binary: pending.oldest_binary.to_owned(),
        sql: with_sql.then(|| pending.sql.to_owned()),
    });
    pending.collect()
}
