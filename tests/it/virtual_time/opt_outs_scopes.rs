//! How wide an opt-out reaches: accounts, brands, pools and numbers, and what a START lifts of it.

use std::time::Duration;

use rand_core::SeedableRng as _;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::RegisteredDelivery;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Change, Origin, Private, Scope, Via, What, nobody};

use super::rig::*;
use super::*;

#[test]
fn opt_c09_in_plus_one_the_account_is_blocked_and_elsewhere_the_pool() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 6).await;
        rig.stop(R, S).await;
        assert_eq!(rig.submit(S2, R).await, OPTED_OUT);
        assert_eq!(rig.submit(TOLL_FREE, R).await, OPTED_OUT);
        rig.stop(DUTCH, S).await;
        assert_eq!(rig.submit(S, DUTCH).await, OPTED_OUT);
        assert_eq!(rig.submit(S2, DUTCH).await, OPTED_OUT);
        rig.sees_next(TOLL_FREE, DUTCH).await;
    });
}

#[test]
fn opt_c10_another_account_may_send_and_sees_nothing_of_it() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 7).await;
        rig.stop(R, S).await;
        let mut b = bound(&rig.world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
        let taken = rig.take().await;
        assert_eq!(taken.sm().source.addr.as_bytes(), OF_B);
    });
}

/// OPT-26: a successor of the same brand finds what recipients have said to an account that is closed since.
#[test]
fn what_was_said_to_a_closed_account_holds_for_its_brand_and_a_start_to_a_successor_lifts_it() {
    const HEIR: &str = "brand = \"shoes\"\nopt_out_scope = \"brand\"";
    scenario(|| async {
        for (of_b, is_heir) in [(HEIR, true), ("brand = \"hats\"", false)] {
            let brands = [
                (OF_A, "brand = \"shoes\"\nopt_out_scope = \"account\""),
                ("system_id = \"B\"", of_b),
            ];
            let mut rig = Rig::new(config(&brands), 71).await;
            rig.stop(R, S).await;
            let mut b = bound(&rig.world, b"B").await;
            assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
            rig.take().await;
            rig.world.hub.with_gate(|gate, now| {
                let mut orders = gate.orders().clone();
                orders.close("A", now.unix_ms).unwrap();
                gate.obey(now, orders);
            });
            let refused = if is_heir { OPTED_OUT } else { CommandStatus::ROK };
            assert_eq!(submit_as(&mut b, 3, sm(OF_B, R)).await, refused, "{of_b}");
            assert_eq!(
                submit_as(&mut b, 4, sm(OF_B, R2)).await,
                CommandStatus::ROK,
                "{of_b}"
            );
            if !is_heir {
                continue;
            }
            rig.take().await;
            let mo = Sm {
                short_message: ShortMessage::new(b"START").unwrap(),
                registered_delivery: RegisteredDelivery::default(),
                ..sm(R, OF_B)
            };
            assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
            let came = b.expect(CommandId::DELIVER_SM).await;
            answer_mo(&mut b, &came).await;
            assert_eq!(submit_as(&mut b, 5, sm(OF_B, R)).await, CommandStatus::ROK);
        }
    });
}

#[test]
fn a_start_to_another_number_of_the_account_lifts_what_was_said_to_the_first() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 21).await;
        rig.stop(R, S).await;
        rig.mo(R, S2, "UNSTOP").await;
        rig.take_reply(S2, R).await;
        rig.sees_next(S, R).await;
        rig.sees_next(TOLL_FREE, R).await;
        // And of another country: the pool, not what was said to another.
        rig.stop(DUTCH, S).await;
        rig.mo(DUTCH, TOLL_FREE, "STOP").await;
        rig.mo(DUTCH, S2, "START").await;
        rig.take_reply(S2, DUTCH).await;
        rig.sees_next(S, DUTCH).await;
        assert_eq!(rig.submit(TOLL_FREE, DUTCH).await, OPTED_OUT);
    });
}

#[test]
fn a_sender_that_leaves_its_pool_or_account_takes_its_opt_outs_along() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 31).await;
        rig.stop(DUTCH, S).await;
        // Both codes are in other pools now: who stopped the first is not sent to by the second either.
        let text =
            include_str!("../../../config/compliance.toml").replace("pool = \"codes\"", "pool = \"new\"");
        let moved = tidegate_config::parse(&text).unwrap();
        let passwords = vec![tidegate_codec::identity::Password::new(b"secret", 9).unwrap(); 2];
        let taken = rig
            .world
            .hub
            .with_gate(|gate, now| gate.reconfigure(now, &moved, passwords, false));
        assert!(taken.is_ok());
        assert_eq!(rig.submit(S2, DUTCH).await, OPTED_OUT);
        // B has the number now. What was said to it holds; what was said to A is A's.
        rig.setup = Setup::new(moved, 1 << 20, 1 << 28);
        let text = include_str!("../../../config/compliance.toml")
            .replacen("senders = [\"55555\", \"55556\"", "senders = [\"55556\"", 1)
            .replacen("senders = [\"55557\"]", "senders = [\"55557\", \"55555\"]", 1);
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        rig.after(Duration::from_secs(1)).await;
        let mut rig = rig.killed(32).await;
        let mut b = bound(&rig.world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(S, DUTCH)).await, OPTED_OUT);
        assert_eq!(submit_as(&mut b, 3, sm(OF_B, DUTCH)).await, CommandStatus::ROK);
        assert_eq!(rig.take().await.sm().source.addr.as_bytes(), OF_B);
    });
}

