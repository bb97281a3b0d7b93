//! How long a text is and in how many parts it goes, and the alphabet in which that is shortest (sms-text.md
//! §4, §5).

use super::charset::Charset;
use super::shift::{Language, Shifts};
use super::ucs2::{self, ByteOrder};
use super::{NotEncodable, gsm7};
use crate::values::DataCoding;

/// How the parts of a long text are told to belong together (sms-text.md §9). A setting of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Carriage {
    /// A header with a reference of 8 bits: understood by all.
    #[default]
    Udh8,
    /// A header with a reference of 16 bits.
    Udh16,
    /// SAR parameters, for a message centre that makes headers of 8 bits of them.
    Sar,
    /// SAR parameters, for a message centre that makes headers of 16 bits of them.
    SarWide,
    /// message_payload: the message centre splits. Measured as [`Carriage::Udh8`].
    Payload,
}

impl Carriage {
    /// Octets that the concatenation element takes in each part, on air at the latest.
    pub(super) const fn element_octets(self) -> usize {
        match self {
            Self::Udh8 | Self::Sar | Self::Payload => 5,
            Self::Udh16 | Self::SarWide => 6,
        }
    }

    /// The part that is handed over may have a header of its own. SAR parameters never go with one.
    pub const fn allows_header(self) -> bool {
        !matches!(self, Self::Sar | Self::SarWide)
    }
}

/// A text measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Units of the charset: septets, octets or UTF-16 units.
    pub units: usize,
    /// Messages on air; an empty text is one. May exceed what can be sent: splitting says so.
    pub parts: usize,
}

/// A text with the alphabet to write it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// GSM septets, or UCS-2.
    pub charset: Charset,
    /// How long it is so.
    pub count: Count,
}

impl Choice {
    /// The `data_coding` of the message: 0, or 8 for UCS-2.
    pub const fn data_coding(&self) -> DataCoding {
        match self.charset {
            Charset::Ucs2(_) => DataCoding(8),
            _ => DataCoding(0),
        }
    }
}

/// Measures a text in septets.
///
/// # Errors
///
/// A character that the tables do not have.
pub fn count_gsm7(text: &str, shifts: Shifts, carriage: Carriage) -> Result<Count, NotEncodable> {
    let units = gsm7::septets(text, shifts)?;
    let tables = shifts.tables();
    let cost = |character| gsm7::cost(character, tables).unwrap_or(1);
    Ok(counted(text, Charset::Gsm7(shifts), units, carriage, cost))
}

/// Measures a text in UTF-16 units.
pub fn count_ucs2(text: &str, carriage: Carriage) -> Count {
    counted(text, UCS2, ucs2::units(text), carriage, char::len_utf16)
}

/// The alphabet in which a text takes the fewest parts: the default one with its extension where that has all
/// its characters; else, of what the national tables of `languages` and UCS-2 need, the shortest, and of
/// equal ones UCS-2 last and a single shift first.
///
/// `languages` are opt-in: many networks and handsets ignore the tables and show wrong letters. They are not
/// used where the carriage allows no header.
pub fn choose(text: &str, languages: &[Language], carriage: Carriage) -> Choice {
    let gsm7 = |shifts| {
        let count = count_gsm7(text, shifts, carriage).ok()?;
        Some(Choice {
            charset: Charset::Gsm7(shifts),
            count,
        })
    };
    if let Some(choice) = gsm7(Shifts::NONE) {
        return choice;
    }
    let languages = if carriage.allows_header() { languages } else { &[] };
    let national = languages.iter().flat_map(|&language| {
        let locking = language.has_locking().then_some(language);
        let single = Shifts {
            single: Some(language),
            locking: None,
        };
        let alone = Shifts {
            single: None,
            locking,
        };
        let both = Shifts {
            single: Some(language),
            locking,
        };
        let locking_too = locking.map(|_| [alone, both]).into_iter().flatten();
        std::iter::once(single).chain(locking_too)
    });
    let ucs2 = Choice {
        charset: UCS2,
        count: count_ucs2(text, carriage),
    };
    national
        .filter_map(gsm7)
        .chain(std::iter::once(ucs2))
        // The first of the shortest.
        .min_by_key(|choice| choice.count.parts)
        .unwrap_or(ucs2)
}

/// Appends a text in the alphabet of [`choose`], a byte order mark in front left out: what a message is made
/// of.
pub fn encode(text: &str, languages: &[Language], carriage: Carriage, out: &mut Vec<u8>) -> Choice {
    let text = ucs2::without_mark(text);
    let choice = choose(text, languages, carriage);
    // The choice has every character.
    let _ = choice.charset.encode(text, out);
    choice
}

const UCS2: Charset = Charset::Ucs2(ByteOrder::Big);

