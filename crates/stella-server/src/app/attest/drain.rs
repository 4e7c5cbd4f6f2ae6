//! How fast the queue is, by the signatures that came later than their record.

use std::time::Duration;

use stella_core::time::Timestamp;
use stella_store::SignedLater;

/// So many in this time; whichever replica signed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    signed: u64,
    within: Duration,
}

impl Drain {
    /// Since the first of them in the last minute.
    pub fn of(newest: &[SignedLater], now: Timestamp) -> Self {
        let since = now.saturating_sub(WINDOW);
        let late = newest
            .iter()
            .filter(|made| made.signed_at > since && made.signed_at.since(made.created_at) >= LATE)
            .map(|made| made.signed_at);
        let (mut signed, mut first) = (0, now);
        for at in late {
            signed += 1;
            first = first.min(at);
        }
        Self {
            signed,
            within: now.since(first).max(SHORTEST),
        }
    }

    pub fn per_minute(self) -> u64 {
        self.signed * 60_000 / self.millis()
    }

    /// How long it takes for so many more; nothing where none is signed.
    pub fn seconds_for(self, waiting: u64) -> Option<u64> {
        (self.signed > 0 && waiting > 0)
            .then(|| (waiting.saturating_mul(self.millis()) / self.signed).div_ceil(1000))
    }

    fn millis(self) -> u64 {
        u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// Who waits for a signature has it sooner.
const LATE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn made(created: i64, signed: i64) -> SignedLater {
        SignedLater {
            created_at: Timestamp::from_secs(created),
            signed_at: Timestamp::from_secs(signed),
        }
    }

    #[test]
    fn what_came_late_in_the_last_minute_tells_when_the_rest_will_be_signed() {
        let now = Timestamp::from_secs(1000);
        let made = [
            made(999, 999),
            made(900, 990),
            made(900, 985),
            made(900, 980),
            made(1, 930),
        ];
        let drain = Drain::of(&made, now);
        assert_eq!((drain.per_minute(), drain.seconds_for(30)), (9, Some(200)));
        assert_eq!(drain.seconds_for(0), None);
        let idle = Drain::of(&made[..1], now);
        assert_eq!((idle.per_minute(), idle.seconds_for(30)), (0, None));
    }
}
