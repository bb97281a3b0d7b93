//! The patterns that number rules are written in, matched without an allocation: digits, `\d`, classes, groups,
//! alternatives, `?`, `{n}`, `{n,m}` and `$`, as the rules use them. There is no `*` and no `+`, so that nothing
//! runs for long.

/// Groups that a pattern may capture; the rules have two at most.
const GROUPS_MAX: usize = 2;
/// Steps of one pattern. The longest of the rules has some 700.
const STEPS_MAX: usize = 4_096;

/// A pattern, ready to be matched at the beginning of a number.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    steps: Box<[Step]>,
    groups: usize,
    /// Digits that a match may begin with.
    first: u16,
    /// Whether it matches where nothing is.
    is_empty: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// One of these digits, bit 0 for 0.
    Digit(u16),
    /// One of these digits, so many times; rather more than fewer.
    Run(u16, u8, u8),
    /// The next step, or else that one.
    Split(u16),
    Jump(u16),
    /// A bound of a group: its begin at an even place, its end behind it.
    Bound(u8),
    /// The end of the number.
    End,
    Match,
}

/// Where a match ends, and what its groups captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// How many digits it took.
    pub(super) end: usize,
    bounds: [Option<u8>; 2 * GROUPS_MAX],
}

impl Found {
    /// What a group, from 1, captured of the number that was matched.
    pub(super) fn group<'n>(&self, number: &'n [u8], group: usize) -> Option<&'n [u8]> {
        let place = 2 * group.checked_sub(1)?;
        let (begin, end) = ((*self.bounds.get(place)?)?, (*self.bounds.get(place + 1)?)?);
        number.get(usize::from(begin)..usize::from(end))
    }
}

impl Pattern {
    /// Reads a pattern; `None` for what is not of the kind that this understands.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader {
            rest: text.as_bytes(),
            steps: Vec::new(),
            groups: 0,
        };
        reader.alternatives()?;
        reader.put(Step::Match)?;
        if !reader.rest.is_empty() {
            return None;
        }
        let mut pattern = Self {
            steps: reader.steps.into(),
            groups: reader.groups,
            first: 0,
            is_empty: false,
        };
        pattern.look_at_first();
        Some(pattern)
    }

    /// Finds out with which digits a match may begin: most numbers are told from most patterns by their first.
    fn look_at_first(&mut self) {
        let mut ways = vec![0];
        while let Some(way) = ways.pop() {
            match self.steps.get(way) {
                Some(Step::Digit(digits)) => self.first |= digits,
                Some(Step::Run(digits, least, _)) => {
                    self.first |= digits;
                    if *least == 0 {
                        ways.push(way + 1);
                    }
                }
                Some(Step::Split(other)) => ways.extend([way + 1, usize::from(*other)]),
                Some(Step::Jump(to)) => ways.push(usize::from(*to)),
                Some(Step::Bound(_)) => ways.push(way + 1),
                Some(Step::End | Step::Match) | None => self.is_empty = true,
            }
        }
    }

    /// Whether a match that takes anything at all may begin where a number does.
    pub(super) fn may_begin(&self, number: &[u8]) -> bool {
        number.first().is_some_and(|first| is_in(self.first, *first))
    }

    /// How many groups it captures.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// Matches the beginning of a number: ASCII digits.
    pub(super) fn at_start(&self, number: &[u8]) -> Option<Found> {
        if !self.is_empty && !self.may_begin(number) {
            return None;
        }
        let mut found = Found::default();
        found.end = self.run(0, number, 0, false, &mut found.bounds)?;
        Some(found)
    }

    /// Whether it matches the whole of a number.
    pub(super) fn matches(&self, number: &[u8]) -> bool {
        (self.is_empty || self.may_begin(number))
            && self
                .run(0, number, 0, true, &mut [None; 2 * GROUPS_MAX])
                .is_some()
    }

    /// Walks from a step on. It calls itself for an alternative only, and alternatives are nested a few deep.
    fn run(
        &self,
        mut step: usize,
        number: &[u8],
        mut at: usize,
        whole: bool,
        bounds: &mut [Option<u8>; 2 * GROUPS_MAX],
    ) -> Option<usize> {
        loop {
            match *self.steps.get(step)? {
                Step::Digit(digits) => {
                    if !is_in(digits, *number.get(at)?) {
                        return None;
                    }
                    at += 1;
                    step += 1;
                }
                Step::Run(digits, least, most) => {
                    let rest = number.get(at..)?.iter().take(usize::from(most));
                    let there = rest.take_while(|octet| is_in(digits, **octet)).count();
                    let least = usize::from(least);
                    if there < least {
                        return None;
                    }
                    let before = *bounds;
                    for longer in (least + 1..=there).rev() {
                        if let Some(end) = self.run(step + 1, number, at + longer, whole, bounds) {
                            return Some(end);
                        }
                        *bounds = before;
                    }
                    at += least;
                    step += 1;
                }
                Step::Split(other) => {
                    let before = *bounds;
                    if let Some(end) = self.run(step + 1, number, at, whole, bounds) {
                        return Some(end);
                    }
                    *bounds = before;
                    step = usize::from(other);
                }
                Step::Jump(to) => step = usize::from(to),
                Step::Bound(place) => {
                    if let Some(bound) = bounds.get_mut(usize::from(place)) {
                        *bound = u8::try_from(at).ok();
                    }
                    step += 1;
                }
                Step::End if at == number.len() => step += 1,
                Step::End => return None,
                Step::Match => return (!whole || at == number.len()).then_some(at),
            }
        }
    }
}

