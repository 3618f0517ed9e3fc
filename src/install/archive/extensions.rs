//! What the extended (PAX) headers of an entry may say: once and well-formed, or two readers see two archives.

use std::{collections::HashSet, io::Read};

/// The text after the entry's name, when it is to be refused.
///
/// The `tar` crate passes over a record that it cannot read, takes the first of two that contradict each other (POSIX
/// wants the last), and knows nothing of sparse files described here: it would unpack their map as their content.
pub(super) fn check<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<(), String> {
    let sizes = (entry.header().entry_size().map_err(|cause| cause.to_string())?, entry.size());
    // TARmageddon (CVE-2025-62518): where two sizes may differ, one reader's content is another's next header.
    if sizes.0 != sizes.1 {
        return Err(format!("has two sizes, {} and {}", sizes.0, sizes.1));
    }
    let mut keys = HashSet::new();
    for record in entry.pax_extensions().map_err(|cause| cause.to_string())?.into_iter().flatten() {
        let record = record.map_err(|cause| format!("has an extended header that is none: {cause}"))?;
        let key = String::from_utf8_lossy(record.key_bytes()).into_owned();
        if key.starts_with("GNU.sparse.") {
            return Err("is a sparse file".to_owned());
        }
        if !keys.insert(key.clone()) {
            return Err(format!("has two extended headers `{key}`"));
        }
        if key == "size" && record.value().ok().and_then(|it| it.parse().ok()) != Some(sizes.1) {
            return Err("has a size that is no number".to_owned());
        }
    }
    Ok(())
}
