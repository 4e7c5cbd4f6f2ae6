//! The asking end. Any number of threads ask at once, and there is no thread
//! in between: of those that wait, one reads for all (the leader), and hands
//! its place on when it has its own answer. A request alone thus wakes nobody
//! but the worker and itself.
//!
//! To questions that were left ([`Link::ask`]) the
//! [attendant](super::attendant) sees.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::attendant::{self, Bell};
use super::frame::{FrameReader, FrameWriter, Header, Kind, MAX_SHORT_BODY};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub kind: Kind,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The deadline of this very request passed.
    TimedOut,
    /// The link was broken off, by the end of the worker or by
    /// [`Link::break_off`].
    Broken,
}

pub type Outcome = Result<Answer, NoAnswer>;

/// Called once, on whatever thread has the outcome; it is not to wait.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

pub struct Link {
    ends: Arc<Ends>,
}

/// What callers and the attendant share.
pub(super) struct Ends {
    stream: UnixStream,
    writer: FrameWriter,
    /// Held by the leader, and by nobody else for long.
    reader: Mutex<FrameReader>,
    inbox: Mutex<Inbox>,
    next_id: AtomicU64,
    /// There from when a question is first left.
    pub attendant: Mutex<Option<Bell>>,
}

#[derive(Default)]
pub(super) struct Inbox {
    waiting: HashMap<u64, Waiter>,
    /// How many of those left their question.
    pub left: usize,
    pub leading: bool,
    pub broken: bool,
}

enum Waiter {
    Thread(Arc<Waiting>),
    Left { deadline: Instant, done: Done },
}

/// A thread that waits.
struct Waiting {
    thread: Thread,
    outcome: Mutex<Option<Outcome>>,
}

impl Waiting {
    fn take(&self) -> Option<Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Waiter {
    fn give(self, outcome: Outcome) {
        match self {
            Self::Thread(waiting) => {
                *waiting.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                waiting.thread.unpark();
            }
            Self::Left { done, .. } => done(outcome),
        }
    }
}

impl Inbox {
    fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.waiting.remove(&id);
        self.left -= usize::from(matches!(waiter, Some(Waiter::Left { .. })));
        waiter
    }
}

impl Link {
    /// `write_timeout` bounds the writing of one batch of requests.
    pub fn new(stream: UnixStream, write_timeout: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(write_timeout))?;
        let ends = Ends {
            writer: FrameWriter::new(stream.try_clone()?),
            reader: Mutex::new(FrameReader::new(stream.try_clone()?, MAX_SHORT_BODY)),
            stream,
            inbox: Mutex::default(),
            next_id: AtomicU64::new(1),
            attendant: Mutex::default(),
        };
        Ok(Self { ends: Arc::new(ends) })
    }

    /// Asks and waits for the answer until the deadline.
    pub fn call(&self, kind: Kind, body: &[&[u8]], deadline: Instant) -> Outcome {
        let ends = &*self.ends;
        let id = ends.next_id.fetch_add(1, Ordering::Relaxed);
        let waiting = Arc::new(Waiting {
            thread: thread::current(),
            outcome: Mutex::default(),
        });
        {
            let mut inbox = ends.inbox();
            if inbox.broken {
                return Err(NoAnswer::Broken);
            }
            inbox.waiting.insert(id, Waiter::Thread(Arc::clone(&waiting)));
        }
        if ends.writer.send(Header { id, kind }, body).is_err() {
            ends.break_off();
        }
        loop {
            if let Some(outcome) = waiting.take() {
                return outcome;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // An answer that came in this very moment is good.
                ends.inbox().remove(id);
                return waiting.take().unwrap_or(Err(NoAnswer::TimedOut));
            }
            let mut inbox = ends.inbox();
            if inbox.leading || inbox.broken {
                drop(inbox);
                thread::park_timeout(left);
            } else {
                inbox.leading = true;
                drop(inbox);
                let own = ends.lead(id, deadline);
                ends.stop_leading(id);
                if let Some(outcome) = own {
                    return outcome;
                }
            }
        }
    }

    /// Asks and does not wait: `done` hears the outcome, whatever it is. False
    /// when it cannot be asked so, and `done` hears nothing.
    ///
    /// What is asked so is short, and there is not much of it at a time: the
    /// caller must not wait for the far end to read.
    pub fn ask(&self, kind: Kind, body: &[&[u8]], deadline: Instant, done: Done) -> bool {
        let ends = &*self.ends;
        if body.iter().map(|part| part.len()).sum::<usize>() > SHORT {
            return false;
        }
        let Some(bell) = attendant::bell(&self.ends) else {
            return false;
        };
        let id = ends.next_id.fetch_add(1, Ordering::Relaxed);
        let first = {
            let mut inbox = ends.inbox();
            if inbox.broken || inbox.left >= MOST_LEFT {
                return false;
            }
            inbox.waiting.insert(id, Waiter::Left { deadline, done });
            inbox.left += 1;
            inbox.left == 1
        };
        if ends.writer.send(Header { id, kind }, body).is_err() {
            ends.break_off();
        }
        if first {
            bell.ring();
        }
        true
    }

    /// Everybody who waits is answered with [`NoAnswer::Broken`], now and
    /// ever after.
    pub fn break_off(&self) {
        self.ends.break_off();
    }

    /// No more requests will come: the worker ends when it has answered.
    pub fn finish(&self) {
        let _ = self.ends.stream.shutdown(Shutdown::Write);
    }

    pub fn is_broken(&self) -> bool {
        self.ends.inbox().broken
    }

    pub fn in_flight(&self) -> usize {
        self.ends.inbox().waiting.len()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ends.break_off();
    }
}

