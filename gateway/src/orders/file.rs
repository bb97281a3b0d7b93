//! Where the orders lie: one small file of the data directory, one line of JSON and the SHA-256 of that line, replaced as a
//! whole. Who halted a carrier does not want it fed because a file was cut short, or a letter of a name has changed: one that
//! is not as it was written stops the start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::{Halt, Halted, ORDERS_MAX, Orders, senders};
use crate::small_file;

const FILE: &str = "operator-orders";
/// Octets of the file at most: as many orders as there may be, each with a long name.
const FILE_MAX: u64 = 16 << 20;
/// A file without closed accounts is one of the first version: a program that knows no closed ones may read it, and only then.
/// In the same way one of the third names accounts that a case has suspended, and one of the fourth single senders that are.
const VERSIONS: [u64; 4] = [1, 2, 3, 4];

/// The file is there, and what stands in it cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "the operator's orders cannot be read from {path}: {why}. Nothing is started, so that no paused carrier and no suspended \
     or closed account, or sender of one, is let go by mistake: put the file back, or remove it and give the orders anew; who \
     was closed is in the audit log"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

/// See the [module](self).
#[derive(Debug)]
pub struct OrdersFile {
    path: PathBuf,
    /// Held from before the orders are looked at until those that were made of them hold.
    turn: Mutex<()>,
    /// A write has begun and not come to a good end: the file holds the orders before or behind it, nobody knows which.
    is_uncertain: AtomicBool,
}

impl OrdersFile {
    /// Reads the orders of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written.
    pub fn open(data: &Path) -> Result<(Self, Orders), Unreadable> {
        let path = data.join(FILE);
        let unreadable = |why: String| Unreadable {
            path: path.display().to_string(),
            why,
        };
        let text = small_file::read(&path, FILE_MAX).map_err(|error| unreadable(error.to_string()))?;
        let orders = match text {
            None => Orders::default(),
            Some(text) => read(&text).ok_or_else(|| unreadable("it is not as it was written".to_owned()))?,
        };
        let file = Self {
            path,
            turn: Mutex::new(()),
            is_uncertain: AtomicBool::new(false),
        };
        Ok((file, orders))
    }

    /// Whether all that these orders name can be known again, given the generations of pseudonyms that live.
    ///
    /// # Errors
    ///
    /// A sender is suspended under another one, as with a key ring of an earlier day.
    pub fn known(&self, orders: &Orders, living: &[u8]) -> Result<(), Unreadable> {
        match orders.generations().find(|of| !living.contains(of)) {
            None => Ok(()),
            Some(generation) => Err(Unreadable {
                path: self.path.display().to_string(),
                why: format!(
                    "a sender is suspended under generation {generation} of the suppression key, which the key ring does not have"
                ),
            }),
        }
    }

