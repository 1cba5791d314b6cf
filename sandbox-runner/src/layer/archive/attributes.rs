//! What does not fit a tar header: long names, links, exact times and extended attributes.
//!
//! Records are read by their length as POSIX says, since names may hold any byte but zero.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

const PATH: &str = "path";
const LINK: &str = "linkpath";
const TIME: &str = "mtime";
const EXTENDED: &str = "SCHILY.xattr.";

/// The most that is read of them for one entry: a file system keeps no more than 64 KiB.
pub(super) const MAX_ATTRIBUTES: u64 = 128 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    /// Seconds and nanoseconds.
    pub(super) time: Option<(i64, u32)>,
    pub(super) extended: BTreeMap<String, Vec<u8>>,
}

impl Attributes {
    /// As records of an extended header.
    pub(super) fn records(&self) -> Vec<(String, Vec<u8>)> {
        let mut records = Vec::new();
        let path = self.path.clone().map(|path| (PATH.to_owned(), path));
        let link = self.link.clone().map(|link| (LINK.to_owned(), link));
        records.extend(path.into_iter().chain(link));
        if let Some((seconds, nanoseconds)) = self.time {
            let text = format!("{seconds}.{nanoseconds:09}");
            records.push((TIME.to_owned(), text.into_bytes()));
        }
        for (name, value) in &self.extended {
            records.push((format!("{EXTENDED}{name}"), value.clone()));
        }
        records
    }

    /// Nothing if these are not the records that [`Attributes::records`] makes.
    pub(super) fn parse(mut records: &[u8]) -> Option<Self> {
        let mut attributes = Self::default();
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ')?;
            let length = std::str::from_utf8(records.get(..space)?).ok()?;
            let length: usize = length.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = records.get(length..)?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let key = std::str::from_utf8(record.get(..equals)?).ok()?;
            let value = record.get(equals + 1..)?;
            match key {
                PATH => attributes.path = Some(value.to_vec()),
                LINK => attributes.link = Some(value.to_vec()),
                TIME => attributes.time = Some(parse_time(value)?),
                _ => {
                    let name = key.strip_prefix(EXTENDED).filter(|name| is_kept(name))?;
                    attributes.extended.insert(name.to_owned(), value.to_vec());
                }
            }
        }
        Some(attributes)
    }
}

/// The attributes of a file or directory that are part of a layer.
pub(crate) fn extended(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    read_extended(
        |names| llistxattr(path, spare_capacity(names)),
        |name, value| lgetxattr(path, name, spare_capacity(value)),
    )
}

/// The same of one that is open.
pub(crate) fn extended_of(file: impl AsFd) -> io::Result<BTreeMap<String, Vec<u8>>> {
    read_extended(
        |names| flistxattr(&file, spare_capacity(names)),
        |name, value| fgetxattr(&file, name, spare_capacity(value)),
    )
}

fn read_extended(
    mut list: impl FnMut(&mut Vec<u8>) -> Result<usize, Errno>,
    mut get: impl FnMut(&OsStr, &mut Vec<u8>) -> Result<usize, Errno>,
) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = Vec::with_capacity(1024);
    let mut attributes = BTreeMap::new();
    loop {
        match list(&mut names) {
            Ok(_) => break,
            Err(Errno::RANGE) => names.reserve(64 * 1024),
            Err(Errno::NOTSUP) => return Ok(attributes),
            Err(error) => return Err(error.into()),
        }
    }
    for name in names.split(|byte| *byte == 0) {
        let Some(text) = std::str::from_utf8(name).ok().filter(|text| is_kept(text)) else {
            continue;
        };
        let mut value = Vec::with_capacity(64 * 1024);
        get(OsStr::from_bytes(name), &mut value)?;
        attributes.insert(text.to_owned(), value);
    }
    Ok(attributes)
}

/// Of the overlay's own attributes only the opaque mark and what it escapes for its user: the others
/// say something about one machine's disk, or would show a file where another one is.
fn is_kept(name: &str) -> bool {
    let Some(name) = name
        .strip_prefix("user.")
        .filter(|name| !name.contains('='))
    else {
        return false;
    };
    match name.strip_prefix("overlay.") {
        Some(overlay) => overlay == "opaque" || overlay.starts_with("overlay."),
        None => !name.is_empty(),
    }
}

fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let (seconds, nanoseconds) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let nanoseconds = (nanoseconds.len() == 9).then_some(nanoseconds)?;
    let nanoseconds = nanoseconds.parse().ok()?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds >= 0)?;
    Some((seconds, nanoseconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_of_any_bytes_come_back() {
        let attributes = Attributes {
            path: Some(b"fs/a\n12 path=b\xff".to_vec()),
            link: Some(b"fs/=".to_vec()),
            time: Some((1, 20)),
            extended: [("user.overlay.opaque".to_owned(), b"y\0\n".to_vec())].into(),
        };
        let mut builder = tar::Builder::new(Vec::new());
        let records = attributes.records();
        let records = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        builder.append_pax_extensions(records).unwrap();
        let written = builder.into_inner().unwrap();
        let mut archive = tar::Archive::new(written.as_slice());
        let mut entry = archive
            .entries()
            .unwrap()
            .raw(true)
            .next()
            .unwrap()
            .unwrap();
        let mut records = Vec::new();
        io::Read::read_to_end(&mut entry, &mut records).unwrap();
        assert_eq!(Attributes::parse(&records), Some(attributes));
    }

    #[test]
    fn records_of_another_form_are_refused() {
        for records in [
            "9 path=a",
            "99 path=a\n",
            "x path=a\n",
            "4 a\n",
            "0 \n",
            "1 \n",
            "11 size=12\n",
            "12 mtime=-1\n",
            "18 mtime=1.0000000\n",
            "40 SCHILY.xattr.user.overlay.redirect=/\n",
            "39 SCHILY.xattr.security.capability=x\n",
            "18446744073709551616 a=b\n",
        ] {
            assert_eq!(Attributes::parse(records.as_bytes()), None, "{records}");
        }
    }
}
