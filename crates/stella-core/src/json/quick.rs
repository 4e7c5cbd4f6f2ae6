//! JSON in its plain form, read at the speed of the wire. What is not plain
//! (an escape in what is kept, an exponent, any fault) is left to the other
//! reader: this one takes nothing that [`check`](super::check) refuses, and
//! never has to say why.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::members::{List, Members, Value};
use super::{JsonLimits, LINEAR_KEYS, MAX_DEPTH, object};

/// The other reader must look.
#[derive(Debug)]
pub(super) struct Unsure;

type Sure<T> = Result<T, Unsure>;

/// One object and nothing beside it.
pub(super) fn read<'de, T: Members<'de>>(text: &'de str, limits: &JsonLimits, into: &mut T) -> Sure<()> {
    let mut scanner = Scanner {
        text,
        at: 0,
        open: Vec::with_capacity(2 * LINEAR_KEYS),
    };
    scanner.space();
    scanner.object_into(limits.max_depth.min(MAX_DEPTH), into)?;
    scanner.space();
    (scanner.at == text.len()).then_some(()).ok_or(Unsure)
}

struct Scanner<'de> {
    text: &'de str,
    at: usize,
    /// The keys of each open object behind those of the one around it.
    open: Vec<Key<'de>>,
}

/// With its first bytes, which tell most keys apart.
#[derive(Clone, Copy)]
struct Key<'de> {
    begin: u64,
    text: &'de str,
}

impl<'de> Key<'de> {
    /// `at`: where it stands in the document, of which more may follow.
    fn of(text: &'de str, document: &[u8], at: usize) -> Self {
        let word = document.get(at..).and_then(<[u8]>::first_chunk);
        let word = word.copied().unwrap_or_else(|| {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            word
        });
        let word = u64::from_le_bytes(word);
        // What follows the key goes out at the top.
        let begin = match text.len() {
            0 => 0,
            few @ 1..8 => word << (64 - 8 * few),
            _ => word,
        };
        Self { begin, text }
    }

    fn is(&self, other: &Self) -> bool {
        self.begin == other.begin && self.text == other.text
    }
}

impl<'de> Scanner<'de> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Sure<()> {
        if self.peek() != Some(byte) {
            return Err(Unsure);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// A comma, and another item follows; or the end.
    fn goes_on(&mut self, end: u8) -> Sure<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Unsure),
        }
    }

    /// One without escapes.
    fn text(&mut self) -> Sure<&'de str> {
        self.take(b'"')?;
        let begin = self.at;
        self.at = plain(self.text.as_bytes(), begin);
        let text = self.text.get(begin..self.at).ok_or(Unsure)?;
        self.take(b'"')?;
        Ok(text)
    }

    /// Behind its first quote.
    fn skip_text(&mut self) -> Sure<()> {
        loop {
            self.at = plain(self.text.as_bytes(), self.at);
            match self.text.as_bytes().get(self.at..).unwrap_or_default() {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', code @ ..] => {
                    // Half a surrogate pair is for the other reader to judge.
                    let (Some(code), false) =
                        (code.get(..4), code.first().is_some_and(|d| b"dD".contains(d)))
                    else {
                        return Err(Unsure);
                    };
                    if !code.iter().all(u8::is_ascii_hexdigit) {
                        return Err(Unsure);
                    }
                    self.at += 6;
                }
                _ => return Err(Unsure),
            }
        }
    }

    fn members(
        &mut self,
        left: usize,
        mut member: impl FnMut(&mut Self, usize, &'de str) -> Sure<()>,
    ) -> Sure<()> {
        self.take(b'{')?;
        let left = left.checked_sub(1).ok_or(Unsure)?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let first = self.open.len();
        let mut many = None;
        loop {
            let key = self.text()?;
            self.enter(first, &mut many, key)?;
            self.space();
            self.take(b':')?;
            self.space();
            member(self, left, key)?;
            if !self.goes_on(b'}')? {
                self.open.truncate(first);
                return Ok(());
            }
        }
    }

    /// `key` was just read.
    #[inline]
    fn enter(&mut self, first: usize, many: &mut Option<HashSet<&'de str>>, key: &'de str) -> Sure<()> {
        let few = self.open.get(first..).unwrap_or_default();
        let at = self.at.saturating_sub(key.len() + 1);
        let new = Key::of(key, self.text.as_bytes(), at);
        if few.iter().any(|known| known.is(&new)) {
            return Err(Unsure);
        }
        if few.len() < LINEAR_KEYS {
            self.open.push(new);
        } else if !many.get_or_insert_default().insert(key) {
            return Err(Unsure);
        }
        Ok(())
    }

    fn items(&mut self, left: usize, mut item: impl FnMut(&mut Self, usize) -> Sure<()>) -> Sure<()> {
        self.take(b'[')?;
        let left = left.checked_sub(1).ok_or(Unsure)?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self, left)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    fn object_into<T: Members<'de>>(&mut self, left: usize, into: &mut T) -> Sure<()> {
        self.members(left, |scanner, left, key| {
            match object::named::<serde_json::Error>(T::NAMES, key).map_err(|_| Unsure)? {
                Some(name) => into.member(name, Plain { scanner, left }),
                None => scanner.skip(left),
            }
        })
    }

    fn skip(&mut self, left: usize) -> Sure<()> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.skip_text()
            }
            Some(b'{') => self.members(left, |scanner, left, _| scanner.skip(left)),
            Some(b'[') => self.items(left, Self::skip),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Unsure),
        }
    }

    fn word(&mut self, word: &str) -> Sure<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Unsure);
        }
        self.at += word.len();
        Ok(())
    }

    /// Without an exponent, and short enough to be in every reader's range.
    fn number(&mut self) -> Sure<()> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.digits() {
            0 => return Err(Unsure),
            1 => {}
            n if self.text.as_bytes().get(self.at - n) == Some(&b'0') => return Err(Unsure),
            _ => {}
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Unsure);
            }
        }
        (self.at - begin <= 100).then_some(()).ok_or(Unsure)
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - begin
    }
}

