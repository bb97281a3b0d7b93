//! The gateway for half an hour at one rate: whether its memory grows, and whether what it answers with stays as quick.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use tidegate_gateway::clock::Clock;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::gateway::{Gateway, LINK};
use super::options::Options;
use super::process::DEADLINE;
use super::run::{self, Clients};
use super::system::{self, Usage};
use super::{Fallible, Places, figures, say};

/// Between two looks at the process; latencies are put together for as long.
const STRETCH: Duration = Duration::from_secs(10);
/// Of the soak, what is not held against it: tables and buffers come to the size that they have.
const SETTLING: f64 = 0.2;

/// One stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    /// Seconds since the beginning.
    at: f64,
    /// Resident MiB.
    memory: f64,
    /// CPU of the process, in percent of one core.
    cpu: f64,
}

/// Milliseconds from submit to response in one stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Latency {
    at: f64,
    p50: f64,
    p99: f64,
}

/// Runs it; what came of it as text and as a picture.
pub(super) async fn run(options: &Options, places: &Places) -> Fallible<(String, String)> {
    let cell = options.cells.first().ok_or("no cell")?;
    if cell.rate == 0 {
        return Err("a soak goes at a rate: --cells 8x100,rate=2000 --soak 30".into());
    }
    let length = Duration::from_secs(60 * u64::from(options.soak));
    let (carrier, address) = run::carrier(places, LINK).await?;
    let mut gateway = Gateway::start(places, address, cell.pacing_us).await?;
    let log = places.scratch.join("soak.hlog");
    let clients = Clients {
        cell: cell.clone(),
        accounts: 1,
    };
    let minutes = format!("{}m", options.soak);
    let hdr = log.display().to_string();
    let mut load = clients.start_with(places, gateway.smpp, &["--duration", &minutes, "--hdr", &hdr])?;
    let samples = timeout(length + 4 * DEADLINE, async {
        let id = gateway.process.id();
        let clock = Clock::machine();
        let began = clock.now().monotonic;
        let (mut usage, mut seen) = (Usage::read(id)?, began);
        let mut samples = Vec::new();
        let mut looks = interval(STRETCH);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        looks.tick().await;
        while !load.has_ended()? {
            looks.tick().await;
            gateway.process.must_run()?;
            let (now, at) = (Usage::read(id)?, clock.now().monotonic);
            let sample = Sample {
                at: (at - began).as_secs_f64(),
                memory: mebibytes(system::memory(id)?),
                cpu: 100.0 * now.since(&usage).as_secs_f64() / (at - seen).as_secs_f64(),
            };
            (usage, seen) = (now, at);
            if samples.len() % 6 == 0 {
                say(&format!(
                    "{:.0} s: {:.1} MiB, {:.1} % of a core",
                    sample.at, sample.memory, sample.cpu
                ));
            }
            samples.push(sample);
        }
        Fallible::Ok(samples)
    })
    .await
    .map_err(|_| "the clients do not come to their end")??;
    let ended = load.finish(DEADLINE).await?;
    gateway.process.must_run()?;
    let peak = mebibytes(system::memory_peak(gateway.process.id())?);
    gateway.process.kill().await?;
    let carrier = carrier.stop().await?;
    if let Some(fault) = ended.fault.or(carrier.fault) {
        return Err(fault.into());
    }
    let report = figures::report("the load", &ended.output)?;
    let carrier = figures::report("the carrier", &carrier.output)?;
    let latencies = latencies(&log)?;
    let number = |place| figures::number(&report, place);
    let (submitted, lost, receipts) = (number("/submitted")?, number("/lost")?, number("/receipts")?);
    let repeated = figures::number(&carrier, "/repeated")?;
    let refused = number("/refused")?;
    if lost + repeated + refused > 0.0 || receipts < submitted {
        return Err(format!("of {submitted} messages {lost} are lost, {refused} refused, {repeated} sent twice, {receipts} receipted").into());
    }
    let mut text = String::new();
    writeln!(
        text,
        "`{cell}` for {} minutes: {submitted} messages, every one receipted, none lost, refused or sent twice.\n",
        options.soak
    )?;
    writeln!(
        text,
        "| of its time | resident, MiB | CPU, % of a core | submit to response, p50 ms | p99 ms |\n|---|--:|--:|--:|--:|"
    )?;
    for (name, from, to) in [
        ("the first fifth", 0.0, SETTLING),
        ("the second to fourth", SETTLING, 1.0 - SETTLING),
        ("the last", 1.0 - SETTLING, 1.0),
    ] {
        let of = |at: f64| (from..=to).contains(&(at / length.as_secs_f64()));
        let samples: Vec<&Sample> = samples.iter().filter(|sample| of(sample.at)).collect();
        let latencies: Vec<&Latency> = latencies.iter().filter(|latency| of(latency.at)).collect();
        let samples_of = |value: fn(&Sample) -> f64| range(samples.iter().map(|sample| value(sample)));
        let latencies_of = |value: fn(&Latency) -> f64| range(latencies.iter().map(|latency| value(latency)));
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} |",
            samples_of(|sample| sample.memory),
            samples_of(|sample| sample.cpu),
            latencies_of(|latency| latency.p50),
            latencies_of(|latency| latency.p99)
        )?;
    }
    let settled = samples
        .iter()
        .filter(|sample| sample.at > SETTLING * length.as_secs_f64());
    let slope = slope(settled.map(|sample| (sample.at, sample.memory))).unwrap_or_default();
    writeln!(
        text,
        "\nAfter the first fifth resident memory changes by {:.2} MiB an hour; its peak is {peak:.1} MiB. Each field: the middle of stretches of 10 s (least–most).",
        slope * 3600.0
    )?;
    Ok((text, svg(&samples, &latencies, length.as_secs_f64())))
}

