//! A block: up to 256 records of one account, class and period, packed and sealed as one.
//!
//! ```text
//! magic u32 │ crc u32 │ version, class, bucket, length of the account's name u8 each │ sealed length u32 │ records u16, 0 u16 │
//! key u32 │ period u32 │ first and last id u64 │ first and last end u64 │ account 16 octets │
//! a print of each id, then of each recipient u16 each │ sealed: records, field by field, packed with LZ4
//! ```
//!
//! The header is plain: nothing in it says anything of a person to who has not the account's key of pseudonyms. `crc` covers
//! the header behind it; the sealed part is bound to the account, the class and the first id.

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use super::columns::{Columns, Reading};
use super::{Bucket, Kept};
use crate::message_id::MessageId;
use crate::seal::{Aad, KeyId, Purpose, SEALED_OVERHEAD, SealError, SealKey};

const MAGIC: &[u8; 4] = b"TGHB";
const VERSION: u8 = 1;
/// Octets of a header before the prints.
pub(super) const FIXED_LEN: usize = 84;
/// Where the part begins that the checksum covers.
const SUMMED_AT: usize = 8;
/// Records of a block at most.
pub(super) const RECORDS_MAX: u16 = 256;
/// Octets of records, before they are packed, behind which a block is closed.
pub(super) const OCTETS_MAX: usize = 64 << 10;
/// What a block may hold and unpack to when it is read: one that could not be written at once has grown a little.
const READ_MAX: u16 = 4096;
const UNPACKED_MAX: usize = 4 << 20;
/// Octets that the sealed part may have.
const SEALED_MAX: usize = UNPACKED_MAX + UNPACKED_MAX / 8;

/// What a block says of itself, in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) class: Kept,
    pub(super) bucket: Bucket,
    pub(super) account: SystemId,
    pub(super) key: KeyId,
    /// The first hour of the key's period, counted from 1970.
    pub(super) period: u32,
    pub(super) first_id: MessageId,
    pub(super) last_id: MessageId,
    /// When the first and the last of them ended, in unix milliseconds.
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    /// 16 bits of each id's hash, in the records' order.
    pub(super) ids: Vec<u16>,
    /// The same of each recipient's; none of texts.
    pub(super) recipients: Vec<u16>,
    pub(super) sealed_len: u32,
}

impl Header {
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.ids.len()).unwrap_or(u16::MAX)
    }

    /// Octets of the block, header and all.
    pub(super) fn block_len(&self) -> usize {
        self.header_len() + self.sealed_len as usize
    }

    pub(super) fn header_len(&self) -> usize {
        header_len(self.class, self.count())
    }

    fn aad(&self) -> Aad {
        Aad {
            account: Some(self.account),
            // Records of the spool have kinds below this.
            kind: 0xa0 | self.class as u8,
            version: VERSION,
            id: self.first_id.0,
            leg: self.count(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let account = self.account.as_bytes();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 4]);
        let account_len = u8::try_from(account.len()).unwrap_or(0);
        out.extend_from_slice(&[VERSION, self.class as u8, self.bucket as u8, account_len]);
        out.extend_from_slice(&self.sealed_len.to_be_bytes());
        out.extend_from_slice(&self.count().to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.key.0.to_be_bytes());
        out.extend_from_slice(&self.period.to_be_bytes());
        for word in [self.first_id.0, self.last_id.0, self.first_ms, self.last_ms] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        let mut name = [0; 16];
        name[..account.len()].copy_from_slice(account);
        out.extend_from_slice(&name);
        out.extend_from_slice(&[0; FIXED_LEN - 76]);
        for print in self.ids.iter().chain(&self.recipients) {
            out.extend_from_slice(&print.to_be_bytes());
        }
        let crc = crc32fast::hash(&out[start + SUMMED_AT..]);
        out[start + 4..start + SUMMED_AT].copy_from_slice(&crc.to_be_bytes());
    }

    /// Octets of the header that begins here, if one does: what has to be read of it.
    pub(super) fn len_of(fixed: &[u8]) -> Option<usize> {
        let fixed: &[u8; FIXED_LEN] = fixed.first_chunk()?;
        if !fixed.starts_with(MAGIC) || fixed[8] != VERSION {
            return None;
        }
        let count = u16::from_be_bytes([fixed[16], fixed[17]]);
        (1..=READ_MAX)
            .contains(&count)
            .then(|| Some(header_len(class_of(fixed[9])?, count)))?
    }

    /// Reads one; `None` when it is none of ours or damaged.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let octets = octets.get(..Self::len_of(octets)?)?;
        let crc = u32::from_be_bytes(*octets.get(4..)?.first_chunk()?);
        if crc32fast::hash(octets.get(SUMMED_AT..)?) != crc {
            return None;
        }
        let u32_at = |at: usize| Some(u32::from_be_bytes(*octets.get(at..)?.first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_be_bytes(*octets.get(at..)?.first_chunk()?));
        let class = class_of(octets[9])?;
        let count = usize::from(u16::from_be_bytes([octets[16], octets[17]]));
        let account = octets.get(60..76)?.get(..usize::from(octets[11]))?;
        let prints = octets.get(FIXED_LEN..)?.as_chunks::<2>().0;
        let mut prints = prints.iter().map(|print| u16::from_be_bytes(*print));
        let sealed_len = u32_at(12)?;
        if sealed_len as usize > SEALED_MAX {
            return None;
        }
        Some(Self {
            class,
            bucket: Bucket::from_octet(octets[10])?,
            account: SystemId::new(account).ok()?,
            sealed_len,
            key: KeyId(u32_at(20)?),
            period: u32_at(24)?,
            first_id: MessageId(u64_at(28)?),
            last_id: MessageId(u64_at(36)?),
            first_ms: u64_at(44)?,
            last_ms: u64_at(52)?,
            ids: prints.by_ref().take(count).collect(),
            recipients: prints.collect(),
        })
    }

    /// Opens the sealed part and hands its records to `each`. `false` when what was opened makes no sense.
    pub(super) fn open(
        &self,
        sealed: &mut [u8],
        key: &SealKey,
        purpose: Purpose,
        each: impl FnOnce(Reading<'_>),
    ) -> Result<bool, SealError> {
        let packed = key.open(&self.aad(), sealed, purpose)?;
        let Ok((len, packed)) = lz4_flex::block::uncompressed_size(packed) else {
            return Ok(false);
        };
        if len > UNPACKED_MAX {
            return Ok(false);
        }
        let mut octets = Zeroizing::new(vec![0; len]);
        let unpacked = lz4_flex::block::decompress_into(packed, &mut octets);
        if unpacked.ok() != Some(len) {
            return Ok(false);
        }
        let Some(reading) = Reading::new(&octets, self.count()) else {
            return Ok(false);
        };
        each(reading);
        Ok(true)
    }
}

