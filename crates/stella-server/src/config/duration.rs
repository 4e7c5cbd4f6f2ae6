//! `300s`, `5m`, `1h`, `14d`; months (`12mo`) where a span of the calendar is meant.

use std::time::Duration;

/// A span of time of fixed length.
pub fn fixed(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds: u64 = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// `12mo`, `1y`.
pub fn months(text: &str) -> Option<u32> {
    let (number, unit) = split(text)?;
    let months = match unit {
        "mo" => number,
        "y" => number.checked_mul(12)?,
        _ => return None,
    };
    u32::try_from(months).ok()
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nonsense_is_not() {
        assert_eq!(fixed("300s"), Some(Duration::from_secs(300)));
        assert_eq!(fixed("14d"), Some(Duration::from_secs(14 * 86_400)));
        assert_eq!(fixed("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(months("12mo"), Some(12));
        assert_eq!(months("2y"), Some(24));
        for bad in [
            "",
            "s",
            "12",
            "-1s",
            "1.5h",
            "12mo",
            "1 s",
            "99999999999999999999s",
        ] {
            assert_eq!(fixed(bad), None, "{bad}");
        }
        assert_eq!(months("12"), None);
    }
}
