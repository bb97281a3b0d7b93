//! The rules, as texts are asked about.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use tidegate_config::{ContentKind, ContentRules};

use super::links::Host;
use super::{Buffers, Hits, looks};

/// A word or phrase of a rule.
#[derive(Clone, Copy)]
struct Phrase {
    rule: u16,
    /// So many words from a link at most; `None`: anywhere.
    within: Option<usize>,
}

/// See the [module](self).
pub(super) struct Compiled {
    pub(super) rules: Arc<ContentRules>,
    /// Of each phrase of [`ContentRules::phrases`].
    of_phrase: Vec<Phrase>,
    domains: HashMap<Box<str>, u16>,
    /// The same as they look.
    looks: HashMap<Box<str>, u16>,
    endings: HashSet<Box<str>>,
    look_alikes: SmallVec<[u16; 1]>,
    /// Place, senders, time and words of each.
    pub(super) senders: SmallVec<[(u16, u16, Duration, usize); 2]>,
}

impl Compiled {
    pub(super) fn new(rules: &Arc<ContentRules>) -> Self {
        let mut compiled = Self {
            rules: Arc::clone(rules),
            of_phrase: Vec::new(),
            domains: HashMap::new(),
            looks: HashMap::new(),
            endings: rules
                .endings
                .iter()
                .map(|ending| ending.as_str().into())
                .collect(),
            look_alikes: SmallVec::new(),
            senders: SmallVec::new(),
        };
        for (rule, place) in rules.rules.iter().zip(0_u16..) {
            match &rule.looks_for {
                ContentKind::Domains(domains) => {
                    for domain in domains {
                        compiled.domains.insert(domain.as_str().into(), place);
                        compiled.looks.insert(looks::skeleton_of(domain).into(), place);
                    }
                }
                ContentKind::Words(words) => compiled.add(words, place, None),
                ContentKind::NearLink { words, within } => {
                    compiled.add(words, place, Some(usize::from(*within)));
                }
                ContentKind::LookAlikes => compiled.look_alikes.push(place),
                ContentKind::Senders {
                    senders,
                    within,
                    words_min,
                } => compiled
                    .senders
                    .push((place, *senders, *within, usize::from(*words_min))),
            }
        }
        compiled
    }

    fn add(&mut self, words: &[String], rule: u16, within: Option<usize>) {
        self.of_phrase
            .extend(words.iter().map(|_| Phrase { rule, within }));
    }

    pub(super) fn is_ending(&self, ending: &str) -> bool {
        self.endings.contains(ending)
    }

    pub(super) fn found_look_alikes(&self, hits: &mut Hits) {
        for rule in &self.look_alikes {
            hit(hits, *rule);
        }
    }

    /// Whether a host, or what it lies below, is listed, or looks like one that is.
    pub(super) fn ask_host(&self, host: &str, hits: &mut Hits) {
        let host = Host::new(host);
        for name in host.names() {
            if let Some(rule) = self.domains.get(name) {
                hit(hits, *rule);
            }
        }
        let Some(seen) = host.seen() else { return };
        if looks::is_host_disguised(seen) {
            self.found_look_alikes(hits);
        }
        let skeleton = looks::skeleton_of(seen);
        for name in Host::new(&skeleton).names() {
            if let Some(rule) = self.looks.get(name) {
                hit(hits, *rule);
                self.found_look_alikes(hits);
            }
        }
    }

    /// Whether phrases stand in a text, where they may not.
    pub(super) fn ask_words(&self, buffers: &Buffers, hits: &mut Hits) {
        let octets = buffers.normal.as_bytes();
        let is_blank = |at: Option<usize>| {
            at.and_then(|at| octets.get(at))
                .is_none_or(|octet| *octet == b' ')
        };
        for (which, found) in self.rules.phrases.find(&buffers.normal) {
            let Some(phrase) = self.of_phrase.get(which) else {
                continue;
            };
            if hits.contains(&phrase.rule)
                || !is_blank(found.start.checked_sub(1))
                || !is_blank(Some(found.end))
            {
                continue;
            }
            let is_there = phrase.within.is_none_or(|within| {
                let word = buffers.starts.partition_point(|start| *start < found.start);
                let behind = buffers.links.partition_point(|link| *link < word);
                let near = [behind.checked_sub(1), Some(behind)];
                let mut links = near.into_iter().flatten().filter_map(|at| buffers.links.get(at));
                links.any(|link| link.abs_diff(word) <= within)
            });
            if is_there {
                hit(hits, phrase.rule);
            }
        }
    }
}

fn hit(hits: &mut Hits, rule: u16) {
    if !hits.contains(&rule) {
        hits.push(rule);
    }
}
