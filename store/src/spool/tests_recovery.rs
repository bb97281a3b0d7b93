//! Starts: footers and scans, damage and torn tails, keys; and that nothing personal lies in any file.

use tidegate_codec::address::{AddressBuf, Npi, Ton};

use crate::addresses::Addresses;
use crate::disk::{Access, Disk as _, FaultyDisk};
use crate::index::LegId;
use crate::keyring::Owner;
use crate::quote::Quote;
use crate::record::{Envelope, RecordError};
use crate::segment::{BATCH_HEADER_LEN, Found, HEADER_LEN, Scan, TRAILER_LEN, Trailer};
use crate::testing::envelope;

use super::rig::{Rig, SEGMENT, options};
use super::tests_model::traffic;
use super::{Begin, Finished, NewLeg, Options, Target};

/// A spool with a past: several segments, most of them with footers.
fn used(seed: u64, turns: u32) -> Rig {
    let options = Options {
        segment_size: 4096,
        ..options()
    };
    let mut rig = Rig::with(seed, options);
    for _ in 0..turns {
        for _ in 0..rig.below(8) {
            traffic(&mut rig);
        }
        rig.turn();
    }
    rig.settle_down();
    rig
}

fn footed(disk: &FaultyDisk, path: &std::path::Path) -> bool {
    let octets = disk.octets(path).unwrap();
    let Some(trailer) = octets.last_chunk::<TRAILER_LEN>() else {
        return false;
    };
    Trailer::read(trailer, octets.len() as u64).is_some()
}

/// Takes the trailers of all segments away that a coin says.
fn strip(rig: &mut Rig, disk: &FaultyDisk, all: bool) {
    for path in rig.files() {
        if footed(disk, &path) && (all || rig.one_in(2)) {
            let len = disk.octets(&path).unwrap().len();
            let at = (len - TRAILER_LEN) as u64;
            assert!(disk.damage(&path, at, &[0; TRAILER_LEN]));
        }
    }
}

#[test]
fn footers_say_what_a_scan_of_every_record_says() {
    let mut footers = 0;
    for seed in 0..60 {
        let mut rig = used(seed, 150);
        let whole = rig.disk.crash();
        let (by_footer, lives, found) = rig.look(&whole);
        footers += found.by_footer;
        assert!(by_footer.is_like(&rig.synced), "seed {seed}");
        for all in [true, false] {
            let stripped = rig.disk.crash();
            strip(&mut rig, &stripped, all);
            let (by_scan, lives_by_scan, found) = rig.look(&stripped);
            assert!(!found.is_alarming());
            assert_eq!(found.by_footer == 0, all || found.by_footer == 0);
            rig.assert_same(&by_scan, &by_footer);
            assert_eq!(lives_by_scan, lives, "seed {seed}");
        }
    }
    assert!(footers > 200, "{footers}");
}

#[test]
fn a_footer_that_does_not_open_is_not_needed() {
    let mut rig = used(3, 150);
    let disk = rig.disk.crash();
    for path in rig.files() {
        if footed(&disk, &path) {
            let octets = disk.octets(&path).unwrap();
            let trailer = octets.last_chunk::<TRAILER_LEN>().unwrap();
            let trailer = Trailer::read(trailer, octets.len() as u64).unwrap();
            let at = trailer.footer_at + u64::from(rig.below(trailer.footer_len));
            let octet = octets[usize::try_from(at).unwrap()];
            disk.damage(&path, at, &[octet ^ 1]);
        }
    }
    let (found, _, recovered) = rig.look(&disk);
    assert_eq!((recovered.by_footer, recovered.is_alarming()), (0, false));
    rig.assert_same(&found, &rig.synced);
}

#[test]
fn a_footer_leaves_out_nothing_that_ends_in_a_batch_which_is_not_there_yet() {
    let mut rig = Rig::new(15);
    // A closed segment in which several live, its footer not written yet.
    while rig.spool.unfooted.is_empty() {
        rig.accept().unwrap();
        rig.now_ms += 10;
        rig.commit();
        while rig.spool.next.is_none() {
            let chore = rig.spool.next_chore(rig.now_ms).unwrap();
            let done = rig.keeper.run(chore, &mut rig.rng);
            let _ = rig.done(done);
        }
    }
    let legs = rig.legs();
    rig.settle(legs[0], None).unwrap();
    let Begin::Commit(commit) = rig.begin() else {
        panic!("nothing to commit")
    };
    rig.chores();
    // The batch never reaches the disk: the leg is there.
    drop(commit);
    let kept = rig.synced.legs.len();
    let rig = rig.crash();
    assert_eq!(rig.spool.index().len(), kept);
}

