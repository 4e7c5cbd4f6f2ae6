//! One line a figure, medians over rounds; it never judges.

use std::time::{Duration, Instant};

/// Operations per second of each contender. They take turns within a round,
/// so that what else the machine does meets all of them alike.
pub fn rates<const N: usize>(rounds: usize, turn: Duration, contenders: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut contenders = contenders;
    let mut measured: [Vec<f64>; N] = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (contender, rates) in contenders.iter_mut().zip(&mut measured) {
            rates.push(rate(turn, contender));
        }
    }
    measured.map(median)
}

fn rate(turn: Duration, contender: &mut dyn FnMut()) -> f64 {
    let begun = Instant::now();
    let mut done = 0_u32;
    loop {
        for _ in 0..8 {
            contender();
        }
        done += 8;
        let took = begun.elapsed();
        if took >= turn {
            return f64::from(done) / took.as_secs_f64();
        }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn figure(name: &str, value: f64, unit: &str) {
    println!("figure {name} {value:.1} {unit}");
}

pub fn ratio(name: &str, value: f64) {
    println!("ratio {name} {value:.3}");
}
