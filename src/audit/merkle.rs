//! The Merkle tree of RFC 6962 §2.1 and RFC 9162 §2.1: hashes, appending, inclusion and consistency proofs, and their verification.

use crate::model::Digest;
use sha2::{Digest as _, Sha256};

/// The hash of a leaf: SHA-256 of a zero byte and the entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    Digest(hash.finalize().into())
}

/// The hash of a node: SHA-256 of a one byte, the left and the right child.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left.0);
    hash.update(right.0);
    Digest(hash.finalize().into())
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// The perfect subtrees of a tree, largest first: all that is needed to append to it and to know its root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Digest>,
}

impl CompactRange {
    /// The tree of `size` leaves with these perfect subtrees, one for each bit of `size`, largest first; `None` where the number differs.
    pub fn new(size: u64, roots: Vec<Digest>) -> Option<Self> {
        (usize::try_from(size.count_ones()).ok()? == roots.len()).then_some(Self { size, roots })
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        self.append_subtree(0, leaf);
    }

    /// Appends a perfect subtree of 2^height leaves. The size must be a multiple of that: else the tree is another one.
    pub fn append_subtree(&mut self, height: u32, root: Digest) {
        debug_assert!(height < 64 && self.size.trailing_zeros() >= height, "a subtree starts where its height divides the size");
        let mut node = root;
        let mut carry = self.size >> height;
        while carry & 1 == 1 {
            if let Some(left) = self.roots.pop() {
                node = node_hash(&left, &node);
            }
            carry >>= 1;
        }
        self.roots.push(node);
        self.size = self.size.saturating_add(1 << height);
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

/// Where proofs get nodes from: the root of the perfect subtree of height `level` that is number `index` at that level.
pub trait Nodes {
    /// Why a node can't be had.
    type Error;

    /// The node.
    ///
    /// # Errors
    /// The reader's own.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The largest power of two below `size`, as its exponent; `size` ≥ 2.
const fn split(size: u64) -> u32 {
    (size - 1).ilog2()
}

/// The root over the leaves `start..start + size`, where `start` is a multiple of the next power of two of `size`.
fn subtree_root<N: Nodes>(nodes: &N, start: u64, size: u64) -> Result<Digest, N::Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let left = 1 << split(size);
    Ok(node_hash(&subtree_root(nodes, start, left)?, &subtree_root(nodes, start + left, size - left)?))
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// The reader's own.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Digest, N::Error> {
    subtree_root(nodes, 0, size)
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 9162 §2.1.3.1); `None` where `index` ≥ `size`.
///
/// # Errors
/// The reader's own.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut size) = (0, size);
    let mut proof = Vec::new();
    while size > 1 {
        let left = 1 << split(size);
        if index - start < left {
            proof.push(subtree_root(nodes, start + left, size - left)?);
            size = left;
        } else {
            proof.push(subtree_root(nodes, start, left)?);
            start += left;
            size -= left;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// The consistency proof from the tree of `old` leaves to the one of `new` (RFC 9162 §2.1.4.1); `None` where `old` > `new`.
/// Empty where `old` is 0 or equals `new`.
///
/// # Errors
/// The reader's own.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    if old == 0 || old == new {
        return Ok(Some(Vec::new()));
    }
    let (mut start, mut size, mut m) = (0, new, old);
    let mut proof = Vec::new();
    // Whether the subtree at hand is the whole old tree, which the verifier knows.
    let mut known = true;
    while m != size {
        let left = 1 << split(size);
        if m <= left {
            proof.push(subtree_root(nodes, start + left, size - left)?);
            size = left;
        } else {
            proof.push(subtree_root(nodes, start, left)?);
            start += left;
            size -= left;
            m -= left;
            known = false;
        }
    }
    if !known {
        proof.push(subtree_root(nodes, start, size)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether the proof shows that the leaf is number `index` of the tree with this size and root (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut fnode, mut snode, mut r) = (index, size - 1, leaf);
    for p in proof {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            r = node_hash(p, &r);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            r = node_hash(&r, p);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && r == *root
}

/// Whether the proof shows that the tree of `new` leaves starts with the one of `old` (RFC 9162 §2.1.4.2).
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, proof: &[Digest]) -> bool {
    if old > new || (old == new && old_root != new_root) {
        return false;
    }
    if old == new || old == 0 {
        return proof.is_empty() && (old != 0 || *old_root == empty_root());
    }
    // Where the old tree is perfect, its root starts the path though the proof leaves it out.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        match proof.split_first() {
            None => return false,
            Some(split) => split,
        }
    };
    let (mut fnode, mut snode) = (old - 1, new - 1);
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let (mut fr, mut sr) = (*first, *first);
    for c in rest {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            sr = node_hash(&sr, c);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && fr == *old_root && sr == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// All leaf hashes; nodes by definition (RFC 9162 §2.1.1), not by the code under test.
    struct Leaves(Vec<Digest>);

    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&by_definition(&leaves[..k]), &by_definition(&leaves[k..]))
            }
        }
    }

    impl Nodes for Leaves {
        type Error = Infallible;
        fn node(&self, level: u32, index: u64) -> Result<Digest, Infallible> {
            let start = usize::try_from(index << level).unwrap();
            Ok(by_definition(&self.0[start..start + (1 << level)]))
        }
    }

    fn leaves(count: u64) -> Leaves {
        Leaves((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    fn hex(text: &str) -> Digest {
        Digest::from_hex(text).unwrap()
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2).unwrap(), 16).unwrap()).collect()
    }

    /// The leaves and roots of the reference implementation's test data (certificate-transparency `merkletree`).
    fn published() -> Leaves {
        let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        Leaves(inputs.iter().map(|i| leaf_hash(&unhex(i))).collect())
    }

    #[test]
    fn roots_are_those_of_the_published_vectors() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves = published();
        let mut range = CompactRange::default();
        for (size, expected) in roots.iter().enumerate() {
            assert_eq!(range.root(), hex(expected), "size {size}");
            assert_eq!(root(&leaves, size as u64).unwrap(), hex(expected), "size {size}");
            if let Some(leaf) = leaves.0.get(size) {
                range.append(*leaf);
            }
        }
    }

    #[test]
    fn proofs_are_those_of_the_published_vectors() {
        let leaves = published();
        let inclusion: [(u64, u64, &[&str]); 3] = [
            (0, 1, &[]),
            (
                0,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                5,
                8,
                &[
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
        ];
        for (index, size, expected) in inclusion {
            let expected: Vec<Digest> = expected.iter().map(|h| hex(h)).collect();
            assert_eq!(inclusion_proof(&leaves, index, size), Ok(Some(expected)));
        }
        let consistency: [(u64, u64, &[&str]); 3] = [
            (1, 1, &[]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
        ];
        for (old, new, expected) in consistency {
            let expected: Vec<Digest> = expected.iter().map(|h| hex(h)).collect();
            assert_eq!(consistency_proof(&leaves, old, new), Ok(Some(expected)));
        }
    }

    #[test]
    fn every_proof_of_every_small_tree_verifies_and_only_for_what_it_proves() {
        let max = 34;
        let leaves = leaves(max);
        let roots: Vec<Digest> = (0..=max).map(|n| root(&leaves, n).unwrap()).collect();
        for size in 1..=max {
            let root = &roots[usize::try_from(size).unwrap()];
            for index in 0..size {
                let leaf = leaves.0[usize::try_from(index).unwrap()];
                let proof = inclusion_proof(&leaves, index, size).unwrap().unwrap();
                assert!(verify_inclusion(leaf, index, size, &proof, root));
                for other in 0..size {
                    assert!(other == index || !verify_inclusion(leaf, other, size, &proof, root));
                }
                assert!(!verify_inclusion(leaf, index, size, &[proof.as_slice(), &[leaf]].concat(), root));
                assert!(proof.is_empty() || !verify_inclusion(leaf, index, size, &proof[1..], root));
                assert!(!verify_inclusion(empty_root(), index, size, &proof, root));
            }
            assert_eq!(inclusion_proof(&leaves, size, size), Ok(None));
            assert!(!verify_inclusion(leaves.0[0], size, size, &[], root));
            for old in 0..=size {
                let old_root = &roots[usize::try_from(old).unwrap()];
                let proof = consistency_proof(&leaves, old, size).unwrap().unwrap();
                assert!(verify_consistency(old, old_root, size, root, &proof), "{old} {size}");
                if old > 0 && old < size {
                    assert!(!verify_consistency(old, &roots[usize::try_from(old - 1).unwrap()], size, root, &proof));
                    assert!(!verify_consistency(old, old_root, size, old_root, &proof));
                    assert!(!verify_consistency(old, old_root, size, root, &[proof.as_slice(), &[*root]].concat()));
                    assert!(!verify_consistency(old, old_root, size, root, &proof[1..]));
                }
            }
        }
        assert_eq!(consistency_proof(&leaves, 3, 2), Ok(None));
        assert!(!verify_consistency(3, &roots[3], 2, &roots[2], &[]));
        assert!(!verify_consistency(0, &roots[1], 2, &roots[2], &[]));
    }

    proptest! {
        #[test]
        fn appending_leaves_or_subtrees_gives_the_root_by_definition(size in 0_u64..600, height in 0_u32..5) {
            let leaves = leaves(size);
            let mut range = CompactRange::default();
            let mut at = 0_u64;
            while at < size {
                let step = if at.is_multiple_of(1 << height) && at + (1 << height) <= size { height } else { 0 };
                range.append_subtree(step, leaves.node(step, at >> step).unwrap());
                at += 1 << step;
            }
            prop_assert_eq!(range.size(), size);
            prop_assert_eq!(range.root(), by_definition(&leaves.0));
            prop_assert_eq!(CompactRange::new(size, range.roots.clone()), Some(range));
        }

        #[test]
        fn verifying_never_panics(numbers in any::<[u64; 3]>(), hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let proof: Vec<Digest> = hashes.into_iter().map(Digest).collect();
            let root = empty_root();
            prop_assert!(!verify_inclusion(Digest([1; 32]), numbers[0], numbers[1], &proof, &root));
            prop_assert!(numbers[0] == numbers[2] || !verify_consistency(numbers[0], &root, numbers[2], &Digest([2; 32]), &proof) || numbers[0] == 0);
        }
    }
}