fn mebibytes(octets: u64) -> f64 {
    run::float(octets) / f64::from(1 << 20)
}

/// The clients' log, in stretches.
fn latencies(log: &Path) -> Fallible<Vec<Latency>> {
    let fault = |error: &dyn std::fmt::Debug| format!("the clients' log of latencies: {error:?}");
    let log = fs::read(log)?;
    let mut reader = Deserializer::new();
    let mut stretches: Vec<(f64, Histogram<u64>)> = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        let entry = entry.map_err(|error| fault(&error))?;
        let LogEntry::Interval(entry) = entry else {
            continue;
        };
        if entry.tag().is_none_or(|tag| tag.as_str() != "response") {
            continue;
        }
        let octets = Base64::decode_vec(entry.encoded_histogram()).map_err(|error| fault(&error))?;
        let histogram: Histogram<u64> = reader
            .deserialize(&mut octets.as_slice())
            .map_err(|error| fault(&error))?;
        let at = entry.start_timestamp().as_secs_f64();
        match stretches.last_mut() {
            Some((begin, sum)) if at - *begin < STRETCH.as_secs_f64() => {
                sum.add(histogram).map_err(|error| fault(&error))?;
            }
            _ => stretches.push((at, histogram)),
        }
    }
    let milliseconds =
        |histogram: &Histogram<u64>, quantile| run::float(histogram.value_at_quantile(quantile)) / 1e3;
    let latency = |(at, histogram): &(f64, Histogram<u64>)| Latency {
        at: *at,
        p50: milliseconds(histogram, 0.5),
        p99: milliseconds(histogram, 0.99),
    };
    Ok(stretches.iter().map(latency).collect())
}

/// The middle of some values, with the least and the most.
fn range(values: impl Iterator<Item = f64>) -> String {
    super::summary::Spread::of(values).map_or_else(|| "n/a".to_owned(), |spread| spread.to_string())
}

/// By how much a value changes with the other, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.collect();
    let count = run::float(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut both, mut square) = (0.0, 0.0);
    for (at, value) in &points {
        both += (at - x) * (value - y);
        square += (at - x) * (at - x);
    }
    (square > 0.0).then(|| both / square)
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 40.0;
const TOP: f64 = 30.0;

