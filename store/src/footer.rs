//! The footer of a closed segment: what a start needs to know of it without reading its batches.
//!
//! Three lists. *Events*: steps recorded in this segment of legs and entries that were born in an earlier
//! one; they change what earlier footers said. *Living*: legs and entries whose newest record lies in
//! this segment when it is closed, as they stand then. What was born and ended inside the segment is in
//! neither, and that is nearly everything. Applied in order of segments, events before living, footers
//! give the same index as a scan of every record. *Counted*: what new legs of the segment count as, by account and day.
//!
//! Sealed as a whole: it repeats addresses and carriers' ids.

use smallvec::SmallVec;
use tidegate_codec::identity::SystemId;

use crate::index::Location;
use crate::message_id::MessageId;
use crate::progress::Progress;
use crate::record::{self, EntryKind, Form, HandedOver, LegRecord, RecordError, Retry, SettledMoved, Sink};
use crate::seal::{Aad, KeyId};
use crate::standing::Change;
use crate::usage::Counted;

const VERSION: u8 = 2;
/// The associated data's kind of a footer; no record has it.
const AAD_KIND: u8 = 0xf0;

/// Keys under which one segment holds records: those of the segments before, of its own and after it.
pub(crate) type Keys = SmallVec<[KeyId; 4]>;

/// A step that is repeated in a footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    HandedOver(HandedOver<'a>),
    Retry(Retry),
    Final,
    Settled,
    /// To which run.
    Moved(u64),
    FinalMoved {
        hour: u32,
        hash: u64,
    },
    SettledMoved(SettledMoved),
    Progressed(Progress),
}

/// A leg in a footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivingLeg<'a> {
    pub(crate) id: MessageId,
    pub(crate) leg: u16,
    pub(crate) account: SystemId,
    pub(crate) born: u64,
    pub(crate) at: Location,
    /// Without its body.
    pub(crate) record: LegRecord<'a>,
}

/// An outbox entry in a footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivingEntry {
    pub(crate) id: MessageId,
    pub(crate) account: SystemId,
    pub(crate) born: u64,
    pub(crate) at: Location,
    pub(crate) kind: EntryKind,
    pub(crate) sink: Sink,
    pub(crate) form: Form,
    pub(crate) expires_ms: u64,
}

/// One item of a footer, in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Event {
        id: MessageId,
        leg: u16,
        event: Event<'a>,
    },
    Leg(LivingLeg<'a>),
    Entry(LivingEntry),
    Counted {
        account: SystemId,
        counted: Counted,
    },
    Standing {
        id: MessageId,
        account: SystemId,
        change: Change,
    },
}

/// What a footer says of its segment besides the items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first_batch: u64,
    pub(crate) last_batch: u64,
    pub(crate) floor_ms: u64,
    pub(crate) closed_ms: u64,
    pub(crate) keys: Keys,
}

/// What a footer's seal is bound to.
pub(crate) fn aad(segment: u64) -> Aad {
    Aad {
        account: None,
        kind: AAD_KIND,
        version: VERSION,
        id: segment,
        leg: 0,
    }
}

