//! What lies on the disk: a segment's batches, and the records in them.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use tidegate_store::record::{Payload, Raw, cut, write};
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
            // Damage may hold a batch. Without the letter that every batch begins with it holds none.
            if !piece.contains(&b'T') {
                file.extend_from_slice(piece);
            }
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
    assert_eq!(walk(&file), expected);
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
/// same value. A sealed payload is opened too: the octets of the input are what was sealed.
pub fn record(octets: &[u8]) {
    let key = SealKey::new(KeyId(7), &[7; 32]);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut octets = octets.to_vec();
    let mut rest = octets.as_mut_slice();
    while let Some((raw, behind)) = cut(rest) {
        if let Ok(raw) = raw {
            assert!(raw.len >= 4 + raw.payload.len());
            if raw.key().is_some() {
                sealed(&raw, &key, &mut rng);
            }
            let head = raw.head;
            if let Ok(payload) = raw.open(Purpose::Deliver, |_| None::<Held<'_>>) {
                let mut written = Vec::new();
                assert!(write(&mut written, &head, &payload, &key, &mut rng).is_ok());
                same(&mut written, &payload, &key);
            }
        }
        rest = behind;
    }
}

/// What follows the key's id, as if it were what had been sealed.
fn sealed(raw: &Raw<'_>, key: &SealKey, rng: &mut ChaCha8Rng) {
    let mut written = Vec::new();
    let aad = Aad {
        account: Some(raw.head.account),
        kind: raw.head.kind as u8,
        version: 1,
        id: raw.head.id.0,
        leg: raw.head.leg,
    };
    let account = raw.head.account.as_bytes();
    written.extend_from_slice(&[0, 0, 0, 0, aad.kind, aad.version]);
    written.extend_from_slice(&aad.leg.to_be_bytes());
    written.extend_from_slice(&aad.id.to_be_bytes());
    written.push(u8::try_from(account.len()).unwrap_or(0));
    written.extend_from_slice(account);
    written.extend_from_slice(&key.id().0.to_be_bytes());
    let is_sealed = key.seal(&aad, rng, &mut written, |out| {
        out.extend_from_slice(&raw.payload[4..]);
    });
    assert!(is_sealed.is_ok());
    let length = u32::try_from(written.len() - 4).unwrap_or(0);
    written[..4].copy_from_slice(&length.to_be_bytes());

    let Some((Ok(raw), [])) = cut(&mut written) else {
        panic!("a whole record is none");
    };
    let head = raw.head;
    if let Ok(payload) = raw.open(Purpose::Deliver, |_| Some(Held(key))) {
        let mut written = Vec::new();
        assert!(write(&mut written, &head, &payload, key, rng).is_ok());
        same(&mut written, &payload, key);
    }
}

fn same(written: &mut [u8], payload: &Payload<'_>, key: &SealKey) {
    let Some((Ok(raw), [])) = cut(written) else {
        panic!("what was written is no record");
    };
    let again = raw.open(Purpose::Deliver, |_| Some(Held(key)));
    assert_eq!(again.as_ref(), Ok(payload));
}

/// A key as a ring lends it.
struct Held<'a>(&'a SealKey);

impl AsRef<SealKey> for Held<'_> {
    fn as_ref(&self) -> &SealKey {
        self.0
    }
}
