//! Admission and routing as the gate asks them, message after message, without a gate around: what they cost, and that
//! they allocate nothing, are said about one and the same thing by a benchmark and by a test.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate_codec::address::{ADDR_SM, Address, Npi, Ton};
use tidegate_codec::octets::OctetsError;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::InterfaceVersion;
use tidegate_config::{Account, Config};
use tidegate_gateway::addressing::Addressing;
use tidegate_gateway::admission::{
    AccountRates, Applicant, Buckets, Country, CountryBuckets, Submission, admit,
};
use tidegate_gateway::bucket::Bucket;
use tidegate_gateway::clock::Now;
use tidegate_gateway::quota::{self, Calendar};
use tidegate_gateway::refusal::Refusal;
use tidegate_gateway::router::{CarrierIndex, Facts, MtRouter, Place, World};
use tidegate_gateway::standing::{Asked, Standing};
use tidegate_gateway::tables::Tables;
use tidegate_store::addresses::Addresses;
use tidegate_store::usage::Used;

/// Messages of one round: different senders, recipients in six countries, one of four ported.
pub const MESSAGES: u64 = 4_096;
/// Where numbers of mobiles begin and how many digits follow; country and MCC.
const AREAS: [(&str, usize, &str, u32); 6] = [
    ("44785", 7, "GB", 234),
    ("336", 8, "FR", 208),
    ("4915", 9, "DE", 262),
    ("346", 8, "ES", 214),
    ("393", 9, "IT", 222),
    ("316", 8, "NL", 204),
];

/// Which account asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// It may send what it likes, one route takes everything, and nothing is limited.
    Plain,
    /// Its own senders, numbers in their canonical form, a rate, quotas; five routes that ask for country, network,
    /// prefix and kind of sender and have weights, turns and prices; networks, ported numbers, prices.
    Typical,
    /// The same, and rates by country, and senders for some countries only.
    ByCountry,
}

/// One account's messages, and what the gate has to answer them with.
#[derive(Debug)]
pub struct Desk {
    config: Config,
    tables: Tables,
    addressing: Addressing,
    standing: Standing,
    router: MtRouter,
    calendar: Calendar,
    link: Bucket,
    rates: AccountRates,
    countries: CountryBuckets,
    now: Now,
    messages: Vec<Message>,
    next: usize,
}

#[derive(Debug)]
struct Message {
    source: (Ton, Npi, Vec<u8>),
    destination: (Ton, Npi, Vec<u8>),
}

impl Desk {
    /// Writes the tables' files into a directory and reads them.
    ///
    /// # Errors
    ///
    /// They cannot be written or read.
    pub fn new(asker: Asker, dir: &Path) -> Result<Self, Box<dyn Error>> {
        write_tables(dir)?;
        let config = tidegate_config::parse(&text(asker, dir))?;
        let account: &Account = config.accounts.first().ok_or("no account")?;
        let named = |name: &str| {
            config
                .carriers
                .iter()
                .position(|there| there.name.as_str() == name)
        };
        let mut router = MtRouter::new(&config.mt_routes, |name| named(name).map(CarrierIndex));
        // A Monday, at noon.
        let now = Now {
            monotonic: Duration::from_secs(3_600),
            unix_ms: 1_795_435_200_000,
        };
        router.set_time(now.unix_ms);
        Ok(Self {
            tables: Tables::load(&config)?,
            addressing: Addressing::new(&config),
            standing: Standing::new(&config),
            router,
            calendar: Calendar::default(),
            link: Bucket::new(account.link_rate),
            rates: AccountRates::new(account),
            countries: CountryBuckets::new(&config.limits.country_rates),
            now,
            messages: (0..MESSAGES).map(Message::new).collect(),
            next: 0,
            config,
        })
    }

