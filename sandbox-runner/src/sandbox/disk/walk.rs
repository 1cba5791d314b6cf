//! Counts what is below directories whose owner changes them meanwhile, and may mean harm.
//!
//! Each directory is opened by its name in the one above, as a directory and no link, and is left
//! out if it is on another file system. It may be as deep as it likes: of the way down, only some
//! directories stay open, and the others are opened again from those. What vanishes is not counted.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, fstat, statat};

use super::Usage;
use crate::layer::descent;

/// So many directories stay open from the top, and one in so many below.
const KEPT: usize = 64;

/// Ends early when there is more than the limits.
pub(super) fn measure(roots: &[impl AsRef<Path>], limits: Usage) -> Usage {
    walk(roots, limits, None)
}

fn walk(roots: &[impl AsRef<Path>], limits: Usage, linked: Option<HashSet<u64>>) -> Usage {
    let mut walk = Walk {
        linked,
        usage: Usage::default(),
        limits,
        device: 0,
        way: Vec::new(),
    };
    for root in roots {
        let Ok(directory) = descent::directory(CWD, root.as_ref()) else {
            continue;
        };
        let Ok(about) = fstat(&directory) else {
            continue;
        };
        walk.device = about.st_dev;
        walk.below(directory);
    }
    walk.usage
}

/// Counts each file once, however many names it has here and elsewhere.
pub(super) fn weigh(roots: &[impl AsRef<Path>]) -> Usage {
    let unlimited = Usage {
        bytes: u64::MAX,
        files: u64::MAX,
    };
    walk(roots, unlimited, Some(HashSet::new()))
}

struct Walk {
    usage: Usage,
    limits: Usage,
    device: u64,
    /// The files of several names that were met, where some of the names may be elsewhere.
    linked: Option<HashSet<u64>>,
    /// From the root to where the walk is.
    way: Vec<Level>,
}

struct Level {
    name: CString,
    open: Option<OwnedFd>,
    /// Directories that are still to be walked.
    left: Vec<CString>,
}

impl Walk {
    fn below(&mut self, root: OwnedFd) {
        self.way.clear();
        self.read(CString::default(), root);
        while !self.is_beyond() {
            let Some(level) = self.way.last_mut() else {
                return;
            };
            match level.left.pop() {
                Some(name) => {
                    if let Some(directory) = self.open(&name) {
                        self.read(name, directory);
                    }
                }
                None => {
                    self.way.pop();
                }
            }
        }
    }

    fn is_beyond(&self) -> bool {
        self.usage.bytes > self.limits.bytes || self.usage.files > self.limits.files
    }

    /// Opens a directory in the one where the walk is.
    fn open(&self, name: &CString) -> Option<OwnedFd> {
        let last = self.way.iter().rposition(|level| level.open.is_some())?;
        let closed = self.way.iter().skip(last + 1).map(|level| &level.name);
        let from = self.way.get(last)?.open.as_ref()?;
        let mut reached: Option<OwnedFd> = None;
        for name in closed.chain([name]) {
            let above = reached.as_ref().unwrap_or(from);
            reached = Some(descent::directory(above, name).ok()?);
        }
        reached.filter(|directory| fstat(directory).is_ok_and(|about| about.st_dev == self.device))
    }

    /// Counts what is in a directory and goes there.
    fn read(&mut self, name: CString, directory: OwnedFd) {
        let mut left = Vec::new();
        let entries = Dir::read_from(&directory).into_iter().flatten();
        for entry in entries.map_while(Result::ok) {
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let Ok(about) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let size = u64::try_from(about.st_blocks).unwrap_or(0) * 512;
            let kind = FileType::from_raw_mode(about.st_mode);
            self.usage.files += 1;
            if kind == FileType::Directory {
                self.usage.bytes += size;
                left.push(name.to_owned());
            } else if let Some(linked) = &mut self.linked {
                if about.st_nlink <= 1 || linked.insert(about.st_ino) {
                    self.usage.bytes += size;
                }
            } else {
                // All names of a file are in the sandbox, so its parts add up to it.
                self.usage.bytes += size / u64::from(about.st_nlink.max(1) as u32).max(1);
            }
            if self.is_beyond() {
                return;
            }
        }
        let depth = self.way.len();
        let open = (depth < KEPT || depth.is_multiple_of(KEPT)).then_some(directory);
        self.way.push(Level { name, open, left });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Mode, mkdirat};

    use super::*;

    const NONE: Usage = Usage {
        bytes: u64::MAX,
        files: u64::MAX,
    };

    #[test]
    fn what_is_written_is_counted_and_what_links_lead_to_is_not() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("directory")).unwrap();
        fs::write(root.path().join("directory/file"), vec![1; 64 << 10]).unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        let usage = measure(&[root.path()], NONE);
        assert_eq!(usage.files, 3);
        assert!((64 << 10..128 << 10).contains(&usage.bytes), "{usage:?}");
    }

    #[test]
    fn a_file_of_many_names_takes_its_space_once() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("0"), vec![1; 1 << 20]).unwrap();
        for name in 1..10 {
            let other = root.path().join(name.to_string());
            fs::hard_link(root.path().join("0"), other).unwrap();
        }
        let usage = measure(&[root.path()], NONE);
        assert_eq!(usage.files, 10);
        // Rounded down for each name.
        let expected = (1 << 20) - 10..=(1 << 20) + 8192;
        assert!(expected.contains(&usage.bytes), "{usage:?}");
    }

    #[test]
    fn what_a_layer_holds_is_all_its_own_whoever_else_has_it() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(root.path().join("0"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(root.path().join("0"), root.path().join("1")).unwrap();
        fs::hard_link(root.path().join("0"), other.path().join("0")).unwrap();
        for directory in [root.path(), other.path()] {
            let bytes = weigh(&[directory]).bytes;
            assert!((1 << 20..(1 << 20) + 8192).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn no_depth_hides_anything() {
        let root = tempfile::tempdir().unwrap();
        let mut directory = descent::directory(CWD, root.path()).unwrap();
        for _ in 0..3000 {
            mkdirat(&directory, c"below", Mode::RWXU).unwrap();
            directory = descent::directory(&directory, c"below").unwrap();
        }
        mkdirat(&directory, c"last", Mode::RWXU).unwrap();
        assert_eq!(measure(&[root.path()], NONE).files, 3001);
    }

    #[test]
    fn counting_ends_at_the_limit() {
        let root = tempfile::tempdir().unwrap();
        for name in 0..100 {
            fs::write(root.path().join(name.to_string()), "").unwrap();
        }
        let limits = Usage { files: 10, ..NONE };
        assert_eq!(measure(&[root.path()], limits).files, 11);
    }

    #[test]
    fn a_part_that_is_not_there_counts_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            measure(&[root.path().join("system")], NONE),
            Usage::default()
        );
    }
}