fn class_of(octet: u8) -> Option<Kept> {
    Kept::from_octet(octet)
}

fn header_len(class: Kept, count: u16) -> usize {
    let prints = match class {
        Kept::Meta => 2,
        Kept::Body => 1,
    };
    FIXED_LEN + usize::from(count) * 2 * prints
}

/// Packs and seals records behind their header.
pub(super) fn write(
    header: &mut Header,
    columns: &Columns,
    key: &SealKey,
    rng: &mut impl CryptoRng,
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let octets = Zeroizing::new(columns.octets());
    let packed = Zeroizing::new(lz4_flex::block::compress_prepend_size(&octets));
    header.key = key.id();
    header.sealed_len = u32::try_from(packed.len() + SEALED_OVERHEAD).map_err(|_| SealError::TooLong)?;
    let start = out.len();
    header.put(out);
    // Room for all, or what is sealed in place would leave a plain copy behind where it grew.
    out.reserve(header.sealed_len as usize);
    let sealed = key.seal(&header.aad(), rng, out, |out| out.extend_from_slice(&packed));
    if sealed.is_err() {
        out.truncate(start);
    }
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::meta::TextRef;
    use crate::record::Form;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn block() -> (Header, Columns) {
        let mut columns = Columns::default();
        let id = MessageId(1 << 50);
        for leg in 0..3 {
            columns.push_text(&TextRef {
                id,
                leg,
                accepted_ms: id.ms(),
                final_ms: id.ms() + 9,
                form: Form::Sm,
                body: b"the text of a message that is kept",
            });
        }
        let header = Header {
            class: Kept::Body,
            bucket: Bucket::Day,
            account: SystemId::new(b"acme").unwrap(),
            key: KeyId(0),
            period: 480_000,
            first_id: id,
            last_id: id,
            first_ms: id.ms() + 9,
            last_ms: id.ms() + 9,
            ids: vec![7; 3],
            recipients: Vec::new(),
            sealed_len: 0,
        };
        (header, columns)
    }

    #[test]
    fn a_block_reads_back_and_damage_does_not() {
        let key = SealKey::new(KeyId(5), &[3; 32]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut header, columns) = block();
        let mut out = b"before".to_vec();
        write(&mut header, &columns, &key, &mut rng, &mut out).unwrap();
        let octets = &out[6..];
        assert_eq!(octets.len(), header.block_len());
        assert!(!octets.windows(8).any(|window| window == b"the text"));
        assert_eq!(Header::read(octets).as_ref(), Some(&header));
        let open = |octets: &[u8], header: &Header| {
            let mut sealed = octets[header.header_len()..].to_vec();
            let mut bodies = Vec::new();
            let opened = header.open(&mut sealed, &key, Purpose::Support, |mut reading| {
                while let Some(text) = reading.next_text() {
                    bodies.push((text.leg, text.body.len()));
                }
            });
            opened.map(|whole| (whole, bodies))
        };
        assert_eq!(open(octets, &header), Ok((true, vec![(0, 34), (1, 34), (2, 34)])));
        for place in 0..octets.len() {
            let mut octets = octets.to_vec();
            octets[place] ^= 0x10;
            match Header::read(&octets) {
                None => assert!(place < header.header_len(), "{place}"),
                Some(read) => assert!(open(&octets, &read).is_err(), "{place}"),
            }
        }
        // Under another account's name it does not open (ENC-1).
        let other = Header {
            account: SystemId::new(b"other").unwrap(),
            ..header.clone()
        };
        assert!(open(octets, &other).is_err());
    }
}
