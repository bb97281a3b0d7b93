//! What the audit log holds of an operator's request: that it was asked for, and what became of it.

use std::rc::Rc;

use serde_json::Value as Json;
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Detail, Entry, Field, Kind, Value, WORDS_MAX, Word};
use tidegate_store::disk::Disk;

use super::retention::Retain;
use super::steer::MeantSender;
use super::{Answer, Deed, DeedKind, Selection, Steer, Verb, trace};
use crate::serve::Hub;

/// A request that is entered.
pub(super) struct Noted(Entry);

impl Noted {
    /// `None` for what changes nothing and shows nothing of people, and for a reload, which is entered where it is known
    /// what it changes.
    pub(super) fn of<D: Disk>(hub: &Rc<Hub<D>>, verb: &Verb, who: &Actor) -> Option<Self> {
        // Of an account that there is: what else was typed might be anything.
        let account = |name: &str| -> Option<SystemId> {
            hub.look(|gate, _| {
                let place = gate.account_by_text(name)?;
                gate.config().accounts.get(place).map(|account| account.system_id)
            })
        };
        let word = |text: &str| Value::Word(Word::new(text));
        let (kind, account, details): (Kind, Option<SystemId>, Vec<Detail>) = match verb {
            Verb::Expire(Selection {
                account: name,
                older_than,
            }) => (
                Kind::WorkExpired,
                account(name),
                vec![(Field::Seconds, Value::Count(older_than.as_secs()))],
            ),
            Verb::Move {
                from,
                to,
                account: name,
            } => (
                Kind::WorkMoved,
                name.as_deref().and_then(account),
                vec![
                    (Field::From, carrier_word(hub, from)),
                    (Field::To, carrier_word(hub, to)),
                ],
            ),
            Verb::Send { message, .. } => (
                Kind::OperatorVerb,
                account(&message.account),
                vec![(Field::Verb, word("send"))],
            ),
            Verb::Deed(deed) => {
                let name = account(&deed.account);
                let mut entry = Entry {
                    details: told(deed),
                    ..Entry::new(kind(deed), who.clone()).of(name)
                };
                // Of one person by pseudonym; of a file only how many.
                if deed.file.is_none()
                    && let Some(row) = deed.rows.first()
                {
                    entry.subject = hub.look(|gate, _| {
                        let place = gate.account_by_text(&deed.account)?;
                        gate.person_of(place, row).ok().map(|who| *who.octets())
                    });
                }
                return Some(Self(entry));
            }
            Verb::Steer(steer) => {
                let (name, details) = steered(hub, steer)?;
                (Kind::OperatorVerb, name.as_deref().and_then(account), details)
            }
            Verb::Trace(trace) => {
                let (name, details) = trace::noted(hub, trace)?;
                (Kind::OperatorVerb, name.as_deref().and_then(account), details)
            }
            Verb::Export(exporting) => {
                let (name, details) = exporting.noted()?;
                (Kind::Export, name.and_then(account), details)
            }
            Verb::Case(wanted) => {
                let (kind, details) = wanted.noted()?;
                (kind, None, details)
            }
            Verb::Notice(wanted) => (Kind::OperatorVerb, None, wanted.noted()?),
            Verb::AuditCheckpoint => (Kind::Checkpoint, None, Vec::new()),
            Verb::AuditRead => (Kind::Read, None, vec![(Field::Verb, word("audit list"))]),
            Verb::BanAdd { origin, length } => (
                Kind::BanSet,
                None,
                vec![
                    (Field::Address, Value::Word(Word::of_name(&origin.to_string()))),
                    (Field::Seconds, Value::Count(length.as_secs())),
                ],
            ),
            Verb::BanRemove { origin } => (
                Kind::BanLifted,
                None,
                vec![(Field::Address, Value::Word(Word::of_name(&origin.to_string())))],
            ),
            Verb::TokenAdd { name, role, days } => (
                Kind::KeyEvent,
                None,
                vec![
                    (Field::Verb, word("token add")),
                    (Field::To, word(name)),
                    (Field::Reason, word(role.word())),
                    (Field::Seconds, Value::Count(days * 24 * 3_600)),
                ],
            ),
            Verb::TokenRevoke { name } => (
                Kind::KeyEvent,
                None,
                vec![(Field::Verb, word("token revoke")), (Field::To, word(name))],
            ),
            Verb::RotateKek(tier, _) => {
                let verb = (Field::Verb, word("key rotate-kek"));
                let scope = tier.map(|tier| (Field::Scope, word(tier.word())));
                (Kind::KeyEvent, None, std::iter::once(verb).chain(scope).collect())
            }
            Verb::RotateSuppression => {
                let verb = (Field::Verb, word("key rotate-suppression"));
                (Kind::KeyEvent, None, vec![verb])
            }
            Verb::RewriteSuppression => {
                let verb = (Field::Verb, word("key rewrite-suppression"));
                (Kind::KeyEvent, None, vec![verb])
            }
            Verb::RetireSuppression(generation) => {
                let verb = (Field::Verb, word("key retire-suppression"));
                let which = (Field::From, Value::Count(u64::from(*generation)));
                (Kind::KeyEvent, None, vec![verb, which])
            }
            Verb::Retain(Retain::Forget {
                account: name,
                reason,
            }) => (
                Kind::OperatorVerb,
                name.parse().ok(),
                vec![
                    (Field::Verb, word("retention forget")),
                    (Field::Reason, Value::Word(Word::new(reason))),
                ],
            ),
            Verb::Retain(retain) if !retain.is_reading() => {
                (Kind::OperatorVerb, None, vec![(Field::Verb, word(retain.word()))])
            }
            Verb::Matter(matter) if !matter.is_reading() => {
                (Kind::OperatorVerb, None, vec![(Field::Verb, word(matter.word()))])
            }
            Verb::Disclose(wanted) if !wanted.is_reading() => {
                (Kind::OperatorVerb, None, vec![(Field::Verb, word(wanted.word()))])
            }
            Verb::Access(wanted) if !wanted.is_reading() => {
                (Kind::OperatorVerb, None, vec![(Field::Verb, word(wanted.word()))])
            }
            Verb::Subject(subjecting) if !subjecting.is_reading() => (
                Kind::OperatorVerb,
                None,
                vec![(Field::Verb, word(subjecting.word()))],
            ),
            // What is decided, or looked at, is entered where it is known which message it is.
            Verb::Withheld(_)
            | Verb::TokenList
            | Verb::Access(_)
            | Verb::Disclose(_)
            | Verb::Subject(_)
            | Verb::Matter(_)
            | Verb::Retain(_)
            | Verb::KekState
            | Verb::Inspect
            | Verb::Board
            | Verb::Usage { .. }
            | Verb::Explain(_)
            | Verb::Follow { .. }
            | Verb::Reload { .. }
            | Verb::BanList => return None,
        };
        Some(Self(Entry {
            details,
            ..Entry::new(kind, who.clone()).of(account)
        }))
    }

