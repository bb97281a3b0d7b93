//! Which countries an account may send to: modes of countries and numbers (FRD-1), approvals (FRD-2).

use tidegate_config::{Account, Compliance, Country, CountryMode};

use crate::clock::Now;
use crate::number::{E164, E164_MAX};
use crate::refusal::Refusal;

/// Letters of a country's code.
const LETTERS: usize = 26;
/// Codes that two letters can be, and behind them the place of numbers of no country.
const PLACES: usize = LETTERS * LETTERS + 1;

/// The rules of one account.
#[derive(Debug)]
pub struct CountryRules {
    home: Option<Country>,
    /// `None`: everything may go everywhere, as most accounts have it.
    table: Option<Box<Table>>,
}

#[derive(Debug)]
struct Table {
    /// By [`place`].
    rules: [Rule; PLACES],
    /// Modes of numbers, sorted by how long their beginning is and by its value.
    numbers: Vec<(Beginning, CountryMode)>,
    /// Lengths that occur among them, longest first.
    lengths: Vec<u8>,
    /// From when on what has been approved, in unix milliseconds; sorted, each country once.
    approvals: Vec<(Country, u64)>,
}

/// What holds for a country.
#[derive(Clone, Copy, Debug)]
struct Rule {
    mode: CountryMode,
    /// Whether it needs an approval whatever its mode.
    needs_approval: bool,
}

/// The first digits of numbers: how many, and their value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Beginning {
    len: u8,
    value: u64,
}

impl Beginning {
    /// Of at most 15 digits, which 64 bits hold.
    fn new(digits: &[u8]) -> Self {
        let value = digits.iter().fold(0_u64, |value, digit| {
            value * 10 + u64::from(digit.wrapping_sub(b'0') % 10)
        });
        Self {
            len: u8::try_from(digits.len()).unwrap_or(u8::MAX),
            value,
        }
    }
}

impl CountryRules {
    /// Those of an account.
    pub fn new(account: &Account, compliance: &Compliance) -> Self {
        let home = account.numbering.country;
        let destinations = &account.destinations;
        let modes = destinations.modes(home);
        let is_open = modes.named.is_empty()
            && modes.others == CountryMode::Allow
            && destinations.number_modes.is_empty()
            && !destinations.destination_approval
            && compliance.approval_required.is_empty();
        if is_open {
            return Self { home, table: None };
        }
        let approval_everywhere = destinations.destination_approval;
        let mut rules = [Rule {
            mode: modes.others,
            needs_approval: approval_everywhere,
        }; PLACES];
        let mut rule_of = |country, change: &dyn Fn(&mut Rule)| {
            if let Some(rule) = rules.get_mut(place(Some(country))) {
                change(rule);
            }
        };
        for (country, mode) in &modes.named {
            rule_of(*country, &|rule| rule.mode = *mode);
        }
        if let Some(home) = home {
            rule_of(home, &|rule| rule.needs_approval = false);
        }
        for country in &compliance.approval_required {
            rule_of(*country, &|rule| rule.needs_approval = true);
        }
        let mut numbers: Vec<_> = destinations
            .number_modes
            .iter()
            .map(|(digits, mode)| (Beginning::new(digits.as_bytes()), *mode))
            .collect();
        numbers.sort_unstable_by_key(|(beginning, _)| *beginning);
        let mut lengths: Vec<u8> = numbers.iter().map(|(beginning, _)| beginning.len).collect();
        lengths.dedup();
        lengths.reverse();
        let given = |approval: &tidegate_config::Approval| Some((approval.country, approval.approved_ms?));
        let mut approvals: Vec<_> = destinations.approvals.iter().filter_map(given).collect();
        // The earliest of a country stays.
        approvals.sort_unstable();
        approvals.dedup_by_key(|(country, _)| *country);
        Self {
            home,
            table: Some(Box::new(Table {
                rules,
                numbers,
                lengths,
                approvals,
            })),
        }
    }

    /// Whether everything may go everywhere.
    pub const fn are_open(&self) -> bool {
        self.table.is_none()
    }

    /// Where the account is at home.
    pub(super) const fn home(&self) -> Option<Country> {
        self.home
    }

