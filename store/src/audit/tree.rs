//! The Merkle tree over the entries (RFC 6962, section 2.1), as much of it as the next root needs.
//!
//! An entry's hash, `SHA-256(0x00 ‖ previous hash ‖ octets)`, is the tree's leaf hash of `previous hash ‖ octets`, so one
//! hash serves chain and tree. Of the tree only the roots of its whole subtrees are kept, one for each bit of the size: a
//! leaf costs a hash or two, and a root one for each of at most 64.

use sha2::{Digest as _, Sha256};

/// A hash of the chain or the tree.
pub type Hash = [u8; 32];

/// What the first entry follows.
pub(super) const GENESIS: Hash = [0; 32];
/// Stands for an entry that is not there.
pub(super) const MISSING: Hash = [0; 32];

/// The hash of an entry behind another one (AUD-2).
pub(super) fn entry_hash(previous: &Hash, octets: &[u8]) -> Hash {
    let hash = Sha256::new_with_prefix([0]).chain_update(previous);
    hash.chain_update(octets).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let hash = Sha256::new_with_prefix([1]).chain_update(left);
    hash.chain_update(right).finalize().into()
}

/// The whole subtrees of a tree that grows, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    size: u64,
    whole: Vec<Hash>,
}

impl Tree {
    /// Leaves so far.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Its whole subtrees, the largest first.
    pub(super) fn whole(&self) -> &[Hash] {
        &self.whole
    }

    /// Of so many leaves; `None` where that many have another number of whole subtrees.
    pub(super) fn of_whole(size: u64, whole: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == whole.len()).then_some(Self { size, whole })
    }

    /// Takes the next leaf.
    pub(super) fn push(&mut self, leaf: &Hash) {
        let mut hash = *leaf;
        // Two subtrees of one size are one of twice the size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.whole.pop() {
                hash = node(&left, &hash);
            }
        }
        self.whole.push(hash);
        self.size += 1;
    }

    /// Takes the same leaf so many times, in steps of whole subtrees: millions cost no more than a few.
    pub(super) fn push_run(&mut self, leaf: &Hash, mut count: u64) {
        // Roots over 1, 2, 4 … of them.
        let mut runs = vec![*leaf];
        while count > 0 {
            let level = self.size.trailing_zeros().min(count.ilog2());
            while runs.len() <= level as usize {
                let last = runs.last().copied().unwrap_or(*leaf);
                runs.push(node(&last, &last));
            }
            let mut hash = runs.get(level as usize).copied().unwrap_or(*leaf);
            for _ in 0..(self.size >> level).trailing_ones() {
                if let Some(left) = self.whole.pop() {
                    hash = node(&left, &hash);
                }
            }
            self.whole.push(hash);
            self.size += 1 << level;
            count -= 1 << level;
        }
    }

    /// The root over all leaves.
    pub(super) fn root(&self) -> Hash {
        let smaller_first = self.whole.iter().rev().copied();
        let root = smaller_first.reduce(|right, left| node(&left, &right));
        root.unwrap_or_else(|| Sha256::digest([]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 as it is written.
    fn of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&of(&leaves[..split]), &of(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_rfc() {
        let mut tree = Tree::default();
        let mut leaves: Vec<Hash> = Vec::new();
        for number in 0..300_u16 {
            assert_eq!((tree.root(), tree.size()), (of(&leaves), leaves.len() as u64));
            let leaf = Sha256::digest(number.to_be_bytes()).into();
            tree.push(&leaf);
            leaves.push(leaf);
        }
    }

    #[test]
    fn a_run_of_one_leaf_is_that_leaf_so_many_times() {
        for before in 0..20_u8 {
            for count in 0..70 {
                let (mut run, mut single) = (Tree::default(), Tree::default());
                for leaf in 0..before {
                    run.push(&[leaf; 32]);
                    single.push(&[leaf; 32]);
                }
                run.push_run(&[9; 32], count);
                (0..count).for_each(|_| single.push(&[9; 32]));
                assert_eq!(run, single, "{count} behind {before}");
            }
        }
        let mut far = Tree::default();
        far.push_run(&MISSING, u64::MAX >> 1);
        assert_eq!(far.size(), u64::MAX >> 1);
    }

    /// Roots of the test data of certificate transparency's reference implementation.
    #[test]
    fn known_leaves_have_known_roots() {
        let leaf = |octets: &[u8]| -> Hash {
            Sha256::new_with_prefix([0])
                .chain_update(octets)
                .finalize()
                .into()
        };
        let hex = |hash: Hash| {
            hash.iter()
                .map(|octet| format!("{octet:02x}"))
                .collect::<String>()
        };
        let mut tree = Tree::default();
        assert_eq!(
            hex(tree.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (octets, root) in [
            (
                &[][..],
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                &[0],
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
            (
                &[0x10],
                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            ),
        ] {
            tree.push(&leaf(octets));
            assert_eq!(hex(tree.root()), root);
        }
    }
}