#[test]
fn closed_segments_are_read_by_their_footers() {
    let mut rig = Rig::new(4);
    while rig.spool.segments.len() < 5 {
        rig.accept().unwrap();
        rig.turn();
    }
    rig.settle_down();
    let rig = rig.crash();
    assert_eq!((rig.found.by_footer, rig.found.segments), (4, 6));
}

#[test]
fn a_segment_in_which_nothing_lives_has_a_footer_while_its_steps_matter() {
    let mut rig = Rig::new(17);
    while rig.spool.segments.len() < 2 {
        rig.accept_body(&[b'b'; 400]).unwrap();
        rig.turn();
    }
    // The second holds nothing but steps of what was born in the first.
    while rig.spool.segments.len() < 3 {
        for leg in rig.legs() {
            if rig.spool.index().get(leg).unwrap().at.segment() == 1 {
                rig.retry(leg).unwrap();
            } else {
                rig.settle(leg, None).unwrap();
            }
        }
        rig.turn();
    }
    rig.settle_down();
    assert_eq!(rig.spool.segments.get(2).unwrap().live(), 0);
    assert!(rig.spool.unfooted.is_empty(), "its steps are not kept in memory");
    let rig = rig.crash();
    assert_eq!(rig.found.by_footer, 2);
}

/// Where the batches of a file begin.
fn batches(disk: &FaultyDisk, path: &std::path::Path, number: u64) -> Vec<(usize, usize)> {
    let octets = disk.octets(path).unwrap();
    let found = Scan::new(&octets, number).filter_map(|found| match found {
        Found::Batch { header, at } => Some((at, header.len as usize)),
        Found::Damage { .. } => None,
    });
    found.collect()
}

fn legs_in_batches(seed: u64, count: usize) -> (Rig, Vec<LegId>) {
    let mut rig = Rig::new(seed);
    let mut legs = Vec::new();
    for _ in 0..count {
        legs.push(rig.accept_body(&[b'b'; 100]).unwrap());
        rig.turn();
    }
    (rig, legs)
}

#[test]
fn damage_in_the_middle_costs_its_batch_only_and_is_an_alarm() {
    for at_header in [true, false] {
        let (mut rig, legs) = legs_in_batches(5, 9);
        let lost = rig.key(legs[4]);
        let path = rig.file(1);
        let (at, len) = batches(&rig.disk, &path, 1)[4];
        let at = if at_header { at - 40 } else { at + len / 2 };
        let octet = rig.disk.octets(&path).unwrap()[at];
        rig.disk.damage(&path, at as u64, &[octet ^ 4]);
        let disk = rig.disk.crash();
        rig = rig.start_unchecked(disk);
        assert_eq!(
            (rig.found.damaged, rig.found.gaps, rig.found.unreadable),
            (1, 1, 0)
        );
        assert!(rig.found.is_alarming());
        let lost = rig.synced.legs.remove(&lost).unwrap();
        // What the batch counted went with it.
        let period = super::rig::period(lost.envelope.accepted_ms);
        for (number, is_month) in [(period.day, false), (period.month, true)] {
            let used = rig
                .synced
                .used
                .get_mut(&(lost.account.clone(), is_month))
                .unwrap();
            *used.get_mut(&number).unwrap() -= u64::from(lost.envelope.parts);
        }
        rig.assert_same(&rig.snapshot(), &rig.synced);
        rig.check_bodies();
        // Nobody knows under which keys the lost batch lies: they stay until its segment goes.
        rig.settle_down();
        rig.check_counts();
        for leg in rig.legs() {
            rig.settle(leg, None).unwrap();
        }
        rig.settle_down();
        assert_eq!(rig.keeper.ring().live(Owner::Spool).len(), 2);
        rig.check_counts();
    }
}

