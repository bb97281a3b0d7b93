//! How a simulated carrier behaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use rand_core::Rng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState};

use super::id::IdForm;
use super::mo;
use super::quirk::{Quirk, Quirks};
use super::receipt::Dialect;

/// Submits of one link that may wait for their answer when no lower number is agreed.
pub(super) const UNANSWERED_MAX: usize = 100_000;

/// How a carrier behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it calls itself in bind responses.
    pub name: SystemId,
    /// Who may bind, with which password; `None` lets anybody bind.
    pub credentials: Option<(SystemId, Password)>,
    /// The version that bind responses name.
    pub version_shown: VersionShown,
    /// The status that every bind is refused with.
    pub refuse_binds: Option<CommandStatus>,
    /// Links that may be bound at a time; one more is refused with RALYBND.
    pub binds_max: Option<usize>,
    /// Deliveries that may be unanswered on one link.
    pub window: usize,
    /// Submits that may be unanswered on one link, and what one more is refused with.
    pub submits_max: Option<(usize, CommandStatus)>,
    /// Messages a second, with one second's worth at once after a quiet time, and what more are refused with.
    pub rate: Option<(NonZeroU32, CommandStatus)>,
    /// Statuses to refuse messages with, and which share of all messages each has; together no more than all.
    pub refusals: Vec<(CommandStatus, Share)>,
    /// How long a submit waits for its answer. Receipts do not wait for it.
    pub response_delay: Delay,
    /// The share of submits that are taken and never answered.
    pub unanswered: Share,
    /// The first id; `None` takes the date, so that ids stay unique over restarts of the carrier.
    pub first_id: Option<u64>,
    /// How ids are written in answers.
    pub response_id: IdForm,
    /// How ids are written in receipts.
    pub receipt_id: IdForm,
    /// How receipts are worded.
    pub dialect: Dialect,
    /// How long a receipt is held back.
    pub receipt_delay: Delay,
    /// After what pause a delivery is sent again that was refused.
    pub delivery_retry: Duration,
    /// The share of messages that are not delivered, and the state that their receipts tell.
    pub failures: (Share, MessageState),
    /// The share of receipts that are never sent.
    pub lost_receipts: Share,
    /// What becomes of links.
    pub faults: Faults,
    /// What handsets send.
    pub mo: MoOptions,
    /// What else is odd about it.
    pub quirks: Quirks,
    /// Seed of everything that is left to chance.
    pub seed: u64,
}

/// What becomes of links, counted in messages taken over all of them; each number varies by half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// After so many messages the link that brought the last one is reset, without unbind.
    pub reset_every: Option<NonZeroU32>,
    /// After so many messages the link that brought the last one is unbound.
    pub unbind_every: Option<NonZeroU32>,
    /// After so many messages the link that brought the last one falls silent: half open, until the peer
    /// closes it.
    pub silent_every: Option<NonZeroU32>,
    /// Every link is silent from its bind on: it answers nothing, enquire_link included.
    pub dead: bool,
}

/// Mobile-originated messages.
#[derive(Clone, Debug)]
pub struct MoOptions {
    /// Messages a second; none without.
    pub rate: Option<NonZeroU32>,
    /// How many in all; `None`: without end.
    pub messages: Option<u32>,
    /// Who sends.
    pub from: AddressBuf,
    /// The number that is called.
    pub to: AddressBuf,
    /// The text; `None` numbers each, so that the receiving side can tell them apart.
    pub text: Option<String>,
}

impl Options {
    /// A quick and obliging carrier on a free port of this machine, for anybody.
    pub fn open(name: SystemId) -> Self {
        Self {
            listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            name,
            credentials: None,
            version_shown: VersionShown::Peers,
            refuse_binds: None,
            binds_max: None,
            window: 500,
            submits_max: None,
            rate: None,
            refusals: Vec::new(),
            response_delay: Delay::NONE,
            unanswered: Share::NEVER,
            first_id: None,
            response_id: IdForm::Decimal,
            receipt_id: IdForm::Decimal,
            dialect: Dialect::Full,
            receipt_delay: Delay::NONE,
            delivery_retry: Duration::from_millis(200),
            failures: (Share::NEVER, MessageState::Undeliverable),
            lost_receipts: Share::NEVER,
            faults: Faults::default(),
            mo: MoOptions {
                rate: None,
                messages: None,
                from: AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900001").unwrap_or_default(),
                to: AddressBuf::new(Ton::ABBREVIATED, Npi::UNKNOWN, b"12345").unwrap_or_default(),
                text: None,
            },
            quirks: Quirks::NONE,
            seed: 1,
        }
    }

