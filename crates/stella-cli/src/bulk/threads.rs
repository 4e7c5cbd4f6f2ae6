//! Blocks on all cores at once, and what comes of them in their order.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Block, Lines};
use crate::error::CliError;

/// No thread is further ahead of the slowest than this many blocks.
const AHEAD: u64 = 16;

/// `work` on each block, on as many threads as there are cores; `taken` gets
/// what came of it in the order of the input. The first error ends it.
pub fn in_order<R, T>(
    lines: Lines<R>,
    failed: impl Fn(std::io::Error) -> CliError + Sync,
    work: impl Fn(&Block) -> T + Sync,
    taken: impl FnMut(T) -> Result<(), CliError> + Send,
) -> Result<(), CliError>
where
    R: Read + Send,
    T: Send,
{
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let input = Mutex::new((0_u64, lines));
    let shared = Shared {
        output: Mutex::new(Output {
            next: 0,
            waiting: BTreeMap::new(),
            taken,
            ended: Ok(()),
        }),
        moved: Condvar::new(),
    };
    let turn = |spare: &mut Vec<u8>| -> Option<()> {
        let (number, block) = {
            let mut input = lock(&input);
            let block = match input.1.next_block(std::mem::take(spare)) {
                Ok(block) => block?,
                Err(e) => return shared.end(failed(e)),
            };
            let number = input.0;
            input.0 += 1;
            (number, block)
        };
        let made = work(&block);
        *spare = block.into_spare();
        shared.hand_over(number, made)
    };
    let turns = || {
        let mut spare = Vec::new();
        while turn(&mut spare).is_some() {}
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(turns);
        }
        turns();
    });
    shared
        .output
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .ended
}

struct Output<T, F> {
    next: u64,
    waiting: BTreeMap<u64, T>,
    taken: F,
    ended: Result<(), CliError>,
}

struct Shared<T, F> {
    output: Mutex<Output<T, F>>,
    moved: Condvar,
}

impl<T, F: FnMut(T) -> Result<(), CliError>> Shared<T, F> {
    /// `None` where there is no more to do.
    fn hand_over(&self, number: u64, made: T) -> Option<()> {
        let mut output = lock(&self.output);
        while output.ended.is_ok() && number > output.next + AHEAD {
            output = self.moved.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        output.waiting.insert(number, made);
        while output.ended.is_ok() {
            let next = output.next;
            let Some(made) = output.waiting.remove(&next) else {
                return Some(());
            };
            output.next += 1;
            output.ended = (output.taken)(made);
            self.moved.notify_all();
        }
        None
    }

    fn end(&self, error: CliError) -> Option<()> {
        let mut output = lock(&self.output);
        if output.ended.is_ok() {
            output.ended = Err(error);
        }
        self.moved.notify_all();
        None
    }
}

/// A thread that panicked takes the program down with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|n| format!("{n}\n").into_bytes()).collect()
    }

    fn numbers(block: &Block) -> Vec<u64> {
        let number = |line: super::super::Line<'_>| {
            let text = std::str::from_utf8(line.bytes).expect("text");
            text.parse::<u64>().expect("a number")
        };
        block.lines().map(number).collect()
    }

    #[test]
    fn whichever_thread_does_it_the_order_stays() {
        let text = text(300_000);
        let mut seen = Vec::new();
        let slow_first = |block: &Block| {
            let numbers = numbers(block);
            if numbers.first() == Some(&0) {
                thread::sleep(std::time::Duration::from_millis(50));
            }
            numbers
        };
        let done = in_order(
            Lines::new(&text[..], 100, 0, 0),
            |e| panic!("{e}"),
            slow_first,
            |numbers| {
                seen.extend(numbers);
                Ok(())
            },
        );
        assert!(done.is_ok());
        assert_eq!(seen, (0..300_000).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_ends_it() {
        let text = text(300_000);
        let mut blocks = 0;
        let done = in_order(
            Lines::new(&text[..], 100, 0, 0),
            |e| panic!("{e}"),
            numbers,
            |_| {
                blocks += 1;
                if blocks == 2 {
                    return Err(CliError::usage("enough"));
                }
                Ok(())
            },
        );
        assert_eq!(done.map_err(|e| e.what), Err("enough".to_owned()));
        assert_eq!(blocks, 2);
    }
}
