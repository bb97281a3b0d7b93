//! What accounts are to be told, and whether they were: that they are suspended, that somebody asked about their data, that
//! data of theirs was disclosed (FRD-6, DSR-3, LEG-5).
//!
//! The gateway has no way to an account's people but SMPP, so that an operator, or a program of the operator's at the admin
//! listener, tells them and says so. Until then a notice waits in a register ([`file`]), is counted, and alarms. One that is
//! not to be told before a date is not due until then. A notice names nobody but the account.

mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_store::disk::Disk;
use tokio::sync::Mutex;

use crate::serve::Hub;
use crate::small_file::register::Durable;
use crate::telemetry::NoticeMetrics;

pub use crate::small_file::register::Unreadable;

/// Notices at a time, those that were told included.
pub const NOTICES_MAX: usize = 10_000;
/// Octets of what is told, and of what it refers to.
pub const TEXT_MAX: usize = 500;
/// How long it is kept that somebody was told: a year, as a case of abuse is (compliance.md FRD-7).
pub const KEPT_MS: u64 = 366 * 24 * 3_600_000;
/// What is said of a number that is none's.
pub(crate) const THERE_IS_NONE: &str = "there is no such notice";
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The account is suspended, or is no more.
    Suspension,
    /// A person has asked the platform about data that are the account's to decide on.
    Request,
    /// Data of the account were disclosed.
    Disclosure,
    /// Somebody of the operator's read data of the account in an emergency.
    Access,
}

impl About {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Suspension, Self::Request, Self::Disclosure, Self::Access];

    /// For files and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suspension => "suspension",
            Self::Request => "request",
            Self::Disclosure => "disclosure",
            Self::Access => "access",
        }
    }
}

/// What an account is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct New {
    /// Which.
    pub account: String,
    /// About what.
    pub about: About,
    /// What it refers to, such as `case 3`: of one account, about one thing, each is told once.
    pub reference: String,
    /// What is told.
    pub text: String,
    /// Not before, in unix milliseconds.
    pub due_ms: u64,
}

/// That somebody was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// How, as the operator says it.
    pub how: String,
    /// Who says so.
    pub who: String,
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What is told, and to whom.
    #[serde(flatten)]
    pub new: New,
    /// When it was made, in unix milliseconds.
    pub made_ms: u64,
    /// That it was told.
    pub sent: Option<Sent>,
}

