//! A message as a peer of SMPP 3.3 can hold it: no TLV, no data_sm (smpp-session.md §7).

use tidegate_codec::address::Address;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::tlv::Tlvs;
use tidegate_store::record::Form;

/// Longest short_message before 5.0.
const TEXT_MAX: usize = 254;

/// The message without TLVs, a text that stood in message_payload moved to short_message. `None` when the
/// text or an address is longer than 3.3 has room for: half a text would be worse than none.
pub(crate) fn plain(form: Form, body: &[u8]) -> Option<Sm<'_>> {
    // The body was read when it came in.
    match form {
        Form::Sm => {
            let sm = Sm::decode(body).ok()?;
            let short_message = if sm.short_message.as_bytes().is_empty() {
                text(sm.text().0)?
            } else {
                sm.short_message
            };
            Some(Sm {
                short_message,
                tlvs: Tlvs::NONE,
                ..sm
            })
        }
        Form::DataSm => {
            let sm = DataSm::decode(body).ok()?;
            let (source, destination) = (sm.source, sm.destination);
            Some(Sm {
                service_type: sm.service_type,
                source: Address::new(source.ton, source.npi, source.addr.as_bytes()).ok()?,
                destination: Address::new(destination.ton, destination.npi, destination.addr.as_bytes())
                    .ok()?,
                esm_class: sm.esm_class,
                registered_delivery: sm.registered_delivery,
                data_coding: sm.data_coding,
                short_message: text(sm.tlvs.message_payload().unwrap_or_default().0)?,
                ..Sm::default()
            })
        }
    }
}

fn text(octets: &[u8]) -> Option<ShortMessage<'_>> {
    (octets.len() <= TEXT_MAX)
        .then(|| ShortMessage::new(octets))
        .flatten()
}
