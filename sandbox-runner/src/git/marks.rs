//! Commits that the agent made by itself get the trailers that ours have, so that who asked for a
//! line and why can be looked up for every one of them.
//!
//! They are made anew with the same tree, author and times, and the branches are moved to them: the
//! files stay as they are. Only commits that were made here and never pushed are touched.

use std::collections::HashMap;

use protocol::command::GitIdentity;

use super::message::{self, SESSION_TRAILER};
use super::publication::Publication;
use super::{GitError, Workspace, heads};

/// More commits than this are a history that was brought in, not an agent's work.
const MOST_COMMITS: usize = 200;

/// The trailers of one turn's commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Session, prompts and model.
    pub lines: Vec<String>,
    /// Everybody who prompted; whoever is not a commit's author is its co-author.
    pub people: Vec<GitIdentity>,
}

impl Marks {
    fn for_author(&self, email: &str) -> Vec<String> {
        let others = self.people.iter().filter(|person| person.email != email);
        let mut lines = self.lines.clone();
        lines.extend(others.map(message::co_author));
        lines
    }
}

impl Workspace<'_> {
    pub(super) async fn mark(&self, work: &Publication<'_>) -> Result<(), GitError> {
        if work.marks.lines.is_empty() {
            return Ok(());
        }
        let beside = self.beside(work.work_branch).await?;
        let commits = self.unpublished(work, &beside).await?;
        if commits.is_empty() || commits.len() > MOST_COMMITS {
            return Ok(());
        }
        let mut moved: HashMap<String, String> = HashMap::new();
        for (name, content) in self.read_commits(&commits).await? {
            // Bytes that are no text are left alone, and everything after them.
            let Some(commit) = Commit::parse(&content) else {
                continue;
            };
            let is_ours = commit.email("committer") == Some(work.committer.email.as_str());
            let is_unmarked = is_ours && !commit.message.contains(SESSION_TRAILER);
            let follows = commit.parents().any(|parent| moved.contains_key(parent));
            if is_unmarked || follows {
                let lines = match is_unmarked {
                    true => work
                        .marks
                        .for_author(commit.email("author").unwrap_or_default()),
                    false => Vec::new(),
                };
                let made = self
                    .git(&["hash-object", "-t", "commit", "-w", "--stdin"])
                    .input(&commit.rewritten(&moved, &lines))
                    .text()
                    .await?;
                moved.insert(name, made);
            }
        }
        let head = self.head().await?;
        let current = self.current().await?;
        if let Some(new) = moved.get(&head) {
            self.move_reference("HEAD", new, &head).await?;
        }
        for (name, commit) in beside
            .iter()
            .filter(|(name, _)| Some(name) != current.as_ref())
        {
            if let Some(new) = moved.get(commit) {
                self.move_reference(&heads(name), new, commit).await?;
            }
        }
        Ok(())
    }

    async fn move_reference(&self, name: &str, to: &str, from: &str) -> Result<(), GitError> {
        let update = ["update-ref", "-m", "trailers", name, to, from];
        self.git(&update).text().await.map(drop)
    }

    /// What was made since the last push, parents first.
    async fn unpublished(
        &self,
        work: &Publication<'_>,
        beside: &[(String, String)],
    ) -> Result<Vec<String>, GitError> {
        let most = format!("--max-count={}", MOST_COMMITS + 1);
        let mut list = vec!["rev-list", "--reverse", "--topo-order", &most, "HEAD"];
        list.extend(beside.iter().map(|(_, commit)| commit.as_str()));
        list.extend(["--not", work.base, "--remotes"]);
        let mut known: Vec<&str> = work.beside.values().map(String::as_str).collect();
        known.extend(work.pushed);
        for commit in known {
            // Of what another sandbox pushed nothing may be here.
            if self.holds(commit).await? {
                list.push(commit);
            }
        }
        let listed = self.git(&list).text().await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    async fn read_commits(&self, names: &[String]) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let bytes = self
            .git(&["cat-file", "--batch"])
            .input(&names.join("\n"))
            .bytes()
            .await?;
        Ok(batch(&bytes))
    }
}

