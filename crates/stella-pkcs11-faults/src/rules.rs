//! Rules, one a line: `FUNCTION ACTION [ARGUMENT] [TIMES]`.
//!
//! ```text
//! C_Sign rv 0x30 3           fail with CKR_DEVICE_ERROR, three times
//! * rv 0x32                  whatever is called
//! C_GenerateKeyPair late 0x30    do it, and say that it failed
//! C_SignInit delay 300       milliseconds
//! C_Sign hang                for ever
//! C_Sign abort               the process
//! C_Sign corrupt             flip a bit of the signature
//! C_Sign short               leave out its last byte
//! C_GetTokenInfo flags 0x10000   set them besides
//! C_GetSlotList empty        no slots, and CKR_OK
//! C_GetSlotList renumber 7   every slot id is higher by 7, everywhere
//! C_SignInit close-all       C_CloseAllSessions before it
//! C_SignInit log-out         C_Logout before it
//! C_Login count              nothing; it is counted
//! C_GenerateKeyPair sm2 0x80000A00   this mechanism makes pairs of SM2 (or `gost`)
//! C_SignInit sm2 0x80000A01          and this one signs digests with them
//! C_SignInit sm2-message 0x80000A02  or messages, which it hashes
//! C_GetAttributeValue gost 0xD4321003    their CKA_KEY_TYPE, in place of the usual
//! ```
//!
//! Every rule that fits is followed, in the order of the file, which is read
//! at every call. A rule is used up after TIMES, whoever used it: the count is
//! the length of a file beside this one (`FILE.GENERATION.LINE`), to which
//! every use appends a byte. The first line is `# GENERATION`; a new one
//! starts all counts anew.

use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cryptoki_sys::{CK_FLAGS, CK_RV};

use crate::vendor::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Fail(CK_RV),
    FailLate(CK_RV),
    Delay(Duration),
    Hang,
    Abort,
    Corrupt,
    Short,
    Flags(CK_FLAGS),
    Empty,
    Renumber(u64),
    CloseAll,
    LogOut,
    Count,
    Offer(Offer),
}

/// A number under which the module has something of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub kind: Kind,
    /// Messages, not digests.
    pub hashes: bool,
    pub number: u64,
}

/// What the file offers under this function. Nothing is used up.
pub fn offers(function: &str) -> Vec<Offer> {
    let text = control().and_then(|file| std::fs::read_to_string(file).ok());
    let text = text.unwrap_or_default();
    let offer = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next()? == function).then(|| parse(words))?? {
            (Action::Offer(offer), _) => Some(offer),
            _ => None,
        }
    };
    text.lines().filter_map(offer).collect()
}

/// The file with the rules.
pub fn control() -> Option<PathBuf> {
    std::env::var_os("FAULTY_CONTROL").map(PathBuf::from)
}

/// What the file asks of this call. Lines that cannot be read are reported
/// on standard error and left out.
pub fn actions(function: &str) -> Vec<Action> {
    let Some(file) = control() else {
        return Vec::new();
    };
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Vec::new();
    };
    let generation = text.lines().next().unwrap_or_default();
    let generation = generation.trim_start_matches('#').trim();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(name) if name == function || name == "*" => {}
            _ => continue,
        }
        let Some((action, times)) = parse(words) else {
            eprintln!("{}: line {}: not understood: {line}", file.display(), number + 1);
            continue;
        };
        let counted = times.is_some() || action == Action::Count;
        if counted {
            let count = file.with_extension(format!("{generation}.{number}"));
            if times.is_some_and(|times| used(&count) > times) {
                continue;
            }
            if times.is_none() {
                used(&count);
            }
        }
        found.push(action);
    }
    found
}

fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(Action, Option<u64>)> {
    let name = words.next()?;
    let mut argument = || number(words.next()?);
    let mut offer = |kind, hashes| {
        let number = argument()?;
        Some(Action::Offer(Offer { kind, hashes, number }))
    };
    let action = match name {
        "sm2" => offer(Kind::Sm2, false)?,
        "sm2-message" => offer(Kind::Sm2, true)?,
        "gost" => offer(Kind::Gost, false)?,
        "gost-message" => offer(Kind::Gost, true)?,
        "rv" => Action::Fail(argument()?),
        "late" => Action::FailLate(argument()?),
        "delay" => Action::Delay(Duration::from_millis(argument()?)),
        "flags" => Action::Flags(argument()?),
        "renumber" => Action::Renumber(argument()?),
        "hang" => Action::Hang,
        "abort" => Action::Abort,
        "corrupt" => Action::Corrupt,
        "short" => Action::Short,
        "empty" => Action::Empty,
        "close-all" => Action::CloseAll,
        "log-out" => Action::LogOut,
        "count" => Action::Count,
        _ => return None,
    };
    match words.next() {
        Some(times) => Some((action, Some(number(times)?))),
        None => Some((action, None)),
    }
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

/// One use more; says how many there are now. Appending and the position
/// after it are one step for the kernel: no two callers get the same answer.
fn used(count: &Path) -> u64 {
    let uses = || {
        let mut file = OpenOptions::new().create(true).append(true).open(count)?;
        file.write_all(b".")?;
        file.stream_position()
    };
    uses().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(Action, Option<u64>)> {
        parse(line.split_whitespace())
    }

    #[test]
    fn a_rule_is_an_action_its_argument_and_how_often() {
        assert_eq!(read("rv 0x30 3"), Some((Action::Fail(0x30), Some(3))));
        assert_eq!(read("hang"), Some((Action::Hang, None)));
        assert_eq!(read("abort 1"), Some((Action::Abort, Some(1))));
        let delay = Action::Delay(Duration::from_millis(300));
        assert_eq!(read("delay 300"), Some((delay, None)));
        let offer = Action::Offer(Offer {
            kind: Kind::Gost,
            hashes: true,
            number: 0x8000_0001,
        });
        assert_eq!(read("gost-message 0x80000001"), Some((offer, None)));
        for wrong in ["sm2", "", "rv", "rv x", "explode", "hang soon"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
