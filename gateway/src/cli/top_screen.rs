//! What `tidegate top` shows: the board as lines of text that fit a terminal of 80 columns and 24 lines.

use std::cmp::Reverse;

use serde_json::{Map, Value};

use crate::control::instant;

/// What it is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Columns; a line is never longer.
    pub(super) width: usize,
    /// Lines; there are never more.
    pub(super) height: usize,
    pub(super) has_colour: bool,
    pub(super) is_utf8: bool,
}

/// Below so few columns the names give way.
const WIDTH_MIN: usize = 80;
/// Alarms that are told one by one on a screen.
const ALARMS: usize = 3;
const NAME_MIN: usize = 16;
const NAME_MAX: usize = 32;
const HEALTH: usize = 11;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
const RED: &str = "31;1";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BOLD: &str = "1";
const REVERSED: &str = "7";

type Row = Map<String, Value>;
/// A column: its head, its width with a blank before it, what stands in it.
type Column = (&'static str, usize, fn(&Row) -> String);

const CARRIERS: [Column; 7] = [
    ("sent/s", 8, |row| rate(&row["handed_over_s"])),
    ("links", 6, |row| pair(&row["links"])),
    ("window", 9, |row| pair(&row["window"])),
    ("p50", 7, |row| millis(&row["response"]["p50_ms"])),
    ("p99", 8, |row| millis(&row["response"]["p99_ms"])),
    ("waiting", 8, |row| count(&row["queue"])),
    ("errors", 7, |row| {
        (whole(&row["refused_10m"]) + whole(&row["unanswered_10m"])).to_string()
    }),
];
const ACCOUNTS: [Column; 7] = [
    ("in/s", 8, |row| rate(&row["accepted_s"])),
    ("out/s", 8, |row| rate(&row["delivered_s"])),
    ("refused", 8, |row| count(&row["refused_10m"])),
    ("binds", 6, |row| {
        let binds = row["binds"].as_array().map_or(&[][..], Vec::as_slice);
        binds.iter().map(whole).sum::<u64>().to_string()
    }),
    ("p50", 8, |row| millis(&row["handover"]["p50_ms"])),
    ("p99", 8, |row| millis(&row["handover"]["p99_ms"])),
    ("fetch", 7, |row| count(&row["outbox"])),
];

/// All of it; `note` stands where something is wrong with what is shown.
pub(super) fn lines(board: &Row, look: Look, note: Option<&str>) -> Vec<String> {
    let mut out = head(board, look, note);
    let (carriers, accounts) = (
        rows(board, "carriers", "handed_over_s"),
        rows(board, "accounts", "accepted_s"),
    );
    // Two heads and two blank lines.
    let room = look.height.saturating_sub(out.len() + 4);
    let for_carriers = carriers
        .len()
        .min(room.saturating_sub(accounts.len()).max(room / 2));
    let for_accounts = accounts.len().min(room - for_carriers);
    table(
        &mut out,
        look,
        "carrier",
        &CARRIERS,
        &carriers[..for_carriers],
        carriers.len(),
    );
    table(
        &mut out,
        look,
        "account",
        &ACCOUNTS,
        &accounts[..for_accounts],
        accounts.len(),
    );
    out.truncate(look.height);
    out
}

fn head(board: &Row, look: Look, note: Option<&str>) -> Vec<String> {
    let paint = |code, text: &str| painted(look, code, &fitted(text, look.width));
    let totals = &board["totals"];
    let up_for = seconds(float(&board["up_for_s"]));
    let state = note.map_or_else(|| format!("up for {up_for}"), str::to_owned);
    let at = instant(whole(&board["at_ms"]));
    let first = format!("tidegate {}  {at}  {state}", text(&board["version"]));
    let mut out = vec![paint(if note.is_some() { RED } else { BOLD }, &first)];
    out.extend(alarms(board, look));
    out.push(paint(
        BOLD,
        &format!(
            "accepted {}/s  delivered {}/s  refused {}/s  MO {}/s  waiting {}",
            rate(&totals["accepted_s"]),
            rate(&totals["delivered_s"]),
            rate(&totals["refused_s"]),
            rate(&totals["mo_s"]),
            count(&totals["queue"]),
        ),
    ));
    let plain = [
        format!(
            "oldest {}  unfinished {}  to fetch {}  binds {}  links {}  receipts {}/s",
            millis(&totals["oldest_ms"]),
            count(&totals["unfinished"]),
            count(&totals["outbox"]),
            count(&totals["binds"]),
            pair(&totals["links"]),
            rate(&totals["receipts_s"]),
        ),
        format!(
            "10 min: throttled {} by us, {} by carriers; errors {}; by rules {}; opt-outs {}",
            count(&totals["throttled_10m"]),
            count(&totals["slowed_10m"]),
            count(&totals["errors_10m"]),
            count(&totals["standing_refused_10m"]),
            count(&totals["opt_outs_10m"]),
        ),
        format!(
            "spool {}, {} MiB of {}  sync p50 {} p99 {}  banned {}",
            text(&totals["spool"]),
            whole(&totals["spool_octets"]) >> 20,
            whole(&totals["spool_limit"]) >> 20,
            millis(&totals["sync"]["p50_ms"]),
            millis(&totals["sync"]["p99_ms"]),
            count(&totals["banned"]),
        ),
        hour(board, look),
    ];
    out.extend(plain.iter().map(|line| fitted(line, look.width)));
    out
}

fn alarms(board: &Row, look: Look) -> Vec<String> {
    let alarms = list(&board["alarms"]);
    if alarms.is_empty() {
        return vec![painted(look, GREEN, "no alarms")];
    }
    let most = if look.height == usize::MAX {
        alarms.len()
    } else {
        ALARMS
    };
    let told = alarms.iter().take(most).map(|alarm| {
        let (word, code) = urgency(text(&alarm["severity"]));
        let line = format!("! {word} {} {}", text(&alarm["about"]), text(&alarm["text"]));
        painted(look, code, &fitted(&line, look.width))
    });
    let mut told: Vec<String> = told.collect();
    told.extend(more_alarms(board, look, alarms.get(most..).unwrap_or_default()));
    told
}

/// How many are left out, here and by the gateway, in the words and the colour of the most urgent of them.
fn more_alarms(board: &Row, look: Look, left_out: &[Value]) -> Option<String> {
    let of = |severity: &str| {
        let here = left_out
            .iter()
            .filter(|alarm| text(&alarm["severity"]) == severity);
        whole(&board["more_alarms"][severity]).saturating_add(here.count() as u64)
    };
    let (line, severity) = match (of("page"), of("ticket")) {
        (0, 0) => return None,
        (0, today) => (format!("and {today} more alarms"), "ticket"),
        (urgent, 0) => (format!("and {urgent} more alarms"), "page"),
        (urgent, today) => (
            format!(
                "and {} more alarms, {urgent} of them urgent",
                urgent.saturating_add(today)
            ),
            "page",
        ),
    };
    let (word, code) = urgency(severity);
    Some(painted(
        look,
        code,
        &fitted(&format!("! {word} {line}"), look.width),
    ))
}

/// How soon somebody should look, in a word, and its colour.
fn urgency(severity: &str) -> (&'static str, &'static str) {
    match severity {
        "page" => ("URGENT", RED),
        _ => ("today ", YELLOW),
    }
}

/// Accepted messages of the last hour, as many points as there is room for.
fn hour(board: &Row, look: Look) -> String {
    let points = list(&board["history"]["points"]);
    let values: Vec<f64> = points.iter().map(|point| float(&point["accepted"])).collect();
    let room = look.width.saturating_sub(24).clamp(10, 60);
    let each = values.len().div_ceil(room).max(1);
    let means: Vec<f64> = values
        .rchunks(each)
        .rev()
        .map(|chunk| chunk.iter().sum::<f64>() / f64::from(u32::try_from(chunk.len()).unwrap_or(1)))
        .collect();
    let most = means.iter().copied().fold(0.0, f64::max);
    let signs = if look.is_utf8 { BLOCKS } else { ASCII };
    let drawn: String = means
        .iter()
        .map(|mean| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
            let step = if most > 0.0 {
                (mean / most * 7.0).round() as usize
            } else {
                0
            };
            signs[step.min(7)]
        })
        .collect();
    format!(
        "{} {drawn}",
        if drawn.is_empty() {
            "no points yet"
        } else {
            "the last hour"
        }
    )
}

