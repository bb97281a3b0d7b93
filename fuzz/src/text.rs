//! What messages say: texts of any coding, user data headers, parts that are joined.

use tidegate_codec::text::ucs2::ByteOrder;
use tidegate_codec::text::{
    self, Added, Bounds, Carriage, Charset, DefaultAlphabet, Peer, Place, Reassembly, Reference, Shifts,
    Split, SplitRules, Udh,
};
use tidegate_codec::values::{DataCoding, EsmClass};

/// A message of any octets is taken apart without loss; its text reads, and what is cut fits and joins again.
pub fn text(octets: &[u8]) {
    let Some(([data_coding, esm_class, choice], octets)) = octets.split_first_chunk() else {
        return;
    };
    let peer = Peer {
        default_alphabet: match choice & 7 {
            0 => DefaultAlphabet::Gsm7Packed,
            1 => DefaultAlphabet::Ascii,
            2 => DefaultAlphabet::Latin1,
            3 => DefaultAlphabet::Utf8,
            _ => DefaultAlphabet::Gsm7,
        },
        byte_order: if choice & 8 == 0 {
            ByteOrder::Big
        } else {
            ByteOrder::ByMark
        },
        header_without_flag: choice & 16 != 0,
    };
    let message = text::read(DataCoding(*data_coding), EsmClass(*esm_class), octets, peer);
    let header = message.header.map_or(0, |header| header.octets());
    assert_eq!(header + message.text.0.len(), octets.len());
    let mut said = String::new();
    let read = message.charset.decode(message.text.0, &mut said);
    // A national table lends from the default alphabet what it cannot write itself.
    let lends = match message.charset {
        Charset::Gsm7(shifts) | Charset::Gsm7Packed { shifts, .. } => shifts != Shifts::NONE,
        _ => false,
    };
    if read == Some(0) && !lends {
        // What was read without a replacement can be written again.
        assert!(message.charset.encode(&said, &mut Vec::new()).is_ok());
    }
    let carriages = [Carriage::Udh8, Carriage::Udh16, Carriage::Sar, Carriage::Payload];
    let rules = SplitRules {
        carriage: carriages[usize::from(choice >> 5) % carriages.len()],
        reference: u16::from_be_bytes([*data_coding, *choice]),
        parts_max: 255,
    };
    let Ok(parts) = Split::new(message.charset, message.header, message.text.0, rules) else {
        return;
    };
    let (mut joined, mut out) = (Vec::new(), Vec::new());
    for part in parts {
        out.clear();
        part.write(&mut out);
        joined.extend_from_slice(part.text.0);
        let header = out.len() - part.text.0.len();
        assert_eq!(header > 0, part.has_header());
        let units = message.charset.units(part.text.0);
        assert!(part.place().is_none() || units <= message.charset.unit().room(header));
    }
    assert_eq!(joined, message.text.0);
}

/// A header that reads is written back as the same octets, unless it fits no SMS.
pub fn udh(octets: &[u8]) {
    let Ok((header, text)) = Udh::split(octets) else {
        return;
    };
    assert_eq!(header.octets() + text.len(), octets.len());
    if let Some(place) = header.place() {
        assert!(place.sequence() >= 1 && place.sequence() <= place.total());
    }
    let mut written = Vec::new();
    match text::udh::write(header.elements(), &mut written) {
        Ok(()) => assert!(written == octets[..header.octets()] && written.len() <= text::udh::USER_DATA_MAX),
        Err(_) => assert!(header.octets() > text::udh::USER_DATA_MAX && written.is_empty()),
    }
}

/// Parts in any order with any place: none is lost or doubled, and no bound is passed. An operation is five
/// octets.
pub fn reassembly(octets: &[u8]) {
    let bounds = Bounds {
        wait_ms: 1000,
        open_max: 5,
        open_per_key_max: 2,
        octets_max: 1000,
    };
    let mut reassembly = Reassembly::new(bounds);
    let (mut now_ms, mut kept, mut back) = (0, 0, 0);
    let (operations, _) = octets.as_chunks::<5>();
    for [who, kind, total, sequence, text] in operations {
        now_ms += u64::from(who >> 2);
        let reference = match kind & 3 {
            0 => Reference::Udh8(kind >> 5),
            1 => Reference::Udh16(u16::from(kind >> 5)),
            _ => Reference::Sar(u16::from(kind >> 5)),
        };
        let Some(place) = Place::new(reference, total & 7, sequence & 7) else {
            continue;
        };
        let mut ended = Vec::new();
        let part = [*text; 255];
        let part = &part[..usize::from(*text)];
        match reassembly.add(who & 3, place, part, (), now_ms, &mut ended) {
            Added::Duplicate => {}
            Added::Waiting => kept += 1,
            Added::Complete(parts) => {
                assert_eq!(parts.len(), usize::from(place.total()));
                kept += 1;
                back += parts.len();
            }
        }
        back += ended.iter().map(|ended| ended.parts.len()).sum::<usize>();
        assert!(reassembly.len() <= bounds.open_max && reassembly.octets() <= bounds.octets_max);
    }
    let mut ended = Vec::new();
    reassembly.expire(u64::MAX, &mut ended);
    back += ended.iter().map(|ended| ended.parts.len()).sum::<usize>();
    assert!(kept == back && reassembly.is_empty() && reassembly.octets() == 0);
}
