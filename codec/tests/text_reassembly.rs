//! Putting together: order, duplicates, time and bounds; nothing that came is lost or doubled.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tidegate_codec::text::{
    Added, Bounds, Ended, KeptPart, PART_OVERHEAD, Place, Reassembly, Reference, Why,
};

type Book = Reassembly<u8, u32>;

fn place(reference: Reference, total: u8, sequence: u8) -> Place {
    Place::new(reference, total, sequence).unwrap()
}

fn udh8(reference: u8, total: u8, sequence: u8) -> Place {
    place(Reference::Udh8(reference), total, sequence)
}

/// One call: what became of the part, and what ended.
fn add(book: &mut Book, key: u8, place: Place, text: &str, now_ms: u64) -> (Added<u32>, Vec<Ended<u8, u32>>) {
    let mut ended = Vec::new();
    let added = book.add(key, place, text.as_bytes(), 0, now_ms, &mut ended);
    (added, ended)
}

fn text(parts: &[KeptPart<u32>]) -> String {
    let octets: Vec<u8> = parts.iter().flat_map(|part| part.octets.to_vec()).collect();
    String::from_utf8(octets).unwrap()
}

fn whole(added: &Added<u32>) -> Option<String> {
    match added {
        Added::Complete(parts) => Some(text(parts)),
        _ => None,
    }
}

#[test]
fn parts_come_in_any_order_and_twice() {
    let mut book = Book::new(Bounds::default());
    assert_eq!(add(&mut book, 1, udh8(7, 3, 3), "c", 0), (Added::Waiting, vec![]));
    assert_eq!(add(&mut book, 1, udh8(7, 3, 1), "a", 1), (Added::Waiting, vec![]));
    assert_eq!(
        add(&mut book, 1, udh8(7, 3, 3), "c", 2),
        (Added::Duplicate, vec![])
    );
    let (added, ended) = add(&mut book, 1, udh8(7, 3, 2), "b", 3);
    assert_eq!((whole(&added).unwrap().as_str(), ended), ("abc", vec![]));
    assert_eq!((book.len(), book.octets()), (0, 0));
    assert_eq!(book.next_expiry_ms(), None);
}

#[test]
fn a_message_of_one_part_is_whole_at_once() {
    let mut book = Book::new(Bounds::default());
    let (added, _) = add(&mut book, 1, udh8(7, 1, 1), "a", 0);
    assert_eq!(whole(&added).as_deref(), Some("a"));
    assert!(book.is_empty());
}

#[test]
fn neither_keys_nor_kinds_of_reference_mix() {
    let mut book = Book::new(Bounds::default());
    let references = [Reference::Udh8(7), Reference::Udh16(7), Reference::Sar(7)];
    for reference in references {
        for key in [1, 2] {
            let (added, ended) = add(&mut book, key, place(reference, 2, 1), "a", 0);
            assert_eq!((added, ended), (Added::Waiting, vec![]), "{reference:?}");
        }
    }
    assert_eq!(book.len(), 6);
    for reference in references {
        let (added, _) = add(&mut book, 2, place(reference, 2, 2), "b", 0);
        assert_eq!(whole(&added).as_deref(), Some("ab"));
    }
    assert_eq!(book.len(), 3);
}

#[test]
fn another_total_or_another_text_begins_a_new_message() {
    for (next, part) in [(udh8(7, 3, 2), "b"), (udh8(7, 2, 1), "x"), (udh8(7, 3, 1), "a")] {
        let mut book = Book::new(Bounds::default());
        add(&mut book, 1, udh8(7, 2, 1), "a", 0);
        let (added, ended) = add(&mut book, 1, next, part, 5);
        assert_eq!(added, Added::Waiting);
        let [old] = ended.as_slice() else {
            panic!("{ended:?}")
        };
        assert_eq!((old.why, old.total, old.key), (Why::Superseded, 2, 1));
        assert_eq!(text(&old.parts), "a");
        // The new one waits from its own first part on.
        assert_eq!(
            book.next_expiry_ms(),
            Some(5 + Bounds::default().wait_ms),
            "{next:?}"
        );
        assert_eq!(book.len(), 1);
    }
}

#[test]
fn time_runs_from_the_first_part_and_what_came_is_handed_back() {
    let bounds = Bounds {
        wait_ms: 100,
        ..Bounds::default()
    };
    let mut book = Book::new(bounds);
    add(&mut book, 1, udh8(1, 3, 1), "a", 1000);
    add(&mut book, 1, udh8(2, 2, 1), "x", 1050);
    add(&mut book, 1, udh8(1, 3, 3), "c", 1099);
    assert_eq!(book.next_expiry_ms(), Some(1100));
    // Even without a call to `expire`, a late part finds its message gone.
    let (added, ended) = add(&mut book, 1, udh8(1, 3, 2), "b", 1100);
    assert_eq!(added, Added::Waiting);
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].why, ended[0].total), (Why::Expired, 3));
    assert_eq!(text(&ended[0].parts), "ac");
    let mut ended = Vec::new();
    book.expire(u64::MAX, &mut ended);
    let references: Vec<_> = ended.iter().map(|ended| ended.reference).collect();
    assert_eq!(references, [Reference::Udh8(2), Reference::Udh8(1)]);
    assert_eq!((book.len(), book.octets()), (0, 0));
}