/// `cost` is how many units a character takes, 1 or 2.
fn counted(
    text: &str,
    charset: Charset,
    units: usize,
    carriage: Carriage,
    cost: impl Fn(char) -> usize,
) -> Count {
    let elements = match charset {
        Charset::Gsm7(shifts) => shifts.header_octets(),
        _ => 0,
    };
    let alone = if elements == 0 { 0 } else { 1 + elements };
    let unit = charset.unit();
    if units <= unit.room(alone) {
        return Count { units, parts: 1 };
    }
    let of_several = unit.room(1 + carriage.element_octets() + elements);
    if units == text.chars().count() {
        let parts = units.div_ceil(of_several);
        return Count { units, parts };
    }
    // A part ends one unit early before a character of two that does not fit any more.
    let (mut parts, mut left) = (1, of_several);
    for cost in text.chars().map(cost) {
        if cost > left {
            parts += 1;
            left = of_several;
        }
        left -= cost;
    }
    Count { units, parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURKISH: &[Language] = &[Language::Turkish];

    fn parts(text: &str, carriage: Carriage) -> usize {
        choose(text, &[], carriage).count.parts
    }

    #[test]
    fn an_empty_text_is_one_message_in_the_default_alphabet() {
        let choice = choose("", &Language::ALL, Carriage::Udh8);
        assert_eq!(choice.charset, Charset::Gsm7(Shifts::NONE));
        assert_eq!(choice.count, Count { units: 0, parts: 1 });
    }

    #[test]
    fn parts_step_at_the_limits_of_each_carriage() {
        for (carriage, septets, utf16) in [
            (Carriage::Udh8, 153, 67),
            (Carriage::Udh16, 152, 66),
            (Carriage::Sar, 153, 67),
            (Carriage::SarWide, 152, 66),
            (Carriage::Payload, 153, 67),
        ] {
            for (character, alone, several) in [("a", 160, septets), ("ж", 70, utf16)] {
                for (length, expect) in [
                    (alone, 1),
                    (alone + 1, 2),
                    (2 * several, 2),
                    (2 * several + 1, 3),
                    (255 * several, 255),
                    (255 * several + 1, 256),
                ] {
                    assert_eq!(
                        parts(&character.repeat(length), carriage),
                        expect,
                        "{carriage:?} {character} {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_takes_two_units_may_end_a_part_early() {
        // 152 + 1 left over, four times: 612 septets would fit four parts of 153.
        let text = format!("{0}€{0}€{0}€{0}€", "a".repeat(152));
        assert_eq!(
            count_gsm7(&text, Shifts::NONE, Carriage::Udh8).unwrap().units,
            616
        );
        let text = format!("{}€", "a".repeat(152)).repeat(3);
        let count = count_gsm7(&text, Shifts::NONE, Carriage::Udh8).unwrap();
        assert_eq!((count.units, count.parts), (462, 4));
        let text = format!("{}😀", "ж".repeat(66)).repeat(2);
        let count = count_ucs2(&text, Carriage::Udh8);
        assert_eq!((count.units, count.parts), (136, 3));
    }

    #[test]
    fn national_tables_are_used_only_when_asked_for_and_only_when_shorter_or_equal() {
        let text = "ş".repeat(77);
        assert_eq!(choose(&text, &[], Carriage::Udh8).data_coding(), DataCoding(8));
        let shifts = |text: &str, languages, carriage| match choose(text, languages, carriage).charset {
            Charset::Gsm7(shifts) => Some((shifts.single, shifts.locking)),
            _ => None,
        };
        let turkish = Some(Language::Turkish);
        // 154 septets fit behind a single shift header.
        assert_eq!(shifts(&text, TURKISH, Carriage::Udh8), Some((turkish, None)));
        // 156 do not; 78 of the locking table do.
        assert_eq!(
            shifts(&"ş".repeat(78), TURKISH, Carriage::Udh8),
            Some((None, turkish))
        );
        // Ş and the letters that only the single shift table moves out of the way.
        let mixed = "ş€".repeat(76);
        assert_eq!(shifts(&mixed, TURKISH, Carriage::Udh8), Some((None, turkish)));
        // No header goes with SAR.
        assert_eq!(shifts(&text, TURKISH, Carriage::Sar), None);
        // Tables of another language do not help, and of several the one that does is found.
        assert_eq!(shifts(&text, &[Language::Tamil], Carriage::Udh8), None);
        assert_eq!(
            shifts(&text, &Language::ALL, Carriage::Udh8),
            Some((turkish, None))
        );
        // A text of the default alphabet needs no header.
        assert_eq!(shifts("hello", TURKISH, Carriage::Udh8), Some((None, None)));
    }

    #[test]
    fn a_byte_order_mark_is_not_sent() {
        let mut out = Vec::new();
        let choice = encode("\u{feff}hi", &[], Carriage::Udh8, &mut out);
        assert_eq!(
            (choice.data_coding(), out.as_slice()),
            (DataCoding(0), &b"hi"[..])
        );
    }
}
