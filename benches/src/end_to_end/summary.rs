//! Repetitions put together.

use std::fmt;

use super::matrix::Cell;
use super::run::{Run, Subject};

/// Median, least and most of some repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// `None` of no value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(upper, *values.get(values.len() / 2 - 1)?)
        } else {
            upper
        };
        Some(Self { median, least, most })
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            least: self.least * factor,
            most: self.most * factor,
        }
    }
}

impl fmt::Display for Spread {
    /// `2.64 (2.60–3.11)`, or one number where all are alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(short);
        if least == most {
            f.write_str(&median)
        } else {
            write!(f, "{median} ({least}–{most})")
        }
    }
}

/// Three figures that count; thousands in full.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if size < 10.0 {
        format!("{value:.2}")
    } else if size < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// All repetitions of a cell.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cell: Cell,
    runs: Vec<Run>,
}

impl Row {
    /// Whether any of its runs does not count.
    pub(super) fn failed(&self) -> bool {
        self.runs.iter().any(|run| !run.faults.is_empty())
    }

    /// A figure of one of the two.
    pub(super) fn spread(&self, subject: Subject, figure: &str) -> Option<Spread> {
        let runs = self.runs.iter().filter(|run| run.subject == subject);
        Spread::of(runs.filter_map(|run| run.figures.get(figure).copied()))
    }
}

/// The rows of all cells.
pub(super) fn rows(cells: &[Cell], runs: &[Run]) -> Vec<Row> {
    let row = |cell: &Cell| Row {
        cell: cell.clone(),
        runs: runs.iter().filter(|run| run.cell == *cell).cloned().collect(),
    };
    cells.iter().map(row).collect()
}

/// Rows for the tests of what shows them: CPU of 2, 4 and 3 µs against 1, 1 and 2. The second has failed.
#[cfg(test)]
pub(super) fn example() -> Vec<Row> {
    use super::figures::{Figures, key};
    let cells: Vec<Cell> = ["8x100", "8x100,receipts=none"]
        .iter()
        .map(|cell| cell.parse().unwrap())
        .collect();
    let mut runs = Vec::new();
    for cell in &cells {
        for (repetition, (gateway, relay)) in (1..).zip([(2.0, 1.0), (4.0, 1.0), (3.0, 2.0)]) {
            for (subject, cpu) in [(Subject::Gateway, gateway), (Subject::Relay, relay)] {
                let mut figures = Figures::from([(key::CPU, cpu), (key::RATE, 100_000.0 / cpu)]);
                for name in key::RESPONSE {
                    figures.insert(name, cpu);
                }
                runs.push(Run {
                    cell: cell.clone(),
                    subject,
                    messages: 1000,
                    repetition,
                    figures,
                    faults: Vec::new(),
                });
            }
        }
    }
    if let Some(last) = runs.last_mut() {
        last.faults.push("lost is 1 and not 0".to_owned());
    }
    rows(&cells, &runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::end_to_end::figures::key;

    #[test]
    fn the_median_stands_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap().to_string();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), "2.00 (1.00–3.00)");
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), "2.50 (1.00–4.00)");
        assert_eq!(spread(&[0.0, 0.0]), "0");
        assert_eq!(spread(&[123_456.7, f64::NAN]), "123457");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_row_has_the_spread_of_each_subject_and_fails_with_any_run() {
        let rows = example();
        assert_eq!(
            rows[0].spread(Subject::Gateway, key::CPU).unwrap().to_string(),
            "3.00 (2.00–4.00)"
        );
        assert_eq!(
            rows[0].spread(Subject::Relay, key::CPU).unwrap().to_string(),
            "1.00 (1.00–2.00)"
        );
        assert_eq!(rows[0].spread(Subject::Gateway, "nothing"), None);
        assert_eq!(rows.iter().map(Row::failed).collect::<Vec<_>>(), [false, true]);
    }
}
