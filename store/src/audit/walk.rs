//! Going through the log from its first entry, and past what is not as it was written.

use super::entry::{Logged, Source};
use super::frame::{Found, Frame, HEADER_LEN, Header, Octets};
use super::kind::Kind;
use super::tree::{GENESIS, Hash, MISSING, Tree};

/// Entries that may be missing in one place and be counted; more are no log of ours, and would leave no numbers.
const GAP_MAX: u64 = 1 << 40;

/// Where a log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The last entry's hash.
    pub(super) hash: Hash,
    pub(super) tree: Tree,
    /// The greatest place of the spool that was copied from.
    pub(super) source: Option<Source>,
    pub(super) last: Option<Kind>,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self {
            hash: GENESIS,
            tree: Tree::default(),
            source: None,
            last: None,
        }
    }

    /// The number of the next entry.
    pub(super) const fn next(&self) -> u64 {
        self.tree.size() + 1
    }

    pub(super) fn enter(&mut self, hash: &Hash, kind: Kind, source: Option<Source>) {
        self.hash = *hash;
        self.tree.push(hash);
        self.source = self.source.max(source);
        self.last = Some(kind);
    }

    /// Goes on with `next`, which is not the next entry; `false` where too many would be missing.
    pub(super) fn skip_to(&mut self, next: u64) -> bool {
        let missing = next.saturating_sub(self.next());
        if missing > GAP_MAX {
            return false;
        }
        self.tree.push_run(&MISSING, missing);
        true
    }
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The octets where it should stand cannot be read.
    Damaged,
    /// It is not what its hash covers, or does not follow the entry before it.
    Changed,
    /// Another entry stands in its place: which.
    Order {
        /// Its number.
        found: u64,
    },
    /// It is not there, although later ones are or a checkpoint signs it.
    Missing,
    /// The header of the file in which it stands is not as it was written.
    Header,
    /// Something stands behind the last entry of its file.
    Behind,
    /// All fits together, and a checkpoint signs something else: it, or an entry up to the checkpoint's size.
    Forked,
    /// Its file cannot be read.
    Unreadable(std::io::ErrorKind),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged => f.write_str("it cannot be read"),
            Self::Changed => {
                f.write_str("it is not what its hash covers, or does not follow the one before it")
            }
            Self::Order { found } => write!(f, "entry {found} stands in its place"),
            Self::Missing => f.write_str("it is missing"),
            Self::Header => f.write_str("the header of its file is not as it was written"),
            Self::Behind => f.write_str("something stands behind the end of its file"),
            Self::Forked => f.write_str("it, or one behind it, is not what was signed"),
            Self::Unreadable(kind) => write!(f, "its file cannot be read: {kind}"),
        }
    }
}

/// The first entry that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its number.
    pub sequence: u64,
    /// Where no one entry can be named, the last that may be meant; else the same.
    pub up_to: u64,
    /// The file in which it stands, or should.
    pub file: String,
    /// What is wrong.
    pub why: Why,
}

/// Where the last segment stopped to be as it was written.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// All before it.
    pub(super) chain: Chain,
    /// What was bad before it.
    pub(super) bad: Option<Bad>,
    /// Behind the last good frame.
    pub(super) at: usize,
    /// What frames behind it take for synced.
    pub(super) synced: u64,
    /// Octets behind it.
    pub(super) octets: usize,
}

/// Goes through segments in their order.
pub(super) struct Walk<'a> {
    pub(super) chain: Chain,
    pub(super) bad: Option<Bad>,
    /// Of the segment that was gone through last.
    pub(super) stop: Option<Stop>,
    /// Where the next frame of that one belongs.
    pub(super) end: usize,
    /// Octets of a write that was cut off, at the very end.
    pub(super) torn: usize,
    /// Called with each good entry and what stands after it.
    visit: &'a mut dyn FnMut(&Logged, &Chain),
}

impl<'a> Walk<'a> {
    /// From a place where `chain` and `bad` are known.
    pub(super) fn from(chain: Chain, bad: Option<Bad>, visit: &'a mut dyn FnMut(&Logged, &Chain)) -> Self {
        Self {
            chain,
            bad,
            stop: None,
            end: 0,
            torn: 0,
            visit,
        }
    }

