//! `token create`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use stella_core::api::tokens::{CreateToken, TokenCreated};

use crate::api::Route;
use crate::args::period::Period;
use crate::args::predicate_type;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a token; its secret is shown once
#[derive(Args)]
pub struct Create {
    /// What its holder may do
    #[arg(long, value_parser = PossibleValuesParser::new(["admin", "key-admin", "signer", "verifier", "auditor", "approver"]))]
    role: String,
    /// Subjects a signer may speak of
    #[arg(
        long = "purl",
        visible_alias = "purls",
        value_name = "PATTERN,...",
        value_delimiter = ','
    )]
    purls: Vec<String>,
    /// Predicate types a signer may use
    #[arg(long = "types", visible_alias = "type", value_name = "TYPE,...", value_delimiter = ',', value_parser = predicate_type)]
    types: Vec<String>,
    /// Profiles a signer may sign with
    #[arg(
        long = "profile",
        visible_alias = "profiles",
        value_name = "PROFILE,...",
        value_delimiter = ','
    )]
    profiles: Vec<String>,
    /// How long it lives, such as 90d
    #[arg(long, value_name = "PERIOD")]
    expires: Option<Period>,
    /// Your name for it
    #[arg(long)]
    name: Option<String>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let request = CreateToken {
            name: self.name,
            role: self.role,
            purls: self.purls,
            types: self.types,
            profiles: self.profiles,
            expires_in_seconds: self.expires.map(|period| period.seconds_from(now)),
        };
        let created: TokenCreated = context
            .api()
            .await?
            .post(&Route::to(&["tokens"]), &request)
            .await?;
        context.printer.answer(&created, |page| {
            page.field("id", &created.token.id);
            page.field("name", &created.token.name);
            page.field("role", &created.token.role);
            page.field("expires", &created.token.expires_at);
            page.field("token", &created.secret);
            page.brief(&created.secret);
        })?;
        context
            .printer
            .note("the token is shown this once; only its hash is kept");
        Ok(Exit::Done)
    }
}
