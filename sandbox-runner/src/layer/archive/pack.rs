//! Writes a layer as an archive.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tar::{Builder, EntryType, Header};

use super::attributes::{Attributes, extended};
use super::{ArchiveError, BUFFER, LEVEL, Limits, MAX_DEPTH, MAX_PATH, Measured, Packed};
use crate::layer::overlay::is_whiteout;
use crate::layer::{AGENT, FS, SYSTEM};
use crate::sandbox::confinement::AGENT_ID;

/// The parts of a layer in the order of their names.
const PARTS: [&str; 3] = [AGENT, FS, SYSTEM];

/// `layer` is the directory that holds the layer's parts. It must not change meanwhile.
pub fn pack(layer: &Path, writer: impl Write) -> Result<Packed, ArchiveError> {
    let written = ArchiveError::Write;
    let encoder = zstd::Encoder::new(Measured::new(writer), LEVEL).map_err(written)?;
    let mut packer = Packer {
        builder: Builder::new(BufWriter::with_capacity(BUFFER, encoder)),
        links: HashMap::new(),
        content: 0,
        entries: 0,
        limits: Limits::default(),
    };
    for part in PARTS {
        let path = layer.join(part);
        match path.try_exists() {
            Ok(true) => packer.tree(path, part.as_bytes().to_vec())?,
            Ok(false) => {}
            Err(source) => return Err(ArchiveError::Read { path, source }),
        }
    }
    let buffer = packer.builder.into_inner().map_err(written)?;
    let encoder = buffer.into_inner();
    let encoder = encoder.map_err(|error| ArchiveError::Write(error.into_error()))?;
    let mut measured = encoder.finish().map_err(written)?;
    measured.flush().map_err(written)?;
    Ok(Packed {
        size: measured.size,
        digest: measured.digest(),
        content: packer.content,
    })
}

struct Packer<W: Write> {
    builder: Builder<W>,
    /// The first path of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    content: u64,
    entries: u64,
    limits: Limits,
}

impl<W: Write> Packer<W> {
    /// A directory before what is in it, names in ascending order.
    fn tree(&mut self, path: PathBuf, name: Vec<u8>) -> Result<(), ArchiveError> {
        let mut pending = vec![(path, name)];
        while let Some((path, name)) = pending.pop() {
            let read = |source| ArchiveError::Read {
                path: path.clone(),
                source,
            };
            let metadata = fs::symlink_metadata(&path).map_err(read)?;
            if !metadata.is_dir() {
                self.leaf(&path, &name, &metadata)?;
                continue;
            }
            let mut entry = self.entry(&path, &name, &metadata, EntryType::Directory)?;
            entry.attributes.extended = extended(&path).map_err(read)?;
            self.append(entry, io::empty())?;

            let entries = fs::read_dir(&path).map_err(read)?;
            let children: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.file_name())).collect();
            let mut children = children.map_err(read)?;
            children.sort();
            let child = |child: OsString| {
                let name = [name.as_slice(), child.as_bytes()].join(&b'/');
                (path.join(child), name)
            };
            pending.extend(children.into_iter().rev().map(child));
        }
        Ok(())
    }

    fn leaf(&mut self, path: &Path, name: &[u8], metadata: &Metadata) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read {
            path: path.to_owned(),
            source,
        };
        let kind = metadata.file_type();
        // A socket that nobody listens to any more is nothing.
        if kind.is_socket() {
            return Ok(());
        }
        if metadata.nlink() > 1 && !kind.is_char_device() {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&file) {
                let link = first.clone();
                let mut entry = self.entry(path, name, metadata, EntryType::Link)?;
                entry.attributes.time = None;
                entry.set_link(link);
                return self.append(entry, io::empty());
            }
            self.links.insert(file, name.to_vec());
        }
        if kind.is_file() {
            return self.file(path, name, metadata);
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(read)?;
            let mut entry = self.entry(path, name, metadata, EntryType::Symlink)?;
            entry.set_link(target.as_os_str().as_bytes().to_vec());
            return self.append(entry, io::empty());
        }
        if kind.is_fifo() {
            let entry = self.entry(path, name, metadata, EntryType::Fifo)?;
            return self.append(entry, io::empty());
        }
        if is_whiteout(metadata) {
            let mut entry = self.entry(path, name, metadata, EntryType::Char)?;
            // A whiteout has nothing of its own.
            entry.header.set_mode(0);
            entry.header.set_mtime(0);
            let device = entry.header.set_device_major(0);
            device
                .and_then(|()| entry.header.set_device_minor(0))
                .map_err(ArchiveError::Write)?;
            entry.attributes.time = None;
            return self.append(entry, io::empty());
        }
        Err(unsupported(path, "it is a device"))
    }

    fn file(&mut self, path: &Path, name: &[u8], metadata: &Metadata) -> Result<(), ArchiveError> {
        let read = |source| ArchiveError::Read {
            path: path.to_owned(),
            source,
        };
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let file = File::options()
            .read(true)
            .custom_flags(flags.cast_signed())
            .open(path)
            .map_err(read)?;
        let mut entry = self.entry(path, name, metadata, EntryType::Regular)?;
        entry.attributes.extended = extended(path).map_err(read)?;
        let size = metadata.len();
        entry.header.set_size(size);
        self.content = self.content.saturating_add(size);
        let mut content = file.take(size);
        self.append(entry, &mut content)?;
        if content.limit() == 0 {
            Ok(())
        } else {
            Err(unsupported(path, "it changed while it was read"))
        }
    }

    fn entry(
        &self,
        path: &Path,
        name: &[u8],
        metadata: &Metadata,
        kind: EntryType,
    ) -> Result<Entry, ArchiveError> {
        let depth = name.split(|byte| *byte == b'/').count();
        if name.len() > MAX_PATH || depth > MAX_DEPTH {
            return Err(unsupported(path, "it lies too deep"));
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(metadata.mode() & 0o1777);
        header.set_uid(AGENT_ID.into());
        header.set_gid(AGENT_ID.into());
        header.set_size(0);
        let seconds = metadata.mtime().max(0);
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        header.set_mtime(seconds.cast_unsigned());
        let mut attributes = Attributes::default();
        if nanoseconds > 0 {
            attributes.time = Some((seconds, nanoseconds));
        }
        if !set_short(&mut header.as_old_mut().name, name) {
            attributes.path = Some(name.to_vec());
        }
        Ok(Entry { header, attributes })
    }

    fn append(&mut self, mut entry: Entry, content: impl io::Read) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries || self.content > self.limits.content {
            return Err(ArchiveError::TooLarge(self.limits));
        }
        let records = entry.attributes.records();
        let records = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        entry.header.set_cksum();
        self.builder
            .append_pax_extensions(records)
            .and_then(|()| self.builder.append(&entry.header, content))
            .map_err(ArchiveError::Write)
    }
}

struct Entry {
    header: Header,
    attributes: Attributes,
}

impl Entry {
    fn set_link(&mut self, target: Vec<u8>) {
        if !set_short(&mut self.header.as_old_mut().linkname, &target) {
            self.attributes.link = Some(target);
        }
    }
}

/// Whether the text fits.
fn set_short(field: &mut [u8; 100], text: &[u8]) -> bool {
    match field.get_mut(..text.len()) {
        Some(place) => {
            place.copy_from_slice(text);
            true
        }
        None => false,
    }
}

fn unsupported(path: &Path, reason: &'static str) -> ArchiveError {
    ArchiveError::Unsupported {
        path: PathBuf::from(path),
        reason,
    }
}
