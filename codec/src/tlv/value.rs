//! The values of TLVs that have parts of their own (3.4 §5.3, 5.0 §4.8; smpp-tlvs.md). None of them fails on a value
//! that is only reserved: such octets stay as they are, for whoever knows them.

use crate::address::{Npi, Ton};
use crate::octets::Body;
use crate::values::DataCoding;

/// `network_error_code`: what a network said about a message (smpp-status.md, "network_error_code").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkErrorCode {
    /// Whose code it is: 1 ANSI-136, 2 IS-95, 3 GSM; by 5.0 also 7 SMPP and 8 the message centre's own.
    pub network: u8,
    /// The code.
    pub code: u16,
}

impl NetworkErrorCode {
    /// From the three octets of the value.
    pub const fn from_octets([network, high, low]: [u8; 3]) -> Self {
        Self {
            network,
            code: u16::from_be_bytes([high, low]),
        }
    }

    /// The three octets of the value.
    pub const fn octets(self) -> [u8; 3] {
        let [high, low] = self.code.to_be_bytes();
        [self.network, high, low]
    }
}

/// `source_subaddress` and `dest_subaddress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subaddress<'a> {
    /// 0x80 NSAP even, 0x88 NSAP odd, 0xA0 user specified.
    pub kind: u8,
    /// The subaddress itself, 1 to 22 octets.
    pub octets: Body<'a>,
}

impl<'a> Subaddress<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (kind, octets) = value.split_first()?;
        Some(Self {
            kind: *kind,
            octets: Body(octets),
        })
    }
}

/// `callback_num`: a number to call back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackNum<'a> {
    /// 0: the digits are DTMF (TBCD). 1: they are ASCII.
    pub digit_mode: u8,
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// The digits, 1 to 16 octets.
    pub digits: Body<'a>,
}

impl<'a> CallbackNum<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let ([digit_mode, ton, npi], digits) = value.split_first_chunk::<3>()?;
        Some(Self {
            digit_mode: *digit_mode,
            ton: Ton(*ton),
            npi: Npi(*npi),
            digits: Body(digits),
        })
    }
}

/// `callback_num_atag`: the name that goes with a callback number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct CallbackNumAtag<'a> {
    /// Alphabet of the name.
    pub data_coding: DataCoding,
    /// The name; may be empty.
    pub text: Body<'a>,
}

impl<'a> CallbackNumAtag<'a> {
    /// A value without any octet is allowed and is a name of no characters.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        Some(match value {
            [] => Self::default(),
            [data_coding, text @ ..] => Self {
                data_coding: DataCoding(*data_coding),
                text: Body(text),
            },
        })
    }
}

/// `ms_validity`: how long a handset keeps a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsValidity {
    /// 0 stored for ever, 1 until power down, 2 until the area changes, 3 shown only; 5.0: 4 for a time.
    pub behaviour: u8,
    /// The time of 5.0: its unit (0 s, 1 min, 2 h, 3 days, 4 weeks, 5 months, 6 years) and how many.
    pub time: Option<(u8, u16)>,
}

impl MsValidity {
    /// One octet (3.4) or four (5.0).
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        match *value {
            [behaviour] => Some(Self {
                behaviour,
                time: None,
            }),
            [behaviour, unit, high, low] => Some(Self {
                behaviour,
                time: Some((unit, u16::from_be_bytes([high, low]))),
            }),
            _ => None,
        }
    }
}

/// `its_session_info`: where a message stands in an interactive teleservice session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItsSessionInfo {
    /// Number of the session.
    pub session: u8,
    /// Number inside the session: bits 7 to 1 of the second octet.
    pub sequence: u8,
    /// The session ends with this message: bit 0.
    pub ends: bool,
}

impl ItsSessionInfo {
    pub(crate) const fn from_octets([session, second]: [u8; 2]) -> Self {
        Self {
            session,
            sequence: second >> 1,
            ends: second & 1 != 0,
        }
    }
}

/// `broadcast_content_type`: what a broadcast is about (5.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BroadcastContentType {
    /// 0 generic, 1 GSM, 2 TDMA, 3 CDMA.
    pub network: u8,
    /// The service: 0x0001 emergency, 0x0010 to 0x0023 news and health, and so on.
    pub service: u16,
}

impl BroadcastContentType {
    pub(crate) const fn from_octets([network, high, low]: [u8; 3]) -> Self {
        Self {
            network,
            service: u16::from_be_bytes([high, low]),
        }
    }
}

/// `broadcast_frequency_interval`: how often a broadcast is repeated (5.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BroadcastFrequencyInterval {
    /// 0 as often as possible, 8 s, 9 min, 10 h, 11 days, 12 weeks, 13 months, 14 years.
    pub unit: u8,
    /// How many of them lie between two broadcasts.
    pub count: u16,
}

impl BroadcastFrequencyInterval {
    pub(crate) const fn from_octets([unit, high, low]: [u8; 3]) -> Self {
        Self {
            unit,
            count: u16::from_be_bytes([high, low]),
        }
    }
}

/// `broadcast_area_identifier`: where a broadcast goes, or in broadcast_sm_resp where it failed (5.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BroadcastArea<'a> {
    /// 0 the alias of an area, 1 an ellipsoid arc, 2 a polygon.
    pub format: u8,
    /// The area, at most 100 octets.
    pub area: Body<'a>,
}

impl<'a> BroadcastArea<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (format, area) = value.split_first()?;
        Some(Self {
            format: *format,
            area: Body(area),
        })
    }
}

/// What `congestion_state` says about a message centre (5.0): aim for 80 to 90 (smpp-session.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Congestion {
    /// 0.
    Idle,
    /// 1 to 29.
    Low,
    /// 30 to 49.
    Medium,
    /// 50 to 79.
    High,
    /// 80 to 90. The text lists 90 twice; it counts here.
    Optimum,
    /// 91 to 99.
    Nearing,
    /// 100.
    Congested,
}

impl Congestion {
    /// From the octet; `None` for the reserved values above 100.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Idle,
            1..=29 => Self::Low,
            30..=49 => Self::Medium,
            50..=79 => Self::High,
            80..=90 => Self::Optimum,
            91..=99 => Self::Nearing,
            100 => Self::Congested,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_personal_is_printed() {
        let number = CallbackNum::read(b"\x01\x01\x01447700900123").unwrap();
        let subaddress = Subaddress::read(b"\xa0447700").unwrap();
        let shown = format!("{number:?} {subaddress:?}");
        assert!(!shown.contains("4477") && shown.contains("Body[12]"), "{shown}");
    }

    #[test]
    fn parts_are_found_where_the_specification_puts_them() {
        let code = NetworkErrorCode::from_octets([3, 0x01, 0x02]);
        assert_eq!((code.network, code.code, code.octets()), (3, 258, [3, 1, 2]));
        let session = ItsSessionInfo::from_octets([7, 0b0000_0101]);
        assert_eq!((session.session, session.sequence, session.ends), (7, 2, true));
        assert_eq!(MsValidity::read(&[4, 1, 0, 5]).unwrap().time, Some((1, 5)));
        assert_eq!(MsValidity::read(&[0]).unwrap().time, None);
        assert_eq!(CallbackNumAtag::read(&[]), Some(CallbackNumAtag::default()));
    }

    #[test]
    fn congestion_has_its_bands_and_reserved_values_none() {
        let bands = [0, 1, 29, 30, 50, 80, 90, 91, 100].map(|octet| Congestion::from_octet(octet).unwrap());
        assert!(bands.is_sorted());
        assert_eq!(bands[6], Congestion::Optimum);
        assert_eq!(Congestion::from_octet(101), None);
    }
}
