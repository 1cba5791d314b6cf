//! What a thread is told of a turn: how it goes, what came of it, and its pull requests.

use protocol::PromptId;
use protocol::event::{Opener, Outcome, PullRequestState, Source};

use super::{Pull, Say, Scene, Thread, Turn};
use crate::slack::blocks::{self, Said};
use crate::slack::message::{cut, escape, mrkdwn};
use crate::slack::progress::Progress;
use crate::slack::utterance::Utterance;

/// Most characters of what the agent does now.
const MAX_DOING: usize = 150;

/// Most runs of tests that a result lists, the last.
const MAX_TESTS: usize = 10;

impl Thread {
    /// The one message that says how a turn goes.
    pub(super) fn status(&self, prompt: &PromptId, scene: &Scene<'_>) -> Vec<Say> {
        let Some(turn) = self.turns.get(prompt) else {
            return Vec::new();
        };
        let (session, repository) = match (&self.session, &self.repository) {
            (Some(session), Some(repository)) => (session, repository),
            _ => return Vec::new(),
        };
        let state = match (&turn.ended, turn.started_at) {
            (Some((_, Outcome::Completed)), _) => ":white_check_mark: Done".to_owned(),
            (Some((_, Outcome::Stopped { by })), _) => {
                format!(":octagonal_sign: Stopped by {}", escape(&by.login))
            }
            (Some((_, Outcome::Failed { .. })), _) => ":x: Failed".to_owned(),
            (None, Some(_)) => ":hourglass_flowing_sand: Working".to_owned(),
            (None, None) => ":inbox_tray: Waiting for its turn".to_owned(),
        };
        let until = turn.ended.as_ref().map_or(scene.now, |(at, _)| *at);
        let elapsed = turn.started_at.map(|since| until.since(since));
        let mut headline = format!("*{state}*");
        if let Some(elapsed) = elapsed.filter(|_| turn.started_at.is_some()) {
            headline.push_str(&format!(" · {}", duration(elapsed)));
        }
        if turn.ended.is_none() && !turn.doing.is_empty() {
            headline.push_str(&format!("\n{}", escape(&cut(&turn.doing, MAX_DOING))));
        }
        let mut said = Said::new(&format!("{state} in {repository}"));
        if turn.source != Source::Slack {
            let by = escape(&turn.author.login);
            let quoted = escape(&turn.text).replace('\n', "\n> ");
            said = said.section(&format!("*{by}* asked elsewhere:\n> {quoted}"));
        }
        said = said.section(&headline);
        let mut about = format!(
            "{} · `{}`",
            escape(&repository.to_string()),
            escape(&self.branch)
        );
        if !self.reason.is_empty() {
            about.push_str(&format!(" · {}", escape(&self.reason)));
        }
        said = said.context(&about);
        let url = format!("{}/sessions/{session}", scene.public_url);
        let mut buttons = vec![blocks::link_button("open", "Open", &url)];
        if turn.ended.is_none() {
            buttons.push(blocks::button("stop", "Stop", session.as_str()));
        }
        let pull = self.pulls.values().rfind(|pull| pull.prompt == *prompt);
        if let Some(pull) = pull.or(self.pulls.values().next_back()) {
            buttons.push(blocks::link_button("pull", "Open pull request", &pull.url));
        }
        let is_first = self.order.first() == Some(prompt);
        if is_first && self.pulls.is_empty() {
            buttons.push(blocks::button(
                "correct",
                "Wrong repository",
                session.as_str(),
            ));
        }
        let said = said.actions(buttons);
        let mut title = state
            .split_once(' ')
            .map_or("", |(_, state)| state)
            .to_owned();
        if let Some(elapsed) = elapsed.filter(|_| turn.ended.is_some()) {
            title.push_str(&format!(" after {}", duration(elapsed)));
        }
        let progress = Progress {
            title,
            tasks: turn.tasks.clone(),
            user: self.asker.clone(),
            is_over: turn.ended.is_some(),
        };
        vec![Say {
            name: format!("status:{prompt}"),
            utterance: Utterance::Turn { said, progress },
        }]
    }

