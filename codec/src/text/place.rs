//! Which part of which long text: concatenation in a header (3GPP TS 23.040 §9.2.3.24.1 and 8) or in SAR
//! parameters (SMPP 3.4 §5.3.2.22 to 24).

use crate::tlv::{Tag, Tlvs, append};

/// What the parts of one long text have in common. References of different kinds never match, though their
/// numbers may be equal (sms-text.md §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// Information element 0x00.
    Udh8(u8),
    /// Information element 0x08.
    Udh16(u16),
    /// TLV `sar_msg_ref_num`.
    Sar(u16),
}

impl Reference {
    /// In the order of this type, no reference comes before.
    pub(super) const LEAST: Self = Self::Udh8(0);
    /// In the order of this type, no reference comes behind.
    pub(super) const GREATEST: Self = Self::Sar(u16::MAX);
}

/// One part's place: `sequence` of `total`, both 1 to 255, the sequence never above the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    reference: Reference,
    total: u8,
    sequence: u8,
}

impl Place {
    /// `None` for a total or a sequence of 0 and for a sequence above the total: such a place is to be
    /// ignored, and the message stands alone.
    pub const fn new(reference: Reference, total: u8, sequence: u8) -> Option<Self> {
        if sequence == 0 || sequence > total {
            return None;
        }
        Some(Self {
            reference,
            total,
            sequence,
        })
    }

    /// From the three SAR parameters; `None` unless all three are there, of the right length, and make sense.
    /// They do not go together with a header, which then counts alone.
    pub fn of_tlvs(tlvs: &Tlvs<'_>) -> Option<Self> {
        Self::new(
            Reference::Sar(tlvs.short(Tag::SAR_MSG_REF_NUM)?),
            tlvs.octet(Tag::SAR_TOTAL_SEGMENTS)?,
            tlvs.octet(Tag::SAR_SEGMENT_SEQNUM)?,
        )
    }

    /// What the parts have in common.
    pub const fn reference(self) -> Reference {
        self.reference
    }

    /// Number of parts, 1 to 255.
    pub const fn total(self) -> u8 {
        self.total
    }

    /// This part, 1 to the total.
    pub const fn sequence(self) -> u8 {
        self.sequence
    }

    /// Appends the three SAR parameters, 16 octets, to a body under construction. An 8-bit reference is
    /// written as the same number.
    pub fn append_tlvs(self, out: &mut Vec<u8>) {
        let reference = match self.reference {
            Reference::Udh8(reference) => u16::from(reference),
            Reference::Udh16(reference) | Reference::Sar(reference) => reference,
        };
        // One and two octets fit a TLV.
        let _ = append(out, Tag::SAR_MSG_REF_NUM, &reference.to_be_bytes())
            && append(out, Tag::SAR_TOTAL_SEGMENTS, &[self.total])
            && append(out, Tag::SAR_SEGMENT_SEQNUM, &[self.sequence]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_makes_no_sense_is_none() {
        for (total, sequence) in [(0, 0), (0, 1), (1, 0), (2, 3), (254, 255)] {
            assert_eq!(Place::new(Reference::Udh8(1), total, sequence), None);
        }
        assert!(Place::new(Reference::Udh8(1), 255, 255).is_some());
    }

    #[test]
    fn sar_parameters_come_back_and_only_together() {
        let place = Place::new(Reference::Sar(0x1234), 3, 2).unwrap();
        let mut octets = Vec::new();
        place.append_tlvs(&mut octets);
        assert_eq!(octets.len(), 16);
        let tlvs = Tlvs::new(&octets);
        assert_eq!(tlvs.strict(), Ok(()));
        assert_eq!(Place::of_tlvs(&tlvs), Some(place));
        // Without its last parameter; and with a total of two octets.
        assert_eq!(Place::of_tlvs(&Tlvs::new(&octets[..11])), None);
        let mut wide = octets[..6].to_vec();
        assert!(append(&mut wide, Tag::SAR_TOTAL_SEGMENTS, &[0, 3]));
        assert!(append(&mut wide, Tag::SAR_SEGMENT_SEQNUM, &[2]));
        assert_eq!(Place::of_tlvs(&Tlvs::new(&wide)), None);
    }
}
