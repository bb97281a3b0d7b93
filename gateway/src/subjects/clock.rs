//! Within what time a request is answered (DSR-1): by where the person is, else by the account's profile, else 30 days.

use tidegate_config::{Config, Jurisdiction, Period, request_clock};
use tidegate_store::rules::Span;

use crate::retention::span;

/// Where neither a place nor a profile says anything: as most profiles have it.
const DAYS: u32 = 30;

/// The dates of a request, in unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocked {
    /// When it is to be answered. Until then it may be extended.
    pub due_ms: u64,
    /// When at the latest, in total; the same where it cannot be extended.
    pub most_ms: u64,
    /// What says so.
    pub by: String,
}

/// The dates of a request that came at a time, from a place, about an account's data.
pub fn clock_of(
    config: &Config,
    place: Option<Jurisdiction>,
    account: Option<&str>,
    received_ms: u64,
) -> Clocked {
    let clocked = |due: Period, most: Option<Period>, by: String| Clocked {
        due_ms: span(due).after(received_ms),
        most_ms: span(most.unwrap_or(due)).after(received_ms),
        by,
    };
    if let Some(row) = place.and_then(request_clock) {
        return clocked(row.due, row.most, row.source.clone());
    }
    let account = account.and_then(|name| {
        let mut accounts = config.accounts.iter();
        accounts.find(|account| account.system_id.as_str() == name)
    });
    let profile = account
        .and_then(|account| account.retention.profile.as_deref())
        .and_then(|name| config.retention.profile(name));
    match profile {
        Some(profile) => clocked(
            profile.request_due,
            profile.request_due_max,
            format!("profile {}", profile.name),
        ),
        None => {
            let days = Span::new(0, DAYS, 0).unwrap_or(Span::ZERO);
            let due_ms = days.after(received_ms);
            Clocked {
                due_ms,
                most_ms: due_ms,
                by: "no place and no profile says otherwise: 30 days".to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::instant;

    fn config() -> Config {
        let text = include_str!("../../../config/compliance.toml");
        crate::documents::parse(text).unwrap()
    }

    fn ms(time: &str) -> u64 {
        let time: jiff::Timestamp = time.parse().unwrap();
        u64::try_from(time.as_millisecond()).unwrap()
    }

    fn dates(config: &Config, place: &str, account: Option<&str>, received: &str) -> (String, String) {
        let clocked = clock_of(config, Jurisdiction::known(place), account, ms(received));
        let day = |at_ms: u64| instant(at_ms).split_once('T').unwrap().0.to_owned();
        (day(clocked.due_ms), day(clocked.most_ms))
    }

    #[test]
    fn dsr_c04_a_month_ends_on_its_last_day_and_each_place_has_its_own_clock() {
        let mut config = config();
        for (place, received, due, most) in [
            ("DE", "2026-01-31T10:00:00Z", "2026-02-28", "2026-04-30"),
            ("FR", "2028-01-31T10:00:00Z", "2028-02-29", "2028-04-30"),
            ("GB", "2026-03-15T10:00:00Z", "2026-04-15", "2026-06-15"),
            ("US-CA", "2026-01-31T10:00:00Z", "2026-03-17", "2026-05-01"),
            ("BR", "2026-01-31T10:00:00Z", "2026-02-15", "2026-02-15"),
            ("JP", "2026-01-31T10:00:00Z", "2026-03-02", "2026-03-02"),
        ] {
            let dates = dates(&config, place, None, received);
            assert_eq!(dates, (due.to_owned(), most.to_owned()), "{place}");
        }
        let name = config.accounts[0].system_id;
        let of_profile = |config: &Config, place: &str| {
            dates(config, place, Some(name.as_str()), "2026-01-31T10:00:00Z").0
        };
        config.accounts[0].retention.profile = Some("fixed-term".to_owned());
        assert_eq!(of_profile(&config, "JP"), "2026-03-02", "P30D");
        config.accounts[0].retention.profile = Some("anonymise-30".to_owned());
        assert_eq!(of_profile(&config, "JP"), "2026-02-28", "P1M");
        // A place of the table goes before a profile.
        assert_eq!(of_profile(&config, "BR"), "2026-02-15");
    }
}
