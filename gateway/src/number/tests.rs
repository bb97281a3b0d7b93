use super::*;

fn canonical(home: &str, ton: u8, address: &str) -> Result<String, NotANumber> {
    let home = Country::new(home);
    let found = plan().canonical(Ton(ton), Npi(1), address.as_bytes(), home)?;
    Ok(String::from_utf8(found.as_bytes().to_vec()).unwrap())
}

/// What each of many ways to write it is, per country, by hand: home, TON, address, canonical.
const CASES: &[(&str, u8, &str, &str)] = &[
    // Britain: 0 inside, 00 outside.
    ("GB", 1, "447700900123", "447700900123"),
    ("GB", 0, "+447700900123", "447700900123"),
    ("GB", 0, "00447700900123", "447700900123"),
    ("GB", 0, "07700900123", "447700900123"),
    ("GB", 2, "07700900123", "447700900123"),
    ("GB", 2, "7700900123", "447700900123"),
    ("GB", 0, "7700900123", "447700900123"),
    ("GB", 0, "+44 (0)20 7946 0018", "442079460018"),
    ("GB", 0, "0033612345678", "33612345678"),
    // What the TON says is not so, and there is one thing that it can be.
    ("GB", 1, "07700900123", "447700900123"),
    ("GB", 1, "00447700900123", "447700900123"),
    ("GB", 2, "447700900123", "447700900123"),
    ("GB", 4, "447700900123", "447700900123"),
    ("FR", 0, "447700900123", "447700900123"),
    // Jersey and the Isle of Man share a code, and dial six digits at home.
    ("JE", 2, "712345", "441534712345"),
    ("IM", 2, "07624312345", "447624312345"),
    // The USA: 1 inside, 011 outside; 00 is no prefix there and no number either.
    ("US", 0, "+12125550123", "12125550123"),
    ("US", 0, "12125550123", "12125550123"),
    ("US", 0, "2125550123", "12125550123"),
    ("US", 2, "2125550123", "12125550123"),
    ("US", 0, "011447700900123", "447700900123"),
    ("US", 0, "00447700900123", "447700900123"),
    ("US", 0, "(212) 555-0123", "12125550123"),
    ("US", 2, "6235550123", "16235550123"),
    ("US", 0, "4155550123", "14155550123"),
    ("BB", 2, "2501234", "12462501234"),
    ("CA", 0, "4165550123", "14165550123"),
    // Germany: numbers of many lengths.
    ("DE", 0, "01511234567", "491511234567"),
    ("DE", 0, "015112345678", "4915112345678"),
    ("DE", 0, "004915112345678", "4915112345678"),
    ("DE", 0, "4915112345678", "4915112345678"),
    ("DE", 0, "03012345678", "493012345678"),
    ("DE", 2, "15112345678", "4915112345678"),
    // Italy keeps its 0.
    ("IT", 0, "0612345678", "390612345678"),
    ("IT", 2, "0612345678", "390612345678"),
    ("IT", 0, "+390612345678", "390612345678"),
    ("IT", 0, "3123456789", "393123456789"),
    ("FR", 0, "0612345678", "33612345678"),
    ("FR", 0, "+33612345678", "33612345678"),
    ("FR", 2, "612345678", "33612345678"),
    ("ES", 0, "612345678", "34612345678"),
    ("PT", 0, "912345678", "351912345678"),
    // Argentina: 15 behind the area code is a 9 in front of it abroad.
    ("AR", 0, "01115 12345678", "5491112345678"),
    ("AR", 2, "0111512345678", "5491112345678"),
    ("AR", 2, "111512345678", "5491112345678"),
    ("AR", 0, "+5491112345678", "5491112345678"),
    ("AR", 2, "01112345678", "541112345678"),
    ("MX", 0, "5512345678", "525512345678"),
    ("MX", 0, "00447700900123", "447700900123"),
    // Brazil: the code of a carrier stands in front of the area code.
    ("BR", 0, "011912345678", "5511912345678"),
    ("BR", 0, "02111912345678", "5511912345678"),
    ("BR", 0, "0021447700900123", "447700900123"),
    ("BR", 0, "5511912345678", "5511912345678"),
    ("SG", 0, "81234567", "6581234567"),
    ("SG", 0, "00165", "!"),
    ("SG", 0, "001447700900123", "447700900123"),
    ("AE", 0, "0501234567", "971501234567"),
    ("AE", 0, "00971501234567", "971501234567"),
    ("NG", 0, "08031234567", "2348031234567"),
    ("NG", 0, "009447700900123", "447700900123"),
    ("IN", 0, "9123456789", "919123456789"),
    ("IN", 0, "09123456789", "919123456789"),
    ("IN", 0, "919123456789", "919123456789"),
    ("RU", 0, "89161234567", "79161234567"),
    ("RU", 0, "810447700900123", "447700900123"),
    ("RU", 0, "8613812345678", "8613812345678"),
    ("KZ", 0, "87012345678", "77012345678"),
    ("HU", 0, "06201234567", "36201234567"),
    ("CI", 0, "0123456789", "2250123456789"),
    ("CN", 0, "13812345678", "8613812345678"),
    ("AU", 0, "0412345678", "61412345678"),
    ("AU", 0, "0011447700900123", "447700900123"),
    ("JP", 0, "09012345678", "819012345678"),
    ("KR", 0, "01012345678", "821012345678"),
    ("ZA", 0, "0711234567", "27711234567"),
    // Nobody's: without a home only what says its country is a number.
    ("--", 0, "07700900123", "?"),
    ("--", 2, "7700900123", "?"),
    ("--", 0, "447700900123", "447700900123"),
    ("--", 0, "+80012345678", "80012345678"),
    // Short codes, and what their TON says of others.
    ("GB", 0, "80888", "!"),
    ("GB", 1, "80888", "!"),
    ("GB", 2, "80888", "!"),
    ("GB", 0, "112", "!"),
    ("GB", 3, "447700900123", "!"),
    ("GB", 6, "12345678", "!"),
    // No number at all.
    ("GB", 0, "", "x"),
    ("GB", 0, "+", "x"),
    ("GB", 0, "Shop", "x"),
    ("GB", 0, "44770090012x", "x"),
    ("GB", 0, "++447700900123", "x"),
    ("GB", 0, "4477009001231234567890123", "x"),
    ("GB", 0, "+4477", "?"),
    ("GB", 0, "+44770090012345", "?"),
    ("GB", 1, "4477009001234567", "?"),
    ("GB", 0, "+0447700900123", "?"),
    ("GB", 0, "+21012345678", "?"),
    ("DE", 0, "+49151123456789012", "?"),
];

