//! What SQLite's result codes mean to a caller of the store.

use std::path::Path;

use rusqlite::ErrorCode as Code;

use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                Code::DiskFull
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::ReadOnly
                | Code::CannotOpen
                | Code::PermissionDenied
                | Code::SystemIoFailure
                | Code::FileLockingProtocolFailed
                | Code::OperationInterrupted
                | Code::OutOfMemory
                | Code::TooBig
                | Code::NoLargeFileSupport,
            ) => Self::Unavailable(text),
            // Damage, and whatever breaks a rule of the schema: constraints,
            // guards, columns of another type than they were written with.
            _ => Self::Corrupt(text),
        }
    }
}

/// A failed COMMIT. Only an I/O error leaves it open: the commit record may
/// have reached the disk although its sync was not confirmed.
pub(super) fn of_commit(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(Code::SystemIoFailure) => StoreError::Unknown(error.to_string()),
        _ => error.into(),
    }
}

/// With the file that it is about, where the text does not say so yet.
pub(super) fn at(path: &Path, error: StoreError) -> StoreError {
    let place = path.display().to_string();
    let name = |text: String| {
        if text.contains(&place) {
            text
        } else {
            format!("{place}: {text}")
        }
    };
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(name(why)),
        StoreError::Missing(why) => StoreError::Missing(name(why)),
        StoreError::Unknown(why) => StoreError::Unknown(name(why)),
        StoreError::Corrupt(why) => StoreError::Corrupt(name(why)),
        StoreError::Unstorable(why) => StoreError::Unstorable(name(why)),
        StoreError::Moved(place) => StoreError::Moved(place),
        StoreError::Schema(why) => StoreError::Schema(name(why)),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn want_of_room_or_access_is_unavailable_and_damage_is_corrupt() {
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(
                matches!(StoreError::from(sqlite(code)), StoreError::Unavailable(_)),
                "{code}"
            );
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT] {
            assert!(
                matches!(StoreError::from(sqlite(code)), StoreError::Corrupt(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn only_an_io_error_leaves_a_commit_open() {
        assert!(matches!(
            of_commit(sqlite(ffi::SQLITE_IOERR_FSYNC)),
            StoreError::Unknown(_)
        ));
        assert!(matches!(
            of_commit(sqlite(ffi::SQLITE_FULL)),
            StoreError::Unavailable(_)
        ));
    }
}
