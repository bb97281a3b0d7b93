//! What a history was given, for the tests of those who give: as far as a checkpoint covers it, over power cuts, too.

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use tidegate_codec::values::MessageState;

use crate::disk::{Access, Disk, DiskFile};
use crate::message_id::MessageId;

use super::Finished;

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

/// See the [module](self).
pub(crate) struct Recorder<D: Disk> {
    disk: D,
    dir: PathBuf,
    pub(crate) filed: Vec<Record>,
    /// So many of these are covered.
    pub(crate) synced: usize,
    pub(crate) position: u64,
    pub(crate) checkpoints: usize,
    /// The next legs that are filed cannot be written.
    pub(crate) fail_files: usize,
    /// Between a failure and the next checkpoint; then only the batch of the failure may go on.
    pub(crate) has_failed: bool,
}

impl<D: Disk> Recorder<D> {
    pub(crate) fn open(disk: D, dir: &Path) -> io::Result<Self> {
        let dir = dir.with_file_name("recorded");
        disk.create_dir_all(&dir)?;
        let mut recorder = Self {
            disk,
            dir,
            filed: Vec::new(),
            synced: 0,
            position: 0,
            checkpoints: 0,
            fail_files: 0,
            has_failed: false,
        };
        match recorder.disk.open(&recorder.dir.join("whole"), Access::Read) {
            Ok(file) => {
                let mut octets = vec![0; usize::try_from(file.len()?).unwrap()];
                file.read_at(&mut octets, 0)?;
                recorder.read(std::str::from_utf8(&octets).unwrap());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(recorder)
    }

    fn read(&mut self, text: &str) {
        let mut lines = text.lines();
        self.position = lines.next().unwrap().parse().unwrap();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let [id, leg, state, carrier, carrier_id, body] = words[..] else {
                panic!("{line}")
            };
            self.filed.push(Record {
                id: MessageId(id.parse().unwrap()),
                leg: leg.parse().unwrap(),
                state: MessageState::from_octet(state.parse().unwrap()).unwrap(),
                carrier: carrier.to_owned(),
                carrier_id: octets(carrier_id),
                body: (body != "-").then(|| octets(body)),
            });
        }
        self.synced = self.filed.len();
    }

    pub(crate) fn file(&mut self, finished: &Finished, body: Option<&[u8]>) -> io::Result<()> {
        self.filed.push(Record {
            id: finished.id,
            leg: finished.leg,
            state: finished.end.state,
            carrier: finished.carrier.to_string(),
            carrier_id: finished.carrier_id.as_bytes().to_vec(),
            body: body.map(<[u8]>::to_vec),
        });
        if self.fail_files > 0 {
            self.fail_files -= 1;
            self.has_failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(crate) fn checkpoint(&mut self, batch: u64) -> io::Result<()> {
        let mut text = format!("{batch}\n");
        for record in &self.filed {
            let Record { id, leg, carrier, .. } = record;
            let (state, carrier_id) = (record.state.octet(), hex(&record.carrier_id));
            let body = record.body.as_deref().map_or("-".to_owned(), hex);
            writeln!(text, "{} {leg} {state} {carrier} {carrier_id} {body}", id.0).unwrap();
        }
        let (begun, whole) = (self.dir.join("begun"), self.dir.join("whole"));
        let _ = self.disk.unlink(&begun);
        let file = self.disk.create(&begun, 0o600, 0)?;
        file.write_at(&[IoSlice::new(text.as_bytes())], 0)?;
        file.sync_all()?;
        self.disk.rename(&begun, &whole)?;
        self.disk.sync_dir(&self.dir)?;
        self.synced = self.filed.len();
        self.checkpoints += 1;
        self.has_failed = false;
        Ok(())
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").unwrap();
        text
    })
}

fn octets(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(octet).collect()
}
