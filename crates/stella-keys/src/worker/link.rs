//! The asking end. Any number of threads ask at once, and there is no thread
//! in between: of those that wait, one reads for all (the leader), and hands
//! its place on when it has its own answer. A request alone thus wakes nobody
//! but the worker and itself.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

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

pub struct Link {
    stream: UnixStream,
    writer: FrameWriter,
    /// Held by the leader, and by nobody else for long.
    reader: Mutex<FrameReader>,
    inbox: Mutex<Inbox>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Inbox {
    waiting: HashMap<u64, Arc<Waiter>>,
    leading: bool,
    broken: bool,
}

struct Waiter {
    thread: Thread,
    answer: Mutex<Option<Result<Answer, NoAnswer>>>,
}

impl Waiter {
    fn give(&self, answer: Result<Answer, NoAnswer>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.thread.unpark();
    }

    fn take(&self) -> Option<Result<Answer, NoAnswer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Link {
    /// `write_timeout` bounds the writing of one batch of requests.
    pub fn new(stream: UnixStream, write_timeout: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(write_timeout))?;
        Ok(Self {
            writer: FrameWriter::new(stream.try_clone()?),
            reader: Mutex::new(FrameReader::new(stream.try_clone()?, MAX_SHORT_BODY)),
            stream,
            inbox: Mutex::default(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Asks and waits for the answer until the deadline.
    pub fn call(&self, kind: Kind, body: &[&[u8]], deadline: Instant) -> Result<Answer, NoAnswer> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            answer: Mutex::default(),
        });
        {
            let mut inbox = self.inbox();
            if inbox.broken {
                return Err(NoAnswer::Broken);
            }
            inbox.waiting.insert(id, Arc::clone(&waiter));
        }
        if self.writer.send(Header { id, kind }, body).is_err() {
            self.break_off();
        }
        loop {
            if let Some(answer) = waiter.take() {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // An answer that came in this very moment is good.
                self.inbox().waiting.remove(&id);
                return waiter.take().unwrap_or(Err(NoAnswer::TimedOut));
            }
            let mut inbox = self.inbox();
            if inbox.leading || inbox.broken {
                drop(inbox);
                thread::park_timeout(left);
            } else {
                inbox.leading = true;
                drop(inbox);
                let own = self.lead(id, deadline);
                self.stop_leading(id);
                if let Some(answer) = own {
                    return answer;
                }
            }
        }
    }

    /// Everybody who waits is answered with [`NoAnswer::Broken`], now and
    /// ever after.
    pub fn break_off(&self) {
        let waiting = {
            let mut inbox = self.inbox();
            inbox.broken = true;
            std::mem::take(&mut inbox.waiting)
        };
        // Wakes the leader and whoever writes.
        let _ = self.stream.shutdown(Shutdown::Both);
        for waiter in waiting.into_values() {
            waiter.give(Err(NoAnswer::Broken));
        }
    }

    /// No more requests will come: the worker ends when it has answered.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub fn is_broken(&self) -> bool {
        self.inbox().broken
    }

    pub fn in_flight(&self) -> usize {
        self.inbox().waiting.len()
    }

    /// Reads and hands out answers until that of `id` came, or the deadline.
    fn lead(&self, id: u64, deadline: Instant) -> Option<Result<Answer, NoAnswer>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
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
            let mut body = Vec::new();
            let header = match reader.next(&mut body) {
                Ok(Some(header)) => header,
                Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::TimedOut => break,
                Ok(None) | Err(_) => {
                    self.break_off();
                    break;
                }
            };
            let waiter = self.inbox().waiting.remove(&header.id);
            let answer = Ok(Answer {
                kind: header.kind,
                body,
            });
            match waiter {
                Some(_) if header.id == id => own = Some(answer),
                Some(waiter) => waiter.give(answer),
                // Its deadline passed meanwhile.
                None => {}
            }
        }
        own
    }

    /// Another goes on reading: not the caller of `id`, who may have waited
    /// long enough.
    fn stop_leading(&self, id: u64) {
        let mut inbox = self.inbox();
        inbox.leading = false;
        let other = inbox.waiting.iter().find(|(waiting, _)| **waiting != id);
        let next = other.map(|(_, waiter)| Arc::clone(waiter));
        drop(inbox);
        if let Some(next) = next {
            next.thread.unpark();
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By so much a leader may overstay, and no more.
const OVERDUE: Duration = Duration::from_millis(5);
/// A timeout of nothing would be none.
const SHORTEST: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests {
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
}
