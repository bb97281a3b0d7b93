//! How the file of the register has what it holds.

use super::Register;
use crate::small_file::register::{Filed, Form};

impl Filed for Register {
    const FILE: &'static str = "subject-register";
    const FILE_MAX: u64 = 128 << 20;
    const FORM: Form = Form::Below;
    const NAME: &'static str = "requests";
    const FULL_NAME: &'static str = "people's requests";
    const AT_STAKE: &'static str =
        "no request and no date is forgotten: put the file back as it was, with its key ring";
}

/// Rows by their numbers, which are shared in memory and not in the file.
pub(super) mod rows {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::subjects::RequestRow;

    type Rows = BTreeMap<u32, Arc<RequestRow>>;

    pub(crate) fn serialize<S: Serializer>(rows: &Rows, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(rows.iter().map(|(id, row)| (id, &**row)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Rows, D::Error> {
        let rows = BTreeMap::<u32, RequestRow>::deserialize(from)?;
        Ok(rows.into_iter().map(|(id, row)| (id, Arc::new(row))).collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{Asker, How, Kept, Ready, RequestRow, Right};
    use super::*;
    use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};

    pub(crate) fn some() -> Register {
        let row = RequestRow {
            right: Right::Erase,
            asker: Asker::Account,
            account: Some("shop".to_owned()),
            place: Some("DE".to_owned()),
            is_minor: true,
            number: vec![0, 255, 7],
            proof: vec![9],
            who: "socket 0".to_owned(),
            received_ms: 1,
            due_ms: 2,
            most_ms: 3,
            clock: "a law".to_owned(),
            extended: Some((2, "many".to_owned())),
            verified_ms: Some(2),
            run_ms: Some(4),
            format: Some("csv".to_owned()),
            note: None,
            order: Some(7),
            export: Some(u64::MAX),
            ready: Some(Ready {
                at_ms: 4,
                ends_ms: 9,
                unreadable: 1,
            }),
            restriction: Some(3),
            told: 0,
            kept: vec![Kept {
                class: "meta".to_owned(),
                records: 2,
                until_ms: Some(9),
                by: "a floor".to_owned(),
            }],
            answered_ms: Some(5),
            ended: None,
            why: None,
        };
        let over = RequestRow {
            number: Vec::new(),
            proof: Vec::new(),
            ended: Some((9, How::Refused)),
            why: Some("no proof".to_owned()),
            ..row.clone()
        };
        Register {
            last: 2,
            requests: BTreeMap::from([(1, Arc::new(row)), (2, Arc::new(over))]),
        }
    }

    #[test]
    fn only_what_was_written_is_read_and_it_is_written_as_ever() {
        only_what_was_written_is_read(&[some()]);
        is_written_to_the_octet::<Register>(include_str!(
            "../../../tests/fixtures/formats/0.1.0/data/subject-register"
        ));
    }
}
