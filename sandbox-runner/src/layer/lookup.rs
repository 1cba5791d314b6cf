//! One file of a stack of layers, as an overlay of them would show it, read without mounting one and
//! without anything of the sandbox's running.
//!
//! The names are somebody's and the files are hostile, and may change meanwhile: each name is opened
//! in the directory above it, and no link is followed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, FileType, fgetxattr, fstat, statat};
use rustix::io::Errno;

use super::descent;
use super::overlay::OPAQUE;

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("there is no such file")]
    Missing,
    #[error("it is a directory, a link or something else that is no file")]
    NoFile,
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("failed to read a file of a layer")]
    Read(#[from] io::Error),
}

/// What a name is in a stack of directories.
enum Shown {
    Directories(Vec<OwnedFd>),
    File(OwnedFd),
}

/// Reads the file that the names lead to from `roots`, topmost first.
pub fn read(roots: Vec<OwnedFd>, names: &[&str], limit: u64) -> Result<Vec<u8>, LookupError> {
    let mut directories = roots;
    let Some((last, above)) = names.split_last() else {
        return Err(LookupError::NoFile);
    };
    for name in above {
        directories = match show(&directories, name)? {
            Shown::Directories(below) => below,
            Shown::File(_) => return Err(LookupError::Missing),
        };
    }
    match show(&directories, last)? {
        Shown::File(file) => content(File::from(file), limit),
        Shown::Directories(_) => Err(LookupError::NoFile),
    }
}

fn show(directories: &[OwnedFd], name: &str) -> Result<Shown, LookupError> {
    let mut below = Vec::new();
    for directory in directories {
        let about = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(failed(error)),
        };
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => {
                let opened = descent::directory(directory, name).map_err(failed)?;
                let hides = is_opaque(&opened);
                below.push(opened);
                if hides {
                    break;
                }
            }
            // Neither a file nor a whiteout is merged with a directory above it.
            _ if !below.is_empty() => break,
            FileType::RegularFile => {
                let opened = descent::file(directory, name);
                return opened.map(Shown::File).map_err(failed);
            }
            FileType::CharacterDevice if about.st_rdev == 0 => return Err(LookupError::Missing),
            _ => return Err(LookupError::NoFile),
        }
    }
    if below.is_empty() {
        return Err(LookupError::Missing);
    }
    Ok(Shown::Directories(below))
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 1];
    let read = fgetxattr(directory.as_fd(), OPAQUE, &mut value);
    matches!(read, Ok(1)) && value == *b"y"
}

fn content(file: File, limit: u64) -> Result<Vec<u8>, LookupError> {
    let about = fstat(&file).map_err(failed)?;
    // It may have been replaced since.
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(LookupError::NoFile);
    }
    let mut content = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
        return Err(LookupError::TooLarge { limit });
    }
    Ok(content)
}

/// What changed under its name while it was looked for.
fn failed(error: Errno) -> LookupError {
    match error {
        Errno::NOENT | Errno::NOTDIR => LookupError::Missing,
        Errno::LOOP => LookupError::NoFile,
        error => LookupError::Read(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{CWD, XattrFlags, setxattr};

    use super::super::overlay::make_whiteout;
    use super::*;

    /// Two layers, the upper one first.
    fn roots(root: &Path) -> Vec<OwnedFd> {
        let open = |name: &str| descent::directory(CWD, root.join(name)).unwrap();
        vec![open("upper"), open("lower")]
    }

    fn stack() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("lower/kept/file", "below"),
            ("lower/both/file", "below"),
            ("lower/both/other", "below"),
            ("lower/gone/file", "below"),
            ("lower/hidden/file", "below"),
            ("lower/replaced/file", "below"),
            ("upper/both/file", "above"),
            ("upper/hidden/new", "above"),
            ("upper/replaced", "a file now"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let upper = root.path().join("upper");
        make_whiteout(&upper.join("gone")).unwrap();
        setxattr(upper.join("hidden"), OPAQUE, b"y", XattrFlags::empty()).unwrap();
        symlink("/etc/passwd", upper.join("link")).unwrap();
        symlink("/etc", upper.join("directory")).unwrap();
        root
    }

    #[test]
    fn a_file_is_what_an_overlay_would_show() {
        let root = stack();
        let text = |path: &str| {
            let names: Vec<&str> = path.split('/').collect();
            let read = read(roots(root.path()), &names, 100);
            read.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        for (path, expected) in [
            ("kept/file", "below"),
            ("both/file", "above"),
            ("both/other", "below"),
            ("hidden/new", "above"),
            ("replaced", "a file now"),
        ] {
            assert_eq!(text(path).unwrap(), expected, "{path}");
        }
        for path in [
            "gone/file",
            "gone",
            "hidden/file",
            "replaced/file",
            "none",
            "kept/none",
        ] {
            assert!(matches!(text(path), Err(LookupError::Missing)), "{path}");
        }
        for path in ["link", "directory/passwd", "kept", "both"] {
            assert!(matches!(text(path), Err(LookupError::NoFile)), "{path}");
        }
    }

    #[test]
    fn a_file_that_is_larger_than_the_limit_is_not_read() {
        let root = stack();
        let read = |limit| read(roots(root.path()), &["kept", "file"], limit);
        assert_eq!(read(5).unwrap(), b"below");
        assert!(matches!(read(4), Err(LookupError::TooLarge { limit: 4 })));
    }
}
