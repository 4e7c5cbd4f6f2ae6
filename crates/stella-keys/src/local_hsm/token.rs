//! What a local HSM is: its name and serial number, and its storage key, which
//! the PIN opens, and the recovery code.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::error::LocalError;
use super::folder::Folder;
use crate::entropy::Entropy;
use crate::hsm::{ModuleName, Pin};
use crate::software::{PassphraseParams, SealedBytes, Sealer, SealingKey};

/// How hard a PIN is to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinPolicy {
    /// What one guess costs whoever has the files.
    pub cost: PassphraseParams,
    /// Wrong PINs in a row that lock it.
    pub attempts: u64,
}

impl Default for PinPolicy {
    fn default() -> Self {
        Self {
            cost: PassphraseParams::default(),
            attempts: 10,
        }
    }
}

/// Sets a new PIN when the old one is locked or lost. Shown once.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn random(entropy: &mut dyn Entropy) -> Result<Self, LocalError> {
        let mut bytes = Zeroizing::new([0; 16]);
        entropy.fill(&mut *bytes)?;
        let mut text = Zeroizing::new(String::with_capacity(40));
        for (i, byte) in bytes.iter().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
            }
        }
        Ok(Self(text))
    }
}

/// The file `token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Token {
    version: u32,
    pub name: ModuleName,
    /// Random: tells it from another of the same name.
    pub serial: String,
    /// Argon2id.
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    pub attempts: u64,
    pin: Wrapped,
    recovery: Wrapped,
}

/// The storage key, as one secret opens it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    salt: String,
    key: SealedBytes,
}

#[derive(Debug, Clone, Copy)]
enum Opener {
    Pin,
    Recovery,
}

impl Token {
    pub fn new(
        name: &ModuleName,
        pin: &Pin,
        policy: PinPolicy,
        storage_key: &[u8; 32],
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, RecoveryCode), LocalError> {
        let mut serial = [0; 8];
        entropy.fill(&mut serial)?;
        let recovery = RecoveryCode::random(entropy)?;
        let empty = || {
            let sealer = sealer(&SealingKey::from_bytes([0; 32]))?;
            let key = sealer.seal(&[], &[], &mut |out: &mut [u8]| out.fill(0));
            Ok::<_, LocalError>(Wrapped {
                salt: String::new(),
                key: key.map_err(|e| LocalError::Internal(e.to_string()))?,
            })
        };
        let mut token = Self {
            version: VERSION,
            name: name.clone(),
            serial: format!("{:016x}", u64::from_be_bytes(serial)),
            memory_kib: policy.cost.memory_kib,
            passes: policy.cost.passes,
            lanes: policy.cost.lanes,
            attempts: policy.attempts.max(1),
            pin: empty()?,
            recovery: empty()?,
        };
        token.set_pin(pin, storage_key, entropy)?;
        token.recovery = token.wrap(Opener::Recovery, recovery.0.as_bytes(), storage_key, entropy)?;
        Ok((token, recovery))
    }