    /// What came of a turn.
    pub(super) fn result(&self, prompt: &PromptId, scene: &Scene<'_>) -> Option<Say> {
        let turn = self.turns.get(prompt)?;
        let (_, outcome) = turn.ended.as_ref()?;
        let said = match outcome {
            Outcome::Completed if turn.answer.is_empty() => Said::line("Done."),
            Outcome::Completed => {
                Said::new(&mrkdwn(&cut(&turn.answer, 1000))).section(&mrkdwn(&turn.answer))
            }
            // Who stopped it knows; what was done until then is on the branch.
            Outcome::Stopped { .. } => return None,
            Outcome::Failed { message } => Said::line(&format!("That failed: {}", mrkdwn(message))),
        };
        let mut about = Vec::new();
        if turn.files > 0 {
            about.push(match turn.files {
                1 => "1 file changed".to_owned(),
                files => format!("{files} files changed"),
            });
        }
        about.push(format!(
            "after {}",
            duration(scene.now.since(turn.began_at))
        ));
        let said = said.context(&tests_of(turn)).context(&about.join(" · "));
        Some(say(format!("result:{prompt}"), said))
    }

    pub(super) fn opened(
        &mut self,
        prompt: PromptId,
        number: u64,
        url: String,
        title: String,
        by: &Opener,
        scene: &Scene<'_>,
    ) -> Vec<Say> {
        let pull = Pull {
            url,
            title,
            state: PullRequestState::Open,
            prompt: prompt.clone(),
        };
        self.pulls.insert(number, pull);
        let by = match by {
            Opener::User { person } => format!("opened as {}", escape(&person.login)),
            Opener::App => {
                "opened by the App, since whoever prompted has no link to GitHub".to_owned()
            }
        };
        let text = format!(":arrow_heading_up: Pull request {}", self.pull_link(number));
        let mut says = self.status(&prompt, scene);
        says.push(say(
            format!("pull:{number}"),
            Said::line(&text).context(&by),
        ));
        says
    }

    pub(super) fn pull_changed(
        &mut self,
        number: u64,
        state: PullRequestState,
        by: &str,
    ) -> Vec<Say> {
        let Some(pull) = self.pulls.get_mut(&number) else {
            return Vec::new();
        };
        pull.state = state;
        let happened = match state {
            PullRequestState::Merged => ":tada: merged",
            PullRequestState::Closed => ":no_entry_sign: closed without being merged",
            PullRequestState::Open | PullRequestState::Draft => return Vec::new(),
        };
        let text = format!("{} {happened} by {}", self.pull_link(number), escape(by));
        let name = format!(
            "pull:{number}:{}",
            matches!(state, PullRequestState::Merged)
        );
        vec![say(name, Said::line(&text))]
    }

    pub(super) fn pull_link(&self, number: u64) -> String {
        match self.pulls.get(&number) {
            Some(pull) => format!("<{}|#{number} {}>", escape(&pull.url), escape(&pull.title)),
            None => format!("#{number}"),
        }
    }
}

pub(super) fn say(name: String, said: Said) -> Say {
    let utterance = Utterance::Message { said };
    Say { name, utterance }
}

/// Which tests ran; empty if none did.
fn tests_of(turn: &Turn) -> String {
    let skipped = turn.tests.len().saturating_sub(MAX_TESTS);
    let runs = turn.tests.iter().skip(skipped).map(|test| {
        let (sign, verdict) = match test.passed {
            Some(true) => (":white_check_mark:", "passed"),
            Some(false) => (":x:", "failed"),
            None => (":test_tube:", "ran"),
        };
        let command = escape(&test.command.replace('`', "'"));
        format!("{sign} `{command}` {verdict}")
    });
    runs.collect::<Vec<_>>().join("\n")
}

fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, _) if minutes >= 60 => format!("{} h {} min", minutes / 60, minutes % 60),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
