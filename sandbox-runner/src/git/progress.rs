//! Work in progress as a commit of its own, outside of every branch, and as a bundle that another
//! sandbox can take it from.
//!
//! The commit is made with an index of its own, so neither the agent's index nor its files are
//! touched or waited for. Its parent is what was checked out, so commits that the agent made by
//! itself are in the bundle too. A bundle comes out of a sandbox and goes into one of the same session;
//! nobody reads it in between.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::{GitError, LOCAL, Workspace};
use crate::init::wire::ExecSpec;
use crate::sandbox::channel::ExecFrame;

/// The commit of the work in progress, inside the sandbox.
const REFERENCE: &str = "refs/agent/wip";
/// Where a bundle is put in a sandbox. Not in its home, which a snapshot would keep.
const BUNDLE: &str = "/tmp/wip.bundle";
/// Large untracked files are read and compressed once.
const BUNDLING: Duration = Duration::from_secs(300);
/// What is sent into a sandbox at once. As base64 it has to fit into one request.
const CHUNK: usize = 6 << 20;

/// Makes the commit and prints it: the last one, if there is nothing new. The agent comes first.
const COMMIT: &str = r#"
set -e
renice -n 10 -p $$ >/dev/null 2>&1 || true
directory=$(git rev-parse --git-dir)
index=$directory/agent-wip.index
trap 'rm -f "$index" "$index.lock"' EXIT
rm -f "$index" "$index.lock"
[ ! -f "$directory/index" ] || cp "$directory/index" "$index"
export GIT_INDEX_FILE=$index
git add --all --ignore-errors || true
tree=$(git write-tree)
head=$(git rev-parse --verify HEAD)
known=$(git rev-parse "$1^{tree}" "$1^1" 2>/dev/null || true)
if [ "$known" = "$tree
$head" ]; then
    git rev-parse --verify "$1"
    exit 0
fi
commit=$(git commit-tree -p "$head" -m 'Work in progress' "$tree")
git update-ref "$1" "$commit"
echo "$commit"
"#;

/// Brings the files to the commit in `$1`, as changes that are not committed on its parent, which
/// has the branch `$2`. An ignored file that is in the way is not part of the work, and one that is
/// neither ignored nor part of it was removed.
const RESTORE: &str = r#"
set -e
git checkout --quiet --force -B "$2" "$1^1"
git clean --quiet --force -d
git read-tree -u --reset "$1"
git read-tree --reset "$1^1"
git update-index -q --refresh || true
"#;

/// Joins the work in `$1` with what was pushed meanwhile, `$2`, in a commit upon the latter, and
/// prints what came of it. Nothing in the working tree moves.
const JOIN: &str = r#"
set -e
status=0
joined=$(git merge-tree --write-tree "$2" "$1") || status=$?
if [ $status = 1 ]; then
    git update-ref refs/agent/left "$1"
    git rev-parse "$1"
    exit 0
fi
[ $status = 0 ]
if [ "$joined" = "$(git rev-parse "$2^{tree}")" ]; then
    echo outdated
    exit 0
fi
commit=$(git commit-tree -p "$2" -m 'Work in progress' "$joined")
git update-ref "$1" "$commit"
echo joined
"#;

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("failed to write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the work in progress is larger than {limit} bytes")]
    TooLarge { limit: u64 },
}

/// What became of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Its work is in the workspace, as changes that are not committed.
    Whole,
    /// All of its work is at the forge: the workspace is as it was.
    Outdated,
    /// What was pushed meanwhile changes the same places: the workspace is as it was, and has the
    /// work as this commit besides.
    Conflicting { commit: String },
}