    /// That it was asked for.
    pub(super) fn asked(&self) -> Entry {
        self.outcome("asked")
    }

    /// What became of it; `None` where reading and signing were all of it. Nothing for an end that nobody waited for.
    pub(super) fn ended(self, done: Option<&Answer>) -> Option<Entry> {
        if matches!(self.0.kind, Kind::Read | Kind::Checkpoint) {
            return None;
        }
        let entry = self.outcome(match done {
            Some(Ok(_)) => "done",
            Some(Err(_)) => "refused",
            None => "broken off",
        });
        let told = done.and_then(|done| done.as_ref().ok());
        let count = told.and_then(|told| {
            [
                "expired",
                "moved",
                "banned",
                "entered",
                "asked",
                "removed",
                "lots",
                "looked_for",
            ]
            .iter()
            .find_map(|key| told.get(*key))
        });
        Some(match count.and_then(Json::as_u64) {
            Some(count) => entry.with(Field::Count, Value::Count(count)),
            None => entry,
        })
    }

    fn outcome(&self, word: &str) -> Entry {
        let outcome = Value::Word(Word::of_name(word));
        self.0.clone().with(Field::Outcome, outcome)
    }
}

/// A carrier's name as the log has it: in full where there is such a carrier, or an order about one. What else was typed might
/// be anything.
fn carrier_word<D: Disk>(hub: &Hub<D>, name: &str) -> Value {
    let is_known =
        hub.look(|gate, _| gate.carrier_by_text(name).is_some() || gate.orders().halted(name).is_some());
    Value::Word(if is_known {
        Word::of_name(name)
    } else {
        Word::new(name)
    })
}

/// A sender as the log has it: by its pseudonym, as cases do. Nothing of what is none.
fn sender_noted<D: Disk>(hub: &Hub<D>, account: &str, sender: &MeantSender) -> Option<Detail> {
    let sender = hub.look(|gate, _| gate.sender_meant(gate.orders(), account, sender));
    let sender = sender.ok()?;
    Some((Field::Sender, Value::Pseudonym(*sender.octets())))
}

