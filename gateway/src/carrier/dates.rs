//! Legs whose date has come, and legs whose carrier is down.

use bytes::Bytes;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_store::disk::Disk;
use tidegate_store::record::Stage;

use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;

impl<D: Disk> Gate<D> {
    /// Acts on legs whose date has come, a bounded number per turn.
    pub(crate) fn due_legs(&mut self, now: Now, max: usize) {
        // While nothing can be written they keep their dates, or what ends would pile up in one batch.
        if self.spool.is_broken() || !self.spool.has_batch_room() {
            return;
        }
        if self
            .spool
            .index()
            .next_due_ms()
            .is_none_or(|due| due > now.unix_ms)
        {
            return;
        }
        for leg in self.spool.index().due(now.unix_ms, max) {
            let Some(found) = self.spool.index().get(leg) else {
                continue;
            };
            let wish = RegisteredDelivery(found.envelope.registered_delivery)
                .wish(InterfaceVersion(found.envelope.interface_version));
            match found.stage {
                Stage::Waiting if found.envelope.expires_ms <= now.unix_ms => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
                }
                Stage::Waiting => self.line_up(now, leg, None),
                // Silence of a carrier that reports failures only is good news (design §5.6).
                Stage::HandedOver if wish == ReceiptWish::OnFailure => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Accepted));
                }
                Stage::HandedOver => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown));
                }
            }
        }
    }

    /// Moves what waits for a carrier that is down to the next of its route that is up.
    ///
    /// Only when a carrier has come up or gone down, or something came back into its queue: what was placed
    /// since is where it belongs, and to look through all that waits at every tick would cost everything.
    pub(crate) fn fail_over(&mut self, now: Now) {
        let mut changed = false;
        for state in &mut self.carriers {
            let is_up = state.is_up(now);
            changed |= std::mem::replace(&mut state.was_up, is_up) != is_up;
        }
        for carrier in 0..self.carriers.len() {
            let state = &mut self.carriers[carrier];
            let came_back = std::mem::take(&mut state.came_back);
            if !(changed || came_back)
                || state.queue.is_empty()
                || state.is_up(now)
                || !self.carriers.iter().any(|other| other.is_up(now))
            {
                continue;
            }
            let waiting: Vec<_> = self.carriers[carrier].queue.drain().collect();
            for (leg, body) in waiting {
                self.hot_octets = self
                    .hot_octets
                    .saturating_sub(body.as_ref().map_or(0, Bytes::len));
                self.line_up(now, leg, body);
            }
        }
    }
}
