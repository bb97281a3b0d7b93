//! Texts that are cut for a carrier: how many at a time, and what has to wait for their parts.

use hashbrown::HashMap;
use tidegate_codec::address::AddressBuf;
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::names::NameId;

use crate::gate::Gate;

/// Whose texts have been cut, and for whom, and are not on disk in their parts yet: what was accepted behind one goes
/// behind its parts.
#[derive(Debug, Default)]
pub(crate) struct Cutting {
    of: HashMap<(NameId, AddressBuf), u32>,
    parts: usize,
}

impl Cutting {
    pub(crate) fn begin(&mut self, of: &(NameId, AddressBuf), parts: usize) {
        *self.of.entry(of.clone()).or_default() += 1;
        self.parts += parts;
    }

    pub(crate) fn end(&mut self, of: &(NameId, AddressBuf), parts: usize) {
        self.parts = self.parts.saturating_sub(parts);
        if let Some(count) = self.of.get_mut(of) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(of);
            }
        }
    }

    /// Whether no text to the same recipient is being cut.
    pub(super) fn lets_go(&self, leg: &Leg) -> bool {
        self.of.is_empty()
            || !self
                .of
                .contains_key(&(leg.account, leg.envelope.addresses.destination()))
    }
}

/// What is cut while legs are handed over to one carrier.
pub(super) struct Cuts {
    /// Whether it wants long texts in parts.
    wants_parts: bool,
    /// Parts for which its links had room: no more are cut at a time, and the rest waits as it is.
    pub(super) room: usize,
}

impl Cuts {
    pub(super) fn new<D: Disk>(gate: &Gate<D>, carrier: usize) -> Self {
        let wants_parts = gate.config.carriers[carrier].texts.wants_parts();
        let links = gate.carriers[carrier].links.iter();
        let rooms = links
            .filter_map(|id| gate.links.get(*id))
            .map(|link| link.session.room());
        Self {
            wants_parts,
            room: if wants_parts {
                rooms
                    .sum::<usize>()
                    .saturating_sub(gate.carriers[carrier].cutting.parts)
            } else {
                0
            },
        }
    }

    /// Whether it shows only when a leg is written how many parts go: whether it is one, is cut, or goes as it is.
    pub(super) fn shows_later(&self, leg: &Leg) -> bool {
        self.wants_parts || leg.part().is_some()
    }
}
