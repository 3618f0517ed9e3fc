//! Any bytes as any kind of media file: a size or a reason, no panic, and no more time than the bytes are worth.
#![no_main]

use std::{ffi::OsStr, io::Cursor};

use dpgui::data::media::{Flaw, Media, measure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for name in ["a.png", "a.webp", "a.avif", "a.mp4", "a.avi", "a.mkv"] {
        let media = measure(OsStr::new(name), Cursor::new(bytes), || Err(Flaw::NeedsFfprobe));
        if let Some((width, height)) = media.size() {
            assert!(width > 0 && height > 0, "{name}: {media:?}");
        }
        if let Media::Video { rate, .. } = media {
            assert!(rate.per_second() > 0.0 && rate.per_second().is_finite(), "{name}: {media:?}");
        }
    }
});
