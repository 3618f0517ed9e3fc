//! The one stream of what is going on: the whole state to whoever comes, then what changes. What commands say, which can be
//! much, goes to those pages alone that have asked for it.

use std::{collections::HashMap, pin::pin};

use axum::{
    Extension,
    extract::{
        State,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    App,
    failure::Failure,
    hub::{News, Watcher},
    jobs::{Events, Job, JobState},
    routes::{aside, parsed},
    session::{Pass, Session},
    stream::Upgrade,
};

/// Events of a job that go out at once.
const BATCH: usize = 500;

/// What a page says: the jobs whose events it wants, each from which one on. The last word counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    jobs: HashMap<String, usize>,
}

/// What a page is told of jobs.
#[derive(Default)]
struct Telling {
    wanted: HashMap<String, usize>,
    /// Of each job how far it was read.
    readers: HashMap<String, (Events, usize)>,
}

/// The page has gone.
struct Gone;

pub async fn follow(
    State(app): State<App>,
    Extension(pass): Extension<Pass>,
    Upgrade(upgrade): Upgrade,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let _said_to_the_end = app.over.wait_for_me();
        let session = Session::of(&app, pass);
        let watcher = app.hub.watch();
        let _ = serve(&app, &session, socket, watcher).await;
    })
}

async fn serve(
    app: &App,
    session: &Session,
    mut socket: WebSocket,
    mut watcher: Watcher,
) -> Result<(), Gone> {
    say(&mut socket, &News::Server { version: env!("CARGO_PKG_VERSION").to_owned() }).await?;
    // Everything that is there already counts as new.
    watcher.runs.mark_changed();
    watcher.queue.mark_changed();
    watcher.jobs.mark_changed();
    watcher.sample.mark_changed();
    let mut ended = pin!(session.ended());
    let mut telling = Telling::default();
    loop {
        let news = tokio::select! {
            Ok(()) = watcher.runs.changed() => News::Runs { runs: watcher.runs.borrow_and_update().clone() },
            Ok(()) = watcher.queue.changed() => News::Queue { queue: watcher.queue.borrow_and_update().clone() },
            Ok(()) = watcher.jobs.changed() => {
                let jobs = watcher.jobs.borrow_and_update().clone();
                telling.tell(app, &mut socket, &jobs).await?;
                News::Jobs { jobs }
            }
            Ok(()) = watcher.sample.changed() => match watcher.sample.borrow_and_update().clone() {
                Some(sample) => News::Sample { sample },
                None => continue,
            },
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => match parsed::<Word>(text.as_bytes()) {
                    Ok(Word { jobs }) => {
                        telling.want(jobs);
                        watcher.jobs.mark_changed();
                        continue;
                    }
                    Err(refused) => News::Refused { error: refused.api() },
                },
                Some(Ok(Message::Binary(_))) => News::Refused { error: no_text().api() },
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Err(Gone),
            },
            end = &mut ended => {
                end.tell(&mut socket).await;
                return Err(Gone);
            }
        };
        say(&mut socket, &news).await?;
    }
}

fn no_text() -> Failure {
    Failure::http(StatusCode::BAD_REQUEST, "usage", "what a page says is text, and bytes were sent")
}

impl Telling {
    fn want(&mut self, wanted: HashMap<String, usize>) {
        self.readers.retain(|id, _| wanted.contains_key(id));
        self.wanted = wanted;
    }

    /// What the jobs that the page looks at have said since the last time.
    async fn tell(&mut self, app: &App, socket: &mut WebSocket, jobs: &[Job]) -> Result<(), Gone> {
        for job in jobs {
            let Some(first) = self.wanted.get(&job.id) else { continue };
            let (mut events, mut from) = match self.readers.remove(&job.id) {
                Some(known) => known,
                None => match app.jobs.reader(&job.id).and_then(|it| it.after(*first)) {
                    Ok(events) => (events, *first),
                    Err(_) => continue,
                },
            };
            while job.state == JobState::Running || from < job.events {
                let read = aside(move || {
                    let found = events.next(BATCH)?;
                    Ok((events, found))
                });
                let Ok((reader, found)) = read.await else { return Ok(()) };
                events = reader;
                if found.is_empty() {
                    break;
                }
                let count = found.len();
                say(socket, &News::JobEvents { job: job.id.clone(), from, events: found }).await?;
                from += count;
            }
            self.readers.insert(job.id.clone(), (events, from));
        }
        Ok(())
    }
}

async fn say(socket: &mut WebSocket, news: &impl Serialize) -> Result<(), Gone> {
    let text = serde_json::to_string(news).unwrap_or_default();
    let sent = tokio::time::timeout(super::STALLED, socket.send(Message::Text(text.into()))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
}
