//! The local HSM itself: the files, opened with the PIN. It lives in a worker
//! process and nowhere else.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::id::KeyId;
use zeroize::Zeroizing;

use super::error::LocalError;
use super::folder::{Folder, Lock};
use super::tally::Tally;
use super::token::{PinPolicy, RecoveryCode, Token, derived, sealer};
use crate::entropy::{Entropy, EntropyError};
use crate::hsm::{ModuleName, Pin};
use crate::software::{SealedKey, Sealer, SealingKey, SoftwareKey};
use crate::{GenerateError, Sign};

pub struct Vault {
    folder: Folder,
    token: Token,
    sealer: Sealer,
    keys: RwLock<HashMap<KeyId, Arc<SoftwareKey>>>,
    count: Mutex<Count>,
    signed: AtomicU64,
}

/// The numbers that this process may give to signatures: they are on disk as
/// given, so that no signature is ever made that is not counted there.
struct Count {
    tally: Tally,
    next: u64,
    end: u64,
}

/// What is known without the PIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    pub name: ModuleName,
    pub serial: String,
    /// Wrong PINs since the last right one.
    pub wrong: u64,
    /// As many lock it.
    pub limit: u64,
}

impl TokenState {
    pub fn is_locked(&self) -> bool {
        self.wrong >= self.limit
    }
}

/// Makes a new one, whole or not at all.
pub fn initialize(
    path: &Path,
    name: &ModuleName,
    pin: &Pin,
    policy: PinPolicy,
    entropy: &mut dyn Entropy,
) -> Result<RecoveryCode, LocalError> {
    let mut suffix = [0; 8];
    entropy.fill(&mut suffix)?;
    let mut storage_key = Zeroizing::new([0; 32]);
    entropy.fill(&mut *storage_key)?;
    let (token, recovery) = Token::new(name, pin, policy, &storage_key, entropy)?;
    let part = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(suffix)));
    let folder = Folder::create(&part)?;
    let filled = token
        .create(&folder, entropy)
        .and_then(|()| Tally::create(&folder, ATTEMPTS, &NO_KEY, entropy))
        .and_then(|()| Tally::create(&folder, COUNT, &derived(&storage_key, COUNT), entropy))
        .and_then(|()| folder.lock().map(drop))
        .and_then(|()| folder.publish(path));
    if filled.is_err() {
        let _ = std::fs::remove_dir_all(&part);
    }
    filled?;
    Ok(recovery)
}

/// What is known without the PIN.
pub fn state(path: &Path) -> Result<TokenState, LocalError> {
    let folder = Folder::open(path)?;
    let token = Token::read(&folder)?;
    let wrong = attempts(&folder)?.read()?;
    Ok(TokenState {
        name: token.name.clone(),
        serial: token.serial.clone(),
        wrong,
        limit: token.attempts,
    })
}

/// Sets a new PIN with the recovery code, and unlocks it.
pub fn recover(path: &Path, code: &str, new: &Pin, entropy: &mut dyn Entropy) -> Result<(), LocalError> {
    let folder = Folder::open(path)?;
    let lock = folder.lock()?;
    folder.sweep(&lock)?;
    let mut token = Token::read(&folder)?;
    let storage_key = token
        .open_with_recovery(code)?
        .ok_or(LocalError::RecoveryRefused)?;
    token.set_pin(new, &storage_key, entropy)?;
    token.replace(&folder, entropy)?;
    Tally::renew(&folder, ATTEMPTS, &NO_KEY, entropy)
}

impl Vault {
    /// Opens it. The attempt is on disk as a wrong one before the PIN is
    /// tried: whoever kills the process gains none.
    pub fn open(path: &Path, name: &ModuleName, pin: &Pin) -> Result<Self, LocalError> {
        let folder = Folder::open(path)?;
        let lock = folder.lock()?;
        folder.sweep(&lock)?;
        let token = Token::read(&folder)?;
        if token.name != *name {
            let why = format!("it is the local HSM \"{}\"", token.name);
            return Err(LocalError::damaged(path, why));
        }
        let storage_key = login(&folder, &lock, &token, pin)?;
        let tally = Tally::open(&folder, COUNT, &derived(&storage_key, COUNT), RESERVED)?;
        // Another process may be giving numbers of its own.
        let count = tally.read()?;
        drop(lock);
        Ok(Self {
            sealer: sealer(&SealingKey::from_bytes(*storage_key))?,
            folder,
            token,
            keys: RwLock::default(),
            count: Mutex::new(Count {
                tally,
                next: count,
                end: count,
            }),
            signed: AtomicU64::new(0),
        })
    }

    pub fn name(&self) -> &ModuleName {
        &self.token.name
    }

    pub fn serial(&self) -> &str {
        &self.token.serial
    }

    /// The folder, for messages.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whoever knows the PIN that is in use may set another.
    pub fn change_pin(&self, old: &Pin, new: &Pin, entropy: &mut dyn Entropy) -> Result<(), LocalError> {
        let lock = self.folder.lock()?;
        let mut token = Token::read(&self.folder)?;
        let storage_key = login(&self.folder, &lock, &token, old)?;
        token.set_pin(new, &storage_key, entropy)?;
        token.replace(&self.folder, entropy)
    }

