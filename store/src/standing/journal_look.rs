//! A journal read from its files alone, for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk};
use crate::message_id::MessageId;
use crate::seal::{KeyId, Purpose, SealKey};
use crate::segment::{self, Found, Scan};

use super::Change;
use super::journal::{Holds, file_name, numbers, open_private, read_record};

/// What the register is held against: reads a journal beside whoever writes it and changes nothing; every change in order, once, with what of its private part
/// `keys` open. Says how many stretches of damage there were.
pub(crate) fn look<D: Disk>(
    disk: &D,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    mut found: impl FnMut(MessageId, SystemId, Change),
) -> io::Result<u64> {
    let (mut last, mut damaged) = (MessageId(0), 0);
    for number in numbers(disk, dir, Holds::Lasting)? {
        let file = disk.open(&dir.join(file_name(Holds::Lasting, number)), Access::Read)?;
        let octets = segment::read_all(&file)?;
        for part in Scan::new(&octets, number) {
            let Found::Batch { header, at } = part else {
                damaged += 1;
                continue;
            };
            let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
            let mut account = None;
            while !batch.is_empty() {
                let Ok(record) = read_record(&mut batch, &mut account) else {
                    damaged += 1;
                    break;
                };
                if record.id <= last {
                    continue;
                }
                last = record.id;
                let mut change = record.change;
                let (account, id) = (record.account, record.id);
                let private = open_private(keys, purpose, account, id, record.key, record.sealed);
                change.private = private.unwrap_or_default();
                found(record.id, record.account, change);
            }
        }
    }
    Ok(damaged)
}
