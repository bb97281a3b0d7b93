//! A message as a peer of SMPP 3.3 can hold it: no TLV, no data_sm (smpp-session.md §7).

use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_store::record::Form;

/// The stored message without TLVs, as [`Sm::plain`] and [`DataSm::plain`] make it; `None` where 3.3 has no
/// room for it.
pub(crate) fn plain(form: Form, body: &[u8]) -> Option<Sm<'_>> {
    // The body was read when it came in.
    match form {
        Form::Sm => Sm::decode(body).ok()?.plain(),
        Form::DataSm => DataSm::decode(body).ok()?.plain(),
    }
}
