//! Callers that sign all the time, and what became of their requests.

use std::collections::BTreeMap;
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
    errors: BTreeMap<String, u64>,
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

impl Seen {
    /// The error that was seen most often; that the drill killed the worker
    /// only when there was no other.
    pub fn mostly(&self) -> Option<String> {
        let told = |error: &str| !error.contains("SIGKILL");
        let most = self
            .errors
            .iter()
            .max_by_key(|(error, times)| (told(error), **times));
        most.map(|(error, _)| error.clone())
    }
}

/// Each waits for another time.
fn without_wait(error: &str) -> String {
    match error.split_once("its next start is in ") {
        Some((what, _)) => what.trim_end_matches([':', ';', ' ']).to_owned(),
        None => error.to_owned(),
    }
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
                    *seen.errors.entry(without_wait(&e.to_string())).or_default() += 1;
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

#[cfg(test)]
mod tests {
    use stella_keys::hsm::{ErrorClass, HsmError};
    use stella_keys::software::{SoftwareKey, SoftwareStore};
    use stella_keys::{Generate, Sign, SignError, StoreDescription};

    use super::super::failover::Primary;
    use super::*;

    fn key() -> SoftwareKey {
        SoftwareStore
            .generate("p256".parse().expect("algorithm"))
            .expect("key")
    }

    /// Says that it is one key and signs with another.
    struct Swapped(SoftwareKey, SoftwareKey);

    impl Sign for Swapped {
        fn public_key(&self) -> &stella_core::alg::PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignError> {
            self.1.sign(message)
        }

        fn describe(&self) -> StoreDescription {
            self.1.describe()
        }
    }

    fn load(public: &SoftwareKey, backup: impl Sign + 'static) -> Seen {
        let down = || Err(HsmError::new(ErrorClass::Module, "primary", "it is down").into());
        let primary = Primary {
            find: Box::new(down),
            public: public.public_key().clone(),
        };
        let load = Load::new(Arc::new(Failover::new(primary, Arc::new(backup))), 2);
        load.while_it_runs(|load| {
            while load.seen().errors.is_empty()
                || load.seen().signed + load.seen().lost + load.seen().wrong < 10
            {
                thread::yield_now();
            }
            Ok(load.seen())
        })
        .expect("it goes on")
    }

    /// A drill that could not find a loss would prove nothing.
    #[test]
    fn a_request_that_no_key_answers_is_counted_as_lost_and_another_keys_signature_as_wrong() {
        let right = key();
        let seen = load(&right, Swapped(key(), key()));
        assert!(seen.lost >= 10 && seen.signed == 0, "{seen:?}");
        let seen = load(&right, key());
        assert!(seen.wrong >= 10 && seen.signed == 0, "{seen:?}");
        assert_eq!(
            seen.mostly().as_deref(),
            Some("the key store is unavailable: HSM unavailable: module \"primary\": it is down")
        );
    }
}
