//! `crypto hsm slots list`.

use clap::Args;
use stella_core::api::hsm::{HsmSlot, HsmSlotList};

use crate::api::Route;
use crate::cmd::crypto::hsm::ModuleArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Slots as the modules number them today, and the tokens in them
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    module: ModuleArg,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm", "slots"]).with("module", self.module.module);
        let list: HsmSlotList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.slots.iter().map(|slot| {
                [
                    slot.slot.to_string(),
                    slot.module.clone(),
                    token(slot),
                    slot.serial.clone(),
                    slot.login.clone(),
                    slot.pin.clone(),
                    format!("{} {}", slot.manufacturer, slot.model),
                ]
            });
            let header = ["Slot", "Module", "Token", "Serial", "Login", "PIN", "Device"];
            page.list(header, rows, "no slots: no token is there");
        })?;
        Ok(Exit::Done)
    }
}

fn token(slot: &HsmSlot) -> String {
    match (slot.token_present, slot.initialized) {
        (false, _) => "(no token)".to_owned(),
        (true, false) => "(not initialised)".to_owned(),
        (true, true) => slot.label.clone(),
    }
}
