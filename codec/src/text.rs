//! The text of messages: what its octets mean, how long it is, how it is cut and put together again (3GPP TS
//! 23.038 and 23.040 as SMPP uses them).
//!
//! - [`read`] takes a message as it stands in a PDU apart: `data_coding` ([`Coding`]), header ([`Udh`]),
//!   text.
//! - [`Charset`] reads and writes text in any alphabet there is: [`gsm7`] with its national tables
//!   ([`Shifts`]), [`pack`]ed or not, [`SingleOctet`], [`ucs2`].
//! - [`choose`] finds the alphabet in which a text is shortest and counts its parts; [`Split`] cuts octets
//!   into parts.
//! - [`Reassembly`] collects parts until they are whole; [`decode_parts`] reads them.
//!
//! Everything writes into the caller's buffers and allocates nothing else; only [`Reassembly`] keeps copies.
//! All of it is pure: no clock, no randomness. Types that hold text show its length only.
//!
//! # Reading a message
//!
//! ```
//! use tidegate_codec::text::{Peer, read};
//! use tidegate_codec::values::{DataCoding, EsmClass};
//!
//! // The second of two parts, in the default alphabet: an escape and `e` is the sign of the euro.
//! let octets = b"\x05\x00\x03\x2a\x02\x02costs 5 \x1be";
//! let message = read(DataCoding(0), EsmClass(0x40), octets, Peer::default());
//!
//! let place = message.header.and_then(|header| header.place());
//! assert_eq!(place.map(|place| (place.sequence(), place.total())), Some((2, 2)));
//!
//! let mut text = String::new();
//! assert_eq!(message.charset.decode(message.text.0, &mut text), Some(0));
//! assert_eq!(text, "costs 5 €");
//! ```
//!
//! # Sending a text
//!
//! ```
//! use tidegate_codec::text::{Carriage, Split, SplitRules, encode};
//!
//! let text = "Ночью подморозит. ".repeat(5);
//! let mut octets = Vec::new();
//! let choice = encode(&text, &[], Carriage::Udh8, &mut octets);
//! assert_eq!((choice.data_coding().0, choice.count.parts), (8, 2));
//!
//! let rules = SplitRules { reference: 0x2a, ..SplitRules::default() };
//! let parts = Split::new(choice.charset, None, &octets, rules)?;
//! let mut short_message = Vec::new();
//! for part in parts {
//!     short_message.clear();
//!     part.write(&mut short_message);
//!     assert!(part.has_header() && short_message.len() <= 140);
//!     assert_eq!(short_message[..5], [5, 0, 3, 0x2a, 2]);
//! }
//! # Ok::<(), tidegate_codec::text::SplitError>(())
//! ```
//!
//! # Errors
//!
//! Reading text never fails: what means nothing is replaced by U+FFFD and counted, and octets that are no
//! text are `None`. Writing fails with [`NotEncodable`], cutting with [`SplitError`], a header with
//! [`UdhError`].
//!
//! # Limits
//!
//! A text goes in at most 255 parts, and in no more than [`SplitRules::parts_max`]. [`Reassembly`] keeps what
//! its [`Bounds`] allow. JIS, Korean and the other alphabets that [`Alphabet`] only names are passed through
//! as octets.

mod charset;
mod coding;
mod count;
pub mod gsm7;
mod locking_tables;
pub mod pack;
mod place;
mod reading;
mod reassembly;
mod shift;
mod single_octet;
mod single_tables;
mod split;
mod table;
pub mod ucs2;
pub mod udh;

pub use charset::{Charset, DefaultAlphabet, Peer, Unit};
pub use coding::{Alphabet, Class, Coding, Waiting, WaitingKind};
pub use count::{Carriage, Choice, Count, choose, count_gsm7, count_ucs2, encode};
pub use place::{Place, Reference};
pub use reading::{Reading, decode_parts, read};
pub use reassembly::{Added, Bounds, Ended, KeptPart, PART_OVERHEAD, Reassembly, Why};
pub use shift::{Language, Shifts};
pub use single_octet::SingleOctet;
pub use split::{Part, Split, SplitError, SplitRules};
pub use udh::{Element, Udh, UdhError};

/// A text that an alphabet cannot write. It says where, and not what: the character is part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the character at octet {at} is not in the alphabet")]
pub struct NotEncodable {
    /// Where the character begins, in octets of UTF-8.
    pub at: usize,
}
