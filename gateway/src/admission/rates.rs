//! How many parts a second may come in: on a link, of an account, and to each country.

use std::num::NonZeroU32;
use std::time::Duration;

use tidegate_config::{Account, CountryRates};
use tidegate_store::disk::Disk;

use crate::bucket::Bucket;
use crate::clock::Now;
use crate::gate::Gate;
use crate::links::LinkId;
use crate::refusal::Refusal;
use crate::telemetry::words::ThrottledBy;

/// A country by its two letters (ISO 3166).
pub type Country = [u8; 2];

/// A bucket for each country that has a rate of its own, and one that all others share.
#[derive(Clone, Debug)]
pub struct CountryBuckets {
    /// Sorted by their letters.
    named: Vec<(Country, Bucket)>,
    others: Bucket,
    /// They have hardly a burst.
    is_even: bool,
}

impl CountryBuckets {
    /// Full ones.
    pub fn new(rates: &CountryRates) -> Self {
        let bucket = |&(country, rate): &(Country, Option<NonZeroU32>)| (country, Bucket::new(rate));
        Self {
            named: rates.named.iter().map(bucket).collect(),
            others: Bucket::new(rates.others),
            is_even: false,
        }
    }

    /// The same with hardly a burst, for what is handed over and can wait.
    pub fn even(rates: &CountryRates) -> Self {
        let bucket = |&(country, rate): &(Country, Option<NonZeroU32>)| (country, Bucket::even(rate));
        Self {
            named: rates.named.iter().map(bucket).collect(),
            others: Bucket::even(rates.others),
            is_even: true,
        }
    }

    /// A country, if it has a rate of its own.
    pub fn named(&self, country: Option<Country>) -> Option<Country> {
        country.filter(|country| self.place(*country).is_ok())
    }

    /// The rate of a country, or what it shares with those that have none of their own; `None` is no limit.
    pub fn rate(&self, country: Option<Country>) -> Option<NonZeroU32> {
        self.at(country).rate()
    }

    /// When a part can go there next, at the earliest.
    pub fn ready_at(&self, country: Option<Country>) -> Duration {
        self.at(country).ready_at()
    }

    /// Takes so many parts whether they fit or not: what is too much is waited for before the next one.
    pub fn book(&mut self, now: Duration, country: Option<Country>, parts: u32) {
        self.of(country).book(now, parts);
    }

    /// Changes the rates. What was taken of a country that keeps a rate of its own stays taken.
    pub fn set_rates(&mut self, now: Duration, rates: &CountryRates) {
        let mut changed = if self.is_even {
            Self::even(rates)
        } else {
            Self::new(rates)
        };
        for (country, bucket) in &mut changed.named {
            if let Ok(place) = self.place(*country)
                && let Some((_, old)) = self.named.get(place)
            {
                let rate = bucket.rate();
                *bucket = *old;
                if old.rate() != rate {
                    bucket.set_rate(now, rate);
                }
            }
        }
        changed.others = self.others;
        if changed.others.rate() != rates.others {
            changed.others.set_rate(now, rates.others);
        }
        *self = changed;
    }

    /// Whether any country has a rate of its own.
    pub const fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    fn place(&self, country: Country) -> Result<usize, usize> {
        self.named.binary_search_by_key(&country, |(named, _)| *named)
    }

    fn at(&self, country: Option<Country>) -> &Bucket {
        let place = country.and_then(|country| self.place(country).ok());
        let named = place.and_then(|place| self.named.get(place));
        named.map_or(&self.others, |(_, bucket)| bucket)
    }

    /// The bucket of a number in this country, or of one whose country is not known.
    fn of(&mut self, country: Option<Country>) -> &mut Bucket {
        let place = country.and_then(|country| self.place(country).ok());
        match place.and_then(|place| self.named.get_mut(place)) {
            Some((_, bucket)) => bucket,
            None => &mut self.others,
        }
    }
}

/// The rates of an account.
#[derive(Clone, Debug)]
pub struct AccountRates {
    /// Over all its links.
    pub all: Bucket,
    /// By destination.
    pub countries: CountryBuckets,
}

impl AccountRates {
    /// Full buckets.
    pub fn new(config: &Account) -> Self {
        Self {
            all: Bucket::new(config.rate),
            countries: CountryBuckets::new(&config.country_rates),
        }
    }

