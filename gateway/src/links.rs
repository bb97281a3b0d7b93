//! Every link, either side: its session, what waits to be written to it, and who is at the other end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tidegate_codec::session::{CloseReason, Monotonic, Session};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;
use tidegate_config::Transport;
use tidegate_store::index::LegId;
use tidegate_store::outbox::EntryId;
use tidegate_store::slots::{SlotId, Slots};
use tidegate_store::spool::Target;

use crate::bucket::Bucket;
use crate::credentials::Credential;
use crate::hold::Hold;
use crate::late::Late;
use crate::origin::{Crowd, Crowds, Origin, may_bind};
use crate::telemetry::words::LinkClosed;

/// A link while it lasts; its number is not given to another one in this process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(SlotId);

/// What a request of ours was about.
#[derive(Clone, Debug)]
pub enum Ticket {
    /// A leg on its way to a carrier. Its body is kept until the answer: should the link break, the leg is
    /// handed over again.
    Leg(LegId, Bytes),
    /// An outbox entry on its way to an ESME.
    Entry(EntryId, Bytes),
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An ESME.
    Esme {
        /// Where it connects from.
        ip: IpAddr,
        /// Its account's place in the configuration, once it is bound.
        account: Option<usize>,
    },
    /// A carrier, by its place in the configuration.
    Carrier {
        /// Which.
        carrier: usize,
        /// What we bind as.
        kind: BindKind,
    },
}

/// Why a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The session said so.
    Session(CloseReason),
    /// The peer closed the connection, or it broke.
    Lost,
    /// The peer does not read what we write.
    Stalled,
    /// Our bind was refused.
    BindRefused(CommandStatus),
    /// The gateway closed it, its last word written; what ended it the gate knows better.
    Closed,
    /// Others from there have failed to bind too often.
    Banned,
    /// Its TLS handshake came to nothing.
    Handshake,
    /// The gateway itself ends.
    Shutdown,
    /// A reload, or an operator who drains its carrier, took it away before it was bound.
    Reload,
}

impl From<End> for LinkClosed {
    fn from(end: End) -> Self {
        match end {
            End::Session(reason) => reason.into(),
            End::Lost | End::Closed => Self::Lost,
            End::Stalled => Self::Stalled,
            End::BindRefused(_) => Self::BindRefused,
            End::Banned => Self::Banned,
            End::Handshake => Self::Handshake,
            End::Shutdown => Self::Shutdown,
            End::Reload => Self::Reload,
        }
    }
}

/// One link.
#[derive(Debug)]
pub struct Link {
    /// For people: from 1 on, of no other link of this process.
    pub number: u64,
    /// The other end of its connection, once that is known.
    pub address: Option<SocketAddr>,
    /// When it was bound, in unix milliseconds; 0 before.
    pub bound_ms: u64,
    /// Its session.
    pub session: Session<Ticket>,
    /// Octets to be written.
    pub out: Vec<u8>,
    /// Who is there.
    pub peer: Peer,
    /// How the connection is protected.
    pub transport: Transport,
    /// The name of the listener's exception that lets it be so.
    pub exception: Option<Box<str>>,
    /// By which of its account's hashes it was bound.
    pub credential: Option<Credential>,
    /// By which instructions tell this bind of an account from others; see [`bind_tag`](crate::router::bind_tag).
    pub bind_tag: Option<NonZeroU32>,
    /// Set when the link is to be closed once `out` is written.
    pub end: Option<End>,
    /// Whether it has ever been bound: a carrier that takes our bind and then drops us is not unreachable.
    pub was_bound: bool,
    /// Ended because the carrier takes binds and nothing else: that bind says nothing good of it.
    pub relinked: bool,
    /// It is unbound once everything on it is answered; nothing new goes to it.
    pub leaving: bool,
    /// Nothing that an ESME asks for there is done any more, but the answers that it owes are heard: its right to the bind was
    /// taken back.
    pub is_barred: bool,
    /// The bind that was refused last, for the pause before the next try.
    pub refused: Option<CommandStatus>,
    /// Deliveries to this link rest until this monotonic time, after it answered "later".
    pub deliver_after: Duration,
    /// How many parts a second it may submit, once it is bound.
    pub bucket: Bucket,
    /// What is done where it goes on past that.
    pub hold: Hold,
    /// Requests to it that were given up.
    pub late: Late<Target>,
    dirty: bool,
    /// When its timers are looked at, at the latest: the earliest of its alarms.
    alarm: Option<Duration>,
}

