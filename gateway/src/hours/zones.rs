//! Where a number may be, by the longest prefix that is known of it: time zones, and states or provinces (QH-4, QH-5).

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock};

use jiff::tz::TimeZone;
use tidegate_config::Region;
use tidegate_config::hours::{REGIONS, ZONES};

/// Zones of one number, as most numbers have them.
pub(super) const LIKELY_ZONES: usize = 4;
/// Stands for no zone, no node and no place in a table.
const NONE: u16 = u16::MAX;
/// The prefix that says of a number of +1 no more than that it is one.
const BARE: &str = "1";

/// A zone of the IANA database, by its place in this process' table of them; what is kept on a disk is its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(u16);

impl Zone {
    /// No zone: what [`Hints`](super::Hints) are padded with.
    pub(super) const NONE: Self = Self(NONE);

    /// By its name, in any case of letters.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        zones().place_of(zone.iana_name()?)
    }

    /// The name, as the database writes it.
    pub fn name(self) -> &'static str {
        let named = zones().names.get(usize::from(self.0));
        named.map_or("", |named| named.name.as_str())
    }

    /// Its clock; `None` for [`Zone::NONE`] alone.
    pub(super) fn clock(self) -> Option<&'static TimeZone> {
        let named = zones().names.get(usize::from(self.0))?;
        // A name that came from the database is in it.
        Some(
            named
                .clock
                .get_or_init(|| TimeZone::get(&named.name).unwrap_or(TimeZone::UTC)),
        )
    }

    pub(super) const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where numbers of some prefixes may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Every zone in which one of them may be, at least one where the prefix is known at all.
    pub(super) zones: Box<[Zone]>,
    /// Every state or province, of numbers of +1.
    pub(super) regions: Box<[Region]>,
    /// Nothing is known but that they are of +1: toll-free numbers, and area codes that are new.
    pub(super) is_bare: bool,
}

/// A [`Place`] by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaceIndex(pub(super) u16);

/// A digit's place: where the next digit leads, and what is known so far.
#[derive(Clone, Copy, Debug)]
struct Node {
    next: [u16; 10],
    place: u16,
}

#[derive(Debug)]
struct Named {
    name: String,
    clock: OnceLock<TimeZone>,
}

/// The table. Constant once it is read.
#[derive(Debug)]
pub(super) struct Zones {
    nodes: Vec<Node>,
    places: Vec<Place>,
    /// Every zone of the database, in order.
    names: Vec<Named>,
    /// The zones of each state or province.
    of_regions: Vec<(Region, Box<[Zone]>)>,
}

/// The table; read when it is first asked for, in some milliseconds.
pub(super) fn zones() -> &'static Zones {
    static TABLE: LazyLock<Zones> = LazyLock::new(Zones::read);
    &TABLE
}

impl Zones {
    /// What is known of a number, by its digits with the country code first; `None` where nothing is.
    pub(super) fn of(&self, digits: &[u8]) -> Option<PlaceIndex> {
        let mut node = self.nodes.first()?;
        for octet in digits {
            let next = node.next.get(usize::from(octet.wrapping_sub(b'0')));
            match next.and_then(|next| self.nodes.get(usize::from(*next))) {
                Some(next) => node = next,
                None => break,
            }
        }
        (node.place != NONE).then_some(PlaceIndex(node.place))
    }

    pub(super) fn place(&self, index: PlaceIndex) -> Option<&Place> {
        self.places.get(usize::from(index.0))
    }

    /// In which zones a state or province is.
    pub(super) fn of_region(&self, region: Region) -> &[Zone] {
        let found = self.of_regions.iter().find(|(known, _)| *known == region);
        found.map_or(&[], |(_, zones)| zones)
    }

    fn place_of(&self, name: &str) -> Option<Zone> {
        let place = self.names.binary_search_by(|named| named.name.as_str().cmp(name));
        place.ok().and_then(|place| u16::try_from(place).ok()).map(Zone)
    }

    /// Reads the two tables that are part of the program. A line that cannot be read is left out; the tests know of none.
    fn read() -> Self {
        let mut names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        names.extend(lines(ZONES).flat_map(|(_, zones)| zones.split('&').map(str::to_owned)));
        names.sort_unstable();
        names.dedup();
        let named = |name| Named {
            name,
            clock: OnceLock::new(),
        };
        let mut table = Self {
            nodes: Vec::new(),
            places: Vec::new(),
            names: names.into_iter().map(named).collect(),
            of_regions: Vec::new(),
        };
        let mut drafts = vec![Draft::default()];
        for (prefix, zones) in lines(ZONES) {
            if let Some(draft) = reach(&mut drafts, prefix) {
                let zones = zones.split('&').filter_map(|name| table.place_of(name));
                draft.zones = Some((zones.collect(), prefix == BARE));
            }
        }
        for (prefix, regions) in lines(REGIONS) {
            if let Some(draft) = reach(&mut drafts, prefix) {
                draft.regions = Some(regions.split('&').filter_map(Region::known).collect());
            }
        }
        table.nodes = vec![
            Node {
                next: [NONE; 10],
                place: NONE,
            };
            drafts.len()
        ];
        table.settle(&drafts, 0, &Place::default(), &mut HashMap::new());
        table.of_regions = Region::all()
            .map(|region| (region, table.zones_of(region)))
            .collect();
        table
    }

