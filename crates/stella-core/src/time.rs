//! A moment in UTC, to the microsecond.
//!
//! Everything that orders events in Stella is decided at this resolution,
//! because it is the one that PostgreSQL's `TIMESTAMPTZ` keeps: a finer clock
//! would let two stores disagree about the same boundary.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// What a caller must supply wherever "now" matters.
///
/// The one implementation that asks the operating system lives in the server;
/// tests hold one that they move by hand.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time: write RFC 3339 such as 2025-02-01T00:00:00Z")]
pub struct NotATime(pub String);

impl Timestamp {
    pub const UNIX_EPOCH: Self = Self(0);
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    pub const MAX: Self = Self(253_402_207_199_999_999);

    /// Clamped to the years that RFC 3339 can write.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Zero and anything before it is what a clock that was never set says.
    pub const fn is_set(self) -> bool {
        self.0 > 0
    }

    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// How much later `self` is; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same day of the month, `months` later or earlier, in UTC; the last
    /// day of the month where that day does not exist.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        let span = jiff::Span::new().months(months.clamp(-100_000, 100_000));
        self.jiff()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .checked_add(span)
            .map_or(if months < 0 { Self::MIN } else { Self::MAX }, |z| {
                Self::from_micros(z.timestamp().as_microsecond())
            })
    }

    /// Always 27 characters, so that text order is time order in SQLite and a
    /// comparison with `'2025-01-01'` works.
    pub fn fixed_width(self) -> String {
        format!("{:.6}", self.jiff())
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// RFC 3339 with as many fractional digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.jiff(), f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 3339 section 5.6: a date, a time and an offset. Anything finer than a
/// microsecond is cut off.
impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(s: &str) -> Result<Self, NotATime> {
        let refuse = || NotATime(s.chars().take(64).collect());
        if !is_rfc_3339(s.as_bytes()) {
            return Err(refuse());
        }
        let parsed: jiff::Timestamp = s.parse().map_err(|_| refuse())?;
        let micros = parsed.as_nanosecond().div_euclid(1_000);
        let micros = i64::try_from(micros).map_err(|_| refuse())?;
        if !(Self::MIN.0..=Self::MAX.0).contains(&micros) {
            return Err(refuse());
        }
        Ok(Self(micros))
    }
}

/// The shape alone. jiff reads more of ISO 8601, which RFC 3339 readers
/// elsewhere do not, and takes a leap second for the one before it.
fn is_rfc_3339(text: &[u8]) -> bool {
    let like = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                _ => byte.eq_ignore_ascii_case(wanted),
            })
    };
    let Some((moment, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let fraction = match rest {
        [b'.', digits @ ..] => 1 + digits.iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let offset = &rest[fraction..];
    like(moment, b"0000-00-00T00:00:00")
        && !moment.ends_with(b"60")
        && fraction != 1
        && (like(offset, b"Z") || like(offset, b"+00:00"))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Timestamp {
        s.parse().expect("a time")
    }

    #[test]
    fn reads_and_writes_rfc_3339() {
        assert_eq!(at("2025-02-01T00:00:00Z").to_string(), "2025-02-01T00:00:00Z");
        assert_eq!(
            at("2025-02-01T02:00:00.5+02:00").to_string(),
            "2025-02-01T00:00:00.5Z"
        );
        assert_eq!(at("2025-02-01T00:00:00.0000019Z").as_micros() % 10, 1);
        for bad in [
            "",
            "2025-02-01",
            "2025-02-01 00:00:00Z",
            "2025-02-01T00:00:00",
            "2025-13-01T00:00:00Z",
            "now",
            "2025-02-01T00:00:00Z[UTC]",
            "2025-02-01T00:00+00:00",
            "2025-02-01T000000.000Z",
            "2025-02-01T00:00:00+00",
            "2025-02-01T00:00:00+0000",
            "2025-02-01T00:00:00+00:00:00",
            "2025-02-01T00:00:00,5Z",
            "2025-02-01T00:00:00.Z",
            "2025-02-01T00:00:00.5555555555Z",
            "2016-12-31T23:59:60Z",
            "+002025-02-01T00:00:00Z",
            "20250201T00:00:00.000Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn text_order_is_time_order() {
        let (a, b) = (at("2025-02-01T00:00:00Z"), at("2025-02-01T00:00:00.000001Z"));
        assert_eq!(a.fixed_width().len(), 27);
        assert!(a < b && a.fixed_width() < b.fixed_width());
        assert_eq!(at(&b.fixed_width()), b);
    }

    #[test]
    fn months_end_where_the_month_ends() {
        assert_eq!(
            at("2024-01-31T10:00:00Z").plus_months(1),
            at("2024-02-29T10:00:00Z")
        );
        assert_eq!(
            at("2025-03-31T00:00:00Z").plus_months(-1),
            at("2025-02-28T00:00:00Z")
        );
        assert_eq!(Timestamp::MAX.plus_months(1), Timestamp::MAX);
    }
}