fn is_in(digits: u16, octet: u8) -> bool {
    let digit = octet.wrapping_sub(b'0');
    digit <= 9 && digits >> digit & 1 == 1
}

struct Reader<'t> {
    rest: &'t [u8],
    steps: Vec<Step>,
    groups: usize,
}

impl Reader<'_> {
    fn put(&mut self, step: Step) -> Option<usize> {
        if self.steps.len() >= STEPS_MAX {
            return None;
        }
        self.steps.push(step);
        Some(self.steps.len() - 1)
    }

    /// The step that comes next.
    fn here(&self) -> Option<u16> {
        u16::try_from(self.steps.len()).ok()
    }

    fn set(&mut self, at: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
    }

    fn takes(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn alternatives(&mut self) -> Option<()> {
        let mut ends = Vec::new();
        loop {
            let begin = self.steps.len();
            self.sequence()?;
            if !self.takes(b"|") {
                break;
            }
            // Only now is it known that another follows: a split goes in front of what was read.
            self.insert_split(begin)?;
            ends.push(self.put(Step::Jump(0))?);
            let next = self.here()?;
            self.set(begin, Step::Split(next));
        }
        let end = self.here()?;
        for at in ends {
            self.set(at, Step::Jump(end));
        }
        Some(())
    }

    /// Makes room for a split in front of what was read from `begin` on.
    fn insert_split(&mut self, begin: usize) -> Option<()> {
        self.put(Step::Match)?;
        let moved = self.steps.get_mut(begin..)?;
        moved.rotate_right(1);
        for step in moved.iter_mut().skip(1) {
            if let Step::Split(to) | Step::Jump(to) = step {
                *to += 1;
            }
        }
        Some(())
    }

    fn sequence(&mut self) -> Option<()> {
        while let Some(first) = self.rest.first() {
            match first {
                b'|' | b')' => break,
                b'$' => {
                    self.rest = self.rest.get(1..)?;
                    self.put(Step::End)?;
                }
                _ => self.repeated()?,
            }
        }
        Some(())
    }

    /// One digit, class or group with how often it stands there.
    fn repeated(&mut self) -> Option<()> {
        let begin = self.steps.len();
        self.once()?;
        let (least, most) = self.times()?;
        let one = self.steps.get(begin..)?.to_vec();
        if let ([Step::Digit(digits)], true) = (one.as_slice(), (least, most) != (1, 1)) {
            let run = Step::Run(*digits, u8::try_from(least).ok()?, u8::try_from(most).ok()?);
            self.set(begin, run);
            return Some(());
        }
        self.steps.truncate(begin);
        for _ in 0..least {
            self.copy(&one, begin)?;
        }
        // Where one more is not there, none behind it is: each way out leads behind the last.
        let mut splits = Vec::new();
        for _ in least..most {
            splits.push(self.put(Step::Split(0))?);
            self.copy(&one, begin)?;
        }
        let end = self.here()?;
        for split in splits {
            self.set(split, Step::Split(end));
        }
        Some(())
    }

    fn copy(&mut self, one: &[Step], begin: usize) -> Option<()> {
        let by = u16::try_from(self.steps.len().checked_sub(begin)?).ok()?;
        for step in one {
            self.put(match *step {
                Step::Split(to) => Step::Split(to + by),
                Step::Jump(to) => Step::Jump(to + by),
                other => other,
            })?;
        }
        Some(())
    }

    fn times(&mut self) -> Option<(u16, u16)> {
        if self.takes(b"?") {
            return Some((0, 1));
        }
        if !self.takes(b"{") {
            return Some((1, 1));
        }
        let end = self.rest.iter().position(|octet| *octet == b'}')?;
        let text = std::str::from_utf8(self.rest.get(..end)?).ok()?;
        self.rest = self.rest.get(end + 1..)?;
        let (least, most) = text.split_once(',').unwrap_or((text, text));
        let (least, most) = (least.parse().ok()?, most.parse().ok()?);
        (least <= most && most <= 20).then_some((least, most))
    }

    fn once(&mut self) -> Option<()> {
        if self.takes(b"(?:") {
            self.alternatives()?;
            return self.takes(b")").then_some(());
        }
        if self.takes(b"(") {
            let group = u8::try_from(self.groups).ok()?;
            self.groups += 1;
            if self.groups > GROUPS_MAX {
                return None;
            }
            self.put(Step::Bound(2 * group))?;
            self.alternatives()?;
            self.put(Step::Bound(2 * group + 1))?;
            return self.takes(b")").then_some(());
        }
        let digits = if self.takes(b"\\d") {
            0x3FF
        } else if self.takes(b"[") {
            self.class()?
        } else {
            1 << self.digit()?
        };
        self.put(Step::Digit(digits)).map(|_| ())
    }

    fn class(&mut self) -> Option<u16> {
        let mut digits = 0;
        while !self.takes(b"]") {
            let low = self.digit()?;
            let high = if self.takes(b"-") { self.digit()? } else { low };
            for digit in low..=high {
                digits |= 1 << digit;
            }
        }
        Some(digits)
    }

    fn digit(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        first.is_ascii_digit().then(|| first - b'0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::read(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn each_sign_means_what_it_means_in_a_regular_expression() {
        for (text, yes, no) in [
            ("07", &["07"][..], &["7", "0", "077"][..]),
            (r"\d{3}", &["000", "987"], &["98", "9876"]),
            ("[13-5]2", &["12", "32", "42", "52"], &["22", "62"]),
            ("1(?:2|34)5", &["125", "1345"], &["15", "1245", "135"]),
            ("(?:1|2(?:3|4)){2}", &["11", "123", "2324"], &["1", "22", "111"]),
            ("1?2", &["2", "12"], &["1", "112"]),
            (
                "[2-9]\\d{2,4}|1",
                &["1", "200", "99999"],
                &["20", "2000000", "11"],
            ),
            ("(1\\d|2)3?$", &["10", "2", "23", "103"], &["1", "3"]),
            ("12|1|123", &["12", "1", "123"], &["2"]),
        ] {
            for number in yes {
                assert!(pattern(text).matches(number.as_bytes()), "{text} {number}");
            }
            for number in no {
                assert!(!pattern(text).matches(number.as_bytes()), "{text} {number}");
            }
        }
        for text in [
            "1*",
            "a",
            "[1",
            "(1",
            "1)",
            "{2}",
            "1{3,2}",
            "(1)(2)(3)",
            ".",
            "1+",
            "1{21}",
        ] {
            assert!(Pattern::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn groups_hold_what_the_way_that_matched_captured() {
        let prefix = pattern("0?(?:(11|2(?:2|3)4)15)?");
        let found = |number: &[u8]| {
            let found = prefix.at_start(number).unwrap();
            (found.end, found.group(number, 1).map(<[u8]>::to_vec))
        };
        assert_eq!(found(b"0111512345678"), (5, Some(b"11".to_vec())));
        assert_eq!(found(b"2341512345678"), (5, Some(b"234".to_vec())));
        // The group was tried, and what it held is forgotten with its way.
        assert_eq!(found(b"01112345678"), (1, None));
        assert_eq!(found(b"9"), (0, None));
        assert_eq!(pattern("1|2").at_start(b"3"), None);
    }
}
