use super::*;
use crate::tests::MINIMAL;
use crate::{Config, Problems, parse};

fn with(account: &str, more: &str) -> Result<Config, Problems> {
    let text = MINIMAL.replacen(
        "system_id = \"example\"\n",
        &format!("system_id = \"example\"\n{account}\n"),
        1,
    );
    parse(&format!("{text}{more}"))
}

fn problem(account: &str, more: &str) -> String {
    with(account, more).unwrap_err().to_string()
}

const OWN: &str = "[[retention.profile]]\nname = \"own\"\nerasure_sla = \"P30D\"\nrequest_due = \"P30D\"\n\
    notice_before_change = \"P30D\"\nmin_tls = \"1.3\"\nsource = \"ours\"\nchecked = \"2026-11-29\"\n";

fn rule(keys: &str) -> String {
    format!(
        "[[retention.profile.rule]]\n{keys}\nsource = \"ours\"\nstanding = \"decided\"\nchecked = \"2026-11-29\"\n"
    )
}

#[test]
fn the_program_s_own_rules_are_in_order() {
    let (retention, report) = read_text(RULES);
    if let Err(problems) = report.conclude(Some(())) {
        panic!("{problems}");
    }
    let names: Vec<&str> = retention
        .profiles
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "instruction-bound",
            "as-instructed",
            "anonymise-30",
            "fixed-term",
            "until-deleted"
        ]
    );
    assert_eq!(retention.overlays.len(), 1);
    assert_eq!(retention.overlays[0].rule.standing, Standing::Retold);
}

#[test]
fn the_terms_beside_the_rules_are_those_of_the_table() {
    let period = |text: &str| Period::parse(text).unwrap();
    let retention = Retention::default();
    for (name, due, due_max, notice, min_tls) in [
        ("instruction-bound", "P30D", None, "posted", "1.2"),
        ("as-instructed", "P30D", None, "advance-notice", "1.2"),
        (
            "anonymise-30",
            "P1M",
            Some("P3M"),
            "email-if-rights-change",
            "1.2",
        ),
        ("fixed-term", "P30D", None, "P30D", "1.3"),
        ("until-deleted", "P30D", None, "posted", "secure"),
    ] {
        let profile = retention.profile(name).unwrap();
        assert_eq!(profile.erasure_sla, period("P30D"), "{name}");
        assert_eq!(profile.request_due, period(due), "{name}");
        assert_eq!(profile.request_due_max, due_max.map(period), "{name}");
        assert_eq!(profile.notice.to_string(), notice, "{name}");
        assert_eq!(profile.min_tls.word(), min_tls, "{name}");
    }
    let ages = |name: &str, country: &str| {
        let country = Country::known(country).unwrap();
        let ages = &retention.profile(name).unwrap().ages;
        let of = ages
            .iter()
            .find(|age| age.countries.is_empty() || age.countries.contains(&country));
        of.map(|age| (age.years, age.or_local))
    };
    assert_eq!(ages("instruction-bound", "BR"), Some((18, false)));
    for (country, years) in [
        ("US", 13),
        ("GB", 13),
        ("DE", 16),
        ("NO", 16),
        ("IS", 16),
        ("LI", 16),
    ] {
        assert_eq!(ages("as-instructed", country), Some((years, false)), "{country}");
    }
    assert_eq!(ages("as-instructed", "CH"), None);
    let eea = &retention.profile("as-instructed").unwrap().ages[1];
    assert_eq!(eea.countries.len(), 30);
    assert_eq!(ages("anonymise-30", "FR"), Some((16, true)));
    assert_eq!(ages("fixed-term", "FR"), Some((16, false)));
    assert_eq!(ages("until-deleted", "FR"), None);
}

