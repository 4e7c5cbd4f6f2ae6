//! What the tests share.

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
pub mod binary;
pub mod certificate;
pub mod postgres;
pub mod token;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use stella_core::time::{Clock, Timestamp};

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    pub fn at(text: &str) -> Self {
        let start: Timestamp = text.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        Self(AtomicI64::new(start.as_micros()))
    }

    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }

    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