    /// Whether a message may go to a number of this country, and whether it is counted apart. The number is asked for only
    /// where the account has modes of numbers.
    ///
    /// # Errors
    ///
    /// [`Refusal::Country`]: it is blocked. [`Refusal::NotApproved`]: an approval is needed and there is none yet.
    pub(super) fn may(
        &self,
        country: Option<Country>,
        number: impl FnOnce() -> Option<E164>,
        now: Now,
    ) -> Result<bool, Refusal> {
        let Some(table) = &self.table else {
            return Ok(false);
        };
        let rule = table.rules.get(place(country)).ok_or(Refusal::Country)?;
        let own = if table.numbers.is_empty() {
            None
        } else {
            number().and_then(|number| table.mode_of(number.as_bytes()))
        };
        let mode = own.unwrap_or(rule.mode);
        if mode == CountryMode::Block {
            return Err(Refusal::Country);
        }
        let needs_approval = rule.needs_approval || mode == CountryMode::Filter;
        if needs_approval && !country.is_some_and(|country| table.is_approved(country, now)) {
            return Err(Refusal::NotApproved);
        }
        Ok(mode == CountryMode::Monitor)
    }
}

impl Table {
    /// The mode of the longest beginning that a number has.
    fn mode_of(&self, digits: &[u8]) -> Option<CountryMode> {
        let digits = digits.get(..digits.len().min(E164_MAX))?;
        self.lengths.iter().find_map(|len| {
            let beginning = Beginning::new(digits.get(..usize::from(*len))?);
            let found = self.numbers.binary_search_by_key(&beginning, |(there, _)| *there);
            self.numbers.get(found.ok()?).map(|(_, mode)| *mode)
        })
    }

    fn is_approved(&self, country: Country, now: Now) -> bool {
        let found = self.approvals.binary_search_by_key(&country, |(there, _)| *there);
        let from = found.ok().and_then(|place| self.approvals.get(place));
        from.is_some_and(|(_, from_ms)| *from_ms <= now.unix_ms)
    }
}

