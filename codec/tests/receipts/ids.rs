//! Matching the id of a receipt with that of the submit response (interop #11 to #13, quirks 1 and 2).

use tidegate_codec::receipt::{IdBase, canonical};

const BASES: [IdBase; 3] = [IdBase::AsGiven, IdBase::Decimal, IdBase::Hex];

fn meet(response: (&str, IdBase), receipt: (&str, IdBase)) -> bool {
    canonical(response.0.as_bytes(), response.1) == canonical(receipt.0.as_bytes(), receipt.1)
}

#[test]
fn an_id_meets_itself_in_every_base_with_zeros_blanks_case_and_nul() {
    for id in [
        "1",
        "0",
        "10",
        "5F3A21",
        "0123456789",
        "1054BC63",
        "64567564356765435676",
        "74e02ee1-4e2f-4a6e-a78b-4b247d756a22",
        "SAR-1054bc63-1-2",
        "a29f6845555647139e5c8f3b817f2c9a",
    ] {
        for base in BASES {
            for other in [
                id.to_owned(),
                id.to_uppercase(),
                id.to_lowercase(),
                format!("0000{id}"),
                format!("{id}\0"),
                format!(" {id} "),
            ] {
                assert!(meet((id, base), (&other, base)), "{id} and {other:?}");
            }
            // One digit more or less is another message.
            assert!(!meet((id, base), (&format!("{id}0"), base)) || id == "0", "{id}");
            assert!(!meet((id, base), (&format!("1{id}"), base)), "{id}");
        }
    }
}

#[test]
fn hex_and_decimal_meet_where_they_are_configured_and_only_there() {
    for (hex, decimal) in [
        ("5F3A21", "6240801"),
        ("7dfd3e2b", "2113748523"),
        ("0000000A", "10"),
        ("10", "0000000016"),
        ("FFFFFFFFFFFFFFFF", "18446744073709551615"),
        ("10000000000000000", "18446744073709551616"),
        ("152D02C7E14AF6800000", "100000000000000000000000"),
    ] {
        assert!(meet((hex, IdBase::Hex), (decimal, IdBase::Decimal)), "{hex}");
        assert!(meet((decimal, IdBase::Decimal), (hex, IdBase::Hex)), "{hex}");
        // The setting says it, nothing else does.
        for base in [IdBase::AsGiven, IdBase::Hex] {
            assert!(!meet((hex, base), (decimal, base)), "{hex} {base:?}");
        }
        assert!(!meet((hex, IdBase::Decimal), (decimal, IdBase::Hex)), "{hex}");
    }
}
