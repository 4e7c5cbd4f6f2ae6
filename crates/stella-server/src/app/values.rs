//! Values as people write them in requests, parsed once.

use stella_core::id::{AnchorId, KeyId, ProfileName};
use stella_core::time::Timestamp;
use stella_core::trust::decide::anchor::Scope;
use stella_core::trust::{KeyState, KeyType, TrustAnchor, TrustState};
use stella_core::verify::ask;
use uuid::Uuid;

use crate::app::error::{Error, Result};

/// RFC 3339, a bare date (its first instant, UTC), or `NOW`.
pub fn time(text: &str, now: Timestamp) -> Result<Timestamp> {
    Ok(ask::moment(text, now)?)
}

/// The end of a range: a bare date means the whole day, so its end is the next one.
pub fn range_end(text: &str, now: Timestamp) -> Result<Timestamp> {
    let start = time(text, now)?;
    Ok(if text.len() == 10 {
        start.saturating_add(std::time::Duration::from_secs(86_400))
    } else {
        start
    })
}

/// Words for an event. An event is kept for ever, and in memory.
pub fn note(text: Option<String>) -> Result<Option<String>> {
    let note = text.filter(|t| !t.is_empty());
    match note.as_ref().map(String::len) {
        Some(length) if length > MAX_NOTE => Err(Error::invalid(
            "note.too-long",
            format!("the note has {length} bytes; at most {MAX_NOTE} are kept: say where more is to be read"),
        )),
        _ => Ok(note),
    }
}

const MAX_NOTE: usize = 4096;

pub fn key_id(text: &str) -> Result<KeyId> {
    text.parse().map_err(|e| Error::invalid("key.id", e))
}

pub fn key_type(text: &str) -> Result<KeyType> {
    KeyType::ALL
        .into_iter()
        .find(|t| t.as_str() == text)
        .ok_or_else(|| {
            let all = KeyType::ALL.map(KeyType::as_str).join(", ");
            Error::invalid(
                "key.type",
                format!("{text:?} is not a key type: use one of {all}"),
            )
        })
}

pub fn key_state(text: &str) -> Result<KeyState> {
    KeyState::ALL
        .into_iter()
        .find(|s| s.as_str() == text)
        .ok_or_else(|| {
            let all = KeyState::ALL.map(KeyState::as_str).join(", ");
            Error::invalid(
                "key.status",
                format!("{text:?} is not a key status: use one of {all}"),
            )
        })
}

pub fn profile(text: &str) -> Result<ProfileName> {
    text.parse().map_err(|e| Error::invalid("profile.name", e))
}

/// A whole id, or a prefix that only one anchor has; `550e8400...` is one.
pub fn anchor<'a>(state: &'a TrustState, text: &str) -> Result<&'a TrustAnchor> {
    let prefix = text
        .trim_end_matches("...")
        .trim_end_matches('…')
        .to_ascii_lowercase();
    if let Some(found) = Uuid::try_parse(&prefix)
        .ok()
        .and_then(|id| state.anchors.get(&AnchorId(id)))
    {
        return Ok(found);
    }
    let unknown = || {
        Error::not_found("anchor.unknown", format!("trust anchor not found: {text}"))
            .next("stella anchor list")
    };
    if prefix.len() < 4 {
        return Err(unknown());
    }
    let mut found = state
        .anchors
        .values()
        .filter(|a| a.id.to_string().starts_with(&prefix));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Error::invalid(
            "anchor.ambiguous",
            format!("more than one trust anchor begins with {prefix}"),
        )
        .next("stella anchor list")),
        (None, _) => Err(unknown()),
    }
}

/// `ALL`, or one anchor.
pub fn scope(state: &TrustState, text: &str) -> Result<Scope> {
    if text == "ALL" {
        Ok(Scope::All)
    } else {
        anchor(state, text).map(|a| Scope::One(a.id))
    }
}