    /// Makes a key. Durable when it returns; a key of that name is never
    /// replaced.
    pub fn generate(
        &self,
        label: &KeyId,
        algorithm: Algorithm,
        entropy: &mut dyn Entropy,
    ) -> Result<PublicKey, LocalError> {
        let name = file_name(label);
        if self.folder.has(&name) {
            return Err(LocalError::KeyExists(label.clone()));
        }
        let key = SoftwareKey::generate(algorithm, entropy).map_err(|e| match e {
            GenerateError::UnsupportedAlgorithm(algorithm) => LocalError::UnsupportedAlgorithm(algorithm),
            GenerateError::Unavailable(why) => LocalError::Entropy(EntropyError(why)),
            other => LocalError::Internal(other.to_string()),
        })?;
        let sealed = key
            .seal(&self.sealer, label, entropy)
            .and_then(|sealed| sealed.to_bytes())
            .map_err(|e| LocalError::Internal(e.to_string()))?;
        let _lock = self.folder.lock()?;
        if !self.folder.create_file(&name, &sealed, entropy)? {
            return Err(LocalError::KeyExists(label.clone()));
        }
        Ok(key.public_key().clone())
    }

    pub fn key(&self, label: &KeyId) -> Result<Arc<SoftwareKey>, LocalError> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(label) {
            return Ok(Arc::clone(key));
        }
        drop(known);
        let name = file_name(label);
        if !self.folder.has(&name) {
            return Err(LocalError::KeyMissing(label.clone()));
        }
        let path = self.folder.file(&name);
        let damaged = |e: crate::software::OpenError| LocalError::damaged(&path, e.to_string());
        let sealed = SealedKey::from_bytes(&self.folder.read(&name, MAX_KEY)?).map_err(damaged)?;
        let key = SoftwareKey::open(&sealed, &self.sealer, label, sealed.algorithm()).map_err(damaged)?;
        let key = Arc::new(key);
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(label.clone(), Arc::clone(&key));
        Ok(key)
    }

    /// Every key that it has.
    pub fn labels(&self) -> Result<Vec<KeyId>, LocalError> {
        let names = self.folder.names()?;
        let labels = names
            .iter()
            .filter_map(|name| name.strip_prefix(KEY_PREFIX)?.parse().ok());
        Ok(labels.collect())
    }

    /// Counts, then signs.
    pub fn sign(&self, label: &KeyId, message: &[u8]) -> Result<Vec<u8>, LocalError> {
        let key = self.key(label)?;
        self.count_one()?;
        self.signed.fetch_add(1, Ordering::Relaxed);
        key.sign(message).map_err(|e| LocalError::Internal(e.to_string()))
    }

    /// How many signatures were made with it, ever, by any process: exact
    /// when all of them ended in order, and never too few.
    pub fn signatures(&self) -> Result<u64, LocalError> {
        let count = self.count();
        let _lock = self.folder.lock()?;
        let unused = count.end - count.next;
        Ok(count.tally.read()?.saturating_sub(unused))
    }

    /// Of this process.
    pub fn signed_here(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// Gives back the numbers that were not used, so that the count is exact.
    pub fn close(&self) -> Result<(), LocalError> {
        let mut count = self.count();
        let lock = self.folder.lock()?;
        if count.end > count.next && count.tally.read()? == count.end {
            count.tally.write(&self.folder, count.next)?;
        }
        count.end = count.next;
        drop(lock);
        Ok(())
    }

    fn count_one(&self) -> Result<(), LocalError> {
        let mut count = self.count();
        if count.next == count.end {
            let _lock = self.folder.lock()?;
            let from = count.tally.read()?;
            let to = from
                .checked_add(RESERVED)
                .ok_or_else(|| LocalError::damaged(count.tally.path(), "it has counted as far as it can"))?;
            count.tally.write(&self.folder, to)?;
            (count.next, count.end) = (from, to);
        }
        count.next += 1;
        Ok(())
    }

    fn count(&self) -> std::sync::MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn login(folder: &Folder, _: &Lock, token: &Token, pin: &Pin) -> Result<Zeroizing<[u8; 32]>, LocalError> {
    let attempts = attempts(folder)?;
    let limit = token.attempts;
    let wrong = attempts.read()?;
    if wrong >= limit {
        return Err(LocalError::PinLocked { limit });
    }
    attempts.write(folder, wrong + 1)?;
    match token.open_with_pin(pin)? {
        Some(key) => {
            // Where this fails the PIN has one wrong try too many against it.
            attempts.write(folder, 0)?;
            Ok(key)
        }
        None if wrong + 1 == limit => Err(LocalError::PinLocked { limit }),
        None => Err(LocalError::PinIncorrect {
            left: limit - wrong - 1,
        }),
    }
}

fn attempts(folder: &Folder) -> Result<Tally, LocalError> {
    Tally::open(folder, ATTEMPTS, &NO_KEY, 1)
}

fn file_name(label: &KeyId) -> String {
    format!("{KEY_PREFIX}{label}")
}

const ATTEMPTS: &str = "attempts";
const COUNT: &str = "count";
const KEY_PREFIX: &str = "key-";
/// It is read before the PIN is known: a checksum, and no more.
const NO_KEY: [u8; 32] = [0; 32];
/// How many signatures are counted with one write. A process that is killed
/// leaves at most so many counted that it did not make.
const RESERVED: u64 = 4096;
const MAX_KEY: usize = 64 << 10;

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