    /// Changes the rates; what was taken stays taken.
    pub fn set_rates(&mut self, now: Duration, config: &Account) {
        self.all.set_rate(now, config.rate);
        self.countries.set_rates(now, &config.country_rates);
    }
}

/// All buckets that one submission takes from.
#[derive(Debug)]
pub struct Buckets<'a> {
    /// Of its link.
    pub link: &'a mut Bucket,
    /// Of its account.
    pub account: &'a mut AccountRates,
    /// Of the gateway, by destination.
    pub gateway: &'a mut CountryBuckets,
}

impl Buckets<'_> {
    /// Whether so many parts may come in, wherever they go. Takes nothing.
    pub fn fits(&self, now: Duration, parts: u32) -> Result<(), ThrottledBy> {
        if !self.link.fits(now, parts) {
            return Err(ThrottledBy::Link);
        }
        if !self.account.all.fits(now, parts) {
            return Err(ThrottledBy::Account);
        }
        Ok(())
    }

    /// Takes so many parts for a country from every bucket, or nothing from any.
    pub fn take(&mut self, now: Duration, country: Option<Country>, parts: u32) -> Result<(), ThrottledBy> {
        self.fits(now, parts)?;
        let of_account = self.account.countries.of(country);
        if !of_account.fits(now, parts) {
            return Err(ThrottledBy::Country);
        }
        if !self.gateway.of(country).take(now, parts) {
            return Err(ThrottledBy::GatewayCountry);
        }
        of_account.book(now, parts);
        self.book(now, parts);
        Ok(())
    }

    /// Takes from the link's bucket and the account's only: for what goes nowhere new.
    pub fn take_unaddressed(&mut self, now: Duration, parts: u32) -> Result<(), ThrottledBy> {
        self.fits(now, parts)?;
        self.book(now, parts);
        Ok(())
    }

    /// Takes what was found to fit.
    fn book(&mut self, now: Duration, parts: u32) {
        self.link.book(now, parts);
        self.account.all.book(now, parts);
    }
}

