//! May this submission come in? Cheapest question first; the first no answers (design §5.3).

mod rates;
mod room;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::time::Duration;

use tidegate_codec::address::{ADDR_DATA, Address, AddressBuf, Ton};
use tidegate_codec::category::{Category, UnknownCategory};
use tidegate_codec::octets::{Body, COctets};
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::text::{Alphabet, Coding, Place, Reference, Udh};
use tidegate_codec::time::SmppTime;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{DataCoding, EsmClass, InterfaceVersion, RegisteredDelivery};
use tidegate_config::{Account, AccountState, may_be_marketing};
use tidegate_store::record::Form;
use tidegate_store::service_type::ServiceType;

use crate::abuse::Watched;
use crate::addressing::{AccountAddressing, is_number_like};
use crate::clock::Now;
use crate::mt::Replaced;
use crate::refusal::Refusal;
use crate::router::{self, Facts, lot_of_part};
use crate::standing::{AccountStanding, Asked, Noted};
use crate::tables::Tables;

pub use rates::{AccountRates, Buckets, Country, CountryBuckets};

/// A message that an account submits, whichever door it came through.
#[derive(Debug)]
pub struct Submission<'a> {
    /// Which PDU it is.
    pub form: Form,
    /// What the session speaks.
    pub version: InterfaceVersion,
    /// Sender.
    pub source: Address<'a, ADDR_DATA>,
    /// Recipient.
    pub destination: Address<'a, ADDR_DATA>,
    /// Type and features.
    pub esm_class: EsmClass,
    /// Priority; 0 where the form has none.
    pub priority: u8,
    /// When to hand it over.
    pub schedule: &'a [u8],
    /// How long to try.
    pub validity: &'a [u8],
    /// Which receipts are wanted.
    pub registered_delivery: RegisteredDelivery,
    /// Which service it belongs to.
    pub service_type: ServiceType,
    /// `replace_if_present_flag`: 1 where it takes the place of earlier messages.
    pub replace: u8,
    /// Predefined message.
    pub default_message: u8,
    /// Whether there is text both in short_message and in message_payload.
    pub two_texts: bool,
    /// `qos_time_to_live` in seconds, which beats the validity where it is given (5.0 §4.8.4.46).
    pub time_to_live: Option<u32>,
    /// How its text is written.
    pub data_coding: DataCoding,
    /// What it says it is for.
    pub category: Result<Option<Category>, UnknownCategory>,
    /// Its place among the parts of a long message, if it is one of several.
    pub part_of: Option<Place>,
    /// Its text.
    pub text: Body<'a>,
    /// short_message, whether it is its text or not.
    pub short_message: Body<'a>,
    /// Its TLVs, which may have more texts.
    pub tlvs: Tlvs<'a>,
    /// The PDU's body as it came.
    pub body: Body<'a>,
}

impl<'a> Submission<'a> {
    /// From a submit_sm with the octets of its body.
    pub fn from_sm(sm: &Sm<'a>, version: InterfaceVersion, body: &'a [u8]) -> Self {
        Self {
            form: Form::Sm,
            version,
            source: widen(sm.source),
            destination: widen(sm.destination),
            esm_class: sm.esm_class,
            priority: sm.priority_flag,
            schedule: sm.schedule_delivery_time.as_bytes(),
            validity: sm.validity_period.as_bytes(),
            registered_delivery: sm.registered_delivery,
            service_type: service_type(sm.service_type),
            replace: sm.replace_if_present_flag,
            default_message: sm.sm_default_msg_id,
            two_texts: !sm.short_message.as_bytes().is_empty() && sm.tlvs.message_payload().is_some(),
            time_to_live: time_to_live(sm.tlvs, version),
            data_coding: sm.data_coding,
            category: Category::of_tlvs(sm.tlvs),
            part_of: part_of_sm(sm),
            text: sm.text(),
            short_message: Body(sm.short_message.as_bytes()),
            tlvs: sm.tlvs,
            body: Body(body),
        }
    }

    /// From a data_sm with the octets of its body.
    pub fn from_data_sm(sm: &DataSm<'a>, version: InterfaceVersion, body: &'a [u8]) -> Self {
        Self {
            form: Form::DataSm,
            version,
            source: sm.source,
            destination: sm.destination,
            esm_class: sm.esm_class,
            priority: 0,
            schedule: &[],
            validity: &[],
            registered_delivery: sm.registered_delivery,
            service_type: service_type(sm.service_type),
            replace: 0,
            default_message: 0,
            two_texts: false,
            time_to_live: sm.tlvs.long(Tag::QOS_TIME_TO_LIVE),
            data_coding: sm.data_coding,
            category: Category::of_tlvs(sm.tlvs),
            part_of: part_of_data_sm(sm),
            text: sm.tlvs.message_payload().unwrap_or_default(),
            short_message: Body::default(),
            tlvs: sm.tlvs,
            body: Body(body),
        }
    }
}