#[test]
fn a_clock_that_runs_backwards_stands_still() {
    let bounds = Bounds {
        wait_ms: 100,
        ..Bounds::default()
    };
    let mut book = Book::new(bounds);
    add(&mut book, 1, udh8(1, 2, 1), "a", 1000);
    add(&mut book, 1, udh8(2, 2, 1), "b", 10);
    let mut ended = Vec::new();
    book.expire(1099, &mut ended);
    assert_eq!(ended, []);
    book.expire(1100, &mut ended);
    assert_eq!(ended.len(), 2);
}

#[test]
fn bounds_push_out_the_oldest_and_say_so() {
    let evicted = |bounds: Bounds, keys: &[u8]| {
        let mut book = Book::new(bounds);
        let mut gone = Vec::new();
        for (reference, key) in (0..).zip(keys) {
            let (_, ended) = add(&mut book, *key, udh8(reference, 2, 1), "abcdef", 0);
            assert!(ended.iter().all(|ended| ended.why == Why::Evicted));
            gone.extend(ended.iter().map(|ended| ended.reference));
        }
        gone
    };
    let bounds = Bounds {
        open_max: 2,
        ..Bounds::default()
    };
    assert_eq!(
        evicted(bounds, &[1, 2, 3, 4]),
        [Reference::Udh8(0), Reference::Udh8(1)]
    );
    // One busy key does not push out the other.
    let bounds = Bounds {
        open_per_key_max: 2,
        ..Bounds::default()
    };
    assert_eq!(evicted(bounds, &[1, 9, 9, 9]), [Reference::Udh8(1)]);
    let bounds = Bounds {
        octets_max: 2 * (6 + PART_OVERHEAD),
        ..Bounds::default()
    };
    assert_eq!(evicted(bounds, &[1, 2, 3]), [Reference::Udh8(0)]);
}

#[test]
fn a_message_too_large_for_the_bounds_ends_with_all_that_came() {
    let bounds = Bounds {
        octets_max: 70,
        ..Bounds::default()
    };
    let mut book = Book::new(bounds);
    add(&mut book, 1, udh8(1, 3, 1), "abc", 0);
    let (added, ended) = add(&mut book, 1, udh8(1, 3, 2), "def", 0);
    assert_eq!(
        (added, text(&ended[0].parts).as_str()),
        (Added::Waiting, "abcdef")
    );
    assert_eq!((book.len(), book.octets()), (0, 0));
}

fn repeated_after_completion(again: &[(Place, &str)], step_ms: u64) -> Vec<(Why, String)> {
    let bounds = Bounds {
        wait_ms: 100,
        ..Bounds::default()
    };
    let mut book = Book::new(bounds);
    for (sequence, part) in (1..).zip(["a", "b", "c"]) {
        add(&mut book, 1, udh8(7, 3, sequence), part, 0);
    }
    assert!(book.is_empty());
    let mut ends = Vec::new();
    for (place, part) in again {
        let (added, ended) = add(&mut book, 1, *place, part, step_ms);
        ends.extend(ended);
        if let Added::Complete(parts) = added {
            return vec![(Why::Repeated, format!("whole: {}", text(&parts)))];
        }
    }
    book.expire(u64::MAX, &mut ends);
    ends.iter().map(|ended| (ended.why, text(&ended.parts))).collect()
}

#[test]
fn a_part_that_comes_again_after_its_message_was_whole_is_no_new_message() {
    let one = |why, text: &str| vec![(why, text.to_owned())];
    let again = |parts: &[(Place, &str)]| repeated_after_completion(parts, 50);
    assert_eq!(again(&[(udh8(7, 3, 3), "c")]), one(Why::Repeated, "c"));
    let (first, last) = ((udh8(7, 3, 1), "a"), (udh8(7, 3, 3), "c"));
    assert_eq!(again(&[last, first]), one(Why::Repeated, "ac"));
    // All of it is a message: some senders have one reference for all.
    let whole = "whole: abc";
    assert_eq!(
        again(&[first, (udh8(7, 3, 2), "b"), last]),
        one(Why::Repeated, whole)
    );
    // One part that is new makes a new message, whichever comes first.
    for parts in [[(udh8(7, 3, 2), "x"), last], [last, (udh8(7, 3, 2), "x")]] {
        let ends = again(&parts);
        assert_eq!(ends, one(Why::Expired, "xc"), "{parts:?}");
    }
    // Another total, another kind of reference, another key; and the same octets in another place.
    assert_eq!(again(&[(udh8(7, 2, 1), "a")]), one(Why::Expired, "a"));
    let wide = place(Reference::Udh16(7), 3, 1);
    assert_eq!(again(&[(wide, "a")]), one(Why::Expired, "a"));
    assert_eq!(again(&[(udh8(7, 3, 2), "a")]), one(Why::Expired, "a"));
    // After its time the reference may be used again, even for the same text.
    assert_eq!(repeated_after_completion(&[last], 99), one(Why::Repeated, "c"));
    assert_eq!(repeated_after_completion(&[last], 100), one(Why::Expired, "c"));
}

