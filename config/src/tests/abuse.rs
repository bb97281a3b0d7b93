//! What counts as a sign of abuse, for everybody and for one account.

use std::num::{NonZeroU16, NonZeroU32};

use super::MINIMAL;
use super::problems::{one, with};
use crate::{AbuseAction, Config, Period, Watch, diff, parse};

fn read(account: &str, table: &str) -> Config {
    let text = with(
        "system_id = \"example\"\n",
        &format!("system_id = \"example\"\n{account}\n"),
    );
    parse(&format!("{text}{table}")).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn an_account_has_what_it_says_and_the_rest_of_what_holds_for_all() {
    let config = read(
        "abuse = { number_limit = 0, run_action = \"suspend\", country_day = { KE = 7 } }",
        "[abuse]\nwatch = \"all\"\nnumber_limit = 9\nprefix_limit = 8\ncountry_day = { \"*\" = 3 }\nreview_within = \"P1D\"\n",
    );
    let account = &config.accounts[0].abuse;
    assert_eq!((account.watch, account.number_limit), (Watch::All, None));
    assert_eq!(account.prefix_limit, NonZeroU16::new(8));
    assert_eq!(account.run_action, AbuseAction::Suspend);
    let seven = NonZeroU32::new(7).map(|seven| (seven, false));
    assert_eq!(
        (account.budget_of(Some(*b"KE")), account.budget_of(None)),
        (seven, None)
    );
    let all = &config.abuse;
    assert_eq!(all.rules.number_limit, NonZeroU16::new(9));
    assert_eq!(
        (all.review_within, all.keep_cases),
        (Period::parse("P1D").unwrap(), Period::parse("P12M").unwrap())
    );
    // Another rule for all is another one for the account as well.
    let plain = parse(MINIMAL).unwrap();
    let keys: Vec<String> = diff(&plain, &read("", "[abuse]\nrun = 7\n"))
        .changes()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(keys, ["abuse.run: 5 -> 7", "account.example.abuse: changed"]);
}

#[test]
fn what_no_gateway_can_hold_is_refused() {
    for (keys, key, said) in [
        ("run = 1", "abuse.run", "2 to 32"),
        ("run = 33", "abuse.run", "33"),
        ("back_off = \"1h\"", "abuse.back_off", "back_off_max"),
        ("completion_over = 9", "abuse.completion_over", "9"),
        ("country_day = { XX = 1 }", "abuse.country_day.XX", "XX"),
        ("review_within = \"P0D\"", "abuse.review_within", "P3D"),
        ("action = \"suspend\"", "abuse.action", "unknown key"),
    ] {
        let text = format!("{MINIMAL}[abuse]\n{keys}\n");
        one(&text, key, MINIMAL.lines().count() + 2, said);
    }
}
