//! The one stream of what is going on: the whole state to whoever comes, then what changes.

use std::{collections::HashMap, pin::pin};

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use serde::Serialize;

use super::{
    App,
    hub::{News, Watcher},
    jobs::{Events, Job, JobState},
    log::listening,
    routes::aside,
    session::{Pass, Session},
};

/// Events of a job that go out at once.
const BATCH: usize = 500;

/// The page has gone.
struct Gone;

pub async fn follow(
    State(app): State<App>,
    Extension(pass): Extension<Pass>,
    upgrade: WebSocketUpgrade,
) -> Response {
    listening(upgrade).on_upgrade(async move |socket| {
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
    let (mut ended, mut over) = (pin!(session.ended()), pin!(app.over.cancelled()));
    let mut readers: HashMap<String, (Events, usize)> = HashMap::new();
    loop {
        let news = tokio::select! {
            Ok(()) = watcher.runs.changed() => News::Runs { runs: watcher.runs.borrow_and_update().clone() },
            Ok(()) = watcher.queue.changed() => News::Queue { queue: watcher.queue.borrow_and_update().clone() },
            Ok(()) = watcher.jobs.changed() => {
                let jobs = watcher.jobs.borrow_and_update().clone();
                tell_of_jobs(app, &mut socket, &jobs, &mut readers).await?;
                News::Jobs { jobs }
            }
            Ok(()) = watcher.sample.changed() => match watcher.sample.borrow_and_update().clone() {
                Some(sample) => News::Sample { sample },
                None => continue,
            },
            said = socket.recv() => match said {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Err(Gone),
            },
            () = &mut ended => {
                session.close(&mut socket).await;
                return Err(Gone);
            }
            () = &mut over => {
                let _ = socket.send(Message::Close(None)).await;
                return Err(Gone);
            }
        };
        say(&mut socket, &news).await?;
    }
}

/// What the jobs have said since the last time. Those that were over before the page came are read by whoever wants to.
async fn tell_of_jobs(
    app: &App,
    socket: &mut WebSocket,
    jobs: &[Job],
    readers: &mut HashMap<String, (Events, usize)>,
) -> Result<(), Gone> {
    readers.retain(|id, _| jobs.iter().any(|it| it.id == *id));
    for job in jobs {
        let running = job.state == JobState::Running;
        if !running && !readers.contains_key(&job.id) {
            continue;
        }
        let (mut events, mut from) = match readers.remove(&job.id) {
            Some(known) => known,
            None => match app.jobs.reader(&job.id) {
                Ok(events) => (events, 0),
                Err(_) => continue,
            },
        };
        loop {
            let Ok((reader, found)) = aside(move || {
                let found = events.next(BATCH)?;
                Ok((events, found))
            })
            .await
            else {
                return Ok(());
            };
            events = reader;
            if found.is_empty() {
                break;
            }
            let count = found.len();
            say(socket, &News::JobEvents { job: job.id.clone(), from, events: found }).await?;
            from += count;
        }
        if running {
            readers.insert(job.id.clone(), (events, from));
        }
    }
    Ok(())
}

async fn say(socket: &mut WebSocket, news: &impl Serialize) -> Result<(), Gone> {
    let text = serde_json::to_string(news).unwrap_or_default();
    let sent = tokio::time::timeout(super::STALLED, socket.send(Message::Text(text.into()))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
}
