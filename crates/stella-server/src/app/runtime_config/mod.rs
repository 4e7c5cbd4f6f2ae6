//! Settings: what they are, where each value came from, and the few that may
//! be changed while the server runs. Those changes are events.

mod effective;
mod failover;
mod get;
mod mode;
mod reload;
mod set;
pub mod table;

use stella_core::api::keys::ConfigEntry;
use stella_core::trust::TrustState;

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::config::{Origin, nearest, snake};
use table::{SETTINGS, Setting};

pub use effective::SigningMode;
pub use failover::{AUTO, MovedTo};

/// Finds a setting by either spelling, with or without the leading `signer.`.
fn find(key: &str) -> Option<&'static Setting> {
    let wanted = spelt(key);
    SETTINGS
        .iter()
        .find(|s| s.key == wanted || s.also.contains(&wanted.as_str()))
}

fn spelt(key: &str) -> String {
    let key = key.trim();
    let key = key.strip_prefix("signer.").unwrap_or(key);
    key.split('.').map(snake).collect::<Vec<_>>().join(".")
}

fn unknown(key: &str) -> Error {
    let near = nearest(&spelt(key), SETTINGS.iter().map(|s| s.key));
    let shown: String = key.chars().take(64).collect();
    Error::not_found(
        "config.unknown-key",
        format!("no setting named {shown}; did you mean {near}?"),
    )
    .next("stella config list")
}

fn file_only(key: &str) -> Error {
    // In the file it stands under another name.
    let place = match key {
        table::LIBRARY_PATH => "hsm.modules.NAME.libraryPath in signer.yaml",
        _ => "signer.yaml",
    };
    Error::new(
        crate::app::ErrorKind::Refused,
        "config.file-only",
        format!(
            "{key} is set in the configuration file only: whoever holds a token must not choose what the server loads, listens on or trusts"
        ),
    )
    .next(format!("edit {place} and restart the server"))
}

impl App {
    /// A setting as it stands: run time, then file and environment, then default.
    fn entry(&self, state: &TrustState, setting: &Setting) -> ConfigEntry {
        let (value, origin, place) = match self.runtime_value(state, setting) {
            Some(value) => (value, "runtime", None),
            None => {
                let (origin, place) = self.origin(setting);
                (self.configured_value(state, setting), origin, place)
            }
        };
        let mut ends_at = None;
        let warnings = match setting.key {
            table::SIGNING_MODE => {
                ends_at = self.mode_set(state, setting.key).and_then(|set| set.until);
                mode::mode_warnings(SigningMode::parse(&value))
            }
            table::HSM_FAILOVER => {
                let set = self.failover_set(state, setting.key);
                ends_at = set.and_then(|set| set.until);
                Vec::new()
            }
            table::ROTATION_AUTO if value == "true" => vec![set::NO_AUTO_ROTATION.to_owned()],
            table::SESSION_TIMEOUT if origin == "runtime" => vec![set::FROM_RECONNECT_ON.to_owned()],
            _ => Vec::new(),
        };
        ConfigEntry {
            key: setting.key.to_owned(),
            value,
            origin: origin.to_owned(),
            place,
            runtime: setting.runtime,
            description: Some(setting.description.to_owned()),
            ends_at: ends_at.map(|t| t.to_string()),
            warnings,
        }
    }

    fn runtime_value(&self, state: &TrustState, setting: &Setting) -> Option<String> {
        let value = state.settings.get(setting.key)?;
        if setting.key == table::SIGNING_MODE {
            let set = self.mode_set(state, setting.key)?;
            return Some(set.mode.as_str().to_owned());
        }
        if setting.key == table::HSM_FAILOVER {
            return Some(self.failover_set(state, setting.key)?.module);
        }
        // A key that another one has replaced since is not what is signed with.
        if setting.key == table::SIGNING_KEY && !self.signs(state, value) {
            return None;
        }
        Some(value.clone())
    }

    fn configured_value(&self, state: &TrustState, setting: &Setting) -> String {
        if setting.key == table::SIGNING_KEY {
            return self.signing_key(state).unwrap_or_default();
        }
        (setting.value)(&self.settings)
    }

    fn origin(&self, setting: &Setting) -> (&'static str, Option<String>) {
        let keys = std::iter::once(&setting.key).chain(setting.also);
        for key in keys {
            match self.settings.origins.of(key) {
                Origin::Default => {}
                Origin::File(place) => return ("file", Some(place.to_string())),
                Origin::Environment(name) => return ("environment", Some(name.to_owned())),
            }
        }
        ("default", None)
    }
}

fn checked(setting: &Setting, value: &str) -> Result<String> {
    use table::Kind;
    let wrong = || {
        Error::invalid(
            "config.value",
            format!(
                "{value:?} is no value of {}: give {}",
                setting.key,
                setting.kind.describe()
            ),
        )
    };
    let value = value.trim();
    match setting.kind {
        Kind::Flag if value == "true" || value == "false" => Ok(value.to_owned()),
        Kind::Number(max) => match value.parse::<u32>() {
            Ok(n) if (1..=max).contains(&n) => Ok(n.to_string()),
            _ => Err(wrong()),
        },
        Kind::OneOf(words) if words.contains(&value) => Ok(value.to_owned()),
        Kind::KeyId => crate::app::values::key_id(value).map(|id| id.to_string()),
        Kind::Text => Ok(value.to_owned()),
        Kind::Duration if crate::config::duration(value).is_some_and(|d| !d.is_zero()) => {
            Ok(value.to_owned())
        }
        Kind::Flag | Kind::OneOf(_) | Kind::Duration => Err(wrong()),
    }
}
