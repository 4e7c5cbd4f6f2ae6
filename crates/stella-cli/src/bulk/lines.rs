//! Lines, a block of them at a time: what is held is bounded, however long
//! the input or one of its lines.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};

/// About so much is read before it is handed on.
const BLOCK: usize = 128 * 1024;

pub struct Lines<R> {
    input: R,
    /// Begins where a line does.
    rest: Vec<u8>,
    /// Of the input, where `rest` begins.
    offset: u64,
    /// Before `rest`.
    lines: u64,
    max_line: usize,
}

/// Whole lines.
pub struct Block {
    bytes: Vec<u8>,
    lines_before: u64,
    offset: u64,
    /// Where the next block begins.
    pub end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The first is 1.
    pub number: u64,
    /// Where the next line begins.
    pub end: u64,
    /// Without the line's end. Of a line that is too long no more than shows
    /// that it is.
    pub bytes: &'a [u8],
}

impl<R: Read> Lines<R> {
    /// `lines` and `offset`: of the input, what lies before.
    pub fn new(input: R, max_line: usize, lines: u64, offset: u64) -> Self {
        Self {
            input,
            rest: Vec::new(),
            offset,
            lines,
            max_line,
        }
    }

    /// `spare`: memory to read into, of a block that is done with.
    pub fn next_block(&mut self, spare: Vec<u8>) -> io::Result<Option<Block>> {
        let mut bytes = spare;
        bytes.clear();
        bytes.append(&mut self.rest);
        let mut searched = 0;
        loop {
            let new = bytes.get(searched..).unwrap_or_default();
            if let Some(at) = memrchr(b'\n', new) {
                let end = searched + at + 1;
                self.rest.extend_from_slice(bytes.get(end..).unwrap_or_default());
                bytes.truncate(end);
                return Ok(Some(self.block(bytes, None)));
            }
            if bytes.len() > self.max_line {
                let length = bytes.len() as u64 + self.skip_line()?;
                bytes.truncate(self.max_line + 1);
                return Ok(Some(self.block(bytes, Some(length))));
            }
            searched = bytes.len();
            fill(&mut self.input, &mut bytes)?;
            if bytes.len() == searched {
                return Ok((!bytes.is_empty()).then(|| self.block(bytes, None)));
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>, length: Option<u64>) -> Block {
        let length = length.unwrap_or(bytes.len() as u64);
        let lines = memchr_iter(b'\n', &bytes).count() as u64;
        let ends_within = bytes.last() != Some(&b'\n');
        let block = Block {
            bytes,
            lines_before: self.lines,
            offset: self.offset,
            end: self.offset + length,
        };
        self.offset = block.end;
        self.lines += lines + u64::from(ends_within);
        block
    }

    /// To the end of a line of which nothing more is wanted; how much it was.
    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        let mut piece = Vec::with_capacity(BLOCK);
        loop {
            piece.clear();
            fill(&mut self.input, &mut piece)?;
            if piece.is_empty() {
                return Ok(skipped);
            }
            match memchr(b'\n', &piece) {
                Some(at) => {
                    self.rest = piece.split_off(at + 1);
                    return Ok(skipped + at as u64 + 1);
                }
                None => skipped += piece.len() as u64,
            }
        }
    }
}

/// Appends a block, or less at the input's end. `read_to_end` would ask for
/// it in small pieces first.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut filled = bytes.len();
    bytes.resize(filled + BLOCK, 0);
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

impl Block {
    /// For the next one.
    pub fn into_spare(self) -> Vec<u8> {
        self.bytes
    }

    /// Blank ones are counted and left out.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut number = self.lines_before;
        let mut begin = 0;
        // The last line may have no end.
        let open = (self.bytes.last() != Some(&b'\n')).then_some(self.bytes.len());
        memchr_iter(b'\n', &self.bytes)
            .chain(open)
            .filter_map(move |end| {
                let line = self.bytes.get(begin..end).unwrap_or_default();
                number += 1;
                begin = end.saturating_add(1);
                let bytes = line.trim_ascii();
                (!bytes.is_empty()).then_some(Line {
                    number,
                    // Of a line that was cut only the block knows where it ends.
                    end: match begin > self.bytes.len() {
                        true => self.end,
                        false => self.offset + begin as u64,
                    },
                    bytes,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives no more than a few bytes at once.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len()).min(self.0.len());
            let (now, later) = self.0.split_at(n);
            into[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn read(text: &[u8], max: usize, lines: u64, offset: u64) -> Vec<(u64, u64, Vec<u8>)> {
        let mut reader = Lines::new(Slow(text, 7), max, lines, offset);
        let mut out = Vec::new();
        while let Some(block) = reader.next_block(Vec::new()).expect("read") {
            out.extend(block.lines().map(|l| (l.number, l.end, l.bytes.to_vec())));
        }
        out
    }

    #[test]
    fn lines_are_numbered_and_say_where_they_end() {
        let own = |n, end, text: &str| (n, end, text.as_bytes().to_vec());
        assert_eq!(
            read(b"one\r\n\n  two\nthree", 100, 0, 0),
            [own(1, 5, "one"), own(3, 12, "two"), own(4, 17, "three")]
        );
        assert_eq!(read(b"", 100, 0, 0), []);
        assert_eq!(read(b"\n\n", 100, 0, 0), []);
    }

    #[test]
    fn reading_goes_on_where_it_ended_whatever_the_blocks() {
        let text: Vec<u8> = (0..40_000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        let all = read(&text, 100, 0, 0);
        assert_eq!(all.len(), 40_000);
        assert!(text.len() > 2 * BLOCK, "of several blocks");
        for at in [0, 1, 9_999, 39_999] {
            let (number, end, _) = all[at].clone();
            let rest = &text[usize::try_from(end).expect("fits")..];
            assert_eq!(read(rest, 100, number, end), all[at + 1..]);
        }
    }

    #[test]
    fn a_read_that_was_interrupted_is_asked_again_and_one_that_failed_is_told() {
        struct Failing(Vec<io::ErrorKind>);
        impl Read for Failing {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                match self.0.pop() {
                    Some(kind) => Err(kind.into()),
                    None => Slow(b"one\n", 4).read(into),
                }
            }
        }
        let lines = |kinds: &[io::ErrorKind]| {
            let input = Failing(kinds.to_vec()).take(4);
            let block = Lines::new(input, 100, 0, 0).next_block(vec![b'x'; 9]);
            block.map(|block| block.map(|b| b.lines().map(|l| l.bytes.to_vec()).collect::<Vec<_>>()))
        };
        let one = lines(&[io::ErrorKind::Interrupted; 2]).expect("read");
        assert_eq!(one, Some(vec![b"one".to_vec()]));
        let broken = lines(&[io::ErrorKind::BrokenPipe]).expect_err("broken");
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_line_of_any_length_is_cut_to_what_shows_that_it_is_too_long() {
        let long = "x".repeat(3 * BLOCK);
        let text = format!("a\n{long}\nb\n{long}");
        let found = read(text.as_bytes(), BLOCK, 0, 0);
        let shape: Vec<_> = found.iter().map(|(n, end, l)| (*n, *end, l.len())).collect();
        let long = long.len() as u64;
        assert_eq!(
            shape,
            [
                (1, 2, 1),
                (2, long + 3, BLOCK + 1),
                (3, long + 5, 1),
                (4, 2 * long + 5, BLOCK + 1)
            ]
        );
    }
}
