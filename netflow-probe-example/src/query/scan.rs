//! A question put to a store: which row groups, which rows, and what becomes of them, on several threads.

use core::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{Filter, Window};
use crate::{
    flow::Flow,
    store::{Chosen, Column, ColumnSet, Group, OpenFile, Rows, StoreReader, Summary},
};

/// Which flows of a store are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The store.
    pub reader: &'a StoreReader,
    /// In which time.
    pub window: Window,
    /// Which of them.
    pub filter: &'a Filter,
}

/// Makes something of flows, row group by row group. Each thread has its own, and all are put together at the end.
pub trait Gather: Send + Sized {
    /// Takes the rows that are chosen.
    ///
    /// # Errors
    ///
    /// When a column cannot be read: the file is damaged.
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()>;

    /// Takes the flows of a file, which are all asked for, by what its writer has summed up. Returns whether that is
    /// enough; else their rows follow.
    fn summed_up(&mut self, _summary: &SummedUp<'_>) -> bool {
        false
    }

    /// Takes what another thread has gathered.
    fn merge(&mut self, other: Self);

    /// All threads have been merged.
    fn finish(&mut self) {}
}

/// What the writer of a file has summed up of its flows.
#[derive(Debug)]
pub struct SummedUp<'a>(&'a OpenFile);

impl SummedUp<'_> {
    pub(crate) fn read(&self) -> Option<Summary> {
        self.0.summary()
    }
}

/// Rows of a row group, and which of them are chosen.
#[derive(Debug)]
pub struct ChosenRows<'a> {
    pub(crate) rows: &'a mut Rows,
    pub(crate) chosen: &'a Chosen,
}

/// A file that could not be read to its end, and why.
#[derive(Debug)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: io::Error,
}

/// What was gathered, and what it lacks.
#[derive(Debug)]
pub struct Scanned<G> {
    /// What was gathered.
    pub gathered: G,
    /// Files that are damaged, in the order of time.
    pub damaged: Vec<Damaged>,
}

/// Threads, at most: each holds columns of a row group.
const THREADS: usize = 4;

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(THREADS)
}

/// What there is to do.
enum Work {
    File(usize),
    Group(usize, Group),
}

/// Work, and how many files are being opened, which may make more of it.
struct Queue {
    work: Mutex<VecDeque<Work>>,
    opening: AtomicUsize,
}