impl Notice {
    /// Whether it waits to be told.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.sent.is_none() && self.new.due_ms <= now_ms
    }

    fn is_told_to(&self, account: &str) -> bool {
        self.sent.is_some() && self.new.account == account
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Register {
    last: u64,
    #[serde(rename = "notices")]
    all: BTreeMap<u64, Notice>,
}

impl Register {
    /// Forgets what was told long ago; says whether there is room for one more.
    fn make_room(&mut self, now_ms: u64) -> bool {
        self.all.retain(|_, notice| {
            notice
                .sent
                .as_ref()
                .is_none_or(|sent| sent.at_ms + KEPT_MS > now_ms)
        });
        self.all.len() < NOTICES_MAX
    }

    fn like(&self, new: &New) -> Option<u64> {
        let like = |old: &New| {
            (old.account.as_str(), old.about, old.reference.as_str())
                == (new.account.as_str(), new.about, new.reference.as_str())
        };
        let mut all = self.all.iter();
        all.find(|(_, notice)| like(&notice.new))
            .map(|(number, _)| *number)
    }
}

/// The register, of which changes go one after the other.
#[derive(Debug)]
pub struct Notices(Mutex<Durable<Register>>);

impl Notices {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written: nothing is started then, for who is to be told would be forgotten.
    pub fn open(data: &Path) -> Result<Self, Unreadable> {
        Ok(Self(Mutex::new(Durable::open(data)?)))
    }

    /// Has an account told something: the number of the notice, which is on disk. Of what was said already, that of then.
    ///
    /// # Errors
    ///
    /// In words for an operator: there are [`NOTICES_MAX`], a text is longer than [`TEXT_MAX`], or it cannot be written.
    pub async fn add(&self, new: New, now_ms: u64) -> Result<u64, String> {
        if new.text.len() > TEXT_MAX || new.reference.len() > TEXT_MAX {
            return Err(format!("a notice is of {TEXT_MAX} octets at most"));
        }
        let mut register = self.0.lock().await;
        if let Some(number) = register.like(&new) {
            return Ok(number);
        }
        let mut next = register.clone();
        if !next.make_room(now_ms) {
            return Err(format!("there are {NOTICES_MAX} notices: say which were sent"));
        }
        next.last += 1;
        let (number, made_ms) = (next.last, now_ms);
        let notice = Notice {
            new,
            made_ms,
            sent: None,
        };
        next.all.insert(number, notice);
        register.replace(next).await?;
        Ok(number)
    }

    /// Has one be due at another date, in unix milliseconds; of one that was told nothing is changed.
    ///
    /// # Errors
    ///
    /// In words for an operator: there is none of that number, or it cannot be written.
    pub async fn reschedule(&self, number: u64, due_ms: u64) -> Result<(), String> {
        let mut register = self.0.lock().await;
        let mut next = register.clone();
        let notice = next.all.get_mut(&number).ok_or(THERE_IS_NONE)?;
        if notice.sent.is_some() || notice.new.due_ms == due_ms {
            return Ok(());
        }
        notice.new.due_ms = due_ms;
        register.replace(next).await
    }

    /// Notes that one was told, once; says when.
    ///
    /// # Errors
    ///
    /// In words for an operator: there is none of that number, it is not due, or it cannot be written.
    pub async fn sent(&self, number: u64, sent: Sent) -> Result<u64, String> {
        let mut register = self.0.lock().await;
        let mut next = register.clone();
        let notice = next.all.get_mut(&number).ok_or(THERE_IS_NONE)?;
        if let Some(before) = &notice.sent {
            return Ok(before.at_ms);
        }
        if !notice.is_due(sent.at_ms) {
            return Err(format!(
                "it is not to be told before {}",
                crate::control::instant(notice.new.due_ms)
            ));
        }
        let at_ms = sent.at_ms;
        notice.sent = Some(sent);
        register.replace(next).await?;
        Ok(at_ms)
    }

    /// One of them.
    pub async fn get(&self, number: u64) -> Option<Notice> {
        self.0.lock().await.all.get(&number).cloned()
    }

    /// All of them, by their numbers.
    pub async fn list(&self) -> Vec<(u64, Notice)> {
        let register = self.0.lock().await;
        let all = register.all.iter();
        all.map(|(number, notice)| (*number, notice.clone())).collect()
    }

    /// How many an account was told.
    pub async fn told_to(&self, account: &str) -> usize {
        let register = self.0.lock().await;
        let told = register.all.values().filter(|notice| notice.is_told_to(account));
        told.count()
    }

    /// Forgets what an account was told: it is closed, and its date is over. Says how many there were; what it is still to be
    /// told stays.
    ///
    /// # Errors
    ///
    /// In words for an operator: it cannot be written, and is as it was.
    pub async fn forget_told(&self, account: &str) -> Result<usize, String> {
        let mut register = self.0.lock().await;
        let mut next = register.clone();
        next.all.retain(|_, notice| !notice.is_told_to(account));
        let gone = register.all.len() - next.all.len();
        if gone > 0 {
            register.replace(next).await?;
        }
        Ok(gone)
    }
}

/// Has the metrics say how many wait, while the gateway runs.
pub async fn watch<D: Disk>(hub: Rc<Hub<D>>, metrics: NoticeMetrics) {
    let Some(notices) = hub.notices() else { return };
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let now_ms = hub.now().unix_ms;
        let all = notices.list().await;
        let due = all.iter().filter(|(_, notice)| notice.is_due(now_ms));
        let oldest_ms = due
            .clone()
            .map(|(_, notice)| notice.new.due_ms.max(notice.made_ms))
            .min();
        metrics.publish(
            due.count(),
            oldest_ms.map_or(0, |due_ms| now_ms.saturating_sub(due_ms)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};
    use crate::small_file::summed;

    fn new(reference: &str) -> New {
        New {
            account: "load".to_owned(),
            about: About::Suspension,
            reference: reference.to_owned(),
            text: "suspended by rule velocity; ask for a review".to_owned(),
            due_ms: 5_000,
        }
    }

    fn sent(at_ms: u64) -> Sent {
        Sent {
            at_ms,
            how: "e-mail".to_owned(),
            who: "ana".to_owned(),
        }
    }

    #[test]
    fn only_what_was_written_is_read_and_it_is_written_as_ever() {
        let notice = |sent| Notice {
            new: new("case 1"),
            made_ms: 1,
            sent,
        };
        let all = [(7, notice(None)), (10, notice(Some(sent(6_000))))].into();
        only_what_was_written_is_read(&[Register { last: 10, all }]);
        is_written_to_the_octet::<Register>(include_str!("../../tests/fixtures/formats/0.1.0/data/notices"));
        is_written_to_the_octet::<Register>(&summed(
            r#"{"last":10,"notices":{"10":{"about":"suspension","account":"load","due_ms":5,"made_ms":1,"reference":"case 2","sent":{"at_ms":6,"how":"e-mail","who":"ana"},"text":"told"},"7":{"about":"access","account":"load","due_ms":5,"made_ms":1,"reference":"break-glass 1","sent":null,"text":"told"}},"version":1}"#,
        ));
    }

    #[tokio::test]
    async fn what_is_said_twice_is_told_once_and_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let notices = Notices::open(dir.path()).unwrap();
        assert_eq!(notices.add(new("case 1"), 1_000).await, Ok(1));
        assert_eq!(notices.add(new("case 2"), 1_000).await, Ok(2));
        assert_eq!(notices.add(new("case 1"), 2_000).await, Ok(1));
        let early = notices.sent(1, sent(4_999)).await.unwrap_err();
        assert!(early.contains("not to be told before"), "{early}");
        assert_eq!(notices.sent(1, sent(5_000)).await, Ok(5_000));
        assert_eq!(notices.sent(1, sent(6_000)).await, Ok(5_000), "once");
        assert!(notices.sent(3, sent(6_000)).await.is_err());

        let again = Notices::open(dir.path()).unwrap();
        assert_eq!(again.list().await, notices.list().await);
        let waiting: Vec<u64> = again
            .list()
            .await
            .into_iter()
            .filter(|(_, notice)| notice.is_due(5_000))
            .map(|(number, _)| number)
            .collect();
        assert_eq!(waiting, [2]);
        assert_eq!(again.add(new("case 3"), 7_000).await, Ok(3));
    }

    #[tokio::test]
    async fn of_an_account_that_is_gone_what_it_was_told_is_forgotten_and_what_it_is_owed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let notices = Notices::open(dir.path()).unwrap();
        let other = New {
            account: "shop".to_owned(),
            ..new("case 3")
        };
        for new in [new("case 1"), new("case 2"), other] {
            notices.add(new, 1_000).await.unwrap();
        }
        notices.sent(1, sent(6_000)).await.unwrap();
        notices.sent(3, sent(6_000)).await.unwrap();
        assert_eq!(notices.told_to("load").await, 1);
        assert_eq!(notices.forget_told("load").await, Ok(1));
        assert_eq!(notices.forget_told("load").await, Ok(0));
        let again = Notices::open(dir.path()).unwrap();
        let left: Vec<u64> = again.list().await.into_iter().map(|(number, _)| number).collect();
        assert_eq!(left, [2, 3]);
    }

    #[tokio::test]
    async fn what_was_told_is_forgotten_after_its_time_and_what_was_not_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let notices = Notices::open(dir.path()).unwrap();
        notices.add(new("case 1"), 1_000).await.unwrap();
        notices.add(new("case 2"), 1_000).await.unwrap();
        notices.sent(1, sent(6_000)).await.unwrap();
        notices.add(new("case 3"), 6_000 + KEPT_MS - 1).await.unwrap();
        assert_eq!(notices.list().await.len(), 3);
        notices.add(new("case 4"), 6_000 + KEPT_MS).await.unwrap();
        let left: Vec<u64> = notices
            .list()
            .await
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(left, [2, 3, 4]);
    }
}
