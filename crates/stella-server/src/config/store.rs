//! `store`.

use super::section::{Item, Result, Section};

/// `sqlite:` in the home, `sqlite:/path`, or `postgres://user@host/db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    pub url: String,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: "sqlite:".to_owned(),
        }
    }
}

impl StoreSettings {
    pub fn parse(url: &str) -> std::result::Result<Self, String> {
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| url.starts_with(scheme)) {
            return Err("must be sqlite:, sqlite:/path or postgres://user@host/db".to_owned());
        }
        Ok(Self { url: url.to_owned() })
    }

    /// The URL without a password, for people.
    pub fn shown(&self) -> String {
        match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => format!("{scheme}://...@{place}"),
            _ => self.url.clone(),
        }
    }
}

pub fn read(mut section: Section<'_>, store: &mut StoreSettings) -> Result<()> {
    section.read("url", store, |item: &Item<'_>| {
        StoreSettings::parse(&item.text()?).map_err(|why| item.wrong(why))
    })?;
    section.finish()
}