    /// Admits the next message and routes it twice: when it comes, and from what is kept of it when it is put in line for
    /// a carrier. Says for which.
    ///
    /// # Errors
    ///
    /// Why it may not come in.
    pub fn take(&mut self) -> Result<CarrierIndex, Refusal> {
        let Self {
            config,
            tables,
            addressing,
            standing,
            router,
            calendar,
            link,
            rates,
            countries,
            now,
            messages,
            next,
        } = self;
        // A thousand a second, so that the rates let all in.
        now.monotonic += Duration::from_millis(1);
        now.unix_ms += 1;
        let message = messages.get(*next).ok_or(Refusal::NoRoute)?;
        *next = (*next + 1) % messages.len();
        let account = config.accounts.first().ok_or(Refusal::NoRoute)?;
        let mut buckets = Buckets {
            link,
            account: rates,
            gateway: countries,
        };

        let sm = message.sm().map_err(|_| Refusal::Recipient)?;
        let submission = Submission::from_sm(&sm, InterfaceVersion::V3_4, &[]);
        buckets.fits(now.monotonic, 1).map_err(|_| Refusal::Throttled)?;
        let world = World {
            is_up: |_: CarrierIndex| true,
            tables,
        };
        let mut taken_by = None;
        let route = |facts: &Facts<'_>| {
            let way = router.find(facts, &world);
            taken_by = way.route();
            let CarrierIndex(first) = way.first()?;
            Some(config.carriers.get(first)?.default_validity)
        };
        let quota_left = if account.quota.is_none() {
            u64::MAX
        } else {
            let _ = calendar.period(&account.quota, *now);
            quota::left(&account.quota, Used::default())
        };
        let own = addressing.of_account(0, &account.numbering);
        let standing = standing.of_account(0, own);
        let applicant = Applicant {
            account,
            addressing: own,
            standing,
            tables,
            quota_left,
        };
        let mut admitted = admit(applicant, route, &submission, *now)?;
        let country = (buckets.account.countries.has_names() || buckets.gateway.has_names()).then(|| {
            let to = &admitted.destination;
            let look = || Place::of(tables, to.ton(), to.as_bytes());
            let there = admitted.place.unwrap_or_else(look).country;
            there.or_else(|| own.country_of(to))
        });
        let country: Option<Country> = country.flatten().map(tidegate_config::Country::octets);
        buckets
            .take(now.monotonic, country, u32::from(admitted.parts))
            .map_err(|_| Refusal::Throttled)?;
        if let Some(route) = taken_by {
            admitted.lot = router.take_turn(route);
        }

        let kept = Addresses::new(&admitted.source, &admitted.destination);
        let (source, destination) = (kept.source(), kept.destination());
        let facts = Facts {
            account: Some(account.system_id),
            source_ton: source.ton(),
            source: source.as_bytes(),
            destination_ton: destination.ton(),
            destination: destination.as_bytes(),
            service_type: submission.service_type,
            data_coding: submission.data_coding,
            category: Some(admitted.category),
            place: None,
            parts: admitted.parts,
            lot: admitted.lot,
        };
        let mut carriers = router.find(&facts, &world).in_order(0);
        let carrier = carriers.find(|carrier| (world.is_up)(*carrier));
        // As it is asked again before the hand-over.
        if !standing.is_open() {
            let there = Place::of(tables, destination.ton(), destination.as_bytes()).country;
            let asked = Asked {
                recipient: &destination,
                country: there.or_else(|| own.country_of(&destination)),
                category: Some(admitted.category),
            };
            let _ = standing.may(&asked, *now)?;
        }
        carrier.ok_or(Refusal::NoRoute)
    }
}

impl Message {
    /// Of three of four senders the name, of the others a number; half of what goes to the country at home is written as
    /// one writes there, the rest as international numbers with and without `+`.
    fn new(place: u64) -> Self {
        let (number, name) = ((Ton::NATIONAL, Npi::ISDN), (Ton::ALPHANUMERIC, Npi::UNKNOWN));
        let ((ton, npi), source) = match place % 4 {
            0 => (number, &b"07700900123"[..]),
            1 => (name, &b"Shop"[..]),
            2 => (name, &b"Tidegate"[..]),
            _ => (name, &b"Bank"[..]),
        };
        let digits = recipient(place).into_bytes();
        let destination = match (place % 8, digits.strip_prefix(b"44")) {
            (0..=3, Some(rest)) => (Ton::UNKNOWN, Npi::ISDN, [b"0", rest].concat()),
            (5, _) => (Ton::UNKNOWN, Npi::UNKNOWN, [b"+", &digits[..]].concat()),
            _ => (Ton::INTERNATIONAL, Npi::ISDN, digits),
        };
        Self {
            source: (ton, npi, source.to_vec()),
            destination,
        }
    }

    fn sm(&self) -> Result<Sm<'_>, OctetsError> {
        fn field((ton, npi, octets): &(Ton, Npi, Vec<u8>)) -> Result<Address<'_, ADDR_SM>, OctetsError> {
            Address::new(*ton, *npi, octets)
        }
        Ok(Sm {
            source: field(&self.source)?,
            destination: field(&self.destination)?,
            short_message: ShortMessage::new(b"Your code is 123456").unwrap_or_default(),
            ..Sm::default()
        })
    }
}

