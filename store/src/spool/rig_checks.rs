//! What there is in the spool, the journal, the history and the files of the [rig](super::rig), and whether it is what
//! was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tidegate_codec::values::MessageState;

use crate::history::held::{Record, held};
use crate::keyring::{KeyRing, Owner};
use crate::message_id::MessageId;
use crate::record::Stage;
use crate::seal::Purpose;
use crate::segment::{Found, Scan};
use crate::standing::{self, Change};

use super::rig::{Rig, kek};
use super::rig_model::{State, Step, snapshot};
use super::{Finished, Target};

impl Rig {
    /// What the history holds.
    pub(super) fn filed(&mut self) -> Vec<Record> {
        held(
            &mut self.keeper.history,
            &self.keeper.ring,
            &["load", "bank", "shop"],
        )
    }

    /// What the journal holds, read as a command does.
    pub(super) fn journaled(&self) -> Vec<Change> {
        let keys = KeyRing::look(&self.disk, Path::new("/keys"), &kek().into()).unwrap();
        let mut changes = Vec::new();
        let dir = &self.options.standing_dir;
        let damaged = standing::look(&self.disk, dir, &keys, Purpose::Support, |_, _, change| {
            changes.push(change);
        });
        assert_eq!(damaged.unwrap(), 0);
        changes
    }

    pub(super) fn snapshot(&self) -> State {
        snapshot(&self.spool)
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut paths = self.disk.paths();
        paths.retain(|path| path.starts_with("/data/spool"));
        paths
    }

    pub(super) fn file(&self, number: u64) -> PathBuf {
        self.options.dir.join(crate::segment::file_name(number))
    }

    /// What the spool holds is what was promised; of a batch whose end nobody heard of, all or nothing.
    pub(super) fn check_state(&mut self, committing: &[Step]) {
        let found = self.snapshot();
        // A batch of changes that change nothing shows only in how many there are.
        let on_disk = usize::try_from(self.found.standing).unwrap() + self.spool.standing().waiting();
        if !found.is_like(&self.synced) || on_disk > self.synced.changes.len() {
            let mut whole = self.synced.clone();
            committing.iter().for_each(|step| whole.apply(step));
            self.assert_same(&found, &whole);
            self.synced = whole;
        }
        let id = self.spool.next_id(0);
        let highest = self
            .synced
            .legs
            .keys()
            .map(|(id, _)| *id)
            .chain(self.synced.entries.keys().copied())
            .fold(self.highest, Ord::max);
        assert!(id > highest, "an id again: {id:?}, {highest:?}");
        for (line, queue) in self.spool.outbox().queues() {
            assert!(queue.is_sorted(), "the order of {line:?}");
        }
    }

    pub(super) fn assert_same(&self, found: &State, expected: &State) {
        for (key, leg) in &expected.legs {
            assert_eq!(found.legs.get(key), Some(leg), "leg {key:?}");
        }
        for (id, entry) in &expected.entries {
            assert_eq!(found.entries.get(id), Some(entry), "entry {id:?}");
        }
        assert_eq!(found.used, expected.used, "used parts");
        assert_eq!(found.opt_outs, expected.opt_outs, "opt-outs");
        for key in found.legs.keys() {
            assert!(expected.legs.contains_key(key), "leg {key:?} came back");
        }
        for id in found.entries.keys() {
            assert!(expected.entries.contains_key(id), "entry {id:?} came back");
        }
    }

    /// Lets everything be filed and synced, and looks what the history got: each finished leg of an account that keeps
    /// something once, with its body where that is kept, and nothing else.
    pub(super) fn check_history(&mut self, context: &str) {
        self.disk.heal();
        for _ in 0..100 {
            self.settle_down();
            self.now_ms += 2_000;
            if self.spool.history().unfiled == 0 && self.commit().is_none() {
                break;
            }
        }
        self.now_ms += 61_000;
        self.settle_down();
        let records = self.filed();
        let mut filed = BTreeMap::new();
        for record in &records {
            let twice = filed.insert((record.id, record.leg), record);
            assert_eq!(twice, None, "filed twice, {context}");
        }
        for (key, leg) in &self.synced.ended {
            let keeps = self.keeps.iter().find(|(account, _)| *account == leg.account);
            let Some((_, keeps)) = keeps.filter(|(_, keeps)| (keeps.meta || keeps.body) && key.1 < 256)
            else {
                continue;
            };
            let Some(record) = filed.remove(key) else {
                panic!("{key:?} of {} was not filed, {context}", leg.account)
            };
            let carrier = (&record.carrier, &record.carrier_id);
            assert_eq!(carrier, (&leg.carrier, &leg.carrier_id), "{key:?}, {context}");
            assert_eq!(record.state, MessageState::Delivered);
            let body = &self.bodies[&(key.0, key.1, leg.envelope.priority)];
            let expected = keeps.body.then_some(body);
            assert_eq!(record.body.as_ref(), expected, "the body of {key:?}, {context}");
        }
        assert!(filed.is_empty(), "filed for nothing, {context}: {filed:?}");
    }

