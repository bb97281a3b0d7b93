//! A receipt's text out of the message that carries it.

use super::Receipt;
use crate::octets::Body;
use crate::text::{Charset, Peer, read};
use crate::values::{DataCoding, EsmClass};

/// The text of a receipt as [`read_receipt`](super::read_receipt) wants it: `octets`, which are a
/// short_message or message_payload, without their header, and read to UTF-8 into `scratch` where they are
/// UCS-2 or packed septets.
///
/// A receipt may come with a header, or in another alphabet than its carrier's own (smpp-dlr.md §1, §3). But
/// message centres also copy `data_coding` and the header bit of the message that the receipt is about, while
/// the text stays what Appendix B says. So each reading counts only if it finds an id, the octets as they
/// are being the last resort. In the usual case nothing is copied.
pub fn receipt_text<'a>(
    data_coding: DataCoding,
    esm_class: EsmClass,
    octets: &'a [u8],
    peer: Peer,
    scratch: &'a mut String,
) -> &'a [u8] {
    let reading = read(data_coding, esm_class, octets, peer);
    let Body(behind_header) = reading.text;
    if matches!(reading.charset, Charset::Ucs2(_) | Charset::Gsm7Packed { .. }) {
        scratch.clear();
        reading.charset.decode(behind_header, scratch);
        if names_a_message(scratch.as_bytes()) {
            return scratch.as_bytes();
        }
    }
    if reading.header.is_some() && names_a_message(behind_header) {
        return behind_header;
    }
    octets
}

fn names_a_message(text: &[u8]) -> bool {
    !Receipt::scan(text).id.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{DefaultAlphabet, pack, ucs2};

    const TEXT: &str = "id:42 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 \
        stat:DELIVRD err:000 text:caf\u{e9}";
    const RECEIPT: EsmClass = EsmClass::RECEIPT;
    const WITH_HEADER: EsmClass = EsmClass(0x44);
    const PART: &[u8] = b"\x05\x00\x03\x2a\x01\x01";

    fn plain(data_coding: u8, esm_class: EsmClass, octets: &[u8], peer: Peer) -> Vec<u8> {
        receipt_text(
            DataCoding(data_coding),
            esm_class,
            octets,
            peer,
            &mut String::new(),
        )
        .to_vec()
    }

    #[test]
    fn ucs_2_and_packed_septets_are_read_with_and_without_a_header() {
        let peer = Peer::default();
        let mut wide = Vec::new();
        ucs2::encode(TEXT, &mut wide);
        assert_eq!(plain(8, RECEIPT, &wide, peer), TEXT.as_bytes());
        let with_header = [PART, &wide].concat();
        assert_eq!(plain(0x18, WITH_HEADER, &with_header, peer), TEXT.as_bytes());

        let packing = Peer {
            default_alphabet: DefaultAlphabet::Gsm7Packed,
            ..peer
        };
        let septets = b"id:42 stat:DELIVRD";
        let (mut alone, mut behind) = (Vec::new(), PART.to_vec());
        pack::pack_without_count(septets, 0, &mut alone);
        pack::pack_without_count(septets, 1, &mut behind);
        assert_eq!(plain(0, RECEIPT, &alone, packing), septets);
        assert_eq!(plain(0, WITH_HEADER, &behind, packing), septets);
    }

    #[test]
    fn what_was_copied_from_the_message_does_not_hide_the_receipt() {
        let text = b"id:42 stat:DELIVRD err:000 text:\xff\x01";
        let peer = Peer::default();
        for data_coding in [0, 1, 3, 4, 8, 0xf5] {
            // No header: `i` says that 105 octets of one follow.
            for esm_class in [RECEIPT, WITH_HEADER] {
                assert_eq!(plain(data_coding, esm_class, text, peer), text, "{data_coding}");
            }
            let with_header = [PART, text].concat();
            assert_eq!(plain(data_coding, WITH_HEADER, &with_header, peer), text);
        }
        // Even where what is no header can be read as one.
        let unlucky = [b"\x05 \x03abcid:42 stat:DELIVRD".as_slice(), b""].concat();
        assert_eq!(plain(0, WITH_HEADER, &unlucky, peer), b"id:42 stat:DELIVRD");
        let hidden = b"id:42stat:x"
            .iter()
            .chain(&[0; 200])
            .copied()
            .collect::<Vec<u8>>();
        assert_eq!(plain(0, WITH_HEADER, &hidden, peer), hidden);
    }

    #[test]
    fn what_is_no_receipt_stays_as_it_is() {
        for octets in [&b""[..], b"\x05", b"Delivered", b"\0D\0e"] {
            for data_coding in [0, 8] {
                assert_eq!(plain(data_coding, WITH_HEADER, octets, Peer::default()), octets);
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_taken_and_an_id_that_stands_there_is_found(
            data_coding in any::<u8>(),
            esm_class in any::<u8>(),
            octets in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            plain(data_coding, EsmClass(esm_class), &octets, Peer::default());
            let receipt = [b"id:4711 stat:DELIVRD text:", octets.as_slice()].concat();
            let read = plain(data_coding, EsmClass(esm_class), &receipt, Peer::default());
            prop_assert!(names_a_message(&read));
        }
    }
}
