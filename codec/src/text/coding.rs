//! `data_coding`: what each of its 256 octets says (SMPP 3.4 §5.2.19, 3GPP TS 23.038 §4; sms-text.md §1).

use crate::values::DataCoding;

/// What `data_coding` says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coding {
    /// How the octets are to be read.
    pub alphabet: Alphabet,
    /// Where a handset shows or stores the message.
    pub class: Option<Class>,
    /// An indicator of waiting messages to switch.
    pub waiting: Option<Waiting>,
    /// The octets are compressed (23.042), whatever the alphabet: nothing here undoes that.
    pub compressed: bool,
    /// The handset is to delete the message after reading.
    pub deleted_when_read: bool,
}

/// The alphabet that a `data_coding` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// SMPP 0x00, the message centre's own: the peer's setting says which ([`super::DefaultAlphabet`]).
    Default,
    /// The GSM 7-bit alphabet, by a value of 23.038.
    Gsm7,
    /// IA5 (ASCII).
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// ISO-8859-5.
    Cyrillic,
    /// ISO-8859-8.
    Hebrew,
    /// UCS-2, big endian.
    Ucs2,
    /// Octets that are no text: 0x02, 0x04 and the 8-bit values of 23.038.
    Binary,
    /// JIS X 0208.
    Jis,
    /// Pictograms.
    Pictogram,
    /// ISO-2022-JP with music codes.
    MusicCodes,
    /// Extended Kanji, JIS X 0212.
    ExtendedKanji,
    /// KS C 5601.
    Korean,
    /// A value without a meaning.
    Reserved,
}

/// Message class (23.038 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Class 0: shown at once ("flash").
    Flash,
    /// Class 1: for the mobile.
    Mobile,
    /// Class 2: for the SIM.
    Sim,
    /// Class 3: for the terminal equipment.
    Terminal,
}

/// A message that switches an indicator (23.038 §4, groups 1100 to 1110).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// Which messages wait.
    pub kind: WaitingKind,
    /// Switch the indicator on; off otherwise.
    pub active: bool,
    /// The handset may store the message itself; otherwise it is thrown away.
    pub store: bool,
}

/// Which messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitingKind {
    /// Voice mail.
    Voice,
    /// Fax.
    Fax,
    /// Electronic mail.
    Email,
    /// Anything else.
    Unspecified,
}

impl Coding {
    /// Reads a `data_coding`. Every octet reads as something.
    ///
    /// 0x00 to 0x0F are SMPP's own table, which collides with 23.038 on purpose. Above it SMPP knows only
    /// 0xC0 to 0xDF and 0xF0 to 0xFF, by reference to 23.038; peers send the rest with 23.038 in mind, 0x10
    /// (flash) and 0x18 (flash in UCS-2) above all, so it is read by that, the full octet: masking would be
    /// wrong (interop quirk 25).
    pub const fn of(data_coding: DataCoding) -> Self {
        let alphabet = match data_coding.0 {
            0x00 => Alphabet::Default,
            0x01 => Alphabet::Ascii,
            0x02 | 0x04 => Alphabet::Binary,
            0x03 => Alphabet::Latin1,
            0x05 => Alphabet::Jis,
            0x06 => Alphabet::Cyrillic,
            0x07 => Alphabet::Hebrew,
            0x08 => Alphabet::Ucs2,
            0x09 => Alphabet::Pictogram,
            0x0a => Alphabet::MusicCodes,
            0x0d => Alphabet::ExtendedKanji,
            0x0e => Alphabet::Korean,
            0x0b | 0x0c | 0x0f => Alphabet::Reserved,
            dcs => return Self::of_dcs(dcs),
        };
        Self::plain(alphabet)
    }

