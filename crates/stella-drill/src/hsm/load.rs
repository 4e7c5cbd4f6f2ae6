//! Callers that have statements signed all the time, and what became of those.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Answer, By, Signing};
use crate::Result;
use crate::hands::{Hand, while_they_work};

pub struct Load<'a> {
    signing: &'a dyn Signing,
    callers: usize,
    over: AtomicBool,
    number: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub longest: Duration,
    pub signed: u64,
    /// By the key that stands by.
    pub stood_in: u64,
    /// Acknowledged without a signature: still to be signed.
    pub recorded: Vec<(String, u64)>,
    /// Why the first of those was.
    pub why: Option<String>,
    pub lost: Vec<String>,
    pub wrong: u64,
    /// When the standby key first signed, and who signed last.
    pub backup_first: Option<Instant>,
    pub last: Option<By>,
    /// When the newest request began that the primary signed, and was signed.
    primary: Option<(Instant, Instant)>,
}

impl<'a> Load<'a> {
    pub fn new(signing: &'a dyn Signing, callers: usize) -> Self {
        Self {
            signing,
            callers,
            over: AtomicBool::new(false),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    pub fn while_it_runs<R>(&self, act: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let call = |_| Box::new(|| self.call()) as Hand<'_>;
        let callers = (0..self.callers).map(call).collect();
        while_they_work(&self.over, callers, || act(self))
    }

    /// Counts from here on.
    pub fn begin(&self) {
        *self.lock() = Seen::default();
    }

    /// All of it once nobody calls any more: what was recorded has been signed
    /// by then, or is lost.
    pub fn ended(&self, patience: Duration) -> Seen {
        let mut seen = self.lock().clone();
        let until = Instant::now() + patience;
        for (id, number) in &seen.recorded {
            loop {
                match self.signing.is_right(id, *number) {
                    Some(true) => break,
                    Some(false) => {
                        seen.wrong += 1;
                        break;
                    }
                    None if Instant::now() < until => thread::sleep(AGAIN),
                    None => {
                        seen.lost.push(format!("{id} was recorded and is not signed"));
                        break;
                    }
                }
            }
        }
        seen
    }

    /// How long after `since` that key signed a request that came later.
    pub fn primary_signed_since(&self, since: Instant) -> Option<Duration> {
        let (began, signed) = self.lock().primary?;
        (began >= since).then(|| signed.saturating_duration_since(since))
    }

    pub fn backup_signs(&self) -> bool {
        self.lock().last == Some(By::Backup)
    }

    fn call(&self) {
        while !self.over.load(Ordering::SeqCst) {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let answer = self.signing.attest(number);
            let ended = Instant::now();
            // Judged here once more: what is handed out counts.
            let right = match &answer {
                Answer::Signed { id, .. } => self.signing.is_right(id, number),
                _ => None,
            };
            {
                let mut seen = self.lock();
                seen.longest = seen.longest.max(ended - began);
                match answer {
                    Answer::Signed { by, .. } if right == Some(true) => {
                        seen.signed += 1;
                        seen.last = Some(by);
                        match by {
                            By::Primary => seen.primary = Some((began, ended)),
                            By::Backup => {
                                seen.stood_in += 1;
                                seen.backup_first.get_or_insert(ended);
                            }
                        }
                    }
                    Answer::Signed { .. } => seen.wrong += 1,
                    Answer::Recorded { id, why } => {
                        seen.recorded.push((id, number));
                        seen.why.get_or_insert(why);
                    }
                    Answer::Nothing(why) => seen.lost.push(why),
                }
            }
            thread::sleep(PAUSE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two requests of a caller: the drill is about faults, not speed.
const PAUSE: Duration = Duration::from_millis(1);
const AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        answer: Answer,
        right: Option<bool>,
    }

    impl Signing for Fixed {
        fn attest(&self, _: u64) -> Answer {
            self.answer.clone()
        }

        fn is_right(&self, _: &str, _: u64) -> Option<bool> {
            self.right
        }
    }

    fn seen(answer: Answer, right: Option<bool>) -> Seen {
        let signing = Fixed { answer, right };
        let load = Load::new(&signing, 2);
        load.while_it_runs(|load| {
            while load.number.load(Ordering::Relaxed) < 10 {
                thread::yield_now();
            }
            Ok(())
        })
        .expect("it goes on");
        load.ended(Duration::ZERO)
    }

    /// A drill that could not find a loss would prove nothing.
    #[test]
    fn what_nobody_has_is_lost_and_what_does_not_verify_is_wrong() {
        let id = || "01".to_owned();
        let by = By::Primary;
        let good = seen(Answer::Signed { id: id(), by }, Some(true));
        assert!(
            good.signed >= 10 && good.lost.is_empty() && good.wrong == 0,
            "{good:?}"
        );
        let wrong = seen(Answer::Signed { id: id(), by }, Some(false));
        assert!(wrong.wrong >= 10 && wrong.signed == 0, "{wrong:?}");
        let unsigned = seen(Answer::Signed { id: id(), by }, None);
        assert!(unsigned.wrong >= 10 && unsigned.signed == 0, "{unsigned:?}");
        let nothing = seen(Answer::Nothing("503".to_owned()), None);
        assert!(nothing.lost.len() >= 10, "{nothing:?}");
        let why = String::new;
        let kept = seen(Answer::Recorded { id: id(), why: why() }, Some(true));
        assert!(kept.recorded.len() >= 10 && kept.lost.is_empty(), "{kept:?}");
        let never = seen(Answer::Recorded { id: id(), why: why() }, None);
        assert!(never.lost.len() >= 10, "{never:?}");
    }
}
