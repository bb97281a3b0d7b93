//! How an operator steers a gateway, for the tests of the verbs that do it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use tidegate_gateway::control::{self, Page, Steer, Verb};
use tidegate_tests::DEADLINE;

use crate::control::ask;
use crate::local::Local;

/// Asks, and is answered.
pub(crate) async fn steer(local: &Local, steer: Steer) -> Map<String, Value> {
    ask(local, Verb::Steer(steer)).await.unwrap()
}

/// Asks, and is refused: why.
pub(crate) async fn refused(local: &Local, steer: Steer) -> String {
    ask(local, Verb::Steer(steer)).await.unwrap_err().to_string()
}

/// The same of a gateway whose data lie there.
pub(crate) async fn steer_at(data: PathBuf, steer: Steer) -> Map<String, Value> {
    let asking = move || control::ask(&data, &Verb::Steer(steer));
    tokio::task::spawn_blocking(asking).await.unwrap().unwrap()
}

/// The row of a carrier in `carrier list`.
pub(crate) async fn carrier(local: &Local, name: &str) -> Value {
    row(
        &steer(local, Steer::CarrierList).await,
        "carriers",
        "carrier",
        name,
    )
}

/// The row of an account in `account list`.
pub(crate) async fn account(local: &Local, name: &str) -> Value {
    let page = Page::default();
    row(
        &steer(local, Steer::AccountList { page }).await,
        "accounts",
        "account",
        name,
    )
}

/// The row of a list in which this key has this value.
pub(crate) fn row(answer: &Map<String, Value>, list: &str, key: &str, value: &str) -> Value {
    let rows = answer[list].as_array().unwrap();
    let found = rows.iter().find(|row| row[key] == value);
    found.unwrap_or_else(|| panic!("no {value}: {rows:?}")).clone()
}

/// The row of a carrier once it is as it should be.
pub(crate) async fn carrier_once(local: &Local, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let found = carrier(local, name).await;
            if is_so(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    found.unwrap_or_else(|_| panic!("{name} is not as it should be"))
}

/// All that the audit log of a gateway that was stopped holds, as text.
pub(crate) fn audit(local: &Local) -> String {
    let files = local.files();
    let files = files
        .iter()
        .filter(|path| path.to_string_lossy().contains("/audit/"));
    let octets: Vec<u8> = files.flat_map(|path| fs::read(path).unwrap()).collect();
    String::from_utf8_lossy(&octets).into_owned()
}