    pub fn read(folder: &Folder) -> Result<Self, LocalError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let path = folder.file(FILE);
        let damaged = |e: serde_json::Error| LocalError::damaged(&path, e.to_string());
        let bytes = folder.read(FILE, MAX_LEN)?;
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != u64::from(VERSION) {
            return Err(LocalError::UnsupportedVersion {
                path,
                version,
                ours: VERSION,
            });
        }
        let token: Self = serde_json::from_slice(&bytes).map_err(damaged)?;
        // A changed file must not make guesses cheap, nor every start endless.
        let bounded =
            token.memory_kib <= MAX_MEMORY_KIB && token.passes <= MAX_PASSES && token.lanes <= MAX_LANES;
        if !bounded || token.attempts == 0 {
            return Err(LocalError::damaged(&path, "its cost is beyond all bounds"));
        }
        Ok(token)
    }

    pub fn create(&self, folder: &Folder, entropy: &mut dyn Entropy) -> Result<(), LocalError> {
        folder.create_file(FILE, &self.bytes()?, entropy).map(drop)
    }

    pub fn replace(&self, folder: &Folder, entropy: &mut dyn Entropy) -> Result<(), LocalError> {
        folder.replace_file(FILE, &self.bytes()?, entropy)
    }

    fn bytes(&self) -> Result<Vec<u8>, LocalError> {
        serde_json::to_vec_pretty(self).map_err(|e| LocalError::Internal(e.to_string()))
    }

    pub fn set_pin(
        &mut self,
        pin: &Pin,
        storage_key: &[u8; 32],
        entropy: &mut dyn Entropy,
    ) -> Result<(), LocalError> {
        if !(MIN_PIN..=MAX_PIN).contains(&pin.expose().len()) {
            return Err(LocalError::PinLength {
                least: MIN_PIN,
                most: MAX_PIN,
            });
        }
        self.pin = self.wrap(Opener::Pin, pin.expose(), storage_key, entropy)?;
        Ok(())
    }

    /// `None` when it is not the PIN, or the file was changed: which of them
    /// cannot be known.
    pub fn open_with_pin(&self, pin: &Pin) -> Result<Option<Zeroizing<[u8; 32]>>, LocalError> {
        self.unwrap(Opener::Pin, pin.expose(), &self.pin)
    }

    pub fn open_with_recovery(&self, code: &str) -> Result<Option<Zeroizing<[u8; 32]>>, LocalError> {
        let code = code.trim().to_ascii_lowercase();
        self.unwrap(Opener::Recovery, code.as_bytes(), &self.recovery)
    }

    fn wrap(
        &self,
        opener: Opener,
        secret: &[u8],
        storage_key: &[u8; 32],
        entropy: &mut dyn Entropy,
    ) -> Result<Wrapped, LocalError> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt)?;
        let sealer = sealer(&self.derive(secret, &salt)?)?;
        let key = sealer
            .seal(storage_key, &self.associated_data(opener), entropy)
            .map_err(|e| LocalError::Internal(e.to_string()))?;
        let salt = format!("{:032x}", u128::from_be_bytes(salt));
        Ok(Wrapped { salt, key })
    }

    fn unwrap(
        &self,
        opener: Opener,
        secret: &[u8],
        wrapped: &Wrapped,
    ) -> Result<Option<Zeroizing<[u8; 32]>>, LocalError> {
        let Ok(salt) = u128::from_str_radix(&wrapped.salt, 16) else {
            return Ok(None);
        };
        if secret.is_empty() {
            return Ok(None);
        }
        let sealer = sealer(&self.derive(secret, &salt.to_be_bytes())?)?;
        let Ok(opened) = sealer.open(&wrapped.key, &self.associated_data(opener)) else {
            return Ok(None);
        };
        let mut key = Zeroizing::new([0; 32]);
        if opened.len() != key.len() {
            return Ok(None);
        }
        key.copy_from_slice(&opened);
        Ok(Some(key))
    }

    fn derive(&self, secret: &[u8], salt: &[u8; 16]) -> Result<SealingKey, LocalError> {
        let cost = PassphraseParams {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
        };
        SealingKey::from_passphrase(secret, salt, cost).map_err(|e| LocalError::Internal(e.to_string()))
    }

    /// All of the file but what it wraps. None of these has a zero byte.
    fn associated_data(&self, opener: Opener) -> Vec<u8> {
        let Self {
            version,
            name,
            serial,
            memory_kib,
            passes,
            lanes,
            attempts,
            ..
        } = self;
        format!("stella local hsm\0{version}\0{name}\0{serial}\0{memory_kib}\0{passes}\0{lanes}\0{attempts}\0{opener:?}")
            .into_bytes()
    }
}

pub(super) fn sealer(key: &SealingKey) -> Result<Sealer, LocalError> {
    Sealer::new(key).map_err(|e| LocalError::Internal(e.to_string()))
}

/// A key that comes from the storage key and serves one purpose.
pub(super) fn derived(storage_key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, storage_key);
    let tag = aws_lc_rs::hmac::sign(&key, purpose.as_bytes());
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(tag.as_ref());
    out
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

pub(super) const FILE: &str = "token";
const VERSION: u32 = 1;
/// A short PIN is guessed by whoever has the files, however slow each guess.
const MIN_PIN: usize = 8;
const MAX_PIN: usize = 255;
const MAX_LEN: usize = 16 << 10;
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;
