//! The text form in every way in which carriers depart from Appendix B.

use tidegate_codec::receipt::{Receipt, ReceiptText};
use tidegate_codec::values::MessageState;

/// id, sub, dlvrd, submit date, done date, stat, err, text.
type Fields = [&'static str; 8];

const LABELS: [&str; 8] = [
    "id:",
    "sub:",
    "dlvrd:",
    "submit date:",
    "done date:",
    "stat:",
    "err:",
    "text:",
];
const VALUES: Fields = [
    "0123456789",
    "001",
    "000",
    "2611240900",
    "2611240901",
    "UNDELIV",
    "21b",
    "Meet me at 10:30",
];

fn fields(receipt: &Receipt<'_>) -> [String; 8] {
    [
        receipt.id,
        receipt.sub,
        receipt.dlvrd,
        receipt.submit_date,
        receipt.done_date,
        receipt.stat,
        receipt.err,
        receipt.text,
    ]
    .map(|field| field.escape_ascii().to_string())
}

/// The usual receipt with its fields in this order, and each of them changed by `write`.
fn written(order: &[usize], separator: &str, write: impl Fn(usize) -> String) -> String {
    let fields: Vec<String> = order.iter().map(|&at| write(at)).collect();
    fields.join(separator)
}

fn usual(at: usize) -> String {
    format!("{}{}", LABELS[at], VALUES[at])
}

fn parse(text: &[u8]) -> [String; 8] {
    let receipt = Receipt::parse_text(text).unwrap_or_else(|| panic!("{}", text.escape_ascii()));
    fields(&receipt)
}

/// Every order of the items.
fn orders(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        for tail in orders(&rest) {
            all.push([vec![first], tail].concat());
        }
    }
    all
}

#[test]
fn fields_come_in_any_order() {
    for order in orders(&[0, 1, 2, 3, 4, 5, 6]) {
        let order = [order.as_slice(), &[7]].concat();
        let text = written(&order, " ", usual);
        assert_eq!(parse(text.as_bytes()), VALUES, "{text}");
    }
    // The quoted text in any place, if labels that are new follow it.
    for place in 0..7 {
        let mut order = vec![0, 1, 2, 3, 4, 5, 6];
        order.insert(place, 7);
        let text = written(&order, " ", usual);
        assert_eq!(parse(text.as_bytes()), VALUES, "{text}");
    }
}

#[test]
fn labels_come_in_any_case_and_dates_with_and_without_their_blank() {
    let spellings: [fn(&str) -> String; 7] = [
        str::to_uppercase,
        str::to_lowercase,
        |label| {
            let mut label = label.to_owned();
            label[..1].make_ascii_uppercase();
            label
        },
        |label| label.replace(' ', ""),
        |label| label.replace(' ', "_"),
        |label| label.replace(' ', "   "),
        |label| label.replace(':', " : "),
    ];
    for spelling in spellings {
        let text = written(&[0, 1, 2, 3, 4, 5, 6, 7], " ", |at| {
            let value = VALUES[at];
            // Blanks in front of the quoted text belong to it.
            let label = spelling(LABELS[at]);
            format!("{}{value}", if at == 7 { label.trim_end() } else { &label })
        });
        assert_eq!(parse(text.as_bytes()), VALUES, "{text}");
    }
}

#[test]
fn any_field_but_id_and_stat_may_be_missing_or_empty() {
    for left_out in 0..8 {
        let order: Vec<usize> = (0..8).filter(|&at| at != left_out).collect();
        let missing = written(&order, " ", usual);
        let empty = written(&[0, 1, 2, 3, 4, 5, 6, 7], " ", |at| {
            if at == left_out {
                LABELS[at].to_owned()
            } else {
                usual(at)
            }
        });
        for text in [missing, empty] {
            let mut expect = VALUES;
            expect[left_out] = "";
            if [0, 5].contains(&left_out) {
                assert_eq!(Receipt::parse_text(text.as_bytes()), None, "{text}");
            } else {
                assert_eq!(parse(text.as_bytes()), expect, "{text}");
            }
        }
    }
    assert_eq!(
        parse(b"stat:DELIVRD id:1"),
        ["1", "", "", "", "", "DELIVRD", "", ""]
    );
}