    /// Changes go one after the other.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Puts these orders in the place of what it holds. Blocks until they are on disk. In its [turn](Self::turn).
    ///
    /// # Errors
    ///
    /// What the system said. The file may hold these orders all the same; see [`Self::is_uncertain`].
    pub fn write(&self, orders: &Orders) -> io::Result<()> {
        self.is_uncertain.store(true, Ordering::Relaxed);
        small_file::replace(&self.path, &written(orders))?;
        self.is_uncertain.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the file may hold other orders than those that hold, as the last write failed. Until one succeeds, orders are
    /// to be written even if they are the same as before.
    pub fn is_uncertain(&self) -> bool {
        self.is_uncertain.load(Ordering::Relaxed)
    }
}

fn written(orders: &Orders) -> String {
    let carriers: Map<String, Value> = orders
        .carriers()
        .map(|(name, Halted { how, since_ms })| {
            let halted = json!({ "how": how.word(), "since_ms": since_ms });
            (name.to_owned(), halted)
        })
        .collect();
    let accounts: Map<String, Value> = orders
        .accounts()
        .map(|(name, since_ms)| (name.to_owned(), json!(since_ms)))
        .collect();
    let closed: Map<String, Value> = orders
        .closed()
        .map(|(name, since_ms)| (name.to_owned(), json!(since_ms)))
        .collect();
    let by_case: Map<String, Value> = orders
        .by_case()
        .map(|(name, since_ms)| (name.to_owned(), json!(since_ms)))
        .collect();
    let [first, second, third, fourth] = VERSIONS;
    let mut line = json!({ "version": first, "carriers": carriers, "accounts": accounts });
    if !closed.is_empty() {
        line["version"] = json!(second);
        line["closed"] = Value::Object(closed);
    }
    if !by_case.is_empty() {
        line["version"] = json!(third);
        line["by_case"] = Value::Object(by_case);
    }
    let senders = orders.written_senders();
    if !senders.is_empty() {
        line["version"] = json!(fourth);
        line["senders"] = Value::Object(senders);
    }
    let line = line.to_string();
    small_file::summed(&line)
}

fn read(text: &str) -> Option<Orders> {
    let line = small_file::unsummed(text)?;
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let version = object.get("version")?.as_u64()?;
    if !VERSIONS.contains(&version) {
        return None;
    }
    let carriers = object.get("carriers")?.as_object()?.iter().map(|(name, halted)| {
        let word = halted.get("how")?.as_str()?;
        let how = Halt::ALL.into_iter().find(|how| how.word() == word)?;
        let since_ms = halted.get("since_ms")?.as_u64()?;
        Some((name.clone(), Halted { how, since_ms }))
    });
    let dated = |key: &str, since: u64| {
        let names = match object.get(key) {
            // Of a later version than that in which they came they may be missing.
            None if version != since => return Some(BTreeMap::new()),
            names => names?.as_object()?.iter(),
        };
        let dated = names.map(|(name, since_ms)| Some((name.clone(), since_ms.as_u64()?)));
        dated.collect::<Option<BTreeMap<_, _>>>()
    };
    let orders = Orders {
        carriers: carriers.collect::<Option<BTreeMap<_, _>>>()?,
        accounts: dated("accounts", version)?,
        closed: dated("closed", 2)?,
        by_case: dated("by_case", 3)?,
        senders: match object.get("senders") {
            None if version != 4 => BTreeMap::new(),
            senders => senders::read(senders?.as_object()?)?,
        },
    };
    (orders.len() <= ORDERS_MAX).then_some(orders)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::orders::{By, Sender};

    /// What stands for a sender, of the first generation and of a later one.
    const FIRST: &str = "00112233445566778899aabbccddeeff";
    const LATER: &str = "ffeeddccbbaa9988aabbccddeeff001102";

    fn some() -> Orders {
        let mut orders = Orders::default();
        orders.halt("sink", Halt::Pause, 1_790_000_000_000).unwrap();
        orders.halt("other", Halt::Drain, 5).unwrap();
        orders.suspend("load", 7).unwrap();
        orders
    }

    #[test]
    fn what_was_written_is_read_and_no_file_is_no_orders() {
        let dir = tempfile::tempdir().unwrap();
        let (file, orders) = OrdersFile::open(dir.path()).unwrap();
        assert_eq!(orders, Orders::default());
        let mut with_closed = some();
        with_closed.close("gone", 9).unwrap();
        let mut by_case = some();
        by_case.suspend_by_case("load", 3).unwrap();
        let mut both = with_closed.clone();
        both.suspend_by_case("away", 8).unwrap();
        let mut with_senders = some();
        for (text, by) in [(FIRST, By::Operator), (FIRST, By::Case), (LATER, By::Case)] {
            let sender = Sender::read(text).unwrap();
            with_senders.suspend_sender("load", sender, by, 11).unwrap();
        }
        let mut all = both.clone();
        all.suspend_sender("gone", Sender::read(FIRST).unwrap(), By::Operator, 12)
            .unwrap();
        for orders in [
            some(),
            with_closed,
            by_case,
            both,
            with_senders,
            all,
            Orders::default(),
        ] {
            file.write(&orders).unwrap();
            assert_eq!(OrdersFile::open(dir.path()).unwrap().1, orders);
        }
    }

    /// A program that knows nothing of closed accounts, or of cases, must not read it as if there were none.
    #[test]
    fn with_a_closed_account_or_one_that_a_case_has_suspended_it_is_of_another_version() {
        let mut orders = some();
        assert!(written(&orders).contains("\"version\":1"));
        orders.close("gone", 9).unwrap();
        assert!(written(&orders).contains("\"version\":2"));
        orders.suspend_by_case("load", 9).unwrap();
        assert!(written(&orders).contains("\"version\":3"));
        let sender = Sender::read(FIRST).unwrap();
        orders.suspend_sender("load", sender, By::Case, 9).unwrap();
        assert!(written(&orders).contains("\"version\":4"));
        orders.restore_sender("load", sender, By::Case);
        assert!(written(&orders).contains("\"version\":3"));
    }

    /// As earlier programs wrote it, octet for octet, and what none has written.
    #[test]
    fn what_earlier_versions_wrote_is_read_and_a_sender_that_nobody_has_suspended_is_none() {
        let lines = [
            r#"{"accounts":{"load":7},"carriers":{"sink":{"how":"paused","since_ms":5}},"version":1}"#,
            r#"{"accounts":{"load":7},"carriers":{},"closed":{"gone":9},"version":2}"#,
            r#"{"accounts":{},"by_case":{"load":3},"carriers":{},"version":3}"#,
            r#"{"accounts":{},"by_case":{"load":3},"carriers":{},"closed":{"gone":9},"version":3}"#,
        ];
        for line in lines {
            let orders = read(&small_file::summed(line)).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(written(&orders), small_file::summed(line));
        }
        let with = |senders: &str| {
            let line = format!(r#"{{"accounts":{{}},"carriers":{{}},"senders":{senders},"version":4}}"#);
            read(&small_file::summed(&line))
        };
        let good = format!(r#"{{"load":{{"{FIRST}":{{"operator_ms":7,"case_ms":null}}}}}}"#);
        assert!(with(&good).is_some());
        for bad in [
            "[]".to_owned(),
            r#"{"load":{}}"#.to_owned(),
            good.replace('7', "null"),
            good.replace(FIRST, "ACME"),
            good.replace(",\"case_ms\":null", ""),
        ] {
            assert!(with(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_sender_that_nobody_could_know_again_is_no_order_to_start_with() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut orders) = OrdersFile::open(dir.path()).unwrap();
        assert!(file.known(&orders, &[]).is_ok());
        orders
            .suspend_sender("load", Sender::read(LATER).unwrap(), By::Case, 9)
            .unwrap();
        assert!(file.known(&orders, &[1, 2]).is_ok());
        let refused = file.known(&orders, &[1, 3]).unwrap_err().to_string();
        assert!(
            refused.contains("generation 2") && refused.contains(FILE),
            "{refused}"
        );
    }

    #[test]
    fn what_it_holds_is_uncertain_from_a_write_that_failed_to_one_that_did_not() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = OrdersFile::open(dir.path()).unwrap();
        assert!(!file.is_uncertain());
        let in_the_way = dir.path().join(FILE).with_extension("new");
        fs::create_dir(&in_the_way).unwrap();
        file.write(&some()).unwrap_err();
        assert!(file.is_uncertain());
        fs::remove_dir(&in_the_way).unwrap();
        file.write(&some()).unwrap();
        assert!(!file.is_uncertain());
    }

    #[test]
    fn whatever_is_cut_or_changed_is_refused_by_the_name_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = OrdersFile::open(dir.path()).unwrap();
        file.write(&some()).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let refused = OrdersFile::open(dir.path()).map(drop).unwrap_err().to_string();
            assert!(refused.contains(FILE) && !refused.contains('\n'), "{refused}");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(OrdersFile::open(dir.path()).is_err(), "octet {place}");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(OrdersFile::open(dir.path()).unwrap().1, some());
    }
}
