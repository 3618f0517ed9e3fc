//! Why machines cannot train together.

use std::{io, path::PathBuf};

use crate::error::{Kind, Report};

use super::{
    super::{RunError, dir::RunDir, id::RunId},
    preflight::Obstacle,
};

#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    #[error("`{host}`, the first machine of the hostfile, is not this one")]
    NotTheFirst { host: String, source: io::Error },
    #[error(
        "a training on several machines cannot wait in the queue: it knows of no GPUs but this machine's"
    )]
    Queued,
    #[error("which GPUs of its machines are used is for the hostfile to say")]
    Gpus,
    #[error("{}", listed(.0))]
    Obstacles(Vec<Obstacle>),
    #[error(
        "this trainer cannot cache a dataset on {machines} machines: `{}` gives all ranks a queue that only those of the \
         first one can reach", path.display()
    )]
    CannotCache { path: PathBuf, machines: usize },
    #[error("`{id}` is a part of `{of}`, a run of `{head}`")]
    IsPart { id: Box<RunId>, of: Box<RunId>, head: String, command: &'static str },
}

impl Report for NodesError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotTheFirst { .. } | Self::IsPart { .. } | Self::Queued | Self::Gpus => Kind::Usage,
            Self::Obstacles(found) => found.iter().find_map(|it| it.kind).unwrap_or(Kind::Failed),
            Self::CannotCache { .. } => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotTheFirst { .. } => Some(
                "start it on the first machine of the file, or put this one first, by the name that the others know"
                    .to_owned(),
            ),
            Self::Queued => Some("leave out `--queue`, and start it when all machines are free".to_owned()),
            Self::Gpus => Some("leave out `--gpus`: `HOST slots=NUMBER` takes the first ones of a machine".to_owned()),
            // Each has one of its own.
            Self::Obstacles(_) => None,
            Self::CannotCache { .. } => Some(
                "train on one machine; a trainer that can do it is named by `[trainer] script` in `dpgui.toml`"
                    .to_owned(),
            ),
            Self::IsPart { of, head, command, .. } => Some(format!("on `{head}`: `dpgui {command} {of}`")),
        }
    }
}

impl NodesError {
    /// Nothing, unless the run is a part of another machine's, for which `command` has to be typed there.
    pub fn if_part(dir: &RunDir, command: &'static str) -> Result<(), RunError> {
        let Some(part) = dir.spec()?.part else { return Ok(()) };
        let head = part.master().to_owned();
        match part.of {
            Some(origin) => {
                let (id, of) = (Box::new(dir.id().clone()), Box::new(origin.run));
                Err(Self::IsPart { id, of, head, command }.into())
            }
            None => Ok(()),
        }
    }
}

fn listed(found: &[Obstacle]) -> String {
    let lines: Vec<String> = found.iter().map(Obstacle::sentence).collect();
    format!("these machines cannot train together\n{}", lines.join("\n"))
}
