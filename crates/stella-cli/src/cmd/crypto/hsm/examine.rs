//! `crypto hsm test`, `verify`, `ping`, `connectivity`, `pkcs11-status`.

use std::marker::PhantomData;

use clap::Args;
use stella_core::api::hsm::HsmReport;

use super::{ModuleArg, report};
use crate::api::Route;
use crate::context::{Context, Outcome};

/// How far the way to the keys is gone.
pub trait What {
    const NAME: &'static str;
    /// Whether every step is told where all is well.
    const EACH: bool;
}

macro_rules! what {
    ($($name:ident = $text:literal, $each:literal;)+) => {$(
        pub struct $name;
        impl What for $name {
            const NAME: &'static str = $text;
            const EACH: bool = $each;
        }
    )+};
}

what! {
    Test = "test", true;
    Verify = "verify", true;
    Ping = "ping", false;
    Connectivity = "connectivity", false;
    Pkcs11Status = "pkcs11-status", true;
}

#[derive(Args)]
pub struct Examine<W> {
    #[command(flatten)]
    module: ModuleArg,
    #[arg(skip)]
    what: PhantomData<W>,
}

impl<W: What> Examine<W> {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm", "examine", W::NAME]).with("module", self.module.module);
        let answer: HsmReport = context.api().await?.post(&route, &()).await?;
        report(context, &answer, W::EACH || context.global.verbose > 0)
    }
}
