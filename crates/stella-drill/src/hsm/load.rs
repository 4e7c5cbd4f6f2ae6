//! Callers that sign all the time, and what became of their requests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::failover::Failover;
use crate::{Result, Stuck};

pub struct Load {
    failover: Arc<Failover>,
    callers: usize,
    over: AtomicBool,
    number: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub error: Option<String>,
    /// From the first failure of the primary to the next signature.
    pub again: Duration,
    pub longest: Duration,
    pub signed: u64,
    pub lost: u64,
    pub wrong: u64,
    failed_first: Option<Instant>,
    signed_after: bool,
    /// When requests began that the primary signed.
    primary: Option<(Instant, Instant)>,
}

impl Load {
    pub fn new(failover: Arc<Failover>, callers: usize) -> Self {
        Self {
            failover,
            callers,
            over: AtomicBool::new(false),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    pub fn while_it_runs<R>(&self, act: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        /// They end however `act` does.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        thread::scope(|scope| {
            let end = End(&self.over);
            let callers: Vec<_> = (0..self.callers).map(|_| scope.spawn(|| self.call())).collect();
            let done = act(self);
            drop(end);
            for caller in callers {
                caller.join().map_err(|_| Stuck("a caller panicked".to_owned()))?;
            }
            done
        })
    }

    /// Counts from here on.
    pub fn begin(&self) {
        *self.lock() = Seen::default();
    }

    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// How long after `since` the primary signed a request that came later.
    pub fn primary_signed_since(&self, since: Instant) -> Option<Duration> {
        let (began, signed) = self.lock().primary?;
        (began >= since).then(|| signed.saturating_duration_since(since))
    }

    fn call(&self) {
        while !self.over.load(Ordering::SeqCst) {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let message = format!("request {number}");
            let began = Instant::now();
            let answer = self.failover.sign(message.as_bytes());
            let ended = Instant::now();
            // Judged here once more: what is handed out counts.
            let verifies = |signature: &Vec<u8>| {
                let key = self.failover.public_key();
                key.verify(message.as_bytes(), signature).is_ok()
            };
            let right = answer.signature.as_ref().map(verifies);
            {
                let mut seen = self.lock();
                seen.longest = seen.longest.max(ended - began);
                if let Some(Err(e)) = &answer.primary {
                    seen.error.get_or_insert_with(|| e.to_string());
                    // It was asked before anybody fell back.
                    seen.failed_first.get_or_insert(began);
                }
                if let (Some(Ok(())), true) = (&answer.primary, right == Ok(true)) {
                    seen.primary = Some((began, ended));
                }
                match right {
                    Ok(true) => seen.signed += 1,
                    Ok(false) => seen.wrong += 1,
                    Err(_) => seen.lost += 1,
                }
                if let (Some(failed), true, false) = (seen.failed_first, right == Ok(true), seen.signed_after)
                {
                    seen.again = ended.saturating_duration_since(failed);
                    seen.signed_after = true;
                }
            }
            thread::sleep(PAUSE);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two requests of a caller: the drill is about faults, not speed.
const PAUSE: Duration = Duration::from_millis(1);
