//! Moments: RFC 3339, a bare date (the whole UTC day), or `NOW`.

use std::fmt;
use std::str::FromStr;

use stella_core::time::Timestamp;

/// Kept as typed: what a bare date means depends on where it stands, and NOW
/// is the server's, which alone knows its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time: write RFC 3339 such as 2025-02-01T00:00:00Z, a date, or NOW")]
pub struct NotAMoment(String);

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let is_now = text.eq_ignore_ascii_case("now");
        let is_date = text.len() == 10 && format!("{text}T00:00:00Z").parse::<Timestamp>().is_ok();
        if is_now || is_date || text.parse::<Timestamp>().is_ok() {
            Ok(Self(if is_now { "NOW".into() } else { text.to_owned() }))
        } else {
            Err(NotAMoment(text.chars().take(64).collect()))
        }
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_dates_or_now() {
        for good in [
            "2025-02-01T00:00:00Z",
            "2025-02-01T02:00:00+02:00",
            "2025-01-01",
            "NOW",
        ] {
            assert_eq!(good.parse::<Moment>().expect(good).to_string(), good);
        }
        assert_eq!("now".parse::<Moment>().expect("now").to_string(), "NOW");
        for bad in [
            "",
            "2025",
            "2025-02-30",
            "2025-02-01T00:00:00",
            "yesterday",
            "2025/02/01",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
