//! Values as people type them, parsed once.

pub mod digest;
pub mod ids;
pub mod period;
pub mod subject;
pub mod time;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use stella_core::predicate::PredicateType;
use stella_core::trust::{KeyState, KeyType, RevokeReason};

/// A short name of the table, or a URI; kept as typed.
pub fn predicate_type(text: &str) -> Result<String, String> {
    PredicateType::from_name(text)
        .map(|_| text.to_owned())
        .map_err(|e| e.to_string())
}

/// The fixed list of reasons.
pub fn reason() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(RevokeReason::ALL.map(RevokeReason::as_str))
}

/// The signer's own word about time counts for nothing, so it is no choice.
pub fn time_evidence() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(["recorded", "attested"])
}

pub fn key_type() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(KeyType::ALL.map(KeyType::as_str))
}

pub fn key_status() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(KeyState::ALL.map(KeyState::as_str))
}
