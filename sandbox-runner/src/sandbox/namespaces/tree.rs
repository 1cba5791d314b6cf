//! Copies small trees that a sandbox wrote, while nobody can change them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

/// Copies what is below a directory into one that exists. Files, links and directories only: a
/// socket or a pipe means nothing without its process. No link is followed.
pub(super) fn copy(from: &Path, to: &Path, owner: Option<u32>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, source, target) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        let mode = entry.metadata()?.mode() & 0o777;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, owner)?;
            fs::set_permissions(&target, Permissions::from_mode(mode))?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            fs::set_permissions(&target, Permissions::from_mode(mode))?;
        } else {
            continue;
        }
        if owner.is_some() {
            lchown(&target, owner, owner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_links_are_copied_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir_all(from.join("directory")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("directory/file"), "text").unwrap();
        let mode = Permissions::from_mode(0o640);
        fs::set_permissions(from.join("directory/file"), mode).unwrap();
        symlink("/etc/shadow", from.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();

        copy(&from, &to, None).unwrap();
        let copied = to.join("directory/file");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "text");
        assert_eq!(fs::metadata(copied).unwrap().mode() & 0o777, 0o640);
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("/etc/shadow")
        );
        assert!(!to.join("socket").exists());
    }
}