const STYLE: &str = "
text { font: 12px sans-serif; fill: #24292f } .right { text-anchor: end } .middle { text-anchor: middle } .title { font-weight: bold }
.page { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 } polyline { fill: none; stroke-width: 1.5 }
.one { stroke: #1f5fbf } .two { stroke: #b8500a; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #d0d7de } .page { fill: #0d1117 } .grid { stroke: #444c56 } .one { stroke: #7fb2ff } .two { stroke: #ffa657 }
}";

/// Points of one line: when, and how much.
type Line = Vec<(f64, f64)>;

/// Three panels over the same time.
fn svg(samples: &[Sample], latencies: &[Latency], seconds: f64) -> String {
    let of = |value: fn(&Sample) -> f64| -> Line {
        samples.iter().map(|sample| (sample.at, value(sample))).collect()
    };
    let late = |value: fn(&Latency) -> f64| -> Line {
        latencies
            .iter()
            .map(|latency| (latency.at, value(latency)))
            .collect()
    };
    let panels = [
        ("resident memory, MiB", vec![of(|sample| sample.memory)]),
        ("CPU, % of a core", vec![of(|sample| sample.cpu)]),
        (
            "submit_sm to response, ms: p50, and p99 dashed",
            vec![late(|latency| latency.p50), late(|latency| latency.p99)],
        ),
    ];
    let height = TOP + 3.0 * (PANEL + GAP) + 20.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Resident memory, CPU and latency over the time of a soak</title>\n<style>{STYLE}\n</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    let mut top = TOP;
    for (title, lines) in &panels {
        panel(&mut out, title, lines, seconds, top);
        top += PANEL + GAP;
    }
    out.push_str("</svg>\n");
    out
}

/// A panel from nought to its greatest value, with a line a minute in ten below.
fn panel(out: &mut String, title: &str, lines: &[Line], seconds: f64, top: f64) {
    let most = lines.iter().flatten().map(|point| point.1).fold(0.0, f64::max) * 1.1;
    let (most, bottom, right) = (if most > 0.0 { most } else { 1.0 }, top + PANEL, WIDTH - 20.0);
    let _ = writeln!(
        out,
        r#"<text class="title" x="{LEFT}" y="{}">{title}</text>"#,
        top - 8.0
    );
    for part in [0.0, 0.5, 1.0] {
        let y = bottom - PANEL * part;
        let _ = writeln!(
            out,
            r#"<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/><text class="right" x="{}" y="{}">{}</text>"#,
            LEFT - 8.0,
            y + 4.0,
            super::summary::short(most * part)
        );
    }
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LEFT + (right - LEFT) * part;
        let _ = writeln!(
            out,
            r#"<text class="middle" x="{x}" y="{}">{} min</text>"#,
            bottom + 16.0,
            super::summary::short(seconds * part / 60.0)
        );
    }
    for (line, class) in lines.iter().zip(["one", "two"]) {
        let points = line.iter().map(|(at, value)| {
            let x = LEFT + (right - LEFT) * (at / seconds).min(1.0);
            format!("{x:.1},{:.1}", bottom - PANEL * value / most)
        });
        let points: Vec<String> = points.collect();
        let _ = writeln!(
            out,
            r#"<polyline class="{class}" points="{}"/>"#,
            points.join(" ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_grows_has_its_slope() {
        let points = (0..10).map(|at| (f64::from(at) * 10.0, 3.0 + f64::from(at)));
        assert!((slope(points).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(slope([(1.0, 2.0)].into_iter()), None);
    }

    #[test]
    fn the_picture_has_a_line_for_each_value_inside_its_panel() {
        let samples = [10.0, 20.0].map(|at| Sample {
            at,
            memory: at,
            cpu: 50.0,
        });
        let latencies = [10.0, 20.0].map(|at| Latency {
            at,
            p50: 1.0,
            p99: 9.0,
        });
        let svg = svg(&samples, &latencies, 20.0);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        // The greatest value of the last panel stands a tenth below its upper edge.
        let top = TOP + 2.0 * (PANEL + GAP);
        assert!(
            svg.contains(&format!("{:.1} ", top + PANEL - PANEL / 1.1).trim().to_owned()),
            "{svg}"
        );
    }
}