    /// Notes that the next entry is not as it was written, if it is the first.
    pub(super) fn bad(&mut self, file: &str, why: Why) {
        let sequence = self.chain.next();
        self.bad.get_or_insert_with(|| Bad {
            sequence,
            up_to: sequence,
            file: file.to_owned(),
            why,
        });
    }

    /// Notes that a segment cannot be gone through, and forgets where the one before it ended.
    pub(super) fn unread(&mut self, file: &str, why: Why) {
        self.bad(file, why);
        (self.stop, self.torn, self.end) = (None, 0, 0);
    }

    /// Goes through one segment: its name, the number with which it begins by that, its octets.
    pub(super) fn segment(&mut self, file: &str, first: u64, all: &[u8]) {
        if self.torn > 0 {
            // Something came behind it: it was no end.
            self.bad(file, Why::Damaged);
        }
        (self.stop, self.torn, self.end) = (None, 0, HEADER_LEN);
        let octets = Octets::new(all);
        let header = Header::read(all).filter(|header| header.first == first);
        // What could be gone through differently stops being good here, for whoever would go on writing.
        let before = self.chain.clone();
        let is_headed = self.header(file, first, header);
        if !is_headed {
            self.stop_at(&octets, HEADER_LEN, before);
            if let Some(stop) = &mut self.stop {
                // A file appears with its header or not at all.
                stop.synced = u64::MAX;
            }
            if self.chain.next() != first {
                return;
            }
        }
        let mut at = HEADER_LEN;
        loop {
            match octets.look(at) {
                Found::End => return,
                Found::Torn => {
                    self.torn = octets.used_behind(at);
                    let chain = self.chain.clone();
                    self.stop_at(&octets, at, chain);
                    return;
                }
                Found::Damage => {
                    let chain = self.chain.clone();
                    self.stop_at(&octets, at, chain);
                    self.bad(file, Why::Damaged);
                    match octets.resync(at) {
                        Some(next) => at = next,
                        None => return,
                    }
                }
                Found::Frame(frame, next) => {
                    self.frame(file, &octets, at, &frame);
                    at = next;
                    if self.stop.is_none() {
                        self.end = next;
                    }
                }
            }
        }
    }

    /// Whether a segment begins as it should. Where it does not, the chain stands where it says, if that can be.
    fn header(&mut self, file: &str, first: u64, header: Option<Header>) -> bool {
        let next = self.chain.next();
        if first < next {
            self.bad(file, Why::Order { found: first });
            return false;
        }
        if first > next {
            self.bad(file, Why::Missing);
            if self.chain.skip_to(first)
                && let Some(header) = header
            {
                // Those who wrote it knew what they went on behind.
                self.chain.hash = header.previous;
                return true;
            }
            return false;
        }
        match header {
            Some(header) if header.previous == self.chain.hash => true,
            Some(_) => {
                self.bad(file, Why::Changed);
                false
            }
            None => {
                self.bad(file, Why::Header);
                false
            }
        }
    }

    fn frame(&mut self, file: &str, octets: &Octets<'_>, at: usize, frame: &Frame<'_>) {
        if let Some(stop) = &mut self.stop {
            stop.synced = stop.synced.max(frame.synced);
        }
        let next = self.chain.next();
        if frame.sequence == next
            && let Some(logged) = frame.read(&self.chain.hash)
        {
            self.chain
                .enter(&frame.hash, logged.entry.kind, logged.entry.source);
            (self.visit)(&logged, &self.chain);
            return;
        }
        let chain = self.chain.clone();
        self.stop_at(octets, at, chain);
        if let Some(stop) = &mut self.stop {
            stop.synced = stop.synced.max(frame.synced);
        }
        let why = match frame.sequence {
            found if found != next => Why::Order { found },
            _ => Why::Changed,
        };
        self.bad(file, why);
        // What stands there counts as what it says it is, so that later ones can be looked at.
        if frame.sequence >= next && self.chain.skip_to(frame.sequence) {
            self.chain.hash = frame.hash;
            self.chain.tree.push(&frame.hash);
        }
    }

    fn stop_at(&mut self, octets: &Octets<'_>, at: usize, chain: Chain) {
        let bad = &self.bad;
        self.stop.get_or_insert_with(|| Stop {
            chain,
            bad: bad.clone(),
            at,
            synced: 0,
            octets: octets.used_behind(at),
        });
    }
}