#[test]
fn fields_are_set_apart_by_blanks_lines_commas_or_semicolons() {
    for separator in [" ", "  ", "\t", "\n", "\r\n", ",", ", ", ";", "; ", " ,"] {
        let text = written(&[0, 1, 2, 3, 4, 5, 6, 7], separator, usual);
        assert_eq!(parse(text.as_bytes()), VALUES, "{}", text.escape_default());
        // With a vendor's fields between.
        let text = written(&[0, 1, 2, 3, 4, 5, 6, 7], separator, |at| {
            let vendors = if at == 7 { "" } else { "mccmnc:26202" };
            let (before, after) = if at == 7 { ("", "") } else { (separator, vendors) };
            format!("{}{before}{after}", usual(at))
        });
        assert_eq!(parse(text.as_bytes()), VALUES, "{}", text.escape_default());
    }
}

#[test]
fn an_id_is_any_text_without_blanks() {
    for id in [
        "0",
        "0000000001",
        "64567564356765435676",
        "1054BC63",
        "74e02ee1-4e2f-4a6e-a78b-4b247d756a22",
        "0118Z-0122I-2309U-57DGB",
        "SAR-1054bc63-1-2",
        "<12.34@mc/5>",
        "12:34:56",
        "a,b",
        "a;b",
        "1|2|3",
        "1234567890123456789012345678901234567890123456789012345678901234",
    ] {
        let text = format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:x");
        assert_eq!(parse(text.as_bytes())[0], id);
        assert_eq!(parse(format!("stat:DELIVRD id:{id}").as_bytes())[0], id);
    }
}

#[test]
fn what_stands_before_the_id_and_behind_the_end_does_no_harm() {
    let text = written(&[0, 1, 2, 3, 4, 5, 6, 7], " ", usual);
    for junk in [
        "419318028472222#",
        "+4712345678 ",
        "\0\0",
        "Receipt: ",
        "47123;",
        "[",
        "a,b, ",
    ] {
        let text = format!("{junk}{text}");
        assert_eq!(parse(text.as_bytes()), VALUES, "{}", text.escape_default());
    }
    for end in ["\0", " ", "\0\0", " \0", "\r\n"] {
        let text = format!("{text}{end}");
        assert_eq!(parse(text.as_bytes()), VALUES, "{}", text.escape_default());
        let short = format!("id:1 stat:DELIVRD err:000{end}");
        assert_eq!(parse(short.as_bytes())[6], "000");
        let short = format!("id:1 err:000 stat:DELIVRD{end}");
        assert_eq!(parse(short.as_bytes())[5], "DELIVRD");
    }
}

#[test]
fn counts_and_errors_have_any_length() {
    for value in ["0", "1", "01", "001", "0001", "1000", "..."] {
        let text = format!("id:1 sub:{value} dlvrd:{value} stat:DELIVRD");
        assert_eq!(parse(text.as_bytes())[1..3], [value, value]);
    }
    for value in [
        "0", "00", "000", "1", "21b", "0A1", "E12", "0000", "16777", "-1", "0x21",
    ] {
        let text = format!("id:1 stat:UNDELIV err:{value} text:");
        assert_eq!(parse(text.as_bytes())[6], value);
    }
}

