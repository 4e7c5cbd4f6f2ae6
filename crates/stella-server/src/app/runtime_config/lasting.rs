//! Settings that may be of one profile alone, and may end by themselves.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use stella_core::api::keys::ConfigEntry;
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::{EventBody, TrustState};
use stella_store::LogRow;

use super::table::Setting;
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::config;

/// Nobody should find out next year that it was never switched back.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// As it stands in an event: `software until 2025-02-01T08:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct Lasting<T> {
    pub value: T,
    /// From then on it is as if it had not been set.
    pub until: Option<Timestamp>,
}

impl<T: fmt::Display> fmt::Display for Lasting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value)?;
        match self.until {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Lasting<String> {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        let ending = text
            .split_once(" until ")
            .and_then(|(value, until)| Some((value, until.parse().ok()?)));
        let (value, until) = match ending {
            Some((value, until)) => (value, Some(until)),
            None => (text, None),
        };
        Ok(Self {
            value: value.to_owned(),
            until,
        })
    }
}

/// Where a profile's own is kept.
pub(in crate::app) fn own_key(profile: &ProfileName, setting: &str) -> String {
    format!("profiles.{profile}.{setting}")
}

/// From `--for 8h`.
pub(in crate::app) fn asked(text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else {
        return Ok(None);
    };
    let wrong = |why: &str| {
        Error::invalid("config.lasts", format!("{text:?} {why}")).next("--for 8h, or at most --for 24h")
    };
    match config::duration(text) {
        None => Err(wrong("is no duration")),
        Some(span) if span.is_zero() => Err(wrong("is no time at all")),
        Some(span) if span > LONGEST => Err(wrong(
            "is longer than such a setting lasts before it is thought over",
        )),
        Some(span) => Ok(Some(span)),
    }
}

impl App {
    /// What was set and has not ended.
    pub(in crate::app) fn lasting(&self, state: &TrustState, key: &str) -> Option<Lasting<String>> {
        let Ok(set) = state.settings.get(key)?.parse::<Lasting<String>>();
        let now = self.now();
        set.until.is_none_or(|until| now < until).then_some(set)
    }

    /// Takes a profile's own back.
    pub(super) async fn unset_own(
        &self,
        caller: &Caller,
        setting: &Setting,
        profile: &str,
    ) -> Result<ConfigEntry> {
        let profile = self.known_profile(profile)?;
        let key = own_key(&profile, setting.key);
        let (was_set, state) = self
            .change(caller, |state, _| {
                let set = state.settings.contains_key(&key);
                let event = set.then(|| EventBody::ConfigUnset { key: key.clone() });
                Ok(Decision::new(event.into_iter().collect(), set))
            })
            .await?;
        if was_set {
            self.log_moved(caller, setting.key, Some(&profile), "unset").await;
        }
        Ok(self.entry(&state, setting))
    }

    /// Who moved signing elsewhere, for those who read the log.
    pub(in crate::app) async fn log_moved(
        &self,
        caller: &Caller,
        setting: &str,
        profile: Option<&ProfileName>,
        set: &str,
    ) {
        let whose = profile.map_or_else(
            || "every profile".to_owned(),
            |profile| format!("profile {profile}"),
        );
        self.note(LogRow {
            at: self.now(),
            level: "warn".to_owned(),
            component: "config".to_owned(),
            message: format!("{setting} of {whose}: {set}"),
            fields: json!({
                "by": caller.identity,
                "profile": profile.map(|p| p.as_str()),
                "setting": setting,
                "value": set,
            }),
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let until = "2025-02-01T08:00:00Z".parse().expect("a time");
        for until in [None, Some(until)] {
            let set = Lasting {
                value: "software".to_owned(),
                until,
            };
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        // As it was stored before there was an end.
        let Ok(old) = "hsm".parse::<Lasting<String>>();
        assert_eq!((old.value.as_str(), old.until), ("hsm", None));
    }

    #[test]
    fn it_lasts_a_day_at_most() {
        assert_eq!(asked(None).expect("nothing"), None);
        assert_eq!(asked(Some("24h")).expect("a day"), Some(LONGEST));
        for wrong in ["0s", "25h", "soon"] {
            assert_eq!(asked(Some(wrong)).expect_err(wrong).code.as_str(), "config.lasts");
        }
    }
}
