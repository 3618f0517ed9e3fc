//! Media files that are nothing but headers, as a look at them needs no more.

/// A PNG of that size, without its pixels.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut checksum = flate2::Crc::new();
    checksum.update(&chunk);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(chunk);
    file.extend(checksum.sum().to_be_bytes());
    file.extend(b"\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND\xaeB`\x82");
    file
}

/// An MP4 with one video track of `frames` frames, `rate` a second.
pub(crate) fn mp4(width: u16, height: u16, frames: u32, rate: u32) -> Vec<u8> {
    let header = [&[0; 12][..], &rate.to_be_bytes(), &(frames).to_be_bytes(), &[0; 4]].concat();
    let handler = [&[0; 8][..], b"vide", &[0; 13]].concat();
    let description = [
        &[0; 7][..],
        &[1],
        &[0, 0, 0, 86],
        b"avc1",
        &[0; 24],
        &width.to_be_bytes(),
        &height.to_be_bytes(),
        &[0; 50],
    ];
    let times = [&[0; 7][..], &[1], &frames.to_be_bytes(), &1_u32.to_be_bytes()].concat();
    let table = [atom(*b"stsd", &description.concat()), atom(*b"stts", &times)].concat();
    let media =
        [atom(*b"mdhd", &header), atom(*b"hdlr", &handler), atom(*b"minf", &atom(*b"stbl", &table))].concat();
    let track = [atom(*b"tkhd", &[0; 84]), atom(*b"mdia", &media)].concat();
    [atom(*b"ftyp", b"isom\0\0\0\0"), atom(*b"mdat", &[0; 64]), atom(*b"moov", &atom(*b"trak", &track))]
        .concat()
}

/// An AVI of 20 frames of MPEG-4, 100 bytes each, without sound and without an index.
pub(crate) fn avi() -> Vec<u8> {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        [&name[..], &u32::try_from(content.len()).expect("short").to_le_bytes(), content].concat()
    };
    let numbers = |all: &[u32]| all.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    let header = [&b"vidsFMP4"[..], &numbers(&[0, 0, 0, 1, 16, 0, 20, 0, 0, 0, 0, 0])].concat();
    let format = [&numbers(&[40, 64, 64, 0x18_0001])[..], b"FMP4", &[0; 20]].concat();
    let stream = [&b"strl"[..], &chunk(b"strh", &header), &chunk(b"strf", &format)].concat();
    let headers = [&b"hdrl"[..], &chunk(b"LIST", &stream)].concat();
    let frames = [&b"movi"[..], &chunk(b"00dc", &[7; 100]).repeat(20)].concat();
    chunk(b"RIFF", &[&b"AVI "[..], &chunk(b"LIST", &headers), &chunk(b"LIST", &frames)].concat())
}

fn atom(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).expect("short");
    [&length.to_be_bytes()[..], &name, content].concat()
}