/// All links.
#[derive(Debug, Default)]
pub struct Links {
    links: Slots<Link>,
    /// How many there have been.
    made: u64,
    dirty: Vec<LinkId>,
    /// When which link's timers are to be looked at. A timer that moves on leaves its alarm where it is, and a link that
    /// is gone leaves all of them: what rings for nothing costs less than taking it out would.
    alarms: BinaryHeap<Reverse<(Duration, LinkId)>>,
    /// Where ESMEs' connections come from.
    crowds: Crowds,
    /// Links to carriers that are unbound as soon as nothing is under way on them.
    leaving: Vec<LinkId>,
}

impl Links {
    /// Takes a link in.
    pub fn insert(&mut self, session: Session<Ticket>, peer: Peer) -> LinkId {
        self.made += 1;
        let link = Link {
            number: self.made,
            address: None,
            bound_ms: 0,
            session,
            out: Vec::new(),
            peer,
            transport: Transport::Clear,
            exception: None,
            credential: None,
            bind_tag: None,
            end: None,
            was_bound: false,
            relinked: false,
            leaving: false,
            is_barred: false,
            refused: None,
            deliver_after: Duration::ZERO,
            bucket: Bucket::new(None),
            hold: Hold::default(),
            late: Late::default(),
            dirty: false,
            alarm: None,
        };
        // `max_connections` bounds their count.
        let id = LinkId(self.links.insert(link));
        if let Peer::Esme { ip, .. } = peer {
            self.crowds.came(id, ip);
        }
        self.arm(id);
        id
    }

    /// A link, unless it is gone.
    pub fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(id.0)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(id.0)
    }

    /// Takes a link out.
    pub fn remove(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(id.0)?;
        if let Peer::Esme { ip, .. } = link.peer {
            self.crowds.left(id, ip);
        }
        Some(link)
    }

    /// How many of ESMEs there are.
    pub const fn esmes(&self) -> usize {
        self.crowds.all()
    }

    /// How many of ESMEs there are of one place.
    pub fn crowd(&mut self, origin: Origin) -> Crowd {
        let links = &self.links;
        self.crowds.seen_from(origin, |id| {
            links.get(id.0).is_some_and(|link| {
                matches!(link.peer, Peer::Esme { account: None, .. }) && may_bind(link.session.state())
            })
        })
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// All of them, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links.iter().map(|(id, link)| (LinkId(id), link))
    }

    /// Those of so many places from one on: who goes through all of them in slices meets each link that stays.
    pub fn slice(&self, first: usize, count: usize) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links
            .slice(first, count)
            .map(|(id, link)| (LinkId(id), link))
    }

    /// How many places there are, free ones included.
    pub fn places(&self) -> usize {
        self.links.places()
    }

    /// The numbers of all.
    pub fn ids(&self) -> Vec<LinkId> {
        self.links.iter().map(|(id, _)| LinkId(id)).collect()
    }

    /// Notes that a link has something to be written, or is to be closed.
    pub fn touch(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id)
            && !link.dirty
            && (!link.out.is_empty() || link.end.is_some())
        {
            link.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Sees to it that a link's timers are looked at in time. To be called where they may run earlier than before: when
    /// something was read, and when they are set anew; what writes to a link comes by here with [`Links::take_dirty`].
    pub fn arm(&mut self, id: LinkId) {
        // One that ends has no timers any more.
        let Some(link) = self.links.get_mut(id.0).filter(|link| link.end.is_none()) else {
            return;
        };
        let Some(Monotonic(at)) = link.session.poll_timeout() else {
            return;
        };
        if link.alarm.is_none_or(|alarm| at < alarm) {
            link.alarm = Some(at);
            self.alarms.push(Reverse((at, id)));
        }
    }

    /// Links whose timers are to be looked at by now. [`Links::arm`] is to follow for each.
    pub fn take_due(&mut self, now: Duration) -> Vec<LinkId> {
        let mut due = Vec::new();
        while let Some(Reverse((at, id))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            if let Some(link) = self.links.get_mut(id.0)
                && link.alarm == Some(at)
            {
                link.alarm = None;
                due.push(id);
            }
        }
        due
    }

    /// Whether some timer has run out that nobody looks at: a session was changed behind our back.
    #[cfg(debug_assertions)]
    pub(crate) fn oversleeps(&mut self, now: Duration) -> bool {
        self.ids().into_iter().any(|id| {
            let Some(link) = self.links.get_mut(id.0) else {
                return false;
            };
            let is_due = link.session.poll_timeout().is_some_and(|Monotonic(at)| at <= now);
            is_due && link.end.is_none() && !link.dirty
        })
    }

    /// Notes that a link is to be unbound as soon as nothing is under way on it.
    pub fn leave(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id)
            && !link.leaving
        {
            link.leaving = true;
            self.leaving.push(id);
        }
    }

    /// Those that are to be unbound, and are still there.
    pub fn leaving(&mut self) -> Vec<LinkId> {
        let links = &self.links;
        self.leaving.retain(|id| links.get(id.0).is_some());
        self.leaving.clone()
    }

    /// Says that a link is to be closed once what it owes is written.
    pub fn end(&mut self, id: LinkId, end: End) {
        if let Some(link) = self.get_mut(id) {
            link.end.get_or_insert(end);
            self.touch(id);
        }
    }

    /// Links that were touched since the last call.
    pub fn take_dirty(&mut self, into: &mut Vec<LinkId>) {
        into.clear();
        into.append(&mut self.dirty);
        for id in into.iter() {
            if let Some(link) = self.get_mut(*id) {
                link.dirty = false;
            }
            self.arm(*id);
        }
    }

    /// Whether something waits to be written.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
}