#[test]
fn an_account_has_no_profile_unless_it_names_one_and_the_jurisdiction_of_its_country() {
    let terms = |account: &str| with(account, "").unwrap().accounts[0].retention.clone();
    assert_eq!(terms(""), crate::RetentionTerms::default());
    let of = terms("retention_profile = \"fixed-term\"\ncountry = \"US\"");
    assert_eq!(of.profile.as_deref(), Some("fixed-term"));
    assert_eq!(of.jurisdiction[0].to_string(), "US");
    let retention = Retention::default();
    let overlays = |account: &str| retention.overlays_of(&terms(account).jurisdiction).count();
    assert_eq!(overlays("country = \"US\""), 1);
    assert_eq!(overlays("country = \"US\"\njurisdiction = [\"FR\"]"), 0);
    assert_eq!(
        overlays("jurisdiction = [\"US-FL\"]"),
        1,
        "the law of the federation holds there"
    );
    let said = problem("retention_profile = \"fixed\"", "");
    assert!(
        said.contains("retention_profile: no profile is called \"fixed\""),
        "{said}"
    );
    assert!(said.contains("\"fixed-term\", \"until-deleted\""), "{said}");
}

/// The refusal half of RET-C08.
#[test]
fn ret_c08_an_instruction_that_the_profile_does_not_allow_is_refused_with_its_line() {
    let instruct = |profile: &str, keys: &str| {
        with(
            &format!("retention_profile = \"{profile}\"\nretention = [{{ {keys} }}]"),
            "",
        )
    };
    let decade = "class = \"body\", after = \"P10Y\"";
    let said = instruct("fixed-term", decade).unwrap_err();
    let [only] = said.as_slice() else { panic!("{said}") };
    assert_eq!(only.key, "account[0].retention[0].after");
    assert_eq!(only.line, Some(10));
    assert!(
        only.what
            .contains("P10Y is longer than fixed-term keeps body (P90D)"),
        "{said}"
    );
    assert!(
        only.remedy.contains("write at most P90D") && only.remedy.contains("\"as-instructed\""),
        "{said}"
    );
    assert!(instruct("fixed-term", "class = \"body\", after = \"P7D\"").is_ok());
    assert!(instruct("fixed-term", "class = \"body\", after = \"P90D\"").is_ok());
    assert!(instruct("fixed-term", "class = \"body\", no_store = true").is_ok());
    assert!(instruct("as-instructed", decade).is_ok());
    // Three months are 92 days in some.
    assert!(instruct("fixed-term", "class = \"body\", after = \"P3M\"").is_err());
    assert!(instruct("fixed-term", "class = \"meta\", after = \"P24M\"").is_ok());
    assert!(instruct("until-deleted", decade).is_ok(), "earlier than never");
}

#[test]
fn what_cannot_be_instructed_is_told() {
    for (account, told) in [
        (
            "retention = [{ class = \"body\", after = \"P7D\" }]",
            "account[0].retention: the account has no profile",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"contact\", after = \"P7D\" }]",
            "retention[0].class: fixed-term has no rule for contact",
        ),
        (
            "retention_profile = \"as-instructed\"\nretention = [{ class = \"support\", after = \"P7D\" }]",
            "as-instructed has no limit for support",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"billing\", after = \"P1Y\" }]",
            "retention[0].after: P12M is shorter than fixed-term keeps billing (P7Y)",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"meta\", no_store = true }]",
            "retention[0].no_store: meta is not what a message delivers",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"body\" }]",
            "retention[0].after: missing",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"body\", after = \"P7D\", no_store = true }]",
            "retention[0].no_store: what is not stored",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"body\", after = \"90d\" }]",
            "\"90d\" is no duration of rules",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"bodies\", after = \"P7D\" }]",
            "\"bodies\" is no value of this key",
        ),
        (
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"body\", after = \"P7D\" }, { class = \"body\", after = \"P8D\" }]",
            "retention[1].class: the same is instructed by line 10",
        ),
    ] {
        let said = problem(account, "");
        assert!(said.contains(told), "{told}\n{said}");
    }
}

#[test]
fn what_keeps_longer_than_a_profile_with_a_notice_says_when_it_was_given() {
    let profile = format!(
        "{OWN}{}",
        rule(
            "class = \"body\"\nkind = \"limit\"\nanchor = \"final\"\nafter = \"P1D\"\naction = \"purge\"\nextend = true"
        )
    );
    let week = |more: &str| {
        let row = format!("{{ class = \"body\", after = \"P7D\"{more} }}");
        with(
            &format!("retention_profile = \"own\"\nretention = [{row}]"),
            &profile,
        )
    };
    let said = week("").unwrap_err().to_string();
    assert!(
        said.contains("retention[0].given: missing") && said.contains("P30D"),
        "{said}"
    );
    assert!(week(", given = 2026-11-01").is_ok());
}

