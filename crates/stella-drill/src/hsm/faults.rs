//! The faults, and what ends each.

use std::fs;

use rustix::process::Signal;
use stella_testkit::token::Kind;

use super::bed::{Bed, KEY};
use super::server::By;
use crate::Result;

pub struct Fault {
    pub name: &'static str,
    /// Whether it is one of the connection.
    pub linked: bool,
    pub inject: Step,
    pub mend: Step,
    /// What it takes once the cause is gone.
    pub mended_by: &'static str,
}

type Step = Box<dyn Fn(&Bed) -> Result<()>>;

pub fn all() -> Vec<Fault> {
    let mut all = answers();
    all.extend(silences());
    all.extend(lies());
    all.extend(workers());
    all.extend(files());
    all.extend(pins());
    all.extend(connections());
    all.push(both_down());
    all.push(wedged_five_times());
    all
}

const ITSELF: &str = "itself";
const RELOAD: &str = "reload";

/// Error codes: of the session, the module, the token, the key.
fn answers() -> Vec<Fault> {
    vec![
        rules(
            "C_Sign says DEVICE_ERROR, 1,000 times in a row",
            "C_Sign rv 0x30 1000",
        ),
        rules("every call says DEVICE_ERROR", "* rv 0x30"),
        rules("every call says DEVICE_REMOVED", "* rv 0x32"),
        rules("every call says GENERAL_ERROR", "* rv 0x5"),
        rules("every call says CRYPTOKI_NOT_INITIALIZED", "* rv 0x190"),
        rules("every call says TOKEN_NOT_PRESENT", "* rv 0xe0"),
        rules(
            "sessions are closed elsewhere (SESSION_HANDLE_INVALID)",
            "C_SignInit rv 0xb3 1",
        ),
        rules("sessions are closed, again and again", "C_SignInit rv 0xb3"),
        rules(
            "handles are stale (OBJECT_HANDLE_INVALID)",
            "C_SignInit rv 0x82 1",
        ),
        rules(
            "logged out elsewhere (USER_NOT_LOGGED_IN)",
            "C_SignInit rv 0x101 1",
        ),
        rules(
            "an operation is left over (OPERATION_ACTIVE)",
            "C_SignInit rv 0x90 1",
        ),
        rules(
            "the mechanism is refused (MECHANISM_INVALID)",
            "C_SignInit rv 0x70",
        ),
        restarted(
            "the server is down at C_Initialize: no slots, CKR_OK",
            "C_GetSlotList empty",
        ),
        restarted("C_Initialize says DEVICE_ERROR", "C_Initialize rv 0x30"),
        restarted("slot ids are renumbered", "C_GetSlotList renumber 7"),
    ]
}

fn silences() -> Vec<Fault> {
    vec![
        rules("C_Sign hangs", "C_Sign hang"),
        rules("everything hangs", "* hang"),
        restarted("C_Initialize hangs", "C_Initialize hang"),
        restarted("C_Login hangs", "C_Login hang"),
        rules(
            "C_Sign takes 100 ms, which is within the deadline",
            "C_Sign delay 50",
        ),
    ]
}

fn lies() -> Vec<Fault> {
    vec![
        rules("a signature is corrupted", "C_Sign corrupt"),
        rules("a signature is a byte short", "C_Sign short"),
    ]
}

fn workers() -> Vec<Fault> {
    vec![
        rules("the module calls abort()", "C_Sign abort"),
        fault(
            "the worker is killed",
            |bed| {
                bed.signal(Signal::KILL);
                Ok(())
            },
            |_| Ok(()),
            ITSELF,
        ),
        fault(
            "the worker is stopped (SIGSTOP)",
            |bed| {
                bed.signal(Signal::STOP);
                Ok(())
            },
            |_| Ok(()),
            ITSELF,
        ),
    ]
}

fn files() -> Vec<Fault> {
    vec![
        fault(
            "the key is deleted",
            |bed| {
                bed.token(|token| token.delete(KEY));
                Ok(())
            },
            restored,
            RELOAD,
        ),
        second("a second key with the same label", "02"),
        second("a second key with the same label and id", "01"),
        fault(
            "the token is initialised again",
            |bed| {
                bed.token(|token| token.initialise_again());
                Ok(())
            },
            |bed| {
                bed.restore()?;
                // It may have been tried while there was no PIN.
                bed.force_pin()?;
                bed.reload()
            },
            "auth verify --force, reload",
        ),
        fault(
            "another token with the same label is in its place",
            |bed| {
                bed.token(|token| {
                    token.take_out();
                    token.add("drill");
                });
                bed.signal(Signal::KILL);
                Ok(())
            },
            restored,
            RELOAD,
        ),
        fault(
            "the token is taken out and put back",
            |bed| {
                bed.token(|token| token.take_out());
                Ok(())
            },
            |bed| {
                bed.token(|token| token.put_back());
                Ok(())
            },
            ITSELF,
        ),
        module("the module's file is gone", |path| fs::remove_file(path)),
        module("the module's file is truncated", |path| {
            let whole = fs::read(path)?;
            fs::remove_file(path)?;
            fs::write(path, &whole[..whole.len() / 16])
        }),
        module("the module is for another architecture", |path| {
            let mut bytes = fs::read(path)?;
            // e_machine of the ELF header: a SPARC.
            bytes[18..20].copy_from_slice(&[2, 0]);
            fs::remove_file(path)?;
            fs::write(path, bytes)
        }),
    ]
}

