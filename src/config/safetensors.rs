//! The head of a safetensors file: which tensors are in it, and whether the file is whole.
//!
//! The format: 8 bytes with the length of the head (little endian), the head (JSON), the tensors' bytes without gaps.
//! Source: <https://github.com/huggingface/safetensors#format>. The head says how long the file has to be, so a
//! download that was cut is found without reading it; a web page or a pointer in its place is named as such.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use crate::{
    output::size::bytes,
    platform::fs::{self, FsError},
};

/// The longest head that the format allows, in bytes.
const LONGEST_HEAD: u64 = 100_000_000;

/// The length's own bytes.
const PREFIX: u64 = 8;

/// The key in the head that is no tensor.
const METADATA: &str = "__metadata__";

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safetensors {
    /// By name.
    pub tensors: BTreeMap<String, Tensor>,
    /// What its maker wrote about it.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor. `start` and `end` are offsets in bytes after the head.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tensor {
    /// As the format spells it: `BF16`, `F8_E4M3`.
    pub dtype: String,
    pub shape: Vec<u64>,
    #[serde(rename = "data_offsets")]
    pub span: [u64; 2],
}

impl Tensor {
    /// Its numbers.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product: u64, side| product.saturating_mul(*side))
    }
}

/// Why a file is no whole safetensors file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it is empty")]
    Empty,
    #[error("it is a Git LFS pointer of {0} bytes, not the file itself")]
    Pointer(u64),
    #[error("it is a web page, not the file itself")]
    WebPage,
    #[error("it is a PyTorch file (`.pt`, `.pth`, `.ckpt`) with another name")]
    PyTorch,
    #[error("it is a GGUF file")]
    Gguf,
    #[error("it is no safetensors file: {0}")]
    Other(String),
    #[error("its end is missing: it has {found} of {expected} bytes, {} too few", bytes(expected - found))]
    Truncated { found: u64, expected: u64 },
    #[error("it is longer than it says it is, by {}", bytes(*.0))]
    TooLong(u64),
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Fault {
    /// What to do about it.
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Pointer(_) => "get the file itself with `git lfs pull`, or download it",
            Self::WebPage => {
                "download it again: the address may need a login, or `resolve` in place of `blob`"
            }
            Self::PyTorch | Self::Gguf | Self::Other(_) => "name a safetensors file",
            Self::Empty | Self::Truncated { .. } | Self::TooLong(_) | Self::Damaged(_) => "download it again",
            Self::Fs(_) => "make it readable",
        }
    }
}

impl Safetensors {
    /// Reads the head of `path`, at most 100 MB, and holds it against the size of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or is anything but a whole safetensors file.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let mut file = fs::open_regular(path)?;
        let size = fs::length(&file, path)?;
        let start = fs::read_at(&mut file, path, 0, 512)?;
        let Some((prefix, rest)) = start.split_first_chunk::<8>() else {
            return Err(if start.is_empty() { Fault::Empty } else { other(&start, size) });
        };
        let length = u64::from_le_bytes(*prefix);
        // No head begins with anything but a brace, and text in front of it makes an absurd length.
        if length > LONGEST_HEAD || !rest.starts_with(b"{") {
            return Err(other(&start, size));
        }
        if PREFIX + length > size {
            return Err(Fault::Truncated { found: size, expected: PREFIX + length });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let head = fs::read_at(&mut file, path, PREFIX, length)?;
        let head: Head = serde_json::from_slice(&head)
            .map_err(|cause| Fault::Damaged(format!("its head cannot be read: {cause}")))?;
        let end = check(&head.0.tensors)?;
        let expected = end.saturating_add(PREFIX + length as u64);
        match size.cmp(&expected) {
            std::cmp::Ordering::Less => Err(Fault::Truncated { found: size, expected }),
            std::cmp::Ordering::Greater => Err(Fault::TooLong(size - expected)),
            std::cmp::Ordering::Equal => Ok(head.0),
        }
    }

    /// The first tensor whose name ends so.
    pub fn ending(&self, end: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(name, _)| name.ends_with(end)).map(|(_, tensor)| tensor)
    }
}

/// The tensors lie one after the other, each as long as its shape says. Returns where the last one ends.
fn check(tensors: &BTreeMap<String, Tensor>) -> Result<u64, Fault> {
    let mut spans: Vec<(&String, &Tensor)> = tensors.iter().collect();
    spans.sort_by_key(|(_, tensor)| tensor.span);
    let mut done = 0;
    for (name, tensor) in spans {
        let [start, end] = tensor.span;
        if start != done || end < start {
            return Err(Fault::Damaged(format!("the tensor `{name}` is not where the one before it ends")));
        }
        let wrong = |bits| tensor.elements().checked_mul(bits).is_none_or(|it| it.div_ceil(8) != end - start);
        if bits(&tensor.dtype).is_some_and(wrong) {
            return Err(Fault::Damaged(format!("the tensor `{name}` has not the size of its shape")));
        }
        done = end;
    }
    Ok(done)
}

