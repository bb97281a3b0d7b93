//! What people are answered: one confirmation, help, and nothing too often or too late.

use std::time::Duration;

use tidegate_codec::pdu::message::{ShortMessage, Sm};

use super::rig::*;
use super::*;
use crate::wire::{Wire, octets};

#[test]
fn opt_c21_one_confirmation_in_a_day_at_any_hour() {
    scenario(|| async {
        let codes = config(&[(OF_A, "category = \"otp\"")]);
        // 23:00 in New York.
        let setup = Setup::new(codes, 1 << 20, 1 << 28);
        let night = Clock::virtual_from(START_MS + 4 * 3_600_000 - 60_000);
        let mut rig = Rig::on(setup, FaultyDisk::new(), night, 22).await;
        rig.mo(R, S, "STOP").await;
        let reply = rig.take_reply(S, R).await;
        assert!(reply.starts_with("Example A: you are unsubscribed"), "{reply}");
        assert!(!reply.contains("http") && !reply.contains("www"));
        rig.mo(R, S, "STOP").await;
        rig.sees_next(S, R2).await;
        rig.after(Duration::from_secs(1)).await;
        // A kill does not let a second one out.
        let mut rig = rig.killed(23).await;
        rig.mo(R, S, "STOP").await;
        rig.sees_next(S, R2).await;
        rig.after(Duration::from_secs(1)).await;
        let next_day = Clock::virtual_from(START_MS + 28 * 3_600_000);
        let mut rig = Rig::on(rig.setup, rig.world.kill(), next_day, 24).await;
        rig.mo(R, S, "STOP").await;
        rig.take_reply(S, R).await;
    });
}

#[test]
fn opt_c23_the_language_of_the_keyword_and_help_for_whoever_asks() {
    scenario(|| async {
        let canadian = b"16135550123";
        let mut rig = Rig::new(config(&[]), 24).await;
        rig.mo(canadian, S, "ARRET").await;
        assert!(rig.take_reply(S, canadian).await.contains("desinscrit"));
        rig.mo(R, S, "STOP").await;
        assert!(rig.take_reply(S, R).await.contains("unsubscribed"));
        rig.mo(R, S, "HELP").await;
        let help = rig.take_reply(S, R).await;
        // `@` is an octet of zero in the alphabet.
        assert!(help.contains("help\0example.com"), "{help:?}");
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn five_answers_in_a_day_and_none_to_our_own_numbers() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 25).await;
        for _ in 0..5 {
            rig.mo(R, S, "HELP").await;
            rig.take_reply(S, R).await;
        }
        rig.mo(R, S, "HELP").await;
        rig.mo(TOLL_FREE, S, "HELP").await;
        rig.mo(OF_B, S, "HELP").await;
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn an_answer_that_finds_no_carrier_in_five_minutes_is_not_sent_late() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 26).await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        let sequence = rig.next();
        let octets = octets(CommandStatus::ROK, sequence, Operation::DeliverSm(mo));
        rig.smsc.write(&octets).await.unwrap();
        let link = std::mem::replace(&mut rig.smsc, Wire::new(tokio::io::duplex(64).0));
        drop(link);
        rig.take_mo().await;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(301)) => {}
            never = rig.a.keep_alive() => match never {},
        }
        let mut smsc = rig.world.smsc();
        smsc.accept_bind().await;
        rig.smsc = smsc;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT, "it was heard");
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn opt_c25_on_toll_free_the_network_answers_and_we_follow() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 27).await;
        rig.mo(R, TOLL_FREE, "STOP").await;
        assert_eq!(rig.submit(TOLL_FREE, R).await, OPTED_OUT);
        rig.mo(R, TOLL_FREE, "UNSTOP").await;
        rig.sees_next(TOLL_FREE, R).await;
    });
}
