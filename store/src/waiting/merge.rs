//! Making one run of several, in steps.

use std::io;
use std::path::PathBuf;

use crate::disk::{Disk, DiskFile};
use crate::record::RecordError;

use super::done::Done;
use super::files::Files;
use super::format::{Form, LINE_LEN, Line, file_name};
use super::writer::{RunWriter, Title};
use super::{At, Mark, Place, RunInfo};

/// Records that one step of a merge takes over: a few milliseconds of the keeper's time.
const STEP: usize = 4096;
/// Lines that one step may pass over: those of legs that are done, and those that make no sense.
const PASSED_OVER_MAX: usize = 64 * STEP;
/// Octets of a run that a merge reads at once.
const WINDOW: usize = 128 << 10;

/// One run of an hour in the making.
pub(crate) struct Merge<D: Disk> {
    pub(crate) hour: u32,
    number: u64,
    sources: Vec<Source>,
    writer: RunWriter<D>,
    room: u32,
}

/// A run that is being taken over, in order.
struct Source {
    run: u64,
    count: u32,
    /// What was done when the merge began: it is left behind.
    done: Done,
    /// The next record.
    rank: u32,
    lines: Vec<u8>,
    lines_from: u32,
    records: Vec<u8>,
    records_from: u64,
}

/// What comes next in a source.
enum Next {
    Line(Line),
    /// There is none any more.
    End,
    /// It was looked for long enough.
    Later,
}

/// How far a merge has come.
pub(crate) enum Merged {
    /// There is more to do.
    More,
    /// One run stands for these.
    Whole(RunInfo, Vec<u64>),
}

impl<D: Disk> Files<D> {
    /// Begins a merge, or goes on with the one that is under way. After an error nothing has happened.
    pub(crate) fn merge(&mut self, hour: u32, runs: &[u64]) -> io::Result<Merged> {
        let mut merge = match self.merge.take() {
            Some(merge) if merge.hour == hour => merge,
            other => {
                self.abandon(other);
                self.begin_merge(hour, runs)?
            }
        };
        match self.step(&mut merge) {
            Ok(false) => {
                self.merge = Some(merge);
                Ok(Merged::More)
            }
            Ok(true) => self.finish_merge(merge),
            Err(error) => {
                self.abandon(Some(merge));
                Err(error)
            }
        }
    }

    /// Gives a merge up.
    pub(crate) fn abandon(&mut self, merge: Option<Merge<D>>) {
        if let Some(merge) = merge {
            // A start removes what stays.
            let _ = self.disk.unlink(merge.writer.path());
        }
    }

