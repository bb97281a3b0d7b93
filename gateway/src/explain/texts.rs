//! How a carrier would get the text.

use serde_json::{Value, json};
use tidegate_codec::pdu::message::Sm;
use tidegate_config::{Account, Carrier};
use tidegate_store::record::Form;

use crate::wording::{Rules, Wording, word};

/// The text as it is written there: null where it goes as it came.
pub(super) fn shown_text(carrier: &Carrier, account: &Account, sm: &Sm<'_>) -> Value {
    if carrier.texts.is_as_received() {
        return Value::Null;
    }
    let mut body = Vec::new();
    sm.encode(&mut body);
    let rules = Rules {
        texts: carrier.texts,
        account: account.default_alphabet,
        version: carrier.interface_version,
        reference: 0,
    };
    let one = |body: &[u8]| {
        let Ok(sm) = Sm::decode(body) else {
            return Value::Null;
        };
        json!({ "data_coding": sm.data_coding.0, "octets": sm.text().0.len() })
    };
    let parts: Vec<Value> = match word(&rules, Form::Sm, &body) {
        Wording::AsItCame => return Value::Null,
        Wording::Rewritten(body) => vec![one(&body)],
        // What a part becomes is seen when it goes.
        Wording::Cut(parts) => parts
            .iter()
            .map(|part| match word(&rules, Form::Sm, part) {
                Wording::Rewritten(body) => one(&body),
                _ => one(part),
            })
            .collect(),
    };
    json!({ "long_messages": carrier.texts.long_messages.word(), "parts": parts })
}
