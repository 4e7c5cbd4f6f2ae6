//! A circuit breaker for one key store: after some failures nothing is sent
//! there but probes, until several of those in a row were good.

use std::time::{Duration, Instant};

/// Settings under `signing.breaker.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// In a row, after which it opens. A request that hung opens it at once.
    pub failures: u32,
    /// In a row, after which it closes: the K of failing back.
    pub good_probes: u32,
    /// From opening to the first probe; doubled with each bad one.
    pub first_pause: Duration,
    pub max_pause: Duration,
    /// Between good probes.
    pub probe_interval: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            good_probes: 3,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(30),
            probe_interval: Duration::from_secs(1),
        }
    }
}

/// What a request or a probe showed of the store. What speaks only against
/// the request (a message too long, a key that is not there) is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Failed,
    /// Worse: whoever comes next would wait as long.
    Hung,
}

/// A step that is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Opened,
    Closed,
}

/// As it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    /// Left alone for so long from the moment of asking.
    Open {
        probe_in: Duration,
    },
    /// So many good probes are there, and so many are wanted.
    HalfOpen {
        good: u32,
        wanted: u32,
    },
}

#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    /// When it last opened or closed.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed {
        failures: u32,
    },
    Open {
        good: u32,
        bad: u32,
        next_probe: Instant,
    },
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            phase: Phase::Closed { failures: 0 },
            since: None,
        }
    }

    /// When it last opened or closed.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether requests may go there. Those of users are never the probes:
    /// whoever waits for a signature is not made to find out.
    pub fn lets_through(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// When somebody should probe; never while it is closed.
    pub fn next_probe(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { next_probe, .. } => Some(next_probe),
        }
    }

    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { good, .. } if good > 0 => BreakerState::HalfOpen {
                good,
                wanted: self.wanted(),
            },
            Phase::Open { next_probe, .. } => BreakerState::Open {
                probe_in: next_probe.saturating_duration_since(now),
            },
        }
    }

    /// A request of a user came back. While it is open these are the late
    /// ones, sent before, and tell nothing new.
    pub fn request(&mut self, outcome: Outcome, now: Instant, random: u32) -> Option<Change> {
        let Phase::Closed { failures } = &mut self.phase else {
            return None;
        };
        match outcome {
            Outcome::Good => *failures = 0,
            Outcome::Failed => *failures = failures.saturating_add(1),
            Outcome::Hung => *failures = u32::MAX,
        }
        if *failures < self.settings.failures.max(1) {
            return None;
        }
        self.open(0, now, random);
        self.since = Some(now);
        Some(Change::Opened)
    }

    /// A probe came back. While it is closed it counts like a request.
    pub fn probe(&mut self, outcome: Outcome, now: Instant, random: u32) -> Option<Change> {
        let Phase::Open { good, bad, .. } = self.phase else {
            return self.request(outcome, now, random);
        };
        if outcome != Outcome::Good {
            self.open(bad.saturating_add(1), now, random);
            return None;
        }
        let good = good.saturating_add(1);
        if good >= self.wanted() {
            self.phase = Phase::Closed { failures: 0 };
            self.since = Some(now);
            return Some(Change::Closed);
        }
        self.phase = Phase::Open {
            good,
            bad,
            next_probe: now + self.settings.probe_interval,
        };
        None
    }

    /// An operator says that it is well again: requests go there at once.
    pub fn close(&mut self, now: Instant) -> Option<Change> {
        let was_open = !self.lets_through();
        self.phase = Phase::Closed { failures: 0 };
        if was_open {
            self.since = Some(now);
        }
        was_open.then_some(Change::Closed)
    }

    fn open(&mut self, bad: u32, now: Instant, random: u32) {
        let whole = 2_u32
            .checked_pow(bad)
            .and_then(|factor| self.settings.first_pause.checked_mul(factor))
            .unwrap_or(self.settings.max_pause)
            .min(self.settings.max_pause);
        // A part is left out, so that many replicas do not probe in step.
        let pause = whole - (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
        self.phase = Phase::Open {
            good: 0,
            bad,
            next_probe: now + pause,
        };
    }

    fn wanted(&self) -> u32 {
        self.settings.good_probes.max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 3,
        good_probes: 2,
        first_pause: Duration::from_secs(1),
        max_pause: Duration::from_secs(8),
        probe_interval: Duration::from_millis(100),
    };

    #[test]
    fn an_outage_from_its_first_failure_to_the_way_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(SETTINGS);
        assert_eq!(breaker.request(Outcome::Failed, start, 0), None);
        assert_eq!(breaker.request(Outcome::Failed, start, 0), None);
        assert!(breaker.lets_through());
        assert_eq!(breaker.request(Outcome::Failed, start, 0), Some(Change::Opened));
        assert!(!breaker.lets_through());
        assert_eq!(breaker.since(), Some(start));
        assert_eq!(breaker.next_probe(), Some(at(1)));
        // One that was sent before comes back late.
        assert_eq!(breaker.request(Outcome::Good, at(1), 0), None);
        assert!(!breaker.lets_through());

        assert_eq!(breaker.probe(Outcome::Hung, at(1), 0), None);
        assert_eq!(breaker.next_probe(), Some(at(3)), "the pause has doubled");
        assert_eq!(breaker.probe(Outcome::Good, at(3), 0), None);
        assert_eq!(
            breaker.state(at(3)),
            BreakerState::HalfOpen { good: 1, wanted: 2 }
        );
        assert_eq!(breaker.probe(Outcome::Failed, at(4), 0), None);
        assert_eq!(
            breaker.state(at(4)),
            BreakerState::Open {
                probe_in: Duration::from_secs(4)
            },
            "one good probe between bad ones is none"
        );
        assert_eq!(breaker.probe(Outcome::Good, at(8), 0), None);
        assert_eq!(breaker.probe(Outcome::Good, at(9), 0), Some(Change::Closed));
        assert!(breaker.lets_through());
        assert_eq!(breaker.state(at(9)), BreakerState::Closed);
        assert_eq!(breaker.since(), Some(at(9)));
    }

    #[test]
    fn a_request_that_hung_is_the_last_that_does() {
        let now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        assert_eq!(breaker.request(Outcome::Hung, now, 0), Some(Change::Opened));
    }

    #[test]
    fn failures_with_a_success_between_them_are_no_outage() {
        let now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..100 {
            breaker.request(Outcome::Failed, now, 0);
            breaker.request(Outcome::Failed, now, 0);
            breaker.request(Outcome::Good, now, 0);
        }
        assert!(breaker.lets_through());
    }

    #[test]
    fn an_operators_word_closes_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        assert_eq!(breaker.close(now), None);
        breaker.request(Outcome::Hung, now, 0);
        assert_eq!(breaker.close(now), Some(Change::Closed));
        assert_eq!(
            breaker.request(Outcome::Failed, now, 0),
            None,
            "with a clean slate"
        );
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Request(Outcome),
        Probe(Outcome),
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            2 => Just(Outcome::Good),
            1 => Just(Outcome::Failed),
            1 => Just(Outcome::Hung),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![outcome().prop_map(Step::Request), outcome().prop_map(Step::Probe)]
    }

    proptest! {
        /// Whatever happened: it opens and closes in turns, closes only after
        /// good probes in a row, waits no longer than its bound, and comes
        /// back once the store is well.
        #[test]
        fn it_is_left_alone_and_comes_back(
            steps in prop::collection::vec((step(), any::<u32>(), 0_u64..5_000), 0..60),
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(SETTINGS);
            let mut good_in_a_row = 0;
            for (step, random, millis) in steps {
                now += Duration::from_millis(millis);
                let was_closed = breaker.lets_through();
                let change = match step {
                    Step::Request(outcome) => breaker.request(outcome, now, random),
                    Step::Probe(outcome) => breaker.probe(outcome, now, random),
                };
                if let (Step::Probe(outcome), false) = (step, was_closed) {
                    good_in_a_row = if outcome == Outcome::Good { good_in_a_row + 1 } else { 0 };
                }
                match change {
                    Some(Change::Opened) => {
                        prop_assert!(was_closed && !breaker.lets_through());
                        good_in_a_row = 0;
                    }
                    Some(Change::Closed) => {
                        prop_assert!(!was_closed && breaker.lets_through());
                        prop_assert_eq!(good_in_a_row, SETTINGS.good_probes);
                    }
                    None => prop_assert_eq!(was_closed, breaker.lets_through()),
                }
                if let Some(next) = breaker.next_probe() {
                    prop_assert!(next <= now + SETTINGS.max_pause);
                }
            }
            for _ in 0..SETTINGS.good_probes {
                if let Some(next) = breaker.next_probe() {
                    now = now.max(next);
                    breaker.probe(Outcome::Good, now, 0);
                }
            }
            prop_assert!(breaker.lets_through());
        }

        #[test]
        fn chance_shortens_a_pause_by_half_at_most(random: u32, bad in 0_u32..40) {
            let now = Instant::now();
            let mut breaker = Breaker::new(SETTINGS);
            breaker.open(bad, now, random);
            let pause = breaker.next_probe().expect("open").duration_since(now);
            breaker.open(bad, now, 0);
            let whole = breaker.next_probe().expect("open").duration_since(now);
            prop_assert!(whole <= SETTINGS.max_pause);
            prop_assert!(pause <= whole && pause >= whole / 2 - Duration::from_nanos(1));
        }
    }
}
