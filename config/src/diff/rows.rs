//! What differs between two lists of tables.

use std::collections::{BTreeMap, BTreeSet};

/// What makes one list of tables of another where each has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<N, T> {
    /// Those that are new.
    pub added: Vec<T>,
    /// Names of those that are gone.
    pub removed: Vec<N>,
    /// Those that have other values now: the new ones.
    pub changed: Vec<T>,
    /// All names of the new list, in its order.
    order: Vec<N>,
}

impl<N: Ord + Clone, T: Eq + Clone> Named<N, T> {
    pub(super) fn new(old: &[T], new: &[T], name: impl Fn(&T) -> N) -> Self {
        let before: BTreeMap<N, &T> = old.iter().map(|table| (name(table), table)).collect();
        let order: Vec<N> = new.iter().map(&name).collect();
        let stays: BTreeSet<&N> = order.iter().collect();
        let mut added = Vec::new();
        let mut changed = Vec::new();
        for table in new {
            match before.get(&name(table)) {
                None => added.push(table.clone()),
                Some(before) if *before != table => changed.push(table.clone()),
                Some(_) => {}
            }
        }
        Self {
            added,
            removed: old
                .iter()
                .map(&name)
                .filter(|name| !stays.contains(name))
                .collect(),
            changed,
            order,
        }
    }

    pub(super) fn apply(&self, old: &[T], name: impl Fn(&T) -> N) -> Vec<T> {
        let tables = old.iter().chain(&self.changed).chain(&self.added);
        let tables: BTreeMap<N, &T> = tables.map(|table| (name(table), table)).collect();
        self.order
            .iter()
            .filter_map(|name| tables.get(name).map(|table| (*table).clone()))
            .collect()
    }
}

/// What makes one list of tables of another where each has its place only: some of it, in one stretch, is others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<T> {
    /// Where the stretch begins, counted from 0.
    pub at: usize,
    /// How many go there.
    pub removed: usize,
    /// What comes in their place.
    pub added: Vec<T>,
}

impl<T: Eq + Clone> Rows<T> {
    pub(super) fn new(old: &[T], new: &[T]) -> Self {
        let at = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let (old, new) = (&old[at..], &new[at..]);
        let rest = old.iter().rev().zip(new.iter().rev());
        let rest = rest.take_while(|(old, new)| old == new).count();
        Self {
            at,
            removed: old.len() - rest,
            added: new[..new.len() - rest].to_vec(),
        }
    }

    /// Whether the lists are the same.
    pub fn is_empty(&self) -> bool {
        self.removed == 0 && self.added.is_empty()
    }

    pub(super) fn apply(&self, old: &[T]) -> Vec<T> {
        let behind = self.at + self.removed;
        let (front, back) = (old.iter().take(self.at), old.iter().skip(behind));
        front.chain(&self.added).chain(back).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stretch_is_told_and_what_is_around_it_stays() {
        for (old, new, at, removed, added) in [
            ("abc", "abc", 3, 0, ""),
            ("abc", "abxc", 2, 0, "x"),
            ("abc", "ac", 1, 1, ""),
            ("abc", "axc", 1, 1, "x"),
            ("aab", "aaab", 2, 0, "a"),
            ("aaab", "aab", 2, 1, ""),
            ("", "ab", 0, 0, "ab"),
            ("abc", "cba", 0, 3, "cba"),
        ] {
            let rows = Rows::new(old.as_bytes(), new.as_bytes());
            let expected = Rows {
                at,
                removed,
                added: added.as_bytes().to_vec(),
            };
            assert_eq!(rows, expected, "{old} {new}");
            assert_eq!(rows.apply(old.as_bytes()), new.as_bytes());
        }
    }
}