impl Queue {
    /// The next piece of work, when there is or will be any.
    fn next(&self) -> Option<Work> {
        loop {
            {
                let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
                let next = work.pop_front();
                if let Some(Work::File(_)) = next {
                    self.opening.fetch_add(1, Ordering::Relaxed);
                }
                if next.is_some() || self.opening.load(Ordering::Relaxed) == 0 {
                    return next;
                }
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// A file is open: its row groups go first.
    fn opened(&self, groups: Vec<Work>) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.into_iter().rev() {
            work.push_front(group);
        }
        self.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Question<'_> {
    /// Gathers from the flows that are asked for.
    pub fn gather<G: Gather>(&self, make: impl Fn() -> G + Sync) -> Scanned<G> {
        let files = self.reader.files().len();
        let queue =
            Queue { work: Mutex::new((0..files).map(Work::File).collect()), opening: AtomicUsize::new(0) };
        let work = || {
            let mut gathered = make();
            let mut damaged = Vec::new();
            while let Some(work) = queue.next() {
                match work {
                    Work::File(place) => match self.open_for(place, &mut gathered) {
                        Ok(groups) => {
                            queue.opened(groups.into_iter().map(|group| Work::Group(place, group)).collect());
                        }
                        Err(error) => {
                            queue.opened(Vec::new());
                            damaged.push((place, error));
                        }
                    },
                    Work::Group(place, group) => {
                        let read = self.choose(&group).and_then(|(mut rows, chosen)| match chosen {
                            Chosen::None => Ok(()),
                            chosen => gathered.gather(&mut ChosenRows { rows: &mut rows, chosen: &chosen }),
                        });
                        damaged.extend(read.err().map(|error| (place, error)));
                    }
                }
            }
            (gathered, damaged)
        };
        let (mut gathered, mut damaged) = thread::scope(|scope| {
            let others: Vec<_> = (1..threads()).map(|_| scope.spawn(work)).collect();
            let (mut gathered, mut damaged) = work();
            for other in others {
                // A thread that has panicked takes what it had with it, and the panic goes on here.
                let (more, others) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                gathered.merge(more);
                damaged.extend(others);
            }
            (gathered, damaged)
        });
        gathered.finish();
        damaged.sort_by_key(|(place, _)| *place);
        damaged.dedup_by_key(|(place, _)| *place);
        let damaged = damaged.into_iter().filter_map(|(place, error)| self.damaged(place, error)).collect();
        Scanned { gathered, damaged }
    }

    /// Shows the flows that are asked for, in the order in which they are stored. Returns which files are damaged.
    ///
    /// # Errors
    ///
    /// When `visit` fails.
    pub fn each_flow(&self, mut visit: impl FnMut(&Flow<'_>) -> io::Result<()>) -> io::Result<Vec<Damaged>> {
        let files = self.reader.files().len();
        let threads = threads().min(files.max(1));
        thread::scope(|scope| {
            let mut streams = Vec::new();
            for thread in 0..threads {
                let (sender, receiver) = sync_channel(4);
                scope.spawn(move || {
                    // Who asked may have seen enough.
                    let _ = self.find((thread..files).step_by(threads), &sender);
                });
                streams.push(Stream { next: None, receiver });
            }
            let mut damaged = Vec::new();
            // Each thread finds in the order of files: what comes first of all comes next.
            while let Some(Found { place, what }) = first(&mut streams) {
                match what {
                    What::Nothing => {}
                    What::Damage(error) => damaged.push((place, error)),
                    What::Rows(mut rows, chosen) => {
                        let mut failed = None;
                        let read = rows.each(ColumnSet::ALL, &chosen, |_, flow| {
                            visit(flow).map_err(|error| {
                                failed = Some(error);
                                io::ErrorKind::Other.into()
                            })
                        });
                        if let Some(failed) = failed {
                            return Err(failed);
                        }
                        damaged.extend(read.err().map(|error| (place, error)));
                    }
                }
            }
            damaged.dedup_by_key(|(place, _)| *place);
            Ok(damaged.into_iter().filter_map(|(place, error)| self.damaged(place, error)).collect())
        })
    }

    /// Finds the rows of files, and sends them.
    fn find(
        &self,
        files: impl Iterator<Item = usize>,
        sender: &SyncSender<Found>,
    ) -> Result<(), std::sync::mpsc::SendError<Found>> {
        for (count, place) in files.enumerate() {
            let send = |what| sender.send(Found { place, what });
            if count % SILENCE == 0 {
                send(What::Nothing)?;
            }
            let groups = match self.open(place) {
                Ok(groups) => groups,
                Err(error) => {
                    send(What::Damage(error))?;
                    continue;
                }
            };
            for group in groups {
                match self.choose(&group) {
                    Ok((_, Chosen::None)) => {}
                    Ok((mut rows, chosen)) => {
                        // What cannot be decoded is told by who shows the rows.
                        let _ = rows.load_all();
                        send(What::Rows(Box::new(rows), chosen))?;
                    }
                    Err(error) => send(What::Damage(error))?,
                }
            }
        }
        Ok(())
    }

    fn damaged(&self, place: usize, error: io::Error) -> Option<Damaged> {
        self.reader.files().get(place).map(|path| Damaged { path: path.clone(), error })
    }

    /// The row groups of a file that can have such flows.
    fn open(&self, place: usize) -> io::Result<Vec<Group>> {
        match self.reader.files().get(place) {
            None => Ok(Vec::new()),
            Some(path) => Ok(self.groups(&StoreReader::open_file(path)?)),
        }
    }

    /// Those that have to be read for what is gathered.
    fn open_for(&self, place: usize, gathered: &mut impl Gather) -> io::Result<Vec<Group>> {
        let Some(path) = self.reader.files().get(place) else { return Ok(Vec::new()) };
        let file = StoreReader::open_file(path)?;
        let Window { from, to } = self.window;
        let is_all = self.filter.is_any() && file.is_wholly_in(from, to);
        Ok(if is_all && gathered.summed_up(&SummedUp(&file)) { Vec::new() } else { self.groups(&file) })
    }

    fn groups(&self, file: &OpenFile) -> Vec<Group> {
        file.groups(self.reader).filter(|group| self.filter.may_pass(group)).collect()
    }

    /// The rows of a row group that have such flows.
    fn choose(&self, group: &Group) -> io::Result<(Rows, Chosen)> {
        let mut rows = group.rows()?;
        let chosen = self.filter.choose(&mut rows, &Chosen::All)?;
        let chosen = self.in_time(group, &mut rows, chosen)?;
        Ok((rows, chosen))
    }

    /// Those that are in the window.
    fn in_time(&self, group: &Group, rows: &mut Rows, mut chosen: Chosen) -> io::Result<Chosen> {
        let from = self.window.from.map(|from| (from.as_nanos(), "time_flow_end_ns"));
        let to = self.window.to.map(|to| (to.as_nanos(), "time_flow_start_ns"));
        for (is_from, (bound, column)) in
            [(true, from), (false, to)].into_iter().filter_map(|(is_from, bound)| Some((is_from, bound?)))
        {
            if chosen == Chosen::None {
                break;
            }
            let admits = |time: u64| if is_from { time >= bound } else { time <= bound };
            let all = group.bounds(column).is_some_and(|(low, high)| admits(low) && admits(high));
            if all && group.is_complete(column) {
                continue;
            }
            chosen = match rows.column(column)? {
                Column::Numbers(times) => {
                    let admits = |row| times.get(row).is_some_and(admits);
                    Chosen::some((0..times.values.len()).map(admits).collect()).and(chosen)
                }
                _ => Chosen::None,
            };
        }
        Ok(chosen)
    }
}

/// What a thread has found, and in which file.
struct Found {
    place: usize,
    what: What,
}

enum What {
    Rows(Box<Rows>, Chosen),
    Damage(io::Error),
    /// Nothing yet: so that what others have found is not waited with for long.
    Nothing,
}

/// Files without a find after which a thread says so.
const SILENCE: usize = 64;

/// What a thread finds, in the order of files.
struct Stream {
    next: Option<Found>,
    receiver: Receiver<Found>,
}

/// Takes what is in the first file of what the streams have next.
fn first(streams: &mut Vec<Stream>) -> Option<Found> {
    streams.retain_mut(|stream| {
        if stream.next.is_none() {
            stream.next = stream.receiver.recv().ok();
        }
        stream.next.is_some()
    });
    let place = |stream: &&mut Stream| stream.next.as_ref().map(|found| found.place);
    streams.iter_mut().min_by_key(place)?.next.take()
}
