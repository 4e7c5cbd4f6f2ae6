//! What PostgreSQL's codes mean to a caller of the store.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = in_words(&error);
        let Some(code) = error.code() else {
            // No answer of the server's: the connection, or a column of
            // another type than it was written with.
            return if error.is_closed() || lost(&error) {
                Self::Unavailable(text)
            } else {
                Self::Corrupt(text)
            };
        };
        if [
            &SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            &SqlState::UNTRANSLATABLE_CHARACTER,
        ]
        .contains(&code)
        {
            return Self::Unstorable(text);
        }
        let class = code.code().get(..2).unwrap_or_default();
        match class {
            // Connections, authentication, read-only, conflicts, resources,
            // locks, an operator's intervention, the system.
            "08" | "28" | "25" | "40" | "53" | "55" | "57" | "58" | "3D" => Self::Unavailable(text),
            _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Unavailable(format!(
                "{text}; the database's owner lets a role in with: stella db migrate --service ROLE"
            )),
            _ => Self::Corrupt(text),
        }
    }
}

/// A failed COMMIT. Where the server did not say that it failed, or went
/// away, it may have taken effect.
pub(super) fn of_commit(error: Error) -> StoreError {
    match error.code().map(|code| code.code().get(..2).unwrap_or_default()) {
        None | Some("08" | "57" | "58" | "XX") => StoreError::Unknown(in_words(&error)),
        Some(_) => error.into(),
    }
}

/// Whether the same transaction, run again, may well succeed.
pub(super) fn transient(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
}

/// Whether another connection may lead to a server that this one's is no more:
/// the primary.
pub(super) fn read_only(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Whether the connection that this happened on is of no more use. One whose
/// statements were prepared before a column was added says that their result
/// type must not change; on another one they are prepared anew.
pub(super) fn lost(error: &Error) -> bool {
    if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
        return true;
    }
    let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
    let ended = error.code().is_some_and(|code| {
        let code = code.code();
        code.starts_with("08") || code.starts_with("57P") || code == "25P03"
    });
    error.is_closed() || io || ended
}

fn in_words(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("PostgreSQL: {} ({})", said.message(), said.code().code()),
        None => match error.source() {
            Some(source) => format!("PostgreSQL: {error}: {source}"),
            None => format!("PostgreSQL: {error}"),
        },
    }
}
