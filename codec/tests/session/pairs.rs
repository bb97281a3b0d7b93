//! Two sessions joined by two queues of octets, driven by arbitrary steps in virtual time.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use tidegate_codec::identity::SystemId;
use tidegate_codec::session::{CloseReason, Monotonic, Role, Session, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{bind, rules};
use crate::party::Party;

#[derive(Clone, Copy, Debug)]
enum Side {
    Esme,
    Smsc,
}

#[derive(Clone, Debug)]
enum Step {
    /// Time goes on.
    Pass(u16),
    /// A part of what was written to a side arrives; `None` is all of it.
    Arrive(Side, Option<Index>),
    Bind(BindKind, InterfaceVersion),
    Accept,
    Refuse,
    Request(Side),
    /// One of the requests that a side owes an answer to is answered.
    Answer(Side, Index, bool),
    Unbind(Side),
    Limits(Side, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::Esme), Just(Side::Smsc)];
    let kind = prop_oneof![
        Just(BindKind::Transmitter),
        Just(BindKind::Receiver),
        Just(BindKind::Transceiver),
        Just(BindKind::Transceiver),
    ];
    let version = prop_oneof![
        Just(InterfaceVersion::V3_3),
        Just(InterfaceVersion::V3_4),
        Just(InterfaceVersion::V5_0),
    ];
    prop_oneof![
        4 => (0..12_000_u16).prop_map(Step::Pass),
        8 => side().prop_map(|side| Step::Arrive(side, None)),
        3 => (side(), any::<Index>()).prop_map(|(side, share)| Step::Arrive(side, Some(share))),
        3 => (kind, version).prop_map(|(kind, version)| Step::Bind(kind, version)),
        4 => Just(Step::Accept),
        1 => Just(Step::Refuse),
        8 => side().prop_map(Step::Request),
        6 => (side(), any::<Index>(), any::<bool>()).prop_map(|(side, which, yes)| Step::Answer(side, which, yes)),
        1 => side().prop_map(Step::Unbind),
        1 => (side(), 0..4_u8, 0..4_u8).prop_map(|(side, window, unanswered)| Step::Limits(side, window, unanswered)),
    ]
}

struct World {
    esme: Party,
    smsc: Party,
    now: Monotonic,
}

impl World {
    fn new() -> Self {
        let session = |role| Session::new(role, rules(), Monotonic::ZERO);
        Self {
            esme: Party::new(Role::Esme, session(Role::Esme)),
            smsc: Party::new(Role::Smsc, session(Role::Smsc)),
            now: Monotonic::ZERO,
        }
    }

    fn party(&mut self, side: Side) -> (&mut Party, &mut Party) {
        match side {
            Side::Esme => (&mut self.esme, &mut self.smsc),
            Side::Smsc => (&mut self.smsc, &mut self.esme),
        }
    }

    /// Octets for a side arrive; behind the last ones of a peer that is gone comes the end.
    fn arrive(&mut self, side: Side, share: Option<Index>) {
        let now = self.now;
        let (to, from) = self.party(side);
        let count = share.map_or(from.out.len(), |share| share.index(from.out.len() + 1));
        let octets: Vec<u8> = from.out.drain(..count).collect();
        if to.is_over() {
            return;
        }
        to.inbox.extend_from_slice(&octets);
        to.read(now);
        if from.is_over() && from.out.is_empty() && !to.is_over() {
            to.lose();
        }
    }

    fn accept(&mut self) {
        let name = SystemId::new(b"tidegate").unwrap();
        self.smsc.session.accept_bind(self.now, &name, &mut self.smsc.out);
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Pass(milliseconds) => self.now = now + Duration::from_millis(u64::from(*milliseconds)),
            Step::Arrive(side, share) => self.arrive(*side, *share),
            Step::Bind(kind, version) => {
                self.esme
                    .session
                    .bind(now, *kind, &bind(*version), &mut self.esme.out);
            }
            Step::Accept => self.accept(),
            Step::Refuse => {
                let status = CommandStatus::RBINDFAIL;
                self.smsc.session.refuse_bind(status, &mut self.smsc.out);
            }
            Step::Request(side) => self.party(*side).0.request(now),
            Step::Answer(side, which, yes) => {
                let party = self.party(*side).0;
                if !party.owed.is_empty() {
                    party.answer(which.index(party.owed.len()), *yes);
                }
            }
            Step::Unbind(side) => {
                let party = self.party(*side).0;
                party.session.unbind(now, &mut party.out);
            }
            Step::Limits(side, window, unanswered) => {
                let party = self.party(*side).0;
                party
                    .session
                    .set_limits(usize::from(*window), usize::from(*unanswered));
                party.window = usize::from(*window).max(1);
            }
        }
        self.esme.check(self.now);
        self.smsc.check(self.now);
    }

    /// Everything arrives and everything is answered, at once.
    fn fall_quiet(&mut self) {
        for turn in 0.. {
            assert!(turn < 100, "never quiet");
            self.take(&Step::Arrive(Side::Esme, None));
            self.take(&Step::Arrive(Side::Smsc, None));
            self.take(&Step::Accept);
            for party in [&mut self.esme, &mut self.smsc] {
                while !party.owed.is_empty() {
                    party.answer(0, true);
                }
                party.check(self.now);
            }
            let is_quiet =
                |party: &Party, other: &Party| party.out.is_empty() && (!party.is_over() || other.is_over());
            if is_quiet(&self.esme, &self.smsc) && is_quiet(&self.smsc, &self.esme) {
                return;
            }
        }
    }

    fn agree(&mut self) {
        for party in [&mut self.esme, &mut self.smsc] {
            if party.closed.is_some() && !party.lost {
                party.lose();
            }
            assert!(party.waiting.is_empty(), "every request has come to an end");
            assert_eq!(party.back.len(), party.next_ticket as usize);
        }
        let (esme, smsc) = (&self.esme, &self.smsc);
        assert_eq!(esme.session.state(), smsc.session.state());
        match esme.session.state() {
            State::Bound(_) => assert_eq!(esme.session.version(), smsc.session.version()),
            State::Open | State::Closed => {}
            other => panic!("quiet, and {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_sessions_agree_once_quiet_and_lose_nothing_on_the_way(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.fall_quiet();
        world.agree();
    }
}

/// The steps above reach what they are meant to: a bind, answers, expiries, both kinds of end.
#[test]
fn the_steps_reach_every_kind_of_end() {
    let all = Step::Arrive;
    let mut world = World::new();
    let steps = [
        Step::Bind(BindKind::Transceiver, InterfaceVersion::V5_0),
        all(Side::Smsc, None),
        Step::Accept,
        all(Side::Esme, None),
        Step::Request(Side::Esme),
        Step::Request(Side::Smsc),
        all(Side::Smsc, None),
        all(Side::Esme, None),
    ];
    steps.iter().for_each(|step| world.take(step));
    assert_eq!((world.esme.owed.len(), world.smsc.owed.len()), (1, 1));
    for _ in 0..2 {
        world.take(&Step::Pass(15_000));
        world.take(&all(Side::Esme, None));
        world.take(&all(Side::Smsc, None));
    }
    assert_eq!((world.esme.given_up.len(), world.smsc.given_up.len()), (1, 1));
    world.fall_quiet();
    assert!(
        world.esme.given_up.is_empty() && world.smsc.given_up.is_empty(),
        "late answers"
    );
    world.take(&Step::Unbind(Side::Smsc));
    world.fall_quiet();
    assert_eq!(
        (world.smsc.closed, world.esme.lost),
        (Some(CloseReason::Unbound), true)
    );
    world.agree();
}