#[test]
fn a_stop_to_a_number_that_nobody_owns_holds_for_whoever_has_it_later() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 33).await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, b"77777")
        };
        assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
        let text = include_str!("../../../config/compliance.toml").replacen(
            "\"55556\", \"18",
            "\"55556\", \"77777\", \"18",
            1,
        );
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        let mut rig = rig.killed(34).await;
        assert_eq!(rig.submit(b"77777", R).await, OPTED_OUT);
        rig.sees_next(S, R).await;
        // And it is lifted there, although it was written down when nobody had the number.
        let start = Sm {
            short_message: ShortMessage::new(b"START").unwrap(),
            ..sm(R, b"77777")
        };
        assert_eq!(rig.deliver(start).await, CommandStatus::ROK);
        rig.take_reply(b"77777", R).await;
        rig.sees_next(b"77777", R).await;
    });
}

#[test]
fn over_the_bound_of_numbers_that_nobody_owns_an_opt_out_reaches_everything_and_none_is_lost() {
    const BOUND: usize = 10_000;
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 46).await;
        let mut chance = rand_chacha::ChaCha20Rng::seed_from_u64(46);
        let stop = |to: &'static [u8], from: &'static [u8]| Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(from, to)
        };
        assert_eq!(rig.deliver(stop(b"77777", R2)).await, CommandStatus::ROK);
        let unlisted = |rig: &Rig| {
            let hub = &rig.world.hub;
            hub.with_gate(|gate, _| gate.spool().standing().scopes().unlisted())
        };
        assert_eq!(unlisted(&rig), 1);
        // As if as many others had been called.
        let mut places = 1..u128::try_from(BOUND).unwrap();
        while unlisted(&rig) < BOUND {
            rig.world.hub.with_gate(|gate, now| {
                for place in places.by_ref().take(500) {
                    let number = Pseudonym::from_octets(place.to_be_bytes());
                    let change = Change {
                        who: number,
                        at_ms: now.unix_ms,
                        event: 0,
                        via: Via::Message,
                        what: What::Suppress {
                            scope: Scope::unlisted_sender(&number),
                            origin: Origin::Recipient,
                            categories: 0,
                        },
                        private: Private::default(),
                    };
                    let nobody = nobody().unwrap();
                    let spool = gate.spool_mut();
                    spool
                        .remember(now.unix_ms, nobody, change, false, &mut chance)
                        .unwrap();
                }
            });
            rig.after(Duration::from_millis(200)).await;
        }
        // One that is known has its own, a new one has not.
        assert_eq!(rig.deliver(stop(b"77777", R)).await, CommandStatus::ROK);
        rig.sees_next(S, R).await;
        let widened = |rig: &Rig| rig.world.hub.with_gate(|gate, _| gate.tally().opt_outs_widened);
        assert_eq!(widened(&rig), 0);
        assert_eq!(rig.deliver(stop(b"77778", R)).await, CommandStatus::ROK);
        assert_eq!((unlisted(&rig), widened(&rig)), (BOUND, 1));
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.after(Duration::from_secs(2)).await;
        let mut rig = rig.killed(47).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.sees_next(S, DUTCH).await;
    });
}

#[test]
fn a_start_lifts_nothing_that_was_said_to_another_account() {
    scenario(|| async {
        // The first code is B's now, and has been in A's pool.
        let mut rig = Rig::new(config(&[]), 46).await;
        rig.after(Duration::from_secs(1)).await;
        let text = include_str!("../../../config/compliance.toml")
            .replacen("senders = [\"55555\", \"55556\"", "senders = [\"55556\"", 1)
            .replacen("senders = [\"55557\"]", "senders = [\"55557\", \"55555\"]", 1)
            .replacen(
                "number = \"55555\"\naccount = \"A\"",
                "number = \"55555\"\naccount = \"B\"",
                1,
            );
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        let mut rig = rig.killed(47).await;
        let stop = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(DUTCH, S)
        };
        assert_eq!(rig.deliver(stop).await, CommandStatus::ROK);
        rig.take_reply(S, DUTCH).await;
        rig.mo(DUTCH, S2, "START").await;
        rig.take_reply(S2, DUTCH).await;
        let mut b = bound(&rig.world, b"B").await;
        let forwarded = b.expect(CommandId::DELIVER_SM).await;
        answer_mo(&mut b, &forwarded).await;
        assert_eq!(submit_as(&mut b, 2, sm(S, DUTCH)).await, OPTED_OUT);
        rig.sees_next(S2, DUTCH).await;
    });
}
