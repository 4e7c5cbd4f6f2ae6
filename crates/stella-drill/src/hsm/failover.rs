//! The primary, the key to fall back on, and a breaker between them, at their
//! simplest: after a failure that speaks against the module the primary is
//! left alone, but for one caller at a time who tries it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stella_core::alg::PublicKey;
use stella_keys::{Retry, Sign, SignError, sign_verified};

pub struct Failover {
    primary: Primary,
    backup: Arc<dyn Sign>,
    breaker: Mutex<Breaker>,
}

pub struct Primary {
    pub find: Box<dyn Fn() -> Result<Arc<dyn Sign>, SignError> + Send + Sync>,
    pub public: PublicKey,
}

#[derive(Default)]
struct Breaker {
    /// When the next caller may try.
    open_until: Option<Instant>,
    /// Found on the primary, as long as it signs.
    key: Option<Arc<dyn Sign>>,
}

/// What came of one request.
pub struct Answer {
    /// What the primary said, where it was asked and did not sign.
    pub primary: Option<Result<(), SignError>>,
    /// Whichever key signed.
    pub signature: Result<Vec<u8>, SignError>,
}

impl Failover {
    pub fn new(primary: Primary, backup: Arc<dyn Sign>) -> Self {
        Self {
            primary,
            backup,
            breaker: Mutex::default(),
        }
    }

    pub fn public_key(&self) -> &PublicKey {
        &self.primary.public
    }

    pub fn is_open(&self) -> bool {
        self.breaker().open_until.is_some()
    }

    pub fn sign(&self, message: &[u8]) -> Answer {
        let mut primary = None;
        if self.may_try() {
            match self.try_primary(message) {
                Ok(signature) => {
                    self.breaker().open_until = None;
                    return Answer {
                        primary: Some(Ok(())),
                        signature: Ok(signature),
                    };
                }
                Err(e) => {
                    let mut breaker = self.breaker();
                    // The next caller asks for the key again.
                    breaker.key = None;
                    if speaks_against_the_module(&e) {
                        breaker.open_until = Some(Instant::now() + PAUSE);
                    }
                    primary = Some(Err(e));
                }
            }
        }
        let signature = sign_verified(&*self.backup, message).map(|signature| signature.into_bytes());
        Answer { primary, signature }
    }

    fn try_primary(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let known = self.breaker().key.clone();
        let key = match known {
            Some(key) => key,
            None => {
                let key = (self.primary.find)()?;
                self.breaker().key = Some(Arc::clone(&key));
                key
            }
        };
        sign_verified(&*key, message).map(|signature| signature.into_bytes())
    }

    fn may_try(&self) -> bool {
        let mut breaker = self.breaker();
        match breaker.open_until {
            None => true,
            Some(until) if until > Instant::now() => false,
            Some(_) => {
                breaker.open_until = Some(Instant::now() + PAUSE);
                true
            }
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn speaks_against_the_module(e: &SignError) -> bool {
    e.retry() == Retry::Later || matches!(e, SignError::DoesNotVerify)
}

const PAUSE: Duration = Duration::from_millis(50);
