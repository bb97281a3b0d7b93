//! From prefixes and ranges, one within another, to the changes of [`Steps`]: the innermost holds.

use super::problem::FileProblems;
use super::steps::{NONE, Steps, VALUE_BITS, change, value_of};

/// Where numbers with a value are, and in which line that stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The first key.
    pub(super) start: u64,
    /// The first key after it.
    pub(super) end: u64,
    /// Line of the file; files have fewer than 2^32.
    pub(super) line: u32,
    /// The value, below [`NONE`].
    pub(super) value: u16,
}

/// Puts spans together. Two that are the same, or that overlap without one being within the other, are problems.
pub(super) fn steps(mut spans: Vec<Span>, problems: &mut FileProblems) -> Steps {
    // What holds another comes before it.
    spans.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end), span.line));
    let mut changes = Changes(Vec::with_capacity(spans.len()));
    let mut around: Vec<Span> = Vec::new();
    for span in spans {
        while let Some(outer) = around.pop_if(|outer| outer.end <= span.start) {
            changes.add(outer.end, around.last());
        }
        if let Some(outer) = around.last() {
            let line = outer.line;
            if (outer.start, outer.end) == (span.start, span.end) {
                problems.row(span.line.into(), format!("the same numbers as in line {line}"));
                continue;
            }
            if outer.end < span.end {
                let what = format!("overlaps line {line} and is not within it");
                problems.row(span.line.into(), what);
                continue;
            }
        }
        changes.add(span.start, Some(&span));
        around.push(span);
    }
    while let Some(outer) = around.pop() {
        changes.add(outer.end, around.last());
    }
    Steps::new(&changes.0)
}

/// Changes under construction: keys ascend, and each changes something.
struct Changes(Vec<u64>);

impl Changes {
    fn add(&mut self, key: u64, span: Option<&Span>) {
        let value = span.map_or(NONE, |span| span.value);
        self.0.pop_if(|last| *last >> VALUE_BITS == key);
        let holds = self.0.last().map_or(NONE, |last| value_of(*last));
        if holds != value {
            self.0.push(change(key, value));
        }
    }
}
