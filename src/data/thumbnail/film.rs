//! The first frame of a video, and of AVIF and others that are not decoded here: by FFmpeg, where it is installed.

use std::{fs::File, io::Seek, path::PathBuf, time::Duration};

use crate::platform::{Env, process::CommandSpec};

use super::{
    super::media::{self, Flaw},
    MOST_PIXELS, NoPicture, Picture,
};

/// A frame takes a tenth of a second; a file that keeps it busy for longer is none that it should look at.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it may take the file for. None of these leads to other files, as playlists do.
const FORMATS: &str = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,asf,ogg,dv,mxf,ivf,rm,nut,yuv4mpegpipe,\
                       ppm_pipe,pgm_pipe,pbm_pipe,pam_pipe,psd_pipe,qoi_pipe,dds_pipe,ico";

/// `ffmpeg`, if it is installed.
#[derive(Clone, Debug, Default)]
pub(super) struct Ffmpeg(Option<(PathBuf, Env)>);

impl Ffmpeg {
    pub(super) fn on_path(env: &Env) -> Self {
        let path = env.get("PATH").unwrap_or_default();
        Self(which::which_in("ffmpeg", Some(path), "/").ok().map(|program| (program, env.clone())))
    }

    /// It gets the open file and no name, so nothing that a name could mean is opened.
    pub(super) fn first_frame(&self, file: File) -> Result<Picture, NoPicture> {
        let (program, env) = self.0.as_ref().ok_or(NoPicture::NeedsFfmpeg)?;
        let command = CommandSpec::new(program, env, "/".as_ref())
            .args(["-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "file"])
            // The trainer does not turn it either.
            .args(["-format_whitelist", FORMATS, "-noautorotate", "-i", "file:/dev/stdin"])
            .args([
                "-map",
                "0:v:0",
                "-frames:v",
                "1",
                "-c:v",
                "ppm",
                "-pix_fmt",
                "rgb24",
                "-f",
                "image2pipe",
                "-",
            ]);
        let size = file.try_clone().ok().and_then(size);
        let said = command.filter(file, PATIENCE, MOST_PIXELS as u64 * 3 + 32).ok().flatten();
        let picture = said.and_then(|it| ppm(&it)).ok_or(NoPicture::Undecodable)?;
        // Of an image in tiles, older versions show the first tile.
        match size {
            Some(size) if !is_about(size, &picture) => Err(NoPicture::Undecodable),
            _ => Ok(picture),
        }
    }
}

/// As the header has it; as an image first, because a still AVIF is no video.
fn size(mut file: File) -> Option<(u32, u32)> {
    let size = ["a.avif", "a.mp4"].iter().find_map(|name| {
        file.rewind().ok()?;
        media::measure(name.as_ref(), &mut file, || Err(Flaw::NoMedia)).size()
    });
    // The other handle reads from there too.
    file.rewind().ok()?;
    size
}

/// But for what codecs round.
fn is_about((width, height): (u32, u32), picture: &Picture) -> bool {
    let near = |expected: u32, is: usize| is.abs_diff(expected as usize) * 10 <= expected as usize;
    near(width, picture.width) && near(height, picture.height)
}

/// `P6`, width, height and 255 in lines of their own, then RGB. Source: <https://netpbm.sourceforge.net/doc/ppm.html>.
fn ppm(bytes: &[u8]) -> Option<Picture> {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || str::from_utf8(parts.next()?).ok();
    (line()? == "P6").then_some(())?;
    let (width, height) = line()?.split_once(' ')?;
    let (width, height): (usize, usize) = (width.parse().ok()?, height.parse().ok()?);
    (line()? == "255").then_some(())?;
    let pixels = parts.next()?;
    let is_whole = width.checked_mul(height)?.checked_mul(3)? == pixels.len() && !pixels.is_empty();
    is_whole.then(|| Picture { width, height, pixels: pixels.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_picture_is_taken_from_a_program() {
        let check = |bytes: &[u8], expected: Option<(usize, usize)>| {
            assert_eq!(ppm(bytes).map(|it| (it.width, it.height)), expected, "{bytes:?}");
        };
        check(b"P6\n2 1\n255\n\n\n\n456", Some((2, 1)));
        check(b"P6\n2 1\n255\n12345", None);
        check(b"P6\n2 1\n255\n1234567", None);
        check(b"P6\n0 1\n255\n", None);
        check(b"P5\n2 1\n255\n123456", None);
        check(b"P6\n4294967296 4294967296\n255\n1", None);
        check(b"", None);
    }
}
