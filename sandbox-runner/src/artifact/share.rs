//! A file that the agent shares, read by a program inside its sandbox: what is not in there cannot come
//! out, whatever links lead where.

use std::time::Duration;

use protocol::SandboxId;
use protocol::api::MAX_ARTIFACT;

use crate::image::WORKSPACE;
use crate::init::wire::{ExecSpec, Exit};
use crate::sandbox::SandboxBackend;

const READING: Duration = Duration::from_secs(30);

/// Prints the file `$1` if it is one of the workspace or of /tmp and has at most `$2` bytes. Where a link
/// leads counts, not where it is.
const READ: &str = r#"
path=$(realpath -e -- "$1" 2>/dev/null) || { echo "There is no file $1." >&2; exit 3; }
case $path in
    "$3"/*|/tmp/*) ;;
    *) echo "Only files in the workspace and in /tmp can be shared." >&2; exit 3 ;;
esac
[ -f "$path" ] || { echo "$1 is not a regular file." >&2; exit 3; }
size=$(stat -c %s -- "$path")
[ "$size" -gt 0 ] || { echo "$1 is empty." >&2; exit 3; }
[ "$size" -le "$2" ] || { echo "$1 has $size bytes; at most $2 can be shared." >&2; exit 3; }
exec head -c "$2" -- "$path"
"#;

/// The bytes, or a sentence for the agent.
pub async fn read(
    backend: &dyn SandboxBackend,
    place: &SandboxId,
    path: &str,
) -> Result<Vec<u8>, String> {
    let most = MAX_ARTIFACT.to_string();
    let argv = ["sh", "-c", READ, "sh", path, &most, WORKSPACE];
    let spec = ExecSpec::new(argv, READING)
        .cwd(WORKSPACE)
        .env("LC_ALL", "C.UTF-8");
    let output = match backend.exec(place, &spec).await {
        Ok(running) => running.output().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match output {
        Ok(output) if output.exit == Exit::Code(0) && !output.truncated => Ok(output.stdout),
        Ok(output) if output.exit == Exit::Code(3) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(said.trim().chars().take(500).collect())
        }
        Ok(output) => {
            tracing::warn!(sandbox = %place, exit = ?output.exit, "a file could not be read for sharing");
            Err("The file could not be read.".to_owned())
        }
        Err(error) => {
            tracing::warn!(sandbox = %place, error, "a file could not be read for sharing");
            Err("The file could not be read.".to_owned())
        }
    }
}
