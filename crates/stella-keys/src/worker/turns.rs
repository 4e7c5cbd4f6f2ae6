//! Whose turn it is, among the threads of a worker: one waits for the next
//! request (the leader), and when it has one leaves its place to a follower
//! and answers.
//!
//! Where requests are quick the machine itself does the work, and more threads
//! than cores only take the cores and the library's locks from each other.
//! Then no more work at once than there are cores, and each takes its share of
//! what waits. A token that is waited for gets as many threads as it may have.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::{FrameReader, Header, Kind};

pub(super) struct Turns {
    threads: usize,
    cores: usize,
    state: Mutex<State>,
    /// The first threads, one for each core, wait here.
    first: Condvar,
    /// And the others here: they work only while requests are not quick.
    others: Condvar,
}

struct State {
    /// Not here while the leader reads.
    reader: Option<FrameReader>,
    /// Threads that answer.
    busy: usize,
    first_waiting: usize,
    others_waiting: usize,
    /// Whether one of the others looks out for work that is not quick any more.
    watched: bool,
    quick: bool,
    /// Whether requests came one by one of late, each soon after the answer to
    /// the one before: a caller alone, who asks again at once.
    soon: bool,
    /// Rises whenever something is begun or done.
    progress: u64,
    ended: bool,
}

/// The requests that a thread has in hand, in buffers that it keeps.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<(Header, Vec<u8>)>,
    taken: usize,
}

impl Batch {
    pub fn requests(&mut self) -> &mut [(Header, Vec<u8>)] {
        &mut self.requests[..self.taken]
    }

    /// False at the end of the stream.
    fn read(&mut self, reader: &mut FrameReader) -> bool {
        if self.requests.len() == self.taken {
            let none = Header {
                id: 0,
                kind: super::FAILED,
            };
            self.requests.push((none, Vec::new()));
        }
        let (header, body) = &mut self.requests[self.taken];
        let Ok(Some(read)) = reader.next(body) else {
            return false;
        };
        *header = read;
        self.taken += 1;
        true
    }
}

impl Turns {
    pub fn new(reader: FrameReader, threads: usize, cores: usize) -> Self {
        Self {
            threads,
            cores: cores.min(threads),
            state: Mutex::new(State {
                reader: Some(reader),
                busy: 0,
                first_waiting: 0,
                others_waiting: 0,
                watched: false,
                quick: false,
                soon: false,
                progress: 0,
                ended: false,
            }),
            first: Condvar::new(),
            others: Condvar::new(),
        }
    }

    /// Waits, as the thread of this number, for requests; false when there
    /// will be none. Several are taken
    /// only of a kind that goes `in_batches`, and only if more wait than
    /// threads might answer at once.
    pub fn take(&self, thread: usize, batch: &mut Batch, in_batches: impl Fn(Kind) -> bool) -> bool {
        let Some((mut reader, at_once, soon)) = self.turn(thread) else {
            return false;
        };
        batch.taken = 0;
        let begun = Instant::now();
        if soon {
            reader.linger(LINGER);
        }
        let mut open = batch.read(&mut reader);
        let soon = begun.elapsed() < SOON && !reader.has_frame();
        if open {
            let kind = batch.requests[0].0.kind;
            let here = 1 + reader.frames_of(kind);
            let share = if in_batches(kind) {
                here.div_ceil(at_once)
            } else {
                1
            };
            while open && batch.taken < share {
                open = batch.read(&mut reader);
            }
        }
        let mut state = self.lock();
        state.ended |= !open;
        state.soon = soon;
        state.reader = Some(reader);
        state.busy += 1;
        state.progress += 1;
        self.call_next(&state);
        open
    }

    /// Of [`take`](Self::take)'s batch; `quick` if each of them was.
    pub fn done(&self, quick: bool) {
        let mut state = self.lock();
        state.busy -= 1;
        state.progress += 1;
        state.quick = quick;
    }

    pub fn end(&self) {
        self.lock().ended = true;
        self.first.notify_all();
        self.others.notify_all();
    }

