//! What uv writes beside each package about the file that it came from: when that file was made. Nobody needs it, and two
//! environments of the same packages would differ by it alone.

use std::path::Path;

use crate::platform::fs;

use super::super::InstallError;

const NOTE: &str = "uv_cache.json";

/// Removes the notes from the environment in `staged`, and from its packages' own lists of files.
pub(super) fn remove(staged: &Path) -> Result<(), InstallError> {
    let libs = staged.join("lib");
    for python in fs::names(&libs)? {
        let packages = libs.join(python).join("site-packages");
        for name in fs::names(&packages)? {
            let note = packages.join(&name).join(NOTE);
            if !fs::is_file(&note) {
                continue;
            }
            let record = packages.join(&name).join("RECORD");
            let listed = format!("{}/{NOTE},", name.to_string_lossy());
            let text = fs::read_text(&record)?;
            let kept = text.split_inclusive('\n').filter(|line| !line.starts_with(&listed));
            fs::write_snapshot(&record, kept.collect::<String>())?;
            fs::remove_tree(&note)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_goes_with_its_line_in_the_list_of_files() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let info = dir.path().join("lib/python3.12/site-packages/a-1.dist-info");
        fs::create_dir_all(&info).expect("created");
        let record = "a.py,sha256=x,1\na-1.dist-info/uv_cache.json,sha256=y,2\na-1.dist-info/RECORD,,\n";
        fs::write_atomic(&info.join("RECORD"), record).expect("written");
        fs::write_atomic(&info.join(NOTE), "{}").expect("written");
        remove(dir.path()).expect("removed");
        assert_eq!(fs::names(&info).expect("listed"), ["RECORD"]);
        let expected = "a.py,sha256=x,1\na-1.dist-info/RECORD,,\n";
        assert_eq!(fs::read_text(&info.join("RECORD")).expect("there"), expected);
    }
}
