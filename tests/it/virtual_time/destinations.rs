//! What messages are for, and where they may go: when they come, and again before they leave.

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::identity::Password;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::tlv::{Tag, append};
use tidegate_config::Config;

use super::*;
use crate::wire::Wire;

/// Destination not approved, compliance.md §18.
const NOT_APPROVED: CommandStatus = CommandStatus(0x0403);
const US: &[u8] = b"12025550123";
const DK: &[u8] = b"4520123456";
const MY: &[u8] = b"60123456789";

fn config(account: &str) -> Config {
    bench_config_lines(&[("system_id = \"load\"", account)])
}

fn world(config: Config, seed: u64) -> World {
    let setup = Setup::new(config, 1 << 20, 1 << 28);
    World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), seed).unwrap()
}

fn reload(world: &World, config: &Config) {
    let passwords = vec![Password::new(b"secret", 9).unwrap(); config.carriers.len()];
    let taken = world
        .hub
        .with_gate(|gate, now| gate.reconfigure(now, config, passwords, false));
    assert!(taken.is_ok());
}

async fn bound(world: &World) -> Wire {
    let mut esme = world.esme();
    assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
    esme
}

fn to(number: &[u8]) -> Address<'_> {
    Address::new(Ton::INTERNATIONAL, Npi::ISDN, number).unwrap()
}

async fn submit(esme: &mut Wire, sequence: u32, sm: Sm<'_>) -> CommandStatus {
    esme.send(CommandStatus::ROK, sequence, Operation::SubmitSm(sm))
        .await;
    esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status
}

async fn submit_to(esme: &mut Wire, sequence: u32, number: &[u8]) -> CommandStatus {
    let sm = Sm {
        destination: to(number),
        ..message()
    };
    submit(esme, sequence, sm).await
}

const CLOSED: &str = "country = \"US\"\ncountries = \"all\"\ndestination_approval = true";

fn approved(country: &str) -> Config {
    config(&format!(
        "{CLOSED}\napprovals = [{{ country = \"{country}\", purpose = \"Codes\", sample = \"Your code is 1234\", \
         approved = 2026-01-31, by = \"J. Doe\" }}]"
    ))
}

/// FRD-C01, and what is accepted while a country was open does not leave once it is closed.
#[test]
fn frd_c01_a_country_opens_with_its_approval_and_closes_to_what_waits_without_it() {
    scenario(|| async {
        let world = world(config(CLOSED), 71);
        let mut esme = bound(&world).await;
        assert_eq!(submit_to(&mut esme, 2, DK).await, NOT_APPROVED);
        assert_eq!(submit_to(&mut esme, 3, US).await, CommandStatus::ROK);
        reload(&world, &approved("DK"));
        assert_eq!(submit_to(&mut esme, 4, DK).await, CommandStatus::ROK);
        assert_eq!(submit_to(&mut esme, 5, MY).await, NOT_APPROVED);
        reload(&world, &approved("MY"));
        assert_eq!(submit_to(&mut esme, 6, MY).await, CommandStatus::ROK);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut taken = Vec::new();
        for number in 0..2 {
            let frame = smsc.take_submit(format!("c-{number}").as_bytes()).await;
            taken.push(frame.sm().destination.addr.as_bytes().to_vec());
        }
        assert_eq!(taken, [US, MY], "what waits for DK stays here");
        assert_eq!(esme.take_dlr().await.1, MessageState::Rejected);
        let refused = world.hub.with_gate(|gate, _| {
            let tally = &gate.accounts()[0].tally;
            tally.standing_refused.iter().map(|(_, count)| count).sum::<u64>()
        });
        assert_eq!(refused, 3, "two when they came, one before it left");
    });
}

/// What waits on disk is read back for that, and a power cut does not open a country.
#[test]
fn a_country_that_is_blocked_over_a_restart_gets_nothing_of_what_was_accepted() {
    scenario(|| async {
        let world = world(config("country = \"US\"\ncountries = \"all\""), 72);
        let mut esme = bound(&world).await;
        assert_eq!(submit_to(&mut esme, 2, DK).await, CommandStatus::ROK);
        assert_eq!(submit_to(&mut esme, 3, US).await, CommandStatus::ROK);
        let clock = world.clock.clone();
        let setup = Setup::new(config("country = \"US\""), 1 << 20, 1 << 28);
        let after = World::start_with(&setup, world.kill(), clock, 73).unwrap();
        let (mut smsc, mut esme) = (after.smsc(), bound(&after).await);
        smsc.accept_bind().await;
        assert_eq!(
            smsc.take_submit(b"c-1").await.sm().destination.addr.as_bytes(),
            US
        );
        assert_eq!(esme.take_dlr().await.1, MessageState::Rejected);
        assert_eq!(submit_to(&mut esme, 4, DK).await, NOT_APPROVED);
    });
}

