//! Legs whose date has come.

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
                Stage::Waiting | Stage::Held if found.envelope.expires_ms <= now.unix_ms => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
                }
                // The client's own date is over; the next one is the end of its validity.
                Stage::Held => {
                    let expires_ms = found.envelope.expires_ms;
                    self.spool.set_due(leg, expires_ms);
                }
                Stage::Waiting => self.line_up(now, leg, None),
                Stage::InParts => self.parts_overdue(now, leg),
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
}
