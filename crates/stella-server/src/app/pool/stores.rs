//! The key stores that signatures come from, and a breaker for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stella_core::api::hsm::BreakerStatus;
use stella_keys::SignError;
use stella_keys::hsm::{KeyReference, TokenSelector};
use stella_keys::pool::{Breaker, BreakerSettings, BreakerState, Change, Outcome};

/// What was seen of each store since this process began. Every replica finds
/// out for itself.
#[derive(Default)]
pub struct Pool(Mutex<BTreeMap<String, Seen>>);

struct Seen {
    breaker: Breaker,
    /// What it failed with last.
    error: String,
    /// When a probe was begun that has not ended.
    probing: Option<Instant>,
    probed: Option<Instant>,
    /// When the queue may ask it next.
    queue_turn: Option<Instant>,
}

impl Seen {
    fn new(settings: BreakerSettings) -> Self {
        Self {
            breaker: Breaker::new(settings),
            error: String::new(),
            probing: None,
            probed: None,
            queue_turn: None,
        }
    }
}

/// Whether a request or a probe was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Request,
    Probe,
}

/// What comes from outside.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub now: Instant,
    pub random: u32,
    pub settings: BreakerSettings,
}

impl Pool {
    pub fn is_up(&self, store: &str) -> bool {
        self.seen(|all| all.get(store).is_none_or(|seen| seen.breaker.lets_through()))
    }

    /// How it stands, with what it failed with last.
    pub fn state(&self, store: &str, now: Instant) -> (BreakerState, String) {
        self.seen(|all| match all.get(store) {
            Some(seen) => (seen.breaker.state(now), seen.error.clone()),
            None => (BreakerState::Closed, String::new()),
        })
    }

    /// For those who look after it.
    pub fn standing(&self, store: &str, now: Instant) -> BreakerStatus {
        self.seen(|all| {
            let seen = all.get(store);
            let state = seen.map_or(BreakerState::Closed, |seen| seen.breaker.state(now));
            let next = seen.and_then(|seen| seen.breaker.next_probe());
            let since = seen.and_then(|seen| seen.breaker.since());
            BreakerStatus {
                store: store.to_owned(),
                state: match state {
                    BreakerState::Closed => "closed",
                    BreakerState::Open { .. } => "open",
                    BreakerState::HalfOpen { .. } => "half-open",
                }
                .to_owned(),
                seconds: since.map(|since| now.saturating_duration_since(since).as_secs_f64()),
                next_probe_seconds: next.map(|next| next.saturating_duration_since(now).as_secs_f64()),
                error: seen
                    .filter(|seen| !seen.breaker.lets_through() && !seen.error.is_empty())
                    .map(|seen| seen.error.clone()),
            }
        })
    }

    pub(super) fn note(
        &self,
        store: &str,
        asked: Asked,
        outcome: Outcome,
        error: Option<&str>,
        moment: Moment,
    ) -> Option<Change> {
        let Moment {
            now,
            random,
            settings,
        } = moment;
        self.seen(|all| {
            let seen = all.entry(store.to_owned()).or_insert_with(|| Seen::new(settings));
            if let Some(error) = error {
                error.clone_into(&mut seen.error);
            }
            match asked {
                Asked::Request => seen.breaker.request(outcome, now, random),
                Asked::Probe => seen.breaker.probe(outcome, now, random),
            }
        })
    }

    /// Whether it is to be probed now, because it is down or because nobody
    /// did for so long. Who is told so begins, and says when it has ended.
    pub(super) fn begin_probe(&self, store: &str, every: Option<Duration>, moment: Moment) -> bool {
        let Moment { now, settings, .. } = moment;
        self.seen(|all| {
            let seen = all.entry(store.to_owned()).or_insert_with(|| Seen::new(settings));
            let due = match seen.breaker.next_probe() {
                Some(due) => now >= due,
                None => {
                    // The first one is due after a whole interval as well.
                    let last = *seen.probed.get_or_insert(now);
                    every.is_some_and(|every| now.saturating_duration_since(last) >= every)
                }
            };
            let begins = due && seen.probing.is_none();
            if begins {
                seen.probing = Some(now);
            }
            begins
        })
    }

    /// When the queue may ask it, who asks it no more often than this.
    pub(super) fn queue_turn(&self, store: &str, every: Duration, moment: Moment) -> Instant {
        let Moment { now, settings, .. } = moment;
        self.seen(|all| {
            let seen = all.entry(store.to_owned()).or_insert_with(|| Seen::new(settings));
            let turn = seen.queue_turn.map_or(now, |turn| turn.max(now));
            seen.queue_turn = Some(turn + every);
            turn
        })
    }

    pub(super) fn end_probe(&self, store: &str, now: Instant) {
        self.seen(|all| {
            if let Some(seen) = all.get_mut(store) {
                seen.probing = None;
                seen.probed = Some(now);
            }
        });
    }

    /// An operator mended something: everything is tried again at once.
    pub fn close_all(&self, now: Instant) {
        self.seen(|all| {
            for seen in all.values_mut() {
                seen.breaker.close(now);
            }
        });
    }