/// What needs attention first, then the busiest.
fn rows<'a>(board: &'a Row, key: &str, busy: &str) -> Vec<&'a Row> {
    let mut rows: Vec<&Row> = list(&board[key]).iter().filter_map(Value::as_object).collect();
    rows.sort_by(|a, b| {
        let rank = |row: &Row| rank(text(&row["health"]));
        let rate = |row: &Row| float(&row[busy]);
        rank(a).cmp(&rank(b)).then(rate(b).total_cmp(&rate(a)))
    });
    rows
}

fn rank(health: &str) -> Reverse<u8> {
    Reverse(match health {
        "down" => 9,
        "refuses" | "overflow" => 8,
        "degraded" => 7,
        "slowed" => 6,
        "paused" | "drained" => 5,
        "up" | "bound" => 4,
        "closing" => 3,
        "unbound" => 2,
        _ => 1,
    })
}

fn table(out: &mut Vec<String>, look: Look, what: &str, columns: &[Column], rows: &[&Row], all: usize) {
    let name = NAME_MIN + look.width.saturating_sub(WIDTH_MIN);
    let name = name.min(NAME_MAX);
    let heads = columns.iter().map(|(head, width, _)| format!("{head:>width$}"));
    let head = format!("{what:<name$}{:<HEALTH$}{}", "", heads.collect::<String>());
    out.push(String::new());
    let head = fitted(&head, look.width);
    out.push(painted(
        look,
        REVERSED,
        &format!("{head:<0$}", look.width.min(name + HEALTH + 53)),
    ));
    for row in rows {
        let health = text(&row["health"]);
        let code = match health {
            "down" | "refuses" | "overflow" => RED,
            "degraded" | "slowed" | "paused" | "drained" => YELLOW,
            "up" | "bound" => GREEN,
            _ => "",
        };
        let cells: String = columns
            .iter()
            .map(|(_, width, of)| format!("{:>width$}", of(row)))
            .collect();
        let named = format!("{:<name$}", fitted(text(&row["name"]), name - 1));
        let room = look.width.saturating_sub(name + HEALTH);
        let health = painted(look, code, &format!("{:<HEALTH$}", fitted(health, HEALTH - 1)));
        out.push(format!("{named}{health}{}", fitted(&cells, room)));
    }
    if rows.len() < all && look.height != usize::MAX {
        // The blank line below is where it goes: nothing is lost by it.
        if let Some(blank) = out.iter_mut().rev().nth(rows.len() + 1) {
            *blank = fitted(&format!("({} of {all} {what}s)", rows.len()), look.width);
        }
    }
}