#[test]
fn the_keys_of_what_is_damaged_stay_until_its_segment_goes() {
    let (mut rig, legs) = legs_in_batches(16, 4);
    // The first batch was sealed before the next segment was made, so it has its key for itself.
    let key = rig.spool.segments.get(1).unwrap().keys[0];
    let lost = rig.key(legs[0]);
    let path = rig.file(1);
    let (at, _) = batches(&rig.disk, &path, 1)[0];
    rig.disk.damage(&path, at as u64, &[0; 9]);
    let disk = rig.disk.crash();
    rig = rig.start_unchecked(disk);
    rig.synced.legs.remove(&lost);
    assert_eq!(rig.found.damaged, 1);
    assert!(rig.keeper.ring().get(key).is_some());
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    rig.settle_down();
    assert!(rig.keeper.ring().get(key).is_none());
}

#[test]
fn a_missing_segment_in_the_middle_is_an_alarm() {
    use crate::disk::Disk;
    let (mut rig, _) = legs_in_batches(6, 120);
    rig.settle_down();
    assert!(rig.spool.segments.len() > 2);
    let gone = rig.spool.segments.get(2).unwrap();
    let gone = gone.last_batch - gone.first_batch + 1;
    rig.disk.unlink(&rig.file(2)).unwrap();
    let disk = rig.disk.clone();
    rig = rig.start_unchecked(disk);
    assert_eq!((rig.found.gaps, rig.found.damaged), (gone, 0));
    assert_eq!(rig.spool.index().len() as u64, 120 - gone);
}

#[test]
fn torn_tails_are_no_alarm_however_often_the_power_goes() {
    let (mut rig, _) = legs_in_batches(7, 3);
    let mut torn = 0;
    for _ in 0..40 {
        // Sectors are written or not: the batch is longer than several.
        for _ in 0..8 {
            rig.accept_body(&[b't'; 180]).unwrap();
        }
        let changes = u64::from(rig.rng_bit());
        rig.disk.cut_power_after(changes);
        rig.turn();
        rig = rig.crash_by_chance();
        torn += usize::from(rig.found.torn_octets > 0);
        rig.check_bodies();
        rig.settle_down();
    }
    assert!(torn > 10, "{torn}");
}

#[test]
fn a_record_that_does_not_open_is_counted_and_the_rest_is_there() {
    // A batch whose checksum is right and one of whose records is not: the disk is not at fault then.
    let (mut rig, _) = legs_in_batches(8, 1);
    for _ in 0..3 {
        rig.accept().unwrap();
    }
    rig.turn();
    let path = rig.file(1);
    let (at, len) = batches(&rig.disk, &path, 1)[1];
    let mut octets = rig.disk.octets(&path).unwrap();
    let record = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap()) as usize;
    octets[at + 4 + record - 1] ^= 1;
    let mut head: Vec<u8> = octets[at - 48..at - 4].to_vec();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head);
    crc.update(&octets[at..at + len]);
    head.extend_from_slice(&crc.finalize().to_be_bytes());
    rig.disk.damage(&path, at as u64 - 48, &head);
    rig.disk.damage(&path, at as u64, &octets[at..at + len]);
    let disk = rig.disk.crash();
    rig = rig.start_unchecked(disk);
    assert_eq!(
        (rig.found.unreadable, rig.found.damaged, rig.found.gaps),
        (1, 0, 0)
    );
    assert_eq!(rig.spool.index().len(), 3);
}