pub(crate) fn widen<const FROM: usize, const TO: usize>(address: Address<'_, FROM>) -> Address<'_, TO> {
    // Every address of the other PDUs fits the wider field of data_sm.
    Address::new(address.ton, address.npi, address.addr.as_bytes()).unwrap_or_default()
}

fn service_type(field: COctets<'_, 6>) -> ServiceType {
    // The field holds no more.
    ServiceType::new(field.as_bytes()).unwrap_or_default()
}

/// The place of a submit_sm among the parts of a long message, if it is one of several.
pub(crate) fn part_of_sm(sm: &Sm<'_>) -> Option<Place> {
    part_of(sm.esm_class, || sm.text(), sm.tlvs)
}

/// The same of a data_sm.
pub(crate) fn part_of_data_sm(sm: &DataSm<'_>) -> Option<Place> {
    let text = || sm.tlvs.message_payload().unwrap_or_default();
    part_of(sm.esm_class, text, sm.tlvs)
}

/// A header says it, or else SAR parameters do. The only part of a text is none of several.
fn part_of<'a>(esm_class: EsmClass, text: impl FnOnce() -> Body<'a>, tlvs: Tlvs<'_>) -> Option<Place> {
    let place = if esm_class.has_udh() {
        let (header, _) = Udh::split(text().0).ok()?;
        header.place()
    } else if tlvs.is_empty() {
        None
    } else {
        Place::of_tlvs(&tlvs)
    };
    place.filter(|place| place.total() > 1)
}

fn time_to_live(tlvs: Tlvs<'_>, version: InterfaceVersion) -> Option<u32> {
    if version.is_v5() {
        tlvs.long(Tag::QOS_TIME_TO_LIVE)
    } else {
        None
    }
}

/// What was decided about a submission that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Sender, owned.
    pub source: AddressBuf,
    /// Recipient, owned.
    pub destination: AddressBuf,
    /// When to hand it over first, in unix milliseconds.
    pub due_ms: u64,
    /// When its validity ends, in unix milliseconds.
    pub expires_ms: u64,
    /// Where the recipient is, if anything asked.
    pub place: Option<router::Place>,
    /// What it is for.
    pub category: Category,
    /// What standing rules note of it.
    pub noted: Noted,
    /// Its recipient has opted out, and its account wants to hear that by a DLR: it is stored and goes nowhere.
    pub opted_out: bool,
    /// It waits until somebody releases it (FRD-5).
    pub held: bool,
    /// Its date is that of its recipient's hours.
    pub deferred: bool,
    /// Parts it counts as.
    pub parts: u8,
    /// Whose turn it is of carriers that take turns: of a part of a longer message that of all of them, else 0, for its
    /// route to give.
    pub lot: u8,
    /// Legs whose place it takes.
    pub(crate) replaces: Replaced,
    /// What the watch for abuse notes of it once it is stored.
    pub(crate) watched: Option<Watched>,
}

/// Who asks for a message to be let in, and what is left to it.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'g> {
    /// Its settings.
    pub account: &'g Account,
    /// What its addresses become.
    pub addressing: AccountAddressing<'g>,
    /// Its standing rules.
    pub standing: AccountStanding<'g>,
    /// Where numbers are.
    pub tables: &'g Tables,
    /// Parts that are left of its quotas.
    pub quota_left: u64,
}

/// Decides all but the rates, which are asked before and after ([`Buckets`]): before, because they are cheap, and taken
/// from after, so that what is refused costs nothing. `route` says whether any way leads there, and how long its first
/// carrier tries by default, for accounts without a default of their own.
pub fn admit(
    applicant: Applicant<'_>,
    route: impl FnOnce(&Facts<'_>) -> Option<Duration>,
    submission: &Submission<'_>,
    now: Now,
) -> Result<Admitted, Refusal> {
    let Applicant {
        account,
        addressing,
        standing,
        tables,
        quota_left,
    } = applicant;
    if account.state != AccountState::Active {
        return Err(Refusal::Suspended);
    }
    let parts = parts(submission);
    check_quota(quota_left, parts)?;
    check_content(submission)?;
    let source = addressing.source(submission.source)?;
    let destination = addressing.destination(submission.destination)?;
    if !account.allows_sender(source.as_bytes(), || addressing.country_of(&destination)) {
        return Err(Refusal::Sender);
    }
    if !is_recipient(&destination) {
        return Err(Refusal::Recipient);
    }
    let place = OnceCell::new();
    let country = || {
        let look = || router::Place::of(tables, destination.ton(), destination.as_bytes());
        let there = place.get_or_init(look).country;
        there.or_else(|| addressing.country_of(&destination))
    };
    // Most numbers are nowhere near the countries that this is about.
    let is_elsewhere = destination.ton() == Ton::INTERNATIONAL && !may_be_marketing(destination.as_bytes());
    let said = submission.category.map_err(|_| Refusal::Category)?;
    let by_country = || if is_elsewhere { None } else { country() };
    let category = account.category.of(said, source.as_bytes(), by_country);
    let category = category.ok_or(Refusal::CategoryNotAllowed)?;
    let noted = if standing.is_open() {
        Noted::default()
    } else {
        let asked = Asked {
            recipient: &destination,
            country: country(),
            category: Some(category),
        };
        standing.may(&asked, now)?
    };
    let place = place.get().copied();
    let facts = Facts {
        category: Some(category),
        place,
        ..facts(account, submission, (&source, &destination), 0)
    };
    let lot = facts.lot;
    let carriers_default = route(&facts).ok_or(Refusal::NoRoute)?;
    let default = account.default_validity.unwrap_or(carriers_default);
    let (due_ms, expires_ms) = dates(submission, default, account.max_validity, now.unix_ms)?;
    Ok(Admitted {
        source,
        destination,
        due_ms,
        expires_ms,
        place,
        category,
        noted,
        opted_out: false,
        held: false,
        deferred: false,
        parts,
        lot,
        replaces: Replaced::new(),
        watched: None,
    })
}

/// What routes ask for, but for what the message is and where it goes; `source` and `destination` are those that are kept.
pub(crate) fn facts<'a>(
    account: &Account,
    submission: &Submission<'_>,
    (source, destination): (&'a AddressBuf, &'a AddressBuf),
    next_lot: u8,
) -> Facts<'a> {
    let (ton, destination) = (destination.ton(), destination.as_bytes());
    let lot = match submission.part_of.map(Place::reference) {
        Some(Reference::Udh8(reference)) => lot_of_part(destination, u16::from(reference)),
        Some(Reference::Udh16(reference) | Reference::Sar(reference)) => lot_of_part(destination, reference),
        None => next_lot,
    };
    Facts {
        account: Some(account.system_id),
        source_ton: source.ton(),
        source: source.as_bytes(),
        destination_ton: ton,
        destination,
        service_type: submission.service_type,
        data_coding: submission.data_coding,
        parts: parts(submission),
        category: None,
        place: None,
        lot,
    }
}

