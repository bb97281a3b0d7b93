//! Rows of a file of people (RFC 4180), one after the other. One that makes no sense is told, and the next is read.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

/// Octets of one row, over all its lines.
const ROW_MAX: usize = 4_096;
const TOO_LONG: &str = "a line of more than 4096 octets";
const NOT_CLOSED: &str = "a quote that is not closed within 4096 octets";

/// A line with its end, or why it is none.
type Line = Result<Vec<u8>, &'static str>;
/// The values of a row, or what is wrong with it.
pub(super) type Values = Result<Vec<String>, &'static str>;

/// The rows of a file, under reading.
pub(super) struct Rows<R> {
    input: R,
    /// Lines that were read in search of a quote's end, and are to be read for themselves.
    unread: VecDeque<Line>,
    /// Number of the line that was read last.
    line: u64,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            unread: VecDeque::new(),
            line: 0,
            text: vec![0; ROW_MAX],
            // Each value but one takes a comma.
            ends: vec![0; ROW_MAX + 1],
        }
    }

    /// The next row and the line in which it begins; `None` at the end. Empty lines and those that begin with `#` are
    /// left out, as is a byte order mark.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Values)>> {
        while let Some(line) = self.next_line()? {
            let first = self.line;
            let line = match line {
                Ok(line) if line.trim_ascii().is_empty() || line.starts_with(b"#") => continue,
                Ok(line) => line,
                Err(reason) => return Ok(Some((first, Err(reason)))),
            };
            return Ok(Some((first, self.row(line)?)));
        }
        Ok(None)
    }

    /// The values of a row, of which this is the first line: more of them are read while a quote is open.
    fn row(&mut self, mut line: Vec<u8>) -> io::Result<Values> {
        let first = self.line;
        // LF alone ends a line; the CR before it is taken off with the blanks.
        let mut reader: Reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        let (mut octets, mut columns, mut more) = (0, 0, VecDeque::new());
        loop {
            let text = self.text.get_mut(octets..).unwrap_or_default();
            let ends = self.ends.get_mut(columns..).unwrap_or_default();
            let (result, _, written, ended) = reader.read_record(&line, text, ends);
            octets += written;
            columns += ended;
            let next = match result {
                ReadRecordResult::Record => return Ok(self.values(columns)),
                ReadRecordResult::InputEmpty => self.next_line()?,
                _ => None,
            };
            let Some(next) = next else { break };
            more.push_back(next.clone());
            match next {
                Ok(next) => line = next,
                Err(_) => break,
            }
        }
        // Perhaps nothing but the quote is wrong, so that what it took in are rows.
        more.append(&mut self.unread);
        self.unread = more;
        self.line = first;
        Ok(Err(NOT_CLOSED))
    }

    fn values(&self, columns: usize) -> Values {
        let ends = self.ends.get(..columns).unwrap_or_default();
        let starts = std::iter::once(&0).chain(ends);
        let value = |(start, end): (&usize, &usize)| {
            let octets = self.text.get(*start..*end).unwrap_or_default();
            String::from_utf8(octets.to_vec()).map_err(|_| "a line that is not UTF-8")
        };
        starts.zip(ends).map(value).collect()
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        let line = match self.unread.pop_front() {
            Some(line) => Some(line),
            None => self.read_line()?,
        };
        self.line += u64::from(line.is_some());
        Ok(line)
    }

    /// What is longer than a line may be is skipped.
    fn read_line(&mut self) -> io::Result<Option<Line>> {
        let mut octets = Vec::new();
        let mut read = |octets: &mut Vec<u8>| {
            let mut input = self.input.by_ref().take(ROW_MAX as u64);
            input.read_until(b'\n', octets)
        };
        if read(&mut octets)? == 0 {
            return Ok(None);
        }
        if !octets.ends_with(b"\n") && octets.len() >= ROW_MAX {
            loop {
                octets.clear();
                if read(&mut octets)? == 0 || octets.ends_with(b"\n") {
                    return Ok(Some(Err(TOO_LONG)));
                }
            }
        }
        if self.line == 0 && octets.starts_with("\u{feff}".as_bytes()) {
            octets.drain(..3);
        }
        if !octets.ends_with(b"\n") {
            octets.push(b'\n');
        }
        Ok(Some(Ok(octets)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, Values)> {
        let mut rows = Rows::new(text);
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn row(line: u64, values: &[&str]) -> (u64, Values) {
        (line, Ok(values.iter().map(|value| (*value).to_owned()).collect()))
    }

    #[test]
    fn a_row_may_have_quotes_commas_and_line_breaks_in_its_values() {
        let text = "\u{feff}number,source\r\n\n# of today\n1,\"a, \"\"b\"\"\"\n2,\"one\n\n#two\r\nthree\"\n3,5'10\"\n4";
        let read = all(text.as_bytes());
        assert_eq!(read[0], row(1, &["number", "source\r"]));
        assert_eq!(read[1], row(4, &["1", "a, \"b\""]));
        assert_eq!(read[2], row(5, &["2", "one\n\n#two\r\nthree"]));
        assert_eq!(read[3..], [row(9, &["3", "5'10\""]), row(10, &["4"])]);
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_other_row_with_it() {
        let mut text = "1,\"x\n".to_owned();
        // Closed at last, but too far away.
        text.push_str(&"2,y\n".repeat(2_000));
        text.push_str("3,\"\n");
        let read = all(text.as_bytes());
        let bad = read.iter().filter(|(_, values)| values.is_err());
        let bad: Vec<u64> = bad.map(|(line, _)| *line).collect();
        assert_eq!((read.len(), bad), (2_002, vec![1, 2_002]));
        let read = all(b"1,\"x\n2,y\n");
        assert_eq!(read, [(1, Err(NOT_CLOSED)), row(2, &["2", "y"])]);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_bad_and_the_next_is_read() {
        let mut octets = vec![b'1'; 10_000];
        octets.extend_from_slice(b"\n2\r\n\xff\n3");
        let read = all(&octets);
        assert_eq!(read[0], (1, Err(TOO_LONG)));
        assert_eq!(read[1], row(2, &["2\r"]));
        assert!(read[2].1.is_err());
        assert_eq!(read[3..], [row(4, &["3"])]);
        // Within quotes too.
        let mut octets = b"\"1\n".to_vec();
        octets.extend_from_slice(&[b'2'; 10_000]);
        octets.extend_from_slice(b"\n3\n");
        let read = all(&octets);
        assert_eq!(read[..2], [(1, Err(NOT_CLOSED)), (2, Err(TOO_LONG))]);
        assert_eq!(read[2..], [row(3, &["3"])]);
    }
}