    /// The same for one peer only, known by its password.
    pub fn new(system_id: SystemId, password: Password) -> Self {
        Self {
            credentials: Some((system_id, password)),
            ..Self::open(system_id)
        }
    }

    /// Sets what `profile` stands for.
    #[must_use]
    pub fn with(mut self, profile: Profile) -> Self {
        match profile {
            Profile::Healthy => {}
            Profile::Flaky => {
                self.response_delay = Delay {
                    least: Duration::ZERO,
                    jitter: Duration::from_millis(5),
                };
                self.refusals.push((CommandStatus::RSYSERR, Share::one_in(500)));
                self.faults.reset_every = NonZeroU32::new(10_000);
                self.faults.unbind_every = NonZeroU32::new(45_000);
            }
            Profile::Throttling => {
                self.rate = NonZeroU32::new(500).map(|rate| (rate, CommandStatus::RTHROTTLED));
            }
            Profile::Dead => self.faults.dead = true,
            Profile::Slow => {
                self.response_delay = Delay {
                    least: Duration::from_secs(1),
                    jitter: Duration::from_secs(2),
                };
                self.receipt_delay = Delay {
                    least: Duration::from_secs(5),
                    jitter: Duration::from_secs(5),
                };
            }
            Profile::Capped => {
                self.binds_max = Some(1);
                self.submits_max = Some((10, CommandStatus::RMSGQFUL));
                // Without a delay no window would ever fill.
                self.response_delay = Delay {
                    least: Duration::from_millis(20),
                    jitter: Duration::ZERO,
                };
            }
        }
        self
    }

    /// Whether the carrier has this quirk.
    pub(super) const fn has(&self, quirk: Quirk) -> bool {
        self.quirks.has(quirk)
    }

    /// What contradicts itself or cannot be sent.
    pub(super) fn check(&self) -> Result<(), String> {
        let refused: f64 = self.refusals.iter().map(|(_, share)| share.0).sum();
        if refused > 1.0 + 1e-9 {
            return Err(format!(
                "{:.4} of 100 % of messages are to be refused",
                refused * 100.0
            ));
        }
        if let Some(text) = &self.mo.text {
            mo::check(text)?;
        }
        Ok(())
    }
}

/// What sc_interface_version a bind response has (interop quirks 16 and 34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionShown {
    /// The peer's own.
    Peers,
    /// None.
    Absent,
    /// Always this one.
    Always(InterfaceVersion),
}

/// Ready-made behaviours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Quick and obliging.
    #[default]
    Healthy,
    /// Resets a link about every 10 000 messages and unbinds one about every 45 000, answers within 5 ms,
    /// refuses one message in 500 with 0x08.
    Flaky,
    /// Takes 500 messages a second and refuses more with 0x58.
    Throttling,
    /// Lets links bind, and answers nothing from then on.
    Dead,
    /// Answers after 1 to 3 s, sends receipts after 5 to 10 s.
    Slow,
    /// Lets one link bind (0x05 to further ones) with 10 unanswered submits (0x14 to further ones), and
    /// answers after 20 ms.
    Capped,
}

/// A pause, and by how much it varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest.
    pub least: Duration,
    /// Up to so much longer, evenly spread.
    pub jitter: Duration,
}

impl Delay {
    /// At once.
    pub const NONE: Self = Self::exactly(Duration::ZERO);

    /// Always the same.
    pub const fn exactly(least: Duration) -> Self {
        Self {
            least,
            jitter: Duration::ZERO,
        }
    }

    /// Whether there is no pause at all.
    pub const fn is_none(self) -> bool {
        self.least.is_zero() && self.jitter.is_zero()
    }

    /// One pause.
    pub(super) fn draw(self, rng: &mut impl Rng) -> Duration {
        if self.jitter.is_zero() {
            return self.least;
        }
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        // The upper half of the product is even over 0..jitter.
        let part = u64::try_from((u128::from(rng.next_u64()) * u128::from(jitter)) >> 64).unwrap_or(0);
        self.least + Duration::from_nanos(part)
    }
}

/// How often something happens: never, always, or with a chance between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Never.
    pub const NEVER: Self = Self(0.0);

    /// Once in so many times, on average.
    pub fn one_in(count: u32) -> Self {
        Self(1.0 / f64::from(count.max(1)))
    }

    /// One of several things of which at most one happens at a time, each with its share.
    pub(super) fn draw<T: Copy>(shares: &[(T, Self)], rng: &mut impl Rng) -> Option<T> {
        if shares.is_empty() {
            return None;
        }
        let mut drawn = f64::from(rng.next_u32()) / 4_294_967_296.0;
        shares
            .iter()
            .find(|(_, share)| {
                drawn -= share.0;
                drawn < 0.0
            })
            .map(|(what, _)| *what)
    }

    /// Whether it happens this time. What never happens costs no randomness.
    pub(super) fn falls(self, rng: &mut impl Rng) -> bool {
        self.0 > 0.0 && f64::from(rng.next_u32()) < self.0 * 4_294_967_296.0
    }
}

