//! Proofs about Merkle trees, put together from the hashes of a true one: a
//! fuzzer finds no hash, but may find the order in which true ones mislead.

use std::ops::Range;
use std::sync::OnceLock;

use stella_core::digest::Sha256;
use stella_core::log::merkle::{leaf_hash, node_hash, root, verify_consistency, verify_inclusion};

const LEAVES: usize = 21;

/// Whether inclusion or consistency, two numbers, and which hashes.
pub fn merkle(data: &[u8]) {
    let [kind, small, large, path @ ..] = data else {
        return;
    };
    let path: Vec<Sha256> = path
        .iter()
        .map(|n| nodes()[usize::from(*n) % nodes().len()])
        .collect();
    // Sizes that no tree has are refused or not; nothing follows from them.
    let (a, b) = (u64::MAX - u64::from(*small), u64::MAX - u64::from(*large));
    let (leaf, whole) = (&leaves()[0], &hash(0..LEAVES));
    let _ = verify_inclusion(leaf, a, b, &path, whole);
    let _ = verify_consistency(a, leaf, b, whole, &path);
    let (small, large) = (usize::from(*small), usize::from(*large));
    if large > LEAVES {
        return;
    }
    if kind & 1 == 0 {
        inclusion(small, large, &path);
    } else {
        consistency(small, large, &path);
    }
}

fn inclusion(index: usize, size: usize, path: &[Sha256]) {
    for (n, leaf) in leaves().iter().enumerate() {
        let whole = root(leaves().iter().take(size).copied());
        let taken = verify_inclusion(leaf, index as u64, size as u64, path, &whole).is_ok();
        let honest = n == index && index < size && path_of(index, 0..size) == path;
        assert_eq!(taken, honest, "leaf {n} at {index} of {size}");
    }
}

fn consistency(old: usize, new: usize, path: &[Sha256]) {
    let of = |size: usize| root(leaves().iter().take(size).copied());
    let taken = verify_consistency(old as u64, &of(old), new as u64, &of(new), path).is_ok();
    let honest = old != 0 && old <= new && proof_of(old, 0..new, true) == path;
    assert_eq!(taken, honest, "{old} of {new}");
}

/// RFC 6962 section 2.1.1.
fn path_of(index: usize, tree: Range<usize>) -> Vec<Sha256> {
    if tree.len() == 1 {
        return Vec::new();
    }
    let middle = tree.start + split(tree.len());
    let (mut path, other) = if index < middle {
        (path_of(index, tree.start..middle), middle..tree.end)
    } else {
        (path_of(index, middle..tree.end), tree.start..middle)
    };
    path.push(hash(other));
    path
}

/// RFC 6962 section 2.1.2.
fn proof_of(old: usize, tree: Range<usize>, whole: bool) -> Vec<Sha256> {
    if old == tree.len() {
        return if whole { Vec::new() } else { vec![hash(tree)] };
    }
    let k = split(tree.len());
    let middle = tree.start + k;
    let (mut path, other) = if old <= k {
        (proof_of(old, tree.start..middle, whole), middle..tree.end)
    } else {
        (proof_of(old - k, middle..tree.end, false), tree.start..middle)
    };
    path.push(hash(other));
    path
}

fn hash(tree: Range<usize>) -> Sha256 {
    if tree.len() == 1 {
        return leaves()[tree.start];
    }
    let middle = tree.start + split(tree.len());
    node_hash(&hash(tree.start..middle), &hash(middle..tree.end))
}

/// The largest power of two below.
fn split(len: usize) -> usize {
    len.next_power_of_two() / 2
}

fn leaves() -> &'static [Sha256] {
    static OF: OnceLock<Vec<Sha256>> = OnceLock::new();
    OF.get_or_init(|| (0..LEAVES).map(|n| leaf_hash(&[n as u8])).collect())
}

/// Every hash that a proof about one of the trees may name.
fn nodes() -> &'static [Sha256] {
    static OF: OnceLock<Vec<Sha256>> = OnceLock::new();
    OF.get_or_init(|| {
        let mut all: Vec<Sha256> = leaves().to_vec();
        for size in 1..=LEAVES {
            for old in 1..=size {
                all.extend(path_of(old - 1, 0..size));
                all.extend(proof_of(old, 0..size, true));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|hash| seen.insert(hash.to_hex()));
        assert!(all.len() <= 256);
        all
    })
}

/// True proofs, for the corpus.
pub fn seeds() -> Vec<Vec<u8>> {
    let written = |head: [u8; 3], path: Vec<Sha256>| {
        let places = path.iter().map(|hash| nodes().iter().position(|n| n == hash));
        let places = places.map(|n| u8::try_from(n.unwrap()).unwrap());
        head.into_iter().chain(places).collect()
    };
    vec![
        written([0, 13, 21], path_of(13, 0..21)),
        written([0, 20, 21], path_of(20, 0..21)),
        written([1, 7, 21], proof_of(7, 0..21, true)),
        written([1, 8, 13], proof_of(8, 0..13, true)),
    ]
}
