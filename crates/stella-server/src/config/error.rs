//! What can be wrong with a configuration; each says where.

use std::path::PathBuf;

use super::document::Place;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} can be written by others (owner {owner}, mode {mode:o}), who could choose what is loaded and trusted; run: chown {user} {} && chmod go-w {}", .path.display(), .path.display(), .path.display())]
    TooOpen {
        path: PathBuf,
        owner: u32,
        mode: u32,
        user: u32,
    },
    #[error("{} is over {max} bytes", .path.display())]
    TooLong { path: PathBuf, max: u64 },
    #[error("{}: {message}", .path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{at}: unknown key {key}; did you mean {nearest}?")]
    UnknownKey { at: Place, key: String, nearest: String },
    #[error("{at}: {key} is given twice, first at line {first}")]
    Duplicate { at: Place, key: String, first: u64 },
    #[error("{at}: {key} {why}")]
    Value { at: Place, key: String, why: String },
    #[error("environment variable {name}: {why}")]
    Environment { name: &'static str, why: String },
}

impl ConfigError {
    /// Stable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config.unreadable",
            Self::TooOpen { .. } => "config.too-open",
            Self::TooLong { .. } => "config.too-long",
            Self::Syntax { .. } => "config.syntax",
            Self::UnknownKey { .. } => "config.unknown-key",
            Self::Duplicate { .. } => "config.duplicate-key",
            Self::Value { .. } => "config.value",
            Self::Environment { .. } => "config.environment",
        }
    }
}