impl Inbox {
    /// A thread that waits, other than the caller of `id`.
    fn another(&self, id: u64) -> Option<Thread> {
        self.waiting.iter().find_map(|(waiting, waiter)| match waiter {
            Waiter::Thread(other) if *waiting != id => Some(other.thread.clone()),
            _ => None,
        })
    }

    /// Takes out those who left a question whose deadline has passed.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Done> {
        let late = |(id, waiter): (&u64, &Waiter)| match waiter {
            Waiter::Left { deadline, .. } if *deadline <= now => Some(*id),
            _ => None,
        };
        let ids: Vec<u64> = self.waiting.iter().filter_map(late).collect();
        let taken = ids.into_iter().filter_map(|id| self.remove(id));
        taken
            .filter_map(|waiter| match waiter {
                Waiter::Left { done, .. } => Some(done),
                Waiter::Thread(_) => None,
            })
            .collect()
    }
}

impl Ends {
    pub(super) fn break_off(&self) {
        let waiting = {
            let mut inbox = self.inbox();
            inbox.broken = true;
            inbox.left = 0;
            std::mem::take(&mut inbox.waiting)
        };
        // Wakes the leader and whoever writes.
        let _ = self.stream.shutdown(Shutdown::Both);
        for waiter in waiting.into_values() {
            waiter.give(Err(NoAnswer::Broken));
        }
        self.ring();
    }

    fn ring(&self) {
        let bell = self
            .attendant
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(bell) = bell {
            bell.ring();
        }
    }

    /// Another goes on reading, but not the caller of `id`, who may have
    /// waited long enough.
    pub(super) fn stop_leading(&self, id: u64) {
        let mut inbox = self.inbox();
        inbox.leading = false;
        let (left, next) = (inbox.left, inbox.another(id));
        drop(inbox);
        if left > 0 {
            self.ring();
        }
        if let Some(next) = next {
            next.unpark();
        }
    }

