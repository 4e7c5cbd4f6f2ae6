//! `signing`.

use super::SigningSettings;
use super::section::{Item, Result, Section};

pub fn read(mut section: Section<'_>, signing: &mut SigningSettings) -> Result<()> {
    section.read("deadline", &mut signing.deadline, Item::duration)?;
    section.read("retryFirst", &mut signing.retry_first, Item::duration)?;
    section.read("retryMax", &mut signing.retry_max, Item::duration)?;
    section.finish()
}