#[test]
fn the_refused_of_a_submit_multi_are_named_and_the_others_go() {
    scenario(|| async {
        let keys = "countries = { US = \"allow\", MY = \"monitor\" }\n\
                    number_modes = [{ prefix = \"1202555\", mode = \"block\" }]";
        let world = world(config(keys), 74);
        let mut esme = bound(&world).await;
        let mut octets = Vec::new();
        let numbers = [US, DK, MY, b"12125550123"];
        for number in numbers {
            Destination::Sme(to(number)).encode(&mut octets);
        }
        let multi = SubmitMulti {
            message: message(),
            destinations: Destinations::new(4, &octets).unwrap(),
        };
        esme.send(CommandStatus::ROK, 2, Operation::SubmitMulti(multi))
            .await;
        let answer = esme.expect(CommandId::SUBMIT_MULTI_RESP).await;
        let Operation::SubmitMultiResp(Some(body)) = answer.pdu().operation else {
            panic!()
        };
        let refused: Vec<_> = body.unsuccess().map(|one| (one.address, one.status)).collect();
        assert_eq!(refused, [(to(US), NOT_APPROVED), (to(DK), NOT_APPROVED)]);
        world.hub.with_gate(|gate, _| {
            let monitored: Vec<_> = gate.accounts()[0].tally.monitored.iter().collect();
            assert_eq!(monitored, [(Some(*b"MY"), 1)]);
        });
    });
}

fn said(value: &[u8], tlvs: &mut Vec<u8>) {
    tlvs.clear();
    assert!(append(tlvs, Tag(0x1400), b"vendor"));
    assert!(append(tlvs, CATEGORY, value));
}

/// Codes by one carrier, all else by the other, also over a restart; the carrier is told nothing of it.
#[test]
fn a_message_goes_the_way_of_what_it_is_for_and_the_parameter_stays_here() {
    let other = "[[carrier]]\nname = \"fast\"\naddresses = [\"127.0.0.1:2901\"]\nsystem_id = \"tidegate\"\n\
                 password_file = \"config/bench-sink.password\"\n\
                 [[route.mt]]\norder = 1\nprefix = \"\"\ncategories = [\"otp\"]\ncarriers = [\"fast\"]";
    let config = bench_config_lines(&[
        ("window = 500", other),
        (
            "system_id = \"load\"",
            "categories = [\"otp\", \"marketing\"]\nsender_settings = [{ sender = \"Bank\", category = \"otp\" }]",
        ),
    ]);
    scenario(|| async {
        let setup = Setup::new(config.clone(), 1 << 20, 1 << 28);
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 75).unwrap();
        let mut esme = bound(&world).await;
        let mut tlvs = Vec::new();
        for (sequence, value, status) in [
            (2, &[Category::Otp.octet()][..], CommandStatus::ROK),
            (3, &[Category::Marketing.octet()], CommandStatus::ROK),
            (4, &[Category::Emergency.octet()], CommandStatus::ROPTPARNOTALLWD),
            (5, &[9], CommandStatus::RINVOPTPARAMVAL),
            (6, b"otp", CommandStatus::RINVOPTPARAMVAL),
        ] {
            said(value, &mut tlvs);
            let sm = Sm {
                tlvs: Tlvs::new(&tlvs),
                ..message()
            };
            assert_eq!(submit(&mut esme, sequence, sm).await, status, "{value:?}");
        }
        let bank = Sm {
            source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Bank").unwrap(),
            ..message()
        };
        assert_eq!(submit(&mut esme, 7, bank).await, CommandStatus::ROK);
        let after = World::start_with(&setup, world.kill(), clock, 76).unwrap();
        let (mut slow, mut fast) = (after.smsc(), after.smsc_of(1));
        slow.accept_bind().await;
        fast.accept_bind().await;
        let frame = fast.take_submit(b"f-1").await;
        let kept: Vec<Tag> = frame.sm().tlvs.iter().map(|tlv| tlv.tag).collect();
        assert_eq!(kept, [Tag(0x1400)]);
        assert_eq!(
            fast.take_submit(b"f-2").await.sm().source.addr.as_bytes(),
            b"Bank"
        );
        assert_eq!(slow.take_submit(b"s-1").await.sm().tlvs.get(CATEGORY), None);
        let more = tokio::time::timeout(Duration::from_secs(5), slow.expect(CommandId::SUBMIT_SM)).await;
        assert!(more.is_err(), "that was the only one for it");
    });
}
