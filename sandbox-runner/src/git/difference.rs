//! What two states of the files differ by, for people to look at.
//!
//! Git is asked twice, each time by its plumbing, which no setting of the repository's makes print
//! anything else: once for the list of files, once for the patches, both in one order. Patches name
//! files in quotes, one line each, so no name can be taken for a patch; the list has the names
//! themselves. Files are bounded, each and together, while git prints them.

mod list;
mod patches;

use protocol::api::{ChangedFile, MAX_CHANGED_FILES, Patch};
use tokio::time::Duration;

use self::list::Entry;
use self::patches::Patches;
use super::{Git, GitError, Workspace};
use crate::sandbox::channel::ExecFrame;

const LIMIT: Duration = Duration::from_secs(60);
/// What is larger is not compared line by line.
const LARGE: u64 = 1 << 20;
const THRESHOLD: &str = "core.bigFileThreshold=1m";
/// How many files are compared with how many others, to find those that were renamed.
const RENAMES: &str = "-l1000";

/// Files that differ, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub files: Vec<ChangedFile>,
    /// How many more there are.
    pub omitted: u32,
}

impl Workspace<'_> {
    /// Compares two commits or trees.
    pub async fn difference(&self, from: &str, to: &str) -> Result<Difference, GitError> {
        let listed = self.compare(&["--raw", "--numstat", "-z"], from, to);
        let mut entries = list::parse(&listed.bytes().await?);
        if entries.is_empty() {
            return Ok(Difference::default());
        }
        let omitted = entries.len().saturating_sub(MAX_CHANGED_FILES);
        entries.truncate(MAX_CHANGED_FILES);
        let large = self.large(&entries).await?;
        let mut patches = self.patches(&entries, from, to).await?.into_iter();
        let files = entries.into_iter().enumerate().map(|(place, entry)| {
            let text = patches.next().flatten();
            let patch = match text {
                _ if large.contains(&place) => Patch::TooLarge,
                _ if entry.is_binary() => Patch::Binary,
                Some(hunks) => Patch::Text { hunks },
                None => Patch::TooLarge,
            };
            ChangedFile {
                path: entry.path,
                previous: entry.previous,
                change: entry.change,
                additions: entry.additions,
                deletions: entry.deletions,
                patch,
            }
        });
        let mut files: Vec<ChangedFile> = files.collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Difference {
            files,
            omitted: u32::try_from(omitted).unwrap_or(u32::MAX),
        })
    }

    /// Which of those that git calls binary are only large, by place in the list.
    async fn large(&self, entries: &[Entry]) -> Result<Vec<usize>, GitError> {
        let binary = || {
            let numbered = entries.iter().enumerate();
            numbered.filter(|(_, entry)| entry.is_binary())
        };
        let asked: String = binary()
            .flat_map(|(_, entry)| [&entry.before, &entry.after])
            .map(|object| format!("{object}\n"))
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let sizes = ["cat-file", "--batch-check=%(objectsize)"];
        let sizes = self.git(&sizes).input(&asked).text().await?;
        // Of an object that is not there, such as a submodule's commit, it says so in words.
        let mut sizes = sizes.lines().map(|line| line.parse().unwrap_or(0));
        let mut large = Vec::new();
        for (place, _) in binary() {
            let (before, after): (u64, u64) =
                (sizes.next().unwrap_or(0), sizes.next().unwrap_or(0));
            if before.max(after) > LARGE {
                large.push(place);
            }
        }
        Ok(large)
    }

    /// The hunks of each, or none of those that are too large.
    async fn patches(
        &self,
        entries: &[Entry],
        from: &str,
        to: &str,
    ) -> Result<Vec<Option<String>>, GitError> {
        let mut patches = Patches::of(entries);
        let mut printing = self.compare(&["--patch"], from, to).start().await?;
        while !patches.is_full() {
            let frame = printing.next().await;
            match frame.map_err(|source| GitError::Output {
                operation: "diff-tree".to_owned(),
                source,
            })? {
                ExecFrame::Stdout(bytes) => patches.take(&bytes),
                ExecFrame::Stderr(_) => {}
                ExecFrame::Exit(exit) if exit.success() => break,
                ExecFrame::Exit(exit) => {
                    return Err(GitError::Failed {
                        operation: "diff-tree".to_owned(),
                        complaint: format!("{exit:?}"),
                    });
                }
            }
        }
        // If there is no room for more, this ends git.
        Ok(patches.finish())
    }

    fn compare(&self, format: &[&str], from: &str, to: &str) -> Git<'_> {
        let mut arguments = vec![
            "-c",
            THRESHOLD,
            "-c",
            "core.quotePath=true",
            "-c",
            "core.attributesFile=/dev/null",
            "diff-tree",
            "-r",
            "-M",
            RENAMES,
            "-U3",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--no-relative",
            "--full-index",
            "--submodule=short",
            "--ignore-submodules=none",
        ];
        arguments.extend(format);
        arguments.extend([from, to, "--"]);
        let mut git = self.git(&arguments).within(LIMIT);
        git.operation = "diff-tree".to_owned();
        git
    }
}
