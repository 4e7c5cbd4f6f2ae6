//! `token list`.

use clap::Args;
use stella_core::api::tokens::TokenList;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// List tokens
#[derive(Args)]
pub struct List {}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let list: TokenList = context.api().await?.get(&Route::to(&["tokens"])).await?;
        context.printer.answer(&list, |page| {
            let rows = list.tokens.iter().map(|token| {
                [
                    token.id.clone(),
                    token.name.clone(),
                    token.role.clone(),
                    token.status.clone(),
                    token.expires_at.clone(),
                    token.last_used_at.clone().unwrap_or_else(|| "never".into()),
                ]
            });
            let header = ["ID", "Name", "Role", "Status", "Expires", "Last Used"];
            page.list(header, rows, "no tokens");
        })?;
        Ok(Exit::Done)
    }
}