    /// A module was started anew and proved itself: its tokens are asked again.
    pub fn close_module(&self, module: &str, now: Instant) {
        let tokens = format!("HSM module {module}, ");
        self.seen(|all| {
            for (_, seen) in all.iter_mut().filter(|(store, _)| store.starts_with(&tokens)) {
                seen.breaker.close(now);
            }
        });
    }

    fn seen<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Seen>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The store behind a key-store URI, as it fails and recovers on its own: one
/// token of one module, one local HSM, or KMS. Software does neither.
/// Where a URI names no module, it is the first of the configuration.
pub(super) fn store_of(uri: &str, first_module: Option<&str>) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    match scheme {
        "software" => None,
        "kms" => Some("AWS KMS".to_owned()),
        _ => Some(match uri.parse::<KeyReference>() {
            Ok(at) => {
                let named = at.module.as_ref().map(|m| m.as_str());
                let module = named.or(first_module).unwrap_or("default");
                match at.token {
                    TokenSelector::Slot(slot) => format!("HSM module {module}, slot {slot}"),
                    TokenSelector::Token { label, serial } => {
                        let serial = serial.map(|s| format!(" ({s})")).unwrap_or_default();
                        format!("HSM module {module}, token {label}{serial}")
                    }
                }
            }
            Err(_) => format!("HSM {}", rest.split('?').next().unwrap_or(rest)),
        }),
    }
}

/// What a request's failure says about the store; nothing where it is about
/// the key, the message or the PIN, which no waiting mends.
pub(super) fn of_request(error: &SignError) -> Option<Outcome> {
    match error {
        SignError::TimedOut(_) => Some(Outcome::Hung),
        SignError::Unavailable(_) | SignError::DoesNotVerify => Some(Outcome::Failed),
        SignError::Unauthenticated(_)
        | SignError::KeyMissing(_)
        | SignError::Refused(_)
        | SignError::MessageTooLarge { .. }
        | SignError::Internal(_) => None,
    }
}

/// What a probe's failure says: a store that does not let us in is not back.
/// One that misses a key answers.
pub(super) fn of_probe(error: &SignError) -> Outcome {
    match error {
        SignError::TimedOut(_) => Outcome::Hung,
        SignError::Unavailable(_)
        | SignError::DoesNotVerify
        | SignError::Unauthenticated(_)
        | SignError::Internal(_) => Outcome::Failed,
        SignError::KeyMissing(_) | SignError::Refused(_) | SignError::MessageTooLarge { .. } => Outcome::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_on_one_token_share_a_store_and_tokens_do_not() {
        let of = |uri| store_of(uri, Some("primary"));
        let a = of("hsm://pkcs11/token/prod?object=fips-a&id=%01");
        assert_eq!(a.as_deref(), Some("HSM module primary, token prod"));
        assert_eq!(of("hsm://pkcs11/token/prod?module=primary&object=fips-b"), a);
        assert_ne!(of("hsm://pkcs11/token/other?object=fips-a"), a);
        assert_ne!(of("hsm://pkcs11/token/prod?module=backup"), a);
        assert_eq!(of("hsm://local/gost").as_deref(), Some("HSM local/gost"));
        assert_eq!(of("kms://aws/key/a"), of("kms://aws/key/b"));
        assert_eq!(of("software://"), None);
    }

    fn at(start: Instant, seconds: u64) -> Moment {
        Moment {
            now: start + Duration::from_secs(seconds),
            random: 0,
            settings: BreakerSettings::default(),
        }
    }

    #[test]
    fn a_healthy_store_is_probed_each_interval_and_never_twice_at_once() {
        let pool = Pool::default();
        let start = Instant::now();
        let every = Some(Duration::from_secs(60));
        assert!(!pool.begin_probe("s", every, at(start, 0)));
        assert!(!pool.begin_probe("s", None, at(start, 600)), "keep-alive is off");
        assert!(pool.begin_probe("s", every, at(start, 60)));
        assert!(!pool.begin_probe("s", every, at(start, 600)), "one is under way");
        pool.end_probe("s", at(start, 601).now);
        assert!(!pool.begin_probe("s", every, at(start, 660)));
        assert!(pool.begin_probe("s", every, at(start, 661)));
    }

    #[test]
    fn a_store_that_is_down_is_probed_even_without_keep_alive() {
        let pool = Pool::default();
        let start = Instant::now();
        let no_answer = Some("no answer");
        let change = pool.note("s", Asked::Request, Outcome::Hung, no_answer, at(start, 0));
        assert_eq!(change, Some(Change::Opened));
        assert!(!pool.is_up("s"));
        assert_eq!(pool.state("s", start).1, "no answer");
        assert!(!pool.begin_probe("s", None, at(start, 0)));
        assert!(pool.begin_probe("s", None, at(start, 1)));
        pool.close_all(start);
        assert!(pool.is_up("s"));
        for store in ["HSM module a, token t", "HSM module ab, token t"] {
            pool.note(store, Asked::Request, Outcome::Hung, no_answer, at(start, 0));
        }
        pool.close_module("a", start);
        assert!(pool.is_up("HSM module a, token t"));
        assert!(!pool.is_up("HSM module ab, token t"));
    }
}
