//! `tokens`.

use std::time::Duration;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// How long a token lives that was asked for without `--expires`.
    pub default_life: Duration,
    /// Nobody gets one for longer.
    pub max_life: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            default_life: Duration::from_secs(90 * 86_400),
            max_life: Duration::from_secs(366 * 86_400),
        }
    }
}

pub fn read(mut section: Section<'_>, tokens: &mut TokenSettings) -> Result<()> {
    section.read("defaultLife", &mut tokens.default_life, Item::duration)?;
    section.read("maxLife", &mut tokens.max_life, Item::duration)?;
    section.finish()
}
