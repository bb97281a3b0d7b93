//! When a certificate ends: the one thing that is read of its DER here (RFC 5280 §4.1). Whether it holds is rustls' to say.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which may be left out.
const VERSION: u8 = 0xa0;
/// What stands where a certificate has no end (RFC 5280 §4.1.2.5), which is beyond what dates here can be.
const NO_END: &str = "99991231235959";
const NO_END_S: u64 = 253_402_300_799;

/// The end of a certificate's validity, in unix seconds; `None` for what is no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (body, _) = value(certificate, SEQUENCE)?;
    let (mut rest, _) = value(body, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value(rest, VERSION)?.1;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = value(rest, *rest.first()?)?.1;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (_, rest) = value(validity, *validity.first()?)?;
    let tag = *rest.first()?;
    time(tag, value(rest, tag)?.0)
}

/// The value that stands first, which must have this tag, and what is behind it.
fn value(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = octets.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ ..=0x7f => (usize::from(short), rest),
        // A length of up to four octets; DER has no other here.
        long @ 0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = octets
                .iter()
                .fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ`, of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text.len() == 12 => {
            let century = if text < "50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    if text == NO_END {
        return Some(NO_END_S);
    }
    let part = |from: usize, to: usize| text[from..to].parse::<i8>().ok();
    let (month, day) = (part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let at = DateTime::new(text[..4].parse().ok()?, month, day, hour, minute, second, 0).ok()?;
    u64::try_from(TimeZone::UTC.to_timestamp(at).ok()?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut octets = vec![tag, 0x82];
        octets.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        octets.extend(content);
        octets
    }

    fn certificate(version: bool, tag: u8, not_after: &str) -> Vec<u8> {
        let validity = [
            tagged(UTC_TIME, b"260101000000Z"),
            tagged(tag, not_after.as_bytes()),
        ]
        .concat();
        let mut body = Vec::new();
        if version {
            body.extend(tagged(VERSION, &[2, 1, 2]));
        }
        body.extend(
            [
                tagged(2, &[7]),
                tagged(SEQUENCE, &[]),
                tagged(SEQUENCE, &[0; 200]),
            ]
            .concat(),
        );
        body.extend(tagged(SEQUENCE, &validity));
        tagged(SEQUENCE, &tagged(SEQUENCE, &body))
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "270331235959Z", Some(1_806_537_599)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "700101000001Z", Some(1)),
            (UTC_TIME, "500101000000Z", None),
            (GENERALIZED_TIME, "20270331235959Z", Some(1_806_537_599)),
            (GENERALIZED_TIME, "99991231235959Z", Some(NO_END_S)),
            (GENERALIZED_TIME, "270331235959Z", None),
            (UTC_TIME, "270331235959+", None),
            (UTC_TIME, "271331235959Z", None),
            (2, "270331235959Z", None),
        ] {
            for version in [true, false] {
                assert_eq!(not_after(&certificate(version, tag, text)), expected, "{text}");
            }
        }
    }

    #[test]
    fn what_is_cut_or_bent_anywhere_is_no_certificate_and_no_panic() {
        let whole = certificate(true, UTC_TIME, "270331235959Z");
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for bent in [0x00, 0x7f, 0x84, 0xff] {
                let mut octets = whole.clone();
                octets[at] = bent;
                let _ = not_after(&octets);
            }
        }
    }
}
