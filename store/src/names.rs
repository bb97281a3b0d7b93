//! Names of accounts and carriers as small numbers, valid while the process lives.
//!
//! Records on disk hold the names themselves: numbers change with every configuration.

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;

/// A name's number in this process. Dense from 0, so that it may index a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u16);

/// Longest name in octets: a carrier's label; a system_id has at most 15.
pub const NAME_MAX: usize = 32;

/// Both ways between names and numbers. Names come from configuration and from our own records, so their
/// count is bounded by 65 535; names are labels, not personal data.
#[derive(Debug, Default)]
pub struct Names {
    by_name: HashMap<Box<str>, NameId>,
    names: Vec<Box<str>>,
    /// The same as system_ids, where they are some: every record asks for its account's.
    system_ids: Vec<Option<SystemId>>,
}

impl Names {
    /// The number of a name, a new one if it is new. `None` when it is empty, longer than [`NAME_MAX`], or
    /// when all numbers are taken.
    pub fn intern(&mut self, name: &str) -> Option<NameId> {
        if let Some(id) = self.by_name.get(name) {
            return Some(*id);
        }
        if name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        let id = NameId(u16::try_from(self.names.len()).ok()?);
        self.names.push(name.into());
        self.system_ids.push(SystemId::new(name.as_bytes()).ok());
        self.by_name.insert(name.into(), id);
        Some(id)
    }

    /// The number of a name that is already known.
    pub fn find(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied()
    }

    /// The name of a number; empty for one that was never given.
    pub fn name(&self, id: NameId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", |name| name)
    }

    /// The name of an account; `None` for a number that was never given, and for a name that no account can have.
    pub fn system_id(&self, id: NameId) -> Option<SystemId> {
        self.system_ids.get(usize::from(id.0)).copied().flatten()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let mut names = Names::default();
        let load = names.intern("load").unwrap();
        let sink = names.intern("sink").unwrap();
        assert_ne!(load, sink);
        assert_eq!(names.intern("load"), Some(load));
        assert_eq!(names.name(sink), "sink");
        assert_eq!(names.system_id(load), SystemId::new(b"load").ok());
        let carrier = names.intern("a carrier's label").unwrap();
        assert_eq!(
            (names.system_id(carrier), names.system_id(NameId(9))),
            (None, None)
        );
        assert_eq!(names.intern(&"x".repeat(33)), None);
        assert_eq!(names.intern(""), None);
    }
}