fn second(name: &'static str, id: &'static str) -> Fault {
    fault(
        name,
        move |bed| {
            bed.token(|token| token.generate(Kind::EcdsaP256, KEY, id));
            bed.signal(Signal::KILL);
            Ok(())
        },
        restored,
        RELOAD,
    )
}

fn pins() -> Vec<Fault> {
    vec![
        fault(
            "the PIN is changed elsewhere",
            |bed| {
                bed.token(|token| token.change_pin("31528"));
                bed.signal(Signal::KILL);
                Ok(())
            },
            Bed::reload,
            RELOAD,
        ),
        restarted("the PIN is locked", "C_GetTokenInfo flags 0x40000"),
        restarted("one more wrong PIN would lock it", "C_GetTokenInfo flags 0x20000"),
    ]
}

fn connections() -> Vec<Fault> {
    let linked = |name, inject: fn(&Bed) -> Result<()>, mend: fn(&Bed) -> Result<()>| Fault {
        linked: true,
        ..fault(name, inject, mend, ITSELF)
    };
    vec![
        linked(
            "the connection is reset",
            |bed| {
                bed.link()?.cut();
                Ok(())
            },
            |_| Ok(()),
        ),
        linked(
            "the connection freezes (black hole)",
            |bed| {
                bed.link()?.freeze();
                Ok(())
            },
            |bed| {
                bed.link()?.thaw();
                Ok(())
            },
        ),
        linked(
            "the tunnel is down",
            |bed| {
                bed.link()?.stop_tunnel();
                Ok(())
            },
            |bed| {
                bed.link()?.start_tunnel();
                Ok(())
            },
        ),
        linked(
            "the tunnel is up and the server behind it gone",
            |bed| {
                bed.link()?.stop_server();
                Ok(())
            },
            |bed| {
                bed.link()?.start_server();
                Ok(())
            },
        ),
    ]
}

/// Then nothing signs, and everything is recorded.
fn both_down() -> Fault {
    fault(
        "both tokens are down",
        |bed| {
            bed.faults.set("* rv 0x30");
            bed.backup.take_out();
            Ok(())
        },
        |bed| {
            bed.backup.put_back();
            cleared(bed)
        },
        ITSELF,
    )
}

/// Each time until the standby key signs, and until the primary does again.
fn wedged_five_times() -> Fault {
    fault(
        "wedged, killed, brought back, five times over",
        |bed| {
            for _ in 0..5 {
                bed.faults.set("C_Sign hang");
                bed.until_signed_by(By::Backup)?;
                bed.signal(Signal::KILL);
                bed.faults.clear();
                bed.until_signed_by(By::Primary)?;
            }
            Ok(())
        },
        |_| Ok(()),
        ITSELF,
    )
}

fn fault(
    name: &'static str,
    inject: impl Fn(&Bed) -> Result<()> + 'static,
    mend: impl Fn(&Bed) -> Result<()> + 'static,
    mended_by: &'static str,
) -> Fault {
    Fault {
        name,
        linked: false,
        inject: Box::new(inject),
        mend: Box::new(mend),
        mended_by,
    }
}

fn rules(name: &'static str, rules: &'static str) -> Fault {
    fault(
        name,
        move |bed| {
            bed.faults.set(rules);
            Ok(())
        },
        cleared,
        ITSELF,
    )
}

/// One that is met by a new worker only.
fn restarted(name: &'static str, rules: &'static str) -> Fault {
    fault(
        name,
        move |bed| {
            bed.faults.set(rules);
            bed.signal(Signal::KILL);
            Ok(())
        },
        cleared,
        ITSELF,
    )
}

fn module(name: &'static str, harm: fn(&std::path::Path) -> std::io::Result<()>) -> Fault {
    fault(
        name,
        move |bed| {
            fs::copy(&bed.module, bed.module.with_extension("good"))?;
            harm(&bed.module)?;
            bed.signal(Signal::KILL);
            Ok(())
        },
        |bed| Ok(fs::rename(bed.module.with_extension("good"), &bed.module)?),
        ITSELF,
    )
}

fn cleared(bed: &Bed) -> Result<()> {
    bed.faults.clear();
    Ok(())
}

fn restored(bed: &Bed) -> Result<()> {
    bed.restore()?;
    bed.reload()
}
