//! How texts are written towards a carrier.

use tidegate_codec::text::DefaultAlphabet;

use crate::section::Section;
use crate::value::{boolean, choice};

/// Names of what `data_coding` 0 may mean, here and of accounts.
pub(crate) const ALPHABETS: &[(&str, DefaultAlphabet)] = &[
    ("gsm7", DefaultAlphabet::Gsm7),
    ("gsm7-packed", DefaultAlphabet::Gsm7Packed),
    ("ascii", DefaultAlphabet::Ascii),
    ("latin1", DefaultAlphabet::Latin1),
    ("windows-1252", DefaultAlphabet::Windows1252),
    ("utf-8", DefaultAlphabet::Utf8),
];

/// What is done to the text of a message at its hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Texts {
    /// Key `long_messages`, default `"as-received"`.
    pub long_messages: LongMessages,
    /// Key `default_alphabet`, default `"gsm7"`: what `data_coding` 0 means there. Its receipts and messages are read by
    /// it.
    pub default_alphabet: DefaultAlphabet,
    /// Key `transcode`, default false: texts of 8 bits a character or less are written in the carrier's default alphabet, or
    /// in UCS-2 where that lacks a character. Off, texts go as they came, whatever their `data_coding` means there.
    pub transcode: bool,
}

/// How a text goes that does not fit one part, and what becomes of parts that the ESME made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LongMessages {
    /// `"as-received"`: long texts whole, and parts as they came.
    #[default]
    AsReceived,
    /// `"udh8"`: in parts, with a header whose reference has 8 bits.
    Udh8,
    /// `"udh16"`: the same with 16 bits.
    Udh16,
    /// `"sar"`: in parts, with SAR parameters.
    Sar,
    /// `"payload"`: long texts whole, in message_payload; parts as they came.
    Payload,
}

const FORMS: &[(&str, LongMessages)] = &[
    ("as-received", LongMessages::AsReceived),
    ("udh8", LongMessages::Udh8),
    ("udh16", LongMessages::Udh16),
    ("sar", LongMessages::Sar),
    ("payload", LongMessages::Payload),
];

impl Texts {
    /// Whether long texts go in parts.
    pub const fn wants_parts(&self) -> bool {
        matches!(
            self.long_messages,
            LongMessages::Udh8 | LongMessages::Udh16 | LongMessages::Sar
        )
    }

    /// Whether texts go as they came.
    pub const fn is_as_received(&self) -> bool {
        matches!(self.long_messages, LongMessages::AsReceived) && !self.transcode
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Texts {
    Texts {
        long_messages: section.or("long_messages", LongMessages::AsReceived, choice(FORMS)),
        default_alphabet: section.or("default_alphabet", DefaultAlphabet::Gsm7, choice(ALPHABETS)),
        transcode: section.or("transcode", false, boolean),
    }
}
