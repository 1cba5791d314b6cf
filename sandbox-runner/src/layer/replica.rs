//! A copy of what a sandbox wrote, beside what it goes on to write in.
//!
//! It is made in two passes. The first one copies while the sandbox runs, so it may have missed or
//! mixed anything; the second one is made while nothing runs. A file that has not changed since an
//! earlier pass is a hard link to that pass's copy, so the stop is as long as there are files and
//! changes, not as long as there are bytes. No copy is ever written to again.
//!
//! Every change of a file sets its change time, which no program can choose, except one by a memory
//! map whose page is to be written out already. So a file counts as unchanged only if its last
//! change is older than the `syncfs` before the first pass, with room for a coarse clock.
//!
//! What is read is hostile, and runs during the first pass: each name is opened in the directory
//! above it, and no link is followed.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, SeekFrom, Stat, XattrFlags, copy_file_range, fsetxattr,
    fstat, ioctl_ficlone, mknodat, readlinkat, seek, statat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::archive::extended_of;
use super::collection::Usage;
use super::descent;
use super::overlay::{make_whiteout, set_time};

/// No deeper than what an archive takes.
const MAX_DEPTH: usize = 128;
/// So many files are known again; of more, each pass copies the rest.
const MAX_KNOWN: usize = 200_000;
/// What a volume keeps free.
const RESERVE: u64 = 1 << 30;
/// So much is copied between two looks at the time and the volume.
const CHUNK: u64 = 32 << 20;
/// Coarser than any clock that files get their times from.
const COARSE_SECONDS: i128 = 1;

#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    #[error("there is too much to copy in the time")]
    Late,
    #[error("the volume has no room for a copy")]
    Full,
    #[error("failed to copy {path}")]
    Copy {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What was copied by one pass, and where it is.
#[derive(Debug, Default)]
pub struct Replica {
    root: PathBuf,
    /// Of each file, by its path, as it was when it was copied.
    known: HashMap<PathBuf, Seen>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: i128,
    changed: (i128, i128),
}

#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Seconds since 1970 before which all that was written is on the disk.
    pub synced: i64,
    pub limit: Duration,
    /// Whether the files may change meanwhile, so that not all need be there in the end.
    pub live: bool,
}

/// For [`Pass::synced`]: when it is before a `syncfs`.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0))
}

impl Seen {
    fn of(about: &Stat) -> Self {
        Self {
            device: about.st_dev,
            inode: about.st_ino,
            size: about.st_size.into(),
            changed: (about.st_ctime.into(), about.st_ctime_nsec.into()),
        }
    }
}

impl Replica {
    /// Copies what is below `from` to `to`, which must not exist.
    pub fn make(from: &Path, to: &Path, earlier: &Self, pass: Pass) -> Result<Self, ReplicaError> {
        let mut copying = Copying {
            to,
            earlier,
            pass,
            settled: i128::from(pass.synced) - COARSE_SECONDS,
            deadline: Instant::now() + pass.limit,
            by_root: geteuid().is_root(),
            links: HashMap::new(),
            since_look: 0,
            known: HashMap::new(),
        };
        copying.look()?;
        let at = |error: io::Error| failed(from, error);
        let root = descent::directory(CWD, from).map_err(|error| at(error.into()))?;
        fs::create_dir(to).map_err(at)?;
        copying.directory(root, Path::new(""), 0)?;
        Ok(Self {
            root: to.to_owned(),
            known: copying.known,
        })
    }

    /// The copy is somewhere else now.
    pub fn moved(self, root: PathBuf) -> Self {
        Self { root, ..self }
    }
}

fn failed(path: &Path, source: io::Error) -> ReplicaError {
    ReplicaError::Copy {
        path: path.to_owned(),
        source,
    }
}

struct Copying<'a> {
    to: &'a Path,
    earlier: &'a Replica,
    pass: Pass,
    /// What changed before is certain to be seen when it changes again.
    settled: i128,
    deadline: Instant,
    by_root: bool,
    /// The first path of each file that has several.
    links: HashMap<u64, PathBuf>,
    since_look: u64,
    known: HashMap<PathBuf, Seen>,
}

