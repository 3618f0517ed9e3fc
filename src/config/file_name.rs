//! What the trainer takes a file of a dataset for, as far as its name tells.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// Suffixes of files that are no media; the trainer tells them by case.
const COMPANIONS: [&str; 6] = [".txt", ".npz", ".json", ".parquet", ".bak", ".db"];

/// Whether the trainer takes it for something that belongs to media.
pub fn is_companion(name: &OsStr) -> bool {
    COMPANIONS.iter().any(|it| it.as_bytes() == suffix(name))
}

/// Whether the trainer reads files of that name as videos: by suffix, all in small or all in capital letters.
pub fn is_video_name(name: &OsStr) -> bool {
    let suffix = String::from_utf8_lossy(suffix(name));
    VIDEO_SUFFIXES.iter().any(|it| {
        suffix.strip_prefix('.').is_some_and(|suffix| suffix == *it || suffix == it.to_ascii_uppercase())
    })
}

/// Whether a file of that name is an image or a video, by its suffix alone.
pub fn is_media_name(name: &OsStr) -> bool {
    let suffix = String::from_utf8_lossy(suffix(name)).to_ascii_lowercase();
    is_video_name(name) || suffix.strip_prefix('.').is_some_and(|it| IMAGE_SUFFIXES.contains(&it))
}

/// Whether there may be an image or a video in a file of that name: one that is called so, an archive, or one whose name
/// says nothing.
pub(super) fn may_be_media(name: &OsStr) -> bool {
    match suffix(name) {
        b"" => !name.as_bytes().starts_with(b"."),
        suffix => suffix == b".tar" || is_media_name(name),
    }
}

/// Python's `suffix`: from the last dot on, unless that is the first or the last character.
pub fn suffix(name: &OsStr) -> &[u8] {
    &name.as_bytes()[name.len() - suffix_length(name)..]
}

/// Python's `stem`: the name without its suffix.
pub fn stem(name: &OsStr) -> &OsStr {
    OsStr::from_bytes(&name.as_bytes()[..name.len() - suffix_length(name)])
}

fn suffix_length(name: &OsStr) -> usize {
    match name.as_bytes().iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => name.len() - dot,
        _ => 0,
    }
}

/// What people's images are called; the trainer opens any file and looks.
const IMAGE_SUFFIXES: &[&str] =
    &["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jxl", "ppm", "tga"];

/// Source: imageio 2.38, `imageio.config.video_extensions`. More than one would think: `.dat`, `.mpo`, `.rgb`.
const VIDEO_SUFFIXES: &[&str] = &[
    "264", "265", "3g2", "3gp", "A64", "a64", "adp", "amr", "amv", "asf", "avc", "avi", "avr", "avs", "avs2",
    "avs3", "bmv", "cavs", "cdg", "cdxl", "cgi", "chk", "cif", "cpk", "dat", "dav", "dif", "dnxhd", "dnxhr",
    "drc", "dv", "dvd", "f4v", "flm", "flv", "gsm", "gxf", "h261", "h263", "h264", "h265", "h26l", "hevc",
    "idf", "ifv", "imx", "ipu", "ism", "isma", "ismv", "ivf", "ivr", "j2k", "kux", "lvf", "m1v", "m2t",
    "m2ts", "m2v", "m4a", "m4b", "m4v", "mj2", "mjpeg", "mjpg", "mk3d", "mka", "mks", "mkv", "mods",
    "moflex", "mov", "mp4", "mpc", "mpd", "mpeg", "mpg", "mpo", "mts", "mvi", "mxf", "mxg", "nut", "obu",
    "ogg", "ogv", "psp", "qcif", "rcv", "rgb", "rm", "roq", "sdr2", "ser", "sga", "svag", "svs", "ts", "ty",
    "ty+", "v", "v210", "vb", "vc1", "vc2", "viv", "vob", "webm", "wmv", "wtv", "xl", "xmv", "y4m", "yop",
    "yuv", "yuv10",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_python_cuts_them() {
        let check = |name: &str, expected: (&str, &str)| {
            let name = OsStr::new(name);
            let suffix = String::from_utf8_lossy(suffix(name)).into_owned();
            assert_eq!((stem(name).to_string_lossy().as_ref(), suffix.as_str()), expected);
        };
        check("a.png", ("a", ".png"));
        check("a.b.png", ("a.b", ".png"));
        check(".png", (".png", ""));
        check("a.", ("a.", ""));
        check("a", ("a", ""));
    }

    #[test]
    fn a_name_tells_whether_there_may_be_an_image_or_a_video() {
        let names = ["a.png", "a.PNG", "a.mp4", "a.tar", "0a1b2c", "notes.md", "a.txt", ".DS_Store", "a.npz"];
        let may_be = |name: &str| may_be_media(OsStr::new(name));
        assert_eq!(names.map(may_be), [true, true, true, true, true, false, false, false, false]);
    }
}
