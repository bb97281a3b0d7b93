//! What lies on the disk: a segment's batches, and the records in them.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use tidegate_store::record::{Head, Raw, VERSION, cut, write};
use tidegate_store::seal::{Aad, KeyId, Purpose, SealKey};
use tidegate_store::segment::{BatchHeader, Found, HEADER_LEN, Scan};

/// A scan of any octets ends, in order, and never claims octets twice. And it finds every batch of a segment built
/// from the input: lengths and what follows each, an even one a batch's records, an odd one damage.
pub fn segment(octets: &[u8]) {
    walk(octets);
    let mut file = vec![0; HEADER_LEN];
    let (mut expected, mut rest) = (Vec::new(), octets);
    while let Some((len, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = behind;
        if len & 1 != 0 {
            file.extend_from_slice(piece);
            continue;
        }
        let header = BatchHeader {
            node: 1,
            segment: 1,
            number: expected.len() as u64,
            floor_ms: u64::from(*len),
            len: u32::try_from(piece.len()).unwrap_or(0),
        };
        file.extend_from_slice(&header.octets(piece));
        expected.push((header, file.len()));
        file.extend_from_slice(piece);
    }
    // Damage may hold a batch, which then hides what it covers.
    let found = walk(&file);
    let places: HashSet<usize> = expected.iter().map(|(_, at)| *at).collect();
    let is_forged = found.iter().any(|(_, at)| !places.contains(at));
    assert!(is_forged || found == expected, "a batch is lost");
}

/// The batches of a scan and where their records begin.
fn walk(octets: &[u8]) -> Vec<(BatchHeader, usize)> {
    let (mut behind, mut batches) = (0, Vec::new());
    let mut scan = Scan::new(octets, 1);
    for found in scan.by_ref() {
        let (from, to) = match found {
            Found::Batch { header, at } => {
                batches.push((header, at));
                (at, at + header.len as usize)
            }
            Found::Damage { from, to } => (from, to),
        };
        assert!(from >= behind && to >= from && to <= octets.len());
        behind = to;
    }
    assert!(scan.next().is_none(), "ended, and goes on");
    batches
}

/// Records of any octets are read or refused one by one, whoever wrote them, and what is read is written back as the
/// same octets. A sealed payload is opened too: the octets of the input are what was sealed.
pub fn record(octets: &[u8]) {
    let key = SealKey::new(KeyId(7), &[7; 32]);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut octets = octets.to_vec();
    let mut rest = octets.as_mut_slice();
    while let Some((raw, behind)) = cut(rest) {
        if let Ok(raw) = raw {
            assert!(raw.len >= 4 + raw.payload.len());
            match raw.key() {
                Some(_) => sealed(&raw, &key, &mut rng),
                None => back(raw, &key, &mut rng),
            }
        }
        rest = behind;
    }
}

/// What follows the key's id, as if it were what had been sealed.
fn sealed(raw: &Raw<'_>, key: &SealKey, rng: &mut ChaCha8Rng) {
    let (aad, account) = (aad(&raw.head), raw.head.account);
    let mut record = vec![0, 0, 0, 0, aad.kind, aad.version];
    record.extend_from_slice(&aad.leg.to_be_bytes());
    record.extend_from_slice(&aad.id.to_be_bytes());
    record.push(u8::try_from(account.as_bytes().len()).unwrap_or(0));
    record.extend_from_slice(account.as_bytes());
    record.extend_from_slice(&key.id().0.to_be_bytes());
    let is_sealed = key.seal(&aad, rng, &mut record, |out| {
        out.extend_from_slice(&raw.payload[4..]);
    });
    assert!(is_sealed.is_ok());
    let length = u32::try_from(record.len() - 4).unwrap_or(0);
    record[..4].copy_from_slice(&length.to_be_bytes());
    back(whole(&mut record), key, rng);
}

/// Reads the record, writes what it says and compares.
fn back(raw: Raw<'_>, key: &SealKey, rng: &mut ChaCha8Rng) {
    let (head, before) = (raw.head, plain(&raw, key));
    let Ok(payload) = raw.open(Purpose::Deliver, |_| Some(Held(key))) else {
        return;
    };
    let mut written = Vec::new();
    assert!(write(&mut written, &head, &payload, key, rng).is_ok());
    let raw = whole(&mut written);
    assert_eq!(raw.head, head);
    // A later version may add fields behind those known.
    assert!(before.starts_with(&plain(&raw, key)), "{:?}", head.kind);
    let again = raw.open(Purpose::Deliver, |_| Some(Held(key)));
    assert_eq!(again.as_ref(), Ok(&payload));
}

fn whole(record: &mut [u8]) -> Raw<'_> {
    match cut(record) {
        Some((Ok(raw), [])) => raw,
        _ => panic!("what was written is no record"),
    }
}

/// The payload's own octets, opened where it is sealed.
fn plain(raw: &Raw<'_>, key: &SealKey) -> Vec<u8> {
    if raw.key().is_none() {
        return raw.payload.to_vec();
    }
    let mut sealed = raw.payload[4..].to_vec();
    let opened = key.open(&aad(&raw.head), &mut sealed, Purpose::Deliver);
    opened.map(<[u8]>::to_vec).unwrap_or_default()
}

/// What the form binds a sealed payload to.
fn aad(head: &Head) -> Aad {
    Aad {
        account: Some(head.account),
        kind: head.kind as u8,
        version: VERSION,
        id: head.id.0,
        leg: head.leg,
    }
}

/// A key as a ring lends it.
struct Held<'a>(&'a SealKey);

impl AsRef<SealKey> for Held<'_> {
    fn as_ref(&self) -> &SealKey {
        self.0
    }
}