    /// Reads an octet by 23.038 alone, as the air interface has it (TP-Data-Coding-Scheme).
    pub const fn of_dcs(dcs: u8) -> Self {
        match dcs >> 4 {
            0b0000..=0b0111 => Self {
                class: if dcs & 0x10 == 0 {
                    None
                } else {
                    Some(Class::of(dcs))
                },
                compressed: dcs & 0x20 != 0,
                deleted_when_read: dcs & 0x40 != 0,
                ..Self::plain(match dcs >> 2 & 0x03 {
                    0 => Alphabet::Gsm7,
                    1 => Alphabet::Binary,
                    2 => Alphabet::Ucs2,
                    _ => Alphabet::Reserved,
                })
            },
            // Reserved groups, to be read as the default alphabet.
            0b1000..=0b1011 => Self::plain(Alphabet::Gsm7),
            0b1100 => Self::waiting(dcs, false, Alphabet::Gsm7),
            0b1101 => Self::waiting(dcs, true, Alphabet::Gsm7),
            0b1110 => Self::waiting(dcs, true, Alphabet::Ucs2),
            // Bit 3 is reserved here and says nothing.
            _ => Self {
                class: Some(Class::of(dcs)),
                ..Self::plain(if dcs & 0x04 == 0 {
                    Alphabet::Gsm7
                } else {
                    Alphabet::Binary
                })
            },
        }
    }

    /// The octet that says the same by 23.038 alone, for the air interface: there SMPP's 0x03 to 0x0F mean
    /// something else, so they are translated and never copied (sms-text.md §1). The message centre's own
    /// alphabet goes out as the GSM one.
    ///
    /// `None` where 23.038 has no value: the text is then to be written in the GSM alphabet or UCS-2 first.
    pub const fn dcs(self) -> Option<u8> {
        let alphabet = match self.alphabet {
            Alphabet::Default | Alphabet::Gsm7 => 0x00,
            Alphabet::Binary => 0x04,
            Alphabet::Ucs2 => 0x08,
            _ => return None,
        };
        if let Some(waiting) = self.waiting {
            let group = match (alphabet, waiting.store) {
                (0x00, false) => 0xc0,
                (0x00, true) => 0xd0,
                (0x08, true) => 0xe0,
                _ => return None,
            };
            return Some(group | (waiting.active as u8) << 3 | waiting.kind as u8);
        }
        let class = match self.class {
            None => 0,
            Some(class) => 0x10 | class as u8,
        };
        Some((self.deleted_when_read as u8) << 6 | (self.compressed as u8) << 5 | class | alphabet)
    }

    const fn plain(alphabet: Alphabet) -> Self {
        Self {
            alphabet,
            class: None,
            waiting: None,
            compressed: false,
            deleted_when_read: false,
        }
    }

    const fn waiting(dcs: u8, store: bool, alphabet: Alphabet) -> Self {
        let kind = match dcs & 0x03 {
            0 => WaitingKind::Voice,
            1 => WaitingKind::Fax,
            2 => WaitingKind::Email,
            _ => WaitingKind::Unspecified,
        };
        Self {
            waiting: Some(Waiting {
                kind,
                active: dcs & 0x08 != 0,
                store,
            }),
            ..Self::plain(alphabet)
        }
    }
}