#[test]
fn instructions_stand_in_the_order_in_which_they_were_given() {
    let rows = "{ class = \"body\", after = \"P60D\", given = 2026-11-01 }, { class = \"body\", after = \"P7D\" }, \
                { class = \"body\", no_store = true, sender = \"Shop*\" }";
    let config = with(
        &format!("retention_profile = \"fixed-term\"\nretention = [{rows}]"),
        "",
    )
    .unwrap();
    let rows = &config.accounts[0].retention.instructions;
    let given: Vec<bool> = rows.iter().map(|row| row.given_ms.is_some()).collect();
    assert_eq!(given, [false, false, true]);
    let [all, shop, later] = &rows[..] else { panic!() };
    assert!(all.covers(shop) && !shop.covers(all) && all.covers(later) && later.covers(all));
}

#[test]
fn an_own_profile_has_the_form_of_the_program_s() {
    let body =
        rule("class = \"body\"\nkind = \"limit\"\nanchor = \"final\"\nafter = \"P1D\"\naction = \"purge\"");
    let config = with("retention_profile = \"own\"", &format!("{OWN}{body}")).unwrap();
    let own = config.retention.profile("own").unwrap();
    assert_eq!(own.rules.len(), 1);
    assert_eq!(own.missing().count(), CLASSES.len() - 1);
    assert_eq!(config.retention.profiles.len(), 6);
    for (keys, told) in [
        (
            "class = \"body\"\nkind = \"limit\"\nanchor = \"final\"\nafter = \"P2D\"\naction = \"purge\"",
            "rule[1].class: body has a limit already by line",
        ),
        (
            "class = \"meta\"\nkind = \"limit\"\nanchor = \"final\"\nafter = \"no-store\"\naction = \"purge\"",
            "only a limit of body or attach",
        ),
        (
            "class = \"meta\"\nkind = \"limit\"\nanchor = \"final\"\nafter = \"P2D\"\naction = \"keep\"",
            "what keeps is a floor",
        ),
        (
            "class = \"meta\"\nkind = \"floor\"\nanchor = \"final\"\nafter = \"P2D\"\naction = \"purge\"",
            "a floor only keeps",
        ),
        (
            "class = \"meta\"\nkind = \"ceiling\"\nanchor = \"final\"\nafter = \"P2D\"\naction = \"purge\"\nshorten = true",
            "rule[1].shorten: instructions move limits",
        ),
        (
            "class = \"meta\"\nkind = \"ceiling\"\nanchor = \"final\"\nafter = \"never\"\naction = \"purge\"",
            "a ceiling without a date",
        ),
        (
            "class = \"meta\"\nkind = \"limit\"\nanchor = \"final\"\naction = \"purge\"",
            "after: missing",
        ),
    ] {
        let said = problem("", &format!("{OWN}{body}{}", rule(keys)));
        assert!(said.contains(told), "{told}\n{said}");
    }
    for (from, to, told) in [
        (
            "\"own\"",
            "\"fixed-term\"",
            "profile[0].name: is one of the program's own",
        ),
        ("\"own\"", "\"My own\"", "is no name of a profile"),
        (
            "notice_before_change = \"P30D\"",
            "notice_before_change = \"soon\"",
            "or a duration such as",
        ),
        (
            "request_due = \"P30D\"",
            "request_due = \"P30D\"\nrequest_due_max = \"P1D\"",
            "request_due_max: P1D is less",
        ),
        ("erasure_sla = \"P30D\"\n", "", "erasure_sla: missing"),
    ] {
        let said = problem("", &format!("{}{body}", OWN.replacen(from, to, 1)));
        assert!(said.contains(told), "{told}\n{said}");
    }
    let limit = "[[retention.overlay]]\njurisdiction = \"DE\"\nclass = \"billing\"\nkind = \"limit\"\nanchor = \"created\"\n\
        after = \"P10Y\"\naction = \"purge\"\nsource = \"-\"\nstanding = \"retold\"\nchecked = \"2026-11-29\"\n";
    let said = problem("", limit);
    assert!(
        said.contains("overlay[0].kind: a jurisdiction has floors"),
        "{said}"
    );
}

