//! Cutting whole PDUs out of a stream. Only here is an error fatal: once a length is nonsense, nobody
//! knows where the next PDU begins.
//!
//! ```
//! use tidegate_codec::frame::{Cut, cut};
//!
//! let enquire_link = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];
//! assert_eq!(cut(&enquire_link[..2], 1_000), Cut::NeedMore(4));
//! assert_eq!(cut(&enquire_link[..9], 1_000), Cut::NeedMore(16));
//! assert!(matches!(cut(&enquire_link, 1_000), Cut::Frame { header, .. } if header.sequence == 7));
//! // Somebody speaks TLS to a plain port.
//! assert!(matches!(cut(&[0x16, 3, 1, 2], 1_000), Cut::Broken(error) if error.max == 1_000));
//! ```
//!
//! **Errors.** [`FrameError`]: a command_length below 16 or above the caller's maximum.
//!
//! **Limits.** The maximum is an argument; [`PDU_MAX_DEFAULT`] is the usual one. Nothing is allocated.

use crate::header::{HEADER_LEN, Header};

/// Longest PDU by default, in octets: 64 KiB of message_payload plus every other field.
pub const PDU_MAX_DEFAULT: u32 = 70_000;

/// What the octets at hand amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// Not a whole PDU yet: at least this many octets are needed in all, counted from the same start.
    NeedMore(usize),
    /// One whole PDU; it took `header.length` octets.
    Frame {
        /// Its header.
        header: Header,
        /// What follows the header.
        body: Body<'a>,
    },
    /// The framing is lost: generic_nack with RINVCMDLEN, then close.
    Broken(FrameError),
}

/// The octets of a PDU behind its header; the length is all that is ever shown of them.
pub type Body<'a> = crate::octets::Body<'a>;

/// A command_length that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("command_length {length} is outside {HEADER_LEN}..={max}")]
pub struct FrameError {
    /// What the peer wrote.
    pub length: u32,
    /// The local maximum.
    pub max: u32,
    /// The sequence_number to nack: the peer's if 16 octets were there, else 0 (smpp-session.md §3).
    pub sequence: u32,
}

/// Cuts the first PDU off `octets`. The length is checked before anything is allocated or awaited, as
/// soon as its four octets are there.
pub fn cut(octets: &[u8], max: u32) -> Cut<'_> {
    let Some(length) = octets.first_chunk::<4>() else {
        return Cut::NeedMore(4);
    };
    let length = u32::from_be_bytes(*length);
    let header = octets.first_chunk::<HEADER_LEN>().map(Header::read);
    let whole = length as usize;
    if whole < HEADER_LEN || length > max {
        let sequence = header.map_or(0, |header| header.sequence);
        return Cut::Broken(FrameError {
            length,
            max,
            sequence,
        });
    }
    match header {
        Some(header) if octets.len() >= whole => Cut::Frame {
            header,
            body: crate::octets::Body(&octets[HEADER_LEN..whole]),
        },
        _ => Cut::NeedMore(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENQUIRE_LINK: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];

    #[test]
    fn a_pdu_cut_short_anywhere_asks_for_the_rest() {
        for n in 0..16 {
            let need = if n < 4 { 4 } else { 16 };
            assert_eq!(cut(&ENQUIRE_LINK[..n], 100), Cut::NeedMore(need), "{n}");
        }
        assert!(matches!(cut(&ENQUIRE_LINK, 100), Cut::Frame { header, .. } if header.sequence == 7));
    }

    #[test]
    fn a_length_outside_the_bounds_is_refused_from_four_octets_on() {
        assert!(matches!(cut(&[0, 0, 0, 15], 100), Cut::Broken(error) if error.sequence == 0));
        assert!(matches!(cut(&[0, 0, 0, 101], 100), Cut::Broken(_)));
        assert!(matches!(cut(&[0, 0, 0, 100], 100), Cut::NeedMore(100)));
        let mut octets = ENQUIRE_LINK;
        octets[0] = 0x16; // a TLS ClientHello on a plain port
        assert!(matches!(cut(&octets, 100), Cut::Broken(error) if error.sequence == 7));
    }
}
