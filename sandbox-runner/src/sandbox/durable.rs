//! Files that are whole after a crash: written beside, synchronised, renamed into place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

/// The file has the old or the new content at every moment, and the new one after power returns.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write(path, value, File::sync_data)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// As [`write_json`], for content that has no meaning after a reboot.
pub(crate) fn write_json_for_this_boot(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write(path, value, |_| Ok(()))
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_data()
}

fn write(
    path: &Path,
    value: &impl Serialize,
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    sync(&file)?;
    fs::rename(&beside, path)
}
