//! The curves as a picture: a panel for each thing of which there is more and more, all with one axis of CPU, from nought,
//! so that what is flat looks flat. Amounts stand at even distances, as they are multiplied and not added to.

use std::fmt::Write as _;

use super::run;
use super::summary::{Spread, short};

const LEFT: f64 = 60.0;
const PANEL: f64 = 190.0;
const GAP: f64 = 30.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 180.0;
const FOOT: f64 = 56.0;

const STYLE: &str = "
text { font: 12px sans-serif; fill: #24292f } .right { text-anchor: end } .middle { text-anchor: middle } .title { font-weight: bold }
.page { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 } polyline { fill: none } .cost { stroke: #1f5fbf; stroke-width: 1.5 }
circle { fill: #1f5fbf }
@media (prefers-color-scheme: dark) {
  text { fill: #d0d7de } .page { fill: #0d1117 } .grid { stroke: #444c56 } .cost { stroke: #7fb2ff } circle { fill: #7fb2ff }
}";

/// What there is more and more of, and µs of CPU a message by how much there is.
pub(super) type Curve = (&'static str, Vec<(u32, Spread)>);

/// The whole picture.
pub(super) fn svg(curves: &[Curve]) -> String {
    let count = run::float(curves.len() as u64);
    let (width, height) = (LEFT + count * (PANEL + GAP), TOP + HEIGHT + FOOT);
    let all = curves.iter().flat_map(|(_, points)| points);
    let most = all.map(|(_, spread)| spread.most).fold(1.0, f64::max) * 1.1;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>CPU of a message with more and more of something</title>\n<style>{STYLE}\n</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    let bottom = TOP + HEIGHT;
    let level = |value: f64| bottom - HEIGHT * value / most;
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (value, end) = (most * part, width - GAP);
        let y = level(value);
        let _ = writeln!(
            out,
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{end}" y2="{y:.1}"/><text class="right" x="{}" y="{:.1}">{}</text>"#,
            LEFT - 8.0,
            y + 4.0,
            short(value)
        );
    }
    let mut left = LEFT;
    for (name, points) in curves {
        panel(&mut out, name, points, left, level);
        left += PANEL + GAP;
    }
    let _ = writeln!(
        out,
        r#"<text x="{LEFT}" y="{}">µs of CPU, user + system, a message; whiskers: least to most</text>"#,
        bottom + 44.0
    );
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, name: &str, points: &[(u32, Spread)], left: f64, level: impl Fn(f64) -> f64) {
    let step = PANEL / run::float(points.len().max(1) as u64);
    let _ = writeln!(
        out,
        r#"<text class="title middle" x="{}" y="{}">{name}</text>"#,
        left + PANEL / 2.0,
        TOP - 14.0
    );
    let mut x = left + step / 2.0;
    let mut line = Vec::new();
    for (amount, spread) in points {
        let [least, median, most] = [spread.least, spread.median, spread.most].map(&level);
        let _ = writeln!(
            out,
            r#"<line class="cost" x1="{x:.1}" y1="{least:.1}" x2="{x:.1}" y2="{most:.1}"/><circle cx="{x:.1}" cy="{median:.1}" r="3.5"/><text class="middle" x="{x:.1}" y="{}">{}</text>"#,
            TOP + HEIGHT + 18.0,
            brief(*amount)
        );
        line.push(format!("{x:.1},{median:.1}"));
        x += step;
    }
    let _ = writeln!(out, r#"<polyline class="cost" points="{}"/>"#, line.join(" "));
}

/// A number with as few letters as it can do with: 10k, 10M.
fn brief(amount: u32) -> String {
    match amount {
        1_000_000.. if amount.is_multiple_of(1_000_000) => format!("{}M", amount / 1_000_000),
        1_000.. if amount.is_multiple_of(1_000) => format!("{}k", amount / 1_000),
        _ => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_briefly_and_exactly() {
        let told = [0, 459, 1_000, 1_500, 10_000_000].map(brief);
        assert_eq!(told, ["0", "459", "1k", "1500", "10M"]);
    }

    #[test]
    fn every_point_of_every_curve_stands_in_the_picture() {
        let spread = |median: f64| Spread {
            median,
            least: median - 1.0,
            most: median + 1.0,
        };
        let curves: [Curve; 2] = [
            ("binds", vec![(1, spread(4.0)), (1_000, spread(14.0))]),
            ("octets", vec![(25, spread(4.0))]),
        ];
        let svg = svg(&curves);
        assert_eq!(
            (svg.matches("<circle").count(), svg.matches("<polyline").count()),
            (3, 2)
        );
        for word in [">binds<", ">octets<", ">1k<", ">25<"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
        // The most that there is stands a tenth below the upper edge.
        let highest = format!("y2=\"{:.1}\"", TOP + HEIGHT - HEIGHT / 1.1);
        assert!(svg.contains(&highest), "{svg}");
    }
}