    /// Reads and hands out answers until that of `id` came, or the deadline.
    fn lead(&self, id: u64, deadline: Instant) -> Option<Outcome> {
        let mut reader = self.reader();
        reader.wait(true);
        // The stream's timeout is of each read: answers to others must not
        // put the end off again and again.
        let mut timeout_set = None;
        let mut own = None;
        // Those that are here already are handed out before it leaves.
        while own.is_none() || reader.has_frame() {
            let now = Instant::now();
            if timeout_set.is_none_or(|at| now.saturating_duration_since(at) > OVERDUE) {
                let left = deadline.saturating_duration_since(now);
                if left.is_zero() && !reader.has_frame() {
                    break;
                }
                if reader
                    .stream()
                    .set_read_timeout(Some(left.max(SHORTEST)))
                    .is_err()
                {
                    self.break_off();
                    return None;
                }
                timeout_set = Some(now);
            }
            match Read::from(&mut reader) {
                Read::One(read, answer) if read == id => {
                    self.inbox().remove(id);
                    own = Some(Ok(answer));
                }
                Read::One(other, answer) => self.hand_out(other, answer),
                Read::Nothing => break,
                Read::Broken => {
                    self.break_off();
                    break;
                }
            }
        }
        own
    }

    pub(super) fn hand_out(&self, id: u64, answer: Answer) {
        let waiter = self.inbox().remove(id);
        // There is none when its deadline passed meanwhile.
        if let Some(waiter) = waiter {
            waiter.give(Ok(answer));
        }
    }

    pub(super) fn stream(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    pub(super) fn reader(&self) -> MutexGuard<'_, FrameReader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) enum Read {
    One(u64, Answer),
    /// Not in the time that the reader waits.
    Nothing,
    Broken,
}

impl Read {
    pub(super) fn from(reader: &mut FrameReader) -> Self {
        let mut body = Vec::new();
        match reader.next(&mut body) {
            Ok(Some(Header { id, kind })) => Self::One(id, Answer { kind, body }),
            Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::TimedOut => Self::Nothing,
            Ok(None) | Err(_) => Self::Broken,
        }
    }
}

/// By so much a leader may overstay, and no more.
const OVERDUE: Duration = Duration::from_millis(5);
/// A timeout of nothing would be none.
const SHORTEST: Duration = Duration::from_micros(1);
/// So much is asked without waiting, and so often at once, that the socket's
/// buffer (208 KiB where nobody changed it) takes it though nobody reads.
const SHORT: usize = 1 << 10;
const MOST_LEFT: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const ECHO: Kind = Kind::new(1);
    const LONG: Duration = Duration::from_secs(30);

