//! Bubblewrap, which the launcher is compared with: the same kinds of namespaces and mounts over an
//! equal overlay, without control groups, filters, ports that lead out and anything that is kept.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::{BenchError, io};

pub struct Bubblewrap {
    program: String,
    directory: PathBuf,
    lowers: Vec<PathBuf>,
}

impl Bubblewrap {
    /// With as many layers below the one that is written to; nothing where `BWRAP_BIN` is not set.
    pub fn find(directory: &Path, layers: usize) -> Result<Option<Self>, BenchError> {
        let Ok(program) = std::env::var("BWRAP_BIN") else {
            return Ok(None);
        };
        let mut lowers = Vec::new();
        for layer in 0..layers {
            let lower = directory.join(format!("lower-{layer}"));
            let file = lower.join(format!("layer-{layer}"));
            std::fs::create_dir_all(&lower)
                .and_then(|()| std::fs::write(file, "layer\n"))
                .map_err(io("make an overlay's folder"))?;
            lowers.push(lower);
        }
        Ok(Some(Self {
            program,
            directory: directory.to_owned(),
            lowers,
        }))
    }

    /// A program in a sandbox; what is written in those of one number is the same.
    pub fn command(&self, number: usize, program: &str) -> Result<Command, BenchError> {
        let [upper, work] =
            ["upper", "work"].map(|name| self.directory.join(format!("{name}-{number}")));
        for path in [&upper, &work] {
            std::fs::create_dir_all(path).map_err(io("make an overlay's folder"))?;
        }
        let mut command = Command::new(&self.program);
        command
            .args(["--unshare-all", "--unshare-user", "--disable-userns"])
            .args(["--new-session", "--as-pid-1", "--cap-drop", "ALL"])
            .args(["--hostname", "sandbox"])
            .args(["--uid", "1000", "--gid", "1000", "--clearenv"])
            .args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"])
            .args(["--symlink", "usr/lib", "/lib"])
            .args(["--symlink", "usr/lib64", "/lib64"])
            .args(["--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"])
            .args(["--proc", "/proc", "--dev", "/dev"])
            .args(["--tmpfs", "/tmp", "--tmpfs", "/run"]);
        for lower in &self.lowers {
            command.arg("--overlay-src").arg(lower);
        }
        command
            .arg("--overlay")
            .args([&upper, &work])
            .args(["/home/agent", "--remount-ro", "/"])
            .args(["--chdir", "/home/agent", "--", program])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// From nothing to the end of a program.
    pub async fn run(&self, number: usize, program: &str) -> Result<Duration, BenchError> {
        let mut command = self.command(number, program)?;
        let began = Instant::now();
        let status = command.status().await.map_err(io("run bubblewrap"))?;
        let took = began.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(BenchError::Unexpected(
                "bubblewrap alone cannot start a program".to_owned(),
            ))
        }
    }
}
