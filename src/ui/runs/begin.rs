//! Beginning a run, and asking one to save, to stop, or for an adapter.

use std::path::Path;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::on_resume::Change,
    error::{Error, Kind},
    install::{IfLocked, update},
    platform::lock::Lock,
    run::{
        self, Request, Resume, RunError, RunId, RunName, Site, Started as StartedRun,
        nodes::{Hostfile, Part},
        queue::Queue,
        restart::USUAL,
        watchdog::{OnNan, OnStall},
    },
    workspace::Settings,
};

use super::{
    super::{
        App,
        configs::{self, files::Digests},
        failure::{Answer, Failure},
        jobs::{Job, JobRequest, StopManner},
        roots::Roots,
        routes::Nothing,
    },
    OfRun, dir,
};

/// Bytes of a hostfile: a thousand machines.
const HOSTFILE: u64 = 64 * 1024;

/// What shall be trained.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartRequest {
    /// A name in `configs`: `wan.toml`.
    config: String,
    name: Option<String>,
    gpus: Option<Vec<u32>>,
    /// A hostfile, for a training on several machines; absolute.
    machines: Option<String>,
    /// It waits for its turn.
    queue: bool,
    /// Others may compute there too.
    share: bool,
    resume: Option<ResumeFrom>,
    restarts: Option<u32>,
    on_nan: Option<String>,
    on_stall: Option<String>,
    /// Of the files that the page shows: the start is refused if others lie there by now. Without them what lies there counts.
    digests: Option<Digests>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeFrom {
    /// The newest of the same configuration, unless it is said.
    #[schemars(with = "Option<String>")]
    run: Option<RunId>,
    step: Option<u64>,
}

/// A run that has begun, or waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Started {
    run: String,
    warnings: Vec<String>,
    /// A sentence on each dataset.
    data: Vec<String>,
    /// What has changed since the checkpoint that it goes on from.
    changes: Vec<String>,
    /// In the queue, from 1.
    place: Option<usize>,
    resumes_step: Option<u64>,
}

impl StartRequest {
    fn request(&self, app: &App) -> Answer<Request> {
        let on_nan = self.on_nan.as_deref().map(str::parse::<OnNan>).transpose();
        let on_stall = self.on_stall.as_deref().map(str::parse::<OnStall>).transpose();
        let wrong = |cause: String| Failure::http(StatusCode::BAD_REQUEST, "usage", cause);
        let on_nan = on_nan.map_err(wrong)?.unwrap_or_default();
        let on_stall = on_stall.map_err(wrong)?.unwrap_or_default();
        let name = self.name.as_deref().map(str::parse::<RunName>).transpose().map_err(RunError::from)?;
        let resume = self.resume.as_ref().map(|it| match &it.run {
            Some(run) => Resume::Run(run.to_string()),
            None => Resume::Newest,
        });
        let part = self.machines.as_deref().map(|path| part(app, path)).transpose()?;
        Ok(Request {
            config: configs::file(&app.workspace, &self.config)?,
            gpus: self.gpus.clone(),
            name,
            resume,
            step: self.resume.as_ref().and_then(|it| it.step),
            queue: self.queue,
            share: self.share,
            goes_before: false,
            restarts: self.restarts.or((on_stall == OnStall::Restart).then_some(USUAL)),
            on_nan,
            on_stall,
            part,
            sight: configs::sight(app),
            ..Request::default()
        })
    }
}

/// The machines of the hostfile at `path`, as `--hostfile` takes them.
fn part(app: &App, path: &str) -> Answer<Part> {
    let path = Path::new(path);
    let text = Roots::of(app)?.find(path)?.read_text(HOSTFILE)?;
    let patience = Settings::load(&app.workspace)?.runs.node_patience;
    Ok(Part::at_head(Hostfile::parse(path, &text)?, patience))
}

pub fn start(app: &App, _: &Nothing, body: &StartRequest) -> Answer<Started> {
    let request = body.request(app)?;
    if let Some(shown) = &body.digests {
        shown.must_be_of(app, &body.config)?;
    }
    begin(app, &request)
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeRequest {
    step: Option<u64>,
    queue: bool,
}

pub fn resume(app: &App, asked: &OfRun, body: &ResumeRequest) -> Answer<Started> {
    let again = Request::again(&dir(&app.workspace, &asked.id)?)?;
    begin(app, &Request { step: body.step, queue: body.queue, sight: configs::sight(app), ..again })
}

fn begin(app: &App, request: &Request) -> Answer<Started> {
    let settings = Settings::load(&app.workspace)?;
    let (host, workspace, output) = (&app.host, &app.workspace, &app.output);
    let site = Site { host, workspace, settings: &settings, output };
    update::finish_switch(workspace, output, IfLocked::Fail)?;
    // Nobody waits for an answer as long as a setup takes, and who asks twice would begin twice.
    if Lock::is_held(&workspace.setup_lock()) {
        let holder = Lock::holder(&workspace.setup_lock()).unwrap_or_else(|| "another dpgui".to_owned());
        let busy = Error::new(Kind::Locked, format!("the workspace is being changed by {holder}"));
        return Err(busy.with_hint("start it when that is done").into());
    }
    let setup = run::hold_setup(site, &|_| {})?;
    let StartedRun { dir, spec, resumed, changes, warnings, data } =
        run::start(site, request, &setup).map_err(configs::refused)?;
    drop(setup);
    app.hub.look();
    let place = spec.queued.then(|| Queue::load(workspace).ok()?.position(dir.id())).flatten();
    Ok(Started {
        run: dir.id().to_string(),
        warnings,
        data: data.into_iter().map(|it| it.text).collect(),
        changes: changes.iter().map(Change::sentence).collect(),
        place: place.map(|it| it + 1),
        resumes_step: resumed.map(|it| it.checkpoint.step),
    })
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StopRequest {
    manner: StopManner,
}

pub fn stop(app: &App, asked: &OfRun, body: &StopRequest) -> Answer<Job> {
    app.start_job(&JobRequest::Stop { run: asked.id.clone(), manner: body.manner })
}

pub fn save(app: &App, asked: &OfRun, _: &Nothing) -> Answer<Job> {
    app.start_job(&JobRequest::Save { run: asked.id.clone() })
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportRequest {
    step: Option<u64>,
}

pub fn export(app: &App, asked: &OfRun, body: &ExportRequest) -> Answer<Job> {
    app.start_job(&JobRequest::Export { run: asked.id.clone(), step: body.step })
}
