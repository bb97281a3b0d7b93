//! One side fed with anything: every command with any body, and octets that are no PDUs.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::{Limits, Read, encode, read};
use tidegate_codec::session::{Event, Monotonic, Role, Session, State};
use tidegate_codec::status::CommandStatus;

use crate::bodies::body_of;
use crate::ends::rules;

/// A session whose owner binds whoever asks and answers nothing else.
struct Fed {
    session: Session<u32>,
    now: Monotonic,
    out: Vec<u8>,
    owed: usize,
    is_closed: bool,
}

impl Fed {
    fn new(role: Role) -> Self {
        Self {
            session: Session::new(role, rules(), Monotonic::ZERO),
            now: Monotonic::ZERO,
            out: Vec::new(),
            owed: 0,
            is_closed: false,
        }
    }

    /// Takes what `octets` begin with; how many were used, `None` when they are not whole.
    fn take(&mut self, octets: &[u8]) -> Option<usize> {
        while let Some(event) = self.session.handle_timeout(self.now, &mut self.out) {
            assert!(!self.is_closed);
            self.is_closed |= matches!(event, Event::Close(_));
        }
        self.out.clear();
        let is_response = octets.get(4).is_some_and(|octet| octet & 0x80 != 0);
        let (used, event) = match read(octets, &Limits::default()) {
            Read::NeedMore(_) => {
                self.session.set_partial(self.now, !octets.is_empty());
                return None;
            }
            Read::Pdu(pdu) => {
                let length = u32::from_be_bytes(*octets.first_chunk().unwrap()) as usize;
                let event = self.session.handle(self.now, Ok(pdu), &mut self.out);
                assert!(
                    !is_response || self.out.is_empty(),
                    "a response is never answered"
                );
                (length, event)
            }
            Read::BadBody(header, error) => {
                let event = self.session.handle(self.now, Err((header, error)), &mut self.out);
                (header.length as usize, event)
            }
            Read::Broken(error) => (octets.len(), self.session.handle_broken(error, &mut self.out)),
        };
        self.session.set_partial(self.now, false);
        assert!(
            self.out.len() <= HEADER_LEN,
            "one answer at most, and a short one"
        );
        if self.is_closed {
            assert_eq!((event, self.out.len()), (Event::None, 0), "behind the end");
            return Some(used);
        }
        match event {
            Event::BindRequested { .. } => {
                let name = SystemId::new(b"tidegate").unwrap();
                self.session.accept_bind(self.now, &name, &mut self.out);
            }
            Event::Request { .. } => self.owed += 1,
            Event::Close(_) => self.is_closed = true,
            Event::Answered { .. } => panic!("nothing was asked"),
            _ => {}
        }
        assert_eq!(self.session.unanswered(), self.owed);
        assert!(self.owed <= rules().unanswered_max && self.session.waiting() == 0);
        assert_eq!(self.session.state() == State::Closed, self.is_closed);
        Some(used)
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Esme), Just(Role::Smsc)]
}

fn command() -> impl Strategy<Value = CommandId> {
    prop_oneof![
        (0..0x22_u32).prop_map(CommandId),
        (0x8000_0000..0x8000_0022_u32).prop_map(CommandId),
        (0x100..0x114_u32).prop_map(CommandId),
        Just(CommandId::BIND_TRANSCEIVER),
        Just(CommandId::SUBMIT_SM),
        Just(CommandId::DELIVER_SM),
        any::<u32>().prop_map(CommandId),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_command_with_any_body_at_any_time_keeps_every_bound(
        role in role(),
        pdus in prop::collection::vec(
            (command(), any::<u32>(), 0..4_000_u64, prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..40))),
            0..80,
        ),
    ) {
        let mut fed = Fed::new(role);
        for (command, sequence, milliseconds, body) in pdus {
            fed.now = fed.now + Duration::from_millis(milliseconds);
            let mut octets = Vec::new();
            encode(command, CommandStatus::ROK, sequence, &mut octets, |out| {
                out.extend_from_slice(&body.unwrap_or_else(|| body_of(command)));
            });
            prop_assert_eq!(fed.take(&octets), Some(octets.len()));
        }
    }

    #[test]
    fn octets_that_mean_nothing_end_a_session_and_never_bind_it(
        role in role(),
        octets in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut fed = Fed::new(role);
        let mut at = 0;
        while let Some(used) = fed.take(&octets[at..]) {
            at += used;
        }
        // A length that can be is one in 60 000.
        prop_assert!(fed.session.state().kind().is_none());
        fed.now = fed.now + Duration::from_secs(10);
        while fed.session.handle_timeout(fed.now, &mut fed.out).is_some() {}
        prop_assert_eq!(fed.session.state(), State::Closed);
    }
}