impl Workspace<'_> {
    /// Commits the work in progress; the same commit if it is what it was last time.
    pub async fn record_progress(&self) -> Result<String, GitError> {
        self.script(COMMIT, &[REFERENCE]).by_nobody().text().await
    }

    /// Adds a bundle of the recorded work to the file, of all that `base` does not have. At most
    /// `limit` bytes of it.
    pub async fn bundle_progress(
        &self,
        base: &str,
        path: &Path,
        limit: u64,
    ) -> Result<(), BundleError> {
        let write = |source| BundleError::Write {
            path: path.to_owned(),
            source,
        };
        let mut options = File::options();
        let file = options.create(true).append(true).open(path).await;
        let mut file = file.map_err(write)?;
        let without = format!("^{base}");
        let mut complaint = Vec::new();
        let mut bundling = self
            .git(&["bundle", "create", "--quiet", "-", REFERENCE, &without])
            .within(BUNDLING)
            .start()
            .await?;
        let mut length = 0;
        loop {
            let frame = bundling.next().await.map_err(|source| GitError::Output {
                operation: "bundle".to_owned(),
                source,
            });
            match frame? {
                ExecFrame::Stdout(bytes) => {
                    length += bytes.len() as u64;
                    if length > limit {
                        return Err(BundleError::TooLarge { limit });
                    }
                    file.write_all(&bytes).await.map_err(write)?;
                }
                ExecFrame::Stderr(bytes) => {
                    let room = super::MAX_COMPLAINT.saturating_sub(complaint.len());
                    complaint.extend(bytes.into_iter().take(room));
                }
                ExecFrame::Exit(exit) if exit.success() => break,
                ExecFrame::Exit(_) => {
                    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
                    let operation = "bundle".to_owned();
                    return Err(GitError::Failed {
                        operation,
                        complaint,
                    }
                    .into());
                }
            }
        }
        file.sync_all().await.map_err(write)
    }

    /// Brings a workspace in which nothing was written since its start to the work of the bundle that
    /// begins at `offset` of a file. It has to have the commit that the bundle starts from. `pushed`
    /// is the work branch at the forge, which it has as well.
    pub async fn restore_progress(
        &self,
        work_branch: &str,
        pushed: Option<&str>,
        (bundle, offset): (&Path, u64),
    ) -> Result<Restored, BundleError> {
        self.upload(bundle, offset).await?;
        let refspec = format!("+{REFERENCE}:{REFERENCE}");
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            BUNDLE,
            &refspec,
        ];
        self.git(&fetch).within(BUNDLING).text().await?;
        self.program(["rm", "-f", BUNDLE]).text().await?;
        if let Some(pushed) = pushed
            && !self.is_ancestor(pushed, REFERENCE).await?
        {
            let joining = self.script(JOIN, &[REFERENCE, pushed]);
            match joining.by_nobody().text().await?.as_str() {
                "joined" => {}
                "outdated" => return Ok(Restored::Outdated),
                commit => {
                    let commit = commit.to_owned();
                    return Ok(Restored::Conflicting { commit });
                }
            }
        }
        self.script(RESTORE, &[REFERENCE, work_branch])
            .unbroken()
            .text()
            .await?;
        Ok(Restored::Whole)
    }

    /// A program's input is text in one request, so a bundle goes in by pieces.
    async fn upload(&self, bundle: &Path, offset: u64) -> Result<(), BundleError> {
        let read = |source| BundleError::Read {
            path: bundle.to_owned(),
            source,
        };
        let mut file = File::open(bundle).await.map_err(read)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(read)?;
        self.program(["sh", "-c", ": > \"$1\"", "sh", BUNDLE])
            .text()
            .await?;
        loop {
            let mut piece = Vec::with_capacity(CHUNK);
            let taken = (&mut file).take(CHUNK as u64).read_to_end(&mut piece).await;
            if taken.map_err(read)? == 0 {
                return Ok(());
            }
            self.program(["sh", "-c", "base64 -d >> \"$1\"", "sh", BUNDLE])
                .input(&STANDARD.encode(&piece))
                .text()
                .await?;
        }
    }

    /// Several gits with the same settings as one.
    pub(super) fn script(&self, script: &str, arguments: &[&str]) -> super::Git<'_> {
        let shell = ["sh", "-c", script, "sh"];
        let argv = shell.iter().chain(arguments).copied();
        let mut git = self.program(argv);
        for (index, (name, value)) in super::SETTINGS.iter().enumerate() {
            git = git
                .env(&format!("GIT_CONFIG_KEY_{index}"), name)
                .env(&format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        git.env("GIT_CONFIG_COUNT", &super::SETTINGS.len().to_string())
    }

    fn program<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> super::Git<'_> {
        super::Git {
            workspace: self,
            operation: "work in progress".to_owned(),
            spec: ExecSpec::new(argv, LOCAL)
                .cwd(self.directory)
                .env("LC_ALL", "C.UTF-8"),
        }
    }
}

impl super::Git<'_> {
    /// Its commits are no person's.
    pub(super) fn by_nobody(self) -> Self {
        let name = "Work in progress";
        self.env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", "wip@localhost")
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", "wip@localhost")
    }
}