#[test]
fn what_was_complete_is_remembered_within_the_bounds() {
    let bounds = Bounds {
        open_max: 3,
        ..Bounds::default()
    };
    let mut book = Book::new(bounds);
    for reference in [1, 2, 1, 3] {
        add(&mut book, 1, udh8(reference, 2, 1), "a", 0);
        let (added, _) = add(&mut book, 1, udh8(reference, 2, 2), "b", 0);
        assert_eq!(whole(&added).as_deref(), Some("ab"));
    }
    // Four were complete and three are known: the younger of the two with reference 1 is.
    let mut ends = Vec::new();
    for reference in [1, 2, 3] {
        add(&mut book, 1, udh8(reference, 2, 2), "b", 0);
    }
    book.expire(u64::MAX, &mut ends);
    let why: Vec<_> = ends.iter().map(|ended| ended.why).collect();
    assert_eq!(why, [Why::Repeated; 3]);

    let mut book = Book::new(bounds);
    for reference in 0..4 {
        add(&mut book, 1, udh8(reference, 2, 1), "a", 0);
        add(&mut book, 1, udh8(reference, 2, 2), "b", 0);
    }
    let mut ends = Vec::new();
    add(&mut book, 1, udh8(0, 2, 2), "b", 0);
    book.expire(u64::MAX, &mut ends);
    assert_eq!(ends[0].why, Why::Expired);
}

#[test]
fn nothing_kept_is_shown() {
    let mut book = Book::new(Bounds::default());
    add(&mut book, 1, udh8(1, 2, 1), "secret", 0);
    assert_eq!(format!("{book:?}"), "Reassembly[1 open, 70 octets]");
    let (_, ended) = add(&mut book, 1, udh8(1, 3, 1), "secret", 0);
    assert_eq!(
        format!("{ended:?} {:?}", ended[0].parts),
        "[Ended[Superseded Udh8(1), 1 of 2 parts]] [KeptPart[1 Body[6]]]"
    );
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_and_the_bounds_hold(
        operations in proptest::collection::vec(
            (0u8..3, 0u8..3, 1u8..4, 1u8..4, 0u8..3, 0u64..40), 0..200,
        ),
    ) {
        let bounds = Bounds { wait_ms: 100, open_max: 4, open_per_key_max: 2, octets_max: 500 };
        let mut book = Book::new(bounds);
        let (mut now_ms, mut came, mut seen) = (0, 0, Vec::new());
        for (number, (key, reference, total, sequence, text, step)) in (0u32..).zip(operations) {
            now_ms += step;
            let Some(place) = Place::new(Reference::Udh8(reference), total, sequence) else { continue };
            let mut ended = Vec::new();
            let octets = vec![text; usize::from(text)];
            match book.add(key, place, &octets, number, now_ms, &mut ended) {
                Added::Duplicate => {}
                Added::Waiting => came += 1,
                Added::Complete(parts) => {
                    came += 1;
                    let sequences: Vec<u8> = parts.iter().map(|part| part.sequence).collect();
                    prop_assert_eq!(sequences, (1..=total).collect::<Vec<_>>());
                    seen.extend(parts.iter().map(|part| part.tag));
                }
            }
            for ended in ended {
                prop_assert!(ended.parts.len() < usize::from(ended.total));
                prop_assert!(ended.parts.is_sorted_by_key(|part| part.sequence));
                seen.extend(ended.parts.iter().map(|part| part.tag));
            }
            prop_assert!(book.len() <= 4 && book.octets() <= 500);
            prop_assert!(book.next_expiry_ms().is_none_or(|at| at > now_ms));
        }
        let mut ended = Vec::new();
        book.expire(u64::MAX, &mut ended);
        seen.extend(ended.iter().flat_map(|ended| ended.parts.iter().map(|part| part.tag)));
        prop_assert_eq!(seen.len(), came);
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), came);
        prop_assert_eq!(book.octets(), 0);
    }
}