impl<D: Disk> Gate<D> {
    /// Does something with the buckets of a link, where one asks, and of its account; a no is counted by whose it was.
    pub(crate) fn with_buckets(
        &mut self,
        link: Option<LinkId>,
        account: usize,
        with: impl FnOnce(&mut Buckets<'_>) -> Result<(), ThrottledBy>,
    ) -> Result<(), Refusal> {
        let mut unlimited = Bucket::new(None);
        let bucket = match link {
            None => Some(&mut unlimited),
            Some(link) => self.links.get_mut(link).map(|link| &mut link.bucket),
        };
        // Without its link nobody is told the answer.
        let (Some(link), Some(state)) = (bucket, self.accounts.get_mut(account)) else {
            return Err(Refusal::Throttled);
        };
        let mut buckets = Buckets {
            link,
            account: &mut state.rates,
            gateway: &mut self.country_rates,
        };
        with(&mut buckets).map_err(|by| {
            state.tally.throttled.add(by);
            Refusal::Throttled
        })
    }

    /// Takes what a submission of so many parts costs, or nothing. The last question of admission but what its text
    /// says, so that what is refused for another reason costs nothing.
    pub(crate) fn take_rates(
        &mut self,
        now: Now,
        link: Option<LinkId>,
        account: usize,
        country: Option<Country>,
        parts: u8,
    ) -> Result<(), Refusal> {
        self.with_buckets(link, account, |buckets| {
            buckets.take(now.monotonic, country, u32::from(parts))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    struct All {
        link: Bucket,
        account: AccountRates,
        gateway: CountryBuckets,
    }

    impl All {
        /// Of the example with lines in its account and in its limits. A bucket holds 255 parts at least.
        fn new(account: &str, limits: &str) -> Self {
            let text = include_str!("../../../config/bench.toml");
            let text = text.replacen(
                "system_id = \"load\"",
                &format!("system_id = \"load\"\n{account}"),
                1,
            );
            let text = text.replacen("[limits]", &format!("[limits]\n{limits}"), 1);
            let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
            Self {
                link: Bucket::new(config.accounts[0].link_rate),
                account: AccountRates::new(&config.accounts[0]),
                gateway: CountryBuckets::new(&config.limits.country_rates),
            }
        }

        fn take(&mut self, country: Option<&[u8; 2]>, parts: u32) -> Result<(), ThrottledBy> {
            let mut buckets = Buckets {
                link: &mut self.link,
                account: &mut self.account,
                gateway: &mut self.gateway,
            };
            buckets.take(NOW, country.copied(), parts)
        }
    }

    #[test]
    fn a_country_has_its_own_bucket_and_the_others_share_one() {
        let mut all = All::new("country_rates = { GB = 1, FR = 0, \"*\" = 1 }", "");
        assert_eq!(all.take(Some(b"GB"), 255), Ok(()));
        assert_eq!(all.take(Some(b"GB"), 1), Err(ThrottledBy::Country));
        assert_eq!(all.take(Some(b"FR"), 100_000), Ok(()));
        assert_eq!(all.take(Some(b"DE"), 155), Ok(()));
        assert_eq!(all.take(None, 100), Ok(()));
        for others in [Some(b"IT"), None] {
            assert_eq!(all.take(others, 1), Err(ThrottledBy::Country));
        }
    }

    #[test]
    fn the_gateway_holds_all_accounts_together_to_a_country_s_rate() {
        let mut all = All::new("", "country_rates = { GB = 1 }");
        assert_eq!(all.take(Some(b"GB"), 200), Ok(()));
        let mut other = All::new("", "");
        std::mem::swap(&mut all.gateway, &mut other.gateway);
        assert_eq!(other.take(Some(b"GB"), 56), Err(ThrottledBy::GatewayCountry));
        assert_eq!(other.take(Some(b"GB"), 55), Ok(()));
        assert_eq!(other.take(None, 10_000), Ok(()));
    }

    /// Each bucket in turn is the one that says no, and all others still have what they had.
    #[test]
    fn what_is_refused_takes_nothing_from_any_bucket() {
        let limits = "country_rates = { GB = 300 }";
        let cases = [
            ("link_rate", ThrottledBy::Link),
            ("rate", ThrottledBy::Account),
            ("country", ThrottledBy::Country),
        ];
        for (low, by) in cases {
            let rate = |name: &str| if name == low { 260 } else { 300 };
            let keys = format!(
                "link_rate = {}\nrate = {}\ncountry_rates = {{ GB = {} }}",
                rate("link_rate"),
                rate("rate"),
                rate("country")
            );
            let mut all = All::new(&keys, limits);
            assert_eq!(all.take(Some(b"GB"), 270), Err(by));
            assert_eq!(all.take(Some(b"GB"), 260), Ok(()), "{by:?} took something");
            assert_eq!(all.take(Some(b"GB"), 1), Err(by));
            // 40 are left everywhere but there.
            let full = Bucket::new(NonZeroU32::new(300));
            match by {
                ThrottledBy::Link => all.link = full,
                ThrottledBy::Account => all.account.all = full,
                _ => all.account.countries.named[0].1 = full,
            }
            assert_eq!(all.take(Some(b"GB"), 40), Ok(()), "behind {by:?}");
        }
        let mut all = All::new("rate = 300", "country_rates = { GB = 260 }");
        assert_eq!(all.take(Some(b"GB"), 270), Err(ThrottledBy::GatewayCountry));
        assert_eq!(all.take(Some(b"GB"), 260), Ok(()));
        assert_eq!(all.take(None, 40), Ok(()));
        assert_eq!(all.take(None, 1), Err(ThrottledBy::Account));
    }

    #[test]
    fn changed_rates_count_at_once_and_what_was_taken_stays_taken() {
        let mut all = All::new("country_rates = { GB = 1000, DE = 1 }", "");
        assert_eq!(all.take(Some(b"GB"), 1000), Ok(()));
        assert_eq!(all.take(Some(b"DE"), 255), Ok(()));
        let rates = All::new("country_rates = { GB = 500, DE = 1, FR = 1 }", "");
        let rates_of = |all: &All| CountryRates {
            named: all
                .account
                .countries
                .named
                .iter()
                .map(|(country, bucket)| (*country, bucket.rate()))
                .collect(),
            others: all.account.countries.others.rate(),
        };
        all.account.countries.set_rates(NOW, &rates_of(&rates));
        for (country, parts) in [(b"GB", 1), (b"DE", 1), (b"FR", 256)] {
            assert_eq!(all.take(Some(country), parts), Err(ThrottledBy::Country));
        }
        assert_eq!(all.take(Some(b"FR"), 255), Ok(()));
        assert_eq!(rates_of(&all).named[1].1, NonZeroU32::new(1));
    }
}
