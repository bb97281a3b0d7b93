//! Each refusal, and what of a submission is decided when it is admitted.

use super::*;
use crate::addressing::Addressing;
use crate::standing::Standing;
use tidegate_codec::address::Npi;
use tidegate_codec::pdu::message::ShortMessage;

const NOW: Now = Now {
    monotonic: Duration::ZERO,
    unix_ms: 1_790_000_000_000,
};
const HOUR: u64 = 3_600_000;

fn account(extra: &str) -> (Account, Addressing, Standing) {
    let text = include_str!("../../../config/bench.toml");
    let text = text.replacen(
        "system_id = \"load\"",
        &format!("system_id = \"load\"\n{extra}"),
        1,
    );
    let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let (addressing, standing) = (Addressing::new(&config), Standing::new(&config));
    (config.accounts[0].clone(), addressing, standing)
}

fn sm() -> Sm<'static> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}

fn decide(extra: &str, sm: &Sm<'_>, version: InterfaceVersion) -> Result<Admitted, Refusal> {
    let (account, addressing, standing) = account(extra);
    let own = addressing.of_account(0, &account.numbering);
    let submission = Submission::from_sm(sm, version, b"");
    let hour = |_: &Facts<'_>| Some(Duration::from_secs(3600));
    let applicant = Applicant {
        account: &account,
        addressing: own,
        standing: standing.of_account(0, own),
        tables: &Tables::default(),
        quota_left: u64::MAX,
    };
    admit(applicant, hour, &submission, NOW)
}

fn on_v3_4(sm: &Sm<'_>) -> Result<Admitted, Refusal> {
    decide("", sm, InterfaceVersion::V3_4)
}

#[test]
fn each_fault_gets_its_own_refusal() {
    let base = sm();
    let name = Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Bob").unwrap();
    let empty = Address::new(Ton::UNKNOWN, Npi::UNKNOWN, b"").unwrap();
    let time = |text: &'static [u8]| COctets::new(text).unwrap();
    let cases = [
        (
            Sm {
                destination: name,
                ..base
            },
            Refusal::Recipient,
        ),
        (
            Sm {
                destination: empty,
                ..base
            },
            Refusal::Recipient,
        ),
        (
            Sm {
                priority_flag: 4,
                ..base
            },
            Refusal::Priority,
        ),
        (
            Sm {
                replace_if_present_flag: 2,
                ..base
            },
            Refusal::Replace,
        ),
        (
            Sm {
                sm_default_msg_id: 1,
                ..base
            },
            Refusal::DefaultMessage,
        ),
        (
            Sm {
                schedule_delivery_time: time(b"tomorrow"),
                ..base
            },
            Refusal::Schedule,
        ),
        (
            Sm {
                validity_period: time(b"forever"),
                ..base
            },
            Refusal::Validity,
        ),
        (
            Sm {
                validity_period: time(b"000101000000000+"),
                ..base
            },
            Refusal::Validity,
        ),
        (
            Sm {
                schedule_delivery_time: time(b"000010000000000R"),
                ..base
            },
            Refusal::Schedule,
        ),
    ];
    for (sm, refusal) in cases {
        assert_eq!(on_v3_4(&sm), Err(refusal));
    }
    assert!(on_v3_4(&base).is_ok());
}

#[test]
fn two_texts_are_refused_before_5_0_and_the_payload_wins_since() {
    let mut tlvs = Vec::new();
    assert!(tidegate_codec::tlv::append(
        &mut tlvs,
        Tag::MESSAGE_PAYLOAD,
        b"long"
    ));
    let both = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..sm()
    };
    assert_eq!(on_v3_4(&both), Err(Refusal::TwoTexts));
    assert!(decide("", &both, InterfaceVersion::V5_0).is_ok());
    let submission = Submission::from_sm(&both, InterfaceVersion::V5_0, &[]);
    assert_eq!(submission.text.0, b"long");
}

#[test]
fn validity_is_cut_to_the_maximum_and_filled_with_the_default() {
    let admitted = on_v3_4(&sm()).unwrap();
    assert_eq!(admitted.expires_ms - NOW.unix_ms, HOUR);
    let long = COctets::new(b"000020000000000R").unwrap();
    let admitted = on_v3_4(&Sm {
        validity_period: long,
        ..sm()
    })
    .unwrap();
    assert_eq!(admitted.expires_ms - NOW.unix_ms, 72 * HOUR);
    let tomorrow = COctets::new(b"000001000000000R").unwrap();
    let admitted = on_v3_4(&Sm {
        schedule_delivery_time: tomorrow,
        ..sm()
    })
    .unwrap();
    assert_eq!(admitted.due_ms - NOW.unix_ms, 24 * HOUR);
    assert_eq!(
        admitted.expires_ms - admitted.due_ms,
        HOUR,
        "the default counts from the schedule"
    );
}