/// The number of a message's recipient.
fn recipient(number: u64) -> String {
    // Spread by a multiplication: neighbours are in other countries and networks.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Every other one is at home.
    let area = if spread & 1 == 0 {
        0
    } else {
        (spread >> 8) as usize % AREAS.len()
    };
    let (start, digits, ..) = AREAS[area];
    let rest = (spread >> 20) % 10_u64.pow(u32::try_from(digits).unwrap_or(8));
    format!("{start}{rest:0digits$}")
}

/// Four networks in each country, by the two digits behind the first ones; every fourth recipient is ported to another.
fn write_tables(dir: &Path) -> std::io::Result<()> {
    let mut networks = "prefix,from,to,network,country\n".to_owned();
    let (mut ported, mut prices) = ("number,network\n".to_owned(), "network,price\n".to_owned());
    for (start, _, country, mcc) in AREAS {
        for block in 0..100 {
            let _ = writeln!(
                networks,
                "{start}{block:02},,,{mcc}{:02},{country}",
                block % 4 + 1
            );
        }
        for network in 1..=4 {
            let _ = writeln!(prices, "{mcc}{network:02},0.0{network}");
        }
    }
    for number in (0..MESSAGES).step_by(4) {
        let digits = recipient(number);
        let (.., mcc) = AREAS
            .iter()
            .find(|area| digits.starts_with(area.0))
            .unwrap_or(&AREAS[0]);
        let _ = writeln!(ported, "{digits},{mcc}{:02}", number / 4 % 4 + 1);
    }
    fs::write(dir.join("networks.csv"), networks)?;
    fs::write(dir.join("ported.csv"), ported)?;
    fs::write(dir.join("prices.csv"), prices)
}

/// The configuration.
fn text(asker: Asker, dir: &Path) -> String {
    let path = |name: &str| serde_json::Value::from(dir.join(name).display().to_string()).to_string();
    let (networks, ported, prices) = (path("networks.csv"), path("ported.csv"), path("prices.csv"));
    let mut text = r#"
[[listen]]
address = "127.0.0.1:2775"
[storage]
data = "data"
key_ring = "keys"
kek_file = "kek"
"#
    .to_owned();
    for name in ["direct", "cheap", "third"] {
        let prices = if asker == Asker::Plain {
            String::new()
        } else {
            format!("prices = {prices}\n")
        };
        let _ = write!(
            text,
            "[[carrier]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:2900\"]\nsystem_id = \"tidegate\"\n\
             password_file = \"password\"\n{prices}"
        );
    }
    text.push_str(
        r#"
[[account]]
system_id = "shop"
password_hashes = ["$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0"]
"#,
    );
    if asker == Asker::Plain {
        text.push_str("[[route.mt]]\nprefix = \"\"\ncarriers = [\"direct\"]\n");
        return text;
    }
    text.push_str(
        r#"
rate = 5_000
link_rate = 2_000
quota_day = 1_000_000_000
quota_month = 10_000_000_000
numbers = "canonical"
country = "GB"
countries = ["GB", "FR", "DE", "ES", "IT", "NL"]
"#,
    );
    text.push_str(match asker {
        Asker::ByCountry => {
            r#"
senders = ["4477009001*", "Shop"]
senders_by_country = [
    { sender = "Tidegate", countries = ["GB", "FR", "DE", "ES", "IT", "NL"] },
    { sender = "Bank*", countries = ["GB", "FR", "DE", "ES", "IT", "NL"] },
]
country_rates = { GB = 4_000, FR = 4_000, "*" = 4_000 }
"#
        }
        _ => "senders = [\"4477009001*\", \"Shop\", \"Tidegate\", \"Bank*\"]\n",
    });
    let _ = write!(text, "[tables]\nnetworks = {networks}\nported = {ported}\n");
    text.push_str(
        r#"
[[route.mt]]
order = 10
prefix = ""
countries = ["FR", "ES"]
networks = ["20801", "21402"]
carriers = ["cheap", "third"]
choose = "round-robin"
[[route.mt]]
order = 10
prefix = "44"
sender_types = ["number"]
carriers = ["direct", "cheap"]
weights = [3, 1]
[[route.mt]]
prefix = "447"
carriers = ["direct", "third"]
weights = [2, 1]
[[route.mt]]
prefix = ""
countries = ["DE", "IT", "NL"]
carriers = ["direct", "cheap", "third"]
choose = "least-cost"
[[route.mt]]
prefix = ""
carriers = ["third", "direct"]
"#,
    );
    text
}
