//! `token revoke`.

use clap::Args;
use serde_json::json;
use stella_core::api::tokens::{Token, TokenList};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// End a token
#[derive(Args)]
pub struct Revoke {
    /// The token's id, a prefix that only it has, or its name
    #[arg(value_name = "TOKEN_ID")]
    id: String,
}

impl Revoke {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let list: TokenList = api.get(&Route::to(&["tokens"])).await?;
        let meant = |token: &&Token| token.id.starts_with(&self.id) || token.name == self.id;
        // None or several: the server says so.
        if let [token] = list.tokens.iter().filter(meant).collect::<Vec<_>>()[..] {
            context.confirm(
                |page| {
                    page.line(format!(
                        "revoking token {} ({}, {}): whoever uses it is refused from now on",
                        token.id, token.name, token.role
                    ));
                },
                "Revoke it?",
            )?;
        }
        let token: Token = api
            .post(&Route::to(&["tokens", &self.id, "revoke"]), &json!({}))
            .await?;
        context.printer.answer(&token, |page| {
            page.line(format!("{} is {}", token.id, token.status))
        })?;
        Ok(Exit::Done)
    }
}
