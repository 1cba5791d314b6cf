//! Host programs that sandboxes use, placed where the sandboxes' user can reach them.
//!
//! A tool is a file or a directory anywhere on the host, perhaps below a home that is closed to
//! others. It is placed in the state directory once, under a name that changes with its content, so
//! a sandbox that runs keeps what it was started with. Small files are copied and known by their
//! content, since they may be written again in place; large ones are linked where that is possible
//! and known by their size and time.

use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::directory::{self, READABLE};

/// Up to this size, a file is small.
const SMALL: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("failed to read {path}: is the path of the tool right?")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to place {path} in the state directory")]
    Place {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A file or directory below the source, by its path from there; parents come first.
struct Entry {
    path: PathBuf,
    metadata: Metadata,
}

/// Looks a bare name up in the search path; anything else is a path already.
pub(super) fn locate(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program));
    found
        .into_iter()
        .find(|file| file.is_file())
        .unwrap_or_else(|| program.to_owned())
}

/// Places the sources in one directory and returns it: a directory's content, a file by its name.
pub(super) fn install(tools: &Path, name: &str, sources: &[PathBuf]) -> Result<PathBuf, ToolError> {
    let mut entries = Vec::new();
    for source in sources.iter().map(|source| locate(source)) {
        let read = |error| ToolError::Read {
            path: source.clone(),
            source: error,
        };
        let found = list(&source).map_err(read)?;
        entries.push((source, found));
    }
    let mut hasher = DefaultHasher::new();
    for (source, entries) in &entries {
        for entry in entries {
            fingerprint(source, entry, &mut hasher).map_err(|error| ToolError::Read {
                path: source.clone(),
                source: error,
            })?;
        }
    }
    let target = tools.join(format!("{name}-{:016x}", hasher.finish()));
    if target.is_dir() {
        return Ok(target);
    }
    let place = |path: &Path, source| ToolError::Place {
        path: path.to_owned(),
        source,
    };
    let beside = tools.join(format!(".{name}.new"));
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(|error| place(&beside, error))?;
    }
    directory::create(&beside, READABLE).map_err(|error| place(&beside, error))?;
    for (source, entries) in &entries {
        for entry in entries {
            let from = source.join(&entry.path);
            let to = beside.join(&entry.path);
            put(source, entry, &to).map_err(|error| place(&from, error))?;
        }
    }
    fs::rename(&beside, &target).map_err(|error| place(&target, error))?;
    Ok(target)
}

fn list(source: &Path) -> io::Result<Vec<Entry>> {
    let metadata = fs::metadata(source)?;
    if metadata.is_dir() {
        let mut entries = Vec::new();
        descend(source, Path::new(""), &mut entries)?;
        Ok(entries)
    } else {
        let path = source.file_name().map(PathBuf::from).unwrap_or_default();
        Ok(vec![Entry { path, metadata }])
    }
}

fn descend(source: &Path, below: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    let mut names: Vec<OsString> = fs::read_dir(source.join(below))?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    // The fingerprint must not depend on the order in which the file system lists names.
    names.sort();
    for name in names {
        let path = below.join(name);
        let metadata = fs::symlink_metadata(source.join(&path))?;
        let is_directory = metadata.is_dir();
        entries.push(Entry {
            path: path.clone(),
            metadata,
        });
        if is_directory {
            descend(source, &path, entries)?;
        }
    }
    Ok(())
}

fn fingerprint(source: &Path, entry: &Entry, hasher: &mut DefaultHasher) -> io::Result<()> {
    let metadata = &entry.metadata;
    (&entry.path, metadata.mode()).hash(hasher);
    if metadata.is_symlink() {
        fs::read_link(origin(source, entry))?.hash(hasher);
    } else if metadata.is_file() && metadata.len() <= SMALL {
        fs::read(origin(source, entry))?.hash(hasher);
    } else if metadata.is_file() {
        (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(hasher);
    }
    Ok(())
}

/// A source that is a file is its own only entry.
fn origin(source: &Path, entry: &Entry) -> PathBuf {
    if source.is_dir() {
        source.join(&entry.path)
    } else {
        source.to_owned()
    }
}

fn put(source: &Path, entry: &Entry, to: &Path) -> io::Result<()> {
    let from = origin(source, entry);
    if entry.metadata.is_dir() {
        return directory::create(to, READABLE);
    }
    if entry.metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    let mode = entry.metadata.mode();
    // A link shares its mode with the source, which is not ours to change.
    let readable = mode & 0o004 != 0 && (mode & 0o100 == 0 || mode & 0o001 != 0);
    let linkable = readable && entry.metadata.len() > SMALL;
    if linkable && fs::hard_link(fs::canonicalize(&from)?, to).is_ok() {
        return Ok(());
    }
    fs::copy(&from, to)?;
    let executable = if mode & 0o100 == 0 { 0 } else { 0o111 };
    fs::set_permissions(to, Permissions::from_mode(0o444 | executable))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (tools, source) = (root.path().join("tools"), root.path().join("source"));
        fs::create_dir_all(source.join("bin")).unwrap();
        fs::create_dir(&tools).unwrap();
        fs::write(source.join("bin/program"), "1").unwrap();
        symlink("program", source.join("bin/alias")).unwrap();
        (root, tools, source)
    }

    #[test]
    fn an_unchanged_tool_is_placed_once() {
        let (_root, tools, source) = tree();
        let first = install(&tools, "agent", std::slice::from_ref(&source)).unwrap();
        let second = install(&tools, "agent", &[source]).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(first.join("bin/alias")).unwrap(), "1");
    }

    #[test]
    fn a_changed_tool_is_placed_beside_the_one_in_use() {
        let (_root, tools, source) = tree();
        let first = install(&tools, "agent", std::slice::from_ref(&source)).unwrap();
        fs::write(source.join("bin/program"), "22").unwrap();
        let second = install(&tools, "agent", &[source]).unwrap();
        assert_eq!(fs::read_to_string(first.join("bin/program")).unwrap(), "1");
        assert_eq!(
            fs::read_to_string(second.join("bin/program")).unwrap(),
            "22"
        );
    }

    #[test]
    fn a_file_that_is_closed_to_others_is_readable_where_it_is_placed() {
        let (_root, tools, source) = tree();
        let program = source.join("bin/program");
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        let placed = install(&tools, "init", std::slice::from_ref(&program)).unwrap();
        let mode = fs::metadata(placed.join("program")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o555);
        assert_eq!(fs::metadata(program).unwrap().mode() & 0o777, 0o700);
    }
}
