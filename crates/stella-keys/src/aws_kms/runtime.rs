//! A runtime of its own for the SDK: one thread, on which all requests are in
//! flight at once. Callers are blocking threads that wait for their answer.

use std::future::Future;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

pub(super) struct Runtime {
    handle: Handle,
    /// Dropped with this: the thread ends.
    _alive: oneshot::Sender<()>,
}

impl Runtime {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, gone) = oneshot::channel();
        thread::Builder::new().name("aws-kms".to_owned()).spawn(move || {
            // An error is what says that the sender is gone.
            let _ = runtime.block_on(gone);
            // A name lookup that hangs must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            handle,
            _alive: alive,
        })
    }

    /// What the future gives.
    pub fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
        at_most: Duration,
    ) -> Result<T, NoAnswer> {
        let (answer, answered) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // Whoever asked may be gone: then it is nobody's.
            let _ = answer.send(future.await);
        });
        answered.recv_timeout(at_most).map_err(|why| match why {
            RecvTimeoutError::Timeout => {
                task.abort();
                NoAnswer::TimedOut
            }
            RecvTimeoutError::Disconnected => NoAnswer::BrokeOff,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    TimedOut,
    /// It panicked. The thread and the other requests go on.
    BrokeOff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_panics_is_told_from_one_that_hangs_and_harms_no_other() {
        let runtime = Runtime::start().expect("a runtime");
        let long = Duration::from_secs(60);
        let broke_off = runtime.wait(async { panic!("on purpose") }, long);
        assert_eq!(broke_off, Err::<(), _>(NoAnswer::BrokeOff));
        let hung = runtime.wait(std::future::pending::<()>(), Duration::from_millis(10));
        assert_eq!(hung, Err(NoAnswer::TimedOut));
        assert_eq!(runtime.wait(async { 7 }, long), Ok(7));
    }
}