    /// Gives a draft and those behind it their places: what a prefix does not say, a shorter one has said.
    fn settle(&mut self, drafts: &[Draft], at: u16, above: &Place, known: &mut HashMap<Place, u16>) {
        let Some(draft) = drafts.get(usize::from(at)) else {
            return;
        };
        let mut place = above.clone();
        if let Some((zones, is_bare)) = &draft.zones {
            place.zones.clone_from(zones);
            place.is_bare = *is_bare;
        }
        if let Some(regions) = &draft.regions {
            place.regions.clone_from(regions);
        }
        let index = if place.zones.is_empty() {
            NONE
        } else {
            let next = u16::try_from(self.places.len()).unwrap_or(NONE);
            *known.entry(place.clone()).or_insert_with(|| {
                self.places.push(place.clone());
                next
            })
        };
        if let Some(node) = self.nodes.get_mut(usize::from(at)) {
            (node.next, node.place) = (draft.next, index);
        }
        // No deeper than a prefix is long.
        for next in draft.next.into_iter().filter(|next| *next != NONE) {
            self.settle(drafts, next, &place, known);
        }
    }

    fn zones_of(&self, region: Region) -> Box<[Zone]> {
        let there = |place: &&Place| !place.is_bare && place.regions.contains(&region);
        let places = self.places.iter().filter(there);
        let mut zones: Vec<Zone> = places.flat_map(|place| place.zones.iter().copied()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones.into()
    }
}

/// A node in the making.
#[derive(Debug)]
struct Draft {
    next: [u16; 10],
    zones: Option<(Box<[Zone]>, bool)>,
    regions: Option<Box<[Region]>>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            next: [NONE; 10],
            zones: None,
            regions: None,
        }
    }
}

/// The draft of a prefix, with all on the way there. `None` for what is no prefix.
fn reach<'d>(drafts: &'d mut Vec<Draft>, prefix: &str) -> Option<&'d mut Draft> {
    let mut at = 0;
    for octet in prefix.bytes() {
        let digit = usize::from(octet.wrapping_sub(b'0'));
        let new = u16::try_from(drafts.len()).ok().filter(|new| *new != NONE)?;
        let next = drafts.get_mut(at)?.next.get_mut(digit)?;
        if *next == NONE {
            *next = new;
            at = usize::from(new);
            drafts.push(Draft::default());
        } else {
            at = usize::from(*next);
        }
    }
    drafts.get_mut(at)
}

/// The lines of a table: a prefix and what belongs to it.
fn lines(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table's lines say of a number, line by line.
    fn longest<'t>(table: &'t str, number: &str) -> Option<&'t str> {
        let lines = table.lines().filter_map(|line| line.split_once(' '));
        let fitting = lines.filter(|(prefix, _)| number.starts_with(prefix));
        fitting
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, values)| values)
    }

    fn agrees(number: &str) {
        let table = zones();
        let place = table.of(number.as_bytes()).and_then(|index| table.place(index));
        let names = |place: &Place| {
            place
                .zones
                .iter()
                .map(|zone| zone.name())
                .collect::<Vec<_>>()
                .join("&")
        };
        let regions = |place: &Place| {
            place
                .regions
                .iter()
                .map(Region::as_str)
                .collect::<Vec<_>>()
                .join("&")
        };
        assert_eq!(place.map(names).as_deref(), longest(ZONES, number), "{number}");
        let found = place.map(regions).filter(|regions| !regions.is_empty());
        assert_eq!(found.as_deref(), longest(REGIONS, number), "{number}");
        let is_bare =
            longest(ZONES, number).is_some_and(|zones| zones.contains("Guam&") && zones.len() > 400);
        assert_eq!(place.is_some_and(|place| place.is_bare), is_bare, "{number}");
    }

    #[test]
    fn numbers_are_where_the_longest_prefix_says() {
        for (prefix, _) in lines(ZONES).chain(lines(REGIONS)).step_by(7) {
            agrees(prefix);
            agrees(&format!("{prefix}0"));
            agrees(&format!("{prefix}9999999"));
            agrees(&prefix[..prefix.len() - 1]);
        }
        for number in ["", "0", "1", "18005550100", "999", "1x", "33", "12082000000"] {
            agrees(number);
        }
    }

    #[test]
    fn every_zone_of_the_tables_has_a_clock_and_nothing_is_left_out() {
        let table = zones();
        assert!(table.nodes.len() < usize::from(NONE) / 2, "{}", table.nodes.len());
        assert!(table.places.len() < 2_000, "{}", table.places.len());
        for named in &table.names {
            let zone = Zone::named(&named.name).unwrap();
            assert_eq!(zone.name(), named.name);
            assert!(zone.clock().is_some());
        }
        for (_, names) in lines(ZONES) {
            assert!(
                names.split('&').all(|name| table.place_of(name).is_some()),
                "{names}"
            );
        }
        assert_eq!(
            Zone::named("america/new_york").map(Zone::name),
            Some("America/New_York")
        );
        assert_eq!(Zone::named("Mars/Olympus"), None);
    }

    #[test]
    fn states_are_in_their_zones() {
        let zones_of = |letters| {
            let zones = zones().of_region(Region::known(letters).unwrap()).iter();
            zones.map(|zone| zone.name()).collect::<Vec<_>>()
        };
        assert_eq!(zones_of("FL"), ["America/Chicago", "America/New_York"]);
        assert_eq!(zones_of("HI"), ["Pacific/Honolulu"]);
        assert!(Region::all().all(|region| !zones().of_region(region).is_empty()));
    }
}
