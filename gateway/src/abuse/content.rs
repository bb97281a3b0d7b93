//! What follows from rules about content ([`crate::screening`]), and one text from many senders (FRD-4).

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tidegate_codec::address::AddressBuf;
use tidegate_config::{AbuseAction, ContentRule, ScreeningMode};
use tidegate_store::disk::Disk;

use super::table::Row;
use super::{Abuse, DAY, HOUR, Of, Signal};
use crate::admission::Submission;
use crate::clock::Now;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::screening::Text;
use crate::telemetry::words::AbuseRule;

/// Senders of one text.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    /// When the first came.
    since: Duration,
    /// Parts of keyed hashes, as many as a rule asks for.
    senders: SmallVec<[u32; 8]>,
}

impl Row for Spread {
    fn is_closed(&self, _: Duration) -> bool {
        self.senders.len() > 1
    }
}

impl Spread {
    /// One more sender, if it is another one; whether there are as many as this, since the first that is not too long ago.
    fn is_reached(&mut self, now: Duration, within: Duration, sender: u32, limit: usize) -> bool {
        if self.senders.is_empty() || now.saturating_sub(self.since) >= within {
            self.senders.clear();
            self.since = now;
        }
        if self.senders.len() < limit && !self.senders.contains(&sender) {
            self.senders.push(sender);
        }
        self.senders.len() >= limit
    }
}

impl Abuse {
    /// Whether a text has come from as many senders of an account.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "half of a hash tells as few senders apart"
    )]
    fn is_spread(
        &mut self,
        now: Now,
        account: (usize, u32),
        (rule, text, sender): (&str, u64, &[u8]),
        (limit, within): (u16, Duration),
    ) -> bool {
        let time = now.monotonic;
        // By its id: with other rules its place is another one's.
        let octets: SmallVec<[u8; 40]> = text.to_le_bytes().into_iter().chain(rule.bytes()).collect();
        let key = self.key(Of::Text, account, &octets);
        let sender = self.key(Of::Sender, account, sender) as u32;
        let spread = self
            .texts
            .touch(time, account.0, key, time.saturating_add(within));
        spread.is_reached(time, within, sender, usize::from(limit))
    }
}

impl<D: Disk> Gate<D> {
    /// Looks at a text from a sender, if its account's terms allow that, and does what the rules say; whether it is to be held.
    ///
    /// # Errors
    ///
    /// [`Refusal::Content`], also of what is to be held where no more may be.
    pub(crate) fn screen(
        &mut self,
        now: Now,
        account: usize,
        submission: &Submission<'_>,
        source: &AddressBuf,
    ) -> Result<bool, Refusal> {
        let configured = &self.config.accounts[account];
        if configured.screening == ScreeningMode::Off {
            return Ok(false);
        }
        let is_heeded = configured.screening == ScreeningMode::On;
        let of = &self.accounts[account].abuse;
        if of.is_tripped && is_heeded {
            return Err(Refusal::Content);
        }
        let whose = (account, of.epoch);
        let text = Text {
            data_coding: submission.data_coding,
            esm_class: submission.esm_class,
            alphabet: configured.default_alphabet,
            short_message: submission.short_message.0,
            tlvs: submission.tlvs,
        };
        let Some(found) = self.screen.look(&text) else {
            return Ok(false);
        };
        let (mut hits, same, words) = (found.hits.clone(), found.same, found.words);
        let rules = self.screen.rules();
        for (rule, limit, within, words_min) in self.screen.about_senders() {
            let Some(of) = rules.rules.get(usize::from(rule)) else {
                continue;
            };
            let about = (&*of.id, same, source.as_bytes());
            if words >= words_min && self.abuse.is_spread(now, whose, about, (limit, within)) {
                hits.push(rule);
            }
        }
        if hits.is_empty() {
            return Ok(false);
        }
        let hits: SmallVec<[&ContentRule; 4]> = hits
            .iter()
            .filter_map(|place| rules.rules.get(usize::from(*place)))
            .collect();
        let sum: u32 = hits.iter().map(|rule| u32::from(rule.score.get())).sum();
        let refuse_at = rules.refuse_at.map_or(0, |limit| u32::from(limit.get()));
        let adds_up = refuse_at != 0 && sum >= refuse_at;
        let (mut is_refused, mut is_held) = (false, false);
        for rule in hits {
            let action = match rule.action {
                _ if !is_heeded => AbuseAction::Observe,
                AbuseAction::Observe | AbuseAction::Hold if adds_up => AbuseAction::Refuse,
                action => action,
            };
            is_refused |= action.refuses();
            is_held |= action == AbuseAction::Hold;
            self.hit(now, (account, source), rule, action, refuse_at);
        }
        if is_refused || (is_held && !self.may_hold(account)) {
            return Err(Refusal::Content);
        }
        Ok(is_held)
    }

    /// Counts a hit, and tells it if it is the rule's first of this account in an hour.
    fn hit(
        &mut self,
        now: Now,
        (account, source): (usize, &AddressBuf),
        rule: &ContentRule,
        action: AbuseAction,
        limit: u32,
    ) {
        let time = now.monotonic;
        let now = self.at_believed(now);
        let epoch = self.accounts[account].abuse.epoch;
        let key = self.abuse.key(Of::Told, (account, epoch), rule.id.as_bytes());
        let (sender, trips) = self.suspends(account, action, source);
        let state = &mut self.accounts[account];
        state.tally.content_hits.add(Arc::clone(&rule.id));
        state.tally.abuse_signals.add(AbuseRule::Content);
        let told = &mut state.abuse.told;
        told.retain(|(_, at)| time.saturating_sub(*at) < HOUR);
        let is_new = told.iter().all(|(of, _)| *of != key);
        if is_new {
            // There are as many rules as a file has, at most.
            state.abuse.told.push((key, time));
            state.abuse.score.add(time, DAY);
        } else if !trips {
            return;
        }
        let signal = Signal {
            account: self.config.accounts[account].system_id,
            rule: AbuseRule::Content,
            content: Some(Arc::clone(&rule.id)),
            action,
            sender,
            subject: None,
            country: None,
            count: u32::from(rule.score.get()),
            limit,
            score: self.accounts[account].abuse.score.count(time, DAY),
            at_ms: now.unix_ms,
        };
        self.tell(now, account, signal, trips);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_spread_by_other_senders_within_the_time_alone() {
        let mut spread = Spread::default();
        let (second, within) = (Duration::from_secs(1), Duration::from_secs(10));
        assert!(!spread.is_reached(second, within, 1, 3));
        assert!(!spread.is_reached(second, within, 1, 3));
        assert!(!spread.is_reached(second * 2, within, 2, 3));
        assert!(spread.is_reached(second * 3, within, 3, 3));
        assert!(
            spread.is_reached(second * 10, within, 1, 3),
            "whoever sends it by then"
        );
        assert!(
            !spread.is_reached(second * 11, within, 1, 3),
            "the first was too long ago"
        );
        for sender in 0..1_000 {
            spread.is_reached(second * 12, within, sender, 3);
        }
        assert_eq!(spread.senders.len(), 3);
    }
}
