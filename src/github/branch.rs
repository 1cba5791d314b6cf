//! Which branches there are, where one is, and who has an account.

use protocol::UserId;
use protocol::branch::is_branch_name;
use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;

use super::pages::Pages;
use super::{Github, GithubError};

/// Most branches that are named at once.
const MAX_BRANCHES: usize = 100;

#[derive(Deserialize)]
struct BranchAnswer {
    name: String,
}

#[derive(Deserialize)]
struct ReferenceAnswer {
    object: ObjectAnswer,
}

#[derive(Deserialize)]
struct ObjectAnswer {
    sha: String,
}

#[derive(Deserialize)]
struct AccountAnswer {
    id: i64,
    login: String,
}

impl Github {
    /// The commit at a branch's head; `None` if there is no such branch.
    pub async fn head(
        &self,
        token: &str,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<String>, GithubError> {
        let path = format!("/repos/{repository}/git/ref/heads/{branch}");
        let answer: Result<ReferenceAnswer, _> =
            self.call(Method::GET, &path, token, None::<&()>).await;
        match answer {
            Ok(answer) => Ok(Some(answer.object.sha)),
            // 409 is a repository without any commit.
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Branches whose name contains `sought` in any case, at most 100, the default one first; `None`
    /// if the repository is not there for whoever asks.
    pub async fn branches(
        &self,
        token: &str,
        repository: &Repository,
        default_branch: &str,
        sought: &str,
    ) -> Result<Option<Vec<String>>, GithubError> {
        let path = format!("/repos/{repository}/branches?per_page=100");
        let mut pages = Pages::new(self, token, path);
        let mut found = Found::new(default_branch, sought);
        while !found.is_full() {
            match pages.next::<BranchAnswer>().await {
                Ok(Some(page)) => page.into_iter().for_each(|branch| found.add(branch.name)),
                Ok(None) => break,
                Err(error) if matches!(error.status(), Some(403 | 404 | 451)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(found.names))
    }

    /// Id and login of an account, as GitHub writes it; `None` if there is none.
    pub async fn account(
        &self,
        token: &str,
        login: &str,
    ) -> Result<Option<(UserId, String)>, GithubError> {
        let path = format!("/users/{login}");
        let answer: Result<AccountAnswer, _> =
            self.call(Method::GET, &path, token, None::<&()>).await;
        match answer {
            Ok(answer) => Ok(Some((UserId(answer.id), answer.login))),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Names that were looked for, the default branch first.
struct Found<'a> {
    default_branch: &'a str,
    sought: String,
    names: Vec<String>,
}

impl<'a> Found<'a> {
    fn new(default_branch: &'a str, sought: &str) -> Self {
        Self {
            default_branch,
            sought: sought.to_lowercase(),
            names: Vec::new(),
        }
    }

    /// The default branch is known to be there once any is, on whatever page it comes.
    fn add(&mut self, name: String) {
        if self.names.is_empty() && self.is_sought(self.default_branch) {
            self.names.push(self.default_branch.to_owned());
        }
        if name != self.default_branch && self.is_sought(&name) && !self.is_full() {
            self.names.push(name);
        }
    }

    fn is_full(&self) -> bool {
        self.names.len() >= MAX_BRANCHES
    }

    /// Sessions start from none that is named in a way that we refuse.
    fn is_sought(&self, name: &str) -> bool {
        is_branch_name(name) && name.to_lowercase().contains(&self.sought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sought: &str, names: &[&str]) -> Vec<String> {
        let mut found = Found::new("main", sought);
        for name in names {
            found.add((*name).to_owned());
        }
        found.names
    }

    #[test]
    fn the_default_branch_is_named_first_if_it_is_sought() {
        let names = ["agent/a", "Fix/Main-menu", "main"];
        assert_eq!(found("", &names), ["main", "agent/a", "Fix/Main-menu"]);
        assert_eq!(found("MAIN", &names), ["main", "Fix/Main-menu"]);
        assert_eq!(found("fix", &names), ["Fix/Main-menu"]);
        assert_eq!(found("", &[]), [""; 0]);
    }

    #[test]
    fn no_more_are_named_than_fit() {
        let many: Vec<String> = (0..200).map(|number| format!("b{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(found("", &many).len(), MAX_BRANCHES);
    }
}