impl Class {
    /// From the low two bits.
    const fn of(octet: u8) -> Self {
        match octet & 0x03 {
            0 => Self::Flash,
            1 => Self::Mobile,
            2 => Self::Sim,
            _ => Self::Terminal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(octet: u8) -> Coding {
        Coding::of(DataCoding(octet))
    }

    #[test]
    fn smpps_own_values_carry_an_alphabet_and_nothing_else() {
        use Alphabet as A;
        let table = [
            A::Default,
            A::Ascii,
            A::Binary,
            A::Latin1,
            A::Binary,
            A::Jis,
            A::Cyrillic,
            A::Hebrew,
            A::Ucs2,
            A::Pictogram,
            A::MusicCodes,
            A::Reserved,
            A::Reserved,
            A::ExtendedKanji,
            A::Korean,
            A::Reserved,
        ];
        for (octet, alphabet) in (0..).zip(table) {
            assert_eq!(of(octet), Coding::plain(alphabet), "{octet:#x}");
        }
    }

    #[test]
    fn what_smpp_reserves_is_read_by_23_038_as_peers_mean_it() {
        for (octet, alphabet, class) in [
            (0x10, Alphabet::Gsm7, Some(Class::Flash)),
            (0x11, Alphabet::Gsm7, Some(Class::Mobile)),
            (0x12, Alphabet::Gsm7, Some(Class::Sim)),
            (0x13, Alphabet::Gsm7, Some(Class::Terminal)),
            (0x15, Alphabet::Binary, Some(Class::Mobile)),
            (0x18, Alphabet::Ucs2, Some(Class::Flash)),
            (0x1c, Alphabet::Reserved, Some(Class::Flash)),
            (0xf0, Alphabet::Gsm7, Some(Class::Flash)),
            (0xf4, Alphabet::Binary, Some(Class::Flash)),
            (0xf5, Alphabet::Binary, Some(Class::Mobile)),
            (0xf6, Alphabet::Binary, Some(Class::Sim)),
            (0xf8, Alphabet::Gsm7, Some(Class::Flash)),
            (0x80, Alphabet::Gsm7, None),
            (0xbf, Alphabet::Gsm7, None),
        ] {
            let expect = Coding {
                class,
                ..Coding::plain(alphabet)
            };
            assert_eq!(of(octet), expect, "{octet:#x}");
        }
    }

    #[test]
    fn all_64_values_of_each_general_group_are_made_of_their_bits() {
        for dcs in 0x10..0x80 {
            let coding = of(dcs);
            assert_eq!(coding.deleted_when_read, dcs >= 0x40);
            assert_eq!(coding.compressed, dcs & 0x20 != 0);
            assert_eq!(coding.class.is_some(), dcs & 0x10 != 0);
            assert_eq!(coding.waiting, None);
            assert_eq!(coding.alphabet == Alphabet::Ucs2, dcs & 0x0c == 0x08, "{dcs:#x}");
        }
    }

    #[test]
    fn the_air_interface_is_told_the_same_in_its_own_values() {
        for dcs in 0..=255 {
            let coding = Coding::of_dcs(dcs);
            match coding.dcs() {
                Some(again) => assert_eq!(Coding::of_dcs(again), coding, "{dcs:#x}"),
                None => assert_eq!(coding.alphabet, Alphabet::Reserved, "{dcs:#x}"),
            }
        }
        for (data_coding, dcs) in [
            (0x00, Some(0x00)),
            (0x02, Some(0x04)),
            (0x04, Some(0x04)),
            (0x08, Some(0x08)),
            (0x18, Some(0x18)),
            (0xc9, Some(0xc9)),
            (0xea, Some(0xea)),
            (0xf0, Some(0x10)),
            (0xf5, Some(0x15)),
            (0x80, Some(0x00)),
            // On air 0x05 to 0x07 would be 8-bit data, and 0x0A UCS-2.
            (0x01, None),
            (0x03, None),
            (0x05, None),
            (0x06, None),
            (0x07, None),
            (0x0a, None),
            (0x0e, None),
        ] {
            assert_eq!(of(data_coding).dcs(), dcs, "{data_coding:#x}");
        }
        // UCS-2 and an indicator go together only where the message is stored.
        let discarded = Waiting {
            kind: WaitingKind::Voice,
            active: true,
            store: false,
        };
        let coding = Coding {
            waiting: Some(discarded),
            ..Coding::plain(Alphabet::Ucs2)
        };
        assert_eq!(coding.dcs(), None);
    }

    #[test]
    fn indicators_are_switched_stored_and_told_apart() {
        for (octet, alphabet, kind, active, store) in [
            (0xc0, Alphabet::Gsm7, WaitingKind::Voice, false, false),
            (0xc8, Alphabet::Gsm7, WaitingKind::Voice, true, false),
            (0xd9, Alphabet::Gsm7, WaitingKind::Fax, true, true),
            (0xda, Alphabet::Gsm7, WaitingKind::Email, true, true),
            (0xdb, Alphabet::Gsm7, WaitingKind::Unspecified, true, true),
            (0xe0, Alphabet::Ucs2, WaitingKind::Voice, false, true),
            (0xec, Alphabet::Ucs2, WaitingKind::Voice, true, true),
        ] {
            let waiting = Some(Waiting { kind, active, store });
            let expect = Coding {
                waiting,
                ..Coding::plain(alphabet)
            };
            assert_eq!(of(octet), expect, "{octet:#x}");
        }
        for octet in 0..=255 {
            assert_eq!(
                of(octet).waiting.is_some(),
                (0xc0..0xf0).contains(&octet),
                "{octet:#x}"
            );
        }
    }
}
