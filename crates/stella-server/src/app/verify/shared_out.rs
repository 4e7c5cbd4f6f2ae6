//! Work that one core need not do alone.

use std::num::NonZero;
use std::thread::available_parallelism;

use crate::app::error::{Error, Result};

/// As many parts as there are cores, each on a thread where it may block; in
/// the order given.
pub(super) async fn shared_out<T, U>(
    mut items: Vec<T>,
    work: impl Fn(T) -> U + Clone + Send + 'static,
) -> Result<Vec<U>>
where
    T: Send + 'static,
    U: Send + 'static,
{
    let cores = available_parallelism().map_or(1, NonZero::get);
    let part = items.len().div_ceil(cores).max(1);
    let mut parts = Vec::with_capacity(cores);
    while !items.is_empty() {
        let rest = items.split_off(part.min(items.len()));
        let mine = std::mem::replace(&mut items, rest);
        let work = work.clone();
        parts.push(tokio::task::spawn_blocking(move || {
            mine.into_iter().map(work).collect::<Vec<U>>()
        }));
    }
    let mut out = Vec::new();
    for part in parts {
        out.extend(part.await.map_err(|e| Error::internal(e.to_string()))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_core_does_it_the_order_stays() {
        for n in [0, 1, 2, 3, 1001] {
            let items: Vec<usize> = (0..n).collect();
            let doubled = shared_out(items, |i| i * 2).await.expect("done");
            assert_eq!(doubled, (0..n).map(|i| i * 2).collect::<Vec<_>>());
        }
    }
}
