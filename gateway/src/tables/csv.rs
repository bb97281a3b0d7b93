//! Rows of a file of comma-separated values (RFC 4180), one after the other and none kept.
//!
//! The first row names the columns, in any order. Lines end in LF or CRLF; empty ones and those that begin with `#`
//! are left out, as are blanks around a value and a byte order mark. Values may stand in double quotes.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::problem::FileProblems;

/// Octets of one row. Longer ones, and a quote that is not closed, end the reading.
const ROW_MAX: usize = 512;
/// Columns of one row.
const COLUMNS_MAX: usize = 16;
/// Octets that are read at a time.
const CHUNK: usize = 1 << 18;

/// A column's place; `None` where the file does not have it.
pub(super) type Column = Option<usize>;

/// The rows of a file, under reading.
pub(super) struct Rows<R> {
    input: R,
    reader: Reader,
    chunk: Vec<u8>,
    /// What of the chunk has not been used.
    left: std::ops::Range<usize>,
    row: [u8; ROW_MAX],
    ends: [usize; COLUMNS_MAX],
    /// Columns of the row that stands in `row`.
    columns: usize,
    /// Columns that the header has.
    width: usize,
    line: u64,
    /// Rows so far, the header left out.
    count: u64,
    max: u64,
}

impl<R: Read> Rows<R> {
    /// Reads `input`, which may have `max` rows.
    pub(super) fn new(input: R, max: u64) -> Self {
        let mut form = ReaderBuilder::new();
        // LF alone ends a line, so that lines can be counted; the CR before it is taken off with the blanks.
        form.terminator(Terminator::Any(b'\n')).comment(Some(b'#'));
        Self {
            input,
            reader: form.build(),
            chunk: vec![0; CHUNK],
            left: 0..0,
            row: [0; ROW_MAX],
            ends: [0; COLUMNS_MAX],
            columns: 0,
            width: 0,
            line: 1,
            count: 0,
            max,
        }
    }

