//! Makes a layer's directories from an archive that anybody may have written.
//!
//! Every entry's directory must be one that the archive itself made before, and entries come in
//! ascending order. So each path leads through nothing but directories of this unpacking, no
//! name is given twice, and no link is ever followed. Nothing outside the given directory can be
//! reached, and nothing in it counts before the digest was compared.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};
use rustix::process::geteuid;
use tar::{Archive, EntryType, Header};

use super::attributes::{Attributes, MAX_ATTRIBUTES};
use super::{ArchiveError, BUFFER, Digest, Limits, MAX_DEPTH, MAX_PATH, Measured};
use crate::layer::overlay::{make_whiteout, set_time};
use crate::layer::{AGENT, FS, SYSTEM};
use crate::sandbox::confinement::AGENT_ID;

/// The largest window that has to be kept in memory, as a power of two: 8 MiB.
const WINDOW: u32 = 23;
/// What tar adds to each entry at most: two headers, attributes, padding.
const OVERHEAD: u64 = 3 * 512 + MAX_ATTRIBUTES;

/// Unpacks into an empty directory, and says how many bytes its files hold. The directory is of no
/// use unless this succeeds.
pub fn unpack(
    reader: impl Read,
    expected: &Digest,
    into: &Path,
    limits: Limits,
) -> Result<u64, ArchiveError> {
    let damaged = ArchiveError::Damaged;
    let measured = BufReader::with_capacity(BUFFER, Measured::new(reader));
    let mut decoder = zstd::Decoder::with_buffer(measured).map_err(damaged)?;
    decoder.window_log_max(WINDOW).map_err(damaged)?;
    let most = limits
        .content
        .saturating_add(limits.entries.saturating_mul(OVERHEAD));
    let mut archive = Archive::new(decoder.take(most));
    let mut unpacker = Unpacker {
        into,
        limits,
        entries: 0,
        content: 0,
        last: Vec::new(),
        open: Vec::new(),
        directories: Vec::new(),
        owner: geteuid().is_root().then_some(AGENT_ID),
    };
    unpacker.entries(&mut archive)?;
    unpacker.finish()?;
    let content = unpacker.content;
    // The digest is that of the whole archive, also of what follows its end mark.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(damaged)?;
    let found = rest.into_inner().finish().into_inner().digest();
    if found == *expected {
        Ok(content)
    } else {
        Err(ArchiveError::OtherDigest {
            expected: expected.clone(),
            found,
        })
    }
}

struct Unpacker<'a> {
    into: &'a Path,
    limits: Limits,
    entries: u64,
    content: u64,
    /// The path before this one.
    last: Vec<u8>,
    /// The directories that the last path lies in, and itself if it is one.
    open: Vec<Vec<u8>>,
    /// Completed at the end: their times would change again, and their modes may forbid to write.
    directories: Vec<(PathBuf, Common)>,
    owner: Option<u32>,
}

/// What every kind of entry has.
struct Common {
    mode: u32,
    /// Seconds and nanoseconds.
    time: (i64, u32),
    attributes: Attributes,
}

