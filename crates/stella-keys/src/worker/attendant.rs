//! Sees to questions that were left: a task that reads their answers where the
//! callers are tasks, and have no thread of their own to wait with. A thread
//! that waits and reads for all may be quicker.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::link::{Ends, NoAnswer, Read};

/// Wakes the attendant.
#[derive(Clone, Default)]
pub(super) struct Bell(Arc<Notify>);

impl Bell {
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// That of the attendant, which is started when there is none; `None` where
/// no runtime is.
pub(super) fn bell(ends: &Arc<Ends>) -> Option<Bell> {
    let mut attendant = ends.attendant.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bell) = &*attendant {
        return Some(bell.clone());
    }
    let runtime = Handle::try_current().ok()?;
    let stream = ends.stream().ok()?;
    #[expect(
        deprecated,
        reason = "it is not sound for types that change their descriptor; this one does not"
    )]
    let socket = AsyncFd::try_with_interest(stream, Interest::READABLE).ok()?;
    let bell = attendant.insert(Bell::default()).clone();
    // A runtime that is ending drops the task right here.
    drop(attendant);
    runtime.spawn(attend(Attendant(Arc::clone(ends)), socket, bell.clone()));
    Some(bell)
}

struct Attendant(Arc<Ends>);

/// Its runtime may end before the link does.
impl Drop for Attendant {
    fn drop(&mut self) {
        *self.0.attendant.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn attend(attendant: Attendant, socket: AsyncFd<UnixStream>, bell: Bell) {
    let ends = &attendant.0;
    let mut looked = Instant::now();
    loop {
        let (broken, left) = {
            let inbox = ends.inbox();
            (inbox.broken, inbox.left)
        };
        if broken {
            return;
        }
        if left == 0 {
            bell.0.notified().await;
            continue;
        }
        match timeout(LOOK, socket.readable()).await {
            Ok(Ok(mut ready)) => {
                if !read_what_is_here(ends, &mut ready) {
                    // A thread reads: it rings when it leaves.
                    let _ = timeout(LOOK, bell.0.notified()).await;
                }
            }
            Ok(Err(_)) => break_off(ends),
            Err(_) => {}
        }
        if looked.elapsed() >= LOOK {
            give_up_the_overdue(ends);
            looked = Instant::now();
        }
    }
}

/// False when a thread does.
fn read_what_is_here(ends: &Arc<Ends>, ready: &mut AsyncFdReadyGuard<'_, UnixStream>) -> bool {
    {
        let mut inbox = ends.inbox();
        if inbox.leading {
            return false;
        }
        inbox.leading = true;
    }
    let mut reader = ends.reader();
    reader.wait(false);
    loop {
        match Read::from(&mut reader) {
            Read::One(id, answer) => ends.hand_out(id, answer),
            Read::Nothing => {
                ready.clear_ready();
                break;
            }
            Read::Broken => {
                break_off(ends);
                break;
            }
        }
    }
    drop(reader);
    ends.stop_leading(NOBODY);
    true
}

/// What hears of failures makes sure of the worker's end, which may take a
/// moment.
fn break_off(ends: &Arc<Ends>) {
    ends.inbox().broken = true;
    let ends = Arc::clone(ends);
    spawn_blocking(move || ends.break_off());
}

fn give_up_the_overdue(ends: &Ends) {
    let overdue = ends.inbox().overdue(Instant::now());
    if !overdue.is_empty() {
        spawn_blocking(move || overdue.into_iter().for_each(|done| done(Err(NoAnswer::TimedOut))));
    }
}

/// So late may a deadline be seen.
const LOOK: Duration = Duration::from_millis(5);
/// The link counts from one.
const NOBODY: u64 = 0;
