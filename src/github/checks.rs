//! Check runs: ours on a pull request's head, and why others failed.

use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::event::Conclusion;
use super::independence::{CHECK, Verdict};
use super::{DEADLINE, Github, GithubError, USER_AGENT, refusal};
use crate::platform::http;

/// Most characters of one log's end. What broke is said at the end of it.
const LOG_TAIL: usize = 6_000;

#[derive(Debug, Clone, Deserialize)]
pub struct CheckRun {
    pub id: i64,
    pub name: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub conclusion: Option<Conclusion>,
    #[serde(default)]
    pub output: Output,
    #[serde(default)]
    pub app: Option<App>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Output {
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub summary: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
}

/// The App that made it.
#[derive(Debug, Clone, Deserialize)]
pub struct App {
    #[serde(default)]
    pub id: Option<i64>,
    #[serde(default)]
    pub slug: Option<String>,
}

impl CheckRun {
    fn is_completed(&self) -> bool {
        self.status == "completed"
    }

    pub fn has_failed(&self) -> bool {
        self.conclusion.is_some_and(Conclusion::is_failure)
    }

    fn is_of_actions(&self) -> bool {
        let slug = self.app.as_ref().and_then(|app| app.slug.as_deref());
        slug.is_none_or(|slug| slug == "github-actions")
    }
}

impl Github {
    /// Whether a check is one of this App's: those say nothing about the work. The name is only ours
    /// as well, whatever number the App is configured by.
    pub fn is_own_check(&self, name: &str, app: Option<i64>) -> bool {
        name == CHECK || app.is_some_and(|id| id.to_string() == self.config.app_id)
    }

    /// The newest run of each check of a commit that is not ours, once all of them have ended: at
    /// most 100. None while one goes on.
    pub async fn ended_checks(
        &self,
        token: &str,
        repository: &Repository,
        commit: &str,
    ) -> Result<Option<Vec<CheckRun>>, GithubError> {
        let mut runs = self.runs_of(token, repository, commit).await?;
        runs.retain(|run| {
            let app = run.app.as_ref().and_then(|app| app.id);
            !self.is_own_check(&run.name, app)
        });
        let have_ended = runs.iter().all(CheckRun::is_completed);
        Ok(have_ended.then_some(runs))
    }

    /// The newest run of each check of a commit.
    async fn runs_of(
        &self,
        token: &str,
        repository: &Repository,
        commit: &str,
    ) -> Result<Vec<CheckRun>, GithubError> {
        #[derive(Deserialize)]
        struct Answer {
            check_runs: Vec<CheckRun>,
        }
        let path =
            format!("/repos/{repository}/commits/{commit}/check-runs?filter=latest&per_page=100");
        let answer: Answer = self.call(Method::GET, &path, token, None::<&()>).await?;
        Ok(answer.check_runs)
    }

    /// Says on a commit whether it has an independent review. Repeated, it changes what it said.
    pub async fn say_review(
        &self,
        token: &str,
        repository: &Repository,
        commit: &str,
        verdict: &Verdict,
        details_url: &str,
    ) -> Result<(), GithubError> {
        let output = json!({ "title": verdict.title, "summary": verdict.summary });
        let mut run = json!({
            "status": "completed",
            "conclusion": if verdict.passes { "success" } else { "failure" },
            "details_url": details_url,
            "output": output,
        });
        let known = self.runs_of(token, repository, commit).await?;
        if let Some(known) = known.iter().find(|run| run.name == CHECK) {
            let same = known.conclusion == Some(conclusion(verdict.passes))
                && known.output.title.as_deref() == Some(&verdict.title);
            if same {
                return Ok(());
            }
            let path = format!("/repos/{repository}/check-runs/{}", known.id);
            let changed = self.call::<Value>(Method::PATCH, &path, token, Some(&run));
            return changed.await.map(drop);
        }
        if let Some(fields) = run.as_object_mut() {
            fields.insert("name".to_owned(), json!(CHECK));
            fields.insert("head_sha".to_owned(), json!(commit));
        }
        let path = format!("/repos/{repository}/check-runs");
        let made = self.call::<Value>(Method::POST, &path, token, Some(&run));
        made.await.map(drop)
    }

    /// The end of a job's log, or what the check itself says of its failure.
    pub async fn failure_of(
        &self,
        token: &str,
        repository: &Repository,
        run: &CheckRun,
    ) -> Result<String, GithubError> {
        if run.is_of_actions() {
            match self.job_log(token, repository, run.id).await {
                Ok(log) => return Ok(tail(&log)),
                // It is another App's check, the log is gone, or the App may not read it.
                Err(error) if matches!(error.status(), Some(403 | 404 | 410)) => {}
                Err(error) => return Err(error),
            }
        }
        let output = &run.output;
        let said = [&output.title, &output.summary, &output.text];
        let said: Vec<_> = said.into_iter().flatten().map(String::as_str).collect();
        Ok(tail(&said.join("\n\n")))
    }

    /// The job of a check run of GitHub Actions has its identifier. GitHub answers with a way to
    /// another host, which the runtime follows without our token.
    async fn job_log(
        &self,
        token: &str,
        repository: &Repository,
        job: i64,
    ) -> Result<String, GithubError> {
        let path = format!("/repos/{repository}/actions/jobs/{job}/logs");
        let request = self
            .client
            .get(format!("{}{path}", self.api_url()))
            .header("authorization", format!("Bearer {token}"))
            .header("user-agent", USER_AGENT);
        let answer = http::send(request, self.api_url(), DEADLINE).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(format!("GET {path}"), answer.status, &answer.body));
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

fn conclusion(passes: bool) -> Conclusion {
    match passes {
        true => Conclusion::Success,
        false => Conclusion::Failure,
    }
}

/// The last whole lines that fit, without colours.
fn tail(log: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut length = 0;
    for line in log.trim_end().lines().rev() {
        let line = without_escapes(line);
        length += line.chars().count() + 1;
        if length > LOG_TAIL {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

fn without_escapes(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                // Up to the letter that ends the sequence.
                letters.find(|letter| letter.is_ascii_alphabetic());
            }
            _ if letter.is_control() && letter != '\t' => {}
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_end_of_a_log_is_whole_lines_without_colours() {
        assert_eq!(tail("a\n\u{1b}[31mred\u{1b}[0m\r\nb\n\n"), "a\nred\nb");
        let long = format!("first\n{}\nlast", "x".repeat(5_990));
        assert_eq!(tail(&long).lines().count(), 2);
        assert!(tail(&long).ends_with("\nlast"));
        assert_eq!(tail(""), "");
    }
}
