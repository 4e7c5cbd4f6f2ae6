//! What SQLite's result codes mean to a caller of the store.

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

/// The same failure, for each of those who shared a commit.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        StoreError::Unknown(why) => StoreError::Unknown(why.clone()),
        StoreError::Corrupt(why) => StoreError::Corrupt(why.clone()),
        StoreError::Schema(why) => StoreError::Schema(why.clone()),
    }
}
