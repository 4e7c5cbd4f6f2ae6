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
        // One that depended on where the process was started would be another
        // store for every folder.
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() && !path.starts_with('/') => {
                Err("must be sqlite: (a file in the home), or sqlite: and a path from the root".to_owned())
            }
            _ => Ok(Self { url: url.to_owned() }),
        }
    }

    /// The URL without a password, for people.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        let (hidden, place) = match rest.rsplit_once('@') {
            Some((_, place)) => ("...@", place),
            None => ("", rest),
        };
        // A password may be a parameter as well.
        match place.split_once('?') {
            Some((place, _)) => format!("{scheme}://{hidden}{place}?..."),
            None => format!("{scheme}://{hidden}{place}"),
        }
    }
}

pub fn read(mut section: Section<'_>, store: &mut StoreSettings) -> Result<()> {
    section.read("url", store, |item: &Item<'_>| {
        StoreSettings::parse(&item.text()?).map_err(|why| item.wrong(why))
    })?;
    section.finish()
}
