//! `dpgui ui`: everything in a browser.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    output::{Event, Line, Mode},
    platform::{fs, signal},
    ui::{self, Server, Wish, dev},
};

use super::Context;

/// Open all of this in a browser, at <http://localhost:5173>
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
pub struct Args {
    /// The port to listen on; 0 is any [default: `[ui] port` in dpgui.toml, else 5173]
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on; another than loopback lets other machines in, with the token [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,
    /// Serve this built page in place of the one that setup built
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// For people who change the page: serve it with Vite from its sources, and the API beside on a port of its own
    #[arg(long, conflicts_with_all = ["host", "page"])]
    dev: bool,
    /// With --dev: the folder of the sources [default: `web`]
    #[arg(long, value_name = "DIR", requires = "dev")]
    web: Option<PathBuf>,
    /// Print another address that signs a browser in, good once, and leave
    #[arg(long)]
    link: bool,
    /// Print the token that scripts bring as `Authorization: Bearer`, and leave
    #[arg(long, conflicts_with = "link")]
    token: bool,
    /// Make a new token, which ends all sessions, and leave
    #[arg(long, conflicts_with_all = ["link", "token"])]
    rotate_token: bool,
    /// Print the OpenAPI description, and leave
    #[arg(long, conflicts_with_all = ["link", "token", "rotate_token"])]
    openapi: bool,
}

/// It can be opened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "serving")]
struct Serving {
    /// With a code that signs a browser in, once.
    link: String,
    port: u16,
    workspace: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    if args.openapi {
        let text = serde_json::to_string_pretty(&ui::description()).unwrap_or_default();
        output.data(text);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = context.settings()?.ui;
    let wish = Wish {
        address: args.host.unwrap_or(settings.host),
        port: args.port.unwrap_or(settings.port),
        names: settings.names,
        page: args.page.as_deref().map(|it| host.absolute(it)),
    };
    if args.link {
        return link(context, &wish);
    }
    if args.token {
        output.data(ui::token(workspace)?);
        return Ok(ExitCode::SUCCESS);
    }
    if args.rotate_token {
        ui::rotate(workspace)?;
        output.status("Rotated", "the token: all sessions and links have ended");
        return Ok(ExitCode::SUCCESS);
    }
    if args.dev {
        return develop(args, context, wish.port);
    }
    if let Some(page) = wish.page.as_deref().filter(|it| !fs::is_file(&it.join("index.html"))) {
        let text = format!("there is no page in `{}`", page.display());
        let hint = "name the folder that `npm run build` fills, or leave out `--page`";
        return Err(Error::new(Kind::Usage, text).with_hint(hint));
    }
    context.finish_switch(crate::install::IfLocked::Fail)?;
    let server = Server::bind(host, workspace, output, &wish)?;
    if !wish.address.is_loopback() {
        output.warn(format_args!(
            "whoever reaches {} on port {} and has the token or a link can start programs here as you; nothing is encrypted: \
             prefer `ssh -L {port}:localhost:{port}` and no `--host`",
            wish.address,
            server.port(),
            port = server.port(),
        ));
    }
    if !server.has_page() {
        output.warn("the page has not been built here: `dpgui setup` does; the API is served without it");
    }
    announce(context, server.link()?, server.port());
    if let Some(link) = server.link_from_elsewhere()? {
        output.status("Elsewhere", link);
        output.note("             other names of this machine go into `[ui] names` in dpgui.toml");
    }
    end_on_signals(&server)?;
    server.run();
    Ok(ExitCode::SUCCESS)
}

/// With Vite beside.
fn develop(args: &Args, context: &Context, port: u16) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let web = host.absolute(args.web.as_deref().unwrap_or(Path::new("web")));
    let vite = dev::vite(host, workspace, &web, port)?;
    let server = Server::bind(host, workspace, output, &dev::wish(port))?;
    announce(context, server.link_at(port)?, server.port());
    end_on_signals(&server)?;
    dev::run(server, vite, output)?;
    Ok(ExitCode::SUCCESS)
}

fn announce(context: &Context, link: String, port: u16) {
    let workspace = context.workspace.root().to_owned();
    context.output.event(&Serving { link, port, workspace });
    context.output.note("             Ctrl-C ends the server and nothing else: trainings go on");
}

fn end_on_signals(server: &Server) -> Result<(), Error> {
    let end = server.ender();
    let caught = signal::catch_ends(move |_| end());
    caught.map_err(|cause| Error::new(Kind::Bug, format!("cannot watch for Ctrl-C: {cause}")))
}

fn link(context: &Context, wish: &Wish) -> Result<ExitCode, Error> {
    let (link, serves) = ui::another_link(&context.workspace, (wish.address, wish.port))?;
    if !serves {
        context.output.warn("no server runs in this workspace; start it with `dpgui ui`");
    }
    match context.output.mode() {
        Mode::Json => {
            let event = serde_json::json!({ "event": "link", "link": link, "serves": serves });
            context.output.json(&event);
        }
        Mode::Terminal { .. } | Mode::Plain => context.output.data(link),
    }
    Ok(ExitCode::SUCCESS)
}

impl Event for Serving {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Serving", text: self.link.clone() })
    }
}
