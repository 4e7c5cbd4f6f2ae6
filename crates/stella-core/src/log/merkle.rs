//! The Merkle tree of RFC 6962 (and RFC 9162 section 2.1) over SHA-256.

use crate::digest::Sha256;

/// Why a proof proves nothing. Which step failed would tell only a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    #[error("the sizes or the index of the proof make no sense")]
    Range,
    #[error("the proof does not lead to the root")]
    Root,
}

/// A leaf and a node begin with different bytes, so that neither can pass for
/// the other.
pub fn leaf_hash(data: &[u8]) -> Sha256 {
    Sha256::of_parts(&[&[0], data])
}

pub fn node_hash(left: &Sha256, right: &Sha256) -> Sha256 {
    Sha256::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root over these leaf hashes, in this order.
pub fn root(leaves: impl IntoIterator<Item = Sha256>) -> Sha256 {
    // Whole subtrees, of falling size; each new leaf closes as many as the
    // carries of the count.
    let mut subtrees: Vec<Sha256> = Vec::new();
    for (count, leaf) in leaves.into_iter().enumerate() {
        let mut hash = leaf;
        for _ in 0..count.trailing_ones() {
            if let Some(left) = subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        subtrees.push(hash);
    }
    subtrees
        .into_iter()
        .rev()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or_else(|| Sha256::of(&[]))
}

/// Whether `leaf` is at `index` of the tree of `size` leaves with this root
/// (RFC 9162 section 2.1.3.2).
pub fn verify_inclusion(
    leaf: &Sha256,
    index: u64,
    size: u64,
    path: &[Sha256],
    root: &Sha256,
) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof::Range);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(BadProof::Root);
        }
        if is_right(node) || node == last {
            hash = node_hash(sibling, &hash);
            while node != 0 && !is_right(node) {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(BadProof::Root)
    }
}

/// Whether the tree of `new_size` leaves begins with the one of `old_size`
/// (RFC 9162 section 2.1.4.2). Nothing follows from an empty tree, so it is
/// refused.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Sha256,
    new_size: u64,
    new_root: &Sha256,
    path: &[Sha256],
) -> Result<(), BadProof> {
    if old_size == 0 || old_size > new_size {
        return Err(BadProof::Range);
    }
    if old_size == new_size {
        return if path.is_empty() && old_root == new_root {
            Ok(())
        } else {
            Err(BadProof::Root)
        };
    }
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while is_right(node) {
        (node, last) = (node >> 1, last >> 1);
    }
    // A whole subtree of the old tree is the old tree: its root is known.
    let (start, path) = if old_size.is_power_of_two() {
        (old_root, path)
    } else {
        path.split_first().ok_or(BadProof::Root)?
    };
    if path.is_empty() {
        return Err(BadProof::Root);
    }
    let (mut old, mut new) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return Err(BadProof::Root);
        }
        if is_right(node) || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while node != 0 && !is_right(node) {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && old == *old_root && new == *new_root {
        Ok(())
    } else {
        Err(BadProof::Root)
    }
}

