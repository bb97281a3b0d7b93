//! Bans that grow with failed binds: who guesses passwords is not spoken to for a while, twice as long each time.
//!
//! What is counted belongs to an [`Origin`], and others may sit behind the same one: their open binds live on, and only
//! new connections are closed. Nothing here outlives the process.

use std::time::Duration;

use hashbrown::HashMap;
use serde_json::{Map, Value, json};
use tidegate_config::Limits;
use tidegate_store::disk::Disk;

use crate::clock::Now;
use crate::gate::Gate;
use crate::links::{End, LinkId, Peer};
use crate::origin::{Origin, may_bind};

/// Origins that are remembered; where more fail, those are forgotten that have done least.
const ORIGINS_MAX: usize = 65_536;
/// Bans that one answer lists.
const LIST_MAX: usize = 1_000;

/// What an origin has done. Times are monotonic.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Failed binds since `since`.
    failures: u32,
    since: Duration,
    /// The last of them.
    last: Duration,
    /// Bans so far.
    times: u32,
    until: Duration,
    /// A bind has succeeded since the last that failed.
    is_trusted: bool,
    by_operator: bool,
}

impl Record {
    fn is_banned(&self, now: Duration) -> bool {
        now < self.until
    }

    /// Whether it has been good for long enough that earlier bans do not count any more: sooner where a bind has
    /// succeeded since.
    fn is_forgiven(&self, now: Duration, limits: &Limits) -> bool {
        let quiet = now.saturating_sub(self.last.max(self.until));
        let needed = if self.is_trusted {
            limits.ban_window
        } else {
            limits.ban_max.max(limits.ban_window)
        };
        !self.is_banned(now) && quiet >= needed
    }

    /// What is kept longest stands last.
    fn weight(&self, now: Duration) -> (bool, bool, u32, Duration) {
        let is_banned = self.is_banned(now);
        (
            is_banned && self.by_operator,
            is_banned,
            self.times,
            self.until.max(self.last),
        )
    }
}

/// A ban that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub origin: Origin,
    /// For how long still.
    pub left: Duration,
    /// How often by now; 0 where only an operator did.
    pub times: u32,
    /// Whether an operator said so.
    pub by_operator: bool,
}

/// Who has failed, and who is banned.
#[derive(Debug, Default)]
pub struct Bans(HashMap<Origin, Record>);

impl Bans {
    /// Whether nothing is taken from there now.
    pub fn is_banned(&self, now: Duration, origin: Origin) -> bool {
        self.0.get(&origin).is_some_and(|record| record.is_banned(now))
    }

    /// A bind from there has failed; says for how long it is banned if that was one too many.
    pub fn failed(&mut self, now: Duration, origin: Origin, limits: &Limits) -> Option<Duration> {
        let ban_after = limits.ban_after?;
        if limits.never_bans(origin.address()) {
            return None;
        }
        let record = self.record(now, origin, limits);
        if record.is_forgiven(now, limits) {
            record.times = 0;
        }
        record.by_operator &= record.is_banned(now);
        if record.failures == 0 || now.saturating_sub(record.since) > limits.ban_window {
            (record.failures, record.since) = (0, now);
        }
        record.failures += 1;
        (record.last, record.is_trusted) = (now, false);
        if record.failures < ban_after {
            return None;
        }
        let doubled = 2u32.saturating_pow(record.times);
        let length = limits.ban_min.saturating_mul(doubled).min(limits.ban_max);
        record.times = record.times.saturating_add(1);
        record.failures = 0;
        record.until = record.until.max(now.saturating_add(length));
        Some(length)
    }

    /// A bind from there has succeeded: if that is all that is heard of it for a while, it is forgiven.
    pub fn succeeded(&mut self, origin: Origin) {
        if let Some(record) = self.0.get_mut(&origin) {
            record.is_trusted = true;
        }
    }

    /// An operator bans an origin, or bans it longer or shorter.
    pub fn add(&mut self, now: Duration, origin: Origin, length: Duration, limits: &Limits) {
        let record = self.record(now, origin, limits);
        record.until = now.saturating_add(length);
        record.by_operator = true;
    }

    /// An operator forgives an origin everything; says whether it was banned.
    pub fn remove(&mut self, now: Duration, origin: Origin) -> bool {
        self.0.remove(&origin).is_some_and(|record| record.is_banned(now))
    }

    /// Those that run, the longest first.
    pub fn running(&self, now: Duration) -> Vec<Ban> {
        let running = self.0.iter().filter(|(_, record)| record.is_banned(now));
        let mut bans: Vec<Ban> = running
            .map(|(origin, record)| Ban {
                origin: *origin,
                left: record.until.saturating_sub(now),
                times: record.times,
                by_operator: record.by_operator,
            })
            .collect();
        bans.sort_unstable_by_key(|ban| (std::cmp::Reverse(ban.left), ban.origin));
        bans
    }

