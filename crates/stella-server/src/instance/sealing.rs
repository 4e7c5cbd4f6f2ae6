//! The sealing key of a home, and that it is the one of its store.

use std::path::Path;

use stella_keys::entropy::SystemEntropy;
use stella_keys::software::{Sealer, SealingKey, SealingKeyError};
use stella_store::{EventStore, Store};

use super::InstanceError;
use crate::home::{Home, HomeError};

/// Absent while nothing is sealed is a home whose first key is not made yet;
/// absent otherwise is a loss, and a new one would hide it.
pub(super) async fn sealer(
    home: &Home,
    store: &dyn Store,
    shared: bool,
) -> Result<Option<Sealer>, InstanceError> {
    let path = home.sealing_key();
    let there = path.try_exists().map_err(|source| HomeError::Io {
        path: path.clone(),
        source,
    })?;
    if !there {
        if shared && let Some(theirs) = store.sealing_key().await? {
            return Err(InstanceError::SealingKeyElsewhere(theirs));
        }
        let sealed = store.has_sealed_keys().await?;
        return if sealed {
            Err(InstanceError::SealingKeyLost(path))
        } else {
            Ok(None)
        };
    }
    let key = SealingKey::read(home.path())?;
    if shared {
        claimed(store, home, &key).await?;
    }
    Sealer::new(&key)
        .map(Some)
        .map_err(|e| crate::app::Error::unavailable("key-store.sealing", e.to_string()).into())
}

/// The store's, or nobody has said yet which that is and now this one is.
pub(super) async fn claimed(
    store: &(impl EventStore + ?Sized),
    home: &Home,
    key: &SealingKey,
) -> Result<(), InstanceError> {
    let theirs = match store.sealing_key().await? {
        Some(theirs) => theirs,
        None => store.claim_sealing_key(&key.id()).await?,
    };
    expect(&home.sealing_key(), key, &theirs)
}

/// What a new home may join a shared store with; none where it is to make one.
pub(super) async fn for_joining(
    store: &dyn Store,
    home: &Path,
    copy: Option<&Path>,
) -> Result<Option<SealingKey>, InstanceError> {
    // Without a copy, one that an `init` which was cut off has left.
    let left = home.join(stella_keys::software::SEALING_KEY_FILE);
    let file = copy.unwrap_or(&left);
    let found = match SealingKey::read_file(file) {
        Err(SealingKeyError::Missing(_)) if copy.is_none() => None,
        read => Some(read?),
    };
    match (store.sealing_key().await?, &found) {
        (Some(theirs), None) => return Err(InstanceError::SealingKeyElsewhere(theirs)),
        (Some(theirs), Some(key)) => expect(file, key, &theirs)?,
        (None, _) => {}
    }
    Ok(found)
}

/// Puts the key into the home and says to the store that it is its own, before
/// anything is sealed with it.
pub(super) async fn share(
    store: &dyn Store,
    home: &Home,
    key: Option<SealingKey>,
) -> Result<(), InstanceError> {
    let kept = match (key, read(home)?) {
        (Some(given), None) => {
            given.keep(home.path(), &mut SystemEntropy)?;
            given
        }
        (Some(given), Some(kept)) => {
            expect(&home.sealing_key(), &kept, &given.id())?;
            kept
        }
        (None, _) => kept_or_made(home)?,
    };
    let theirs = store.claim_sealing_key(&kept.id()).await?;
    expect(&home.sealing_key(), &kept, &theirs)
}

/// One is there when an `init` was cut off after it had made it.
pub(super) fn kept_or_made(home: &Home) -> Result<SealingKey, InstanceError> {
    match read(home)? {
        Some(kept) => Ok(kept),
        None => Ok(SealingKey::create(home.path(), &mut SystemEntropy)?),
    }
}

fn read(home: &Home) -> Result<Option<SealingKey>, InstanceError> {
    match SealingKey::read(home.path()) {
        Err(SealingKeyError::Missing(_)) => Ok(None),
        read => Ok(Some(read?)),
    }
}

fn expect(file: &Path, key: &SealingKey, theirs: &str) -> Result<(), InstanceError> {
    if key.id() == theirs {
        return Ok(());
    }
    Err(InstanceError::SealingKeyOfAnother {
        file: file.to_owned(),
        ours: key.id(),
        theirs: theirs.to_owned(),
    })
}
