//! How much is read back from disk for countries with a rate of their own: at once no more than goes there in a second.
//! What has to wait for its rate would else be read into memory, account by account and country by country. Less would not
//! last while others have what they need read back.

use crate::admission::{Country, CountryBuckets};

/// Legs that one look at a carrier's queue has had read back, by country; those without a rate of their own together.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(Vec<(Option<Country>, u32)>);

impl ReadAhead {
    /// Whether enough is on its way to a country until the next look.
    pub(super) fn is_enough(&self, country: Option<Country>, countries: &CountryBuckets) -> bool {
        let read = self.0.iter().find(|(read, _)| *read == country);
        let rate = || countries.rate(country).map(std::num::NonZeroU32::get);
        read.is_some_and(|(_, legs)| rate().is_some_and(|rate| *legs >= rate))
    }

    /// One more is read back.
    pub(super) fn note(&mut self, country: Option<Country>) {
        match self.0.iter_mut().find(|(read, _)| *read == country) {
            Some((_, legs)) => *legs += 1,
            None => self.0.push((country, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_config::CountryRates;

    #[test]
    fn what_goes_in_a_second_is_read_and_not_more() {
        let rate = |country: &[u8; 2], rate| (*country, std::num::NonZeroU32::new(rate));
        let countries = CountryBuckets::even(&CountryRates {
            named: vec![rate(b"DE", 500), rate(b"FR", 0), rate(b"GB", 10)],
            others: None,
        });
        let mut shared = ReadAhead::default();
        let others = CountryBuckets::even(&CountryRates {
            named: vec![rate(b"DE", 500)],
            others: std::num::NonZeroU32::new(2),
        });
        for enough in [false, false, true] {
            assert_eq!(shared.is_enough(None, &others), enough);
            shared.note(None);
        }
        for (country, reads) in [
            (Some(*b"GB"), 10),
            (Some(*b"DE"), 500),
            (Some(*b"FR"), 1_000),
            (None, 1_000),
        ] {
            let mut ahead = ReadAhead::default();
            ahead.note(Some(*b"IT"));
            let mut read = 0;
            while read < 1_000 && !ahead.is_enough(country, &countries) {
                ahead.note(country);
                read += 1;
            }
            assert_eq!(read, reads, "{country:?}");
        }
    }
}