fn painted(look: Look, code: &str, text: &str) -> String {
    if look.has_colour && !code.is_empty() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// As much as there is room for, and nothing that moves a cursor.
fn fitted(text: &str, width: usize) -> String {
    text.chars()
        .filter(|sign| !sign.is_control())
        .take(width)
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[][..], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn count(value: &Value) -> String {
    whole(value).to_string()
}

fn pair(value: &Value) -> String {
    format!("{}/{}", whole(&value[0]), whole(&value[1]))
}

fn rate(value: &Value) -> String {
    match float(value) {
        few if few > 0.0 && few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

fn millis(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0}ms"),
        Some(ms) => seconds(ms / 1_000.0),
    }
}

fn seconds(s: f64) -> String {
    match s {
        s if s < 10.0 => format!("{s:.1}s"),
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7_200.0 => format!("{:.0}min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0}h", s / 3_600.0),
        s => format!("{:.0}d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn board() -> Row {
        let carrier = |place: usize| {
            json!({ "name": format!("carrier{place}"), "health": if place == 7 { "down" } else { "up" },
                "handed_over_s": place, "links": [2, 2], "window": [3, 40], "response": { "p50_ms": 4.26, "p99_ms": 1_250.0 },
                "queue": 5, "refused_10m": 1, "unanswered_10m": 2 })
        };
        let account = |place: usize| {
            json!({ "name": format!("\u{1b}[2Jaccount{place}"), "health": "bound", "accepted_s": place, "delivered_s": 9.96,
                "refused_10m": 0, "binds": [1, 0, 2], "handover": { "p50_ms": null, "p99_ms": null }, "outbox": 0 })
        };
        let alarm = |place: usize| json!({ "alert": "x", "severity": "page", "about": format!("c{place}"), "text": "no link" });
        let points: Vec<Value> = (0..360).map(|at| json!({ "accepted": at })).collect();
        let board = json!({ "at_ms": 0, "version": "1", "up_for_s": 90, "more_alarms": { "page": 1, "ticket": 3 }, "totals": {},
            "alarms": (0..5).map(alarm).collect::<Vec<_>>(), "history": { "points": points },
            "carriers": (0..20).map(carrier).collect::<Vec<_>>(), "accounts": (0..200).map(account).collect::<Vec<_>>() });
        board.as_object().unwrap().clone()
    }

    fn look(width: usize, height: usize) -> Look {
        Look {
            width,
            height,
            has_colour: false,
            is_utf8: true,
        }
    }

    #[test]
    fn it_fits_and_says_what_is_left_out() {
        for (width, height) in [(80, 24), (132, 50), (40, 10), (1, 1)] {
            let lines = lines(&board(), look(width, height), Some("NO NEWS"));
            assert!(lines.len() <= height, "{width}×{height}");
            for line in &lines {
                assert!(line.chars().count() <= width, "{width}×{height}: {line}");
                assert!(!line.contains('\u{1b}'), "{line:?}");
            }
        }
        let text = lines(&board(), look(80, 24), None).join("\n");
        for part in [
            "! URGENT c0 no link",
            "! URGENT and 6 more alarms, 3 of them urgent",
            "of 20 carriers)",
            "of 200 accounts)",
            "4.3ms    1.2s",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let carriers = text.split("carrier ").nth(1).unwrap();
        assert!(carriers.lines().nth(1).unwrap().starts_with("carrier7"), "{text}");
    }

    #[test]
    fn without_a_terminal_everything_is_there_and_nothing_is_painted() {
        let text = lines(&board(), look(100, usize::MAX), None).join("\n");
        assert!(text.contains("carrier19") && text.contains("account199") && text.contains("c4 no link"));
        assert!(!text.contains('\u{1b}') && text.contains('█'));
        let colour = Look {
            has_colour: true,
            is_utf8: false,
            ..look(100, 50)
        };
        let text = lines(&board(), colour, None).join("\n");
        assert!(text.contains("\u{1b}[31;1mdown") && !text.contains('█'));
    }
}
