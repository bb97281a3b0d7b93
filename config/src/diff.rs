//! What differs between two configurations: for a reload, which applies it, and for people, who want to know first.
//!
//! A [`Diff`] holds the new values, so that [`Diff::apply`] makes the second configuration of the first; a test draws
//! pairs of configurations and holds it to that. Everything is taken apart without `..`: a new key or table that is not
//! told here does not compile.

mod keys;
mod rows;

use std::fmt;

use tidegate_codec::identity::SystemId;

use crate::abuse::Abuse;
use crate::account::Account;
use crate::audit::Audit;
use crate::carrier::{Carrier, CarrierName};
use crate::compliance::Compliance;
use crate::content::Screening;
use crate::hours::SendingHours;
use crate::limits::Limits;
use crate::node::{Http, Listener, Node};
use crate::retention::Retention;
use crate::rewrite::Rewrite;
use crate::route::{Instructions, MoRoute, MtRoute};
use crate::storage::Storage;
use crate::tables::Tables;
use crate::{Config, audit, node as process, storage};

use keys::{KeyChange, Keyed};
pub use rows::{Named, Rows};

/// One key that differs.
///
/// Values are told where they are numbers, times and words; lists, texts and secrets have "changed" (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its dotted path: `account.shop.rate`, `carrier.sink`, `route.mt[2]` (counted from 0).
    pub key: String,
    /// What became of it: `added`, `removed`, `changed`, or `100 -> 50`.
    pub what: String,
    /// A process that runs cannot take it over; why.
    pub needs_restart: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

/// What makes one configuration of another. Made by [`diff`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    node: Option<Node>,
    listen: Rows<Listener>,
    http: Option<Http>,
    storage: Option<Storage>,
    limits: Option<Limits>,
    compliance: Option<Compliance>,
    rewrites: Rows<Rewrite>,
    abuse: Option<Abuse>,
    screening: Option<Screening>,
    audit: Option<Audit>,
    tables: Option<Tables>,
    sending_hours: Option<SendingHours>,
    retention: Option<Retention>,
    /// Accounts by system_id.
    pub accounts: Named<SystemId, Account>,
    /// Carriers by name.
    pub carriers: Named<CarrierName, Carrier>,
    /// Rows of `[[route.mt]]`.
    pub mt_routes: Rows<MtRoute>,
    /// Rows of `[[route.mo]]`.
    pub mo_routes: Rows<MoRoute>,
    instructions: Rows<Instructions>,
    changes: Vec<Change>,
}

const NODE: &str = "ids of messages bear it";

/// The keys of each table that is told apart by key.
#[cfg(test)]
pub(crate) fn keys_of(config: &Config) -> Vec<(&'static str, Vec<&'static str>)> {
    use keys::Keyed as _;
    vec![
        ("node", config.node.keys()),
        ("http", config.http.keys()),
        ("storage", config.storage.keys()),
        ("limits", config.limits.keys()),
        ("compliance", config.compliance.keys()),
        ("abuse", config.abuse.keys()),
        ("screening", config.screening.keys()),
        ("audit", config.audit.keys()),
        ("tables", config.tables.keys()),
        ("sending_hours", config.sending_hours.keys()),
        ("account", config.accounts[0].keys()),
        ("carrier", config.carriers[0].keys()),
    ]
}

/// Says what differs.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let Config {
        node,
        listen,
        http,
        storage,
        limits,
        compliance,
        rewrites,
        abuse,
        screening,
        audit: log,
        tables,
        sending_hours,
        retention,
        accounts,
        carriers,
        mt_routes,
        mo_routes,
        instructions,
    } = old;
    let mut told = Told::default();
    let diff = Diff {
        node: told.table("node", node, &new.node, |_| Some(NODE)),
        listen: told.rows("listen", listen, &new.listen),
        http: told.table("http", http, &new.http, process::why_restart),
        storage: told.table("storage", storage, &new.storage, storage::why_restart),
        limits: told.table("limits", limits, &new.limits, |_| None),
        compliance: told.table("compliance", compliance, &new.compliance, |_| None),
        rewrites: told.rows("rewrite", rewrites, &new.rewrites),
        abuse: told.table("abuse", abuse, &new.abuse, |_| None),
        screening: told.table("screening", screening, &new.screening, |_| None),
        audit: told.table("audit", log, &new.audit, audit::why_restart),
        tables: told.table("tables", tables, &new.tables, |_| None),
        sending_hours: told.table("sending_hours", sending_hours, &new.sending_hours, |_| None),
        retention: told.table("retention", retention, &new.retention, |_| None),
        accounts: told.named("account", accounts, &new.accounts, |account| account.system_id),
        carriers: told.named("carrier", carriers, &new.carriers, |carrier| carrier.name.clone()),
        mt_routes: told.rows("route.mt", mt_routes, &new.mt_routes),
        mo_routes: told.rows("route.mo", mo_routes, &new.mo_routes),
        instructions: told.rows("instructions", instructions, &new.instructions),
        changes: Vec::new(),
    };
    Diff {
        changes: told.0,
        ..diff
    }
}

