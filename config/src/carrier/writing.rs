//! How addresses and TLVs are written towards a carrier.

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::tlv::Tag;
use toml::de::DeValue;

use crate::country::Country;
use crate::problem::Fault;
use crate::rewrite::{Names, RewriteName};
use crate::section::Section;
use crate::value::{choice, integer, shown, text, text_of};

/// Tags that a carrier's messages may lose.
const DROPPED_MAX: usize = 64;
/// TLVs that they may get, and octets of one of them.
const ADDED_MAX: usize = 16;
const VALUE_MAX: usize = 255;
/// The text, and what makes parts one text: they are never anybody's to change.
const OF_THE_TEXT: [Tag; 4] = [
    Tag::MESSAGE_PAYLOAD,
    Tag::SAR_MSG_REF_NUM,
    Tag::SAR_TOTAL_SEGMENTS,
    Tag::SAR_SEGMENT_SEQNUM,
];

/// What is done to a message at its hand-over: numbers take this form, then the rewrite applies, then TON and NPI are
/// set by what an address is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Writing {
    /// Key `country`, default absent, two letters: whose national numbers the carrier writes and reads without their
    /// code. Where it is set, called numbers of messages from handsets are looked up in their canonical form.
    pub country: Option<Country>,
    /// Key `numbers`, default `"as-given"`.
    pub numbers: CarrierNumbers,
    /// Table `source_ton_npi`, default absent (as they are), `[ton, npi]` each.
    pub source_ton_npi: TonNpi,
    /// Table `destination_ton_npi`, the same.
    pub destination_ton_npi: TonNpi,
    /// Key `rewrite`, default absent: the name of a `[[rewrite]]`.
    pub rewrite: Option<RewriteName>,
    /// Key `drop_tlvs`, default `[]`, up to 64 tags that are left out.
    pub drop_tlvs: Vec<Tag>,
    /// Key `add_tlvs`, default `[]`, up to 16 of `{ tag = …, text = "…" }` or `{ tag = …, hex = "…" }`, of 255 octets each:
    /// put behind the others, in place of one with the same tag.
    pub add_tlvs: Vec<AddedTlv>,
}

/// How numbers are written towards a carrier. What is no number stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CarrierNumbers {
    /// `"as-given"`: as they were admitted.
    #[default]
    AsGiven,
    /// `"international"`: digits, TON 1, NPI 1.
    International,
    /// `"plus"`: `+` and the digits, TON 1, NPI 1.
    Plus,
    /// `"national"`: those of `country` without its code, TON 2, NPI 1; others as international ones.
    National,
}

/// TON and NPI by what an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TonNpi {
    /// Key `number`: of numbers.
    pub number: Option<(Ton, Npi)>,
    /// Key `alphanumeric`: of names; sources only.
    pub alphanumeric: Option<(Ton, Npi)>,
    /// Key `short`: of short codes.
    pub short: Option<(Ton, Npi)>,
}

/// A TLV that every message gets.
#[derive(Clone, PartialEq, Eq)]
pub struct AddedTlv {
    /// Key `tag`, required, 1 to 65 535.
    pub tag: Tag,
    /// Key `text`, printable ASCII, or key `hex`, exactly one: its value.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for AddedTlv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may be a key of the carrier's.
        write!(f, "AddedTlv[{:#06x} len={}]", self.tag.0, self.value.len())
    }
}

pub(super) fn read(section: &mut Section<'_>, rewrites: &Names) -> Writing {
    let country = section.optional("country", text(Country::parse));
    let numbers = section.or(
        "numbers",
        CarrierNumbers::AsGiven,
        choice(&[
            ("as-given", CarrierNumbers::AsGiven),
            ("international", CarrierNumbers::International),
            ("plus", CarrierNumbers::Plus),
            ("national", CarrierNumbers::National),
        ]),
    );
    if numbers == CarrierNumbers::National && !section.has("country") {
        section.problem(
            "numbers",
            Fault::new("national numbers of which country?", "add `country = \"…\"`"),
        );
    }
    Writing {
        country,
        numbers,
        source_ton_npi: read_ton_npi(section, "source_ton_npi", true),
        destination_ton_npi: read_ton_npi(section, "destination_ton_npi", false),
        rewrite: rewrites.read(section),
        drop_tlvs: section
            .list("drop_tlvs", 0..=DROPPED_MAX, tag)
            .unwrap_or_default(),
        add_tlvs: read_added(section),
    }
}

fn read_ton_npi(section: &mut Section<'_>, key: &'static str, has_names: bool) -> TonNpi {
    let mut table = section.section(key);
    let ton_npi = TonNpi {
        number: table.optional("number", pair),
        alphanumeric: if has_names {
            table.optional("alphanumeric", pair)
        } else {
            None
        },
        short: table.optional("short", pair),
    };
    table.finish(&[]);
    ton_npi
}

fn pair(value: &DeValue<'_>) -> Result<(Ton, Npi), Fault> {
    let octet = integer(0..=u8::MAX);
    match value
        .as_array()
        .map(|items| items.iter().collect::<Vec<_>>())
        .as_deref()
    {
        Some([ton, npi]) => Ok((Ton(octet(ton.get_ref())?), Npi(octet(npi.get_ref())?))),
        _ => Err(Fault::new(
            format!("{} where TON and NPI belong", shown::kind(value)),
            "write both in brackets, such as `[1, 1]`",
        )),
    }
}

fn tag(value: &DeValue<'_>) -> Result<Tag, Fault> {
    let tag = Tag(integer(1..=u16::MAX)(value)?);
    if OF_THE_TEXT.contains(&tag) {
        return Err(Fault::new(
            format!("{:#06x} belongs to the text", tag.0),
            "leave it as it is",
        ));
    }
    Ok(tag)
}

fn read_added(section: &mut Section<'_>) -> Vec<AddedTlv> {
    let entries = section.each("add_tlvs");
    if entries.len() > ADDED_MAX {
        let what = format!("{} elements", entries.len());
        section.problem("add_tlvs", Fault::new(what, format!("give up to {ADDED_MAX}")));
    }
    let mut seen = Vec::new();
    let mut read = |mut entry: Section<'_>| {
        let tag = entry.required("tag", "write its number, such as `tag = 0x1400`", tag);
        if tag.is_some_and(|tag| seen.contains(&tag)) {
            entry.problem("tag", Fault::new("is added already", "add each tag once"));
        }
        seen.extend(tag);
        let text = entry.optional("text", |value| {
            let text = text_of(value)?;
            let fits = text.len() <= VALUE_MAX && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            fits.then(|| text.as_bytes().to_vec()).ok_or_else(|| {
                Fault::new(
                    "is no text that fits",
                    format!("give up to {VALUE_MAX} printable ASCII characters, or use `hex`"),
                )
            })
        });
        let hex = entry.optional("hex", |value| octets(text_of(value)?));
        if entry.has("text") == entry.has("hex") {
            entry.problem("text", Fault::new("one value is wanted", "write `text` or `hex`"));
        }
        entry.finish(&[]);
        Some(AddedTlv {
            tag: tag?,
            value: text.or(hex)?,
        })
    };
    entries.into_iter().filter_map(&mut read).collect()
}

fn octets(text: &str) -> Result<Vec<u8>, Fault> {
    let digit = |octet: &u8| {
        char::from(*octet)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    octets.filter(|octets| octets.len() <= VALUE_MAX).ok_or_else(|| {
        Fault::new(
            "are no octets",
            format!("write up to {VALUE_MAX} octets of two hex digits each, such as \"00ff\""),
        )
    })
}
