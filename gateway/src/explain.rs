//! Why a message would go the way it goes: every route that is tried, the carriers in order, and what admission would
//! say. Asked of a configuration, or of the running gateway with what it knows of carriers and rates; nothing is sent or
//! changed.

mod mo;
mod question;
mod shown;
mod texts;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::text::ucs2::ByteOrder;
use tidegate_codec::text::{Carriage, Charset, Coding, DefaultAlphabet, Peer, Shifts, encode};
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{DataCoding, InterfaceVersion};
use tidegate_config::{Account, CarrierName, Choose, Config, Country, MtRoute};
use tidegate_store::addresses::Addresses;
use tidegate_store::usage::Used;

use crate::addressing::Addressing;
use crate::admission::{AccountRates, Applicant, Buckets, CountryBuckets, Submission, admit, facts};
use crate::bucket::Bucket;
use crate::clock::Now;
use crate::legal::Claims;
use crate::quota;
use crate::refusal::Refusal;
use crate::router::{CarrierIndex, Facts, KeptOut, MtRouter, Place, Tried, Why, World};
use crate::standing::{Recipient, Standing};
use crate::tables::Tables;
pub use mo::{MoQuestion, explain_mo, shown_mo};
pub use question::Question;
pub use shown::shown;
use texts::shown_text;

/// What the running gateway knows besides its configuration.
#[derive(Debug)]
pub struct Live {
    /// Whether each carrier is up, in the order of the configuration.
    pub is_up: Vec<bool>,
    /// How far the account's rates are used, at the gateway's own time.
    pub rates: AccountRates,
    /// The same of all accounts by country.
    pub countries: CountryBuckets,
    /// Parts that are left of the account's quotas.
    pub quota_left: u64,
    /// Of each route, whose turn the next message gets.
    pub turns: Vec<u8>,
    /// Who is restricted.
    pub claims: Arc<Claims>,
}

