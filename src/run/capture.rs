//! All that a run prints: its pipes, each with its recorder, and the house that is kept over what they wrote.
//!
//! Bytes go from the pipe to the disk first, whatever they are; their lines are read afterwards and may lag behind a
//! flood. The waiting is async, as in [`super::supervise`], which owns this.

use std::{
    fs::{File, Metadata},
    future::poll_fn,
    io::{self, ErrorKind},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    net::unix::pipe,
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    logs::{
        Stream,
        segment::{self, Segment},
    },
    platform::{
        fifo,
        fs::{self, FsError},
    },
};

use super::{
    RunError,
    dir::RunDir,
    journal::Parsed,
    recorder::{DiskNews, Recorder, Taken},
    spec::Spec,
};

/// A pipe that says something new all the time is looked at this often, and not for every line: each look wakes all
/// readers. It holds what even a flood writes meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Looks that may come at once before that: single lines are stored and seen without delay.
const AT_ONCE: u32 = 8;

/// What happens to a log, for `events.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub(super) enum Note {
    /// From here on there is no room on the disk. The newest bytes wait in memory.
    DiskFull { stream: Stream, at: u64 },
    /// Before this offset bytes are missing.
    Gap { stream: Stream, at: u64, lost: u64 },
    /// There is room again, and what waited has been written from here on.
    DiskRoom { stream: Stream, at: u64 },
    /// The log takes no more room than it may: its first byte is this one now.
    LogTrimmed { stream: Stream, up_to: u64 },
}

pub(super) struct Streams {
    log: PathBuf,
    /// Bytes that all of the log may take.
    keep: u64,
    channels: Vec<Channel>,
    packer: Option<JoinHandle<()>>,
    packed: Arc<Notify>,
    /// Segments were finished that the packer has not seen.
    is_untidy: bool,
}

struct Channel {
    stream: Stream,
    pipe: pipe::Receiver,
    recorder: Recorder,
    /// Its last writer is gone, and will have no successor.
    is_closed: bool,
    /// Not looked at before.
    next_look: Instant,
    /// It comes from another machine, whose own supervisor knows what its lines mean.
    is_from_afar: bool,
    /// Such a stream ends when we are told, not when who brings it does.
    held_open: Option<File>,
}

impl Streams {
    /// Opens every pipe for reading, and the log at its end. Needs the runtime that will wait for them.
    pub(super) fn open(dir: &RunDir, spec: &Spec, parsed: &Parsed) -> Result<Self, RunError> {
        let open = |stream: Stream| {
            let pipe = open_pipe(dir, stream)?;
            let is_from_afar = spec.guests().any(|number| spec.streams_of(number).contains(&stream));
            let from = parsed.get(&stream).copied().unwrap_or(0);
            Ok(Channel {
                stream,
                pipe,
                recorder: Recorder::open(&stream.folder(&dir.log()), spec.logs.segment, from)?,
                is_closed: false,
                next_look: Instant::now(),
                is_from_afar,
                held_open: held_open(dir, stream, is_from_afar)?,
            })
        };
        let channels = spec.streams().into_iter().map(open).collect::<Result<_, RunError>>()?;
        let packed = Arc::new(Notify::new());
        Ok(Self { log: dir.log(), keep: spec.logs.keep, channels, packer: None, packed, is_untidy: true })
    }

    /// Opens every pipe anew, for another attempt.
    pub(super) fn reopen(&mut self, dir: &RunDir) -> Result<(), RunError> {
        for channel in &mut self.channels {
            channel.pipe = open_pipe(dir, channel.stream)?;
            channel.is_closed = false;
            channel.held_open = held_open(dir, channel.stream, channel.is_from_afar)?;
        }
        Ok(())
    }