#[test]
fn a_record_damaged_under_a_running_spool_is_quarantined_and_the_others_move_on() {
    let (mut rig, legs) = legs_in_batches(9, 60);
    rig.settle_down();
    let bad = rig.spool.index().get(legs[2]).unwrap().at;
    assert_eq!(bad.segment(), 1);
    let at = u64::from(bad.offset + bad.len - 1);
    let octet = rig.disk.octets(&rig.file(1)).unwrap()[usize::try_from(at).unwrap()];
    rig.disk.damage(&rig.file(1), at, &[octet ^ 1]);
    let chore = rig
        .spool
        .read_back([Target::Leg(legs[2]), Target::Leg(legs[3])])
        .unwrap();
    let done = rig.keeper.run(chore, &mut rig.rng);
    let Finished::Read(read) = rig.done(done) else {
        panic!("not read")
    };
    assert!(matches!(read[0].body, Err(RecordError::Sealed(_))) && rig.spool.is_at(&read[0]));
    assert!(read[1].body.is_ok());
    rig.now_ms += 25 * 3_600_000;
    let mut quarantined = Vec::new();
    for _ in 0..50 {
        for said in rig.chores() {
            if let Finished::Unreadable(targets) = said {
                quarantined.extend(targets);
            }
        }
        rig.commit();
        rig.now_ms += 1000;
        for target in quarantined.drain(..) {
            assert_eq!(target, Target::Leg(legs[2]));
            if rig.spool.index().get(legs[2]).is_some() {
                rig.settle(legs[2], None).unwrap();
            }
        }
    }
    rig.settle_down();
    assert!(rig.spool.segments.get(1).is_none());
    assert_eq!(rig.spool.index().len(), 59);
    rig.check_bodies();
}

#[test]
fn a_record_that_moved_while_it_was_read_is_told_from_a_bad_one() {
    let (mut rig, legs) = legs_in_batches(10, 60);
    rig.settle_down();
    let chore = rig.spool.read_back([Target::Leg(legs[0])]).unwrap();
    rig.now_ms += 25 * 3_600_000;
    rig.settle_down();
    assert!(rig.spool.segments.get(1).is_none());
    let done = rig.keeper.run(chore, &mut rig.rng);
    let Finished::Read(read) = rig.done(done) else {
        panic!("not read")
    };
    assert!(read[0].body.is_err() && !rig.spool.is_at(&read[0]));
    rig.check_bodies();
}

/// The unlink test of design §4, cut at every change that the disk sees.
#[test]
fn filled_finished_out_of_order_unlinked_and_killed_nothing_comes_back() {
    let story = |cut: Option<u64>| {
        let mut rig = Rig::with(
            11,
            Options {
                segment_size: 4096,
                ..options()
            },
        );
        let mut ends = 0;
        if let Some(cut) = cut {
            rig.disk.cut_power_after(cut);
        }
        for turn in 0..70u32 {
            if rig.spool.is_broken() {
                break;
            }
            for _ in 0..2 {
                let _ = rig.accept_body(&[b'u'; 120]);
            }
            // Some of the newest, some of the oldest, none in between.
            let legs = rig.legs();
            for leg in legs
                .iter()
                .rev()
                .take(1)
                .chain(legs.iter().take(usize::from(turn % 3 == 0)))
            {
                if turn % 4 == 0 {
                    let _ = rig.hand_over(*leg);
                } else if rig.spool.index().get(*leg).is_some() {
                    ends += usize::from(rig.settle(*leg, (turn % 2 == 0).then_some(30)).is_ok());
                }
            }
            if turn % 5 == 0 && !rig.spool.is_broken() {
                rig.fetch_all();
            }
            if turn == 40 {
                rig.now_ms += 25 * 3_600_000;
            }
            rig.turn();
        }
        (rig, ends)
    };
    let (rig, ends) = story(None);
    let changes = rig.disk.counts().changes;
    assert!(ends > 60 && rig.spool.segments.oldest().unwrap().0 > 3, "{ends}");
    for cut in 0..changes {
        let (mut rig, _) = story(Some(cut));
        rig = match cut % 3 {
            0 => rig.crash(),
            _ => rig.crash_by_chance(),
        };
        rig.check_bodies();
        // The second start finds what the first left.
        if cut % 4 == 0 {
            rig.settle_down();
            rig = rig.crash_by_chance();
            rig.check_bodies();
        }
    }
}

const TEXT: &[u8] = b"Meet me at the lighthouse";
const NUMBER: &[u8] = b"491701234567";
const CARRIER_ID: &[u8] = b"carrier-id-canary";

fn is_in(octets: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(octets, needle).is_some()
}

