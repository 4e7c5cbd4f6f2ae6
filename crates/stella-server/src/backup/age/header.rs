//! The header: for each recipient the file key, wrapped, and a MAC over all.

use std::io::{BufRead, Read as _};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use zeroize::Zeroizing;

use super::keys::{Identity, Recipient};
use super::{AgeError, derived};

/// What a file's content is encrypted with.
pub(super) type FileKey = Zeroizing<[u8; 16]>;

const VERSION: &str = "age-encryption.org/v1";
const X25519: &str = "X25519";
const WRAP_INFO: &[u8] = b"age-encryption.org/v1/X25519";
/// The last line of a body is shorter than this.
const COLUMNS: usize = 64;
/// More than a thousand recipients.
const MAX_HEADER: u64 = 256 << 10;

/// `shares` are secrets of one use, one for each recipient.
pub(super) fn write(
    key: &FileKey,
    recipients: &[Recipient],
    shares: &[Identity],
) -> Result<Vec<u8>, AgeError> {
    let mut text = format!("{VERSION}\n");
    for (recipient, share) in recipients.iter().zip(shares) {
        let refuse = || AgeError::Recipient(recipient.to_string());
        let public = share.recipient().ok_or_else(refuse)?.0;
        let secret = share.agree(&recipient.0).ok_or_else(refuse)?;
        let body = wrapped(&secret, &public, &recipient.0, key).ok_or_else(refuse)?;
        // 32 bytes are 43 characters: one line, and a short one.
        text.push_str(&format!(
            "-> {X25519} {}\n{}\n",
            BASE64.encode(public),
            BASE64.encode(body)
        ));
    }
    text.push_str("---");
    let mac = hmac::sign(&mac_key(key), text.as_bytes());
    text.push_str(&format!(" {}\n", BASE64.encode(mac.as_ref())));
    Ok(text.into_bytes())
}

/// Reads the header to its end, and unwraps the file key with whichever
/// identity fits.
pub(super) fn read(from: &mut impl BufRead, identities: &[Identity]) -> Result<FileKey, AgeError> {
    let mut from = from.take(MAX_HEADER);
    let mut seen = Vec::new();
    if line(&mut from, &mut seen).map_err(|_| AgeError::NotAge)? != VERSION {
        return Err(AgeError::NotAge);
    }
    let mut key = None;
    loop {
        let begun = seen.len();
        let head = line(&mut from, &mut seen)?;
        if let Some(mac) = head.strip_prefix("--- ") {
            let mac = BASE64.decode(mac).map_err(|_| AgeError::Header)?;
            let key = key.ok_or(AgeError::NotForUs)?;
            hmac::verify(&mac_key(&key), &seen[..begun + "---".len()], &mac).map_err(|_| AgeError::Header)?;
            return Ok(key);
        }
        let stanza = head.strip_prefix("-> ").ok_or(AgeError::Header)?;
        let body = body(&mut from, &mut seen)?;
        let mut words = stanza.split(' ');
        if let (Some(X25519), Some(share), None) = (words.next(), words.next(), words.next()) {
            let share = BASE64.decode(share).ok().and_then(|share| share.try_into().ok());
            let share: [u8; 32] = share.ok_or(AgeError::Header)?;
            let body: [u8; 32] = body.try_into().map_err(|_| AgeError::Header)?;
            let found = identities
                .iter()
                .find_map(|identity| unwrapped(identity, &share, body));
            key = key.or(found);
        }
    }
}

fn line(from: &mut impl BufRead, seen: &mut Vec<u8>) -> Result<String, AgeError> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    seen.extend_from_slice(&bytes);
    if bytes.pop() != Some(b'\n') {
        return Err(AgeError::Header);
    }
    String::from_utf8(bytes).map_err(|_| AgeError::Header)
}

/// Full lines, and a last one that is shorter, if need be empty.
fn body(from: &mut impl BufRead, seen: &mut Vec<u8>) -> Result<Vec<u8>, AgeError> {
    let mut text = String::new();
    loop {
        let part = line(from, seen)?;
        if part.len() > COLUMNS {
            return Err(AgeError::Header);
        }
        text.push_str(&part);
        if part.len() < COLUMNS {
            return BASE64.decode(text).map_err(|_| AgeError::Header);
        }
    }
}

fn mac_key(key: &FileKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derived(&**key, &[], b"header"))
}

fn wrapping_key(secret: &[u8; 32], share: &[u8; 32], recipient: &[u8; 32]) -> Option<LessSafeKey> {
    let key = derived(secret, &[*share, *recipient].concat(), WRAP_INFO);
    UnboundKey::new(&CHACHA20_POLY1305, &*key)
        .ok()
        .map(LessSafeKey::new)
}

/// The nonce is zero: the key is of one use.
fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn wrapped(secret: &[u8; 32], share: &[u8; 32], recipient: &[u8; 32], key: &FileKey) -> Option<Vec<u8>> {
    let mut body = key.to_vec();
    wrapping_key(secret, share, recipient)?
        .seal_in_place_append_tag(no_nonce(), Aad::empty(), &mut body)
        .ok()?;
    Some(body)
}

fn unwrapped(identity: &Identity, share: &[u8; 32], body: [u8; 32]) -> Option<FileKey> {
    let secret = identity.agree(share)?;
    let recipient = identity.recipient()?.0;
    let mut body = Zeroizing::new(body);
    let opened = wrapping_key(&secret, share, &recipient)?
        .open_in_place(no_nonce(), Aad::empty(), &mut body[..])
        .ok()?;
    let key = <[u8; 16]>::try_from(&*opened).ok()?;
    Some(Zeroizing::new(key))
}
