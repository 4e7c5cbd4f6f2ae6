//! `crypto hsm auth ...`.

mod update;
mod verify;

use stella_core::api::hsm::PinVerified;

use crate::context::{Context, Outcome};
use crate::exit::Exit;

crate::cmd::verbs! {
    Verify(verify::Verify),
    Update(update::Update),
}

fn accepted(context: &Context, verified: &PinVerified) -> Outcome {
    context.printer.answer(verified, |page| {
        page.line(format!(
            "{} the PIN was accepted by token {} (slot {}, serial {}) of module {}",
            page.tick(true),
            verified.token,
            verified.slot,
            verified.serial,
            verified.module
        ));
        if verified.before != verified.after {
            page.line(format!(
                "  its flags: {} before, {} now",
                verified.before, verified.after
            ));
        }
        if let Some(next) = &verified.next {
            page.next(next);
        }
    })?;
    for warning in &verified.warnings {
        context.printer.warn(warning);
    }
    Ok(Exit::Done)
}