/// The value of one member, not read yet.
struct Plain<'a, 'de> {
    scanner: &'a mut Scanner<'de>,
    left: usize,
}

impl<'de> Value<'de> for Plain<'_, 'de> {
    type Error = Unsure;

    fn text(self) -> Sure<Cow<'de, str>> {
        self.scanner.text().map(Cow::Borrowed)
    }

    fn text_or_null(self) -> Sure<Option<Cow<'de, str>>> {
        match self.scanner.peek() {
            Some(b'n') => self.scanner.word("null").map(|()| None),
            _ => self.text().map(Some),
        }
    }

    fn unchecked(self) -> Sure<&'de str> {
        let begin = self.scanner.at;
        self.scanner.skip(self.left)?;
        self.scanner.text.get(begin..self.scanner.at).ok_or(Unsure)
    }

    fn object<T: Members<'de>>(self, into: &mut T) -> Sure<()> {
        self.scanner.object_into(self.left, into)
    }

    fn texts(self) -> Sure<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        self.scanner.members(self.left, |scanner, _, key| {
            let text = scanner.text()?;
            texts.insert(key.to_owned(), text.to_owned());
            Ok(())
        })?;
        Ok(texts)
    }

    fn list<T: Members<'de> + Default>(self, into: &mut List<T>) -> Sure<()> {
        self.scanner.items(self.left, |scanner, left| {
            // What is too much is the other reader's to tell.
            if into.items.len() >= into.max {
                return Err(Unsure);
            }
            let mut item = T::default();
            scanner.object_into(left, &mut item)?;
            into.items.push(item);
            Ok(())
        })
    }

    fn skip(self) -> Sure<()> {
        self.scanner.skip(self.left)
    }
}

/// Where a text that is plain so far ends, or is plain no longer.
#[inline]
fn plain(bytes: &[u8], at: usize) -> usize {
    // Many texts are this short.
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(word) => match telling(u64::from_le_bytes(*word)) {
            0 => plain_beyond(bytes, at + 8),
            found => at + first_of(found),
        },
        None => plain_beyond(bytes, at),
    }
}

fn plain_beyond(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    // Most end here, and a few are nearly the whole document.
    let mut words = 4;
    while let Some((word, beyond)) = rest.split_first_chunk() {
        let found = telling(u64::from_le_bytes(*word));
        if found != 0 {
            return bytes.len() - rest.len() + first_of(found);
        }
        rest = beyond;
        words -= 1;
        if words == 0 {
            rest = without_plain_chunks(rest);
            words = usize::MAX;
        }
    }
    let found = rest.iter().position(|byte| is_telling(*byte));
    bytes.len() - rest.len() + found.unwrap_or(rest.len())
}

fn without_plain_chunks(mut bytes: &[u8]) -> &[u8] {
    while let Some((chunk, beyond)) = bytes.split_first_chunk::<64>() {
        // No way out of the middle: that makes it a few vector instructions.
        let any = chunk.iter().fold(false, |any, byte| any | is_telling(*byte));
        if any {
            break;
        }
        bytes = beyond;
    }
    bytes
}

fn first_of(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}

fn is_telling(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The same of eight bytes at once. The lowest bit that is set is right; a
/// borrow may have set others above it.
fn telling(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |x: u64, bound: u64| x.wrapping_sub(ONES * bound) & !x;
    // With this bit the other way the quote comes right after the controls,
    // and the blank and its neighbour behind it.
    let quote_or_control = below(word ^ (ONES * 2), 0x21);
    let escape = below(word ^ (ONES * b'\\' as u64), 1);
    (quote_or_control | escape) & HIGH
}

#[cfg(test)]
mod tests;