/// Begins a footer.
pub(crate) fn begin(out: &mut Vec<u8>, summary: &Summary) {
    out.push(VERSION);
    for word in [
        summary.first_batch,
        summary.last_batch,
        summary.floor_ms,
        summary.closed_ms,
    ] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    // One segment sees two or three keys; 65 535 would need as many roll-overs inside it.
    let count = u16::try_from(summary.keys.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    summary
        .keys
        .iter()
        .take(count.into())
        .for_each(|key| out.extend_from_slice(&key.0.to_be_bytes()));
}

/// Appends one item.
pub(crate) fn put(out: &mut Vec<u8>, item: &Item<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match item {
        Item::Event { id, leg, event } => {
            out.push(match event {
                Event::HandedOver(_) => 1,
                Event::Retry(_) => 2,
                Event::Final => 3,
                Event::Settled => 4,
                Event::Moved(_) => 7,
                Event::FinalMoved { .. } => 8,
                Event::SettledMoved(_) => 9,
                Event::Progressed(_) => 12,
            });
            out.extend_from_slice(&id.0.to_be_bytes());
            out.extend_from_slice(&leg.to_be_bytes());
            match event {
                Event::HandedOver(step) => record::put_handed_over(out, step),
                Event::Retry(step) => {
                    out.extend_from_slice(&step.due_ms.to_be_bytes());
                    out.extend_from_slice(&step.attempts.to_be_bytes());
                }
                Event::Moved(run) => out.extend_from_slice(&run.to_be_bytes()),
                Event::FinalMoved { hour, hash } => {
                    out.extend_from_slice(&hour.to_be_bytes());
                    out.extend_from_slice(&hash.to_be_bytes());
                }
                Event::SettledMoved(place) => record::put_settled_moved(out, place),
                Event::Progressed(progress) => progress.put(out),
                Event::Final | Event::Settled => {}
            }
        }
        Item::Leg(leg) => {
            out.push(5);
            out.extend_from_slice(&leg.id.0.to_be_bytes());
            out.extend_from_slice(&leg.leg.to_be_bytes());
            put_place(out, leg.account, leg.born, leg.at);
            record::put_leg(out, &leg.record);
        }
        Item::Entry(entry) => {
            out.push(6);
            out.extend_from_slice(&entry.id.0.to_be_bytes());
            out.extend_from_slice(&0u16.to_be_bytes());
            put_place(out, entry.account, entry.born, entry.at);
            out.extend_from_slice(&[entry.kind as u8, entry.form as u8]);
            entry.sink.put(out);
            out.extend_from_slice(&entry.expires_ms.to_be_bytes());
        }
        Item::Counted { account, counted } => {
            // Of no message, and so without its number; the octets are those of all items.
            out.push(10);
            out.extend_from_slice(&[0; 8 + 2]);
            record::put_short(out, account.as_bytes());
            record::put_counted(out, counted);
        }
        Item::Standing { id, account, change } => {
            out.push(11);
            out.extend_from_slice(&id.0.to_be_bytes());
            out.extend_from_slice(&0u16.to_be_bytes());
            record::put_short(out, account.as_bytes());
            change.put(out);
        }
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_place(out: &mut Vec<u8>, account: SystemId, born: u64, at: Location) {
    let account = account.as_bytes();
    out.push(u8::try_from(account.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(account);
    out.extend_from_slice(&born.to_be_bytes());
    out.extend_from_slice(&at.offset.to_be_bytes());
    out.extend_from_slice(&at.len.to_be_bytes());
}

/// Reads what a footer says of its segment; the rest of the input are its items.
pub(crate) fn read_summary(fields: &mut &[u8]) -> Result<Summary, RecordError> {
    match record::get_u8(fields)? {
        VERSION => {}
        version => return Err(RecordError::Version(version)),
    }
    let first_batch = record::get_u64(fields)?;
    let last_batch = record::get_u64(fields)?;
    let floor_ms = record::get_u64(fields)?;
    let closed_ms = record::get_u64(fields)?;
    let count = record::get_u16(fields)?;
    let keys = (0..count)
        .map(|_| record::get_u32(fields).map(KeyId))
        .collect::<Result<_, _>>()?;
    Ok(Summary {
        first_batch,
        last_batch,
        floor_ms,
        closed_ms,
        keys,
    })
}

/// Reads the next item; `None` at the end.
pub(crate) fn next<'a>(fields: &mut &'a [u8], segment: u64) -> Option<Result<Item<'a>, RecordError>> {
    if fields.is_empty() {
        return None;
    }
    Some(read_item(fields, segment))
}

fn read_item<'a>(fields: &mut &'a [u8], segment: u64) -> Result<Item<'a>, RecordError> {
    let length = record::get_u32(fields)? as usize;
    let (mut item, rest) = fields.split_at_checked(length).ok_or(RecordError::Malformed)?;
    *fields = rest;
    let item = &mut item;
    let kind = record::get_u8(item)?;
    let id = MessageId(record::get_u64(item)?);
    let leg = record::get_u16(item)?;
    let event = match kind {
        1 => Event::HandedOver(record::get_handed_over(item)?),
        2 => Event::Retry(Retry {
            due_ms: record::get_u64(item)?,
            attempts: record::get_u16(item)?,
        }),
        3 => Event::Final,
        4 => Event::Settled,
        7 => Event::Moved(record::get_u64(item)?),
        9 => Event::SettledMoved(record::get_settled_moved(item)?),
        12 => Event::Progressed(Progress::get(item)?),
        8 => Event::FinalMoved {
            hour: record::get_u32(item)?,
            hash: record::get_u64(item)?,
        },
        5 | 6 => {
            let account = SystemId::new(record::get_short(item)?).map_err(|_| RecordError::Malformed)?;
            let born = record::get_u64(item)?;
            let at = Location::new(segment, record::get_u32(item)?, record::get_u32(item)?);
            if kind == 5 {
                let record = record::get_leg(item)?;
                return Ok(Item::Leg(LivingLeg {
                    id,
                    leg,
                    account,
                    born,
                    at,
                    record,
                }));
            }
            let kind = EntryKind::from_octet(record::get_u8(item)?).ok_or(RecordError::Malformed)?;
            let form = Form::from_octet(record::get_u8(item)?).ok_or(RecordError::Malformed)?;
            let sink = Sink::get(item)?;
            let expires_ms = record::get_u64(item)?;
            return Ok(Item::Entry(LivingEntry {
                id,
                account,
                born,
                at,
                kind,
                sink,
                form,
                expires_ms,
            }));
        }
        10 => {
            let account = SystemId::new(record::get_short(item)?).map_err(|_| RecordError::Malformed)?;
            let counted = record::get_counted(item)?;
            return Ok(Item::Counted { account, counted });
        }
        11 => {
            let account = SystemId::new(record::get_short(item)?).map_err(|_| RecordError::Malformed)?;
            let change = Change::get(item)?;
            return Ok(Item::Standing { id, account, change });
        }
        _ => return Err(RecordError::Malformed),
    };
    Ok(Item::Event { id, leg, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quote::Quote;
    use crate::record::Stage;
    use crate::testing::envelope;
    use crate::usage::Period;

    #[test]
    fn a_footer_comes_back_as_it_was_written_and_cut_short_it_is_an_error() {
        let account = SystemId::new(b"load").unwrap();
        let at = Location::new(4, 100, 50);
        let record = LegRecord {
            envelope: envelope(),
            stage: Stage::HandedOver,
            attempts: 1,
            due_ms: 8,
            carrier: "sink",
            progress: None,
            carrier_id: b"1",
            quote: Quote::of(*b"Your code"),
            body: b"",
        };
        let handed = HandedOver {
            carrier: "sink",
            carrier_id: b"4711",
            deadline_ms: 9,
            attempts: 1,
        };
        let event = |event| Item::Event {
            id: MessageId(7),
            leg: 2,
            event,
        };
        let items = [
            event(Event::HandedOver(handed)),
            event(Event::Retry(Retry {
                due_ms: 4,
                attempts: 5,
            })),
            event(Event::Final),
            event(Event::Settled),
            event(Event::Moved(70)),
            event(Event::FinalMoved { hour: 5, hash: 6 }),
            event(Event::SettledMoved(SettledMoved {
                hour: 5,
                run: 6,
                rank: 7,
            })),
            event(Event::Progressed(Progress::of(4))),
            Item::Leg(LivingLeg {
                id: MessageId(8),
                leg: 1,
                account,
                born: 3,
                at,
                record,
            }),
            Item::Entry(LivingEntry {
                id: MessageId(9),
                account,
                born: 4,
                at,
                kind: EntryKind::Mo,
                sink: Sink::BindOf(std::num::NonZeroU32::MIN),
                form: Form::Sm,
                expires_ms: 77,
            }),
            Item::Counted {
                account,
                counted: Counted {
                    period: Period {
                        day: 20_000,
                        month: 680,
                    },
                    parts: 1 << 40,
                },
            },
        ];
        let keys = Keys::from_slice(&[KeyId(1), KeyId(2)]);
        let summary = Summary {
            first_batch: 1,
            last_batch: 9,
            floor_ms: 5,
            closed_ms: 6,
            keys,
        };
        let mut octets = Vec::new();
        begin(&mut octets, &summary);
        items.iter().for_each(|item| put(&mut octets, item));
        let read = |octets: &[u8]| -> Result<usize, RecordError> {
            let mut fields = octets;
            assert_eq!(read_summary(&mut fields)?, summary);
            let mut count = 0;
            while let Some(item) = next(&mut fields, 4) {
                assert_eq!(item?, items[count]);
                count += 1;
            }
            Ok(count)
        };
        assert_eq!(read(&octets), Ok(items.len()));
        for n in 0..octets.len() {
            assert!(
                read(&octets[..n]).is_err() || read(&octets[..n]).unwrap() < items.len(),
                "{n}"
            );
        }
    }
}
