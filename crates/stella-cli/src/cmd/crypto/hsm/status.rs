//! `crypto hsm status`.

use clap::Args;
use stella_core::api::hsm::{BreakerStatus, HsmModuleStatus, HsmStatusList};

use super::{ModuleArg, mend};
use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

/// Whether each module is reached, and how its worker stands
#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    module: ModuleArg,
}

impl Status {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm"]).with("module", self.module.module);
        let list: HsmStatusList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            for (index, module) in list.modules.iter().enumerate() {
                if index > 0 {
                    page.line("");
                }
                describe(page, module);
            }
            if !list.modules.is_empty() && !list.other_stores.is_empty() {
                page.line("");
            }
            for store in &list.other_stores {
                page.field("breaker", stands(store));
            }
            if list.modules.is_empty() {
                page.next("stella doctor --check check.crypto.hsm-availability");
            }
        })?;
        Ok(Exit::Done)
    }
}

fn describe(page: &mut Page, module: &HsmModuleStatus) {
    let default = if module.default { " (default)" } else { "" };
    page.field("module", format!("{}{default}", module.module));
    let connection = if module.reached {
        "connected"
    } else {
        "not connected"
    };
    page.field(
        "connection",
        format!("{} {connection}", page.tick(module.reached)),
    );
    page.maybe("tokens", module.tokens);
    let pid = module.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    page.field(
        "worker",
        format!(
            "{} for {:.0} s{pid}, {} restarts, {} requests in flight",
            module.worker, module.worker_seconds, module.restarts, module.in_flight
        ),
    );
    let keys = if module.keys.is_empty() {
        "-".to_owned()
    } else {
        module.keys.join(", ")
    };
    page.field("keys", keys);
    if !module.moved_here.is_empty() {
        let profiles = module.moved_here.join(", ");
        page.field(
            "moved here",
            format!("signing of {profiles}; stella crypto hsm failover --to auto gives it back"),
        );
    }
    for breaker in &module.breakers {
        page.field("breaker", stands(breaker));
    }
    if let Some(fault) = &module.fault {
        let ago = fault
            .seconds_ago
            .map(|s| format!(" ({s:.0} s ago)"))
            .unwrap_or_default();
        page.field("last error", format!("{}{ago}", fault.message));
        if !module.reached {
            mend(page, fault);
        }
    }
}

fn stands(breaker: &BreakerStatus) -> String {
    let since = breaker
        .seconds
        .map(|s| format!(" for {s:.0} s"))
        .unwrap_or_default();
    let next = breaker
        .next_probe_seconds
        .map(|s| format!(", probed again in {s:.1} s"))
        .unwrap_or_default();
    let error = breaker
        .error
        .as_ref()
        .map(|error| format!(": {error}"))
        .unwrap_or_default();
    format!("{}{since} ({}){next}{error}", breaker.state, breaker.store)
}
