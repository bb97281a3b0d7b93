//! What a simulated carrier has counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use tidegate_codec::status::CommandStatus;

use crate::traffic::marks::Marks;

/// What a carrier has seen and done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Connections.
    pub links: u64,
    /// Binds that were accepted.
    pub binds: u64,
    /// Binds that were refused.
    pub binds_refused: u64,
    /// Connections that could not be taken.
    pub accept_failures: u64,
    /// Connections on which no bind was accepted before they ended.
    pub never_bound: u64,
    /// Messages submitted, refused ones included.
    pub submitted: u64,
    /// Messages refused, by status.
    pub refused: BTreeMap<u32, u64>,
    /// Messages taken that carry a token not seen before.
    pub unique: u64,
    /// Messages taken whose token was taken before.
    pub repeated: u64,
    /// Messages taken whose text or recipient does not fit its token.
    pub altered: u64,
    /// Messages taken without a token, or with one that there was no memory for.
    pub unmarked: u64,
    /// Messages taken and never answered.
    pub unanswered: u64,
    /// Receipts that were answered with success.
    pub receipts: u64,
    /// Receipts sent again, because they were refused, not answered, or their link ended first.
    pub receipts_resent: u64,
    /// Receipts not answered when the carrier stopped; those that only repeat another are not counted.
    pub receipts_owed: u64,
    /// Receipts refused for good, by status.
    pub receipts_refused: BTreeMap<u32, u64>,
    /// Receipts left out on purpose.
    pub receipts_lost: u64,
    /// MOs, or parts of them, answered with success.
    pub mo: u64,
    /// MOs sent again.
    pub mo_resent: u64,
    /// MOs not answered when the carrier stopped.
    pub mo_owed: u64,
    /// MOs refused for good, by status.
    pub mo_refused: BTreeMap<u32, u64>,
    /// Links reset on purpose.
    pub links_reset: u64,
    /// Links unbound on purpose.
    pub links_unbound: u64,
    /// Links gone silent on purpose.
    pub links_silent: u64,
    /// Links on which the peer's framing was lost.
    pub broken_framing: u64,
    /// Requests of peers that could not be read or were out of place.
    pub faulty_requests: u64,
    /// Answers of peers that answer nothing.
    pub unexpected_answers: u64,
    /// The messages taken, by run.
    pub taken: BTreeMap<u32, Marks>,
    /// CPU of the process while it ran, in microseconds per message submitted; whoever owns the process
    /// fills it in.
    pub cpu_us_per_message: f64,
    /// It was told to end after some messages, and nothing happened any more before they had come.
    pub gave_up: bool,
    /// How many messages it was told to take, if it was told.
    pub asked: Option<u64>,
}

impl Report {
    /// Links that the carrier ended, or let go silent, on purpose.
    pub const fn links_dropped(&self) -> u64 {
        self.links_reset + self.links_unbound + self.links_silent
    }

    /// Messages taken, those that were not answered included.
    pub const fn taken_in_all(&self) -> u64 {
        self.unique + self.repeated + self.altered + self.unmarked
    }