impl Diff {
    /// All that differs, in the order of the file's tables.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing does that means anything: the order of accounts and carriers does not.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What only a restart takes over.
    pub fn restart_only(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.needs_restart.is_some())
    }

    /// Whether what waits may have to go another way.
    pub fn has_other_ways(&self) -> bool {
        let Self {
            node: _,
            listen: _,
            http: _,
            storage: _,
            limits: _,
            compliance: _,
            rewrites: _,
            abuse: _,
            screening: _,
            audit: _,
            tables,
            sending_hours: _,
            retention: _,
            accounts: _,
            carriers,
            mt_routes,
            mo_routes: _,
            instructions: _,
            changes: _,
        } = self;
        !mt_routes.is_empty()
            || tables.is_some()
            || !carriers.added.is_empty()
            || !carriers.removed.is_empty()
    }

    /// The configuration that `old` was compared with.
    pub fn apply(&self, old: &Config) -> Config {
        let Self {
            node,
            listen,
            http,
            storage,
            limits,
            compliance,
            rewrites,
            abuse,
            screening,
            audit,
            tables,
            sending_hours,
            retention,
            accounts,
            carriers,
            mt_routes,
            mo_routes,
            instructions,
            changes: _,
        } = self;
        Config {
            node: node.clone().unwrap_or_else(|| old.node.clone()),
            listen: listen.apply(&old.listen),
            http: http.clone().unwrap_or_else(|| old.http.clone()),
            storage: storage.clone().unwrap_or_else(|| old.storage.clone()),
            limits: limits.clone().unwrap_or_else(|| old.limits.clone()),
            compliance: compliance.clone().unwrap_or_else(|| old.compliance.clone()),
            rewrites: rewrites.apply(&old.rewrites),
            abuse: abuse.clone().unwrap_or_else(|| old.abuse.clone()),
            screening: screening.clone().unwrap_or_else(|| old.screening.clone()),
            audit: audit.clone().unwrap_or_else(|| old.audit.clone()),
            tables: tables.clone().unwrap_or_else(|| old.tables.clone()),
            sending_hours: sending_hours.clone().unwrap_or_else(|| old.sending_hours.clone()),
            retention: retention.clone().unwrap_or_else(|| old.retention.clone()),
            accounts: accounts.apply(&old.accounts, |account| account.system_id),
            carriers: carriers.apply(&old.carriers, |carrier| carrier.name.clone()),
            mt_routes: mt_routes.apply(&old.mt_routes),
            mo_routes: mo_routes.apply(&old.mo_routes),
            instructions: instructions.apply(&old.instructions),
        }
    }
}

/// Changes as they are found.
#[derive(Default)]
struct Told(Vec<Change>);

impl Told {
    fn tell(&mut self, key: String, what: impl Into<String>, needs_restart: Option<&'static str>) {
        self.0.push(Change {
            key,
            what: what.into(),
            needs_restart,
        });
    }

    fn keys(&mut self, table: &str, keys: Vec<KeyChange>, restart: impl Fn(&str) -> Option<&'static str>) {
        for KeyChange { key, what } in keys {
            self.tell(format!("{table}.{key}"), what, restart(key));
        }
    }

    /// A table that is there once.
    fn table<T: Keyed>(
        &mut self,
        name: &str,
        old: &T,
        new: &T,
        restart: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<T> {
        if old == new {
            return None;
        }
        self.keys(name, old.changed_keys(new), restart);
        Some(new.clone())
    }

    /// Tables that have a name of their own.
    fn named<N: Ord + Clone + fmt::Display, T: Keyed>(
        &mut self,
        table: &str,
        old: &[T],
        new: &[T],
        name: impl Fn(&T) -> N,
    ) -> Named<N, T> {
        let named = Named::new(old, new, &name);
        for gone in &named.removed {
            self.tell(format!("{table}.{gone}"), "removed", None);
        }
        for added in &named.added {
            self.tell(format!("{table}.{}", name(added)), "added", None);
        }
        for changed in &named.changed {
            let name_of = name(changed);
            let before = old.iter().find(|before| name(before) == name_of);
            let keys = before
                .map(|before| before.changed_keys(changed))
                .unwrap_or_default();
            self.keys(&format!("{table}.{name_of}"), keys, |_| None);
        }
        named
    }

    /// Tables that have a place only.
    fn rows<T: Eq + Clone>(&mut self, table: &str, old: &[T], new: &[T]) -> Rows<T> {
        let rows = Rows::new(old, new);
        let both = rows.removed.min(rows.added.len());
        for place in 0..rows.removed.max(rows.added.len()) {
            let what = if place < both {
                "changed"
            } else if place < rows.removed {
                "removed"
            } else {
                "added"
            };
            self.tell(format!("{table}[{}]", rows.at + place), what, None);
        }
        rows
    }
}