impl Unpacker<'_> {
    fn entries(&mut self, archive: &mut Archive<impl Read>) -> Result<(), ArchiveError> {
        let mut attributes: Option<Attributes> = None;
        // Raw: extended headers are read here, since they can be of any size.
        let entries = archive.entries().map_err(ArchiveError::Damaged)?;
        for entry in entries.raw(true) {
            let mut entry = entry.map_err(ArchiveError::Damaged)?;
            let header = entry.header().clone();
            if header.entry_type() == EntryType::XHeader {
                let mut records = Vec::new();
                let read = (&mut entry)
                    .take(MAX_ATTRIBUTES + 1)
                    .read_to_end(&mut records)
                    .map_err(ArchiveError::Damaged)?;
                let parsed = (read as u64 <= MAX_ATTRIBUTES && attributes.is_none())
                    .then(|| Attributes::parse(&records))
                    .flatten();
                attributes = Some(parsed.ok_or_else(|| refused(b"", "unknown attributes"))?);
                continue;
            }
            self.entry(&header, attributes.take().unwrap_or_default(), entry)?;
        }
        if attributes.is_some() {
            return Err(refused(b"", "attributes of nothing"));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        header: &Header,
        mut attributes: Attributes,
        content: impl Read,
    ) -> Result<(), ArchiveError> {
        let damaged = ArchiveError::Damaged;
        let short = || header.path_bytes().into_owned();
        let name = attributes.path.take().unwrap_or_else(short);
        self.check_name(&name, header.entry_type())?;
        self.entries += 1;
        self.content = self
            .content
            .saturating_add(header.entry_size().map_err(damaged)?);
        if self.entries > self.limits.entries || self.content > self.limits.content {
            return Err(ArchiveError::TooLarge(self.limits));
        }
        let (seconds, nanoseconds) = match attributes.time {
            Some(time) => time,
            None => (
                i64::try_from(header.mtime().map_err(damaged)?).unwrap_or(0),
                0,
            ),
        };
        let link = attributes.link.take().or_else(|| {
            let link = header.link_name_bytes();
            link.map(|link| link.into_owned())
        });
        let common = Common {
            // Neither a set-user-ID nor a set-group-ID bit comes from somewhere else.
            mode: header.mode().map_err(damaged)? & 0o1777,
            time: (seconds, nanoseconds),
            attributes,
        };
        let path = self.into.join(std::ffi::OsStr::from_bytes(&name));
        let created = match (header.entry_type(), link) {
            (EntryType::Directory, None) => self.directory(&name, &path, common),
            (EntryType::Regular, None) => self.file(&path, &common, content),
            (EntryType::Symlink, Some(target)) => self.symlink(&path, &target, &common),
            (EntryType::Link, Some(target)) => {
                let target = self.link_target(&name, &target)?;
                fs::hard_link(target, &path)
            }
            (EntryType::Fifo, None) => self.fifo(&path, &common),
            (EntryType::Char, None) if is_whiteout(header) => {
                make_whiteout(&path).and_then(|()| self.own(&path))
            }
            _ => return Err(refused(&name, "it is of a kind that no layer has")),
        };
        created.map_err(|source| ArchiveError::Create { path, source })?;
        self.last = name;
        Ok(())
    }

    /// Leaves in `open` the directories that the name lies in.
    fn check_name(&mut self, name: &[u8], kind: EntryType) -> Result<(), ArchiveError> {
        let components = || name.split(|byte| *byte == b'/');
        let plain =
            |component: &[u8]| !matches!(component, b"" | b"." | b"..") && !component.contains(&0);
        if name.len() > MAX_PATH || components().count() > MAX_DEPTH {
            return Err(refused(name, "it lies too deep"));
        }
        if !components().all(plain) {
            return Err(refused(name, "its path is not a plain one"));
        }
        if !self.last.is_empty() && components().le(self.last.split(|byte| *byte == b'/')) {
            return Err(refused(name, "it is out of order"));
        }
        let Some(slash) = name.iter().rposition(|byte| *byte == b'/') else {
            let known = [AGENT, FS, SYSTEM]
                .iter()
                .any(|part| part.as_bytes() == name);
            if !known || kind != EntryType::Directory {
                return Err(refused(name, "it is no part of a layer"));
            }
            self.open.clear();
            return Ok(());
        };
        let parent = name.get(..slash).unwrap_or_default();
        while self.open.last().is_some_and(|open| open != parent) {
            self.open.pop();
        }
        if self.open.is_empty() {
            return Err(refused(name, "it lies in no directory of the archive"));
        }
        Ok(())
    }

    fn directory(&mut self, name: &[u8], path: &Path, common: Common) -> io::Result<()> {
        fs::create_dir(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        self.open.push(name.to_vec());
        self.directories.push((path.to_owned(), common));
        Ok(())
    }

    fn file(&self, path: &Path, common: &Common, mut content: impl Read) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        io::copy(&mut content, &mut file)?;
        drop(file);
        self.complete(path, common)
    }

    fn symlink(&self, path: &Path, target: &[u8], common: &Common) -> io::Result<()> {
        symlink(std::ffi::OsStr::from_bytes(target), path)?;
        self.own(path)?;
        set_time(path, common.time.0, common.time.1.into())
    }

    fn fifo(&self, path: &Path, common: &Common) -> io::Result<()> {
        mknodat(CWD, path, FileType::Fifo, Mode::empty(), 0)?;
        self.complete(path, common)
    }

    /// Only a file of this archive, which is reached through directories alone.
    fn link_target(&self, name: &[u8], target: &[u8]) -> Result<PathBuf, ArchiveError> {
        let outside = || refused(name, "it links to what is no file of the archive");
        let mut path = self.into.to_owned();
        let mut components = target.split(|byte| *byte == b'/').peekable();
        while let Some(component) = components.next() {
            if matches!(component, b"" | b"." | b"..") || component.contains(&0) {
                return Err(outside());
            }
            path.push(std::ffi::OsStr::from_bytes(component));
            let kind = fs::symlink_metadata(&path).map_err(|_| outside())?;
            if kind.is_dir() != components.peek().is_some() {
                return Err(outside());
            }
        }
        Ok(path)
    }

    fn finish(&mut self) -> Result<(), ArchiveError> {
        let fs_part = self.into.join(FS);
        let has_fs = self.directories.iter().any(|(path, _)| *path == fs_part);
        if !has_fs {
            return Err(refused(FS.as_bytes(), "it is missing"));
        }
        for (path, common) in std::mem::take(&mut self.directories).into_iter().rev() {
            self.complete(&path, &common)
                .map_err(|source| ArchiveError::Create { path, source })?;
        }
        Ok(())
    }

    fn complete(&self, path: &Path, common: &Common) -> io::Result<()> {
        for (name, value) in &common.attributes.extended {
            lsetxattr(path, name, value, XattrFlags::CREATE)?;
        }
        self.own(path)?;
        fs::set_permissions(path, Permissions::from_mode(common.mode))?;
        set_time(path, common.time.0, common.time.1.into())
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        match self.owner {
            Some(owner) => lchown(path, Some(owner), Some(owner)),
            None => Ok(()),
        }
    }
}

fn is_whiteout(header: &Header) -> bool {
    let numbers = (header.device_major(), header.device_minor());
    matches!(numbers, (Ok(Some(0)), Ok(Some(0))))
}

fn refused(path: &[u8], reason: &'static str) -> ArchiveError {
    ArchiveError::Refused {
        path: String::from_utf8_lossy(path).into_owned(),
        reason,
    }
}
