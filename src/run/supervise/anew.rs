//! The run's folder, made anew after somebody has deleted it: a training does not end because its notes are gone, and
//! nothing trains where nobody can see it.
//!
//! What the supervisor writes it has open, and what it only read it remembers. It puts both where they were, links the
//! pipes to the handles that the trainer has of them, and becomes its own successor, who opens everything by its path.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use crate::{
    logs::Stream,
    platform::{fifo, fs, process, procfs::Process, signal},
    run::{
        RunError,
        capture::Streams,
        dir::RunDir,
        journal::{Journal, Record},
        outcome::Manner,
        processes::{Marks, names_of_pipe},
        spec::Spec,
        state::{Event, RunState},
    },
};

use super::{Note, Supervisor, chain};

/// Looks after which a folder that cannot be made anew is gone for good.
const TRIES: u32 = 8;

/// Files that were written once, and are only read since.
#[derive(Debug)]
pub(super) struct Remembered(Vec<(PathBuf, Vec<u8>)>);

impl Remembered {
    /// Those that are there now. The one by which a run is known to be one comes last.
    pub(super) fn of(dir: &RunDir) -> Self {
        let config = dir.config();
        let names = fs::names(&config).unwrap_or_default();
        let configs = names.into_iter().map(|name| config.join(name));
        let files = configs.chain([dir.hostfile(), dir.notify_file(), dir.spec_file()]);
        Self(files.filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes))).collect())
    }

    fn put_back(&self, dir: &RunDir) -> Result<(), RunError> {
        fs::create_dir_all(&dir.config())?;
        for (path, bytes) in &self.0 {
            if *path == dir.notify_file() {
                fs::write_private(path, bytes)?;
            } else {
                fs::write_atomic(path, bytes)?;
            }
        }
        Ok(())
    }
}

/// A pipe whose writers have it open already, if there are any.
fn make_pipe(
    pipe: &Path,
    found: &[Process],
    handle: impl Fn(&Process) -> Option<PathBuf>,
) -> Result<(), RunError> {
    // The first that was there is the last to go.
    let writers = found.iter().filter_map(|it| Some((it.id.started, handle(it)?)));
    match writers.min() {
        Some((_, handle)) => fs::symlink(&handle, pipe)?,
        None => fifo::create(pipe)?,
    }
    Ok(())
}

/// Looks after links in the place of pipes for a successor: the process that one leads to may be gone, or another one by
/// now.
pub(super) fn mend_pipes(dir: &RunDir, spec: &Spec, marks: &mut Marks) -> Result<(), RunError> {
    let link = |stream| Some((stream, fs::link_target(&dir.pipe(stream))?));
    let links: Vec<(Stream, PathBuf)> = spec.streams().into_iter().filter_map(link).collect();
    if links.is_empty() {
        return Ok(());
    }
    let found = marks.find();
    for (stream, target) in links {
        let pipe = dir.pipe(stream);
        let is_ours = found.iter().any(|it| target.starts_with(format!("/proc/{}", it.id)));
        if is_ours && fs::is_pipe(&pipe) {
            continue;
        }
        fs::remove_tree(&pipe)?;
        let names = names_of_pipe(dir, stream);
        make_pipe(&pipe, &found, |it| it.handle_for_writing(&names))?;
    }
    Ok(())
}

impl Supervisor {
    /// Somebody may have deleted the folder, and may still be at it when it is found missing for the first time.
    pub(super) fn look_for_folder(&mut self) {
        if self.folder_gone {
            return;
        }
        let is_missing = fs::is_missing(&self.dir.spec_file());
        self.folder_missed = if is_missing { self.folder_missed + 1 } else { 0 };
        if self.folder_missed <= 1 {
            return;
        }
        // Who trains with others has links to them that go by their names.
        let why = if self.spec.part.is_some() || self.is_over() {
            "a run on several machines, or one that is over, is not made anew".to_owned()
        } else {
            match self.begin_anew() {
                Err(cause @ RunError::NeverBegan { .. }) => chain(&cause),
                Err(_) if self.folder_missed < TRIES => return,
                Err(cause) => chain(&cause),
                Ok(never) => match never {},
            }
        };
        self.folder_gone = true;
        self.journal.record(&Note::FolderGone { why });
        // It must not hold its GPUs where nobody can see it.
        self.tell(Event::StopRequested(Manner::Graceful));
    }

    /// The folder is not there any more.
    ///
    /// # Errors
    /// When it cannot be made anew; else this does not return.
    fn begin_anew(&mut self) -> Result<Infallible, RunError> {
        // What is in the pipes, and what had no room, might have no place in our successor.
        let _ = self.take_output(Streams::take_all);
        self.give_up();
        // All of it works where it is now, if somebody has moved it.
        if let Some(moved) = self.journal.place().and_then(|it| RunDir::at(it.parent()?))
            && moved.id() == self.dir.id()
        {
            Journal::open(&moved)?.save(&self.now);
            return self.succeed(&moved);
        }
        // Nothing of it is lost, and the queue may have forgotten it by now.
        if self.now.state == RunState::Queued {
            let (id, config) = (self.dir.id().clone(), self.spec.source.clone());
            return Err(RunError::NeverBegan { id, config, waits: true });
        }
        let root = self.dir.workspace();
        if !fs::is_dir(root.root()) {
            return Err(RunError::NoWorkspace { root: root.root().to_owned() });
        }
        let found = self.marks.find();
        let Self { dir, .. } = self;
        fs::create_dir_all(dir.path())?;
        for (stream, own) in self.streams.put_back()? {
            let pipe = dir.pipe(stream);
            // Unless it was not deleted, or was put there when this was tried before. It may have another name by now.
            if !fs::exists(&pipe) {
                let name = pipe.file_name().unwrap_or_default();
                make_pipe(&pipe, &found, |it| it.handle_of_pipe(name, &own))?;
            }
        }
        if !fs::exists(&dir.control()) {
            fifo::create(&dir.control())?;
        }
        self.meter.put_back()?;
        self.journal.put_back()?;
        self.journal = Journal::open(dir)?;
        self.journal.record(&Record::FolderRestored);
        self.journal.save(&self.now);
        self.remembered.put_back(dir)?;
        // With the spec it is a run, of which there must not be a second supervisor.
        let never = self.succeed(&self.dir);
        fs::remove_tree(&self.dir.spec_file())?;
        never
    }

    /// Becomes the supervisor of the run in this folder, as if the one before had been killed.
    fn succeed(&self, dir: &RunDir) -> Result<Infallible, RunError> {
        signal::replace_stderr(&fs::open_append(&dir.supervisor_log())?).map_err(RunError::Supervisor)?;
        let words =
            ["__supervise".to_owned(), dir.path().to_string_lossy().into_owned(), "--adopt".to_owned()];
        Ok(process::replace_with(&self.host.program.to_string_lossy(), &words)?)
    }

    /// Pipes for another try: those of a folder that was made anew lead to processes that are gone.
    pub(super) fn renew_pipes(&self) -> Result<(), RunError> {
        for pipe in self.spec.streams().into_iter().map(|stream| self.dir.pipe(stream)) {
            if fs::link_target(&pipe).is_some() {
                fs::remove_tree(&pipe)?;
                fifo::create(&pipe)?;
            }
        }
        Ok(())
    }
}
