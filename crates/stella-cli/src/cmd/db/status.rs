//! `db status`.

use clap::Args;
use serde::Serialize;
use stella_core::api::status::Status as Instance;
use stella_server::database::Database;

use super::StoreFlags;
use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Say where everything is kept, and whether this release runs on it
#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    store: StoreFlags,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    store: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_binary: Option<String>,
    pending: Vec<u32>,
    /// Why this release does not run on it, or what there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Status {
    pub async fn run(self, context: &Context) -> Outcome {
        let config = context.global.config.as_deref();
        match Database::find(&context.home()?, config, self.store.choice()?, None)? {
            Database::Sqlite => of_sqlite(context).await,
            Database::Postgres(database) => {
                let state = database.state().await?;
                let answer = Answer {
                    store: format!("postgresql {}", state.place),
                    ok: state.obstacle.is_none(),
                    schema_version: (state.version > 0).then_some(state.version),
                    oldest_binary: state.oldest_binary,
                    pending: state.pending.iter().map(|pending| pending.version).collect(),
                    note: state.obstacle,
                };
                tell(context, &answer)
            }
        }
    }
}

/// It is brought up to date by whoever opens it: here, or the server there.
pub async fn of_sqlite(context: &Context) -> Outcome {
    let instance: Instance = context.api().await?.get(&Route::to(&["status"])).await?;
    let answer = Answer {
        store: instance.store,
        ok: true,
        schema_version: None,
        oldest_binary: None,
        pending: Vec::new(),
        note: Some("SQLite is brought up to date when it is opened, after a copy was kept".to_owned()),
    };
    tell(context, &answer)
}

fn tell(context: &Context, answer: &Answer) -> Outcome {
    context.printer.answer(answer, |page| {
        page.field("store", &answer.store);
        if let Some(version) = answer.schema_version {
            page.field("schema", version);
        }
        if let Some(oldest) = &answer.oldest_binary {
            page.field("runs on", format!("{oldest} and later"));
        }
        if !answer.pending.is_empty() {
            let versions: Vec<_> = answer.pending.iter().map(u32::to_string).collect();
            page.field("pending", versions.join(", "));
        }
        if let Some(note) = &answer.note {
            page.field("note", note);
        }
    })?;
    Ok(if answer.ok { Exit::Done } else { Exit::Failed })
}