    /// Waits until a pipe has something, and says which.
    pub(super) async fn ready(&self) -> io::Result<usize> {
        loop {
            let now = Instant::now();
            let open = || self.channels.iter().enumerate().filter(|(_, channel)| !channel.is_closed);
            let looked_at = open().filter(|(_, channel)| channel.next_look <= now);
            let mut pipes: Vec<_> = looked_at
                .map(|(number, channel)| {
                    Box::pin(async move { channel.pipe.readable().await.map(|()| number) })
                })
                .collect();
            let some = poll_fn(|context| {
                let ready = pipes.iter_mut().map(|pipe| pipe.as_mut().poll(context));
                ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
            });
            let held = open().map(|(_, channel)| channel.next_look).filter(|at| *at > now).min();
            let held = async {
                match held {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = some => return ready,
                () = held => {}
            }
        }
    }

    /// Takes what is in a pipe that is ready. An error is one for which the pipe would be tried for ever.
    pub(super) fn take(&mut self, number: usize, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<()> {
        let channel = &mut self.channels[number];
        let before = channel.recorder.segment();
        let taken = channel.take(true, on_line);
        self.is_untidy |= channel.recorder.segment() != before;
        match taken? {
            Some(Taken::Bytes) => channel.slow_down(),
            Some(Taken::End) => self.close(number, on_line)?,
            None => {}
        }
        Ok(())
    }

    /// The same for pipes of which nobody said that they are ready: one that nobody had open since we opened it sends no
    /// event, not even that of its end. A rank's may yet be opened as long as there is somebody to start it.
    pub(super) fn take_all(&mut self, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<()> {
        let is_started_by_us = self.channels.iter().all(|channel| channel.stream != Stream::Launcher);
        for number in 0..self.channels.len() {
            let channel = &mut self.channels[number];
            let may_end = channel.stream == Stream::Launcher || is_started_by_us;
            if !channel.is_closed && channel.drain(on_line)? && may_end {
                self.close(number, on_line)?;
            }
        }
        Ok(())
    }

    /// Nothing more comes from afar in these. What is in their pipes is all.
    pub(super) fn end_of(
        &mut self,
        streams: &[Stream],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> io::Result<()> {
        for channel in self.channels.iter_mut().filter(|it| !it.is_closed && streams.contains(&it.stream)) {
            channel.drain(on_line)?;
            (channel.is_closed, channel.held_open) = (true, None);
            channel.recorder.finish(&mut |_| {});
        }
        Ok(())
    }

    /// Reads some of the lines that were stored and not read yet. Says whether there are more.
    pub(super) fn read_on(&mut self, on_line: &mut dyn FnMut(Stream, &str)) -> bool {
        let mut more = false;
        for Channel { stream, recorder, is_from_afar, .. } in &mut self.channels {
            more |= recorder.read_on(&mut |line| pass(*is_from_afar, *stream, line, on_line));
        }
        more
    }

    pub(super) fn catch_up(&mut self, on_line: &mut dyn FnMut(Stream, &str)) {
        while self.read_on(on_line) {}
    }

    /// Nobody can write to the log any more.
    pub(super) fn are_closed(&self) -> bool {
        self.channels.iter().all(|channel| channel.is_closed)
    }

    /// Where a successor has to go on reading.
    pub(super) fn parsed(&self) -> Parsed {
        self.channels.iter().map(|channel| (channel.stream, channel.recorder.parsed())).collect()
    }

    /// Some bytes wait for room on the disk.
    pub(super) fn are_waiting(&self) -> bool {
        self.channels.iter().any(|channel| channel.recorder.is_waiting())
    }

    /// Writes what waited for room, if there is any now, and says what has changed.
    pub(super) fn disk_news(&mut self) -> Vec<Note> {
        let news = |channel: &mut Channel| Some((channel.stream, channel.recorder.disk_news()?));
        self.channels.iter_mut().filter_map(news).flat_map(notes).collect()
    }

    /// What waits for room is dropped: the run is over, and there will be none.
    pub(super) fn give_up(&mut self) -> Vec<Note> {
        let news = |channel: &mut Channel| Some((channel.stream, channel.recorder.give_up()?));
        self.channels.iter_mut().filter_map(news).flat_map(notes).collect()
    }

    /// Writes what is open of the log to its place once more, and says what the pipes are, whatever they are called by now.
    pub(super) fn put_back(&self) -> Result<Vec<(Stream, Metadata)>, RunError> {
        let one = |it: &Channel| {
            it.recorder.put_back()?;
            let pipe = it.pipe.as_fd().try_clone_to_owned().and_then(|it| File::from(it).metadata());
            Ok((it.stream, pipe.map_err(RunError::Supervisor)?))
        };
        self.channels.iter().map(one).collect()
    }

    /// Waits until [`Self::keep_house`] has something to do again.
    pub(super) async fn packed(&self) {
        self.packed.notified().await;
    }

    /// Has finished segments compressed in the background, and removes the oldest ones when there is too much. Each
    /// removal is told before it is done.
    pub(super) fn keep_house(&mut self, tell: &mut dyn FnMut(&Note)) {
        if self.packer.as_ref().is_some_and(JoinHandle::is_finished) {
            self.packer = None;
            self.is_untidy |= self.trim(tell).is_err();
        }
        if !std::mem::take(&mut self.is_untidy) {
            return;
        }
        // A folder that cannot be listed now can be at the next segment.
        let _ = self.trim(tell);
        if self.packer.is_some() {
            self.is_untidy = true;
            return;
        }
        let folders: Vec<PathBuf> = self.channels.iter().map(|it| it.stream.folder(&self.log)).collect();
        if folders.iter().any(|it| segment::list(it).is_ok_and(|all| has_unpacked(&all))) {
            let packed = Arc::clone(&self.packed);
            let pack = move || {
                for folder in folders {
                    // What could not be compressed stays as it is: a full disk is the usual reason.
                    let _ = segment::pack_all(&folder);
                }
                packed.notify_one();
            };
            // Where there can be no thread now, they stay as they are until the next segment.
            self.packer = thread::Builder::new().spawn(pack).ok();
        }
    }

    /// Waits for the packer: it would die with us in the middle of its work.
    pub(super) fn finish(&mut self, tell: &mut dyn FnMut(&Note)) {
        while let Some(packer) = self.packer.take() {
            let _ = packer.join();
            let _ = self.trim(tell);
            self.keep_house(tell);
        }
    }

    fn trim(&self, tell: &mut dyn FnMut(&Note)) -> Result<(), FsError> {
        let mut sealed = vec![];
        let mut total = 0;
        for Channel { stream, .. } in &self.channels {
            let folder = stream.folder(&self.log);
            let all = segment::list(&folder)?;
            total += all.iter().map(|it| it.size(&folder)).sum::<u64>();
            for pair in all.windows(2) {
                sealed.push((last_written(&folder, pair[0]), *stream, pair[0], pair[1].start));
            }
        }
        sealed.sort_unstable_by_key(|(written, stream, segment, _)| (*written, *stream, segment.start));
        for (_, stream, segment, up_to) in sealed {
            if total <= self.keep {
                break;
            }
            let folder = stream.folder(&self.log);
            total -= segment.size(&folder).min(total);
            tell(&Note::LogTrimmed { stream, up_to });
            segment.remove(&folder)?;
        }
        Ok(())
    }

    fn close(&mut self, number: usize, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<()> {
        let channel = &mut self.channels[number];
        channel.is_closed = true;
        let stream = channel.stream;
        channel.recorder.finish(&mut |line| on_line(stream, line));
        if stream != Stream::Launcher {
            return Ok(());
        }
        // Nobody is left who could start a rank: those that have no writer now will have none.
        for number in 0..self.channels.len() {
            let channel = &mut self.channels[number];
            if !channel.is_closed && channel.drain(on_line)? {
                self.close(number, on_line)?;
            }
        }
        Ok(())
    }
}

impl Channel {
    /// `None` if there was nothing after all; the next wake-up will bring it.
    fn take(&mut self, ready: bool, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<Option<Taken>> {
        let Self { stream, pipe, recorder, is_from_afar, .. } = self;
        let on_line = &mut |line: &str| pass(*is_from_afar, *stream, line, on_line);
        let taken = if ready {
            pipe.try_io(|| recorder.take(&*pipe, on_line))
        } else {
            recorder.take(&*pipe, on_line)
        };
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// Takes all that is there now. Whether that is the end.
    fn drain(&mut self, on_line: &mut dyn FnMut(Stream, &str)) -> io::Result<bool> {
        loop {
            match self.take(false, on_line)? {
                Some(Taken::Bytes) => {}
                Some(Taken::End) => return Ok(true),
                None => return Ok(false),
            }
        }
    }

    fn slow_down(&mut self) {
        let now = Instant::now();
        let credit = now.checked_sub(LOOK_EVERY * AT_ONCE).unwrap_or(now);
        self.next_look = self.next_look.max(credit) + LOOK_EVERY;
    }
}

fn held_open(dir: &RunDir, stream: Stream, is_from_afar: bool) -> Result<Option<File>, FsError> {
    is_from_afar.then(|| fifo::open_for_writers(&dir.pipe(stream))).transpose()
}

fn pass(is_from_afar: bool, stream: Stream, line: &str, on_line: &mut dyn FnMut(Stream, &str)) {
    if !is_from_afar {
        on_line(stream, line);
    }
}

fn open_pipe(dir: &RunDir, stream: Stream) -> Result<pipe::Receiver, RunError> {
    let pipe = fifo::open_for_reader(&dir.pipe(stream))?;
    pipe::Receiver::from_file(pipe).map_err(RunError::Supervisor)
}

fn notes((stream, news): (Stream, DiskNews)) -> Vec<Note> {
    match news {
        DiskNews::Full { at } => vec![Note::DiskFull { stream, at }],
        DiskNews::Room { at, gaps } => {
            let gaps = gaps.into_iter().map(|gap| Note::Gap { stream, at: gap.at, lost: gap.lost });
            gaps.chain([Note::DiskRoom { stream, at }]).collect()
        }
    }
}

fn has_unpacked(all: &[Segment]) -> bool {
    all.iter().rev().skip(2).any(|segment| !segment.packed)
}

/// The index is written with the bytes and never again, which compressing does not change.
fn last_written(folder: &Path, segment: Segment) -> jiff::Timestamp {
    let index = fs::modified(&segment::index(folder, segment.start));
    index.or_else(|_| fs::modified(&segment.path(folder))).unwrap_or(jiff::Timestamp::MIN)
}
