//! What handsets write, on its way to the history: each message once, over any crash, with the person who wrote it.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;

use crate::addresses::Addresses;
use crate::disk::Op;
use crate::history::{Direction, Kept, Query};
use crate::record::{EntryKind, Form, Sink};
use crate::seal::Purpose;
use crate::testing::envelope;

use super::rig::{Rig, SEGMENT, options};
use super::{CommitOutcome, Keeps, NewEntry, Options, Received, Refused};

const BOTH: Keeps = Keeps {
    meta: true,
    body: true,
};
const HANDSET: &[u8] = b"447700900777";
const OURS: &[u8] = b"55555";

fn address(digits: &[u8]) -> AddressBuf {
    AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, digits).unwrap()
}

fn account(name: &str) -> SystemId {
    SystemId::new(name.as_bytes()).unwrap()
}

fn received(now_ms: u64, body: &[u8]) -> Received<'_> {
    let mut envelope = envelope();
    envelope.addresses = Addresses::new(&address(HANDSET), &address(OURS));
    envelope.accepted_ms = now_ms;
    envelope.expires_ms = now_ms + 1_000_000;
    Received {
        envelope,
        carrier: "sink",
        body,
    }
}

/// Has the history hold one that no account is to fetch.
fn keep(rig: &mut Rig, name: &str, body: &[u8]) -> Result<(), Refused> {
    let received = received(rig.now_ms, body);
    rig.spool
        .keep_received(rig.now_ms, account(name), &received, &mut crate::testing::rng())
}

fn pass_time(rig: &mut Rig) {
    for ms in [0, 2_000, 70_000] {
        rig.now_ms += ms;
        rig.settle_down();
    }
}

fn begun() -> Rig {
    let options = Options {
        segment_size: SEGMENT / 2,
        ..options()
    };
    let mut rig = Rig::with(21, options);
    rig.keep(&[("load", BOTH)]);
    rig
}

/// Messages beside other traffic; the texts of those that are certainly on disk.
fn day(rig: &mut Rig) -> BTreeSet<Vec<u8>> {
    let mut synced = BTreeSet::new();
    for n in 0..40_u64 {
        if rig.spool.is_broken() {
            break;
        }
        let body = format!("text {n} of a handset").into_bytes();
        let is_staged = keep(rig, "load", &body).is_ok() && keep(rig, "shop", &body).is_ok();
        if rig.commit() == Some(CommitOutcome::Synced) && is_staged {
            synced.insert(body);
        }
        rig.turn();
        rig.now_ms += 3_000;
    }
    synced
}

#[test]
fn wherever_the_power_goes_each_message_of_a_handset_is_filed_once() {
    let mut whole = begun();
    let before = whole.disk.counts().changes;
    assert_eq!(day(&mut whole).len(), 40);
    let changes = whole.disk.counts().changes - before;
    assert!(
        whole.keeper.history.counts().checkpoints > 1 && changes > 60,
        "{changes}"
    );
    for cut in 0..changes {
        let mut rig = begun();
        rig.disk.cut_power_after(cut);
        let synced = day(&mut rig);
        let disk = rig.disk.crash();
        let mut rig = rig.start_on(disk);
        pass_time(&mut rig);
        let filed = rig.filed();
        let texts: BTreeSet<Vec<u8>> = filed
            .iter()
            .map(|record| record.body.clone().expect("a text"))
            .collect();
        assert_eq!(texts.len(), filed.len(), "once each, cut after {cut}");
        assert!(texts.is_superset(&synced), "cut after {cut}");
        assert_eq!(rig.spool.history().unfiled, 0, "cut after {cut}");
        assert_eq!(rig.spool.history().unreadable, 0, "cut after {cut}");
    }
}

#[test]
fn it_is_found_by_the_number_of_who_wrote_it_and_by_no_other() {
    let mut rig = begun();
    let body = b"may I have that back".to_vec();
    let entry = NewEntry {
        kind: EntryKind::Mo,
        sink: Sink::Bind,
        form: Form::Sm,
        expires_ms: rig.now_ms + 1_000_000,
        document: &[],
        body: &body,
    };
    let received = received(rig.now_ms, &body);
    let made = rig
        .spool
        .deliver_received(
            rig.now_ms,
            account("load"),
            &entry,
            &received,
            &mut crate::testing::rng(),
        )
        .unwrap();
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    let id = rig.spool.outbox().get(made).unwrap().id;
    pass_time(&mut rig);
    let mut find = |digits: &[u8]| {
        let query = Query::Recipient {
            account: account("load"),
            digits: digits.to_vec(),
        };
        let (history, ring) = (&mut rig.keeper.history, &rig.keeper.ring);
        let mut found = Vec::new();
        let mut cursor = Some(crate::history::Cursor::default());
        while let Some(at) = cursor {
            let looked = history
                .look(&query, Kept::Meta, at, ring, Purpose::Support)
                .unwrap();
            found.extend(looked.metas);
            cursor = looked.next;
        }
        found
    };
    assert!(
        find(OURS).is_empty(),
        "the number that was written to is nobody's"
    );
    let found = find(HANDSET);
    let [(_, meta)] = &found[..] else {
        panic!("{}", found.len());
    };
    assert_eq!((meta.id, meta.direction), (id, Direction::Mo));
    assert_eq!((meta.person().as_bytes(), meta.own().as_bytes()), (HANDSET, OURS));
}

#[test]
fn what_a_full_disk_gives_back_is_not_filed() {
    let mut rig = begun();
    keep(&mut rig, "load", b"once").unwrap();
    rig.disk.fail_next(Op::Write, 1, ErrorKind::StorageFull);
    assert_eq!(rig.commit(), Some(CommitOutcome::Full));
    assert_eq!(rig.spool.history().unfiled, 0, "its carrier sends it again");
    keep(&mut rig, "load", b"twice").unwrap();
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    pass_time(&mut rig);
    let filed = rig.filed();
    assert_eq!(filed.len(), 1);
    assert_eq!(filed[0].body.as_deref(), Some(&b"twice"[..]));
}

#[test]
fn without_a_rule_nothing_of_it_is_stored() {
    let mut rig = begun();
    keep(&mut rig, "shop", b"nothing").unwrap();
    assert_eq!(rig.commit(), None, "nothing was staged");
    let received = received(rig.now_ms, b"nothing");
    let fresh = account("never-heard-of");
    assert!(!rig.spool.keeps_received(fresh));
    let kept = rig
        .spool
        .keep_received(rig.now_ms, fresh, &received, &mut crate::testing::rng());
    assert_eq!((kept, rig.commit()), (Ok(()), None));
}
