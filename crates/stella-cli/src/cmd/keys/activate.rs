//! `keys activate`.

use clap::Args;

use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};

/// Make a key the one its profile signs with
#[derive(Args)]
pub struct Activate {
    #[command(flatten)]
    key: KeyArg,
}

impl Activate {
    pub async fn run(self, context: &Context) -> Outcome {
        super::change_state(context, &self.key, "activate").await
    }
}
