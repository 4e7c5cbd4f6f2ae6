//! Chance that can be had again: a seed makes the same choices, if not the
//! same scheduling.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): good enough to choose instants.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Of `whole` times, `part`.
    pub fn hits(&mut self, part: u64, whole: u64) -> bool {
        self.next() % whole < part
    }

    /// One of so many, which are not none.
    pub fn below(&mut self, many: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(many).unwrap_or(u64::MAX)).unwrap_or_default()
    }

    pub fn within(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.next() % nanos)
    }
}
