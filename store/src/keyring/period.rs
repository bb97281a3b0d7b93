//! Keys of periods: one for each account, class of data and stretch of time (ERA-4), so that a stretch whose time is
//! over is erased by destroying one key.

use tidegate_codec::identity::SystemId;

use super::slot::OwnerTag;

/// Whose key of a period it is: what one of them seals lies under no other, and goes with it (ERA-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeriodOwner {
    /// The account whose data it seals.
    pub account: SystemId,
    /// Class of data; what the numbers mean is the history's business.
    pub class: u8,
    /// Length of the period: 0 an hour, 1 a day, 2 an ISO week.
    pub bucket: u8,
    /// How long the data is kept, as a number that stands for no other length: records of one period that go at different
    /// times have different keys. What the numbers mean is the history's business.
    pub length: u32,
    /// Start of the period, in hours since 1970-01-01T00:00Z.
    pub start: u32,
    /// 0 for the period's first key; higher numbers are made later for the same period: when the survivors of an
    /// erasure are sealed anew, or when a key has sealed all it may (ENC-1).
    pub part: u16,
}

/// Octets of an account's name in the slot's text, padded with zeros.
const NAME_LEN: usize = 16;
/// Octets of the slot's text.
const TEXT_LEN: usize = NAME_LEN + 12;

impl PeriodOwner {
    /// As the slot has it: the name padded to 16 octets, class, bucket, start (u32), part (u16), length (u32), numbers big-endian.
    pub(super) fn tag(self, kind: u8) -> OwnerTag {
        let mut text = [0; TEXT_LEN];
        let [s0, s1, s2, s3] = self.start.to_be_bytes();
        let [p0, p1] = self.part.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        let numbers = [self.class, self.bucket, s0, s1, s2, s3, p0, p1, l0, l1, l2, l3];
        let octets = self
            .account
            .as_bytes()
            .iter()
            .chain(std::iter::repeat(&0))
            .take(NAME_LEN);
        for (to, from) in text.iter_mut().zip(octets.chain(&numbers)) {
            *to = *from;
        }
        OwnerTag::named(kind, &text)
    }

    /// What a slot's text says; `None` for one that no version has written.
    pub(super) fn of(tag: &OwnerTag) -> Option<Self> {
        let (name, numbers) = tag.text().split_first_chunk::<NAME_LEN>()?;
        let [class, bucket, numbers @ ..] = *<&[u8; 12]>::try_from(numbers).ok()?;
        let [start @ .., p0, p1, l0, l1, l2, l3] = numbers;
        let len = name.iter().position(|octet| *octet == 0).unwrap_or(NAME_LEN);
        let (name, padding) = name.split_at_checked(len)?;
        if padding.iter().any(|octet| *octet != 0) {
            return None;
        }
        Some(Self {
            account: SystemId::new(name).ok()?,
            class,
            bucket,
            length: u32::from_be_bytes([l0, l1, l2, l3]),
            start: u32::from_be_bytes(start),
            part: u16::from_be_bytes([p0, p1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_owner_reads_back_from_its_slot(
            name in "[!-~]{1,15}", class: u8, bucket: u8, length: u32, start: u32, part: u16,
        ) {
            let account = SystemId::new(name.as_bytes()).unwrap();
            let owner = PeriodOwner { account, class, bucket, length, start, part };
            prop_assert_eq!(PeriodOwner::of(&owner.tag(8)), Some(owner));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let tag = OwnerTag::named(8, &text);
            if let Some(owner) = PeriodOwner::of(&tag) {
                prop_assert!(owner.tag(8) == tag, "one owner has one text");
            }
        }
    }
}
