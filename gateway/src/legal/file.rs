//! How the file of the register has what it holds.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
use tidegate_store::history::Kept;
use tidegate_store::message_id::MessageId;

use super::Register;
use crate::small_file::register::{Filed, Form};

impl Filed for Register {
    const FILE: &'static str = "legal-register";
    const FILE_MAX: u64 = 128 << 20;
    const VERSIONS: &'static [u64] = &[1, 2];
    const FORM: Form = Form::Beside;
    const NAME: &'static str = "holds";
    const FULL_NAME: &'static str = "legal holds and erasures";
    const AT_STAKE: &'static str = "no hold is forgotten and nothing that is held is destroyed: put the file back as it was, with \
                                    its key ring";

    /// 2 with restrictions: a version of the gateway that knows none is not to start with it.
    fn version(&self) -> u64 {
        if self.restrictions.is_empty() { 1 } else { 2 }
    }
}

/// An account by its name.
pub(super) mod account {
    use tidegate_codec::identity::SystemId;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(account: &Option<SystemId>, to: S) -> Result<S::Ok, S::Error> {
        account.as_ref().map(SystemId::as_str).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemId>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        name.map(|name| name.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// A message by its number.
pub(super) mod message {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(message: &Option<MessageId>, to: S) -> Result<S::Ok, S::Error> {
        message.map(|id| id.0).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MessageId>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(MessageId))
    }
}

/// A class by its word.
pub(super) mod class {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(class: &Option<Kept>, to: S) -> Result<S::Ok, S::Error> {
        class.map(Kept::word).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Kept>, D::Error> {
        let of = |word: String| Kept::ALL.into_iter().find(|kept| kept.word() == word);
        let word = Option::<String>::deserialize(from)?;
        word.map(|word| of(word).ok_or_else(|| D::Error::custom("no class")))
            .transpose()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::{HoldRow, OrderRow, RestrictionRow};
    use super::*;
    use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};
    use crate::small_file::summed;

    pub(crate) fn some() -> Register {
        let hold = HoldRow {
            matter: "2026/17".to_owned(),
            account: Some("shop".parse().unwrap()),
            message: Some(MessageId(u64::MAX >> 1)),
            class: Some(Kept::Body),
            from_ms: Some(1),
            until_ms: None,
            future: true,
            sealed: vec![0, 255, 7],
            who: "socket 0".to_owned(),
            why: "a claim".to_owned(),
            review_ms: 9,
            taken_ms: 8,
            released_ms: None,
        };
        let order = OrderRow {
            account: None,
            sealed: Vec::new(),
            who: "token a".to_owned(),
            why: "asked".to_owned(),
            asked_ms: 5,
            lots: 2,
            records: 3,
            executed_ms: Some(6),
        };
        Register {
            last: 2,
            holds: BTreeMap::from([(1, hold)]),
            orders: BTreeMap::from([(2, order)]),
            restrictions: BTreeMap::new(),
        }
    }

    #[test]
    fn only_what_was_written_is_read_and_it_is_written_as_ever() {
        let restriction = RestrictionRow {
            account: Some("shop".parse().unwrap()),
            sealed: vec![1, 2],
            who: "token a".to_owned(),
            why: "contested".to_owned(),
            since_ms: 5,
            lifted_ms: None,
            notice: None,
        };
        let lifted = RestrictionRow {
            sealed: Vec::new(),
            lifted_ms: Some(6),
            notice: Some("letter".to_owned()),
            ..restriction.clone()
        };
        let restrictions = BTreeMap::from([(1, restriction), (10, lifted.clone()), (2, lifted)]);
        let with_some = Register {
            restrictions,
            ..some()
        };
        only_what_was_written_is_read(&[with_some, some()]);
        is_written_to_the_octet::<Register>(include_str!(
            "../../../tests/fixtures/formats/0.1.0/data/legal-register"
        ));
        for line in [
            // As the program wrote it that knew no restrictions.
            r#"{"holds":{"1":{"account":"shop","class":"body","from_ms":1,"future":true,"matter":"2026/17","message":9223372036854775807,"released_ms":null,"review_ms":9,"sealed":"00ff07","taken_ms":8,"until_ms":null,"who":"socket 0","why":"a claim"}},"last":2,"orders":{"2":{"account":null,"asked_ms":5,"executed_ms":6,"lots":2,"records":3,"sealed":"","who":"token a","why":"asked"}},"version":1}"#,
            r#"{"holds":{},"last":12,"orders":{},"restrictions":{"10":{"account":"shop","lifted_ms":6,"notice":"letter","sealed":"","since_ms":5,"who":"token a","why":"contested"},"2":{"account":null,"lifted_ms":null,"notice":null,"sealed":"0102","since_ms":5,"who":"token a","why":"contested"}},"version":2}"#,
        ] {
            is_written_to_the_octet::<Register>(&summed(line));
        }
    }
}
