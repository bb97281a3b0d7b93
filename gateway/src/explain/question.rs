//! What is asked: which message of which account, and when.

use std::fmt;

use serde_json::{Map, Value, json};
use tidegate_codec::address::{ADDR_SM, Address, Npi, Ton};
use tidegate_codec::category::Category;

/// A message that might be submitted. Not to be printed: it has numbers and a text (P4).
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose, a `system_id`.
    pub account: String,
    /// Its sender: with `+` a number of TON 1, digits of TON 0, anything else TON 5.
    pub from: String,
    /// TON and NPI of its sender, instead.
    pub from_as: Option<(u8, u8)>,
    /// Its recipient, likewise.
    pub to: String,
    /// TON and NPI of its recipient, instead.
    pub to_as: Option<(u8, u8)>,
    /// Its text.
    pub text: String,
    /// How the text is said to be written; by default what it needs.
    pub data_coding: Option<u8>,
    /// What it says it is for.
    pub category: Option<Category>,
    /// Its `service_type`.
    pub service_type: String,
    /// When, in unix milliseconds; by default now.
    pub at_ms: Option<u64>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        f.debug_struct("Question")
            .field("account", account)
            .finish_non_exhaustive()
    }
}

impl Question {
    /// The sender's address.
    pub(super) fn source(&self) -> Result<Address<'_, ADDR_SM>, String> {
        address(&self.from, self.from_as).ok_or_else(|| "the sender has more than 20 octets".to_owned())
    }

    /// The recipient's address.
    pub(super) fn destination(&self) -> Result<Address<'_, ADDR_SM>, String> {
        address(&self.to, self.to_as).ok_or_else(|| "the recipient has more than 20 octets".to_owned())
    }

    /// As a request's line has it.
    pub(crate) fn put(&self, request: &mut Map<String, Value>) {
        let pair = |pair: Option<(u8, u8)>| pair.map_or(Value::Null, |(ton, npi)| json!([ton, npi]));
        for (key, value) in [
            ("account", json!(self.account)),
            ("from", json!(self.from)),
            ("from_as", pair(self.from_as)),
            ("to", json!(self.to)),
            ("to_as", pair(self.to_as)),
            ("text", json!(self.text)),
            ("data_coding", json!(self.data_coding)),
            ("category", json!(self.category.map(Category::word))),
            ("service_type", json!(self.service_type)),
            ("at_ms", json!(self.at_ms)),
        ] {
            request.insert(key.to_owned(), value);
        }
    }

    /// From what [`Question::put`] wrote; what is wrong is named by its key only, since values may be numbers (P4).
    pub(crate) fn take(request: &Map<String, Value>) -> Result<Self, String> {
        let given = |key: &str| request.get(key).filter(|value| !value.is_null());
        let wrong = |key: &str| format!("\"{key}\" is missing, or not what it should be");
        let text = |key: &str| match given(key) {
            None => Ok(String::new()),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| wrong(key)),
        };
        let needed = |key: &str| {
            text(key)
                .ok()
                .filter(|text| !text.is_empty())
                .ok_or_else(|| wrong(key))
        };
        let octet = |value: &Value| value.as_u64().and_then(|octet| u8::try_from(octet).ok());
        let pair = |key: &str| match given(key) {
            None => Ok(None),
            Some(value) => match value.as_array().map(Vec::as_slice) {
                Some([ton, npi]) => octet(ton).zip(octet(npi)).map(Some).ok_or_else(|| wrong(key)),
                _ => Err(wrong(key)),
            },
        };
        Ok(Self {
            account: needed("account")?,
            from: text("from")?,
            from_as: pair("from_as")?,
            to: needed("to")?,
            to_as: pair("to_as")?,
            text: text("text")?,
            data_coding: match given("data_coding") {
                None => None,
                Some(value) => Some(octet(value).ok_or_else(|| wrong("data_coding"))?),
            },
            category: match given("category") {
                None => None,
                Some(value) => {
                    let category = value.as_str().and_then(Category::from_word);
                    Some(category.ok_or_else(|| wrong("category"))?)
                }
            },
            service_type: text("service_type")?,
            at_ms: match given("at_ms") {
                None => None,
                Some(value) => Some(value.as_u64().ok_or_else(|| wrong("at_ms"))?),
            },
        })
    }
}

fn address(text: &str, pair: Option<(u8, u8)>) -> Option<Address<'_, ADDR_SM>> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (ton, npi, text) = match (pair, text.strip_prefix('+')) {
        (Some((ton, npi)), _) => (Ton(ton), Npi(npi), text),
        (None, Some(digits)) if is_number(digits) => (Ton::INTERNATIONAL, Npi::ISDN, digits),
        (None, _) if is_number(text) => (Ton::UNKNOWN, Npi::ISDN, text),
        (None, _) if text.is_empty() => (Ton::UNKNOWN, Npi::UNKNOWN, text),
        (None, _) => (Ton::ALPHANUMERIC, Npi::UNKNOWN, text),
    };
    Address::new(ton, npi, text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            account: "load".to_owned(),
            from: "Shop".to_owned(),
            from_as: None,
            to: "+447700900123".to_owned(),
            to_as: Some((2, 1)),
            text: "hello".to_owned(),
            data_coding: Some(4),
            category: Some(Category::Otp),
            service_type: "OTP".to_owned(),
            at_ms: Some(1_790_000_000_000),
        }
    }

    #[test]
    fn a_question_comes_back_as_it_was_asked() {
        let plain = Question {
            from: String::new(),
            to_as: None,
            text: String::new(),
            data_coding: None,
            category: None,
            service_type: String::new(),
            at_ms: None,
            ..question()
        };
        for question in [question(), plain] {
            let mut request = Map::new();
            question.put(&mut request);
            assert_eq!(Question::take(&request), Ok(question));
        }
    }

    #[test]
    fn what_is_no_question_is_named_by_its_key_and_never_by_its_value() {
        for (key, value) in [
            ("account", json!(7)),
            ("to", json!([447_700_900_123_u64])),
            ("to_as", json!([1])),
            ("to_as", json!([1, 256])),
            ("data_coding", json!(256)),
            ("category", json!(3)),
            ("category", json!("447700900123")),
            ("at_ms", json!("447700900123")),
        ] {
            let mut request = Map::new();
            question().put(&mut request);
            request.insert(key.to_owned(), value);
            let why = Question::take(&request).unwrap_err();
            assert!(why.contains(key) && !why.contains("4477"), "{why}");
        }
    }

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, ton, npi, octets) in [
            ("+447700900123", 1, 1, "447700900123"),
            ("07700900123", 0, 1, "07700900123"),
            ("Shop 24", 5, 0, "Shop 24"),
            ("+", 5, 0, "+"),
            ("", 0, 0, ""),
        ] {
            let address = address(text, None).unwrap();
            assert_eq!((address.ton.0, address.npi.0), (ton, npi), "{text}");
            assert_eq!(address.addr.as_bytes(), octets.as_bytes());
        }
        assert_eq!(address("+44", Some((2, 8))).unwrap().addr.as_bytes(), b"+44");
        assert!(address("a sender of 21 octets", None).is_none());
    }
}
