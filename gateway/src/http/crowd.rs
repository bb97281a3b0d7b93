//! How many connections of one address a listener serves: without a bound one address could take all places.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::origin::Origin;

/// Connections that are served, by where they come from: never more entries than the listener has places.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<Mutex<HashMap<Origin, usize>>>);

impl Crowd {
    /// Counts one more from an address, unless there are `most`. Of IPv6 a /64 counts as one address.
    pub(super) fn enter(&self, from: IpAddr, most: usize) -> Option<FromHere> {
        let origin = Origin::from(from);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&origin).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        counts.insert(origin, count + 1);
        drop(counts);
        Some(FromHere {
            crowd: self.clone(),
            origin,
        })
    }
}

/// One of them, as long as it is not dropped.
#[derive(Debug)]
pub(super) struct FromHere {
    crowd: Crowd,
    origin: Origin,
}

impl Drop for FromHere {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A connection's place among those that are served at a time, and among those of its address.
#[derive(Debug)]
pub(crate) struct Place {
    _served: Option<OwnedSemaphorePermit>,
    _from_here: Option<FromHere>,
}

impl Place {
    pub(super) const fn new(served: Option<OwnedSemaphorePermit>, from_here: Option<FromHere>) -> Self {
        Self {
            _served: served,
            _from_here: from_here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_so_many_and_another_its_own_and_who_goes_makes_room() {
        let crowd = Crowd::default();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let here = [(); 2].map(|()| crowd.enter(from("192.0.2.7"), 2).unwrap());
        assert!(crowd.enter(from("192.0.2.7"), 2).is_none());
        // The same in the form of a listener for both families.
        assert!(crowd.enter(from("::ffff:192.0.2.7"), 2).is_none());
        let other = crowd.enter(from("192.0.2.8"), 2).unwrap();
        let [one, two] = here;
        drop(one);
        let again = crowd.enter(from("192.0.2.7"), 2).unwrap();
        assert!(crowd.enter(from("192.0.2.7"), 2).is_none());
        // A /64 is one address.
        let six = crowd.enter(from("2001:db8::1"), 1).unwrap();
        assert!(crowd.enter(from("2001:db8::ffff:1"), 1).is_none());
        assert!(crowd.enter(from("2001:db8:0:1::1"), 1).is_some());
        drop((two, other, again, six));
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