/// Answers a question, as an object that [`shown`] turns into text. Without `live` every carrier counts as up.
///
/// # Errors
///
/// What is wrong with the question, in words.
pub fn explain(
    config: &Config,
    tables: &Tables,
    live: Option<Live>,
    question: &Question,
    now: Now,
) -> Result<Map<String, Value>, String> {
    let named = |account: &Account| account.system_id.as_str() == question.account;
    let place = config
        .accounts
        .iter()
        .position(named)
        .ok_or_else(|| format!("there is no account {:?}", question.account))?;
    let account = &config.accounts[place];
    let now = Now {
        unix_ms: question.at_ms.unwrap_or(now.unix_ms),
        ..now
    };
    let is_live = live.is_some();
    let mut live = live.unwrap_or_else(|| Live {
        is_up: vec![true; config.carriers.len()],
        rates: AccountRates::new(account),
        countries: CountryBuckets::new(&config.limits.country_rates),
        quota_left: quota::left(&account.quota, Used::default()),
        turns: Vec::new(),
        claims: Arc::default(),
    });
    let index = |name: &str| {
        let named = |carrier: &tidegate_config::Carrier| carrier.name.as_str() == name;
        config.carriers.iter().position(named).map(CarrierIndex)
    };
    let mut router = MtRouter::new(&config.mt_routes, index);
    router.keep_out(KeptOut::of(config));
    router.set_time(now.unix_ms);
    let world = World {
        is_up: |CarrierIndex(place): CarrierIndex| live.is_up.get(place).copied().unwrap_or(false),
        tables,
    };

    let (mut text, mut payload) = (Vec::new(), Vec::new());
    let sm = message(question, account, &mut text, &mut payload)?;
    let submission = Submission::from_sm(&sm, InterfaceVersion::V5_0, &[]);
    let addressing = Addressing::new(config);
    let own = addressing.of_account(place, &account.numbering);
    // Of an address that is refused the routes are told as it stands there.
    let kept = (
        own.source(submission.source)
            .unwrap_or_else(|_| submission.source.to_buf()),
        own.destination(submission.destination)
            .unwrap_or_else(|_| submission.destination.to_buf()),
    );
    let there = Place::of(tables, kept.1.ton(), kept.1.as_bytes());
    let country = there.country.or_else(|| own.country_of(&kept.1));
    let said = submission.category.unwrap_or_default();
    // Of one that is refused, the routes are told what it says.
    let category = account.category.of(said, kept.0.as_bytes(), || country).or(said);
    let mut facts = Facts {
        category,
        place: Some(there),
        ..facts(account, &submission, (&kept.0, &kept.1), 0)
    };
    let taken_by = router.find(&facts, &world).route();
    if submission.part_of.is_none() {
        let turn = taken_by.and_then(|route| live.turns.get(route));
        facts.lot = turn.copied().unwrap_or(0);
    }
    let found = router.find(&facts, &world);
    let tried = router.explain(&facts, &world);
    let default_validity = |_: &Facts<'_>| {
        let CarrierIndex(first) = found.first()?;
        Some(config.carriers.get(first)?.default_validity)
    };
    let standing = Standing::new(config);
    let applicant = Applicant {
        account,
        addressing: own,
        standing: standing.of_account(place, own),
        tables,
        quota_left: live.quota_left,
    };
    let admitted = admit(applicant, default_validity, &submission, now).and_then(|mut admitted| {
        let recipient = Recipient::new(admitted.destination.clone(), account.numbering.country);
        let written = recipient.address().as_bytes();
        if live
            .claims
            .restrict(account.system_id, written, || recipient.person())
        {
            return Err(Refusal::Restricted);
        }
        applicant
            .standing
            .keep_hours(account, &recipient, &mut admitted)?;
        let country = country.map(Country::octets);
        let mut buckets = Buckets {
            link: &mut Bucket::new(None),
            account: &mut live.rates,
            gateway: &mut live.countries,
        };
        let taken = buckets.take(now.monotonic, country, u32::from(admitted.parts));
        taken.map_or(Err(Refusal::Throttled), |()| Ok(admitted))
    });
    let is_near = |tried: &&Tried| tried.why != Why::Prefix;
    let routes: Vec<Value> = tried
        .iter()
        .filter(is_near)
        .filter_map(|tried| Some((config.mt_routes.get(tried.route)?, tried.why)))
        .map(|(route, why)| shown_route(route, why))
        .collect();
    let addresses = Addresses::new(&kept.0, &kept.1);
    let price = |place: CarrierIndex| {
        let price = tables.price(place, there.index, facts.destination);
        price.filter(|_| there.is_international)
    };
    let route = found.route().and_then(|route| config.mt_routes.get(route));
    let of_route = || {
        let names = route.into_iter().flat_map(|route| &route.carriers);
        names.filter_map(|name| Some((name.as_str(), index(name.as_str())?)))
    };
    let is_kept_out =
        |(_, place): &(&str, CarrierIndex)| router.kept_out().keeps(Some(account.system_id), *place);
    let in_clear: Vec<&str> = of_route().filter(is_kept_out).map(|(name, _)| name).collect();
    let too_dear: Vec<Value> = of_route()
        .filter(|there| !is_kept_out(there))
        .filter(|(_, place)| !found.in_order(0).any(|taken| taken == *place))
        .map(|(name, place)| json!({ "carrier": name, "price": price(place).map(|price| price.to_string()) }))
        .collect();
    let carriers: Vec<Value> = found
        .in_order(0)
        .filter_map(|place| {
            let carrier = config.carriers.get(place.0)?;
            let up = if is_live {
                json!((world.is_up)(place))
            } else {
                Value::Null
            };
            let rate = carrier.country_rates.of(country.map(Country::octets));
            let rate = rate.map(|(rate, is_shared)| {
                let country = country.filter(|_| !is_shared).map(|country| country.to_string());
                json!({ "parts": rate, "country": country })
            });
            let words = addressing.towards(place.0, &carrier.writing, &addresses);
            Some(json!({
                "carrier": carrier.name.as_str(),
                "up": up,
                "price": price(place).map(|price| price.to_string()),
                "country_rate": rate,
                "text": shown_text(carrier, account, &sm),
                "from": words.as_ref().map_or(Value::Null, |words| shown_address(&words.source)),
                "to": words.as_ref().map_or(Value::Null, |words| shown_address(&words.destination)),
            }))
        })
        .collect();
    let told = json!({
        "asked": if is_live { "running gateway" } else { "configuration" },
        "at": time(now.unix_ms),
        "account": question.account,
        "from": shown_address(&submission.source.to_buf()),
        "to": shown_address(&submission.destination.to_buf()),
        "kept": { "from": shown_address(&kept.0), "to": shown_address(&kept.1) },
        "octets": submission.text.0.len(),
        "data_coding": submission.data_coding.0,
        "parts": facts.parts,
        "category": category.map(Category::word),
        "country": country.map(|country| country.to_string()),
        "network": there.network.map(|network| network.to_string()),
        "routes": routes,
        "routes_of_other_prefixes": tried.len() - routes.len(),
        "carriers": carriers,
        "too_dear": too_dear,
        "in_clear_text": in_clear,
        "admission": match admitted {
            Ok(admitted) => json!({
                "admitted": true,
                "due": time(admitted.due_ms),
                "deferred": admitted.deferred,
                "expires": time(admitted.expires_ms),
            }),
            Err(refusal) => shown_refusal(refusal),
        },
    });
    match told {
        Value::Object(told) => Ok(told),
        _ => Ok(Map::new()),
    }
}

