//! `crypto hsm pkcs11-info`.

use clap::Args;
use stella_core::api::hsm::{HsmInfo, HsmInfoList};

use super::ModuleArg;
use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

/// What the library says of itself, and whether it can do what profiles ask of it
#[derive(Args)]
pub struct Pkcs11Info {
    #[command(flatten)]
    module: ModuleArg,
}

impl Pkcs11Info {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm", "info"]).with("module", self.module.module);
        let list: HsmInfoList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            for (index, module) in list.modules.iter().enumerate() {
                if index > 0 {
                    page.line("");
                }
                describe(page, module);
            }
        })?;
        let supported = list.modules.iter().flat_map(|module| &module.profiles);
        Ok(if supported.into_iter().all(|profile| profile.supported) {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

fn describe(page: &mut Page, module: &HsmInfo) {
    page.field("module", &module.module);
    page.field("library", &module.library);
    page.field("manufacturer", &module.manufacturer);
    page.field("description", &module.description);
    page.field("version", &module.library_version);
    page.field("cryptoki", &module.cryptoki_version);
    for profile in &module.profiles {
        page.field(
            "profile",
            format!(
                "{} {}: {} is {}",
                page.tick(profile.supported),
                profile.profile,
                profile.algorithm,
                if profile.supported {
                    "supported"
                } else {
                    "not supported"
                }
            ),
        );
    }
    let rows = module.mechanisms.iter().map(|mechanism| {
        [
            mechanism.algorithm.clone(),
            mechanism.mechanism.clone(),
            if mechanism.generates { "yes" } else { "no" }.to_owned(),
        ]
    });
    page.table(
        ["Algorithm", "Mechanism", "Makes Keys"],
        rows,
        "no mechanism that profiles could use",
    );
}
