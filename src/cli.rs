//! What may be typed, and the way from there to a command and back to an exit code.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    commands::{self, Context},
    error::Error,
    output::{Mode, Output},
    platform::{Host, fs},
    ui::jobs::DONE,
    workspace::Workspace,
};

/// From a bare Linux GPU machine to a supervised diffusion-pipe training run.
#[derive(Debug, Parser)]
#[command(name = "dpgui", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command has.
#[derive(Debug, clap::Args)]
struct Global {
    /// The workspace [default: `DPGUI_WORKSPACE`, else the nearest parent with a `dpgui.toml`, else here;
    /// of `demo`, `./dpgui-demo`]
    #[arg(short = 'C', long = "workspace", value_name = "DIR", global = true)]
    workspace: Option<PathBuf>,
    /// Write one JSON object per event or row to stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Setup(commands::setup::Args),
    Lock(commands::lock::Args),
    #[command(subcommand)]
    Bundle(commands::bundle::Command),
    Update(commands::update::Args),
    Rollback(commands::rollback::Args),
    Doctor(commands::doctor::Args),
    Ui(commands::ui::Args),
    Demo(commands::demo::Args),
    #[command(subcommand)]
    Config(commands::config::Command),
    #[command(subcommand)]
    Data(commands::data::Command),
    Train(commands::train::Args),
    Watch(commands::watch::Args),
    Resume(commands::resume::Args),
    Runs(commands::runs::Args),
    Queue(commands::queue::Args),
    Logs(commands::logs::Args),
    Diagnose(commands::diagnose::Args),
    Report(commands::report::Args),
    Save(commands::save::Args),
    Stop(commands::stop::Args),
    Slurm(commands::slurm::Args),
    Export(commands::export::Args),
    #[command(subcommand)]
    Service(commands::service::Command),
    Clean(commands::clean::Args),
    #[command(name = "__keep", hide = true)]
    Keep(commands::keep::Args),
    #[command(name = "__link", hide = true)]
    Link(commands::link::Args),
    #[command(name = "__node", hide = true)]
    Node(commands::node::Args),
    #[command(name = "__rank", hide = true)]
    Rank(commands::rank::Args),
    #[command(name = "__reap", hide = true)]
    Reap(commands::reap::Args),
    #[command(name = "__supervise", hide = true)]
    Supervise(commands::supervise::Args),
    #[command(name = "__notify", hide = true)]
    Notify(commands::notify::Args),
}

impl Command {
    /// Where this command works when nobody says where.
    fn usual_workspace(&self) -> Option<&'static Path> {
        matches!(self, Self::Demo(_)).then_some(Path::new(commands::demo::WORKSPACE))
    }
}

/// Parses, detects the host, dispatches, reports: the one place where an error becomes an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut host = match Host::detect() {
        Ok(host) => host,
        Err(error) => return report(&Output::new(Mode::Plain), &error),
    };
    // For this process alone: what it starts is no job.
    let done_file = host.env.get(DONE).map(PathBuf::from);
    host.env.remove(DONE);
    let output = Output::new(mode(&cli.global, &host));
    let chosen = cli.global.workspace.as_deref().or_else(|| cli.command.usual_workspace());
    let workspace = Workspace::find(&host, chosen);
    let context = Context { host, workspace, output };
    let done = dispatch(&cli.command, &context);
    let code = done
        .and_then(|code| Ok(context.output.arrived().map(|()| code)?))
        .unwrap_or_else(|error| report(&context.output, &error));
    if let Some(file) = done_file {
        // Without it the job counts as killed, which is no worse.
        let _ = fs::write_snapshot(&file, "");
    }
    code
}

fn dispatch(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    match command {
        Command::Setup(args) => commands::setup::run(args, context),
        Command::Bundle(command) => commands::bundle::run(command, context),
        Command::Lock(args) => commands::lock::run(args, context),
        Command::Update(args) => commands::update::run(args, context),
        Command::Rollback(args) => commands::rollback::run(args, context),
        Command::Doctor(args) => commands::doctor::run(args, context),
        Command::Ui(args) => commands::ui::run(args, context),
        Command::Demo(args) => commands::demo::run(args, context),
        Command::Config(command) => commands::config::run(command, context),
        Command::Data(command) => commands::data::run(command, context),
        Command::Train(args) => commands::train::run(args, context),
        Command::Watch(args) => commands::watch::run(args, context),
        Command::Resume(args) => commands::resume::run(args, context),
        Command::Runs(args) => commands::runs::run(args, context),
        Command::Queue(args) => commands::queue::run(args, context),
        Command::Logs(args) => commands::logs::run(args, context),
        Command::Diagnose(args) => commands::diagnose::run(args, context),
        Command::Report(args) => commands::report::run(args, context),
        Command::Save(args) => commands::save::run(args, context),
        Command::Stop(args) => commands::stop::run(args, context),
        Command::Slurm(args) => commands::slurm::run(args, context),
        Command::Export(args) => commands::export::run(args, context),
        Command::Service(command) => commands::service::run(command, context),
        Command::Clean(args) => commands::clean::run(args, context),
        Command::Keep(args) => commands::keep::run(args, context),
        Command::Link(args) => commands::link::run(args, context),
        Command::Node(args) => commands::node::run(args, context),
        Command::Rank(args) => commands::rank::run(args, context),
        Command::Reap(args) => commands::reap::run(args),
        Command::Supervise(args) => commands::supervise::run(args, context),
        Command::Notify(args) => commands::notify::run(args, context),
    }
}

fn mode(global: &Global, host: &Host) -> Mode {
    let smart = host.terminal && host.env.get("CI").is_none() && host.env.text("TERM") != Some("dumb");
    match (global.json, smart) {
        (true, _) => Mode::Json,
        (false, true) => Mode::Terminal { colour: host.env.get("NO_COLOR").is_none() },
        (false, false) => Mode::Plain,
    }
}

fn report(output: &Output, error: &Error) -> ExitCode {
    output.error(error);
    ExitCode::from(error.kind().exit_code())
}
