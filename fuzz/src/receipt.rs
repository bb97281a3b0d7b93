//! Receipts, their times, and what we write of both.

use tidegate_codec::message_id::MESSAGE_ID_MAX;
use tidegate_codec::receipt::{ERR_MAX, Receipt, ReceiptText, read_receipt};
use tidegate_codec::time::{SmppTime, read_final_date, read_receipt_date, write_absolute, write_relative};
use tidegate_codec::values::{EsmClass, MessageState};

/// When everything is read: in November 2026.
const NOW_MS: u64 = 1_795_478_400_000;
const DAY_MS: u64 = 86_400_000;
/// Two digits of a year mean the nearest: this far from now there is no doubt.
const NEAR_MS: u64 = 49 * 365 * DAY_MS;

/// Receipt texts and times of any form are read or refused; what we write of either reads as what it was. The input:
/// esm_class, message_state, how many octets of the rest are the TLV's id, the text.
pub fn receipt(octets: &[u8]) {
    let Some(([esm_class, state, id_len], text)) = octets.split_first_chunk() else {
        return;
    };
    let id = &text[..text.len().min(usize::from(*id_len))];
    let read = Receipt::parse_text(text);
    if let Some(receipt) = read {
        assert!((1..MESSAGE_ID_MAX).contains(&receipt.id.len()) && !receipt.stat.is_empty());
        let Receipt { sub, dlvrd, err, .. } = receipt;
        let values = [receipt.id, sub, dlvrd, receipt.stat, err, receipt.text];
        assert!(values.iter().map(|value| value.len()).sum::<usize>() <= text.len());
        let dates = [receipt.submit_unix_ms(NOW_MS, 0), receipt.done_unix_ms(NOW_MS, 0)];
        assert!(dates.iter().flatten().all(|date| *date <= NOW_MS + 367 * DAY_MS));
    }
    for detect_by_text in [false, true] {
        let network_error_code = text.first_chunk().copied();
        let reading = read_receipt(
            EsmClass(*esm_class),
            text,
            (!id.is_empty()).then_some(id),
            (*state != 0xff).then_some(*state),
            network_error_code,
            detect_by_text,
        );
        if let Some(reading) = &reading {
            assert!(reading.id().len() <= text.len() && reading.err.len() <= ERR_MAX);
            assert!(reading.other_id().is_none_or(|other| other != reading.id()));
            assert!(!reading.is_final || reading.state.is_final());
        }
        // A text that is a receipt by itself is one where texts are looked at, whatever else is known.
        let is_message = EsmClass(*esm_class) == EsmClass(0);
        assert!(reading.is_some() || !detect_by_text || !is_message || read.is_none());
    }
    written(*state, id, text);
    time(text);
}

/// A receipt that we write reads as what it says.
fn written(state: u8, id: &[u8], text: &[u8]) {
    let fits = (1..MESSAGE_ID_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_alphanumeric);
    let (Some(state), true) = (MessageState::from_octet(state), fits) else {
        return;
    };
    let ago = u64::from(id[0]) * DAY_MS;
    let sent = ReceiptText {
        text,
        ..ReceiptText::new(id, state, NOW_MS - ago, NOW_MS)
    };
    let mut out = Vec::new();
    sent.write(&mut out);
    let Some(read) = Receipt::parse_text(&out) else {
        panic!("a receipt of ours is none");
    };
    assert_eq!((read.id, read.state()), (id, Some(state)));
    assert_eq!(read.submit_unix_ms(NOW_MS, 0), Some(NOW_MS - ago));
    assert_eq!(read.done_unix_ms(NOW_MS, 0), Some(NOW_MS));
    let is_quoted = text.len() <= 20 && text.iter().all(|octet| matches!(octet, b' '..=b'~' | 0xa0..));
    let quoted = if is_quoted { text.trim_ascii_end() } else { b"" };
    assert_eq!(read.text, quoted, "whatever labels the text holds");
}

fn time(field: &[u8]) {
    let dates = [
        read_final_date(field, NOW_MS, 840),
        read_receipt_date(field, NOW_MS, -720),
    ];
    assert!(
        dates
            .iter()
            .flatten()
            .all(|date| *date <= NOW_MS + 100 * 366 * DAY_MS)
    );
    let Ok(time) = SmppTime::parse(field, NOW_MS) else {
        return;
    };
    let at = time.resolve(NOW_MS);
    assert_eq!(at.is_none(), field.is_empty());
    let Some(at) = at else {
        return;
    };
    match time {
        SmppTime::Relative { .. } => {
            assert!(at >= NOW_MS);
            let left = std::time::Duration::from_millis(at - NOW_MS);
            let again = SmppTime::parse(&write_relative(left), NOW_MS).map(|time| time.resolve(NOW_MS));
            // Up to 31 days; what is longer is cut, and nothing is written as a second.
            let whole = at.clamp(NOW_MS + 1000, NOW_MS + 32 * DAY_MS - 1000);
            assert_eq!(again, Ok(Some(whole)));
        }
        SmppTime::Absolute { .. } if at.abs_diff(NOW_MS) < NEAR_MS => {
            let again = SmppTime::parse(&write_absolute(at), NOW_MS).map(|time| time.resolve(NOW_MS));
            assert_eq!(again, Ok(Some(at)));
        }
        SmppTime::Absolute { .. } | SmppTime::Unset => {}
    }
}
