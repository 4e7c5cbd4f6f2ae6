//! A runtime of its own for the SDK: one thread, on which all requests are in
//! flight at once. Callers are blocking threads that wait for their answer.

use std::future::Future;
use std::io;
use std::sync::mpsc;
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

    /// What the future gives, or `None` when it takes longer than `at_most`.
    pub fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
        at_most: Duration,
    ) -> Option<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // Whoever asked may be gone: then it is nobody's.
            let _ = answer.send(future.await);
        });
        let got = answered.recv_timeout(at_most).ok();
        if got.is_none() {
            task.abort();
        }
        got
    }
}
