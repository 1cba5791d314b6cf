//! What a sandbox sees, as arguments for bubblewrap.
//!
//! The host's programs are there, read-only, and nothing else of the host: `/etc` is made up, the
//! home is an overlay on the layers, `/proc` and `/dev` are the sandbox's own. The network has only
//! a loopback. Nothing but the home, `/tmp`, `/run` and `/dev/shm` can be written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::HOME;
use super::directory::{self, READABLE};
use super::state::SandboxDirectory;

/// The user and group that everything in a sandbox runs as, seen from inside.
const USER: &str = "1000";
const NAME: &str = "agent";
const HOST_NAME: &str = "sandbox";
/// Where init's program is, seen from inside.
const INIT: &str = "/run/init";
/// A sandbox could otherwise fill the machine's memory through its `/tmp`.
const TMP_BYTES: &str = "1073741824";
const RUN_BYTES: &str = "16777216";
const PATH: &str = "/home/agent/.local/bin:/home/agent/.cargo/bin:\
    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Parts of the host's `/etc` that programs need and that say nothing about the host.
const SHARED_ETC: [&str; 4] = ["alternatives", "ssl/certs", "ld.so.cache", "localtime"];

const ETC: [(&str, &str); 5] = [
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
    // Names are looked up by the gateway, outside.
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
    ("resolv.conf", ""),
];

pub(super) struct View<'a> {
    pub(super) directory: &'a SandboxDirectory,
    /// Lowest first, at least one.
    pub(super) layers: &'a [PathBuf],
    pub(super) etc: &'a Path,
    pub(super) init: &'a Path,
    /// Read-only directories, each seen as `/opt/<name>`.
    pub(super) tools: &'a [(String, PathBuf)],
    pub(super) env: &'a BTreeMap<String, String>,
}

impl View<'_> {
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        arguments.push([
            "--unshare-all",
            "--unshare-user",
            "--disable-userns",
            "--new-session",
        ]);
        arguments.push(["--as-pid-1", "--cap-drop", "ALL", "--hostname", HOST_NAME]);
        arguments.push(["--uid", USER, "--gid", USER, "--json-status-fd", "1"]);
        self.environment(&mut arguments);

        arguments.push_bind("--ro-bind", Path::new("/usr"), "/usr");
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => arguments.push_bind("--symlink", &target, &format!("/{name}")),
                Err(_) => arguments.push_bind("--ro-bind-try", &path, &format!("/{name}")),
            }
        }
        arguments.push_bind("--ro-bind", self.etc, "/etc");
        for name in SHARED_ETC {
            let path = Path::new("/etc").join(name);
            arguments.push_bind("--ro-bind-try", &path, &format!("/etc/{name}"));
        }
        arguments.push(["--proc", "/proc", "--dev", "/dev"]);
        arguments.push(["--perms", "1777", "--size", TMP_BYTES, "--tmpfs", "/tmp"]);
        arguments.push(["--perms", "0755", "--size", RUN_BYTES, "--tmpfs", "/run"]);
        arguments.push_bind("--ro-bind", self.init, INIT);
        arguments.push_bind("--bind", &self.directory.agent(), "/run/agent");
        arguments.push_bind("--ro-bind", &self.directory.gateway(), "/run/gateway");
        for (name, path) in self.tools {
            arguments.push_bind("--ro-bind", path, &format!("/opt/{name}"));
        }
        arguments.push(["--perms", "0755", "--dir", "/home"]);
        for layer in self.layers {
            arguments.push(["--overlay-src"]);
            arguments.0.push(layer.into());
        }
        arguments.push(["--overlay"]);
        arguments.0.push(self.directory.upper().into());
        arguments.push_bind_target(&self.directory.work(), HOME);
        arguments.push(["--remount-ro", "/", "--chdir", HOME, "--", INIT, "init"]);
        arguments.0
    }

    fn environment(&self, arguments: &mut Arguments) {
        let mut path = String::new();
        for (name, directory) in self.tools {
            if directory.join("bin").is_dir() {
                path.push_str(&format!("/opt/{name}/bin:"));
            }
        }
        path.push_str(PATH);
        arguments.push(["--clearenv", "--setenv", "PATH", &path]);
        arguments.push(["--setenv", "HOME", HOME, "--setenv", "USER", NAME]);
        arguments.push([
            "--setenv",
            "LOGNAME",
            NAME,
            "--setenv",
            "SHELL",
            "/bin/bash",
        ]);
        arguments.push(["--setenv", "LANG", "C.UTF-8"]);
        for (name, value) in self.env {
            arguments.push(["--setenv", name, value]);
        }
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn push<const N: usize>(&mut self, arguments: [&str; N]) {
        self.0.extend(arguments.map(OsString::from));
    }

    fn push_bind(&mut self, option: &str, from: &Path, to: &str) {
        self.0.push(option.into());
        self.push_bind_target(from, to);
    }

    fn push_bind_target(&mut self, from: &Path, to: &str) {
        self.0.push(from.into());
        self.0.push(to.into());
    }
}

/// Writes the directory that every sandbox sees as `/etc`, with places for what is mounted there.
pub(super) fn write_etc(etc: &Path) -> io::Result<()> {
    directory::create(etc, READABLE)?;
    for (name, content) in ETC {
        write_if_changed(&etc.join(name), content)?;
    }
    directory::create(&etc.join("ssl"), READABLE)?;
    for name in SHARED_ETC {
        let place = etc.join(name);
        match fs::metadata(Path::new("/etc").join(name)) {
            Ok(metadata) if metadata.is_dir() => directory::create(&place, READABLE)?,
            Ok(_) => write_if_changed(&place, "")?,
            Err(_) => {}
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
