//! FFmpeg's own prober, for the containers that are not read here.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::platform::{Env, process::CommandSpec};

use super::{Flaw, Media, Rate};

/// Headers only, but perhaps over a network file system.
const PATIENCE: Duration = Duration::from_secs(20);

/// `ffprobe`, if it is installed.
#[derive(Clone, Debug, Default)]
pub struct Ffprobe(Option<(PathBuf, Env)>);

#[derive(Deserialize)]
struct Answer {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    width: u32,
    height: u32,
    avg_frame_rate: String,
    nb_frames: Option<String>,
}

impl Ffprobe {
    pub fn on_path(env: &Env) -> Self {
        let path = env.get("PATH").unwrap_or_default();
        Self(which::which_in("ffprobe", Some(path), "/").ok().map(|program| (program, env.clone())))
    }

    pub(super) fn ask(&self, path: &Path) -> Result<Media, Flaw> {
        let Some((program, env)) = &self.0 else { return Err(Flaw::NeedsFfprobe) };
        let command = CommandSpec::new(program, env, Path::new("/"))
            .args([
                "-v",
                "error",
                "-protocol_whitelist",
                "file",
                "-select_streams",
                "v:0",
                "-of",
                "json",
                "-show_entries",
            ])
            .arg("stream=width,height,avg_frame_rate,nb_frames")
            .arg("-i")
            .arg(path);
        let said = command.capture(PATIENCE).map_err(|_| Flaw::NoMedia)?;
        let answer: Answer = serde_json::from_str(&said.stdout).map_err(|_| Flaw::NoMedia)?;
        let stream = answer.streams.into_iter().next().ok_or(Flaw::NoMedia)?;
        let rate = stream.avg_frame_rate.split_once('/').ok_or(Flaw::NoMedia)?;
        let rate = Rate::reduced(rate.0.parse().unwrap_or(0), rate.1.parse().unwrap_or(0));
        let frames = stream.nb_frames.and_then(|it| it.parse().ok());
        let frames = frames.unwrap_or(1);
        Ok(Media::Video {
            width: stream.width,
            height: stream.height,
            frames,
            there: frames,
            // The trainer's own last resort.
            rate: rate.unwrap_or(Rate { numerator: 1, denominator: 1 }),
        })
    }
}
