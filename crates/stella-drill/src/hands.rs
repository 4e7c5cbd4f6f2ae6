//! Threads that work while something else is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::{Result, Stuck};

pub type Hand<'a> = Box<dyn FnOnce() + Send + 'a>;

/// They are told that it is `over`, and waited for, however `act` ends.
pub fn while_they_work<R>(
    over: &AtomicBool,
    hands: Vec<Hand<'_>>,
    act: impl FnOnce() -> Result<R>,
) -> Result<R> {
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread::scope(|scope| {
        let end = End(over);
        let hands: Vec<_> = hands.into_iter().map(|hand| scope.spawn(hand)).collect();
        let done = act();
        drop(end);
        for hand in hands {
            hand.join().map_err(|_| Stuck("a caller panicked".to_owned()))?;
        }
        done
    })
}