impl Copying<'_> {
    /// Fills a directory that exists, and completes it: its time would change again, and its mode
    /// may forbid to write.
    fn directory(&mut self, from: OwnedFd, path: &Path, depth: usize) -> Result<(), ReplicaError> {
        let target = self.to.join(path);
        let at = |error: io::Error| failed(&target, error);
        let open = Permissions::from_mode(0o700);
        fs::set_permissions(&target, open).map_err(at)?;
        let entries = Dir::read_from(&from).map_err(|error| at(error.into()))?;
        for entry in entries {
            let entry = entry.map_err(|error| at(error.into()))?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            match self.entry(&from, name, &below, depth) {
                // Whatever it is, the next pass meets it again.
                Err(ReplicaError::Copy { source, .. }) if self.pass.live && !is_full(&source) => {}
                copied => copied?,
            }
        }
        let complete = || -> io::Result<()> {
            let about = fstat(&from)?;
            let made = File::open(&target)?;
            for (name, value) in extended_of(&from)? {
                fsetxattr(&made, name.as_str(), &value, XattrFlags::empty())?;
            }
            self.finish(&target, &about)
        };
        complete().map_err(at)
    }

    fn entry(
        &mut self,
        above: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> Result<(), ReplicaError> {
        if Instant::now() >= self.deadline {
            return Err(ReplicaError::Late);
        }
        let target = self.to.join(path);
        let at = |error: io::Error| failed(&target, error);
        let about = statat(above, name, AtFlags::SYMLINK_NOFOLLOW);
        let about = about.map_err(|error| at(error.into()))?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
            return self.leaf(above, name, path, &about);
        }
        if depth >= MAX_DEPTH {
            return Err(at(io::Error::other("it lies too deep")));
        }
        let opened = descent::directory(above, name);
        let opened = opened.map_err(|error| at(error.into()))?;
        fs::create_dir(&target).map_err(at)?;
        self.directory(opened, path, depth + 1)
    }

    fn leaf(
        &mut self,
        above: &OwnedFd,
        name: &CStr,
        path: &Path,
        about: &Stat,
    ) -> Result<(), ReplicaError> {
        let target = self.to.join(path);
        let at = |error: io::Error| failed(&target, error);
        let mut seen = Seen::of(about);
        let earlier = self.earlier.known.get(path);
        let earlier = earlier.filter(|earlier| **earlier == seen);
        let first = self.links.get(&about.st_ino).cloned();
        if let Some(first) = first {
            fs::hard_link(first, &target).map_err(at)?;
        } else if earlier.is_none() || fs::hard_link(self.earlier.root.join(path), &target).is_err()
        {
            match FileType::from_raw_mode(about.st_mode) {
                FileType::RegularFile => seen = self.file(above, name, &target)?,
                FileType::Symlink => {
                    let link = readlinkat(above, name, Vec::new());
                    let link = link.map_err(|error| at(error.into()))?;
                    symlink(OsStr::from_bytes(link.to_bytes()), &target)
                        .and_then(|()| self.finish(&target, about))
                        .map_err(at)?;
                }
                FileType::CharacterDevice if about.st_rdev == 0 => {
                    make_whiteout(&target).map_err(at)?;
                }
                FileType::Fifo => {
                    mknodat(CWD, &target, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                        .map_err(io::Error::from)
                        .and_then(|()| self.finish(&target, about))
                        .map_err(at)?;
                }
                // One that nobody listens to any more is nothing.
                FileType::Socket => return Ok(()),
                _ => return Err(at(io::Error::other("it is a device"))),
            }
        }
        if about.st_nlink > 1 {
            self.links.entry(about.st_ino).or_insert(target);
        }
        if seen.changed.0 < self.settled && self.known.len() < MAX_KNOWN {
            self.known.insert(path.to_owned(), seen);
        }
        Ok(())
    }

    /// What the file was before the first of its bytes was read.
    fn file(&mut self, above: &OwnedFd, name: &CStr, target: &Path) -> Result<Seen, ReplicaError> {
        let at = |error: Errno| failed(target, error.into());
        let from = descent::file(above, name).map_err(at)?;
        let about = fstat(&from).map_err(at)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(failed(target, io::Error::other("it changed meanwhile")));
        }
        let to = File::create_new(target).map_err(|error| failed(target, error))?;
        let size = u64::try_from(about.st_size).unwrap_or(0);
        self.content(&from, &to, size, target)?;
        let complete = || -> io::Result<()> {
            for (name, value) in extended_of(&from)? {
                fsetxattr(&to, name.as_str(), &value, XattrFlags::empty())?;
            }
            self.finish(target, &about)
        };
        complete().map_err(|error| failed(target, error))?;
        Ok(Seen::of(&about))
    }

    /// Shares the blocks where the file system can; copies only what is no hole.
    fn content(
        &mut self,
        from: &OwnedFd,
        to: &File,
        size: u64,
        target: &Path,
    ) -> Result<(), ReplicaError> {
        if size == 0 || ioctl_ficlone(to, from).is_ok() {
            return Ok(());
        }
        let at = |error: Errno| failed(target, error.into());
        to.set_len(size).map_err(|error| failed(target, error))?;
        let mut reached = 0;
        while reached < size {
            let start = match seek(from, SeekFrom::Data(reached)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(error) => return Err(at(error)),
            };
            let end = seek(from, SeekFrom::Hole(start)).map_err(at)?.min(size);
            let (mut read, mut written) = (start, start);
            while read < end {
                let length = usize::try_from((end - read).min(CHUNK)).unwrap_or(usize::MAX);
                let copied = copy_file_range(from, Some(&mut read), to, Some(&mut written), length);
                match copied.map_err(at)? {
                    0 => break,
                    copied => self.count(copied)?,
                }
            }
            reached = end.max(start.saturating_add(1));
        }
        Ok(())
    }

    fn finish(&self, target: &Path, about: &Stat) -> io::Result<()> {
        if self.by_root {
            lchown(target, Some(about.st_uid), Some(about.st_gid))?;
        }
        if FileType::from_raw_mode(about.st_mode) != FileType::Symlink {
            fs::set_permissions(target, Permissions::from_mode(about.st_mode & 0o7777))?;
        }
        let nanoseconds = i64::try_from(about.st_mtime_nsec).unwrap_or(0);
        set_time(target, about.st_mtime, nanoseconds)
    }

    fn count(&mut self, bytes: usize) -> Result<(), ReplicaError> {
        self.since_look = self
            .since_look
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.since_look < CHUNK {
            return Ok(());
        }
        self.since_look = 0;
        self.look()
    }

    fn look(&self) -> Result<(), ReplicaError> {
        if Instant::now() >= self.deadline {
            return Err(ReplicaError::Late);
        }
        let above = self.to.parent().unwrap_or(self.to);
        let usage = Usage::of(above).map_err(|error| failed(above, error))?;
        if usage.free_bytes < RESERVE {
            return Err(ReplicaError::Full);
        }
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
