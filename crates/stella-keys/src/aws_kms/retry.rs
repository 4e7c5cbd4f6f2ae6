//! Which failures are repeated, and after how long: a table without a clock
//! and without dice, both of which come as arguments.

use std::time::Duration;

use super::failure::Kind;

/// How long to wait before the next attempt; `None` to report the failure.
///
/// `failed` attempts were made, `left` is until the deadline, and `chance` is
/// a number from 0 to 1 that spreads those who were throttled together.
pub(super) fn pause(kind: Kind, failed: u32, left: Duration, chance: f64) -> Option<Duration> {
    let most = match kind {
        // The quota's second passes, whatever else is wrong.
        Kind::Throttled => u32::MAX,
        // Answered with a fault of its own, or cut off while it worked on it.
        Kind::Broken | Kind::KeyUnavailable => 3,
        // The deadline of an attempt bounds them already.
        Kind::TimedOut => u32::MAX,
        // A pooled connection that the other side had closed is found out so;
        // beyond that a backup is to take over soon.
        Kind::Unreachable => 2,
        Kind::Unauthenticated | Kind::NotFound | Kind::KeyUnusable | Kind::Quota | Kind::Unexpected => 1,
    };
    if failed >= most {
        return None;
    }
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
    let longest = doubled.min(LONGEST);
    // Never at once, and else anywhere: those who failed together spread out.
    let pause = longest.mul_f64(0.25 + 0.75 * chance.clamp(0.0, 1.0));
    (pause + WORTHWHILE <= left).then_some(pause)
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// An attempt with less time than this is not begun.
const WORTHWHILE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pauses(kind: Kind, chance: f64) -> Vec<Duration> {
        (1..=10)
            .map_while(|failed| pause(kind, failed, LONG, chance))
            .collect()
    }

    #[test]
    fn throttling_is_repeated_with_longer_pauses_up_to_a_longest() {
        let pauses = pauses(Kind::Throttled, 1.0);
        assert_eq!(pauses.len(), 10);
        let millis: Vec<_> = pauses.iter().map(Duration::as_millis).collect();
        assert_eq!(millis[..6], [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(millis[9], 2000);
    }

    #[test]
    fn those_who_were_throttled_together_do_not_come_back_together() {
        let early = pause(Kind::Throttled, 4, LONG, 0.0).expect("a pause");
        let late = pause(Kind::Throttled, 4, LONG, 1.0).expect("a pause");
        assert!(early * 3 < late && !early.is_zero(), "{early:?} {late:?}");
    }

    #[test]
    fn nothing_is_begun_that_cannot_end_before_the_deadline() {
        assert_eq!(pause(Kind::Throttled, 1, Duration::from_millis(149), 1.0), None);
        assert!(pause(Kind::Throttled, 1, Duration::from_millis(150), 1.0).is_some());
        assert_eq!(pause(Kind::Throttled, 1, Duration::ZERO, 0.0), None);
    }

    #[test]
    fn what_a_repetition_cannot_mend_is_reported_at_once() {
        for kind in [
            Kind::Unauthenticated,
            Kind::NotFound,
            Kind::KeyUnusable,
            Kind::Quota,
            Kind::Unexpected,
        ] {
            assert!(pauses(kind, 0.5).is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn an_outage_is_reported_soon_so_that_a_backup_can_sign() {
        assert_eq!(pauses(Kind::Unreachable, 0.5).len(), 1);
        assert_eq!(pauses(Kind::Broken, 0.5).len(), 2);
    }
}