#[test]
fn periods_are_compared_on_every_day_of_the_calendar() {
    let exceeds = |one: &str, other: &str| {
        let period = |text| Period::parse(text).unwrap();
        period(one).may_exceed(period(other))
    };
    for (one, other, expected) in [
        ("P91D", "P90D", true),
        ("P90D", "P90D", false),
        ("P1M", "P30D", true),
        ("P1M", "P31D", false),
        ("P30D", "P1M", true),
        ("P28D", "P1M", false),
        ("P24M", "P2Y", false),
        ("P3M", "P90D", true),
        ("P90D", "P3M", true),
        ("P1Y", "P365D", true),
        ("P365D", "P1Y", false),
        ("P10Y", "P90D", true),
        ("P90D", "P10Y", false),
        ("PT25H", "P1D", true),
        ("P1000Y", "P999Y", true),
    ] {
        assert_eq!(exceeds(one, other), expected, "{one} against {other}");
    }
}

/// RET-5: by message.
#[test]
fn service_types_that_are_not_stored_are_a_list_of_at_most_sixteen() {
    let types = |value: &str| {
        let account = format!("retention_profile = \"fixed-term\"\n{value}");
        with(&account, "").map(|config| config.accounts[0].retention.no_store_service_types.clone())
    };
    assert_eq!(types("").unwrap(), [""; 0]);
    assert_eq!(
        types("no_store_service_types = [\"NS\", \"\"]").unwrap(),
        ["NS", ""]
    );
    assert!(types("no_store_service_types = [\"NSNSNS\"]").is_err());
}

#[test]
fn a_profile_s_min_tls_is_the_least_that_its_accounts_may_ask_of_their_binds() {
    use crate::Transport::{Clear, Tls12, Tls13};
    for (account, min) in [
        ("", Clear),
        ("retention_profile = \"instruction-bound\"", Tls12),
        ("retention_profile = \"as-instructed\"", Tls12),
        ("retention_profile = \"anonymise-30\"", Tls12),
        ("retention_profile = \"fixed-term\"", Tls13),
        ("retention_profile = \"until-deleted\"", Tls12),
        (
            "retention_profile = \"until-deleted\"\nmin_transport = \"tls1.3\"",
            Tls13,
        ),
    ] {
        let config = with(account, "").unwrap_or_else(|problems| panic!("{account}: {problems}"));
        let transport = &config.accounts[0].transport;
        assert_eq!(transport.min, min, "{account}");
        assert_eq!(transport.keeps_out_clear_text(), min == Tls13, "{account}");
        assert_eq!(transport.allows(Clear, 0).is_ok(), min == Clear, "{account}");
    }
    for (account, what) in [
        (
            "min_transport = \"clear\"",
            "clear is less than tls1.3, which fixed-term asks for",
        ),
        ("min_transport = \"tls1.2\"", "tls1.2 is less than tls1.3"),
        (
            "transport_exception = { min_transport = \"tls1.3\", name = \"none\", until = 2999-12-31 }",
            "excepts nothing",
        ),
    ] {
        let said = problem(&format!("retention_profile = \"fixed-term\"\n{account}"), "");
        assert!(said.contains(what), "{account}: {said}");
    }
    let excepted = "retention_profile = \"fixed-term\"\n\
                    transport_exception = { min_transport = \"clear\", name = \"a leased line\", until = 2027-03-31 }";
    let config = with(excepted, "").unwrap();
    let by = config.accounts[0].transport.allows(Clear, 0).unwrap();
    assert_eq!(by.map(|exception| exception.name.as_str()), Some("a leased line"));
    let keys: Vec<String> = config
        .exceptions()
        .into_iter()
        .map(|excepted| excepted.key)
        .collect();
    assert_eq!(keys, ["account.example.transport_exception"]);
    assert!(
        config.accounts[0].transport.keeps_out_clear_text(),
        "it changes nothing for carriers"
    );
}
