//! The one place that asks the operating system for the time.

use std::time::{SystemTime, UNIX_EPOCH};

use stella_core::time::{Clock, Timestamp};

/// Between the first release and the year 2100, by which these algorithms
/// will have been replaced.
pub fn is_plausible(now: Timestamp) -> bool {
    const FROM: i64 = 1_735_689_600;
    const TO: i64 = 4_102_444_800;
    (Timestamp::from_secs(FROM)..Timestamp::from_secs(TO)).contains(&now)
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp::from_micros(micros)
    }
}
