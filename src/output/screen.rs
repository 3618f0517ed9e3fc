//! The whole terminal for one view, and everything that may happen while it is shown.

use std::{
    io::{self, IsTerminal},
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use crate::platform::{clock, signal, watch::Watch};

use super::{Mode, Output};

/// Between two words on changes of the files: nobody reads faster, and a log may grow a thousand times a second.
const CHANGE_EVERY: Duration = Duration::from_millis(250);

/// Between two ticks where no file changes.
const TICK: Duration = Duration::from_secs(1);

/// Why the view wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Key(Key),
    Resized,
    /// A file in the watched directory changed, or a second has gone by.
    Tick,
    /// Somebody told the program to end, with this signal.
    Ended(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    CtrlC,
}

/// Held while the view is shown. Dropped, and at a panic too, it leaves the terminal as it was.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
    happenings: Receiver<Happening>,
}

impl Screen {
    /// Somebody sits at a terminal, sees all of it and can press keys.
    pub fn is_possible(output: &Output) -> bool {
        matches!(output.mode(), Mode::Terminal { .. })
            && output.shows_data_on_terminal()
            && io::stdin().is_terminal()
    }

    /// Takes the terminal; `dir` is what is watched for changes.
    ///
    /// # Errors
    /// When the terminal cannot be set up.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let (sender, happenings) = mpsc::channel();
        let told = sender.clone();
        // Before the terminal is taken: a signal from now on must not leave it as it is.
        signal::catch_ends(move |signal| {
            let _ = told.send(Happening::Ended(signal));
        })?;
        let terminal = ratatui::try_init()?;
        let keys = sender.clone();
        thread::spawn(move || read_keys(&keys));
        let dir = dir.to_owned();
        thread::spawn(move || tell_changes(&dir, &sender));
        Ok(Self { terminal, happenings })
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Waits for what happens next. The end of all that could happen is an end too.
    pub fn next(&self) -> Happening {
        self.happenings.recv().unwrap_or(Happening::Ended(signal::HANG_UP))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn read_keys(sender: &Sender<Happening>) {
    // A terminal that is gone gives errors for ever.
    while let Ok(event) = event::read() {
        let happening = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self::key(key).map(Happening::Key),
            Event::Resize(..) => Some(Happening::Resized),
            _ => None,
        };
        if happening.is_some_and(|it| sender.send(it).is_err()) {
            return;
        }
    }
    let _ = sender.send(Happening::Ended(signal::HANG_UP));
}

fn key(key: KeyEvent) -> Option<Key> {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::CtrlC),
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        _ => None,
    }
}

fn tell_changes(dir: &Path, sender: &Sender<Happening>) {
    let watch = Watch::new(dir);
    while sender.send(Happening::Tick).is_ok() {
        watch.wait(TICK);
        clock::pause(CHANGE_EVERY);
    }
}
