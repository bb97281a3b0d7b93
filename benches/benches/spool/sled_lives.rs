//! The same lives with everything in sled 0.34.7: what the spool is measured against. Values are as long as the spool's
//! records, not sealed. Its own `flush` is no sync, so each is followed by an fdatasync of its file.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use crate::lives::{BODY, DLR};

/// Octets of a message's fields beside its body.
const FIELDS: usize = 80;

pub(crate) struct SledLives {
    db: sled::Db,
    file: File,
    messages: sled::Tree,
    by_carrier_id: sled::Tree,
    outbox: sled::Tree,
    next: u64,
}

impl SledLives {
    pub(crate) fn new(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(64 << 20)
            .flush_every_ms(None)
            .open()?;
        Ok(Self {
            file: File::open(dir.join("db"))?,
            messages: db.open_tree("messages")?,
            by_carrier_id: db.open_tree("by_carrier_id")?,
            outbox: db.open_tree("outbox")?,
            db,
            next: 0,
        })
    }

    pub(crate) fn run(&mut self, batch: u32, messages: u32) {
        let mut fetched = Vec::new();
        for _ in 0..messages / batch {
            let lived = self.batch(batch, &mut fetched);
            assert!(lived.is_ok(), "sled failed: {lived:?}");
        }
    }

    fn batch(&mut self, count: u32, fetched: &mut Vec<[u8; 8]>) -> Result<(), Box<dyn Error>> {
        let ids: Vec<[u8; 8]> = (0..count)
            .map(|_| {
                self.next += 1;
                self.next.to_be_bytes()
            })
            .collect();
        let mut accepts = sled::Batch::default();
        for id in &ids {
            accepts.insert(id, &[b'x'; BODY + FIELDS][..]);
        }
        let mut settled = sled::Batch::default();
        for entry in fetched.drain(..) {
            settled.remove(&entry);
        }
        self.messages.apply_batch(accepts)?;
        self.outbox.apply_batch(settled)?;
        self.sync()?;
        // Handed over: the fields change, the carrier's id leads back.
        let (mut states, mut index) = (sled::Batch::default(), sled::Batch::default());
        for id in &ids {
            states.insert(id, &[b's'; FIELDS][..]);
            index.insert(carrier_id(id).as_bytes(), id);
        }
        self.messages.apply_batch(states)?;
        self.by_carrier_id.apply_batch(index)?;
        // The receipt: found, ended, with its DLR.
        let (mut ends, mut index, mut dlrs) = (
            sled::Batch::default(),
            sled::Batch::default(),
            sled::Batch::default(),
        );
        for id in &ids {
            let key = carrier_id(id);
            let found = self.by_carrier_id.get(key.as_bytes())?.ok_or("an id is gone")?;
            ends.remove(&found);
            index.remove(key.as_bytes());
            dlrs.insert(&found, &[b'r'; DLR][..]);
            fetched.push(*id);
        }
        self.messages.apply_batch(ends)?;
        self.by_carrier_id.apply_batch(index)?;
        self.outbox.apply_batch(dlrs)?;
        self.sync()
    }

    fn sync(&self) -> Result<(), Box<dyn Error>> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }
}

fn carrier_id(id: &[u8; 8]) -> String {
    format!(
        "{:016x}",
        u64::from_be_bytes(*id).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}