    /// How many run.
    pub fn count(&self, now: Duration) -> usize {
        self.0.values().filter(|record| record.is_banned(now)).count()
    }

    fn record(&mut self, now: Duration, origin: Origin, limits: &Limits) -> &mut Record {
        if self.0.len() >= ORIGINS_MAX && !self.0.contains_key(&origin) {
            self.0.retain(|_, record| !record.is_forgiven(now, limits));
            if self.0.len() >= ORIGINS_MAX {
                let least = self.0.iter().min_by_key(|(_, record)| record.weight(now));
                if let Some(least) = least.map(|(origin, _)| *origin) {
                    self.0.remove(&least);
                }
            }
        }
        self.0.entry(origin).or_default()
    }
}

impl<D: Disk> Gate<D> {
    /// A bind from there was refused, for a reason that a guesser would meet.
    pub(crate) fn bind_failed(&mut self, now: Now, origin: Origin) {
        let begun = self.bans.failed(now.monotonic, origin, &self.config.limits);
        let Some(length) = begun else { return };
        self.tally.bans += 1;
        self.bind_notes.banned(now.unix_ms, origin, length);
        tracing::warn!(%origin, seconds = length.as_secs(), "banned after failed binds");
        self.close_unbound(origin);
    }

    /// Closes what is not bound yet, behind the answers that it was given.
    fn close_unbound(&mut self, origin: Origin) {
        let is_meant =
            |peer: Peer| matches!(peer, Peer::Esme { ip, account: None } if Origin::from(ip) == origin);
        let unbound: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| is_meant(link.peer) && may_bind(link.session.state()))
            .map(|(id, _)| id)
            .collect();
        for id in unbound {
            self.links.end(id, End::Banned);
        }
    }

    /// Whether nothing is taken from there now.
    pub fn is_banned(&self, now: Now, origin: Origin) -> bool {
        self.bans.is_banned(now.monotonic, origin)
    }

    /// How many origins are banned.
    pub fn banned(&self, now: Now) -> usize {
        self.bans.count(now.monotonic)
    }

    /// For an operator: the bans that run.
    pub(crate) fn bans_shown(&self, now: Now) -> Map<String, Value> {
        let running = self.bans.running(now.monotonic);
        let shown: Vec<Value> = running
            .iter()
            .take(LIST_MAX)
            .map(|ban| {
                json!({
                    "origin": ban.origin.to_string(),
                    "left_s": ban.left.as_secs() + u64::from(ban.left.subsec_nanos() > 0),
                    "times": ban.times,
                    "by_operator": ban.by_operator,
                })
            })
            .collect();
        let mut out = Map::new();
        out.insert("banned".to_owned(), json!(running.len()));
        out.insert("bans".to_owned(), Value::Array(shown));
        out
    }

    /// For an operator: bans an origin. Its open binds live on.
    pub(crate) fn ban(&mut self, now: Now, origin: Origin, length: Duration) -> Result<(), String> {
        if self.config.limits.never_bans(origin.address()) {
            return Err(format!("{origin} is in limits.never_ban"));
        }
        self.bans.add(now.monotonic, origin, length, &self.config.limits);
        self.close_unbound(origin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn limits(keys: &str) -> Limits {
        let text = include_str!("../../config/bench.toml");
        let keys = format!("ban_after = 3\nban_window = \"10m\"\nban_min = \"1m\"\nban_max = \"1h\"\n{keys}");
        let text = text.replacen("[limits]", &format!("[limits]\n{keys}"), 1);
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        config.limits
    }

    fn origin(number: u32) -> Origin {
        Origin::V4(Ipv4Addr::from_bits(0xC000_0000 + number))
    }

    /// Fails until it is banned, a second apart; for how long, and the time then.
    fn fail(bans: &mut Bans, mut now: Duration, limits: &Limits) -> (Duration, Duration) {
        for times in 1.. {
            if let Some(length) = bans.failed(now, origin(1), limits) {
                assert_eq!(times, 3);
                return (length, now);
            }
            now += SECOND;
        }
        unreachable!()
    }

    #[test]
    fn bans_double_up_to_the_longest_and_end() {
        let (mut bans, limits) = (Bans::default(), limits(""));
        let mut now = SECOND * 100;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            let (length, at) = fail(&mut bans, now, &limits);
            assert_eq!(length, MINUTE * minutes);
            now = at + length;
            assert!(bans.is_banned(now - Duration::from_millis(1), origin(1)));
            assert!(!bans.is_banned(now, origin(1)) && !bans.is_banned(at, origin(2)));
        }
    }

    #[test]
    fn failures_far_apart_are_nobody_s_guessing() {
        let (mut bans, limits) = (Bans::default(), limits(""));
        for number in 0..100 {
            let now = MINUTE * 6 * number;
            assert_eq!(bans.failed(now, origin(1), &limits), None, "{number}");
        }
    }

    #[test]
    fn a_success_forgives_earlier_bans_after_the_window_and_nothing_else_before_the_longest_ban() {
        for (succeeds, quiet, next) in [
            (true, MINUTE * 11, 1),
            (true, MINUTE * 9, 4),
            (false, MINUTE * 11, 4),
            (false, MINUTE * 61, 1),
        ] {
            let (mut bans, limits) = (Bans::default(), limits(""));
            let (_, at) = fail(&mut bans, SECOND, &limits);
            let (length, at) = fail(&mut bans, at + MINUTE, &limits);
            let ends = at + length;
            if succeeds {
                bans.succeeded(origin(1));
            }
            let (length, _) = fail(&mut bans, ends + quiet, &limits);
            assert_eq!(length, MINUTE * next, "{succeeds}, {quiet:?}");
        }
    }

    #[test]
    fn a_guesser_with_one_good_password_is_banned_all_the_same() {
        let (mut bans, limits) = (Bans::default(), limits(""));
        let mut banned = 0;
        for number in 0..30 {
            let now = SECOND * number;
            banned += u32::from(bans.failed(now, origin(1), &limits).is_some());
            bans.succeeded(origin(1));
        }
        assert_eq!(banned, 10);
    }

    #[test]
    fn some_are_never_banned_and_with_0_nobody_is() {
        let mut bans = Bans::default();
        let spared = limits("never_ban = [\"192.0.0.0/24\", \"2001:db8::/32\"]");
        let off = limits("").ban_after.map(|_| Limits {
            ban_after: None,
            ..limits("")
        });
        let spared_v6 = Origin::from("2001:db8:7::1".parse::<IpAddr>().unwrap());
        for _ in 0..100 {
            assert_eq!(bans.failed(SECOND, origin(1), &spared), None);
            assert_eq!(bans.failed(SECOND, spared_v6, &spared), None);
            assert_eq!(bans.failed(SECOND, origin(2), off.as_ref().unwrap()), None);
        }
        let loopback = Origin::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(limits("").never_bans(loopback.address()), "the default");
    }

    #[test]
    fn an_operator_bans_and_forgives() {
        let (mut bans, limits) = (Bans::default(), limits(""));
        fail(&mut bans, SECOND, &limits);
        bans.add(SECOND * 3, origin(2), MINUTE * 5, &limits);
        let running = bans.running(SECOND * 3);
        assert_eq!(
            running,
            [
                Ban {
                    origin: origin(2),
                    left: MINUTE * 5,
                    times: 0,
                    by_operator: true
                },
                Ban {
                    origin: origin(1),
                    left: MINUTE,
                    times: 1,
                    by_operator: false
                },
            ]
        );
        assert!(bans.remove(SECOND * 3, origin(1)) && !bans.remove(SECOND * 3, origin(1)));
        assert_eq!(bans.count(SECOND * 3), 1);
        // A ban of its own is nobody's word, though one of an operator ran before.
        bans.add(SECOND * 4, origin(1), SECOND, &limits);
        fail(&mut bans, MINUTE * 10, &limits);
        assert!(!bans.running(MINUTE * 10 + SECOND * 3)[0].by_operator);
        bans.remove(MINUTE * 11, origin(1));
        // Forgiven is forgotten: the next ban is a first one.
        assert_eq!(fail(&mut bans, MINUTE * 12, &limits).0, MINUTE);
    }

    #[test]
    fn the_table_is_bounded_and_who_is_banned_stays_in_it() {
        let (mut bans, limits) = (Bans::default(), limits(""));
        let last = u32::try_from(ORIGINS_MAX).unwrap() + 50;
        fail(&mut bans, SECOND, &limits);
        bans.add(SECOND, origin(2), MINUTE, &limits);
        for number in 3..last {
            bans.failed(SECOND * 4, origin(number), &limits);
        }
        assert_eq!(bans.0.len(), ORIGINS_MAX);
        assert!(bans.is_banned(SECOND * 4, origin(1)) && bans.is_banned(SECOND * 4, origin(2)));
        // Who has been quiet for long is forgotten before anybody else.
        let later = MINUTE * 120;
        bans.failed(later, origin(last), &limits);
        assert_eq!(bans.0.len(), 1);
    }
}
