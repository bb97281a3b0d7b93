//! What somebody should look at: the conditions of docs/alerts.yml as far as one second can tell, and at once, where the
//! alerts wait for a while. That a carrier stays halted (TidegateCarrierHalted) is an alarm after hours only: the board shows the
//! halt itself.

use super::shot::{Account, Alarm, Carrier, More, Severity, Totals};
use crate::tls::Certificate;

/// Alarms that are told; of more only how many.
pub(super) const ALARMS_MAX: usize = 32;
/// A message that is next in line has waited too long.
const OLD_MS: u64 = 300_000;
/// The share of answers that refuse, above which something is wrong, in percent.
const REFUSED_PERCENT: u64 = 10;
/// Of fewer answers in ten minutes a share says nothing.
const ANSWERS_MIN: u64 = 60;
/// One batch in a hundred takes longer than it should.
const SYNC_MS: f64 = 250.0;
/// A certificate that ends so soon is to be renewed.
pub(crate) const CERTIFICATE_S: u64 = 14 * DAY_S;
const DAY_S: u64 = 24 * 3_600;

/// What is asked about besides the figures that are shown.
pub(super) struct Seen<'a> {
    pub(super) is_audit_failing: bool,
    /// A start found damage, or a record could not be read since.
    pub(super) is_damaged: bool,
    /// Submissions and batches of the last ten minutes that could not be written.
    pub(super) broken_10m: u64,
    /// Submissions of the last ten minutes that were refused because there was no room for them.
    pub(super) full_10m: u64,
    /// All files together take more than four fifths of what intake may use.
    pub(super) is_filling: bool,
    pub(super) certificates: &'a [Certificate],
    pub(super) now_s: u64,
}

/// The alarms, the most urgent first, and how many more there are of each severity.
pub(super) fn alarms(
    totals: &Totals,
    accounts: &[Account],
    carriers: &[Carrier],
    seen: &Seen<'_>,
) -> (Vec<Alarm>, More) {
    let mut all = of_gateway(totals, seen);
    all.extend(carriers.iter().flat_map(of_carrier));
    all.extend(
        accounts
            .iter()
            .filter(|account| account.overflow_10m > 0)
            .map(|account| Alarm {
                alert: "TidegateOutboxOverflow",
                severity: Severity::Ticket,
                about: Some(account.name.clone()),
                text: "does not fetch: receipts for it are given up".to_owned(),
            }),
    );
    all.extend(
        seen.certificates
            .iter()
            .filter_map(|certificate| of_certificate(certificate, seen.now_s)),
    );
    all.sort_by_key(|alarm| alarm.severity);
    let more = More::of(all.get(ALARMS_MAX..).unwrap_or_default());
    all.truncate(ALARMS_MAX);
    (all, more)
}

fn of_gateway(totals: &Totals, seen: &Seen<'_>) -> Vec<Alarm> {
    let mut found = Vec::new();
    let mut add = |alert, severity, text: &str| {
        found.push(Alarm {
            alert,
            severity,
            about: None,
            text: text.to_owned(),
        });
    };
    if totals.spool == "broken" || seen.broken_10m > 0 {
        add(
            "TidegateSpoolBroken",
            Severity::Page,
            "the spool cannot be written: nothing is taken in until a restart",
        );
    }
    // A spool that is full and refuses nobody is among the figures, as the rule has it.
    if seen.full_10m > 0 {
        add(
            "TidegateSpoolFull",
            Severity::Page,
            "messages were refused in the last 10 minutes because the spool was full",
        );
    }
    if seen.is_filling {
        add(
            "TidegateStorageFilling",
            Severity::Ticket,
            "all files take more than 80 % of what they may before nothing is taken in",
        );
    }
    if seen.is_damaged {
        add("TidegateSpoolDamage", Severity::Page, "damage was found on disk");
    }
    if seen.is_audit_failing {
        add(
            "TidegateAuditFailing",
            Severity::Page,
            "the audit log cannot be written: operators are refused, and the spool fills",
        );
    }
    if totals.sync.p99_ms.is_some_and(|ms| ms > SYNC_MS) {
        add(
            "TidegateCommitSlow",
            Severity::Ticket,
            "one batch in a hundred takes longer than 250 ms to reach the disk",
        );
    }
    found
}

fn of_carrier(carrier: &Carrier) -> Vec<Alarm> {
    let mut found = Vec::new();
    let mut add = |alert, severity, text: String| {
        let about = Some(carrier.name.clone());
        found.push(Alarm {
            alert,
            severity,
            about,
            text,
        });
    };
    let [bound, wanted] = carrier.links;
    if is_down(carrier) {
        add(
            "TidegateCarrierDown",
            Severity::Page,
            format!("no link: {bound} of {wanted} are bound"),
        );
    }
    if carrier.oldest_ms > OLD_MS {
        let minutes = carrier.oldest_ms / 60_000;
        add(
            "TidegateQueueOld",
            Severity::Ticket,
            format!("a message has waited for {minutes} minutes"),
        );
    }
    if is_refusing(carrier) {
        let percent = carrier.refused_10m * 100 / carrier.answers_10m.max(1);
        add(
            "TidegateCarrierRefuses",
            Severity::Ticket,
            format!("refuses {percent} % of what it is sent"),
        );
    }
    found
}

/// Whether it has no link and should.
pub(super) const fn is_down(carrier: &Carrier) -> bool {
    let [bound, wanted] = carrier.links;
    bound == 0 && wanted > 0
}

/// Whether it refuses more than can be in order.
pub(super) const fn is_refusing(carrier: &Carrier) -> bool {
    carrier.answers_10m >= ANSWERS_MIN && carrier.refused_10m * 100 > carrier.answers_10m * REFUSED_PERCENT
}

fn of_certificate(certificate: &Certificate, now_s: u64) -> Option<Alarm> {
    let left_s = certificate.expires_s.saturating_sub(now_s);
    (left_s < CERTIFICATE_S).then(|| Alarm {
        alert: "TidegateCertificateEnds",
        severity: Severity::Ticket,
        about: Some(certificate.name.clone()),
        text: match left_s / DAY_S {
            _ if left_s == 0 => "its certificate has ended".to_owned(),
            0 => "its certificate ends within a day".to_owned(),
            days => format!("its certificate ends in {days} days"),
        },
    })
}
