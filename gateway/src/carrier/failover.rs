//! What waits for a carrier that is down goes to the next of its route that is up (design §5.7).
//!
//! A queue may hold millions, so it is looked through a slice at a time: set aside as a whole when a carrier goes down
//! or another comes up, and taken from there in order, behind what stands in line already. What comes meanwhile for
//! the same carrier stands behind what is aside, so that it overtakes nothing; what came before was placed where it
//! belongs.

use bytes::Bytes;
use hashbrown::HashSet;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Index, LegId};
use tidegate_store::names::NameId;

use super::{CarrierState, Queue, Weights};
use crate::clock::Now;
use crate::gate::Gate;
use crate::router::CarrierIndex;

/// Legs that one tick looks at, over all carriers: a few milliseconds.
const LOOK_MAX: usize = 4_096;

/// So many legs that an operator has moved are remembered beyond what the index explains, before ended ones are shed.
const PINNED_SLACK: usize = 1_024;

/// Legs that an operator has put in line for a carrier, wherever their routes lead. In memory only: after a restart the
/// routes are asked again.
#[derive(Debug, Default)]
pub(crate) struct Pinned(HashSet<LegId>);

impl Pinned {
    /// Whether this is one of them.
    pub(crate) fn has(&self, leg: LegId) -> bool {
        !self.0.is_empty() && self.0.contains(&leg)
    }

    /// Says whether it is; `index` knows which have ended.
    pub(crate) fn set(&mut self, leg: LegId, is_pinned: bool, index: &Index) {
        if !is_pinned {
            self.0.remove(&leg);
            return;
        }
        if self.0.len() > 2 * index.len() + PINNED_SLACK {
            self.0.retain(|leg| index.get(*leg).is_some());
        }
        self.0.insert(leg);
    }
}

/// What waits for one carrier.
#[derive(Debug, Default)]
pub struct Waiting {
    /// In line.
    pub queue: Queue,
    /// Set aside, to be looked at.
    aside: Queue,
    /// It is to be set aside again once that is done.
    again: bool,
    /// Routes have changed: what is aside is looked at even if its carrier is up.
    is_rerouted: bool,
    /// Of those that an operator has put in line here, wherever their routes lead, some may still be here.
    pub(crate) has_pinned: bool,
}

impl Waiting {
    /// How many legs wait. Some may have ended where they stood.
    pub const fn len(&self) -> usize {
        self.queue.len() + self.aside.len()
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether some of it is still to be looked at: what comes now stands behind that.
    pub(crate) const fn is_looked_at(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The line behind all that is to be looked at.
    pub(crate) const fn aside_mut(&mut self) -> &mut Queue {
        &mut self.aside
    }

    /// All of it is to be looked at.
    fn set_aside(&mut self) {
        if self.aside.is_empty() {
            std::mem::swap(&mut self.queue, &mut self.aside);
        } else {
            self.again = true;
        }
    }

    /// Routes have changed: all of it is to be looked at, whatever becomes of the carrier.
    pub(crate) fn reroute(&mut self) {
        if !self.is_empty() {
            self.set_aside();
            self.is_rerouted = true;
        }
    }

    /// What is next in each line, with its account.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (NameId, LegId)> + '_ {
        self.queue.heads().chain(self.aside.heads())
    }

    /// How many legs of each account wait; an account may come more than once.
    pub(crate) fn by_account(&self) -> impl Iterator<Item = (NameId, usize)> + '_ {
        self.queue.by_account().chain(self.aside.by_account())
    }

    /// Whether a leg of which this says yes stands here.
    pub(crate) fn has_any(&self, is_it: impl Fn(LegId) -> bool) -> bool {
        self.queue.has_any(&is_it) || self.aside.has_any(&is_it)
    }

    /// The carrier is up again: what is aside need not be looked at, unless others stand in line by now.
    fn bring_back(&mut self) {
        if self.is_rerouted {
            return;
        }
        self.again = false;
        if self.queue.is_empty() {
            std::mem::swap(&mut self.queue, &mut self.aside);
        }
    }

    fn next_aside(&mut self, weights: &Weights) -> Option<(LegId, Option<Bytes>)> {
        if self.aside.is_empty() && std::mem::take(&mut self.again) {
            self.set_aside();
        }
        let next = self.aside.pop(weights, |_| true, |_, _| 1);
        self.is_rerouted &= next.is_some();
        next.map(|popped| (popped.leg, popped.body))
    }

    /// Takes the next leg wherever it stands, of one account only if one is given.
    pub fn take(&mut self, weights: &Weights, only: Option<NameId>) -> Option<(LegId, Option<Bytes>)> {
        let of = |queue: &mut Queue| match only {
            Some(account) => queue.pop_of(account),
            None => {
                let popped = queue.pop(weights, |_| true, |_, _| 1)?;
                Some((popped.leg, popped.body))
            }
        };
        of(&mut self.aside).or_else(|| of(&mut self.queue))
    }
}

