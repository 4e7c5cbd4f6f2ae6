//! The content: pieces of 64 KiB, each sealed on its own and numbered, the
//! last one marked, so that nothing is cut off, moved or repeated unnoticed.

use std::io::{self, BufRead, BufReader, Read, Write};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::header::{self, FileKey};
use super::keys::{Identity, Recipient};
use super::{AgeError, derived};
use crate::entropy::Entropy;

const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

struct Pieces {
    key: LessSafeKey,
    number: u128,
}

impl Pieces {
    fn new(key: &FileKey, nonce: &[u8; 16]) -> Result<Self, AgeError> {
        let key = derived(&**key, nonce, b"payload");
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| AgeError::Content)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            number: 0,
        })
    }

    /// Eleven bytes of a counter, and one that says whether it is the last.
    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..11].copy_from_slice(&self.number.to_be_bytes()[5..]);
        nonce[11] = u8::from(last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What is written to it comes out encrypted. Without `finish` the file has no
/// end, and no reader takes it for whole.
pub struct Encryptor<W: Write> {
    to: W,
    pieces: Pieces,
    waiting: Zeroizing<Vec<u8>>,
}

impl<W: Write> Encryptor<W> {
    pub fn new(mut to: W, recipients: &[Recipient], entropy: &dyn Entropy) -> Result<Self, AgeError> {
        let random = |bytes: &mut [u8]| entropy.fill(bytes).map_err(io::Error::other);
        let mut key = Zeroizing::new([0; 16]);
        random(&mut *key)?;
        let mut shares = Vec::with_capacity(recipients.len());
        for _ in recipients {
            let mut secret = Zeroizing::new([0; 32]);
            random(&mut *secret)?;
            shares.push(Identity::new(*secret));
        }
        let mut nonce = [0; 16];
        random(&mut nonce)?;
        to.write_all(&header::write(&key, recipients, &shares)?)?;
        to.write_all(&nonce)?;
        Ok(Self {
            to,
            pieces: Pieces::new(&key, &nonce)?,
            waiting: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
        })
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.pieces.nonce(last);
        self.pieces
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.waiting)
            .map_err(|_| io::Error::other("encryption failed"))?;
        let written = self.to.write_all(&self.waiting);
        self.waiting.clear();
        written
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits until it is known not to be the last.
        if self.waiting.len() == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is read from it was encrypted to the identity, and is what was
/// written, up to its end.
pub struct Decryptor<R: Read> {
    from: BufReader<R>,
    pieces: Pieces,
    piece: Zeroizing<Vec<u8>>,
    read: usize,
    ended: bool,
}

impl<R: Read> Decryptor<R> {
    pub fn new(from: R, identities: &[Identity]) -> Result<Self, AgeError> {
        let mut from = BufReader::with_capacity(CHUNK + TAG, from);
        let key = header::read(&mut from, identities)?;
        let mut nonce = [0; 16];
        from.read_exact(&mut nonce).map_err(|_| AgeError::Content)?;
        Ok(Self {
            from,
            pieces: Pieces::new(&key, &nonce)?,
            piece: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            read: 0,
            ended: false,
        })
    }

    fn open_next(&mut self) -> Result<(), AgeError> {
        let first = self.pieces.number == 0;
        self.piece.clear();
        self.read = 0;
        let limit = (CHUNK + TAG) as u64;
        Read::by_ref(&mut self.from)
            .take(limit)
            .read_to_end(&mut self.piece)?;
        let last = self.from.fill_buf()?.is_empty();
        // Nothing at all is a last piece only where it is the first as well.
        if self.piece.len() < TAG || (self.piece.len() == TAG && !first) {
            return Err(AgeError::Content);
        }
        let nonce = self.pieces.nonce(last);
        let opened = self
            .pieces
            .key
            .open_in_place(nonce, Aad::empty(), &mut self.piece);
        let length = opened.map_err(|_| AgeError::Content)?.len();
        self.piece.truncate(length);
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            if let Err(e) = self.open_next() {
                self.piece.clear();
                return Err(match e {
                    AgeError::Io(e) => e,
                    other => io::Error::new(io::ErrorKind::InvalidData, other),
                });
            }
        }
        let taken = into.len().min(self.piece.len() - self.read);
        into[..taken].copy_from_slice(&self.piece[self.read..self.read + taken]);
        self.read += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn identity(n: u8) -> Identity {
        Identity::new([n; 32])
    }

    fn sealed(content: &[u8], to: &[u8]) -> Vec<u8> {
        let to: Vec<_> = to
            .iter()
            .map(|n| identity(*n).recipient().expect("a recipient"))
            .collect();
        let mut writer = Encryptor::new(Vec::new(), &to, &SystemEntropy).expect("a header");
        for part in content.chunks(1000) {
            writer.write_all(part).expect("written");
        }
        writer.finish().expect("an end")
    }

    fn opened(file: &[u8], by: u8) -> Result<Vec<u8>, String> {
        let mut reader = Decryptor::new(file, &[identity(by)]).map_err(|e| e.to_string())?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(|e| e.to_string())?;
        Ok(content)
    }

    #[test]
    fn every_recipient_reads_what_was_written_and_nobody_else() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let file = sealed(&content, &[1, 2]);
            assert_eq!(opened(&file, 1), Ok(content.clone()), "{length}");
            assert_eq!(opened(&file, 2), Ok(content), "{length}");
            assert_eq!(opened(&file, 3), Err(AgeError::NotForUs.to_string()), "{length}");
        }
    }

    #[test]
    fn no_byte_can_be_changed_and_no_end_be_left_out() {
        let content = vec![7; CHUNK + 100];
        let file = sealed(&content, &[1]);
        for at in (0..file.len()).step_by(97).chain([file.len() - 1]) {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(opened(&changed, 1).is_err(), "byte {at} was changed");
        }
        let body = file.len() - (CHUNK + TAG) - (100 + TAG);
        for length in [0, 10, body, body + CHUNK + TAG, file.len() - 1] {
            assert!(opened(&file[..length], 1).is_err(), "cut off at {length}");
        }
        let longer = [&file[..], &[0]].concat();
        assert!(opened(&longer, 1).is_err());
        let unfinished = {
            let to = [identity(1).recipient().expect("a recipient")];
            let mut writer = Encryptor::new(Vec::new(), &to, &SystemEntropy).expect("a header");
            writer.write_all(&content).expect("written");
            writer.to.clone()
        };
        assert!(opened(&unfinished, 1).is_err());
    }

    #[test]
    fn keys_are_read_as_the_tool_writes_them() {
        let identity = identity(9);
        let text = identity.to_text();
        let file = format!("# created: today\n# public key: x\n{}\n", text.as_str());
        let read = super::super::read_identities(&file).expect("an identity");
        let recipient = identity.recipient().expect("a recipient");
        assert_eq!(read[0].recipient().as_ref(), Some(&recipient));
        assert_eq!(
            recipient.to_string().parse::<Recipient>().expect("itself"),
            recipient
        );
        assert_eq!(format!("{identity:?}"), "Identity(...)");
        for wrong in [
            "",
            "# nothing",
            &text.to_lowercase(),
            "AGE-SECRET-KEY-1AAAA",
            "AGE-PLUGIN-X-1QQ",
        ] {
            assert!(super::super::read_identities(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "age1",
            "age1qqqq",
            &recipient.to_string().to_uppercase(),
            "ssh-ed25519 AAAA",
        ] {
            assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        }
    }
}
