//! What in a lock is not as it is to be.

use std::collections::BTreeMap;

use crate::vendor::lock::LockFile;

/// What in `own` is not as in `desired`, by its name in the file.
pub(super) fn difference(desired: &LockFile, own: &LockFile) -> Option<String> {
    fn other<K: Ord + ToString, V: PartialEq>(
        table: &str,
        desired: &BTreeMap<K, V>,
        own: &BTreeMap<K, V>,
    ) -> Option<String> {
        let key = desired.keys().chain(own.keys()).find(|it| desired.get(it) != own.get(it))?;
        Some(format!("{table}.{}", key.to_string()))
    }
    let named = |differs: bool, name: &str| differs.then(|| name.to_owned());
    other("repositories", &desired.repositories, &own.repositories)
        .or_else(|| other("archives", &desired.archives, &own.archives))
        .or_else(|| named(desired.requirements != own.requirements, "requirements"))
        .or_else(|| named(desired.rules != own.rules, "rules"))
        .or_else(|| other("python", &desired.python, &own.python))
        .or_else(|| named(desired != own, "version"))
}