/// What the log holds of how the gateway is steered: whose account, and the rest; `None` for what only looks.
fn steered<D: Disk>(hub: &Hub<D>, steer: &Steer) -> Option<(Option<String>, Vec<Detail>)> {
    let word = |text: &str| Value::Word(Word::new(text));
    if steer.is_reading() {
        return None;
    }
    let mut details = vec![(Field::Verb, word(steer.word()))];
    let mut whose = None;
    match steer {
        Steer::CarrierHalt { carrier, .. } | Steer::CarrierResume { carrier } => {
            details.push((Field::Carrier, carrier_word(hub, carrier)));
        }
        Steer::CarrierRate { carrier, per_second } => {
            details.push((Field::Carrier, carrier_word(hub, carrier)));
            details.extend(per_second.map(|rate| (Field::Size, Value::Count(u64::from(rate.get())))));
        }
        Steer::AccountSuspend { account, unbind } => {
            whose = Some(account.clone());
            details.extend(unbind.then(|| (Field::Reason, word("unbind"))));
        }
        Steer::AccountRestore { account } => whose = Some(account.clone()),
        Steer::SenderSuspend { account, sender } => {
            whose = Some(account.clone());
            let meant = MeantSender::Address(sender.clone());
            details.extend(sender_noted(hub, account, &meant));
        }
        Steer::SenderRestore { account, sender } => {
            whose = Some(account.clone());
            details.extend(sender_noted(hub, account, sender));
        }
        Steer::AccountClose {
            account,
            reason,
            returned,
        } => {
            whose = Some(account.clone());
            details.push((Field::Reason, word(reason)));
            let file = returned.map_or_else(|| "declined".to_owned(), |export| export.to_string());
            details.push((Field::File, Value::Word(Word::of_name(&file))));
        }
        Steer::AccountLimit { account, per_second } => {
            whose = Some(account.clone());
            details.extend(per_second.map(|rate| (Field::Size, Value::Count(u64::from(rate.get())))));
        }
        Steer::BindClose { number } => {
            let (account, carrier) = hub.look(|gate, _| gate.whose_link(*number));
            whose = account;
            details.push((Field::To, Value::Word(Word::of_name(&number.to_string()))));
            details.extend(carrier.map(|carrier| (Field::Carrier, Value::Word(Word::of_name(&carrier)))));
        }
        Steer::LogFilter { filter, length } => {
            details.extend(filter.as_ref().map(|filter| (Field::To, word(filter))));
            details.extend(length.map(|length| (Field::Seconds, Value::Count(length.as_secs()))));
        }
        Steer::CarrierList
        | Steer::AccountShow { .. }
        | Steer::AccountList { .. }
        | Steer::BindList { .. }
        | Steer::MessageShow { .. }
        | Steer::MessageFind(_)
        | Steer::QueueList { .. } => return None,
    }
    Some((whose, details))
}

/// What becomes of a deed in the spool has entries of its own kind; that it was asked for is not counted with them.
const fn kind(deed: &Deed) -> Kind {
    match deed.kind {
        DeedKind::OptOutRemove if deed.by_override.is_some() => Kind::Override,
        DeedKind::OptOutAdd
        | DeedKind::OptOutImport
        | DeedKind::OptOutRemove
        | DeedKind::ConsentGrant
        | DeedKind::ConsentWithdraw
        | DeedKind::ConsentAsk => Kind::OperatorVerb,
        DeedKind::OptOutCheck | DeedKind::OptOutList | DeedKind::ConsentList => Kind::Read,
        DeedKind::OptOutExport => Kind::Export,
        DeedKind::ContactImport => Kind::ContactsImported,
    }
}

/// What the log holds of a deed: no number, and of what was typed nothing that may be one.
fn told(deed: &Deed) -> Vec<Detail> {
    let word = |text: &str| Value::Word(Word::new(text));
    let mut details = vec![(Field::Verb, word(deed.kind.word()))];
    if let Some(origin) = deed.origin {
        details.push((Field::Strength, word(origin.word())));
    }
    if let Some(by) = &deed.by_override {
        let names = by.approvers.iter().take(WORDS_MAX).map(|name| Word::new(name));
        details.push((Field::Approvers, Value::Words(names.collect())));
        details.push((Field::Evidence, word(&by.evidence)));
    }
    if let Some(file) = &deed.file {
        details.push((Field::Size, Value::Count(deed.rows.len() as u64)));
        details.push((Field::File, word(&file.batch)));
        if let Some(attest) = &file.attest {
            details.push((Field::Reason, word(attest)));
        }
    }
    details
}