impl FromStr for Share {
    type Err = &'static str;

    /// `0.02`, or `2%`; from nothing to all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, scale) = match text.strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        match number.parse::<f64>() {
            Ok(share) if (0.0..=scale).contains(&share) => Ok(Self(share / scale)),
            _ => Err("a share is a number from 0 to 1, or from 0% to 100%"),
        }
    }
}

/// Counts down to something that happens every so many messages, give or take half.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Countdown {
    every: Option<NonZeroU32>,
    left: u64,
}

impl Countdown {
    pub(super) fn new(every: Option<NonZeroU32>, rng: &mut impl Rng) -> Self {
        let mut countdown = Self { every, left: 0 };
        countdown.wind(rng);
        countdown
    }

    fn wind(&mut self, rng: &mut impl Rng) {
        if let Some(every) = self.every {
            let every = u64::from(every.get());
            self.left = every - every / 2 + u64::from(rng.next_u32()) % every;
        }
    }

    /// Counts one; tells whether it is time.
    pub(super) fn tick(&mut self, rng: &mut impl Rng) -> bool {
        if self.every.is_none() {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        let due = self.left == 0;
        if due {
            self.wind(rng);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_share_is_a_fraction_or_a_percentage_and_nothing_else() {
        assert_eq!("0.25".parse(), Ok(Share(0.25)));
        assert_eq!("25%".parse(), Ok(Share(0.25)));
        for text in ["", "%", "1.1", "-1", "101%", "x", "NaN", "inf"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_falls_as_often_as_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut falls = |share: Share| (0..100_000).filter(|_| share.falls(&mut rng)).count();
        assert_eq!(falls(Share::NEVER), 0);
        assert_eq!(falls(Share::one_in(1)), 100_000);
        let quarter = falls(Share::one_in(4));
        assert!((24_000..26_000).contains(&quarter), "{quarter}");
    }

    #[test]
    fn of_several_shares_each_falls_as_often_as_it_says_and_they_never_coincide() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let shares = [('a', Share(0.5)), ('b', Share(0.25)), ('c', Share(0.25))];
        let mut counts = [0; 3];
        for _ in 0..100_000 {
            let drawn = Share::draw(&shares, &mut rng).unwrap();
            counts[drawn as usize - 'a' as usize] += 1;
        }
        assert!((49_000..51_000).contains(&counts[0]), "{counts:?}");
        assert!((24_000..26_000).contains(&counts[2]), "{counts:?}");
        assert_eq!(Share::draw(&[('d', Share::NEVER)], &mut rng), None);
    }

    #[test]
    fn what_cannot_all_be_is_refused() {
        let mut options = Options::open(SystemId::new(b"simulator").unwrap());
        let half = "50%".parse().unwrap();
        options.refusals = vec![(CommandStatus::RSYSERR, half), (CommandStatus::RTHROTTLED, half)];
        assert_eq!(options.check(), Ok(()));
        options
            .refusals
            .push((CommandStatus::RMSGQFUL, Share::one_in(1000)));
        assert!(options.check().unwrap_err().starts_with("100.1000 of 100 %"));
        options.refusals.clear();
        options.mo.text = Some("x".repeat(255));
        assert!(options.check().is_err());
    }

    #[test]
    fn a_delay_stays_between_its_bounds_and_reaches_both_ends() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let delay = Delay {
            least: Duration::from_millis(10),
            jitter: Duration::from_millis(10),
        };
        let drawn: Vec<Duration> = (0..1000).map(|_| delay.draw(&mut rng)).collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(*least >= Duration::from_millis(10) && *least < Duration::from_millis(11));
        assert!(*most < Duration::from_millis(20) && *most > Duration::from_millis(19));
    }

    #[test]
    fn a_countdown_comes_round_about_as_often_as_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut countdown = Countdown::new(NonZeroU32::new(100), &mut rng);
        let rounds = (0..100_000).filter(|_| countdown.tick(&mut rng)).count();
        assert!((900..1100).contains(&rounds), "{rounds}");
        let mut never = Countdown::new(None, &mut rng);
        assert!(!never.tick(&mut rng));
        let mut always = Countdown::new(NonZeroU32::new(1), &mut rng);
        assert!(always.tick(&mut rng));
        assert!(!Countdown::new(NonZeroU32::new(u32::MAX), &mut rng).tick(&mut rng));
    }
}
