//! The octets of the journal's files: their names, their headers, their records.
//!
//! ```text
//! "TGSTAND2" │ node u8 │ generation u8 │ rewritten u32 │ 0 × 2 │ number u64 │ check × 32 │ 0 × 4 │ crc32 u32   ◄ header of a file
//! length u32 │ id u64 │ n u8 │ account │ p u16 │ public part │ key u32 │ sealed    ◄ a record; batches as the spool's
//! ```
//!
//! `check` proves that the secret of the ring is the one under which the pseudonyms stand: with another one nobody would be
//! found, and everybody could be sent to (PSN-4). It is that of the newest generation when the file was made. `rewritten` of
//! the first file says how often numbers were taken out ([`forget`](super::forget)). Files of the first version, "TGSTAND1",
//! say no generation: theirs is the first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::keyring::Owner;
use crate::message_id::MessageId;
use crate::pseudonym::FIRST;
use crate::record::{self, RecordError};
use crate::seal::{Aad, KeyId, Purpose, SealKey};
use crate::segment::HEADER_LEN;

use super::{Change, Due, Private, What};

const MAGIC: &[u8; 8] = b"TGSTAND2";
/// Of files that an earlier version wrote; they have no generation.
const MAGIC_FIRST: &[u8; 8] = b"TGSTAND1";

/// The associated data's kind of a private part; no record has it.
const AAD_KIND: u8 = 0xe0;
const AAD_VERSION: u8 = 1;
const SUFFIX: &str = ".standing";
/// Of files of what counts for a while. Their numbers begin with their day.
const PASSING_SUFFIX: &str = ".sent";

/// What a journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// What is kept for ever.
    Lasting,
    /// What counts for a while: a file a day, which goes when nothing in it counts any more.
    Passing,
}

impl Holds {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Lasting => SUFFIX,
            Self::Passing => PASSING_SUFFIX,
        }
    }

    pub(super) fn takes(self, change: &Change) -> bool {
        change.is_passing() == (self == Self::Passing)
    }
}

pub(super) fn file_name(holds: Holds, number: u64) -> String {
    format!("{number:016x}{}", holds.suffix())
}

