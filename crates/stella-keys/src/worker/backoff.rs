//! How long to wait before the next start.

use std::time::Duration;

/// After so many failures in a row, without any success between them. The
/// first is answered at once; from the second on the wait doubles, up to
/// `max`, and a part of it that `random` picks is left out, so that many
/// instances do not come back in step.
pub fn delay(failures: u32, first: Duration, max: Duration, random: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(2) else {
        return Duration::ZERO;
    };
    let whole = 2_u32
        .checked_pow(doublings)
        .and_then(|factor| first.checked_mul(factor))
        .unwrap_or(max)
        .min(max);
    // Between half of it and all of it.
    let spread = whole / 2;
    whole - Duration::from_secs_f64(spread.as_secs_f64() * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn doubles_from_the_second_failure_on_and_stays_below_its_bound() {
        let millis = |failures| delay(failures, FIRST, MAX, 0).as_millis();
        assert_eq!([0, 1, 2, 3, 4].map(millis), [0, 0, 100, 200, 400]);
        assert_eq!(
            [10, 11, 40, u32::MAX].map(millis),
            [25_600, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn chance_shortens_it_by_half_at_most() {
        for failures in 2..40 {
            let longest = delay(failures, FIRST, MAX, 0);
            let shortest = delay(failures, FIRST, MAX, u32::MAX);
            let between = delay(failures, FIRST, MAX, u32::MAX / 3);
            assert!(shortest < between && between < longest);
            assert!(shortest >= longest / 2 - Duration::from_micros(1));
        }
    }
}