    pub(crate) fn begin_merge(&mut self, hour: u32, runs: &[u64]) -> io::Result<Merge<D>> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let (mut room, mut octets) = (0u32, 0);
        let mut sources = Vec::new();
        for number in runs {
            let run = self.run(hour, *number).ok_or_else(gone)?;
            room = room.saturating_add(run.header.count - run.done.count().min(run.header.count));
            octets += run.header.records_len;
            sources.push(Source {
                run: *number,
                count: run.header.count,
                done: run.done.clone(),
                rank: 0,
                lines: Vec::new(),
                lines_from: 0,
                records: Vec::new(),
                records_from: 0,
            });
        }
        self.clear_remains()?;
        let number = self.next_run;
        self.next_run += 1;
        let path: PathBuf = self.dir.join(file_name(hour, number, Form::Merging));
        let writer = RunWriter::begin(&self.disk, path, room, octets)?;
        Ok(Merge {
            hour,
            number,
            sources,
            writer,
            room,
        })
    }

    /// Takes some records over; whether that was all.
    fn step(&mut self, merge: &mut Merge<D>) -> io::Result<bool> {
        let mut over = 0;
        for _ in 0..STEP {
            let mut first: Option<(usize, Line)> = None;
            for (place, source) in merge.sources.iter_mut().enumerate() {
                match self.peek(merge.hour, source, &mut over)? {
                    Next::Line(line) if first.is_none_or(|(_, first)| line.hash < first.hash) => {
                        first = Some((place, line));
                    }
                    Next::Line(_) | Next::End => {}
                    Next::Later => return Ok(false),
                }
            }
            let Some((place, line)) = first else {
                return Ok(true);
            };
            let Some(source) = merge.sources.get_mut(place) else {
                return Ok(true);
            };
            let record = self.record_of(merge.hour, source, &line)?;
            merge.writer.push(line.hash, record)?;
            source.rank += 1;
        }
        merge.writer.sync_some()?;
        Ok(false)
    }

    /// The next line of a source that is to be taken over. One that makes no sense is left behind.
    fn peek(&mut self, hour: u32, source: &mut Source, over: &mut usize) -> io::Result<Next> {
        while source.rank < source.count {
            if *over >= PASSED_OVER_MAX {
                return Ok(Next::Later);
            }
            if source.done.is_done(source.rank) {
                (source.rank, *over) = (source.rank + 1, *over + 1);
                continue;
            }
            let line = self.line_of(hour, source)?;
            let len = self.run(hour, source.run).map_or(0, |run| run.header.records_len);
            match line {
                Some(line) if line.offset.saturating_add(line.len.into()) <= len && line.len > 0 => {
                    return Ok(Next::Line(line));
                }
                _ => {
                    let (run, rank) = (source.run, source.rank);
                    self.unreadable(hour, At { run, rank }, RecordError::Malformed);
                    (source.rank, *over) = (source.rank + 1, *over + 1);
                }
            }
        }
        Ok(Next::End)
    }

    fn line_of(&mut self, hour: u32, source: &mut Source) -> io::Result<Option<Line>> {
        let offset = (source.rank - source.lines_from) as usize * LINE_LEN;
        if let Some(octets) = source.lines.get(offset..offset + LINE_LEN) {
            return Ok(Line::read(octets));
        }
        let table_at = self.run(hour, source.run).map_or(0, |run| run.header.table_at());
        let left = (source.count - source.rank) as usize * LINE_LEN;
        source.lines.resize(left.min(WINDOW), 0);
        source.lines_from = source.rank;
        let at = table_at + u64::from(source.rank) * LINE_LEN as u64;
        let read = self.file(hour, source.run)?.read_at(&mut source.lines, at)?;
        source.lines.truncate(read);
        Ok(Line::read(&source.lines))
    }

    fn record_of<'a>(&mut self, hour: u32, source: &'a mut Source, line: &Line) -> io::Result<&'a [u8]> {
        let len = usize::from(line.len);
        let held = line
            .offset
            .checked_sub(source.records_from)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| at + len <= source.records.len());
        let at = match held {
            Some(at) => at,
            None => {
                let header = self.run(hour, source.run).map(|run| &run.header);
                let (records_at, all) =
                    header.map_or((0, 0), |header| (header.records_at(), header.records_len));
                let left = usize::try_from(all.saturating_sub(line.offset)).unwrap_or(WINDOW);
                source.records.resize(left.min(WINDOW.max(len)), 0);
                source.records_from = line.offset;
                let file = self.file(hour, source.run)?;
                let read = file.read_at(&mut source.records, records_at + line.offset)?;
                source.records.truncate(read);
                0
            }
        };
        source
            .records
            .get(at..at + len)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The new run takes its place, with the marks that came meanwhile; then the old ones go.
    fn finish_merge(&mut self, merge: Merge<D>) -> io::Result<Merged> {
        let Merge {
            hour,
            number,
            sources,
            writer,
            room,
        } = merge;
        let replaced: Vec<u64> = sources.iter().map(|source| source.run).collect();
        let Some(found) = self.hours.get(&hour) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let title = Title {
            node: self.node,
            hour,
            number,
            key: found.key.id(),
            hash_key: found.sealed_hash_key,
            replaces: replaced.clone(),
        };
        let path = writer.path().to_path_buf();
        let made = self
            .add_run(writer, title, Done::new(room), Form::Merging)
            .and_then(|()| self.carry_marks(hour, number, &sources))
            .and_then(|()| {
                self.disk
                    .rename(&path, &self.dir.join(file_name(hour, number, Form::Whole)))
            });
        if let Err(error) = made {
            self.forget(hour, number);
            // It may not have become a run at all.
            let _ = self.disk.unlink(&path);
            return Err(error);
        }
        if let Some(run) = self.run_mut(hour, number) {
            run.form = Form::Whole;
        }
        // Marks go to the new run from here on, so the old ones must never count again.
        if let Err(error) = self.sync_dir() {
            self.forget(hour, number);
            // A start would take it for the heir of runs that went on without it.
            self.stuck |= self.disk.list(&self.dir).map_or(true, |entries| {
                let name = file_name(hour, number, Form::Whole);
                entries.iter().any(|entry| entry.name == name)
            });
            return Err(error);
        }
        for source in &sources {
            self.replaced(hour, source.run);
        }
        // Tried again before anything is built on it.
        if let Err(error) = self.clear_remains() {
            tracing::warn!(hour, %error, "a waiting file that was merged cannot be removed now");
        }
        let info = self.info(hour, number).ok_or(io::ErrorKind::NotFound)?;
        Ok(Merged::Whole(info, replaced))
    }

    /// A run that another stands for.
    fn replaced(&mut self, hour: u32, number: u64) {
        self.close(number);
        // Its marks are the heir's by now, those that could not be synced, too.
        self.unsynced.remove(&(hour, number));
        if let Some(run) = self
            .hours
            .get_mut(&hour)
            .and_then(|hour| hour.runs.remove(&number))
        {
            self.remains.push(file_name(hour, number, run.form));
        }
    }

    /// Removes the files of runs that others stand for. As long as one is there, those others must be: a start
    /// would take it for a run that counts.
    pub(crate) fn clear_remains(&mut self) -> io::Result<()> {
        if self.remains.is_empty() {
            return Ok(());
        }
        for name in &self.remains {
            match self.disk.unlink(&self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.sync_dir()?;
        self.remains.clear();
        Ok(())
    }

    fn carry_marks(&mut self, hour: u32, number: u64, sources: &[Source]) -> io::Result<()> {
        for source in sources {
            let late: Vec<u32> = match self.run(hour, source.run) {
                Some(run) => (0..source.count)
                    .filter(|rank| run.done.is_done(*rank) && !source.done.is_done(*rank))
                    .collect(),
                None => Vec::new(),
            };
            for rank in late {
                let at = At {
                    run: source.run,
                    rank,
                };
                let head = match self.head(hour, at) {
                    Ok(head) => head,
                    Err(RecordError::Io(kind)) => return Err(kind.into()),
                    // The new run could not read it either.
                    Err(_) => continue,
                };
                let Some(line) = self.line(hour, at)? else {
                    continue;
                };
                let place = Place {
                    hour,
                    hash: line.hash,
                    at: None,
                };
                let mark = Mark {
                    id: head.id,
                    leg: head.leg,
                    place,
                };
                // The source's own record is marked, so only the new run's can be found.
                if let Some(at) = self.locate(&mark, false)?
                    && let Some(run) = self.run_mut(hour, at.run)
                {
                    run.done.mark(at.rank);
                }
            }
        }
        self.flush(hour, number)
    }
}
