//! `anchor update`.

use clap::Args;
use stella_core::api::anchors::{Anchor, UpdateAnchor};

use crate::api::Route;
use crate::args::ids::AnchorArg;
use crate::args::{predicate_type, time_evidence};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Change what an anchor demands; only what is given changes
#[derive(Args)]
pub struct Update {
    #[command(flatten)]
    anchor: AnchorArg,
    #[command(flatten)]
    demands: Demands,
    /// Allow every predicate type again
    #[arg(long, conflicts_with = "predicate_types")]
    allow_all_types: bool,
    /// Why, in your words
    #[arg(long)]
    note: Option<String>,
}

/// What an anchor asks of a signature.
#[derive(Args)]
pub struct Demands {
    /// Predicate types it allows (default: all; "" allows none)
    #[arg(long, value_name = "TYPE,...", value_parser = types)]
    pub predicate_types: Option<TypeList>,
    /// Predicate types an artifact must have
    #[arg(long, value_name = "TYPE,...", value_parser = types)]
    pub require_types: Option<TypeList>,
    /// How many distinct keys must have signed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub threshold: Option<u32>,
    /// The least evidence of time that counts
    #[arg(long, value_name = "CLASS", value_parser = time_evidence())]
    pub min_time_evidence: Option<String>,
    /// How many operators must attest a time
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub time_operators: Option<u32>,
    /// A class of evidence every signature must have; `none` lifts it
    #[arg(long, value_name = "CLASS")]
    pub require_evidence: Option<String>,
    /// Only signatures that this server's ledger holds (=false lifts it)
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub require_ledger: Option<bool>,
}

/// Several types in one argument; nothing in it is a list of nothing.
#[derive(Debug, Clone)]
pub struct TypeList(pub Vec<String>);

impl Update {
    pub async fn run(self, context: &Context) -> Outcome {
        let demands = self.demands;
        let request = UpdateAnchor {
            allowed_predicate_types: demands.predicate_types.map(|t| t.0),
            allow_all_predicate_types: self.allow_all_types,
            required_predicate_types: demands.require_types.map(|t| t.0),
            threshold: demands.threshold,
            min_time_evidence: demands.min_time_evidence,
            time_operators: demands.time_operators,
            require_evidence: demands.require_evidence,
            require_ledger: demands.require_ledger,
            status: None,
            note: self.note.clone(),
        };
        let changes_nothing = request
            == UpdateAnchor {
                note: self.note,
                ..UpdateAnchor::default()
            };
        if changes_nothing {
            return Err(CliError::usage("nothing to change was given")
                .next(format!("{} anchor update --help", context.program)));
        }
        let anchor = change(context, self.anchor.id(), &request).await?;
        context
            .printer
            .answer(&anchor, |page| super::describe(page, &anchor))?;
        Ok(Exit::Done)
    }
}

pub async fn change(context: &Context, id: &str, request: &UpdateAnchor) -> Result<Anchor, CliError> {
    let route = Route::to(&["anchors", id]);
    context.api().await?.patch(&route, request).await
}

fn types(text: &str) -> Result<TypeList, String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(predicate_type)
        .collect::<Result<_, _>>()
        .map(TypeList)
}
