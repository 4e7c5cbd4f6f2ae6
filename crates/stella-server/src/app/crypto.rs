//! `crypto providers list`.

use stella_core::alg::Algorithm;
use stella_core::api::crypto;

use crate::app::App;

impl App {
    /// What this build can do, straight from the one table.
    pub fn providers(&self) -> crypto::Providers {
        let algorithms = Algorithm::all()
            .map(|algorithm| {
                let scheme = algorithm.scheme();
                crypto::Algorithm {
                    id: algorithm.id().to_owned(),
                    short_names: scheme.short_names().iter().map(|n| (*n).to_owned()).collect(),
                    provider: scheme.provider().to_owned(),
                    standard: scheme.standard().to_owned(),
                    stores: vec!["software".to_owned()],
                    sign: true,
                    verify: true,
                    note: None,
                }
            })
            .collect();
        crypto::Providers { algorithms }
    }
}