#[test]
fn a_number_is_one_however_its_country_writes_it() {
    for (home, ton, address, expected) in CASES {
        let found = match canonical(home, *ton, address) {
            Ok(number) => number,
            Err(NotANumber::ShortCode) => "!".to_owned(),
            Err(NotANumber::Malformed) => "x".to_owned(),
            Err(NotANumber::Impossible) => "?".to_owned(),
        };
        assert_eq!(found, *expected, "{home} {ton} {address}");
    }
}

#[test]
fn it_is_what_libphonenumber_makes_of_it() {
    let mut count = 0;
    for line in include_str!("vectors.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split('\t').collect();
        let [home, ton, address, expected] = columns[..] else {
            panic!("{line}")
        };
        let found = canonical(home, ton.parse().unwrap(), address);
        assert_eq!(found.as_deref().unwrap_or("-"), expected, "{line}");
        count += 1;
    }
    assert!(count > 1_500, "{count}");
}

#[test]
fn what_is_canonical_stays_as_it_is() {
    for line in include_str!("vectors.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let number = line.rsplit('\t').next().unwrap();
        if number != "-" {
            assert_eq!(canonical("GB", 1, number).as_deref(), Ok(number));
            assert_eq!(canonical("--", 0, &format!("+{number}")).as_deref(), Ok(number));
        }
    }
}

#[test]
fn a_number_is_of_its_country() {
    for (number, country) in [
        ("447700900123", "GB"),
        ("441624312345", "IM"),
        ("12125550123", "US"),
        ("14165550123", "CA"),
        ("12462501234", "BB"),
        ("18765550123", "JM"),
        ("18095550123", "DO"),
        ("18005550123", "US"),
        ("79161234567", "RU"),
        ("77012345678", "KZ"),
        ("390669812345", "VA"),
        ("390612345678", "IT"),
        ("4779123456", "SJ"),
        ("262692123456", "RE"),
        ("38344123456", "XK"),
        ("80012345678", ""),
    ] {
        let found = plan().canonical(Ton::INTERNATIONAL, Npi::ISDN, number.as_bytes(), None);
        let found = plan().country_of(&found.unwrap());
        let found = found.map_or(String::new(), |country| country.to_string());
        assert_eq!(found, country, "{number}");
    }
}

#[test]
fn every_country_of_the_configuration_has_rules_and_no_other() {
    let known: Vec<&str> = tidegate_config::country::COUNTRIES.split(' ').collect();
    assert!(
        known
            .iter()
            .all(|country| plan().knows(Country::new(country).unwrap()))
    );
    let rules = plan().table.all();
    assert_eq!(
        rules.iter().filter(|rules| rules.country.is_some()).count(),
        known.len()
    );
    // No line of the table was left out.
    let lines = include_str!("rules.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert_eq!(rules.len(), lines);
}

#[test]
fn a_number_on_a_screen_is_its_length() {
    let number = plan()
        .canonical(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123", None)
        .unwrap();
    assert_eq!(format!("{number:?}"), "E164[len=12]");
}

#[test]
fn a_number_inside_its_country_has_no_code() {
    let number = plan()
        .canonical(Ton::INTERNATIONAL, Npi::ISDN, b"390612345678", None)
        .unwrap();
    let national = |country| plan().national_of(&number, Country::new(country).unwrap());
    assert_eq!(national("IT"), Some(&b"0612345678"[..]));
    assert_eq!(national("GB"), None);
}

proptest::proptest! {
    #[test]
    fn whatever_stands_there_is_a_number_or_is_not(
        ton in 0u8..8,
        npi in 0u8..20,
        address in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        digits in "[+0-9 ()-]{0,30}",
        home in 0usize..245,
    ) {
        let home = tidegate_config::country::COUNTRIES.split(' ').nth(home).and_then(Country::new);
        for address in [&address[..], digits.as_bytes()] {
            if let Ok(number) = plan().canonical(Ton(ton), Npi(npi), address, home) {
                let digits = number.as_bytes();
                proptest::prop_assert!(digits.len() <= E164_MAX && digits.iter().all(u8::is_ascii_digit));
                // Once canonical, always the same, whoever's home it is.
                let again = plan().canonical(Ton::INTERNATIONAL, Npi::ISDN, digits, None);
                proptest::prop_assert_eq!(again, Ok(number));
                let _ = plan().country_of(&number);
            }
        }
    }
}
