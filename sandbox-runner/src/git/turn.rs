//! The files as they are at the end of a turn, recorded as a commit outside of every branch, so that
//! what they differ by can be told at leisure, while the next turn writes already.
//!
//! A turn begins with the files that the one before left. What came from upstream in between is not
//! its work, and what people wrote meanwhile is, as it is in the commit that the turn makes.

use super::{GitError, Workspace};

/// The newest record, inside the sandbox.
const REFERENCE: &str = "refs/agent/turn";

/// Records the turn of prompt `$2` at `$1` unless that is its newest record, and prints it: the trees
/// or commits that the session and the turn began with, and the files as they are. Without a prompt it
/// only prints. The work starts
/// from the branch at `$3`; `$4`, if it is not empty, was pushed before this sandbox was there.
const RECORD: &str = r#"
set -e
known=$(git log -1 --format=%B "$1" -- 2>/dev/null || true)
case $2:$known in
:*) ;;
"$2:$2
"*) printf '%s\n' "${known#*
}"; exit 0 ;;
esac
directory=$(git rev-parse --git-dir)
index=$directory/agent-turn.$$.index
trap 'rm -f "$index" "$index.lock"' EXIT
rm -f "$index" "$index.lock"
[ ! -f "$directory/index" ] || cp "$directory/index" "$index"
export GIT_INDEX_FILE=$index
git add --all --ignore-errors >/dev/null 2>&1 || true
files=$(git write-tree)
head=$(git rev-parse --verify HEAD)
last=
session=$(git merge-base "$3" "$head" || git rev-parse --verify "$3^{commit}")
begin=$session
if last=$(git rev-parse --verify --quiet "$1^{commit}"); then
    begin=$last
    if ! git merge-base --is-ancestor "$session" "$last"; then
        begin=$(git merge-tree --write-tree "$last" "$session") || begin=$last
    fi
fi
if [ -n "$4" ] && ! git merge-base --is-ancestor "$4" "${last:-$session}"; then
    begin=$4
fi
record="$session
$begin
$files"
if [ -z "$2" ]; then
    printf '%s\n' "$record"
    exit 0
fi
commit=$(git commit-tree -p "$head" -m "$2
$record" "$files")
git update-ref "$1" "$commit"
printf '%s\n' "$record"
"#;

/// What a turn is compared with: each a commit or a tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recorded {
    /// Where the session's work left the branch that it starts from.
    pub session: String,
    /// The files as the turn found them.
    pub turn: String,
    /// The files at its end.
    pub files: String,
}

impl Workspace<'_> {
    /// Records the files of a turn that has ended; again for the same `mark` it changes nothing.
    /// `base` is what the work is compared with, `found` what was pushed before this sandbox was there.
    pub async fn record_turn(
        &self,
        mark: &str,
        base: &str,
        found: Option<&str>,
    ) -> Result<Recorded, GitError> {
        self.files_of_turn(mark, base, found).await
    }

    /// The files as they are now, for whoever looks at a turn that runs.
    pub async fn look_at_turn(
        &self,
        base: &str,
        found: Option<&str>,
    ) -> Result<Recorded, GitError> {
        self.files_of_turn("", base, found).await
    }

    async fn files_of_turn(
        &self,
        mark: &str,
        base: &str,
        found: Option<&str>,
    ) -> Result<Recorded, GitError> {
        let arguments = [REFERENCE, mark, base, found.unwrap_or_default()];
        let recording = self.script(RECORD, &arguments).by_nobody();
        let printed = recording.text().await?;
        let mut lines = printed.lines().map(str::to_owned);
        match (lines.next(), lines.next(), lines.next()) {
            (Some(session), Some(turn), Some(files)) => Ok(Recorded {
                session,
                turn,
                files,
            }),
            _ => Err(GitError::Failed {
                operation: "record".to_owned(),
                complaint: "it did not say what it recorded".to_owned(),
            }),
        }
    }
}
