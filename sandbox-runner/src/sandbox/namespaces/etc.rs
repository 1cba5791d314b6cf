//! What sandboxes see as `/etc`: made up, and the same for all of them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::directory::{self, READABLE};

/// Parts of the host's `/etc` that programs need and that say nothing about the host.
pub(super) const SHARED: [&str; 9] = [
    "alternatives",
    "ssl/certs",
    "ld.so.cache",
    "localtime",
    // Debian keeps parts of these programs there. Maven's settings can hold credentials and stay.
    "java-17-openjdk",
    "java-21-openjdk",
    "java-25-openjdk",
    "maven/m2.conf",
    "maven/logging",
];

const FILES: [(&str, &str); 5] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\n\
         agent:x:1000:1000:agent:/home/agent:/bin/bash\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    (
        "hosts",
        "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
    ),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
    // The runner answers on this port.
    ("resolv.conf", "nameserver 127.0.0.1\n"),
];

/// Writes the directory, with places for what is mounted there.
pub(super) fn write(etc: &Path) -> io::Result<()> {
    directory::create(etc, READABLE)?;
    for (name, content) in FILES {
        write_if_changed(&etc.join(name), content)?;
    }
    for name in SHARED {
        let place = etc.join(name);
        let Ok(metadata) = fs::metadata(Path::new("/etc").join(name)) else {
            continue;
        };
        if let Some(parent) = place.parent() {
            directory::create(parent, READABLE)?;
        }
        if metadata.is_dir() {
            directory::create(&place, READABLE)?;
        } else {
            write_if_changed(&place, "")?;
        }
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}