#[test]
fn nothing_personal_lies_in_any_file_or_shows_in_debug_output() {
    use rand_core::SeedableRng;
    use tidegate_codec::identity::SystemId;
    use tidegate_codec::message_id::MessageIdText;

    let mut rig = Rig::new(12);
    let swapped: Vec<u8> = NUMBER
        .chunks(2)
        .map(|two| (two[1] - b'0') << 4 | (two[0] - b'0'))
        .collect();
    let packed: Vec<u8> = NUMBER
        .chunks(2)
        .map(|two| (two[0] - b'0') << 4 | (two[1] - b'0'))
        .collect();
    let wide: Vec<u8> = TEXT.iter().flat_map(|octet| [0, *octet]).collect();
    let canaries = [&TEXT[..20], TEXT, NUMBER, CARRIER_ID, &swapped, &packed, &wide];
    let mut shown = String::new();
    let mut numbers = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    for turn in 0..200u64 {
        let envelope = Envelope {
            addresses: {
                let number = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, NUMBER).unwrap();
                Addresses::new(&number, &number)
            },
            ..envelope()
        };
        let body = canaries.concat();
        let id = rig.spool.next_id(rig.now_ms);
        let account = SystemId::new(b"load").unwrap();
        let new = NewLeg {
            id,
            leg: 0,
            account,
            envelope,
            due_ms: 0,
            quote: Quote::of(TEXT.iter().copied()),
            body: &body,
            period: crate::usage::Period::default(),
            takes_a_place: false,
            held: false,
        };
        let leg = rig.spool.accept(rig.now_ms, new, &mut numbers).unwrap();
        rig.turn();
        let carrier = rig.spool.intern("sink").unwrap();
        let carrier_id = MessageIdText::new(CARRIER_ID).unwrap();
        if turn % 3 > 0 {
            let now = rig.now_ms;
            rig.spool
                .hand_over(now, leg, carrier, carrier_id, 99, &mut numbers)
                .unwrap();
        }
        let entry = super::NewEntry {
            kind: crate::record::EntryKind::Mo,
            sink: crate::record::Sink::Bind,
            form: crate::record::Form::Sm,
            expires_ms: u64::MAX,
            document: &[],
            body: &body,
        };
        let made = rig
            .spool
            .deliver(rig.now_ms, account, &entry, &mut numbers)
            .unwrap();
        rig.turn();
        shown += &format!(
            "{entry:?}{:?}{:?}",
            rig.spool.index().get(leg),
            rig.spool.outbox().get(made)
        );
        let read = rig
            .spool
            .read_back([Target::Leg(leg), Target::Entry(made)])
            .unwrap();
        let done = rig.keeper.run(read, &mut numbers);
        let read = rig.done(done);
        shown += &format!("{read:?}{:?}{:?}", rig.spool.staging, rig.spool.pending());
        if turn == 100 {
            rig.now_ms += 25 * 3_600_000;
        }
    }
    shown += &format!("{:?}{:?}", rig.spool.index(), rig.spool.outbox());
    assert!(rig.files().len() > 3);
    for path in rig.disk.paths() {
        let octets = rig.disk.octets(&path).unwrap();
        for canary in canaries {
            assert!(!is_in(&octets, canary), "{}", path.display());
        }
        let name = path.to_string_lossy();
        assert!(!is_in(name.as_bytes(), NUMBER));
    }
    for canary in [TEXT, NUMBER, CARRIER_ID] {
        assert!(!is_in(shown.as_bytes(), canary));
        let as_list = format!("{canary:?}");
        let as_list = as_list.trim_matches(['[', ']']);
        assert!(!is_in(shown.as_bytes(), as_list.as_bytes()));
    }
}

#[test]
fn a_foreign_node_s_spool_is_refused_and_a_damaged_header_is_not_needed() {
    let (mut rig, _) = legs_in_batches(13, 3);
    rig.disk.damage(&rig.file(1), 0, &[0; HEADER_LEN]);
    let disk = rig.disk.crash();
    rig = rig.start_on(disk);
    assert_eq!(rig.spool.index().len(), 3);
    rig.options.node = 8;
    let opened = rig.try_open();
    assert!(matches!(
        opened,
        Err(super::OpenError::ForeignNode { node: 7, .. })
    ));
}

