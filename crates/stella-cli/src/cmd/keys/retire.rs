//! `keys retire`.

use clap::Args;

use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};

/// End signing with a key; what it signed stays valid
#[derive(Args)]
pub struct Retire {
    #[command(flatten)]
    key: KeyArg,
}

impl Retire {
    pub async fn run(self, context: &Context) -> Outcome {
        super::change_state(context, &self.key, "retire").await
    }
}
