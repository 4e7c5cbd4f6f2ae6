//! The worker's own side: it locks itself down, learns from the first frame
//! what it is, and answers until its parent is gone.

use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};
use zeroize::Zeroize;

use super::frame::{FrameReader, FrameWriter, Header, Kind};
use super::turns::{Batch, Turns};
use super::{CONFIGURE, FAILED};

/// What a worker does, once it is configured.
pub trait Serve: Send + Sync {
    /// How many requests are answered at once.
    fn threads(&self) -> usize;

    /// Whether requests of this kind take equally long, so that one thread
    /// may have several in hand when more wait than there are threads.
    fn in_batches(&self, kind: Kind) -> bool;

    /// The state of one of the threads, made and used in it alone.
    fn thread(&self) -> Box<dyn Answering + '_>;

    /// Nothing will be asked any more; the threads' states are gone.
    fn finish(&self);
}

pub trait Answering {
    /// Writes the answer's body to `out`, which is empty, and says of which
    /// kind it is.
    fn answer(&mut self, kind: Kind, body: &[u8], out: &mut Vec<u8>) -> Kind;
}

/// What the first frame asked for, and what is answered to it; or the error
/// that is.
pub type Configured = Result<(Box<dyn Serve>, Vec<u8>), Vec<u8>>;

pub fn run(configure: fn(&[u8]) -> Configured) -> ExitCode {
    match lock_down().and_then(|stream| serve(stream, configure)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// What this process holds is nobody's to read: no core dump, no debugger. It
/// does not outlive its parent, not even stopped (one that was gone before this
/// is known by the socket, which is closed then), and what a library reads or prints is none of
/// the frames.
fn lock_down() -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

fn serve(stream: UnixStream, configure: fn(&[u8]) -> Configured) -> io::Result<()> {
    let writer = FrameWriter::new(stream.try_clone()?);
    let mut reader = FrameReader::new(stream, MAX_BODY);
    let mut body = Vec::new();
    let Some(header) = reader.next(&mut body)? else {
        return Ok(());
    };
    let made = if header.kind == CONFIGURE {
        configure(&body)
    } else {
        Err(Vec::new())
    };
    body.zeroize();
    let (role, greeting) = match made {
        Ok(made) => made,
        Err(error) => {
            let kind = FAILED;
            return writer.send(Header { kind, ..header }, &[&error]);
        }
    };
    writer.send(header, &[&greeting])?;
    let turns = Turns::new(reader, role.threads(), cores());
    thread::scope(|scope| {
        for thread in 0..role.threads() {
            let (role, turns, writer) = (&*role, &turns, &writer);
            scope.spawn(move || answer_until_the_end(thread, role, turns, writer));
        }
    });
    role.finish();
    Ok(())
}

fn answer_until_the_end(thread: usize, role: &dyn Serve, turns: &Turns, writer: &FrameWriter) {
    let mut state = role.thread();
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    // The parent has nothing more to ask, or is gone, when there is none.
    while turns.take(thread, &mut batch, |kind| role.in_batches(kind)) {
        let mut quick = true;
        let mut waits_since = None;
        let taken = batch.requests().len();
        for (i, (header, body)) in batch.requests().iter_mut().enumerate() {
            let begun = Instant::now();
            out.clear();
            let answered = catch_unwind(AssertUnwindSafe(|| state.answer(header.kind, body, &mut out)));
            if header.kind.is_secret() {
                body.zeroize();
            }
            let kind = answered.unwrap_or_else(|_| {
                // Its state may be half of something.
                state = role.thread();
                out.clear();
                FAILED
            });
            let done = Instant::now();
            quick &= done - begun < QUICK;
            let first = *waits_since.get_or_insert(done);
            let header = Header { kind, ..*header };
            let sent = if quick && i + 1 < taken && done - first < TOGETHER {
                writer.leave(header, &[&out])
            } else {
                waits_since = None;
                writer.send(header, &[&out])
            };
            if sent.is_err() {
                turns.end();
                return;
            }
            if body.capacity() > KEEP {
                *body = Vec::new();
            }
        }
        turns.done(quick);
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// What takes no longer is computed by this machine, and no token is waited
/// for.
const QUICK: Duration = Duration::from_micros(200);
/// So long an answer waits at most for others to go with it: each write wakes
/// the other side, which takes the core from who signs.
const TOGETHER: Duration = Duration::from_micros(300);
/// The parent bounds what it asks by its own settings; this is beyond all.
const MAX_BODY: usize = 1 << 30;
/// A buffer that grew beyond this is given back.
const KEEP: usize = 1 << 20;
