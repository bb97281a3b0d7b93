//! What the disk in memory holds: names, nodes, space and the faults that wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::contents::Contents;
use super::faulty::{Counts, Op};

/// What a file takes from the disk is counted in blocks of this many octets.
const BLOCK: u64 = 4096;

#[derive(Default)]
pub(super) struct State {
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) kept_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the last sync of their directory, in order.
    pub(super) pending: Vec<NameChange>,
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) nodes: HashMap<u64, Node>,
    pub(super) next_node: u64,
    pub(super) capacity: Option<u64>,
    pub(super) used: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) power: Power,
    pub(super) counts: Counts,
}

#[derive(Clone)]
pub(super) struct NameChange {
    pub(super) remove: Option<PathBuf>,
    pub(super) insert: Option<(PathBuf, u64)>,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) contents: Contents,
    pub(super) links: u32,
    pub(super) handles: u32,
    pub(super) charged: u64,
}

pub(super) struct Fault {
    pub(super) op: Op,
    pub(super) path_part: String,
    pub(super) skip: u64,
    pub(super) times: u64,
    pub(super) kind: io::ErrorKind,
}

/// Whether the machine runs.
#[derive(Default)]
pub(super) enum Power {
    #[default]
    On,
    /// For so many more changes.
    Left(u64),
    Off,
}

/// What happens to an operation.
pub(super) enum Step {
    Go,
    /// It fails by itself.
    Fault(io::Error),
    /// The power goes while it runs: it reaches the cache, nobody hears of it.
    Cut(io::Error),
}

impl NameChange {
    pub(super) fn touches(&self) -> impl Iterator<Item = &PathBuf> {
        self.remove.iter().chain(self.insert.iter().map(|(path, _)| path))
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        if let Some(path) = &self.remove {
            names.remove(path);
        }
        if let Some((path, node)) = &self.insert {
            names.insert(path.clone(), *node);
        }
    }
}

impl State {
    pub(super) fn step(&mut self, op: Op, path: &Path) -> io::Result<Step> {
        match op {
            Op::Write => self.counts.writes += 1,
            Op::Sync => self.counts.syncs += 1,
            Op::SyncDir => self.counts.dir_syncs += 1,
            _ => {}
        }
        self.power_is_on()?;
        if !matches!(op, Op::Read | Op::Open) {
            self.counts.changes += 1;
            match self.power {
                Power::Left(0) => {
                    self.power = Power::Off;
                    return Ok(Step::Cut(power_is_off()));
                }
                Power::Left(left) => self.power = Power::Left(left - 1),
                Power::On | Power::Off => {}
            }
        }
        let path = path.to_string_lossy();
        let hit = |fault: &&mut Fault| fault.op == op && path.contains(&fault.path_part);
        let Some(fault) = self.faults.iter_mut().find(hit) else {
            return Ok(Step::Go);
        };
        if fault.skip > 0 {
            fault.skip -= 1;
            return Ok(Step::Go);
        }
        let error = io::Error::from(fault.kind);
        fault.times = fault.times.saturating_sub(1);
        self.faults.retain(|fault| fault.times > 0);
        Ok(Step::Fault(error))
    }

    pub(super) fn power_is_on(&self) -> io::Result<()> {
        match self.power {
            Power::Off => Err(power_is_off()),
            Power::On | Power::Left(_) => Ok(()),
        }
    }

    pub(super) fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(dir) if dir.parent().is_some() && !self.dirs.contains(dir) => Err(Errno::NOENT.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn node(&mut self, number: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&number).ok_or_else(|| Errno::BADF.into())
    }

    /// Charges a node for `len` octets; how many it may have.
    pub(super) fn charge(&mut self, number: u64, len: u64) -> io::Result<u64> {
        let left = self
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used));
        let node = self.node(number)?;
        let wanted = len.next_multiple_of(BLOCK).saturating_sub(node.charged);
        let granted = wanted.min(left / BLOCK * BLOCK);
        node.charged += granted;
        let may = node.charged.min(len);
        self.used += granted;
        Ok(may)
    }

    pub(super) fn refund(&mut self, number: u64, len: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            let keep = len.next_multiple_of(BLOCK).min(node.charged);
            self.used -= node.charged - keep;
            node.charged = keep;
        }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        for path in change.touches() {
            if let Some(node) = self.names.get(path).and_then(|node| self.nodes.get_mut(node)) {
                node.links -= 1;
            }
        }
        if let Some(node) = change
            .insert
            .as_ref()
            .and_then(|(_, node)| self.nodes.get_mut(node))
        {
            node.links += 1;
        }
        change.apply(&mut self.names);
        self.pending.push(change);
        self.release();
    }

    /// Gives back the space of files that nobody can reach, and forgets those that no crash can bring back.
    pub(super) fn release(&mut self) {
        let mut needed: BTreeSet<u64> = self.kept_names.values().copied().collect();
        needed.extend(
            self.pending
                .iter()
                .filter_map(|change| change.insert.as_ref().map(|(_, node)| *node)),
        );
        let used = &mut self.used;
        self.nodes.retain(|number, node| {
            let reachable = node.links > 0 || node.handles > 0;
            if !reachable {
                *used -= std::mem::take(&mut node.charged);
            }
            reachable || needed.contains(number)
        });
    }

    pub(super) fn found(
        &self,
        names: BTreeMap<PathBuf, u64>,
        mut cut: impl FnMut(&Contents) -> Contents,
    ) -> Self {
        let mut nodes = HashMap::new();
        let mut used = 0;
        for number in names.values() {
            if let Some(node) = self.nodes.get(number) {
                let contents = cut(&node.contents);
                let charged = contents.seen().len().next_multiple_of(BLOCK);
                used += charged;
                let node = Node {
                    contents,
                    links: 1,
                    handles: 0,
                    charged,
                };
                nodes.insert(*number, node);
            }
        }
        Self {
            kept_names: names.clone(),
            names,
            nodes,
            used,
            dirs: self.dirs.clone(),
            next_node: self.next_node,
            capacity: self.capacity,
            ..Self::default()
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}
