//! Within what time a person's request is answered, by where the person is (DSR-1): a table that comes with the program, with
//! dates and sources. What it means for a request is the gateway's business.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::civil::Date;
use toml::de::DeTable;

use crate::hours::{Jurisdiction, date, source};
use crate::problem::Report;
use crate::retention::{Period, period};
use crate::section::Section;
use crate::value::text;

/// The rows that come with the program.
const ROWS: &str = include_str!("../data/requests.toml");
const ROWS_MAX: usize = 256;
const PLACES_MAX: usize = 64;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestClock {
    /// Key `places`, required, 1 to 64: where the person is, each in one row at most. A state's row goes before its country's.
    pub places: Vec<Jurisdiction>,
    /// Key `due`, required: within what time of its receipt a request is answered.
    pub due: Period,
    /// Key `most`, default absent (it cannot be extended): the same with an extension, in total.
    pub most: Option<Period>,
    /// Key `source`, required, 1 to 200 characters: where the row comes from.
    pub source: String,
    /// Key `checked`, required, such as `"2026-11-30"`: when somebody last looked there.
    pub checked: Date,
}

/// The row of a place: its state's, or its country's; `None` where the table has neither.
pub fn request_clock(place: Jurisdiction) -> Option<&'static RequestClock> {
    let country = Jurisdiction {
        region: None,
        ..place
    };
    let of = |place: Jurisdiction| shipped().iter().find(|row| row.places.contains(&place));
    of(place).or_else(|| of(country))
}

/// The program's own, read once. A test holds that nothing is wrong with them.
fn shipped() -> &'static [RequestClock] {
    static OWN: LazyLock<Vec<RequestClock>> = LazyLock::new(|| read_text(ROWS).0);
    &OWN
}

fn read_text(text: &str) -> (Vec<RequestClock>, Report) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let report = Report::new(text, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let sections = root.each_up_to("clock", ROWS_MAX);
    let mut seen = HashMap::new();
    let rows = sections.into_iter().filter_map(|section| row(section, &mut seen));
    let rows = rows.collect();
    root.finish(&[]);
    (rows, report)
}

fn row(mut section: Section<'_>, seen: &mut HashMap<Jurisdiction, Option<usize>>) -> Option<RequestClock> {
    let places = section.list("places", 1..=PLACES_MAX, text(Jurisdiction::parse));
    for place in places.iter().flatten() {
        let taken = "is in another row";
        section.once("places", seen, *place, taken, "name each place once");
    }
    let due = section.required("due", "write `due = \"P30D\"`", period);
    let most = section.optional("most", period);
    let source = section.required(
        "source",
        "say where the row comes from: `source = \"…\"`",
        text(source),
    );
    let checked = section.required(
        "checked",
        "say when that was: `checked = \"2026-11-30\"`",
        text(date),
    );
    section.finish(&[("place", "write `places = [\"FR\"]`")]);
    Some(RequestClock {
        places: places?,
        due: due?,
        most,
        source: source?,
        checked: checked?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_right_and_no_extension_ends_before_what_it_extends() {
        let (rows, report) = read_text(ROWS);
        assert_eq!(report.conclude(Some(())), Ok(()));
        assert_eq!(rows.len(), 5);
        for row in &rows {
            assert!(row.most.is_none_or(|most| !row.due.may_exceed(most)), "{row:?}");
        }
    }

    #[test]
    fn a_state_goes_before_its_country_and_what_is_not_there_has_none() {
        let due = |place: &str| {
            let place = Jurisdiction::known(place).unwrap();
            let row = request_clock(place)?;
            Some((row.due.to_string(), row.most.map(|most| most.to_string())))
        };
        let (month, quarter) = ("P1M".to_owned(), Some("P3M".to_owned()));
        for place in ["DE", "IE", "NO", "GB"] {
            assert_eq!(due(place), Some((month.clone(), quarter.clone())), "{place}");
        }
        assert_eq!(due("US-CA"), Some(("P45D".to_owned(), Some("P90D".to_owned()))));
        assert_eq!(due("BR"), Some(("P15D".to_owned(), None)));
        for place in ["US", "US-FL", "JP"] {
            assert_eq!(due(place), None, "{place}");
        }
        assert_eq!(Jurisdiction::known("no place"), None);
    }
}
