//! `crypto local-hsm ...`.

mod init;
mod recover;
mod status;

use stella_core::api::local_hsm::LocalHsm;

use crate::printer::Page;

crate::cmd::verbs! {
    Init(init::Init),
    Status(status::Status),
    Recover(recover::Recover),
}

fn describe(page: &mut Page, hsm: &LocalHsm) {
    page.field("local HSM", &hsm.name);
    page.field("serial", &hsm.serial);
    page.field("folder", &hsm.folder);
    let pin = match (hsm.locked, hsm.wrong_pins) {
        (true, _) => format!("locked after {} wrong ones", hsm.pin_limit),
        (false, 0) => "in order".to_owned(),
        (false, wrong) => format!(
            "{wrong} wrong since the last right one; {} lock it",
            hsm.pin_limit
        ),
    };
    page.field("PIN", pin);
}