    /// What went wrong that was not asked for; `None` after a run that has served somebody well.
    pub fn problem(&self) -> Option<String> {
        let refused = self.binds_refused;
        if self.links == 0 {
            return Some("nobody has connected".to_owned());
        }
        if self.binds == 0 {
            return Some(match refused {
                0 => format!("nobody has bound on {} connections", self.links),
                _ => format!("every bind was refused ({refused}): wrong system_id or password, or asked for"),
            });
        }
        let mut parts = Vec::new();
        if self.gave_up {
            parts.push("nothing happened any more".to_owned());
        }
        let taken = self.taken_in_all();
        if let Some(asked) = self.asked.filter(|asked| taken < *asked) {
            parts.push(format!("{taken} of {asked} messages were taken"));
        }
        let sum = |counts: &BTreeMap<u32, u64>| counts.values().sum::<u64>();
        let faults = [
            (
                self.accept_failures,
                "connections could not be taken: too many open files?",
            ),
            (self.receipts_owed, "receipts are owed still"),
            (self.mo_owed, "MOs are owed still"),
            (sum(&self.receipts_refused), "receipts were refused"),
            (sum(&self.mo_refused), "MOs were refused"),
        ];
        parts.extend(told(&faults));
        let faults = [
            (self.altered, "messages whose text or recipient was altered"),
            (self.broken_framing, "links whose framing was lost"),
            (self.faulty_requests, "requests that were broken or out of place"),
        ];
        let sent: Vec<String> = told(&faults).collect();
        if !sent.is_empty() {
            parts.push(format!("the peer sent {}", sent.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The report for programs.
    pub fn json(&self) -> Map<String, Value> {
        let runs: Map<String, Value> = self
            .taken
            .iter()
            .map(|(run, marks)| (run.to_string(), json!(marks.len())))
            .collect();
        let fields = json!({
            "links": self.links,
            "binds": self.binds,
            "binds_refused": self.binds_refused,
            "never_bound": self.never_bound,
            "accept_failures": self.accept_failures,
            "submitted": self.submitted,
            "refused": self.refused.values().sum::<u64>(),
            "refused_by_status": by_name(&self.refused),
            "unique": self.unique,
            "repeated": self.repeated,
            "altered": self.altered,
            "unmarked": self.unmarked,
            "unanswered": self.unanswered,
            "receipts": self.receipts,
            "receipts_resent": self.receipts_resent,
            "receipts_owed": self.receipts_owed,
            "receipts_refused": by_name(&self.receipts_refused),
            "receipts_lost": self.receipts_lost,
            "mo": self.mo,
            "mo_resent": self.mo_resent,
            "mo_owed": self.mo_owed,
            "mo_refused": by_name(&self.mo_refused),
            "links_dropped": self.links_dropped(),
            "links_reset": self.links_reset,
            "links_unbound": self.links_unbound,
            "links_silent": self.links_silent,
            "broken_framing": self.broken_framing,
            "faulty_requests": self.faulty_requests,
            "unexpected_answers": self.unexpected_answers,
            "unique_by_run": runs,
            "cpu_us_per_message": (self.cpu_us_per_message * 1000.0).round() / 1000.0,
            "gave_up": self.gave_up,
            "problem": self.problem(),
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

impl fmt::Display for Report {
    /// A table for people, without the rows that would say 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.json() {
            match value {
                Value::Number(number) if number.as_f64() == Some(0.0) => {}
                Value::Bool(false) | Value::Null => {}
                Value::Object(counts) if counts.is_empty() || name == "unique_by_run" => {}
                Value::Object(counts) => {
                    for (status, count) in counts {
                        writeln!(f, "  {:<26}{:>12}", format!("  {status}"), count.to_string())?;
                    }
                }
                Value::String(problem) => write!(f, "{name}: {problem}")?,
                value => writeln!(f, "  {:<26}{:>12}", name.replace('_', " "), value.to_string())?,
            }
        }
        Ok(())
    }
}

fn told(faults: &[(u64, &str)]) -> impl Iterator<Item = String> {
    faults
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
}

/// Counts by the names of their statuses.
fn by_name(counts: &BTreeMap<u32, u64>) -> Map<String, Value> {
    counts
        .iter()
        .map(|(status, count)| {
            let name = CommandStatus(*status).name();
            let name = name.map_or_else(|| format!("{status:#010x}"), str::to_owned);
            (name, json!(count))
        })
        .collect()
}

/// The figures that a running carrier shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages submitted, refused ones included.
    pub submitted: u64,
    /// Messages taken.
    pub taken: u64,
    /// Messages taken, each counted once.
    pub unique: u64,
    /// Messages taken again.
    pub repeated: u64,
    /// Receipts that were answered with success.
    pub receipts: u64,
    /// Deliveries that are not answered yet.
    pub owed: u64,
    /// MOs answered with success.
    pub mo: u64,
    /// Connections that are bound now.
    pub bound: u64,
}

/// Where the thread writes its figures, once per wake.
#[derive(Debug, Default)]
pub(super) struct Shown([AtomicU64; 8]);

impl Shown {
    pub(super) fn set(&self, counts: Counts) {
        let counts = [
            counts.submitted,
            counts.taken,
            counts.unique,
            counts.repeated,
            counts.receipts,
            counts.owed,
            counts.mo,
            counts.bound,
        ];
        for (shown, count) in self.0.iter().zip(counts) {
            shown.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> Counts {
        let [submitted, taken, unique, repeated, receipts, owed, mo, bound] =
            self.0.each_ref().map(|shown| shown.load(Ordering::Relaxed));
        Counts {
            submitted,
            taken,
            unique,
            repeated,
            receipts,
            owed,
            mo,
            bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_what_the_peer_did() {
        let mut report = Report::default();
        assert_eq!(report.problem().unwrap(), "nobody has connected");
        report.links = 2;
        assert!(report.problem().unwrap().contains("nobody has bound"));
        report.binds_refused = 2;
        assert!(report.problem().unwrap().contains("every bind was refused (2)"));
        report.binds = 1;
        assert_eq!(report.problem(), None);
        (report.altered, report.broken_framing) = (3, 1);
        let problem = report.problem().unwrap();
        assert!(
            problem.contains("3 messages") && problem.contains("1 links"),
            "{problem}"
        );
    }

    #[test]
    fn what_is_missing_or_was_refused_is_a_problem() {
        let served = Report {
            links: 1,
            binds: 1,
            unique: 3,
            ..Report::default()
        };
        for (report, problem) in [
            (
                Report {
                    asked: Some(3),
                    ..served.clone()
                },
                None,
            ),
            (
                Report {
                    asked: Some(4),
                    gave_up: true,
                    ..served.clone()
                },
                Some("nothing happened any more; 3 of 4 messages were taken"),
            ),
            (
                Report {
                    receipts_owed: 2,
                    ..served.clone()
                },
                Some("2 receipts are owed still"),
            ),
            (
                Report {
                    mo_owed: 1,
                    ..served.clone()
                },
                Some("1 MOs are owed still"),
            ),
            (
                Report {
                    receipts_refused: [(8, 1), (0x45, 2)].into(),
                    ..served.clone()
                },
                Some("3 receipts were refused"),
            ),
            (
                Report {
                    mo_refused: [(0x45, 1)].into(),
                    ..served.clone()
                },
                Some("1 MOs were refused"),
            ),
        ] {
            assert_eq!(report.problem().as_deref(), problem);
        }
    }

    #[test]
    fn statuses_are_reported_by_name() {
        let report = Report {
            refused: [(0x58, 2), (0x94, 3)].into_iter().collect(),
            ..Report::default()
        };
        let json = report.json();
        assert_eq!(json["refused"], 5);
        assert_eq!(json["refused_by_status"]["ESME_RTHROTTLED"], 2);
        assert_eq!(json["refused_by_status"]["0x00000094"], 3);
    }
}
