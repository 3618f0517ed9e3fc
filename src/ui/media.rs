//! Images of a dataset, small, and their captions, to read and to write.

use std::{
    ffi::OsString,
    path::Path,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::{RawPathParams, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    data::{self, Beside, NoPicture, Thumbnails, media::is_media_name},
    error::{Error, Kind},
    platform::digest::Sha256,
};

use super::{
    App,
    failure::{Answer, Failure},
    roots::{Granted, Roots},
    routes::{Nothing, aside, params},
};

/// The longer side of a picture, in pixels.
const SIDE: usize = 320;

/// A caption that is longer is no caption.
const LONGEST: u64 = 1 << 20;

/// A `captions.json` that is longer is not read for one caption.
const LONGEST_TABLE: u64 = 64 << 20;

/// Pictures that are made at once: each may take a few hundred megabytes while it is decoded.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Between the look at what is there and the writing nobody else writes.
static WRITING: Mutex<()> = Mutex::new(());

/// A file in the query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfFile {
    /// Absolute.
    path: String,
}

/// A small picture of an image or of a video's first frame, as PNG.
pub async fn picture(State(app): State<App>, path: RawPathParams, query: RawQuery) -> Answer<Response> {
    let asked = params::<OfFile>(&path, &query)?;
    let turn = AT_ONCE.acquire().await;
    let bytes = aside(move || {
        // Until it is made: a browser that does not wait for it does not end the work.
        let _turn = turn;
        let place = Roots::of(&app)?.find(Path::new(&asked.path))?;
        let pictures = Thumbnails::on_path(&app.host.env);
        pictures.of_file(place.file()?, SIDE).map_err(no_picture)
    });
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes.await?).into_response())
}

fn no_picture(why: NoPicture) -> Failure {
    let text = format!("no picture: {}", why.sentence());
    Failure::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", text)
}

/// What an image or a video is trained with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Caption {
    /// `null` without one. Several captions are a line each.
    text: Option<String>,
    /// Of the text file.
    digest: Option<String>,
    /// Where it comes from, or would.
    path: String,
    /// It is in a text file of its own, which can be written here.
    may_change: bool,
}

pub fn caption(app: &App, asked: &OfFile) -> Answer<Caption> {
    let roots = Roots::of(app)?;
    let item = Item::at(&roots, &asked.path)?;
    match &item.caption {
        Beside::Json => {
            let file = item.folder.path.join("captions.json");
            let path = file.display().to_string();
            let text = roots.find(&file)?.read_text(LONGEST_TABLE)?;
            let captions = data::captions_in_json(&text, &item.name).map_err(|cause| {
                let problem = format!("`{path}` is no table of file names: {cause}");
                Error::new(Kind::Failed, problem).with_hint("mend it")
            })?;
            Ok(Caption { text: captions.map(|it| it.join("\n")), digest: None, path, may_change: false })
        }
        Beside::Text(name) => {
            let file = item.folder.path.join(name);
            let text = text_at(&roots, &file)?.map(|(_, text)| text);
            let digest = text.as_ref().map(|it| Sha256::of(it).to_string());
            Ok(Caption { text, digest, path: file.display().to_string(), may_change: true })
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCaption {
    /// Of the image or video.
    path: String,
    text: String,
    /// Of the text that the page had loaded; `null` if there was none.
    digest: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Digest {
    digest: String,
}

/// Writes a caption, whole or not at all, unless somebody else has meanwhile.
pub fn write(app: &App, _: &Nothing, body: &NewCaption) -> Answer<Digest> {
    let roots = Roots::of(app)?;
    let item = Item::at(&roots, &body.path)?;
    let Beside::Text(name) = &item.caption else {
        let text =
            "the captions of this folder are in its `captions.json`, and a text file would count for nothing";
        return Err(Failure::conflict(Error::new(Kind::Usage, text).with_hint("change it there")));
    };
    if body.text.len() as u64 > LONGEST {
        let text = format!("a caption has at most {LONGEST} bytes");
        return Err(Failure::http(StatusCode::PAYLOAD_TOO_LARGE, "usage", text));
    }
    let path = item.folder.path.join(name);
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let there = text_at(&roots, &path)?;
    let digest = there.as_ref().map(|(_, text)| Sha256::of(text).to_string());
    if digest != body.digest {
        let text = format!("`{}` was changed by somebody else meanwhile", path.display());
        return Err(Failure::conflict(Error::new(Kind::Usage, text).with_hint("load it again")));
    }
    match &there {
        // A link stays one.
        Some((place, _)) => {
            let (folder, name) = place.within().ok_or_else(|| no_item(&path))?;
            folder?.write(name, &body.text)?;
        }
        None => item.folder.folder()?.write(name, &body.text)?,
    }
    Ok(Digest { digest: Sha256::of(&body.text).to_string() })
}

/// An image or a video of a dataset.
struct Item {
    folder: Granted,
    /// The trainer looks beside the name that it was given, not behind a link.
    name: OsString,
    caption: Beside,
}

impl Item {
    fn at(roots: &Roots, path: &str) -> Answer<Self> {
        let path = Path::new(path);
        let name = path.file_name().filter(|it| is_media_name(it)).ok_or_else(|| no_item(path))?;
        // It is there, and what it leads to is granted.
        roots.find(path)?;
        let folder = roots.find(path.parent().unwrap_or(path))?;
        let names = folder.folder()?.names(usize::MAX)?;
        Ok(Self { caption: data::beside(name, names.into_iter()), name: name.to_owned(), folder })
    }
}

fn no_item(path: &Path) -> Failure {
    let text = format!("`{}` is no image and no video", path.display());
    Failure::http(StatusCode::BAD_REQUEST, "usage", text)
}

/// The text there, if it is.
fn text_at(roots: &Roots, path: &Path) -> Answer<Option<(Granted, String)>> {
    match roots.find(path) {
        // A link may lead to any file here; a caption is a text.
        Ok(place) if place.path.extension().is_none_or(|it| it != "txt") => Err(no_item(path)),
        Ok(place) => {
            let text = place.read_text(LONGEST)?;
            Ok(Some((place, text)))
        }
        Err(cause) if cause.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(cause) => Err(cause),
    }
}