#[test]
fn a_text_counts_as_the_parts_that_it_is_sent_in() {
    let long = |data_coding, octets: usize, esm_class| {
        let (text, mut tlvs) = (vec![0x05; octets], Vec::new());
        assert!(tidegate_codec::tlv::append(
            &mut tlvs,
            Tag::MESSAGE_PAYLOAD,
            &text
        ));
        let sm = Sm {
            data_coding: DataCoding(data_coding),
            esm_class: EsmClass(esm_class),
            short_message: ShortMessage::default(),
            tlvs: Tlvs::new(&tlvs),
            ..sm()
        };
        on_v3_4(&sm).unwrap().parts
    };
    for (data_coding, octets, parts) in [
        (0, 160, 1),
        (0, 161, 2),
        (0, 306, 2),
        (0, 307, 3),
        (8, 140, 1),
        (8, 142, 2),
        (8, 268, 2),
        (8, 270, 3),
        (4, 141, 2),
        (0, 60_000, 255),
    ] {
        assert_eq!(long(data_coding, octets, 0), parts, "{data_coding} {octets}");
    }
}

#[test]
fn parts_of_one_message_have_one_lot() {
    let part = |octets: &'static [u8]| {
        let sm = Sm {
            esm_class: EsmClass(0x40),
            short_message: ShortMessage::new(octets).unwrap(),
            ..sm()
        };
        let admitted = on_v3_4(&sm).unwrap();
        (admitted.lot, admitted.parts)
    };
    let (one, two) = (
        part(b"\x05\x00\x03\x2a\x02\x01one"),
        part(b"\x05\x00\x03\x2a\x02\x02two"),
    );
    assert_eq!((one, one.1), (two, 1));
    assert_ne!(one.0, part(b"\x05\x00\x03\x2b\x02\x01one").0);
}

#[test]
fn accounts_are_held_to_what_they_may() {
    let v3_4 = InterfaceVersion::V3_4;
    assert_eq!(
        decide("state = \"suspended\"", &sm(), v3_4),
        Err(Refusal::Suspended)
    );
    assert_eq!(
        decide("senders = [\"Other*\"]", &sm(), v3_4),
        Err(Refusal::Sender)
    );
    assert!(decide("senders = [\"Ti*\"]", &sm(), v3_4).is_ok());
}

/// As it is written, by whomever: what nobody says is marketing in three countries.
#[test]
fn what_a_message_is_for_goes_by_its_recipient_s_country_where_nobody_says_it() {
    let of = |extra: &str, ton: Ton, number: &'static [u8]| {
        let destination = Address::new(ton, Npi::ISDN, number).unwrap();
        let sm = Sm { destination, ..sm() };
        decide(extra, &sm, InterfaceVersion::V3_4).map(|admitted| admitted.category)
    };
    let canonical = "numbers = \"canonical\"\ncountry = \"FR\"\ncountries = \"all\"";
    for (extra, ton, number, expected) in [
        ("", Ton::INTERNATIONAL, &b"12025550123"[..], Category::Marketing),
        ("", Ton::INTERNATIONAL, b"+12025550123", Category::Marketing),
        ("", Ton::UNKNOWN, b"+33612345678", Category::Marketing),
        ("", Ton::INTERNATIONAL, b"14165550123", Category::Marketing),
        // Of the same code, but elsewhere.
        ("", Ton::INTERNATIONAL, b"17875550123", Category::Transactional),
        ("", Ton::INTERNATIONAL, b"447700900123", Category::Transactional),
        ("", Ton::NETWORK_SPECIFIC, b"12345", Category::Transactional),
        (
            "country = \"FR\"",
            Ton::NATIONAL,
            b"612345678",
            Category::Marketing,
        ),
        (canonical, Ton::UNKNOWN, b"0612345678", Category::Marketing),
        (
            canonical,
            Ton::UNKNOWN,
            b"00447700900123",
            Category::Transactional,
        ),
        (
            "category = \"otp\"",
            Ton::INTERNATIONAL,
            b"12025550123",
            Category::Otp,
        ),
    ] {
        assert_eq!(of(extra, ton, number), Ok(expected), "{extra} {number:?}");
    }
    // A short code is one of the networks at home, and what is no number at home is refused.
    let home = "country = \"FR\"";
    assert!(of(home, Ton::NETWORK_SPECIFIC, b"12345").is_ok());
    assert_eq!(
        of(home, Ton::INTERNATIONAL, b"447700900123"),
        Err(Refusal::Country)
    );
    assert_eq!(
        of("countries = [\"FR\"]", Ton::NETWORK_SPECIFIC, b"12345"),
        Err(Refusal::Country)
    );
}
