//! Lengths of time: `300s`, `30m`, `1h`, `7d`, `2w`, `12mo`, `1y`.

use std::str::FromStr;
use std::time::Duration;

use stella_core::time::Timestamp;

/// Calendar months are no fixed number of seconds, so they are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    months: u16,
    seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no length of time: write 300s, 30m, 1h, 7d, 2w, 12mo or 1y")]
pub struct NotAPeriod(String);

impl Period {
    /// Counted forward from `now`.
    pub fn seconds_from(self, now: Timestamp) -> u64 {
        self.after(now).since(now).as_secs()
    }

    pub fn before(self, now: Timestamp) -> Timestamp {
        now.plus_months(-i32::from(self.months))
            .saturating_sub(Duration::from_secs(self.seconds))
    }

    /// Counted backward from `now`.
    pub fn seconds_until(self, now: Timestamp) -> u64 {
        now.since(self.before(now)).as_secs()
    }

    fn after(self, now: Timestamp) -> Timestamp {
        now.plus_months(i32::from(self.months))
            .saturating_add(Duration::from_secs(self.seconds))
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let refuse = || NotAPeriod(text.chars().take(64).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let seconds = |each: u64| {
            number
                .checked_mul(each)
                .map(|seconds| Self { months: 0, seconds })
                .ok_or_else(refuse)
        };
        let months = |each: u64| {
            number
                .checked_mul(each)
                .and_then(|n| u16::try_from(n).ok())
                .map(|months| Self { months, seconds: 0 })
                .ok_or_else(refuse)
        };
        match unit {
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3_600),
            "d" => seconds(86_400),
            "w" => seconds(604_800),
            "mo" => months(1),
            "y" => months(12),
            _ => Err(refuse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_a_number_and_a_unit() {
        let now: Timestamp = "2025-03-31T00:00:00Z".parse().expect("a time");
        let seconds = |text: &str| text.parse::<Period>().expect(text).seconds_from(now);
        assert_eq!(seconds("300s"), 300);
        assert_eq!(seconds("30m"), 1_800);
        assert_eq!(seconds("1h"), 3_600);
        assert_eq!(seconds("7d"), 604_800);
        assert_eq!(seconds("12mo"), 365 * 86_400);
        assert_eq!(seconds("1y"), 365 * 86_400);
        let month: Period = "1mo".parse().expect("a month");
        assert_eq!(month.before(now).to_string(), "2025-02-28T00:00:00Z");
        assert_eq!(month.seconds_until(now), 31 * 86_400);
        for bad in [
            "",
            "7",
            "d",
            "-1d",
            "1.5h",
            "7 d",
            "7D",
            "99999999999999999999s",
            "99999y",
        ] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
