//! The run's folder, made anew after somebody has deleted it: a training does not end because its notes are gone, and
//! nothing trains where nobody can see it.
//!
//! What the supervisor writes it has open, and what it only read it remembers. It puts both where they were, links the
//! pipes to the handles that the trainer has of them, and becomes its own successor, who opens everything by its path.

use std::{convert::Infallible, path::PathBuf};

use crate::{
    platform::{fifo, fs, process, signal},
    run::{
        RunError,
        dir::RunDir,
        journal::{Journal, Record},
        outcome::Manner,
        processes::names_of_pipe,
        state::Event,
    },
};

use super::{Note, Supervisor, chain};

/// Looks, a second apart, after which a folder that cannot be made anew is gone for good.
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
            fs::write_private(path, bytes)?;
        }
        Ok(())
    }
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
        let why = if self.spec.part.is_some() || self.is_near_end() {
            "it trains on several machines, or has ended".to_owned()
        } else {
            match self.begin_anew() {
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
        // What had no room has none in our successor either.
        self.give_up();
        let found = self.marks.find();
        let Self { dir, spec, .. } = self;
        fs::create_dir_all(dir.path())?;
        for stream in spec.streams() {
            self.streams.put_back(stream)?;
            let pipe = dir.pipe(stream);
            // It was not deleted, or was put there when this was tried before.
            if fs::exists(&pipe) {
                continue;
            }
            // The first that was there is the last to go.
            let names = names_of_pipe(dir, stream);
            let writer = found.iter().filter_map(|it| Some((it.id.started, it.handle_for_writing(&names)?)));
            match writer.min() {
                Some((_, handle)) => fs::symlink(&handle, &pipe)?,
                None => fifo::create(&pipe)?,
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
