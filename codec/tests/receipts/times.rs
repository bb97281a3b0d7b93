//! The time formats, character by character.

use jiff::Timestamp;
use tidegate_codec::time::{
    SmppTime, TimeError, read_final_date, read_receipt_date, write_absolute, write_receipt_date,
};

/// 2026-11-24T12:00:00Z.
const NOW: u64 = 1_795_521_600_000;
const QUARTER_MS: i64 = 15 * 60_000;

fn unix_ms(text: &str) -> u64 {
    let at: Timestamp = text.parse().unwrap();
    at.as_millisecond().try_into().unwrap()
}

fn absolute(field: &str) -> Result<(u64, i8), TimeError> {
    match SmppTime::parse(field.as_bytes(), NOW)? {
        SmppTime::Absolute {
            unix_ms,
            offset_quarters,
        } => Ok((unix_ms, offset_quarters)),
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn every_quarter_hour_on_either_side_of_utc_counts() {
    let noon = i64::try_from(unix_ms("2026-03-01T00:15:00Z")).unwrap();
    for quarters in 0..=99_i64 {
        for (indicator, sign) in [("+", 1), ("-", -1)] {
            let field = format!("2603010015000{quarters:02}{indicator}");
            let expect = if quarters > 48 {
                Err(TimeError::QuarterHours)
            } else {
                let at = u64::try_from(noon - sign * quarters * QUARTER_MS).unwrap();
                Ok((at, i8::try_from(sign * quarters).unwrap()))
            };
            assert_eq!(absolute(&field), expect, "{field}");
        }
    }
}

#[test]
fn every_month_ends_on_its_day_and_leap_days_exist_in_leap_years_only() {
    let days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (year, leap) in [(24, true), (25, false), (26, false), (27, false), (28, true)] {
        for (month, days) in (1..).zip(days) {
            let days = days + i32::from(leap && month == 2);
            for day in 0..=99 {
                let exists = (1..=days).contains(&day);
                let field = format!("{year:02}{month:02}{day:02}235959900+");
                assert_eq!(absolute(&field).is_ok(), exists, "{field}");
                let date = format!("{year:02}{month:02}{day:02}2359");
                // Dates beyond a year from now are no dates of receipts.
                let past = year < 27;
                let receipt = read_receipt_date(date.as_bytes(), NOW, 0);
                assert!(receipt.is_some() == exists || !past, "{date}");
            }
        }
    }
    for (month, exists) in (0..=99).map(|month| (month, (1..=12).contains(&month))) {
        assert_eq!(
            absolute(&format!("26{month:02}01000000000+")).is_ok(),
            exists,
            "{month}"
        );
    }
}

#[test]
fn each_part_keeps_to_its_range_in_both_forms() {
    for value in 0..=99 {
        for (field, up_to) in [
            (format!("260301{value:02}0000000+"), 23),
            (format!("26030100{value:02}00000+"), 59),
            (format!("2603010000{value:02}000-"), 59),
            (format!("{value:02}0000000000000R"), 99),
            (format!("00{value:02}00000000000R"), 12),
            (format!("0000{value:02}000000000R"), 31),
            (format!("000000{value:02}0000000R"), 23),
            (format!("00000000{value:02}00000R"), 59),
            (format!("0000000000{value:02}000R"), 59),
            // Offsets of relative times are ignored.
            (format!("0000010000000{value:02}R"), 99),
        ] {
            let read = SmppTime::parse(field.as_bytes(), NOW);
            assert_eq!(read.is_ok(), value <= up_to, "{field}");
        }
    }
    for tenths in 0..=9 {
        let at = unix_ms("2026-03-01T00:00:00Z") + 100 * tenths;
        assert_eq!(absolute(&format!("260301000000{tenths}00+")), Ok((at, 0)));
    }
}

#[test]
fn every_octet_has_its_place() {
    for form in [*b"260301001500020-", *b"260301001500020+", *b"000001000000000R"] {
        for at in 0..form.len() {
            for octet in 0..=u8::MAX {
                let mut field = form;
                field[at] = octet;
                let read = SmppTime::parse(&field, NOW);
                let expect = match (at, octet) {
                    (15, b'+' | b'-' | b'R') => continue,
                    (15, _) => TimeError::Indicator,
                    (_, b'0'..=b'9') => continue,
                    _ => TimeError::Digits,
                };
                assert_eq!(read, Err(expect), "{}", field.escape_ascii());
            }
        }
        for length in 1..=40 {
            let field: Vec<u8> = form.iter().copied().cycle().take(length).collect();
            let read = SmppTime::parse(&field, NOW);
            assert!(length == 16 || read == Err(TimeError::Length(length)), "{length}");
        }
    }
}

#[test]
fn final_dates_have_twelve_or_sixteen_characters_and_come_back_as_we_send_them() {
    let at = unix_ms("2026-11-21T12:00:00Z");
    assert_eq!(read_final_date(&write_absolute(at), NOW, 0), Some(at));
    // The zone is the carrier's for local time, and the field's own otherwise.
    for zone in [-720, -210, 0, 60, 330, 765] {
        assert_eq!(read_final_date(&write_absolute(at), NOW, zone), Some(at));
        let ahead = u64::try_from(i64::try_from(at).unwrap() - i64::from(zone) * 60_000).unwrap();
        assert_eq!(read_final_date(b"261121120000", NOW, zone), Some(ahead));
    }
    for field in [
        &b""[..],
        b"2611211200000",
        b"261121120000000",
        b"26112112000000+",
        b"x",
    ] {
        assert_eq!(read_final_date(field, NOW, 0), None, "{}", field.escape_ascii());
    }
}

#[test]
fn dates_of_receipts_read_back_at_the_ends_of_days_months_and_years() {
    for text in [
        "2024-02-29T23:59:00Z",
        "2025-12-31T23:59:00Z",
        "2026-01-01T00:00:00Z",
        "2026-02-28T23:59:00Z",
        "2026-03-01T00:00:00Z",
    ] {
        let at = unix_ms(text);
        let date = write_receipt_date(at + 59_999);
        assert_eq!(read_receipt_date(&date, NOW, 0), Some(at), "{text}");
        let digits = std::str::from_utf8(&date).unwrap();
        for form in [
            format!("{digits}00"),
            format!("20{digits}"),
            format!("20{digits}00"),
        ] {
            assert_eq!(read_receipt_date(form.as_bytes(), NOW, 0), Some(at), "{form}");
        }
    }
}