#[test]
fn more_legs_than_the_bound_are_refused_and_all_that_were_taken_come_back() {
    let mut rig = Rig::with(
        14,
        Options {
            max_legs: 5,
            segment_size: 4 * SEGMENT,
            ..options()
        },
    );
    for _ in 0..5 {
        rig.accept().unwrap();
    }
    assert_eq!(rig.accept(), Err(super::Refused::Full));
    rig.turn();
    rig.options.max_legs = 2;
    let mut rig = rig.crash();
    assert_eq!(rig.spool.index().len(), 5);
    assert_eq!(rig.accept(), Err(super::Refused::Full));
}

#[test]
fn what_stood_in_line_when_it_was_copied_or_footed_is_due_at_once_after_a_start() {
    let mut rig = Rig::with(
        4,
        Options {
            segment_size: 4096,
            ..options()
        },
    );
    let legs: Vec<_> = (0..4).map(|_| rig.accept().unwrap()).collect();
    rig.turn();
    let keys: Vec<_> = legs.iter().map(|leg| rig.key(*leg)).collect();
    let tomorrow = rig.now_ms + 86_400_000;
    for leg in &legs {
        rig.spool.index.get_mut(*leg).unwrap().envelope.expires_ms = tomorrow;
    }
    // A queue has them: their date is the end of their validity now. The last one has a date of its own.
    let (waiting, scheduled) = legs.split_at(3);
    waiting.iter().for_each(|leg| rig.spool.set_due(*leg, tomorrow));
    rig.spool.set_due(scheduled[0], tomorrow - 1);
    // Others come and go, until the segment of these is emptied and gone.
    let first = rig.files().into_iter().min().unwrap();
    for turn in 0.. {
        assert!(turn < 1000, "the first segment stays");
        if !rig.files().contains(&first) {
            break;
        }
        let other = rig.accept().unwrap();
        rig.turn();
        rig.settle(other, None).unwrap();
        rig.turn();
    }
    let (found, _, _) = rig.look(&rig.disk.crash());
    for key in &keys[..3] {
        assert!(
            found.legs[key].due_ms <= rig.now_ms,
            "it would wait for its own end"
        );
    }
    assert_eq!(found.legs[&keys[3]].due_ms, tomorrow - 1);
}

/// KEY-C02: what is sealed of one record does not open in another's place, with the batch's checksum made right; that is
/// counted, and takes no other with it.
#[test]
fn key_c02_a_record_s_octets_in_another_s_place_do_not_open_and_stop_nothing() {
    let mut rig = Rig::new(61);
    for n in 0..20 {
        rig.accept_body(format!("text number {n:02}").as_bytes()).unwrap();
    }
    rig.commit();
    let number = rig.spool.active.number;
    let path = rig.file(number);
    let octets = rig.disk.octets(&path).unwrap();
    let (header, at) = Scan::new(&octets, number)
        .filter_map(|found| match found {
            Found::Batch { header, at } => Some((header, at)),
            Found::Damage { .. } => None,
        })
        .last()
        .unwrap();
    let mut batch = octets[at..at + header.len as usize].to_vec();
    // Where each leg's payload lies in the batch.
    let (mut places, mut end) = (Vec::new(), 0);
    let mut records = &mut batch.clone()[..];
    while let Some((raw, rest)) = crate::record::cut(records) {
        let raw = raw.unwrap();
        end += raw.len;
        if raw.head.kind == crate::record::Kind::Leg {
            places.push(end - raw.payload.len()..end);
        }
        records = rest;
    }
    assert_eq!(places.len(), 20);
    let (from, to) = places
        .iter()
        .enumerate()
        .find_map(|(n, from)| {
            let to = places[n + 1..].iter().find(|to| to.len() == from.len())?;
            Some((from.clone(), to.clone()))
        })
        .unwrap();
    batch.copy_within(from, to.start);
    let file = rig.disk.open(&path, Access::ReadWrite).unwrap();
    crate::segment::append(&file, (at - BATCH_HEADER_LEN) as u64, &header, &batch).unwrap();
    let disk = rig.disk.clone();
    let rig = rig.reopen(disk);
    assert_eq!((rig.found.unreadable, rig.found.damaged), (1, 0));
    assert_eq!(rig.found.legs, 19);
}