    fn link() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        (Link::new(ours, LONG).expect("link"), theirs)
    }

    /// Answers with what it was asked, always the later of two first; an
    /// empty question is answered at once, and so is what was held back.
    fn echo(stream: UnixStream) {
        let writer = FrameWriter::new(stream.try_clone().expect("clone"));
        let mut reader = FrameReader::new(stream, 1000);
        let mut held: Option<(Header, Vec<u8>)> = None;
        let mut body = Vec::new();
        while let Ok(Some(header)) = reader.next(&mut body) {
            if held.is_none() && !body.is_empty() {
                held = Some((header, body.clone()));
                continue;
            }
            let now = (header, body.clone());
            for (header, body) in [Some(now), held.take()].into_iter().flatten() {
                writer.send(header, &[&body]).expect("answer");
            }
        }
    }

    #[test]
    fn each_of_many_callers_gets_its_own_answer() {
        let (link, theirs) = link();
        let far = thread::spawn(move || echo(theirs));
        let asking = AtomicU64::new(16);
        thread::scope(|scope| {
            let (link, asking) = (&link, &asking);
            for caller in 0..16_u32 {
                scope.spawn(move || {
                    for i in 0..200_u32 {
                        let question = [caller.to_be_bytes(), i.to_be_bytes()].concat();
                        let answer = link.call(ECHO, &[&question], Instant::now() + LONG);
                        assert_eq!(answer.map(|a| a.body), Ok(question));
                    }
                    asking.fetch_sub(1, Ordering::Relaxed);
                });
            }
            while asking.load(Ordering::Relaxed) > 0 {
                link.call(ECHO, &[], Instant::now() + LONG).expect("answer");
                thread::sleep(Duration::from_micros(50));
            }
        });
        assert_eq!(link.in_flight(), 0);
        drop(link);
        far.join().expect("far end");
    }

    #[test]
    fn a_deadline_is_kept_by_leader_and_follower() {
        let (link, _theirs) = link();
        thread::scope(|scope| {
            let link = &link;
            for millis in [30, 60, 90] {
                scope.spawn(move || {
                    let start = Instant::now();
                    let deadline = start + Duration::from_millis(millis);
                    assert_eq!(link.call(ECHO, &[b"?"], deadline), Err(NoAnswer::TimedOut));
                    assert!(Instant::now() >= deadline);
                });
            }
        });
        assert_eq!(link.in_flight(), 0);
    }

    /// Whoever waits for what hangs reads what others get meanwhile.
    #[test]
    fn a_deadline_is_kept_though_others_are_answered_all_the_time() {
        let (link, theirs) = link();
        let far = thread::spawn(move || {
            let writer = FrameWriter::new(theirs.try_clone().expect("clone"));
            let mut reader = FrameReader::new(theirs, 1000);
            let mut body = Vec::new();
            while let Ok(Some(header)) = reader.next(&mut body) {
                if body != b"hangs" {
                    writer.send(header, &[&body]).expect("answer");
                }
            }
        });
        let over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            let (link, over) = (&link, &over);
            let hangs = scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_millis(50);
                link.call(ECHO, &[b"hangs"], deadline)
            });
            // Until it has timed out, however long that takes.
            let others = scope.spawn(move || {
                for answered in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return answered;
                    }
                    link.call(ECHO, &[b"answered"], Instant::now() + LONG)
                        .expect("answer");
                    thread::sleep(Duration::from_millis(1));
                }
                0
            });
            let give_up = Instant::now() + LONG / 2;
            while !hangs.is_finished() && Instant::now() < give_up {
                thread::sleep(Duration::from_millis(1));
            }
            let in_time = hangs.is_finished();
            over.store(true, Ordering::Relaxed);
            assert!(others.join().expect("others") > 0);
            assert!(in_time, "it waited as long as others were answered");
            assert_eq!(hangs.join().expect("hangs"), Err(NoAnswer::TimedOut));
        });
        drop(link);
        far.join().expect("far end");
    }

    #[test]
    fn who_gives_up_leaves_the_reading_to_another() {
        for _ in 0..8 {
            let (link, theirs) = link();
            thread::scope(|scope| {
                let link = &link;
                let impatient = scope.spawn(move || {
                    let deadline = Instant::now() + Duration::from_millis(30);
                    link.call(ECHO, &[b"first"], deadline)
                });
                while link.in_flight() < 1 {
                    thread::yield_now();
                }
                let patient = scope.spawn(move || link.call(ECHO, &[b"second"], Instant::now() + LONG));
                assert_eq!(impatient.join().expect("impatient"), Err(NoAnswer::TimedOut));
                let writer = FrameWriter::new(theirs.try_clone().expect("clone"));
                let mut reader = FrameReader::new(theirs, 1000);
                let mut body = Vec::new();
                while body != b"second" {
                    let header = reader.next(&mut body).expect("frame").expect("not the end");
                    writer.send(header, &[&body]).expect("answer");
                }
                let answer = patient.join().expect("patient");
                assert_eq!(answer.map(|answer| answer.body), Ok(b"second".to_vec()));
            });
        }
    }

    #[test]
    fn when_the_far_end_goes_everybody_hears_of_it() {
        let (link, theirs) = link();
        thread::scope(|scope| {
            let link = &link;
            let callers: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || link.call(ECHO, &[b"?"], Instant::now() + LONG)))
                .collect();
            while link.in_flight() < 8 {
                thread::yield_now();
            }
            drop(theirs);
            for caller in callers {
                assert_eq!(caller.join().expect("caller"), Err(NoAnswer::Broken));
            }
        });
        let late = link.call(ECHO, &[b"?"], Instant::now() + LONG);
        assert_eq!(late, Err(NoAnswer::Broken));
    }

    #[test]
    fn a_far_end_that_does_not_read_holds_nobody_beyond_the_timeout() {
        let (ours, _theirs) = UnixStream::pair().expect("socket pair");
        let link = Link::new(ours, Duration::from_millis(50)).expect("link");
        let answer = link.call(ECHO, &[&vec![0; 4 << 20]], Instant::now() + LONG);
        assert_eq!(answer, Err(NoAnswer::Broken));
    }

    /// Leaves a question, and sends what becomes of it.
    fn leave(link: &Link, question: &[u8], deadline: Instant, told: &Sender<Outcome>) -> bool {
        let told = told.clone();
        let done = move |outcome| drop(told.send(outcome));
        link.ask(ECHO, &[question], deadline, Box::new(done))
    }

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("runtime")
    }

    #[test]
    fn who_leaves_a_question_and_who_waits_get_their_own_answers() {
        let (link, theirs) = link();
        let far = thread::spawn(move || echo(theirs));
        let runtime = runtime();
        thread::scope(|scope| {
            let (link, runtime) = (&link, &runtime);
            for caller in 0..4_u32 {
                scope.spawn(move || {
                    let _here = runtime.enter();
                    for i in 0..200_u32 {
                        let question = [caller.to_be_bytes(), i.to_be_bytes()].concat();
                        let (tell, told) = channel();
                        assert!(leave(link, &question, Instant::now() + LONG, &tell));
                        // What holds nothing back sets the other free.
                        link.call(ECHO, &[], Instant::now() + LONG).expect("answer");
                        let answer = told.recv_timeout(LONG).expect("told").expect("answer");
                        assert_eq!(answer.body, question);
                    }
                });
            }
        });
        assert_eq!(link.in_flight(), 0);
        drop(link);
        far.join().expect("far end");
    }

    #[test]
    fn the_deadline_of_a_question_that_was_left_is_kept() {
        let (link, _theirs) = link();
        let runtime = runtime();
        let _here = runtime.enter();
        let (tell, told) = channel();
        let deadline = Instant::now() + Duration::from_millis(30);
        assert!(leave(&link, b"?", deadline, &tell));
        assert_eq!(told.recv_timeout(LONG), Ok(Err(NoAnswer::TimedOut)));
        assert!(Instant::now() >= deadline);
        assert_eq!(link.in_flight(), 0);
    }

    #[test]
    fn when_the_far_end_goes_who_left_a_question_hears_of_it() {
        let (link, theirs) = link();
        let runtime = runtime();
        let _here = runtime.enter();
        let (tell, told) = channel();
        for _ in 0..8 {
            assert!(leave(&link, b"?", Instant::now() + LONG, &tell));
        }
        drop(theirs);
        for _ in 0..8 {
            assert_eq!(told.recv_timeout(LONG), Ok(Err(NoAnswer::Broken)));
        }
        assert!(!leave(&link, b"?", Instant::now() + LONG, &tell));
    }

    #[test]
    fn a_question_is_left_only_where_nobody_can_be_kept_waiting() {
        let (link, _theirs) = link();
        let (tell, told) = channel();
        let later = Instant::now() + LONG;
        assert!(!leave(&link, b"no runtime", later, &tell));
        let runtime = runtime();
        let _here = runtime.enter();
        assert!(!leave(&link, &[0; SHORT + 1], later, &tell));
        for _ in 0..MOST_LEFT {
            assert!(leave(&link, &[0; SHORT], later, &tell));
        }
        assert!(!leave(&link, b"one more", later, &tell));
        assert!(told.try_recv().is_err(), "somebody heard of what was not asked");
        drop(link);
        assert_eq!(told.iter().take(MOST_LEFT).count(), MOST_LEFT);
    }

    #[test]
    fn a_link_outlives_the_runtime_of_those_who_ask() {
        let (link, theirs) = link();
        let far = thread::spawn(move || echo(theirs));
        for _ in 0..3 {
            let runtime = runtime();
            let (tell, told) = channel();
            let here = runtime.enter();
            assert!(leave(&link, b"", Instant::now() + LONG, &tell));
            assert!(told.recv_timeout(LONG).expect("told").is_ok());
            drop(here);
        }
        assert!(link.call(ECHO, &[], Instant::now() + LONG).is_ok());
        drop(link);
        far.join().expect("far end");
    }
}
