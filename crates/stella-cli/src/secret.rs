//! What is typed without being shown.

use std::io::{self, IsTerminal, Write};

use rustix::io::Errno;
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::{Zeroize as _, Zeroizing};

use crate::context::Context;
use crate::error::CliError;

impl Context {
    /// Asked for without showing what is typed, or the first line of standard
    /// input where nobody is there to ask.
    pub fn secret(&self, prompt: &str) -> Result<Zeroizing<String>, CliError> {
        let unreadable = |e: io::Error| CliError::failed("cli.stdin", format!("standard input: {e}"));
        let line = if io::stdin().is_terminal() {
            // First of all: who sees the prompt types.
            let hidden = Hidden::start().map_err(unreadable)?;
            let mut stderr = io::stderr().lock();
            write!(stderr, "{prompt}")
                .and_then(|()| stderr.flush())
                .map_err(unreadable)?;
            drop(stderr);
            let typed = read(|byte| hidden.meaning(byte));
            drop(hidden);
            self.printer.aside(|page| page.line(""));
            typed
        } else {
            read(|byte| match byte {
                b'\n' => Key::End,
                other => Key::Byte(other),
            })
        };
        match line.map_err(unreadable)? {
            Line::Whole(bytes) => text(bytes),
            Line::TooLong => Err(CliError::usage(format!(
                "longer than any PIN ({MAX_SECRET} bytes)"
            ))),
            Line::Cancelled => Err(CliError::failed(
                "cli.cancelled",
                "cancelled; nothing was changed",
            )),
        }
    }
}

/// The buffer never grows, so no copy of a secret stays behind.
const MAX_SECRET: usize = 1024;

enum Line {
    Whole(Zeroizing<Vec<u8>>),
    TooLong,
    Cancelled,
}

/// What a byte does to the line.
enum Key {
    Byte(u8),
    TakeBack,
    Clear,
    End,
    Cancel,
}

/// Byte for byte, around the buffer of the standard library, which would keep
/// a copy.
fn read(meaning: impl Fn(u8) -> Key) -> io::Result<Line> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut byte = Zeroizing::new([0]);
    loop {
        match rustix::io::read(io::stdin(), &mut *byte) {
            Ok(0) => return Ok(Line::Whole(line)),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        match meaning(byte[0]) {
            Key::Byte(_) if line.len() == MAX_SECRET => return Ok(Line::TooLong),
            Key::Byte(byte) => line.push(byte),
            Key::TakeBack => take_back(&mut line),
            Key::Clear => line.zeroize(),
            Key::End => return Ok(Line::Whole(line)),
            Key::Cancel => return Ok(Line::Cancelled),
        }
    }
}

/// A character of UTF-8 is gone as a whole.
fn take_back(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

fn text(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, CliError> {
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(e) => {
            e.into_bytes().zeroize();
            Err(CliError::usage("what was given is not UTF-8"))
        }
    }
}

/// The terminal shows nothing of what is typed while this lives.
struct Hidden(Termios);

impl Hidden {
    fn start() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        // Ctrl-C comes as a byte like any other: who is ended by a signal
        // leaves a terminal that shows nothing any more.
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }

    /// As this terminal has its keys.
    fn meaning(&self, byte: u8) -> Key {
        let is = |index| byte != 0 && self.0.special_codes[index] == byte;
        match byte {
            b'\n' | b'\r' => Key::End,
            _ if is(SpecialCodeIndex::VEOF) => Key::End,
            _ if is(SpecialCodeIndex::VINTR) || is(SpecialCodeIndex::VQUIT) => Key::Cancel,
            _ if is(SpecialCodeIndex::VERASE) => Key::TakeBack,
            _ if is(SpecialCodeIndex::VKILL) => Key::Clear,
            other => Key::Byte(other),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody to tell; the next prompt would look odd.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
