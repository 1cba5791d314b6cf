//! The stack's D1: migrated once, then copied, since the migrations take longer than many a test.

use std::path::Path;

use tokio::process::Command;
use tokio::sync::Mutex;

use super::{StackError, environment};

/// One of this process makes the template; another process makes its own, under a name of its own.
static MAKING: Mutex<()> = Mutex::const_new(());

/// Puts a migrated D1 into `directory`: made once for each state of the migrations, then copied.
pub(super) async fn prepare(root: &Path, directory: &Path) -> Result<(), StackError> {
    let migrations = root.join("migrations");
    let template = root
        .join("target/stack-database")
        .join(fingerprint(&migrations)?);
    let alone = MAKING.lock().await;
    if !template.exists() {
        let making = template.with_extension(format!("making-{}", std::process::id()));
        let output = Command::new(environment("WRANGLER_BIN")?)
            .current_dir(root)
            .args([
                "d1",
                "migrations",
                "apply",
                "hosted-agents",
                "--local",
                "--persist-to",
            ])
            .arg(&making)
            .env("CI", "1")
            .env("WRANGLER_SEND_METRICS", "false")
            .output()
            .await
            .map_err(|source| StackError::Directory {
                path: making.clone(),
                source,
            })?;
        if !output.status.success() {
            let output = [output.stdout, output.stderr].concat();
            let output = String::from_utf8_lossy(&output).into_owned();
            return Err(StackError::Migrations { output });
        }
        // Another stack may have been first; theirs is as good.
        let _ = std::fs::rename(&making, &template);
    }
    drop(alone);
    copy_directory(&template, directory).map_err(|source| StackError::Directory {
        path: directory.to_owned(),
        source,
    })
}

/// Names a state of the migrations by the files' names, lengths and times.
fn fingerprint(migrations: &Path) -> Result<String, StackError> {
    let failed = |source| StackError::Directory {
        path: migrations.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(migrations).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        let changed = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |time| time.as_secs());
        names.push(format!(
            "{:?}{}{changed}",
            entry.file_name(),
            metadata.len()
        ));
    }
    names.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in names.concat().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Ok(format!("{hash:016x}"))
}

fn copy_directory(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