/// Of one number; `None` for a type that came after this list.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// What a file is that does not begin like the format.
fn other(start: &[u8], size: u64) -> Fault {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start();
    let page = |mark: &str| text.get(..mark.len()).is_some_and(|it| it.eq_ignore_ascii_case(mark));
    if text.starts_with("version https://git-lfs") || text.starts_with("# xet version") {
        Fault::Pointer(size)
    } else if page("<!doctype") || page("<html") || page("<?xml") {
        Fault::WebPage
    } else if start.starts_with(b"PK\x03\x04") {
        Fault::PyTorch
    } else if start.starts_with(b"GGUF") {
        Fault::Gguf
    } else if start.iter().all(|byte| *byte == 0) {
        Fault::Damaged("it begins with zeros".to_owned())
    } else {
        let shown: String = text.chars().take_while(|c| !c.is_control()).take(40).collect();
        Fault::Other(if shown.is_empty() {
            "its head has no length".to_owned()
        } else {
            format!("it begins with `{shown}`")
        })
    }
}

struct Head(Safetensors);

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Head;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
                let mut found = Safetensors { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        found.metadata = map.next_value()?;
                    } else {
                        let tensor = map.next_value()?;
                        found.tensors.insert(name, tensor);
                    }
                }
                Ok(Head(found))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of `head` and `data` bytes after it.
    fn file(head: &str, data: usize) -> Vec<u8> {
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend(head.bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Safetensors, String> {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("a.safetensors");
        fs::write_atomic(&path, bytes).expect("written");
        Safetensors::read(&path).map_err(|fault| fault.to_string())
    }

    const HEAD: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;

    #[test]
    fn the_tensors_are_told_by_name_type_and_shape() {
        let found = read(&file(HEAD, 16)).expect("whole");
        let shown: Vec<_> =
            found.tensors.iter().map(|(name, it)| (&name[..], &it.dtype[..], &it.shape[..])).collect();
        assert_eq!(shown, [("a", "F32", &[][..]), ("b", "BF16", &[2, 3][..])]);
        assert_eq!(found.metadata, BTreeMap::from([("format".to_owned(), "pt".to_owned())]));
        // Padding of the head with blanks is allowed, a type that nobody knows yet too.
        assert!(read(&file(r#"{"a":{"dtype":"F2","shape":[8],"data_offsets":[0,2]}}   "#, 2)).is_ok());
        assert!(read(&file("{}", 0)).is_ok());
    }

    #[test]
    fn what_is_no_whole_file_is_named() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(read(bytes).expect_err("a fault"), expected);
        check(b"", "it is empty");
        check(b"\x01\x02", "it is no safetensors file: its head has no length");
        check(&[0; 100], "it is damaged: it begins with zeros");
        check(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "it is a Git LFS pointer of 70 bytes, not the file itself",
        );
        check(b"\n <!DOCTYPE html><html>", "it is a web page, not the file itself");
        check(
            b"Invalid username or password.",
            "it is no safetensors file: it begins with `Invalid username or password.`",
        );
        check(b"PK\x03\x04rest", "it is a PyTorch file (`.pt`, `.pth`, `.ckpt`) with another name");
        check(b"GGUF\x03\0\0\0rest", "it is a GGUF file");
        let whole = file(HEAD, 16);
        check(&whole[..whole.len() - 1], "its end is missing: it has 164 of 165 bytes, 1 B too few");
        check(&whole[..60], "its end is missing: it has 60 of 149 bytes, 89 B too few");
        check(&file(HEAD, 18), "it is longer than it says it is, by 2 B");
        let tensor =
            |span: &str| file(&format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{span}}}}}"#), 8);
        check(&tensor("[0,4]"), "it is damaged: the tensor `a` has not the size of its shape");
        check(&tensor("[8,16]"), "it is damaged: the tensor `a` is not where the one before it ends");
        check(&tensor("[8,0]"), "it is damaged: the tensor `a` is not where the one before it ends");
        check(
            &file(r#"{"a":1}"#, 0),
            "it is damaged: its head cannot be read: invalid type: integer `1`, expected struct Tensor at line 1 column 6",
        );
    }

    #[test]
    fn a_head_that_claims_to_be_enormous_is_not_read() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend(b"{\"a\": 1}");
        assert!(matches!(read(&bytes), Err(text) if text.starts_with("it is no safetensors file")));
        let mut bytes = 99_999_999_u64.to_le_bytes().to_vec();
        bytes.extend(b"{");
        assert_eq!(
            read(&bytes),
            Err("its end is missing: it has 9 of 100000007 bytes, 95.4 MiB too few".to_owned())
        );
    }

    #[test]
    fn shapes_that_overflow_are_no_panic() {
        let head = r#"{"a":{"dtype":"F64","shape":[18446744073709551615,9],"data_offsets":[0,8]}}"#;
        let expected = "it is damaged: the tensor `a` has not the size of its shape";
        assert_eq!(read(&file(head, 8)).expect_err("a fault"), expected);
        let head = r#"{"a":{"dtype":"F2","shape":[8],"data_offsets":[0,18446744073709551615]}}"#;
        assert_eq!(
            read(&file(head, 8)).expect_err("a fault"),
            "its end is missing: it has 88 of 18446744073709551615 bytes, 16384 PiB too few"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Also with a byte changed or the end cut off there is an answer, and only a whole file is taken for one.
        #[test]
        fn damage_is_an_answer_and_no_panic(at in 0_usize..165, byte: u8, cut in 1_usize..165) {
            let whole = file(HEAD, 16);
            let mut changed = whole.clone();
            changed[at] = byte;
            if let Ok(found) = read(&changed) {
                let end = found.tensors.values().map(|it| it.span[1]).max().unwrap_or(0);
                prop_assert!(end <= whole.len() as u64);
            }
            prop_assert!(read(&whole[..whole.len() - cut]).is_err());
        }
    }
}