    /// Running counts against a recount; keys against the files.
    pub(super) fn check_counts(&self) {
        let spool = &self.spool;
        let (mut octets, mut live_octets) = (0, 0);
        let mut keys = BTreeSet::new();
        for (number, segment) in spool.segments.iter() {
            let legs = spool.index.in_segment(number).map(|(_, leg)| leg.weight);
            let entries = spool.outbox.in_segment(number).map(|(_, entry)| entry.at.len);
            let weights: Vec<u64> = legs.chain(entries).map(u64::from).collect();
            assert_eq!(segment.live() as usize, weights.len(), "what lives in {number}");
            assert_eq!(segment.live_octets(), weights.iter().sum::<u64>(), "its octets");
            octets += segment.octets();
            live_octets += segment.live_octets();
            keys.extend(segment.keys.iter().copied());
            for key in self.keys_in(number) {
                assert!(
                    segment.keys.contains(&key),
                    "segment {number} does not know key {key}"
                );
                assert!(
                    self.keeper.ring().get(key).is_some(),
                    "key {key} is gone, its records are not"
                );
            }
        }
        assert_eq!(spool.segments.octets(), octets);
        assert_eq!(spool.segments.live_octets(), live_octets);
        keys.insert(spool.active.key.id());
        keys.extend(spool.next.iter().map(|next| next.key.id()));
        for key in self.keeper.ring().live(Owner::Spool) {
            assert!(keys.contains(&key), "key {key} is kept for nothing");
        }
        let files = self.files().len();
        assert_eq!(files, spool.segments(), "segments that exist");
        let held = spool.index.held();
        let mut expected: Vec<(MessageId, u16)> = spool
            .index
            .iter()
            .filter(|(_, leg)| leg.stage == Stage::Held)
            .map(|(_, leg)| (leg.message, leg.leg))
            .collect();
        expected.sort_unstable();
        let mut listed: Vec<(MessageId, u16)> = held
            .accounts()
            .flat_map(|account| held.of(account, (MessageId(0), 0)))
            .collect();
        listed.sort_unstable();
        assert_eq!((held.len(), listed), (expected.len(), expected), "what is held");
    }

    fn keys_in(&self, number: u64) -> BTreeSet<crate::seal::KeyId> {
        let mut octets = self.disk.octets(&self.file(number)).unwrap_or_default();
        let batches: Vec<Found> = Scan::new(&octets, number).collect();
        let mut keys = BTreeSet::new();
        for found in batches {
            let Found::Batch { header, at } = found else {
                continue;
            };
            let mut records = &mut octets[at..at + header.len as usize];
            while let Some((raw, rest)) = crate::record::cut(records) {
                keys.extend(raw.ok().and_then(|raw| raw.key()));
                records = rest;
            }
        }
        keys
    }

    /// Bodies of all durable entries and waiting legs as the keeper reads them.
    pub(super) fn check_bodies(&mut self) {
        let mut targets = Vec::new();
        let mut expected = Vec::new();
        for (id, leg) in self.spool.index().iter() {
            let key = (leg.message, leg.leg);
            if leg.stage.is_ahead() && self.synced.legs.contains_key(&key) {
                targets.push(Target::Leg(id));
                expected.push(self.bodies[&(key.0, key.1, leg.envelope.priority)].clone());
            }
        }
        for entry in self.spool.outbox().iter() {
            if self.synced.entries.contains_key(&entry.id) {
                targets.push(Target::Entry(self.spool.outbox().find(entry.id).unwrap()));
                expected.push(self.bodies[&(entry.id, 0, 0)].clone());
            }
        }
        let Some(chore) = self.spool.read_back(targets) else {
            return;
        };
        let done = self.keeper.run(chore, &mut self.rng);
        let Finished::Read(found) = self.done(done) else {
            panic!("not read")
        };
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.body.as_ref(), Ok(&expected));
            assert!(self.spool.is_at(found));
        }
    }
}