fn number_of(holds: Holds, name: &str) -> Option<u64> {
    let digits = name.strip_suffix(holds.suffix())?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

pub(super) fn header(
    node: u8,
    number: u64,
    (generation, check): (u8, &[u8; 32]),
    rewritten: u32,
) -> [u8; HEADER_LEN] {
    let mut octets = [0; HEADER_LEN];
    octets[..8].copy_from_slice(MAGIC);
    octets[8] = node;
    octets[9] = generation;
    octets[10..14].copy_from_slice(&rewritten.to_be_bytes());
    octets[16..24].copy_from_slice(&number.to_be_bytes());
    octets[24..56].copy_from_slice(check);
    sum(&mut octets);
    octets
}

fn sum(octets: &mut [u8; HEADER_LEN]) {
    let crc = crc32fast::hash(&octets[..60]);
    octets[60..].copy_from_slice(&crc.to_be_bytes());
}

/// Node, generation, check value and count of rewritings of a file's header; `None` when it is damaged.
pub(super) fn read_header(octets: &[u8], number: u64) -> Option<(u8, u8, [u8; 32], u32)> {
    let octets = octets.first_chunk::<HEADER_LEN>()?;
    let check: [u8; 32] = octets[24..56].try_into().ok()?;
    let (node, generation) = (octets[8], octets[9]);
    let rewritten = u32::from_be_bytes([octets[10], octets[11], octets[12], octets[13]]);
    if *octets == header(node, number, (generation, &check), rewritten) {
        return Some((node, generation, check, rewritten));
    }
    let mut of_first = header(node, number, (0, &check), 0);
    of_first[..8].copy_from_slice(MAGIC_FIRST);
    sum(&mut of_first);
    (*octets == of_first).then_some((node, FIRST, check, 0))
}

/// Whether a file begins as those of a version that is not known here.
pub(super) fn is_of_later(octets: &[u8]) -> bool {
    let family = MAGIC.len() - 1;
    let is_known = octets.starts_with(MAGIC) || octets.starts_with(MAGIC_FIRST);
    octets.starts_with(&MAGIC[..family]) && octets.get(family).is_some_and(u8::is_ascii_digit) && !is_known
}

pub(super) fn numbers<D: Disk>(disk: &D, dir: &Path, holds: Holds) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk
        .list(dir)?
        .iter()
        .filter_map(|entry| number_of(holds, &entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whose keys a change's private part is sealed under. What proves a consent has an end of its own; everything else goes with the
/// account.
pub(super) const fn owner_of(account: SystemId, change: &Change) -> Owner {
    match change.what {
        What::Consent { .. } => Owner::Consents(account),
        _ => Owner::OptOuts(account),
    }
}

pub(super) fn aad(account: SystemId, id: MessageId) -> Aad {
    Aad {
        account: Some(account),
        kind: AAD_KIND,
        version: AAD_VERSION,
        id: id.0,
        leg: 0,
    }
}

pub(super) fn put_record(
    out: &mut Vec<u8>,
    item: &Due,
    key: Option<&SealKey>,
    rng: &mut impl CryptoRng,
) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&item.id.0.to_be_bytes());
    record::put_short(out, item.account.as_bytes());
    let public_at = out.len();
    out.extend_from_slice(&[0; 2]);
    item.change.put_public(out);
    let len = u16::try_from(out.len() - public_at - 2).map_err(io::Error::other)?;
    out[public_at..public_at + 2].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&key.map_or(0, |key| key.id().0).to_be_bytes());
    if let Some(key) = key {
        key.seal(&aad(item.account, item.id), rng, out, |out| {
            item.change.private.put(out);
        })
        .map_err(io::Error::other)?;
    }
    let length = u32::try_from(out.len() - start - 4).map_err(io::Error::other)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Puts a record with its public part as it is, and another private part.
pub(super) fn put_sealed(
    out: &mut Vec<u8>,
    as_it_is: &[u8],
    record: &Record<'_>,
    (key, private): (Option<&SealKey>, &Private),
    rng: &mut impl CryptoRng,
) -> io::Result<()> {
    let start = out.len();
    // The key's number and what is sealed stand behind all else.
    let public = as_it_is.len().saturating_sub(record.sealed.len() + 4);
    out.extend_from_slice(as_it_is.get(..public).unwrap_or_default());
    out.extend_from_slice(&key.map_or(0, |key| key.id().0).to_be_bytes());
    if let Some(key) = key {
        key.seal(&aad(record.account, record.id), rng, out, |out| private.put(out))
            .map_err(io::Error::other)?;
    }
    let length = u32::try_from(out.len() - start - 4).map_err(io::Error::other)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A record of the journal, its private part still sealed.
pub(super) struct Record<'a> {
    pub(super) id: MessageId,
    pub(super) account: SystemId,
    pub(super) change: Change,
    pub(super) key: KeyId,
    pub(super) sealed: &'a [u8],
}

/// Opens the private part of a record; `None` where no key does.
pub(super) fn open_private(
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
    id: MessageId,
    key: KeyId,
    sealed: &[u8],
) -> Option<Private> {
    let key = keys.get(&key)?;
    let mut sealed = sealed.to_vec();
    let mut plain = key.open(&aad(account, id), &mut sealed, purpose).ok()?;
    Private::get(&mut plain).ok()
}

/// `known` is the account of the record before, mostly the same: then it is not judged again.
#[inline]
pub(super) fn read_record<'a>(
    batch: &mut &'a [u8],
    known: &mut Option<SystemId>,
) -> Result<Record<'a>, RecordError> {
    let length = record::get_u32(batch)? as usize;
    let (mut fields, rest) = batch.split_at_checked(length).ok_or(RecordError::Malformed)?;
    *batch = rest;
    let id = MessageId(record::get_u64(&mut fields)?);
    let name = record::get_short(&mut fields)?;
    let account = match *known {
        Some(account) if account.as_bytes() == name => account,
        _ => SystemId::new(name).map_err(|_| RecordError::Malformed)?,
    };
    *known = Some(account);
    let len = usize::from(record::get_u16(&mut fields)?);
    let (mut public, mut fields) = fields.split_at_checked(len).ok_or(RecordError::Malformed)?;
    let change = Change::get_public(&mut public)?;
    let key = KeyId(record::get_u32(&mut fields)?);
    Ok(Record {
        id,
        account,
        change,
        key,
        sealed: fields,
    })
}