impl<D: Disk> Gate<D> {
    /// Looks at what waits for carriers that are down, if one of those it might go to has come up since, or the
    /// carrier itself has gone down.
    pub(crate) fn fail_over(&mut self, now: Now) {
        let (mut up, mut news) = (Vec::new(), Vec::new());
        for (place, state) in self.carriers.iter_mut().enumerate() {
            let is_up = state.is_up(now);
            if is_up {
                up.push(CarrierIndex(place));
            }
            if std::mem::replace(&mut state.was_up, is_up) != is_up {
                news.push(CarrierIndex(place));
            }
        }
        let mut left = LOOK_MAX;
        let has_news = news.iter().any(|there| self.mt.asks_for(*there));
        if has_news {
            self.unrouted_left = self.unrouted.len();
        }
        self.route_again(now, left);
        for carrier in 0..self.carriers.len() {
            let CarrierState { waiting, was_up, .. } = &mut self.carriers[carrier];
            waiting.has_pinned &= !waiting.is_empty();
            if *was_up {
                waiting.bring_back();
            } else if !news.is_empty() && !waiting.is_empty() {
                let here = CarrierIndex(carrier);
                let may_go = |there: &CarrierIndex| waiting.has_pinned || self.mt.share_a_route(here, *there);
                let is_moved = |there: &CarrierIndex| news.contains(&here) || news.contains(there);
                let has_hours = news.contains(&here) && self.mt.has_hours();
                if has_news || has_hours || up.iter().any(|there| is_moved(there) && may_go(there)) {
                    waiting.set_aside();
                }
            }
            while left > 0
                && let Some((leg, body)) = self.carriers[carrier].waiting.next_aside(&self.weights)
            {
                left -= 1;
                self.look_again(now, carrier, leg, body);
            }
        }
    }

    /// Puts a leg in line again: for the first carrier of its route that is up, or else where it stood, if that is still
    /// on its route or there is none. What stood for a carrier that is gone goes where [`Gate::place`] says.
    fn look_again(&mut self, now: Now, carrier: usize, leg: LegId, body: Option<Bytes>) {
        let octets = body.as_ref().map_or(0, Bytes::len);
        self.hot_octets = self.hot_octets.saturating_sub(octets);
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let here = CarrierIndex(carrier);
        let to = if self.carriers[carrier].removed {
            Some(here)
        } else {
            let is_elsewhere = self.is_routed(now, found) && !self.is_routed_to(now, found, here);
            let stays = (!is_elsewhere).then_some(here);
            self.choose_up(now, found).or(stays)
        };
        self.pinned.set(leg, false, self.spool.index());
        self.place(now, leg, body, to, false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::tests::{legs, pop, ready};
    use super::*;

    const A: NameId = NameId(0);

    fn order(waiting: &mut Waiting) -> Vec<LegId> {
        std::iter::from_fn(|| waiting.next_aside(&Weights::default()))
            .map(|(leg, _)| leg)
            .collect()
    }

    #[test]
    fn all_that_waits_is_looked_at_once_in_its_order_and_what_comes_meanwhile_is_not() {
        let (mut waiting, legs) = (Waiting::default(), legs(4));
        for leg in &legs[..3] {
            waiting.queue.push_back(A, None, 0, ready(*leg, 1));
        }
        waiting.set_aside();
        assert_eq!(
            waiting.next_aside(&Weights::default()).map(|(leg, _)| leg),
            Some(legs[0])
        );
        waiting.queue.push_back(A, None, 0, ready(legs[0], 1));
        waiting.queue.push_back(A, None, 0, ready(legs[3], 1));
        assert_eq!(waiting.len(), 4);
        assert_eq!(order(&mut waiting), legs[1..3]);
        assert_eq!(waiting.len(), 2);
    }

    #[test]
    fn news_while_it_is_looked_at_makes_one_more_look() {
        let (mut waiting, legs) = (Waiting::default(), legs(2));
        waiting.queue.push_back(A, None, 0, ready(legs[0], 1));
        waiting.set_aside();
        waiting.queue.push_back(A, None, 0, ready(legs[1], 1));
        waiting.set_aside();
        waiting.set_aside();
        assert_eq!(order(&mut waiting), legs);
        assert!(waiting.is_empty());
    }

    #[test]
    fn other_routes_have_all_looked_at_whether_the_carrier_is_up_or_not() {
        let (mut waiting, legs) = (Waiting::default(), legs(3));
        waiting.reroute();
        waiting.queue.push_back(A, None, 0, ready(legs[0], 1));
        waiting.bring_back();
        assert_eq!(waiting.queue.len(), 1, "nothing stood there when they changed");
        waiting.queue.push_back(A, None, 0, ready(legs[1], 1));
        waiting.reroute();
        assert!(waiting.has_any(|leg| leg == legs[1]) && !waiting.has_any(|leg| leg == legs[2]));
        waiting.bring_back();
        assert!(waiting.is_looked_at(), "its carrier being up changes nothing");
        assert_eq!(order(&mut waiting), legs[..2]);
        // And once is enough.
        waiting.queue.push_back(A, None, 0, ready(legs[2], 1));
        waiting.set_aside();
        waiting.bring_back();
        assert_eq!(waiting.queue.len(), 1);
    }

    #[test]
    fn a_carrier_that_is_up_again_has_its_queue_back() {
        let (mut waiting, legs) = (Waiting::default(), legs(2));
        waiting.queue.push_back(A, None, 0, ready(legs[0], 1));
        waiting.set_aside();
        waiting.bring_back();
        assert_eq!(waiting.queue.len(), 1);
        // Not in front of what has come since; that one is handed over first.
        waiting.set_aside();
        waiting.queue.push_back(A, None, 0, ready(legs[1], 1));
        waiting.bring_back();
        assert_eq!(pop(&mut waiting.queue).map(|(leg, _)| leg), Some(legs[1]));
        assert_eq!(
            waiting.take(&Weights::default(), Some(A)).map(|(leg, _)| leg),
            Some(legs[0])
        );
        assert!(waiting.take(&Weights::default(), None).is_none());
    }
}
