//! The connections of a run: which have had an outcome, which are bound, and which is woken next.

use std::rc::Rc;

use crate::traffic::wire::Bell;

/// The connections of a run.
pub(super) struct Links {
    /// The bells of all of them, bound or not.
    bells: Vec<Rc<Bell>>,
    /// The bells of those that are bound and may submit.
    submitters: Vec<Rc<Bell>>,
    /// The submitter that was woken last for a message that was due, and how many more may be for the same ones.
    turn: usize,
    passes: usize,
    asked: usize,
    untried: usize,
    hopeless: usize,
    bound: usize,
    ever_bound: usize,
}

impl Links {
    /// So many connections are asked for.
    pub(super) fn new(asked: usize) -> Self {
        Self {
            bells: Vec::with_capacity(asked),
            submitters: Vec::with_capacity(asked),
            turn: 0,
            passes: 0,
            asked,
            untried: asked,
            hopeless: 0,
            bound: 0,
            ever_bound: 0,
        }
    }

    // ===== state =====

    /// How many are asked for.
    pub(super) const fn asked(&self) -> usize {
        self.asked
    }

    /// Whether each has had its first outcome, whichever.
    pub(super) const fn all_tried(&self) -> bool {
        self.untried == 0
    }

    /// Whether there is no hope for any of them.
    pub(super) const fn all_hopeless(&self) -> bool {
        self.hopeless == self.asked
    }

    /// How many are bound now.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// How many have been bound at one time or another.
    pub(super) const fn ever_bound(&self) -> usize {
        self.ever_bound
    }

    // ===== what becomes of one =====

    /// One begins; the bell wakes it.
    pub(super) fn joined(&mut self, bell: &Rc<Bell>) {
        self.bells.push(Rc::clone(bell));
    }

    /// One has had its first outcome. With the last of them the run begins.
    pub(super) fn tried(&mut self) {
        self.untried = self.untried.saturating_sub(1);
        if self.all_tried() {
            self.ring_all();
        }
    }

    /// One is bound, for the first time or again.
    pub(super) fn bound_one(&mut self, bell: &Rc<Bell>, may_submit: bool, is_first: bool) {
        self.bound += 1;
        self.ever_bound += usize::from(is_first);
        if may_submit {
            self.submitters.push(Rc::clone(bell));
        }
    }

    /// One that was bound has ended.
    pub(super) fn gone(&mut self, bell: &Rc<Bell>) {
        self.bound -= 1;
        self.submitters.retain(|other| !Rc::ptr_eq(other, bell));
    }

    /// There is no hope for one.
    pub(super) const fn gave_up_one(&mut self) {
        self.hopeless += 1;
    }

    // ===== bells =====

    /// Wakes all: the run begins or ends.
    pub(super) fn ring_all(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }

    /// Wakes all that may submit.
    pub(super) fn ring_submitters(&self) {
        for bell in &self.submitters {
            bell.ring();
        }
    }

    /// Messages are due: each submitter may be woken once for them.
    pub(super) const fn start_round(&mut self) {
        self.passes = self.submitters.len();
    }

    /// Wakes the next submitter. Those that are not bound sleep on: a bell that they heard would be lost to the
    /// messages that it was rung for.
    pub(super) fn ring_next(&mut self) {
        if self.passes > 0 && !self.submitters.is_empty() {
            self.passes -= 1;
            self.turn = (self.turn + 1) % self.submitters.len();
            self.submitters[self.turn].ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_bound_submitters_are_woken_for_messages_and_each_once_a_round() {
        let bells: Vec<Rc<Bell>> = (0..4).map(|_| Rc::default()).collect();
        let mut links = Links::new(4);
        for bell in &bells {
            links.joined(bell);
        }
        links.bound_one(&bells[0], true, true);
        links.bound_one(&bells[1], false, true);
        links.bound_one(&bells[2], true, true);
        links.bound_one(&bells[3], true, true);
        links.gone(&bells[3]);
        links.start_round();
        for _ in 0..4 {
            links.ring_next();
        }
        let mut rung = Vec::new();
        for bell in &bells {
            rung.push(
                tokio::time::timeout(std::time::Duration::ZERO, bell.rung())
                    .await
                    .is_ok(),
            );
        }
        assert_eq!(rung, [true, false, true, false]);
        assert_eq!((links.bound(), links.ever_bound(), links.asked()), (3, 4, 4));
        // A bind that comes again is no further one.
        links.bound_one(&bells[3], true, false);
        assert_eq!((links.bound(), links.ever_bound()), (4, 4));
    }

    #[test]
    fn the_run_begins_with_the_last_first_outcome() {
        let mut links = Links::new(2);
        links.tried();
        assert!(!links.all_tried() && !links.all_hopeless());
        links.tried();
        links.gave_up_one();
        links.gave_up_one();
        assert!(links.all_tried() && links.all_hopeless());
    }
}