#[test]
fn a_quoted_text_holds_anything_and_overrides_nothing() {
    let head = "id:1 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:DELIVRD err:000 ";
    for quoted in [
        "stat:REJECTD",
        "id:2 err:9 sub:7",
        "text:text:",
        "12:30: call id:7",
        "TVILLING: Sl? ut h?",
        "a,b; c",
        "-",
        "done date:7001010000",
    ] {
        for label in ["text:", "Text:", "TEXT:"] {
            let read = parse(format!("{head}{label}{quoted}").as_bytes());
            assert_eq!(read[7], quoted);
            assert_eq!(
                [&read[0], &read[4], &read[5], &read[6]],
                ["1", "2611240901", "DELIVRD", "000"]
            );
        }
    }
    // A comma that ends the quoted text sets no fields apart.
    assert_eq!(parse(b"id:a,b text:well, stat:DELIVRD")[0], "a,b");
    let every: Vec<u8> = (1..=255).filter(|octet| *octet != b' ').collect();
    let text = [head.as_bytes(), b"text:", &every].concat();
    let read = Receipt::parse_text(&text).unwrap();
    assert_eq!(read.text, every);
}

#[test]
fn dates_of_any_form_are_kept_as_written() {
    for (date, is_one) in [
        ("2611240900", true),
        ("261124090059", true),
        ("202611240900", true),
        ("20261124090059", true),
        ("0000000000", false),
        ("000000000000", false),
        ("2026-11-24", false),
        ("26112409", false),
        ("26112409001", false),
        ("2613240900", false),
        ("2602300900", false),
    ] {
        let text = format!("id:1 submit date:{date} done date:{date} stat:DELIVRD");
        let receipt = Receipt::parse_text(text.as_bytes()).unwrap();
        assert_eq!(
            (receipt.submit_date, receipt.done_date),
            (date.as_bytes(), date.as_bytes())
        );
        // 2026-11-24T12:00:00Z.
        let now = 1_795_521_600_000;
        assert_eq!(receipt.submit_unix_ms(now, 0).is_some(), is_one, "{date}");
        assert_eq!(receipt.done_unix_ms(now, 0), receipt.submit_unix_ms(now, 0));
    }
}

#[test]
fn states_are_words_in_any_case_or_numbers_and_other_words_are_kept() {
    for (word, state) in [
        ("DELIVRD", MessageState::Delivered),
        ("delivrd", MessageState::Delivered),
        ("Expired", MessageState::Expired),
        ("DELETED", MessageState::Deleted),
        ("UNDELIV", MessageState::Undeliverable),
        ("ACCEPTD", MessageState::Accepted),
        ("UNKNOWN", MessageState::Unknown),
        ("REJECTD", MessageState::Rejected),
        ("ENROUTE", MessageState::Enroute),
        ("2", MessageState::Delivered),
        ("05", MessageState::Undeliverable),
        ("008", MessageState::Rejected),
    ] {
        let text = format!("id:1 stat:{word} err:000");
        assert_eq!(
            Receipt::parse_text(text.as_bytes()).unwrap().state(),
            Some(state),
            "{word}"
        );
    }
    for word in ["BADSTAT", "SOMETHING_LONGER", "99", "DELIVR"] {
        let text = format!("id:1 stat:{word} err:000");
        let receipt = Receipt::parse_text(text.as_bytes()).unwrap();
        assert_eq!((receipt.stat, receipt.state()), (word.as_bytes(), None));
    }
}

/// Strict in what is sent: the lengths of Appendix B, labels in its order, ids as they were given.
#[test]
fn what_we_write_has_the_widths_of_appendix_b() {
    for state in MessageState::ALL {
        for id in ["0042", "74e02ee1-4e2f-4a6e-a78b-4b247d756a22"] {
            let mut out = Vec::new();
            let receipt = ReceiptText::new(id.as_bytes(), state, 1_795_521_600_000, 1_795_521_660_000);
            receipt.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            let at: Vec<usize> = LABELS.iter().map(|label| text.find(label).unwrap()).collect();
            assert!(at.is_sorted(), "{text}");
            let read = parse(text.as_bytes());
            let widths = read.each_ref().map(String::len);
            assert_eq!(
                [widths[1], widths[2], widths[3], widths[4], widths[6]],
                [3, 3, 10, 10, 3]
            );
            // Only 5.0 has a state whose word is longer.
            assert!(widths[5] == 7 || state == MessageState::Scheduled, "{text}");
            assert_eq!((read[0].as_str(), read[7].as_str()), (id, ""));
        }
    }
}
