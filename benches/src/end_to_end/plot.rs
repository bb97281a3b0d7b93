//! The plot: a row for each cell, panels side by side with an axis each, logarithmic because cells differ by
//! tens. A mark stands at the median, its whisker reaches from the least to the most. Gateway and relay
//! differ by shape and not by colour alone; colours follow the reader's light or dark scheme.

use std::fmt::Write as _;

use super::figures::key;
use super::run::Subject;
use super::summary::{Row, Spread};

const LABELS: f64 = 250.0;
const PANEL: f64 = 280.0;
const GAP: f64 = 44.0;
const TOP: f64 = 34.0;
const ROW: f64 = 34.0;
/// Below the rows: ticks, the axes' names, the legend.
const FOOT: f64 = 82.0;

const STYLE: &str = "
text { font: 12px sans-serif; fill: #24292f }
.title { font-weight: bold } .cell { font-family: monospace } .right { text-anchor: end } .middle { text-anchor: middle }
.page { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 } .band { fill: #8b949e; fill-opacity: .1 }
.gateway { stroke: #1f5fbf; fill: #1f5fbf; stroke-width: 1.5 } .relay { stroke: #b8500a; fill: #b8500a; stroke-width: 1.5 }
.hollow { fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #d0d7de } .page { fill: #0d1117 } .grid { stroke: #444c56 }
  .gateway { stroke: #7fb2ff; fill: #7fb2ff } .relay { stroke: #ffa657; fill: #ffa657 } .hollow { fill: none }
}";

/// A panel: its title, the name of its axis, and which figures it shows; from the second on marks are hollow.
struct Panel {
    title: &'static str,
    axis: &'static str,
    figures: &'static [&'static str],
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Throughput",
        axis: "messages a second",
        figures: &[key::RATE],
    },
    Panel {
        title: "CPU per message",
        axis: "µs of CPU, user + system",
        figures: &[key::CPU],
    },
    Panel {
        title: "submit_sm to response",
        axis: "milliseconds, p50 and p99",
        figures: &[key::RESPONSE[0], key::RESPONSE[1]],
    },
];

/// The whole picture.
pub(super) fn svg(rows: &[Row]) -> String {
    let count = (0..rows.len()).fold(0.0, |count, _| count + 1.0);
    let (width, bottom) = (LABELS + 3.0 * PANEL + 3.0 * GAP, TOP + ROW * count);
    let height = bottom + FOOT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>Throughput, CPU per message and latency of gateway and relay, by cell</title>\n<style>{STYLE}\n</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    let mut y = TOP;
    for (index, row) in rows.iter().enumerate() {
        if index % 2 == 0 {
            let _ = writeln!(
                out,
                r#"<rect class="band" x="0" y="{y}" width="{width}" height="{ROW}"/>"#
            );
        }
        let (x, base) = (LABELS - 12.0, y + ROW / 2.0 + 4.0);
        let _ = writeln!(
            out,
            r#"<text class="cell right" x="{x}" y="{base}">{}{}</text>"#,
            row.cell,
            if row.failed() { " FAILED" } else { "" }
        );
        y += ROW;
    }
    let mut left = LABELS;
    for panel in &PANELS {
        draw(&mut out, panel, rows, left, bottom);
        left += PANEL + GAP;
    }
    legend(&mut out, bottom + 68.0);
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, rows: &[Row], left: f64, bottom: f64) {
    let (middle, under) = (left + PANEL / 2.0, bottom + 36.0);
    let _ = writeln!(
        out,
        r#"<text class="title middle" x="{middle}" y="20">{}</text><text class="middle" x="{middle}" y="{under}">{}</text>"#,
        panel.title, panel.axis
    );
    let shown = |row: &Row| {
        let mut spreads = Vec::new();
        for (subject, shift) in [(Subject::Gateway, -6.0), (Subject::Relay, 6.0)] {
            for (place, figure) in panel.figures.iter().enumerate() {
                if let Some(spread) = row.spread(subject, figure).filter(|spread| spread.least > 0.0) {
                    spreads.push((subject, shift, place > 0, spread));
                }
            }
        }
        spreads
    };
    let all: Vec<Spread> = rows.iter().flat_map(shown).map(|(.., spread)| spread).collect();
    let Some(scale) = Scale::over(&all, left) else {
        return;
    };
    for tick in scale.ticks() {
        let x = scale.place(tick);
        let label = bottom + 16.0;
        let _ = writeln!(
            out,
            r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/><text class="middle" x="{x:.1}" y="{label}">{tick}</text>"#
        );
    }
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        for (subject, shift, hollow, spread) in shown(row) {
            let places = [spread.least, spread.median, spread.most].map(|value| scale.place(value));
            mark(out, subject, hollow, places, y + shift);
        }
        y += ROW;
    }
}

/// A whisker with a mark on it: a circle for the gateway, a square for the relay.
fn mark(out: &mut String, subject: Subject, hollow: bool, [least, median, most]: [f64; 3], y: f64) {
    let hollow = if hollow { " hollow" } else { "" };
    let _ = write!(out, r#"<g class="{subject}{hollow}">"#);
    let _ = write!(out, r#"<line x1="{least:.1}" y1="{y}" x2="{most:.1}" y2="{y}"/>"#);
    let (low, high) = (y - 3.0, y + 3.0);
    for x in [least, most] {
        let _ = write!(out, r#"<line x1="{x:.1}" y1="{low}" x2="{x:.1}" y2="{high}"/>"#);
    }
    let corner = median - 3.5;
    let _ = match subject {
        Subject::Gateway => writeln!(out, r#"<circle cx="{median:.1}" cy="{y}" r="4"/></g>"#),
        Subject::Relay => writeln!(
            out,
            r#"<rect x="{corner:.1}" y="{}" width="7" height="7"/></g>"#,
            y - 3.5
        ),
    };
}

fn legend(out: &mut String, y: f64) {
    let mut x = LABELS;
    for (subject, hollow, text) in [
        (Subject::Gateway, false, "gateway; median or p50"),
        (Subject::Gateway, true, "gateway, p99"),
        (Subject::Relay, false, "bare relay; median or p50"),
        (Subject::Relay, true, "bare relay, p99"),
    ] {
        mark(out, subject, hollow, [x, x + 12.0, x + 24.0], y - 4.0);
        let _ = writeln!(out, r#"<text x="{}" y="{y}">{text}</text>"#, x + 32.0);
        x += if hollow { 145.0 } else { 225.0 };
    }
    let _ = writeln!(
        out,
        r#"<text class="right" x="{}" y="{y}">whiskers: least to most</text>"#,
        LABELS + 3.0 * PANEL + 2.0 * GAP
    );
}

/// A logarithmic axis.
struct Scale {
    left: f64,
    least: f64,
    most: f64,
}

impl Scale {
    /// Over all of these, with some room at both ends. `None` where there is nothing.
    fn over(spreads: &[Spread], left: f64) -> Option<Self> {
        let least = spreads.iter().map(|spread| spread.least).reduce(f64::min)?;
        let most = spreads.iter().map(|spread| spread.most).reduce(f64::max)?;
        let (least, most) = (least / 1.25, most * 1.25);
        Some(Self { left, least, most })
    }

    fn place(&self, value: f64) -> f64 {
        self.left + PANEL * (value / self.least).log10() / (self.most / self.least).log10()
    }

    /// 1, 2 and 5 of each decade, or 1 alone where there are many.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let steps: &[f64] = if self.most / self.least > 200.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        // From nanoseconds to minutes, whatever the unit.
        (-6..=6)
            .flat_map(move |decade| {
                steps.iter().map(move |step| {
                    let power = 10_f64.powi(i32::abs(decade));
                    if decade < 0 { step / power } else { step * power }
                })
            })
            .filter(|tick| (self.least..=self.most).contains(tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::end_to_end::summary::example;

    #[test]
    fn every_mark_stands_inside_its_panel() {
        let spreads = [Spread {
            median: 3.0,
            least: 0.5,
            most: 60.0,
        }];
        let scale = Scale::over(&spreads, 100.0).unwrap();
        for value in [0.5, 3.0, 60.0] {
            assert!((100.0..=100.0 + PANEL).contains(&scale.place(value)));
        }
        let ticks: Vec<String> = scale.ticks().map(|tick| tick.to_string()).collect();
        assert_eq!(ticks, ["0.5", "1", "2", "5", "10", "20", "50"]);
        assert!(Scale::over(&[], 0.0).is_none());
    }

    #[test]
    fn the_picture_is_whole() {
        let svg = svg(&example());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for tag in ["text", "g", "style", "title", "svg"] {
            let opened = svg.matches(&format!("<{tag}>")).count() + svg.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        // Two cells, rate, CPU and two percentiles, for both; two more marks of each kind in the legend.
        assert_eq!(svg.matches("<circle").count(), 2 * 4 + 2);
        assert!(svg.contains("8x100,receipts=none") && svg.contains("µs of CPU"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() {
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
