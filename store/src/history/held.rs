//! What a history holds, for the tests of those who give.

use tidegate_codec::identity::SystemId;
use tidegate_codec::values::MessageState;

use super::{Bucket, Cursor, Finished, History, Keep, Kept, Looked, Place, Query};
use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::message_id::MessageId;
use crate::seal::Purpose;

/// A leg that was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: MessageId,
    pub(crate) leg: u16,
    pub(crate) state: MessageState,
    pub(crate) carrier: String,
    pub(crate) carrier_id: Vec<u8>,
    pub(crate) body: Option<Vec<u8>>,
}

/// A place for all that is kept.
pub(crate) fn plan(finished: &Finished, _: Kept, _: u64) -> Option<Keep> {
    Some(Keep {
        anchor_ms: finished.envelope.accepted_ms,
        bucket: Bucket::Week,
        length: "P24M".into(),
        place: Place::default(),
    })
}

/// All of some accounts, by message and leg.
pub(crate) fn held<D: Disk>(history: &mut History<D>, ring: &KeyRing<D>, accounts: &[&str]) -> Vec<Record> {
    let mut all = Looked::default();
    for account in accounts {
        let query = Query::Account {
            account: SystemId::new(account.as_bytes()).unwrap(),
            from_ms: 0,
            to_ms: u64::MAX / 2,
        };
        for class in Kept::ALL {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                let looked = history.look(&query, class, at, ring, Purpose::Support).unwrap();
                all.metas.extend(looked.metas);
                all.texts.extend(looked.texts);
                cursor = looked.next;
            }
        }
    }
    let texts = all.texts;
    let record = |(_, meta): (SystemId, super::Meta)| {
        let mut of = texts
            .iter()
            .filter(|(_, text)| (text.id, text.leg) == (meta.id, meta.leg));
        let body = of.next().map(|(_, text)| text.body.clone());
        assert!(of.next().is_none(), "a text stands twice");
        Record {
            id: meta.id,
            leg: meta.leg,
            state: meta.state,
            carrier: meta.carrier,
            carrier_id: meta.carrier_id.as_bytes().to_vec(),
            body,
        }
    };
    let mut records: Vec<Record> = all.metas.into_iter().map(record).collect();
    records.sort_by_key(|record| (record.id, record.leg));
    records
}
