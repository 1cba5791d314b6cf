//! The files by which the kernel is asked and told; every error names the file.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::CgroupError;

/// Writes to a file that is there, in one call, as the kernel expects it.
pub(super) fn write(path: &Path, value: impl Display) -> Result<(), CgroupError> {
    let value = value.to_string();
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|source| CgroupError::Write {
            path: path.to_owned(),
            value,
            source,
        })
}

/// As [`write`], to a file that not every kernel has; whether it is there.
pub(super) fn write_if_present(path: &Path, value: impl Display) -> Result<bool, CgroupError> {
    match write(path, value) {
        Ok(()) => Ok(true),
        Err(CgroupError::Write { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// A descriptor by which a file or directory that is there is used later.
pub(super) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, CgroupError> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        CgroupError::Open {
            path: path.to_owned(),
            source: error.into(),
        }
    })
}

pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The one number that a file holds; none if there is no such file.
pub(super) fn number(path: &Path) -> Result<Option<u64>, CgroupError> {
    let Some(text) = present(path)? else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(form(path)),
    }
}

/// The number beside a key in a file of `key number` lines; none if either is not there.
pub(super) fn keyed(path: &Path, key: &str) -> Result<Option<u64>, CgroupError> {
    let Some(text) = present(path)? else {
        return Ok(None);
    };
    match find(&text, key).map(str::parse) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(form(path)),
    }
}

/// The value beside a key.
pub(super) fn find<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| match line.split_once(' ') {
        Some((name, value)) if name == key => Some(value.trim()),
        _ => None,
    })
}

/// The processes that a `cgroup.procs` lists; none if the group is gone.
pub(super) fn processes(path: &Path) -> Result<Vec<i32>, CgroupError> {
    let text = present(path)?.unwrap_or_default();
    text.lines()
        .map(|line| line.parse().map_err(|_| form(path)))
        .collect()
}

/// The names of the directories in one; of none if it is not there.
pub(super) fn directories(path: &Path) -> Result<Vec<String>, CgroupError> {
    let read = |source| CgroupError::Read {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read)?;
        if entry.file_type().map_err(read)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// Creates one group; its parents are made if they are not there.
pub(super) fn create(path: &Path) -> Result<(), CgroupError> {
    let made = match (fs::create_dir(path), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent).and_then(|()| fs::create_dir(path))
        }
        (made, _) => made,
    };
    made.map_err(|source| CgroupError::Create {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn remove(path: &Path) -> Result<(), CgroupError> {
    match fs::remove_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CgroupError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn present(path: &Path) -> Result<Option<String>, CgroupError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(CgroupError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn form(path: &Path) -> CgroupError {
    CgroupError::Form {
        path: path.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_only_as_a_whole() {
        let events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(find(events, "oom_kill"), Some("3"));
        assert_eq!(find(events, "oom"), Some("1"));
        assert_eq!(find(events, "kill"), None);
    }

    #[test]
    fn a_file_that_is_not_there_has_no_number() {
        assert_eq!(number(Path::new("/nowhere/memory.peak")).unwrap(), None);
    }

    #[test]
    fn a_file_of_another_form_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "max\n").unwrap();
        assert!(matches!(
            number(file.path()),
            Err(CgroupError::Form { path }) if path == file.path()
        ));
    }
}