/// Where a country stands in a table.
fn place(country: Option<Country>) -> usize {
    let letter = |octet: u8| usize::from(octet.wrapping_sub(b'A'));
    country.map_or(PLACES - 1, |country| {
        let [first, second] = country.octets();
        letter(first) * LETTERS + letter(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tidegate_codec::address::{Npi, Ton};

    use crate::number::plan;

    const DAY: u64 = 86_400_000;
    /// 2026-01-31, at midnight.
    const APPROVED: u64 = 1_769_817_600_000;

    fn rules(keys: &str, tables: &str) -> CountryRules {
        let text = include_str!("../../../config/bench.toml").replacen(
            "system_id = \"load\"",
            &format!("system_id = \"load\"\n{keys}"),
            1,
        );
        let config = tidegate_config::parse(&format!("{tables}\n{text}"))
            .unwrap_or_else(|problems| panic!("{problems}"));
        CountryRules::new(&config.accounts[0], &config.compliance)
    }

    fn at(unix_ms: u64) -> Now {
        Now {
            monotonic: Duration::ZERO,
            unix_ms,
        }
    }

    /// Asked of a number, on the day of the approvals.
    fn may(rules: &CountryRules, digits: &str) -> Result<bool, Refusal> {
        may_at(rules, digits, APPROVED)
    }

    fn may_at(rules: &CountryRules, digits: &str, unix_ms: u64) -> Result<bool, Refusal> {
        let number = plan()
            .canonical(Ton::INTERNATIONAL, Npi::ISDN, digits.as_bytes(), None)
            .unwrap();
        rules.may(plan().country_of(&number), || Some(number), at(unix_ms))
    }

    const US: &str = "12025550123";
    const DK: &str = "4520123456";
    const MY: &str = "60123456789";

    #[test]
    fn an_account_that_says_nothing_may_send_everywhere_and_one_with_a_home_there_only() {
        let rules_of = |keys: &str| {
            let rules = rules(keys, "");
            [US, DK].map(|number| may(&rules, number)).to_vec()
        };
        assert!(rules("", "").are_open() && rules("country = \"US\"\ncountries = \"all\"", "").are_open());
        assert_eq!(rules_of(""), [Ok(false), Ok(false)]);
        assert_eq!(rules_of("country = \"US\""), [Ok(false), Err(Refusal::Country)]);
        assert_eq!(
            rules_of("countries = [\"DK\"]"),
            [Err(Refusal::Country), Ok(false)]
        );
    }

    #[test]
    fn numbers_go_before_their_country_and_the_longest_beginning_holds() {
        let mode = |prefix: &str, mode: &str| format!("{{ prefix = \"{prefix}\", mode = \"{mode}\" }}");
        let modes = [
            mode("1", "monitor"),
            mode("1202", "block"),
            mode("12025550123", "allow"),
            mode("4520", "allow"),
            mode("45201", "block"),
        ];
        let rules = rules(
            &format!("countries = [\"US\"]\nnumber_modes = [{}]", modes.join(", ")),
            "",
        );
        for (number, expected) in [
            ("12025550123", Ok(false)),
            ("12025550124", Err(Refusal::Country)),
            ("12125550123", Ok(true)),
            ("4520123456", Err(Refusal::Country)),
            ("4520223456", Ok(false)),
            ("4530123456", Err(Refusal::Country)),
        ] {
            assert_eq!(may(&rules, number), expected, "{number}");
        }
    }

    /// FRD-C01: an approval of one country opens that one only, and from its day on.
    #[test]
    fn frd_c01_a_country_is_closed_until_it_is_approved_and_another_stays_closed() {
        let approval = |country: &str, more: &str| {
            format!("{{ country = \"{country}\", purpose = \"Codes\", sample = \"Your code\"{more} }}")
        };
        let given = approval("DK", ", approved = 2026-01-31, by = \"J. Doe\"");
        let asked = approval("MY", "");
        let keys = "country = \"US\"\ncountries = \"all\"\ndestination_approval = true";
        let before = rules(keys, "");
        assert_eq!(may(&before, DK), Err(Refusal::NotApproved));
        assert_eq!(may(&before, US), Ok(false), "home needs none");
        let after = rules(&format!("{keys}\napprovals = [{asked}, {given}]"), "");
        assert_eq!(may(&after, DK), Ok(false));
        assert_eq!(may_at(&after, DK, APPROVED - 1), Err(Refusal::NotApproved));
        assert_eq!(may_at(&after, DK, APPROVED + 400 * DAY), Ok(false));
        assert_eq!(
            may(&after, MY),
            Err(Refusal::NotApproved),
            "asked for is not given"
        );
        assert_eq!(after.may(None, || None, at(APPROVED)), Err(Refusal::NotApproved));
    }

    #[test]
    fn what_the_gateway_asks_for_no_mode_of_an_account_lifts() {
        let everybody = "[compliance]\napproval_required = [\"DK\", \"US\"]\n";
        let keys =
            "country = \"US\"\ncountries = \"all\"\nnumber_modes = [{ prefix = \"45\", mode = \"monitor\" }]";
        let rules_of = |keys: &str| rules(keys, everybody);
        let closed = rules_of(keys);
        assert_eq!(may(&closed, DK), Err(Refusal::NotApproved));
        assert_eq!(may(&closed, US), Err(Refusal::NotApproved));
        assert_eq!(may(&closed, MY), Ok(false));
        let given = "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"b\", approved = 2026-01-31, by = \"c\" }]";
        assert_eq!(may(&rules_of(&format!("{keys}\n{given}")), DK), Ok(true));
    }

    #[test]
    fn a_filter_lets_by_what_is_approved_and_a_number_of_no_country_is_one_of_the_others() {
        let given = "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"b\", approved = 2026-01-31, by = \"c\" }]";
        let rules = rules(
            &format!("countries = {{ DK = \"filter\", MY = \"filter\", \"*\" = \"monitor\" }}\n{given}"),
            "",
        );
        assert_eq!(may(&rules, DK), Ok(false));
        assert_eq!(may(&rules, MY), Err(Refusal::NotApproved));
        assert_eq!(
            (may(&rules, US), rules.may(None, || None, at(0))),
            (Ok(true), Ok(true))
        );
    }
}