fn is_right(node: u64) -> bool {
    node & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::vectors;

    /// RFC 6962 section 2.1, word for word.
    fn naive_root(leaves: &[Sha256]) -> Sha256 {
        match leaves {
            [] => Sha256::of(&[]),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(split(many.len()));
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    /// RFC 6962 section 2.1.1.
    fn path(index: usize, leaves: &[Sha256]) -> Vec<Sha256> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut out, sibling) = if index < k {
            (path(index, left), naive_root(right))
        } else {
            (path(index - k, right), naive_root(left))
        };
        out.push(sibling);
        out
    }

    /// RFC 6962 section 2.1.2.
    fn consistency(old: usize, leaves: &[Sha256], whole: bool) -> Vec<Sha256> {
        if old == leaves.len() {
            return if whole {
                Vec::new()
            } else {
                vec![naive_root(leaves)]
            };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut out, sibling) = if old <= k {
            (consistency(old, left, whole), naive_root(right))
        } else {
            (consistency(old - k, right, false), naive_root(left))
        };
        out.push(sibling);
        out
    }

    /// The largest power of two below `n`.
    fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    fn leaves(n: usize) -> Vec<Sha256> {
        (0..n).map(|i| leaf_hash(&[i as u8])).collect()
    }

    proptest! {
        #[test]
        fn every_leaf_is_included_where_it_stands_and_nowhere_else(
            n in 1_usize..70, at in any::<prop::sample::Index>(), elsewhere in any::<prop::sample::Index>(),
        ) {
            let all = leaves(n);
            let root = root(all.iter().copied());
            prop_assert_eq!(root, naive_root(&all));
            let index = at.index(n);
            let proof = path(index, &all);
            let (i, size) = (index as u64, n as u64);
            prop_assert_eq!(verify_inclusion(&all[index], i, size, &proof, &root), Ok(()));
            let other = elsewhere.index(n) as u64;
            if other != i {
                prop_assert!(verify_inclusion(&all[index], other, size, &proof, &root).is_err());
            }
            for cut in 0..proof.len() {
                prop_assert!(verify_inclusion(&all[index], i, size, &proof[..cut], &root).is_err());
            }
            let mut longer = proof.clone();
            longer.push(root);
            prop_assert!(verify_inclusion(&all[index], i, size, &longer, &root).is_err());
        }

        #[test]
        fn a_tree_only_grows(n in 1_usize..70, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
            let all = leaves(n);
            let old = at.index(n) + 1;
            let (old_root, new_root) = (naive_root(&all[..old]), naive_root(&all));
            let proof = consistency(old, &all, true);
            let (o, s) = (old as u64, n as u64);
            prop_assert_eq!(verify_consistency(o, &old_root, s, &new_root, &proof), Ok(()));
            let mut forged = *old_root.as_bytes();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = Sha256::from_bytes(forged);
            prop_assert!(verify_consistency(o, &forged, s, &new_root, &proof).is_err());
            prop_assert!(verify_consistency(o, &old_root, s, &forged, &proof).is_err());
            if old != n {
                prop_assert!(verify_consistency(s, &new_root, o, &old_root, &proof).is_err());
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_vectors() {
        #[derive(Deserialize)]
        struct Case {
            leaves: Vec<String>,
            root: Sha256,
        }
        for file in vectors::entries(&vectors::folder("merkle/roots")) {
            let case: Case = serde_json::from_slice(&vectors::read(&file)).expect("a case");
            let hashes = case
                .leaves
                .iter()
                .map(|l| leaf_hash(&hex::decode(l).expect("hex")));
            assert_eq!(root(hashes), case.root, "{}", file.display());
        }
    }

    #[test]
    fn proofs_are_judged_as_the_vectors_say() {
        let seen = walk(&vectors::folder("merkle"));
        assert!(seen >= 8, "only {seen} proofs");
        match std::env::var_os("STELLA_VECTORS") {
            Some(shared) => {
                let seen = walk(&Path::new(&shared).join("merkle/testdata"));
                assert!(seen >= 150, "only {seen} proofs");
            }
            None => println!("skipped: STELLA_VECTORS names no folder of further vectors"),
        }
    }

    fn walk(folder: &Path) -> usize {
        let inclusions = files(&folder.join("inclusion"));
        for file in &inclusions {
            judge(file, inclusion);
        }
        let consistencies = files(&folder.join("consistency"));
        for file in &consistencies {
            judge(file, consistent);
        }
        inclusions.len() + consistencies.len()
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        vectors::entries(folder)
            .into_iter()
            .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
            .collect()
    }

    /// As the vectors of the field's Go implementation are laid out: hashes in
    /// base64, some of them of the wrong length.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Proof {
        leaf_idx: u64,
        tree_size: u64,
        root: String,
        leaf_hash: String,
        size1: u64,
        size2: u64,
        root1: String,
        root2: String,
        proof: Option<Vec<String>>,
        want_err: bool,
    }

    fn judge(file: &Path, verdict: fn(&Proof) -> Option<Result<(), BadProof>>) {
        let case: Proof = serde_json::from_slice(&vectors::read(file)).expect("a case");
        let good = verdict(&case).is_some_and(|v| v.is_ok());
        // Two cases give texts for roots and rest on sizes and equality alone.
        let unreadable = verdict(&case).is_none();
        let textual = unreadable && case.root1 == case.root2 && case.size1 == case.size2 && case.size1 > 0;
        assert_eq!(good || textual, !case.want_err, "{}", file.display());
    }

    fn inclusion(case: &Proof) -> Option<Result<(), BadProof>> {
        Some(verify_inclusion(
            &hash(&case.leaf_hash)?,
            case.leaf_idx,
            case.tree_size,
            &hashes(case)?,
            &hash(&case.root)?,
        ))
    }

    fn consistent(case: &Proof) -> Option<Result<(), BadProof>> {
        Some(verify_consistency(
            case.size1,
            &hash(&case.root1)?,
            case.size2,
            &hash(&case.root2)?,
            &hashes(case)?,
        ))
    }

    fn hashes(case: &Proof) -> Option<Vec<Sha256>> {
        case.proof.iter().flatten().map(|h| hash(h)).collect()
    }

    fn hash(text: &str) -> Option<Sha256> {
        let bytes = crate::dsse::decode_base64(text)?;
        Some(Sha256::from_bytes(bytes.try_into().ok()?))
    }
}
