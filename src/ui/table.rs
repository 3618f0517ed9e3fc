//! All routes, by what they are about.

use axum::http::{Method, StatusCode};

use super::{
    App,
    configs::{catalog, edit, files},
    events, folders, guard,
    hub::News,
    jobs, log, machine, media, queue,
    routes::{Nothing, Routes, Success},
    runs, session, settings,
};

const READ: Method = Method::GET;
const CREATED: (Method, StatusCode) = (Method::POST, StatusCode::CREATED);
const ACCEPTED: (Method, StatusCode) = (Method::POST, StatusCode::ACCEPTED);
const ANSWERED: (Method, StatusCode) = (Method::POST, StatusCode::OK);
const REPLACED: (Method, StatusCode) = (Method::PUT, StatusCode::OK);
const DONE: (Method, StatusCode) = (Method::POST, StatusCode::NO_CONTENT);
const REMOVED: (Method, StatusCode) = (Method::DELETE, StatusCode::NO_CONTENT);

/// The whole table.
pub fn table() -> Routes {
    let mut routes = Routes::default();
    sessions(&mut routes);
    machines(&mut routes);
    commands(&mut routes);
    runs_and_logs(&mut routes);
    queues(&mut routes);
    configurations(&mut routes);
    files_and_settings(&mut routes);
    routes
}

fn sessions(r: &mut Routes) {
    let nothing = || Success::Nothing;
    let at = guard::SESSION;
    r.own::<Nothing, _, _>((Method::POST, at), "Sign in with a link's code", nothing(), session::sign_in);
    r.own::<Nothing, _, _>((READ, at), "Whether one is signed in", nothing(), session::show);
    r.own::<Nothing, _, _>((Method::DELETE, at), "Sign out", nothing(), session::sign_out);
    let rotate = (Method::POST, "/api/session/rotate");
    r.own::<Nothing, _, _>(
        rotate,
        "Make a new token, which ends all other sessions",
        nothing(),
        session::rotate,
    );
    r.get("/api/openapi.json", "This description", |app: &App, _: &Nothing| Ok(app.description.clone()));
}

fn machines(r: &mut Routes) {
    r.get("/api/machine", "This machine", machine::show);
    r.get("/api/samples", "What the machine did in the last hour", machine::samples);
    let news = Success::Stream(r.schemas.subschema_for::<News>());
    let events = (READ, "/api/events");
    r.own::<Nothing, _, _>(
        events,
        "What is going on, and what changes; `{\"jobs\":{\"ID\":0}}` asks for what a command says",
        news,
        events::follow,
    );
}

fn commands(r: &mut Routes) {
    r.get("/api/jobs", "Commands that were started here", jobs::list);
    r.change(CREATED, "/api/jobs", "Start a command", jobs::start);
    r.get("/api/jobs/{id}/events", "What a command has said", jobs::events);
    r.change(DONE, "/api/jobs/{id}/cancel", "Interrupt a command", jobs::cancel);
}

fn runs_and_logs(r: &mut Routes) {
    r.get("/api/runs", "All runs, the newest first", runs::list);
    r.change(CREATED, "/api/runs", "Start a run, or queue it", runs::begin::start);
    r.get("/api/runs/compare", "Several runs side by side", runs::numbers::compare);
    r.get("/api/runs/{id}", "One run in full", runs::detail::show);
    r.get("/api/runs/{id}/metrics", "Its numbers, by columns", runs::numbers::metrics);
    r.get("/api/runs/{id}/gpus", "What its GPUs did", runs::gpus::gpus);
    r.change(ACCEPTED, "/api/runs/{id}/stop", "Stop it", runs::begin::stop);
    r.change(ACCEPTED, "/api/runs/{id}/save", "Have it save a checkpoint", runs::begin::save);
    r.change(CREATED, "/api/runs/{id}/resume", "Go on with it", runs::begin::resume);
    r.change(CREATED, "/api/runs/{id}/export", "Make an adapter of a checkpoint", runs::begin::export);
    let said = Success::Stream(r.schemas.subschema_for::<log::Said>());
    r.own::<log::Follow, _, _>((READ, "/api/runs/{id}/log"), "Follow its log", said, log::follow);
    let said = Success::Stream(r.schemas.subschema_for::<log::merged::SaidOfAll>());
    let merged = (READ, "/api/runs/{id}/log/merged");
    r.own::<log::merged::FollowAll, _, _>(merged, "Follow all that it prints", said, log::merged::follow);
    r.get("/api/runs/{id}/log/search", "Lines of its log with a text in them", log::search::search);
    let raw = (READ, "/api/runs/{id}/log/raw");
    r.own::<log::Whole, _, _>(raw, "Its log as a file", Success::Bytes("text/plain"), log::raw);
}

fn queues(r: &mut Routes) {
    r.get("/api/queue", "Who waits", queue::show);
    r.change(DONE, "/api/queue", "Hold the queue, or end that", queue::hold);
    r.change(DONE, "/api/queue/{id}", "Put a run elsewhere, or hold it", queue::place);
    r.change(REMOVED, "/api/queue/{id}", "Take a run out", queue::remove);
}

fn configurations(r: &mut Routes) {
    r.get("/api/models", "What can be trained", catalog::models);
    r.get("/api/models/{name}/form", "What can be filled in for a model type", catalog::form);
    r.change(ANSWERED, "/api/configs/draft", "A new configuration, not written", edit::draft);
    r.change(ANSWERED, "/api/configs/check", "What is wrong with a configuration", edit::check);
    r.change(ANSWERED, "/api/configs/set", "A text with one key changed", edit::set);
    r.change(ANSWERED, "/api/configs/mend", "What can be mended without a choice", edit::mend);
    r.get("/api/configs", "The files in configs", files::list);
    r.get("/api/configs/{name}", "A training file and its dataset file", files::show);
    r.get("/api/configs/{name}/name", "Whether a new one can be called so", files::name);
    r.change(REPLACED, "/api/configs/{name}", "Write both, or none", files::save);
}

fn files_and_settings(r: &mut Routes) {
    r.get("/api/folders", "What is in a folder", folders::list);
    let picture = Success::Bytes("image/png");
    r.own::<media::OfFile, _, _>((READ, "/api/media"), "An image, small", picture, media::picture);
    r.get("/api/caption", "What an image is trained with", media::caption);
    r.change(REPLACED, "/api/caption", "Write a caption", media::write);
    r.get("/api/settings", "What is set", settings::show);
    r.change(REPLACED, "/api/settings", "Set some of it", settings::edit::save);
    r.change(ANSWERED, "/api/settings/check", "What of it cannot be so", settings::edit::check);
}
