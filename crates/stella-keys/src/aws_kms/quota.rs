//! The account's quota, kept on our side: a bucket of tokens, each of which
//! comes back one second after it was taken. So in no second of ours are there
//! more requests than allowed, and a burst up to that is not slowed down.

use std::collections::VecDeque;
use std::time::Duration;

/// Time is counted from any fixed moment on.
#[derive(Debug)]
pub(super) struct Quota {
    per_second: usize,
    /// When tokens were, and will be, taken; the last second's.
    taken: VecDeque<Duration>,
}

impl Quota {
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: usize::try_from(per_second).unwrap_or(usize::MAX).max(1),
            taken: VecDeque::new(),
        }
    }

    /// Takes a token, and says how long to wait until it is there. `None`, and
    /// no token is taken, when that is longer than `patience`.
    pub fn take(&mut self, now: Duration, patience: Duration) -> Option<Duration> {
        while self.taken.front().is_some_and(|t| *t + SECOND <= now) {
            self.taken.pop_front();
        }
        let at = match self.taken.len().checked_sub(self.per_second) {
            Some(index) => self.taken.get(index).map_or(now, |t| *t + SECOND),
            None => now,
        };
        let wait = at.saturating_sub(now);
        if wait > patience {
            return None;
        }
        self.taken.push_back(at);
        Some(wait)
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: Duration = Duration::from_secs(3600);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_goes_through_at_once_and_what_is_beyond_it_waits() {
        let mut quota = Quota::new(3);
        let waits: Vec<_> = (0..7).map(|_| quota.take(ms(500), PATIENT)).collect();
        let expected = [0, 0, 0, 1000, 1000, 1000, 2000].map(|m| Some(ms(m)));
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_token_comes_back_a_second_after_it_was_taken() {
        let mut quota = Quota::new(2);
        assert_eq!(quota.take(ms(0), PATIENT), Some(ms(0)));
        assert_eq!(quota.take(ms(400), PATIENT), Some(ms(0)));
        assert_eq!(quota.take(ms(700), PATIENT), Some(ms(300)));
        assert_eq!(quota.take(ms(1400), PATIENT), Some(ms(0)));
        assert_eq!(quota.take(ms(1400), PATIENT), Some(ms(600)));
    }

    #[test]
    fn who_cannot_wait_takes_nothing() {
        let mut quota = Quota::new(1);
        assert_eq!(quota.take(ms(0), ms(0)), Some(ms(0)));
        for _ in 0..10 {
            assert_eq!(quota.take(ms(200), ms(799)), None);
        }
        assert_eq!(quota.take(ms(200), ms(800)), Some(ms(800)));
    }

    #[test]
    fn in_no_second_are_there_more_than_allowed_and_a_busy_caller_gets_them_all() {
        let mut quota = Quota::new(10);
        let mut sent = Vec::new();
        // An odd rhythm of callers, over ten seconds.
        for i in 0..2_000_u64 {
            let now = ms(i * 5 + (i * 7919) % 5);
            if let Some(wait) = quota.take(now, ms(50)) {
                sent.push(now + wait);
            }
        }
        for (i, first) in sent.iter().enumerate() {
            if let Some(eleventh) = sent.get(i + 10) {
                assert!(*eleventh >= *first + SECOND, "{first:?} {eleventh:?}");
            }
        }
        assert!((100..=110).contains(&sent.len()), "{}", sent.len());
    }

    #[test]
    fn no_more_than_a_second_is_remembered() {
        let mut quota = Quota::new(u32::MAX);
        for i in 0..10_000 {
            assert_eq!(quota.take(ms(i), PATIENT), Some(ms(0)));
        }
        assert!(quota.taken.len() <= 1_001);
    }
}