/// The submit_sm that the question stands for. Texts that short_message does not hold go into message_payload.
pub(crate) fn message<'a>(
    question: &'a Question,
    account: &Account,
    text: &'a mut Vec<u8>,
    payload: &'a mut Vec<u8>,
) -> Result<Sm<'a>, String> {
    let written = written(&question.text, account.default_alphabet, text);
    let data_coding = question.data_coding.map_or(written, DataCoding);
    if let Some(category) = question.category {
        // One octet fits.
        let _ = append(payload, CATEGORY, &[category.octet()]);
    }
    let short_message = match ShortMessage::new(text) {
        Some(short) => short,
        None if append(payload, Tag::MESSAGE_PAYLOAD, text) => ShortMessage::default(),
        None => return Err("the text is longer than a message can be: 65 535 octets".to_owned()),
    };
    let service_type = COctets::new(question.service_type.as_bytes())
        .map_err(|_| "service_type has at most 5 characters".to_owned())?;
    Ok(Sm {
        service_type,
        source: question.source()?,
        destination: question.destination()?,
        data_coding,
        short_message,
        tlvs: Tlvs::new(payload),
        ..Sm::default()
    })
}

/// Writes a text in the account's default alphabet, or in UCS-2 where that lacks a character; says which.
pub(crate) fn written(words: &str, default_alphabet: DefaultAlphabet, out: &mut Vec<u8>) -> DataCoding {
    if default_alphabet == DefaultAlphabet::Gsm7 {
        return encode(words, &[], Carriage::Payload, out).data_coding();
    }
    let peer = Peer {
        default_alphabet,
        ..Peer::default()
    };
    let default = Charset::of(Coding::of(DataCoding(0)), peer, Shifts::NONE, 0);
    if default.encode(words, out).is_ok() {
        return DataCoding(0);
    }
    // UCS-2 has every character.
    let _ = Charset::Ucs2(ByteOrder::Big).encode(words, out);
    DataCoding(8)
}

fn shown_route(route: &MtRoute, why: Why) -> Value {
    json!({
        "route": route.name,
        "order": route.order,
        "prefix": route.prefix,
        "why": why.word(),
        "choose": match &route.choose {
            Choose::InOrder => "in-order",
            Choose::RoundRobin => "round-robin",
            Choose::LeastCost => "least-cost",
            Choose::Weighted(_) => "weighted",
        },
        "carriers": route.carriers.iter().map(CarrierName::as_str).collect::<Vec<_>>(),
        "max_price": route.conditions.max_price.map(|price| price.to_string()),
    })
}

fn shown_address(address: &AddressBuf) -> Value {
    json!({
        "ton": address.ton().0,
        "npi": address.npi().0,
        "address": String::from_utf8_lossy(address.as_bytes()),
    })
}

fn shown_refusal(refusal: Refusal) -> Value {
    let status = refusal.status(InterfaceVersion::V5_0);
    json!({
        "admitted": false,
        "status": format!("{:#010x}", status.0),
        "name": status.name(),
        "why": refusal.words(),
    })
}

/// A unix time as RFC 3339 has it, in UTC.
fn time(unix_ms: u64) -> Value {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| json!(at.to_string()))
}