    /// The reader, among how many what waits is shared, and whether to linger.
    fn turn(&self, thread: usize) -> Option<(FrameReader, usize, bool)> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            let at_once = if state.quick { self.cores } else { self.threads };
            if thread < at_once
                && let Some(reader) = state.reader.take()
            {
                return Some((reader, at_once, state.quick && state.soon));
            }
            state = if thread < self.cores {
                self.wait_as_first(state)
            } else {
                self.wait_as_other(state)
            };
        }
    }

    fn wait_as_first<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.first_waiting += 1;
        state = self.first.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.first_waiting -= 1;
        state
    }

    fn wait_as_other<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.others_waiting += 1;
        if state.quick && state.busy == self.cores && !state.watched {
            state.watched = true;
            let seen = state.progress;
            let (again, waited) = self
                .others
                .wait_timeout(state, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.watched = false;
            if waited.timed_out() && state.progress == seen {
                state.quick = false;
            }
        } else {
            state = self.others.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.others_waiting -= 1;
        state
    }

    /// Somebody is to read while others answer, or to look out for them.
    fn call_next(&self, state: &State) {
        if state.ended {
            self.first.notify_all();
            self.others.notify_all();
        } else if state.first_waiting > 0 {
            self.first.notify_one();
        } else if state.others_waiting > 0 && !(state.quick && (state.watched || state.busy < self.cores)) {
            self.others.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So long somebody looks out for who may ask again at once.
const LINGER: Duration = Duration::from_micros(100);
/// Sooner than this after one request, while that is answered or just was,
/// comes the next of a caller who does nothing else.
const SOON: Duration = Duration::from_micros(250);
/// So long nothing happens before quick work counts as slow.
const PATIENCE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::worker::frame::FrameWriter;

    const ALONE: Kind = Kind::new(1);
    const TOGETHER: Kind = Kind::new(2);

    fn turns(threads: usize, cores: usize) -> (FrameWriter, Turns) {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        let turns = Turns::new(FrameReader::new(theirs, 1000), threads, cores);
        (FrameWriter::new(ours), turns)
    }

    fn together(kind: Kind) -> bool {
        kind == TOGETHER
    }

    fn ask(writer: &FrameWriter, kinds: &[Kind]) {
        for (id, kind) in (0..).zip(kinds) {
            let header = Header { id, kind: *kind };
            writer.leave(header, &[b"asked"]).expect("leave");
        }
        let last = Header { id: 99, kind: ALONE };
        writer.send(last, &[]).expect("send");
    }

    fn taken(turns: &Turns, batch: &mut Batch) -> Vec<u64> {
        assert!(turns.take(0, batch, together));
        turns.done(true);
        batch.requests().iter().map(|(header, _)| header.id).collect()
    }

    #[test]
    fn a_thread_takes_its_share_of_what_goes_in_batches() {
        let (writer, turns) = turns(2, 1);
        let mut batch = Batch::default();
        ask(
            &writer,
            &[TOGETHER, TOGETHER, TOGETHER, ALONE, ALONE, TOGETHER, TOGETHER],
        );
        // Half of the three, as long as nobody knows that they are quick.
        assert_eq!(taken(&turns, &mut batch), [0, 1]);
        assert_eq!(taken(&turns, &mut batch), [2]);
        assert_eq!(taken(&turns, &mut batch), [3]);
        assert_eq!(taken(&turns, &mut batch), [4]);
        // One core does both.
        assert_eq!(taken(&turns, &mut batch), [5, 6]);
        assert_eq!(taken(&turns, &mut batch), [99]);
        drop(writer);
        assert!(!turns.take(0, &mut batch, together));
    }

    #[test]
    fn every_request_is_taken_once_and_then_all_threads_end() {
        let (writer, turns) = turns(4, 2);
        let seen = Mutex::new(BTreeSet::new());
        thread::scope(|scope| {
            for thread in 0..4 {
                let (turns, seen) = (&turns, &seen);
                scope.spawn(move || {
                    let mut batch = Batch::default();
                    while turns.take(thread, &mut batch, together) {
                        for (header, body) in batch.requests() {
                            assert_eq!(*body, header.id.to_be_bytes());
                            let new = seen.lock().expect("seen").insert(header.id);
                            assert!(new, "{} was taken twice", header.id);
                            if header.id % 97 == 0 {
                                thread::sleep(Duration::from_micros(300));
                            }
                        }
                        turns.done(true);
                    }
                });
            }
            for id in 0..2000_u64 {
                let kind = if id % 7 == 0 { ALONE } else { TOGETHER };
                writer
                    .send(Header { id, kind }, &[&id.to_be_bytes()])
                    .expect("send");
            }
            drop(writer);
        });
        assert_eq!(seen.into_inner().expect("seen").len(), 2000);
    }

    /// A library that was quick may begin to wait for its token, and so may
    /// each of its threads.
    #[test]
    fn work_that_is_quick_no_more_gets_every_thread() {
        const THREADS: usize = 4;
        let (writer, turns) = turns(THREADS, 1);
        let at_work = AtomicUsize::new(0);
        let give_up = Instant::now() + Duration::from_secs(60);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (turns, at_work) = (&turns, &at_work);
                scope.spawn(move || {
                    let mut batch = Batch::default();
                    while turns.take(thread, &mut batch, together) {
                        if batch.requests()[0].1.is_empty() {
                            at_work.fetch_add(1, Ordering::SeqCst);
                            while at_work.load(Ordering::SeqCst) < THREADS {
                                assert!(Instant::now() < give_up, "they are not asked all");
                                thread::sleep(Duration::from_millis(1));
                            }
                        }
                        turns.done(true);
                    }
                });
            }
            for id in 0..100 {
                writer
                    .send(Header { id, kind: ALONE }, &[b"quick"])
                    .expect("send");
            }
            for id in 0..4 {
                writer.send(Header { id, kind: ALONE }, &[]).expect("send");
            }
            drop(writer);
        });
    }
}
