//! What texts of handsets mean.

use tidegate_config::words::{NORMAL_MAX, normalise};
use tidegate_config::{AccountWords, Extent, Meaning, OptOutPhrases, Words};

/// A text of any characters has one normal form, and what it means depends on nothing else. The input: a choice, then
/// the text, as UTF-8 or in UTF-16.
pub fn words(octets: &[u8]) {
    let Some(([choice], octets)) = octets.split_first_chunk() else {
        return;
    };
    let text = if choice & 1 == 0 {
        String::from_utf8_lossy(octets).into_owned()
    } else {
        let (units, _) = octets.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
        String::from_utf16_lossy(&units)
    };
    let (mut normal, mut again) = (String::new(), String::new());
    normalise(&text, &mut normal);
    normalise(&normal, &mut again);
    assert_eq!(normal, again);
    assert!(normal.len() < NORMAL_MAX + 64 && normal.trim() == normal && !normal.contains("  "));
    // Signs around a text and what cannot be seen within it change nothing.
    let dressed: String = text.chars().flat_map(|c| ['\u{200b}', c]).collect();
    normalise(&format!(" !{dressed}\u{1f64f}"), &mut again);
    assert!(normal == again || normal.len() >= NORMAL_MAX);
    meaning(&normal);
}

fn meaning(normal: &str) {
    let words = Words::shipped();
    let flagging = AccountWords {
        opt_out_phrases: OptOutPhrases::Flag,
        ..AccountWords::default()
    };
    for extent in [Extent::Whole, Extent::Beginning, Extent::Within] {
        let plus_one = words.meaning(normal, extent, true, Some(&flagging));
        let elsewhere = words.meaning(normal, extent, false, Some(&flagging));
        let usual = words.meaning(normal, extent, false, None);
        // An account's choice matters outside +1 only, and for phrases only.
        assert_eq!(plus_one, usual);
        match elsewhere {
            Meaning::Flag { word } => assert!(normal.contains(word)),
            other => assert_eq!(other, plus_one),
        }
        if let Meaning::OptOut(opt_out) = plus_one {
            assert!(normal.contains(opt_out.word));
            assert!(extent == Extent::Whole || opt_out.tier.number() != 2);
        }
        // What a part says the whole says, too.
        let whole = words.meaning(normal, Extent::Whole, true, None);
        assert!(plus_one == Meaning::Nothing || whole != Meaning::Nothing);
    }
}