/// What `cat-file --batch` prints: `<name> <type> <size>`, a line end, the content, a line end.
fn batch(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = bytes.split_at(end);
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ');
        let (Some(name), Some("commit"), Some(size)) = (words.next(), words.next(), words.next())
        else {
            break;
        };
        let Some((content, rest)) = size
            .parse()
            .ok()
            .and_then(|size: usize| rest.get(1..)?.split_at_checked(size))
        else {
            break;
        };
        found.push((name.to_owned(), content.to_vec()));
        bytes = rest.get(1..).unwrap_or_default();
    }
    found
}

/// A commit object, apart.
struct Commit<'a> {
    header: &'a str,
    message: &'a str,
}

impl<'a> Commit<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
        let (header, message) = std::str::from_utf8(content).ok()?.split_once("\n\n")?;
        Some(Self { header, message })
    }

    fn parents(&self) -> impl Iterator<Item = &'a str> {
        self.header
            .lines()
            .filter_map(|line| line.strip_prefix("parent "))
    }

    /// Of the author or the committer.
    fn email(&self, who: &str) -> Option<&'a str> {
        let line = self
            .header
            .lines()
            .find_map(|line| line.strip_prefix(who)?.strip_prefix(' '))?;
        let (_, rest) = line.split_once('<')?;
        rest.split_once('>').map(|(email, _)| email)
    }

    /// The same commit on moved parents, with more trailers. A signature would not fit it any more.
    fn rewritten(&self, moved: &HashMap<String, String>, trailers: &[String]) -> String {
        let mut text = String::new();
        let mut in_signature = false;
        for line in self.header.lines() {
            in_signature = line.starts_with("gpgsig") || in_signature && line.starts_with(' ');
            if in_signature {
                continue;
            }
            match line.strip_prefix("parent ").and_then(|old| moved.get(old)) {
                Some(new) => text.push_str(&format!("parent {new}\n")),
                None => text.push_str(&format!("{line}\n")),
            }
        }
        text.push('\n');
        text.push_str(&message::with_trailers(self.message, trailers));
        text
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SIGNED: &str = "tree t\nparent p\nauthor Ada <ada@x.org> 1 +0000\n\
        committer Bot <bot@x.org> 1 +0000\ngpgsig -----BEGIN\n more\n -----END\nencoding UTF-8\n\n\
        Fix it\n";

    #[test]
    fn a_batch_is_read_to_its_end() {
        let bytes = b"aa commit 5\nx\n\ny\n\nbb commit 1\nz\ncc missing\n";
        let read = batch(bytes);
        let expected = [("aa", "x\n\ny\n"), ("bb", "z")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_commit_made_anew_has_moved_parents_more_trailers_and_no_signature() {
        let commit = Commit::parse(SIGNED.as_bytes()).unwrap();
        assert_eq!(commit.email("author"), Some("ada@x.org"));
        assert_eq!(commit.email("committer"), Some("bot@x.org"));
        let moved = HashMap::from([("p".to_owned(), "q".to_owned())]);
        assert_eq!(
            commit.rewritten(&moved, &["Session-Id: ses_1".to_owned()]),
            "tree t\nparent q\nauthor Ada <ada@x.org> 1 +0000\ncommitter Bot <bot@x.org> 1 +0000\n\
             encoding UTF-8\n\nFix it\n\nSession-Id: ses_1\n"
        );
    }

    #[test]
    fn nobody_is_the_co_author_of_their_own_commit() {
        let person = |name: &str| GitIdentity {
            name: name.to_owned(),
            email: format!("{name}@x.org"),
        };
        let marks = Marks {
            lines: vec!["Model: m".to_owned()],
            people: vec![person("ada"), person("bob")],
        };
        assert_eq!(
            marks.for_author("ada@x.org"),
            ["Model: m", "Co-authored-by: bob <bob@x.org>"]
        );
    }
}