/// A link's number for tests that only pass it on.
#[cfg(test)]
pub(crate) fn tests_link_id() -> LinkId {
    LinkId(Slots::default().insert(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::session::{Monotonic, Role, Rules, Timing};
    use tidegate_codec::values::InterfaceVersion;

    fn insert(links: &mut Links) -> LinkId {
        let rules = Rules {
            window: 1,
            unanswered_max: 1,
            timing: Timing::default(),
            assume_version: InterfaceVersion::V3_4,
        };
        let session = Session::new(Role::Smsc, rules, Monotonic::ZERO);
        links.insert(
            session,
            Peer::Esme {
                ip: IpAddr::from([127, 0, 0, 1]),
                account: None,
            },
        )
    }

    #[test]
    fn a_new_link_is_never_taken_for_the_one_before_it() {
        let mut links = Links::default();
        let old = insert(&mut links);
        assert!(links.remove(old).is_some());
        let new = insert(&mut links);
        assert_ne!(old, new);
        assert!(links.get(old).is_none() && links.get(new).is_some());
        assert!(links.remove(old).is_none());
        assert_eq!(links.ids(), [new]);
    }

    #[test]
    fn a_link_is_dirty_once_and_only_with_something_to_say() {
        let mut links = Links::default();
        let id = insert(&mut links);
        links.touch(id);
        assert!(!links.is_dirty());
        links.get_mut(id).unwrap().out.push(1);
        links.touch(id);
        links.touch(id);
        let mut dirty = Vec::new();
        links.take_dirty(&mut dirty);
        assert_eq!(dirty, [id]);
        links.get_mut(id).unwrap().out.clear();
        links.end(id, End::Lost);
        links.take_dirty(&mut dirty);
        assert_eq!(dirty, [id], "the end of a link is something to act on too");
    }

    #[test]
    fn an_alarm_rings_once_and_never_for_a_link_that_is_gone_or_ends() {
        let mut links = Links::default();
        let first = Timing::default().session_init;
        let (gone, ends, stays) = (insert(&mut links), insert(&mut links), insert(&mut links));
        // Said again, nothing is set again.
        links.arm(stays);
        assert_eq!(links.alarms.len(), 3);
        assert!(links.remove(gone).is_some());
        let new = insert(&mut links);
        links.end(ends, End::Lost);
        assert!(links.take_due(first - Duration::from_nanos(1)).is_empty());
        let due = links.take_due(first);
        assert_eq!(due.len(), 3, "{due:?}");
        assert!(due.contains(&stays) && due.contains(&new) && due.contains(&ends));
        for id in due {
            links.arm(id);
        }
        // Nobody has acted on them: they ring again, but not the one that ends.
        let mut again = links.take_due(first);
        again.sort();
        let mut two = [stays, new];
        two.sort();
        assert_eq!(again, two);
        assert!(links.oversleeps(first), "two of them have no alarm now");
    }

    #[test]
    fn connections_of_a_place_are_counted_and_those_that_may_still_bind_among_them() {
        let mut links = Links::default();
        let here = Origin::from(IpAddr::from([127, 0, 0, 1]));
        let elsewhere = Origin::from(IpAddr::from([127, 0, 0, 2]));
        let (first, second) = (insert(&mut links), insert(&mut links));
        let crowd = |all, from_here, unbound_from_here| Crowd {
            all,
            from_here,
            unbound_from_here,
        };
        assert_eq!(links.crowd(here), crowd(2, 2, 2));
        assert_eq!(links.crowd(elsewhere), crowd(2, 0, 0));
        if let Some(link) = links.get_mut(first) {
            let ip = IpAddr::from([127, 0, 0, 1]);
            link.peer = Peer::Esme { ip, account: Some(0) };
        }
        assert_eq!(links.crowd(here), crowd(2, 2, 1));
        for id in [first, second] {
            assert!(links.remove(id).is_some());
        }
        assert_eq!((links.crowd(here), links.esmes()), (crowd(0, 0, 0), 0));
    }
}