    /// Reads the header and finds the columns with these names. `None`, and told, if it is not there or has others.
    pub(super) fn header<const N: usize>(
        &mut self,
        names: [&'static str; N],
        problems: &mut FileProblems,
    ) -> Option<[Column; N]> {
        let known = names.join(", ");
        if !self.read_row(problems) {
            if problems.is_empty() {
                problems.file(format!("no header line: it names the columns, of {known}"));
            }
            return None;
        }
        let mut columns = [None; N];
        for place in 0..self.columns {
            let name = self.value(Some(place));
            let Some(known) = names.iter().position(|known| known.as_bytes() == name) else {
                // Not repeated: where the header was forgotten it is a number.
                let what = format!("column {} of the header is none of {known}", place + 1);
                problems.row(self.line, what);
                return None;
            };
            if columns[known].replace(place).is_some() {
                problems.value(self.line, names[known], "stands in the header twice");
                return None;
            }
        }
        self.width = self.columns;
        Some(columns)
    }

    /// Goes to the next row. `false` at the end, which may be a problem that has been told.
    pub(super) fn advance(&mut self, problems: &mut FileProblems) -> bool {
        while self.read_row(problems) {
            if self.count == self.max {
                problems.row(self.line, format!("more than {} rows", self.max));
                return false;
            }
            self.count += 1;
            if self.columns == self.width {
                return true;
            }
            let what = format!("{} values where the header has {}", self.columns, self.width);
            problems.row(self.line, what);
        }
        false
    }

    /// A value of this row; empty where the file does not have the column.
    pub(super) fn value(&self, column: Column) -> &[u8] {
        let Some(place) = column.filter(|place| *place < self.columns) else {
            return &[];
        };
        let start = match place {
            0 => 0,
            after => self.ends[after - 1],
        };
        self.row
            .get(start..self.ends[place])
            .unwrap_or_default()
            .trim_ascii()
    }

    /// The line, from 1, in which this row ends.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads up to the end of the next row that is not empty.
    fn read_row(&mut self, problems: &mut FileProblems) -> bool {
        loop {
            match self.read_record() {
                Ok(ReadRecordResult::Record) => {
                    let empty = self.columns == 1 && self.value(Some(0)).is_empty();
                    if !empty {
                        return true;
                    }
                }
                Ok(ReadRecordResult::End) => return false,
                Ok(ReadRecordResult::OutputEndsFull) => {
                    problems.row(self.line, format!("more than {COLUMNS_MAX} columns"));
                    return false;
                }
                Ok(_) => {
                    let what = format!("a row of more than {ROW_MAX} octets, or a quote that is not closed");
                    problems.row(self.line, what);
                    return false;
                }
                Err(error) => {
                    problems.file(format!("cannot be read: {error}"));
                    return false;
                }
            }
        }
    }

    fn read_record(&mut self) -> io::Result<ReadRecordResult> {
        let (mut octets, mut columns) = (0, 0);
        loop {
            if self.left.is_empty() {
                self.refill()?;
            }
            let input = self.chunk.get(self.left.clone()).unwrap_or_default();
            let row = self.row.get_mut(octets..).unwrap_or_default();
            let ends = self.ends.get_mut(columns..).unwrap_or_default();
            let (result, used, written, ended) = self.reader.read_record(input, row, ends);
            let last = self.chunk.get((self.left.start + used).wrapping_sub(1));
            let closed = used > 0 && last == Some(&b'\n');
            self.left.start += used;
            octets += written;
            columns += ended;
            if result != ReadRecordResult::InputEmpty {
                self.columns = columns;
                // The end of the line is counted with it.
                self.line = self.reader.line() - u64::from(closed && self.reader.line() > 1);
                return Ok(result);
            }
        }
    }

    /// The next chunk; with nothing more in it the input is over.
    fn refill(&mut self) -> io::Result<()> {
        self.left = 0..0;
        // More than three octets, if there are so many: a byte order mark is known for one if it is there whole, and
        // nothing behind it is read as the end.
        while self.left.end < 4 {
            match self
                .input
                .read(self.chunk.get_mut(self.left.end..).unwrap_or_default())
            {
                Ok(0) => break,
                Ok(read) => self.left.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn all(text: &[u8], max: u64) -> (Vec<(u64, String)>, FileProblems) {
        let mut problems = FileProblems::none("k", Path::new("f"));
        let mut rows = Rows::new(text, max);
        let mut read = Vec::new();
        if let Some([b, a]) = rows.header(["b", "a"], &mut problems) {
            while rows.advance(&mut problems) {
                let text = [rows.value(a), b"|", rows.value(b)].concat();
                read.push((rows.line(), String::from_utf8(text).unwrap()));
            }
        }
        (read, problems)
    }

    #[test]
    fn rows_come_with_their_lines_whatever_stands_between_them() {
        for end in ["\n", "\r\n"] {
            let text = "\u{feff}# of today\n\n a , b\n1,2\n# no\n\n\"3\", 4\n,\n\"5\",\"6\"";
            let (read, problems) = all(text.replace('\n', end).as_bytes(), 10);
            assert!(problems.is_empty(), "{problems}");
            let read: Vec<_> = read.iter().map(|(line, text)| (*line, text.as_str())).collect();
            assert_eq!(read, [(4, "1|2"), (7, "3|4"), (8, "|"), (9, "5|6")], "{end:?}");
        }
    }

    #[test]
    fn an_input_that_comes_in_pieces_is_the_same() {
        /// One octet at a time.
        struct Trickle<'a>(&'a [u8]);
        impl Read for Trickle<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else {
                    return Ok(0);
                };
                (into[0], self.0) = (*first, rest);
                Ok(1)
            }
        }
        let mut problems = FileProblems::none("k", Path::new("f"));
        let mut rows = Rows::new(Trickle("\u{feff}a\r\n12\r\n#\n34".as_bytes()), 10);
        let [a] = rows.header(["a"], &mut problems).unwrap();
        let mut read = Vec::new();
        while rows.advance(&mut problems) {
            read.push((rows.line(), rows.value(a).to_vec()));
        }
        assert_eq!(read, [(2, b"12".to_vec()), (4, b"34".to_vec())]);
        assert!(problems.is_empty());
    }

    #[test]
    fn what_is_no_table_is_told_without_being_repeated() {
        let long = format!("a,b\n1,{}\n3,4\n", "7".repeat(ROW_MAX));
        let open = format!("a,b\n\"7,7\n{}", "7,7\n".repeat(1_000));
        let cases: [(&str, &str); 9] = [
            ("", "no header line"),
            ("#\n\n", "no header line"),
            (
                "447700900123,7\n",
                "line 1: column 1 of the header is none of b, a",
            ),
            ("a,a\n", "line 1, a: stands in the header twice"),
            ("b,a\n1,2,7\n", "line 2: 3 values where the header has 2"),
            ("b,a\n1,2\n7\n", "line 3: 1 values where the header has 2"),
            (&long, "line 2: a row of more than 512 octets"),
            (&open, "a quote that is not closed"),
            ("a,b,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7\n", "more than 16 columns"),
        ];
        for (text, told) in cases {
            let (_, problems) = all(text.as_bytes(), 10);
            let text = problems.to_string();
            assert!(text.contains(told) && !text.contains('7'), "{text}");
        }
        let (read, problems) = all(b"a,b\n1,1\n1,1\n1,1\n", 2);
        assert_eq!(
            (read.len(), problems.to_string().as_str()),
            (2, "k: f: line 4: more than 2 rows")
        );
    }
}