/// Parts that a submission counts as: one PDU is one part, unless its text is longer than one. Then it is as many as the
/// message centre makes of it, give or take one for characters that may not be cut.
pub(crate) fn parts(submission: &Submission<'_>) -> u8 {
    if submission.part_of.is_some() {
        return 1;
    }
    parts_of(submission.text.0.len(), submission.data_coding)
}

/// The same of a text that is no part of a longer one.
pub(crate) fn parts_of(octets: usize, data_coding: DataCoding) -> u8 {
    if octets <= ONE_PART {
        return 1;
    }
    let (alone, each) = match Coding::of(data_coding).alphabet {
        Alphabet::Default | Alphabet::Gsm7 | Alphabet::Ascii => (160, 153),
        _ => (ONE_PART, 134),
    };
    if octets <= alone {
        return 1;
    }
    u8::try_from(octets.div_ceil(each)).unwrap_or(u8::MAX)
}

/// Octets that fit one part, however they are written (23.040 §9.2.3.16).
const ONE_PART: usize = 140;

fn check_quota(left: u64, parts: u8) -> Result<(), Refusal> {
    if u64::from(parts) > left {
        Err(Refusal::Quota)
    } else {
        Ok(())
    }
}

fn check_content(submission: &Submission<'_>) -> Result<(), Refusal> {
    let v5 = submission.version.is_v5();
    // 5.0 lets message_payload win; before, both at once are forbidden (3.4 §4.4.1).
    if submission.two_texts && !v5 {
        return Err(Refusal::TwoTexts);
    }
    if submission.priority > if v5 { 4 } else { 3 } {
        return Err(Refusal::Priority);
    }
    if submission.replace > 1 {
        return Err(Refusal::Replace);
    }
    if submission.default_message != 0 {
        return Err(Refusal::DefaultMessage);
    }
    Ok(())
}

/// A recipient is a number: digits, perhaps behind a `+`. TON and NPI are the ESME's business (an odd
/// pair is carried, interop quirk 37), but a name cannot receive a message.
fn is_recipient(destination: &AddressBuf) -> bool {
    destination.ton() != Ton::ALPHANUMERIC && is_number_like(destination.as_bytes())
}

/// When to hand over, and when to give up. Over-long validity is cut to the maximum, which both
/// specifications allow; a schedule in the past is at once.
fn dates(
    submission: &Submission<'_>,
    default: Duration,
    max: Duration,
    now_ms: u64,
) -> Result<(u64, u64), Refusal> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let schedule = SmppTime::parse(submission.schedule, now_ms).map_err(|_| Refusal::Schedule)?;
    let validity = SmppTime::parse(submission.validity, now_ms).map_err(|_| Refusal::Validity)?;
    let due_ms = schedule.resolve(now_ms).unwrap_or(now_ms).max(now_ms);
    let latest = now_ms.saturating_add(millis(max));
    let wanted = match submission.time_to_live {
        Some(seconds) => now_ms + u64::from(seconds) * 1000,
        None => validity
            .resolve(now_ms)
            .unwrap_or_else(|| due_ms.saturating_add(millis(default.min(max)))),
    };
    if wanted <= now_ms {
        return Err(Refusal::Validity);
    }
    let expires_ms = wanted.min(latest);
    if due_ms >= expires_ms {
        return Err(if due_ms >= latest {
            Refusal::Schedule
        } else {
            Refusal::Validity
        });
    }
    Ok((due_ms, expires_ms))
}
