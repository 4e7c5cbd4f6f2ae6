//! `crypto providers list`.

use std::collections::BTreeMap;

use clap::Args;
use stella_core::api::crypto::{Algorithm, Providers};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

/// Providers and their algorithms
#[derive(Args)]
pub struct List {
    /// A row for each algorithm
    #[arg(long)]
    algorithms: bool,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "providers"]);
        let answer: Providers = context.api().await?.get(&route).await?;
        context.printer.answer(&answer, |page| {
            if self.algorithms {
                by_algorithm(page, &answer);
            } else {
                by_provider(page, &answer);
            }
        })?;
        Ok(Exit::Done)
    }
}

fn by_algorithm(page: &mut Page, answer: &Providers) {
    let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    let rows = answer.algorithms.iter().map(|algorithm| {
        [
            algorithm.id.clone(),
            algorithm.short_names.join(","),
            provider(algorithm),
            yes_no(algorithm.sign),
            yes_no(algorithm.verify),
            algorithm.stores.join(","),
            algorithm.standard.clone(),
        ]
    });
    let header = [
        "Algorithm",
        "Short Names",
        "Provider",
        "Sign",
        "Verify",
        "Stores",
        "Standard",
    ];
    page.table(header, rows, "no algorithms");
    for algorithm in &answer.algorithms {
        if let Some(note) = &algorithm.note {
            page.line(format!("{}: {note}", algorithm.id));
        }
    }
}

fn by_provider(page: &mut Page, answer: &Providers) {
    let mut providers: BTreeMap<String, Vec<&Algorithm>> = BTreeMap::new();
    for algorithm in &answer.algorithms {
        providers.entry(provider(algorithm)).or_default().push(algorithm);
    }
    let rows = providers.iter().map(|(provider, algorithms)| {
        let names: Vec<&str> = algorithms.iter().map(|a| a.id.as_str()).collect();
        [provider.clone(), names.join(", ")]
    });
    page.table(["Provider", "Algorithms"], rows, "no providers");
}

fn provider(algorithm: &Algorithm) -> String {
    let mark = if algorithm.unaudited { " (unaudited)" } else { "" };
    format!("{}{mark}", algorithm.provider)
}
