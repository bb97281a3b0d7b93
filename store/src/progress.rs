//! How far the parts of a long message have come, each of which is a leg of its own.

use std::fmt;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tidegate_codec::values::MessageState;

use crate::record::{RecordError, get_array, get_short, get_u8, get_u64, put_short};

/// Longest `err` that is kept, in octets.
const ERR_MAX: usize = 8;

/// How a part has ended, as far as a receipt can tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its final state.
    pub state: MessageState,
    /// `err` of its receipt, at most 8 octets; more are left out.
    pub err: SmallVec<[u8; ERR_MAX]>,
    /// Network error code of its receipt.
    pub network_error: Option<[u8; 3]>,
    /// When it was done by the carrier's word, in unix milliseconds.
    pub done_ms: Option<u64>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.state).finish()
    }
}

/// How far the parts of a leg have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many there are, 1 to 255.
    pub total: u8,
    /// How many have ended.
    pub ended: u8,
    /// What the message's outcome is by those, as its account counts it; `None` while none has ended.
    pub so_far: Option<Outcome>,
}

impl Progress {
    /// None of so many parts has ended.
    pub const fn of(total: u8) -> Self {
        Self {
            total,
            ended: 0,
            so_far: None,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.total, self.ended, u8::from(self.so_far.is_some())]);
        let Some(outcome) = &self.so_far else { return };
        out.push(outcome.state.octet());
        let err = outcome.err.get(..ERR_MAX).unwrap_or(&outcome.err);
        put_short(out, err);
        out.push(u8::from(outcome.network_error.is_some()));
        out.extend_from_slice(&outcome.network_error.unwrap_or_default());
        // No receipt is of 1970.
        out.extend_from_slice(&outcome.done_ms.unwrap_or_default().to_be_bytes());
    }

    pub(crate) fn get(fields: &mut &[u8]) -> Result<Self, RecordError> {
        let (total, ended) = (get_u8(fields)?, get_u8(fields)?);
        let so_far = match get_u8(fields)? {
            0 => None,
            1 => Some(get_outcome(fields)?),
            _ => return Err(RecordError::Malformed),
        };
        Ok(Self { total, ended, so_far })
    }
}

fn get_outcome(fields: &mut &[u8]) -> Result<Outcome, RecordError> {
    let state = MessageState::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)?;
    let err = SmallVec::from_slice(get_short(fields)?);
    let has_code = get_u8(fields)?;
    let network_error = match (has_code, get_array(fields)?) {
        (0, [0, 0, 0]) => None,
        (1, code) => Some(code),
        _ => return Err(RecordError::Malformed),
    };
    if err.len() > ERR_MAX {
        return Err(RecordError::Malformed);
    }
    let done_ms = get_u64(fields)?;
    Ok(Outcome {
        state,
        err,
        network_error,
        done_ms: (done_ms > 0).then_some(done_ms),
    })
}

/// The progress of legs whose parts are under way, by their slot.
#[derive(Debug, Default)]
pub(crate) struct ProgressTable(HashMap<u32, Progress>);

impl ProgressTable {
    pub(crate) fn set(&mut self, slot: u32, progress: Progress) {
        self.0.insert(slot, progress);
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Progress> {
        self.0.get(&slot)
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        self.0.remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_comes_back() {
        let outcome = Outcome {
            state: MessageState::Undeliverable,
            err: SmallVec::from_slice(b"011"),
            network_error: Some([3, 0, 11]),
            done_ms: Some(1_790_000_000_000),
        };
        let bare = Outcome {
            err: SmallVec::new(),
            network_error: None,
            done_ms: None,
            ..outcome.clone()
        };
        for so_far in [None, Some(outcome), Some(bare)] {
            let progress = Progress {
                total: 255,
                ended: 3,
                so_far,
            };
            let mut octets = Vec::new();
            progress.put(&mut octets);
            for cut in 0..octets.len() {
                assert!(Progress::get(&mut &octets[..cut]).is_err());
            }
            let mut fields = &octets[..];
            assert_eq!(Progress::get(&mut fields), Ok(progress));
            assert!(fields.is_empty());
        }
    }
}
