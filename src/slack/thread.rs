//! One thread of Slack's and the session behind it, purely: the session's log goes in, event by
//! event, and what is to be said comes out.
//!
//! What is said has a name: saying something else under the same name edits it. So a status message
//! can be said as often as there is news, and whoever sends has to send the newest alone.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{
    Event, Opener, Outcome, PartBody, Person, Prompt, PullRequestState, Repository, Source,
};
use protocol::{Fact, Millis, PartId, PromptId, Seq, SessionId};
use serde::{Deserialize, Serialize};

use super::blocks::{self, Said};
use super::event::Heard;
use super::message::{cut, escape, mrkdwn};

/// Most turns and pull requests that a thread remembers; the oldest are forgotten first.
const MAX_TURNS: usize = 50;

/// Most characters of what the agent does now, and of a prompt that is quoted.
const MAX_DOING: usize = 150;
const MAX_QUOTED: usize = 300;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    pub session: Option<SessionId>,
    pub repository: Option<Repository>,
    pub branch: String,
    /// Why this repository, for people.
    pub reason: String,
    /// Everything of the log up to this was seen to.
    pub seen: Seq,
    /// Every message of the thread up to this was given to the agent.
    pub given: String,
    /// What waits until it is known for which repository it is.
    pub waiting: Vec<Heard>,
    /// What the session began with, should it have to begin in another repository.
    pub first: Option<Heard>,
    /// The session was made.
    pub is_made: bool,
    /// Somebody said that it is another repository.
    pub is_doubted: bool,
    turns: BTreeMap<PromptId, Turn>,
    /// In the order in which they began, since identifiers have none.
    order: Vec<PromptId>,
    pulls: BTreeMap<u64, Pull>,
    /// Texts of the agent that are not finished.
    texts: BTreeSet<PartId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Turn {
    author: Person,
    source: Source,
    text: String,
    began_at: Millis,
    started_at: Option<Millis>,
    ended: Option<(Millis, Outcome)>,
    doing: String,
    /// The last text of the agent: its answer, once the turn has ended.
    answer: String,
    files: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pull {
    url: String,
    title: String,
    state: PullRequestState,
    prompt: PromptId,
}

/// Something to be said in the thread, or said anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Say {
    /// Unique in its thread.
    pub name: String,
    pub said: Said,
}

/// Where the buttons lead.
pub struct Scene<'a> {
    pub public_url: &'a str,
    pub now: Millis,
}

impl Thread {
    /// Forgets the session, so that what it began with waits for another one.
    pub fn begin_anew(&mut self) {
        let first = self.first.take().into_iter();
        *self = Self {
            waiting: first.chain(std::mem::take(&mut self.waiting)).collect(),
            ..Self::default()
        };
    }

    /// Takes the next events of the log; answers what they are to the thread.
    pub fn follow(&mut self, events: &[Event], scene: &Scene<'_>) -> Vec<Say> {
        let mut says: Vec<Say> = Vec::new();
        for event in events {
            if event.seq <= self.seen {
                continue;
            }
            self.seen = event.seq;
            for say in self.take(event.fact.clone(), event.at, scene) {
                says.retain(|known| known.name != say.name);
                says.push(say);
            }
        }
        says
    }

    fn take(&mut self, fact: Fact, at: Millis, scene: &Scene<'_>) -> Vec<Say> {
        match fact {
            Fact::PromptQueued { prompt } => {
                let id = prompt.id.clone();
                self.begin(prompt, at);
                self.status(&id, scene)
            }
            Fact::PromptStarted { prompt } => {
                self.change(&prompt, scene, |turn| turn.started_at = Some(at))
            }
            Fact::PromptResumed { prompt, .. } => self.change(&prompt, scene, |turn| {
                turn.doing = "going on in another sandbox".to_owned();
            }),
            Fact::PromptEdited { prompt, text, .. } => {
                self.change(&prompt, scene, |turn| turn.text = text)
            }
            Fact::PromptCancelled { prompt, by } => {
                let outcome = Outcome::Stopped { by };
                self.change(&prompt, scene, |turn| turn.ended = Some((at, outcome)))
            }
            Fact::PartStarted {
                prompt,
                body: PartBody::Tool { tool, title, .. },
                ..
            } => {
                let doing = if title.is_empty() { tool } else { title };
                self.change(&prompt, scene, |turn| turn.doing = doing)
            }
            Fact::PartStarted {
                part,
                body: PartBody::Text,
                ..
            } => {
                self.texts.insert(part);
                Vec::new()
            }
            Fact::PartFinished {
                part, prompt, text, ..
            } => {
                let text = text.filter(|text| self.texts.remove(&part) && !text.trim().is_empty());
                if let (Some(text), Some(turn)) = (text, self.turns.get_mut(&prompt)) {
                    turn.answer = text;
                }
                Vec::new()
            }
            Fact::PromptFinished { prompt, outcome } => {
                let mut says = self.change(&prompt, scene, |turn| turn.ended = Some((at, outcome)));
                says.extend(self.result(&prompt, scene));
                says
            }
            Fact::Pushed { prompt, files, .. } => {
                self.change(&prompt, scene, |turn| turn.files = files.len())
            }
            Fact::PullRequestOpened {
                prompt,
                number,
                url,
                title,
                by,
            } => self.opened(prompt, number, url, title, &by, scene),
            Fact::PullRequestChanged { number, state, by } => self.pull_changed(number, state, &by),
            Fact::ChecksFinished {
                number,
                commit,
                failed,
            } if !failed.is_empty() => {
                let names = escape(&failed.join(", "));
                let text = format!(":x: Checks of {} failed: {names}", self.pull_link(number));
                let name = format!("checks:{number}:{commit}");
                vec![say(name, Said::line(&text))]
            }
            Fact::ArtifactAdded {
                artifact,
                prompt: Some(_),
            } => {
                let Some(session) = &self.session else {
                    return Vec::new();
                };
                let url = format!(
                    "{}/api/sessions/{session}/artifacts/{}",
                    scene.public_url, artifact.id
                );
                let label = artifact.caption.as_deref().unwrap_or(&artifact.name);
                let text = format!(":frame_with_picture: <{url}|{}>", escape(label));
                vec![say(format!("file:{}", artifact.id), Said::line(&text))]
            }
            Fact::Notice { message } => {
                let text = format!(":information_source: {}", mrkdwn(&message));
                vec![say(format!("notice:{}", self.seen), Said::line(&text))]
            }
            Fact::SessionArchived { by } => {
                let text = format!("{} archived this session.", escape(&by.login));
                vec![say("archived".to_owned(), Said::line(&text))]
            }
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, prompt: Prompt, at: Millis) {
        while self.order.len() >= MAX_TURNS {
            let oldest = self.order.remove(0);
            self.turns.remove(&oldest);
        }
        self.order.push(prompt.id.clone());
        let turn = Turn {
            author: prompt.author,
            source: prompt.source,
            text: cut(&prompt.text, MAX_QUOTED),
            began_at: at,
            started_at: None,
            ended: None,
            doing: String::new(),
            answer: String::new(),
            files: 0,
        };
        self.turns.insert(prompt.id, turn);
    }

    fn change(
        &mut self,
        prompt: &PromptId,
        scene: &Scene<'_>,
        change: impl FnOnce(&mut Turn),
    ) -> Vec<Say> {
        let Some(turn) = self.turns.get_mut(prompt) else {
            return Vec::new();
        };
        change(turn);
        self.status(prompt, scene)
    }

    /// The one message that says how a turn goes.
    fn status(&self, prompt: &PromptId, scene: &Scene<'_>) -> Vec<Say> {
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
        vec![say(format!("status:{prompt}"), said.actions(buttons))]
    }

    /// What came of a turn.
    fn result(&self, prompt: &PromptId, scene: &Scene<'_>) -> Option<Say> {
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
        Some(say(
            format!("result:{prompt}"),
            said.context(&about.join(" · ")),
        ))
    }

    fn opened(
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

    fn pull_changed(&mut self, number: u64, state: PullRequestState, by: &str) -> Vec<Say> {
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

    fn pull_link(&self, number: u64) -> String {
        match self.pulls.get(&number) {
            Some(pull) => format!("<{}|#{number} {}>", escape(&pull.url), escape(&pull.title)),
            None => format!("#{number}"),
        }
    }

    /// Whether something runs or waits, as far as the log was seen to.
    pub fn is_busy(&self) -> bool {
        self.turns.values().any(|turn| turn.ended.is_none())
    }
}

fn say(name: String, said: Said) -> Say {
    Say { name, said }
}

fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, _) if minutes >= 60 => format!("{} h {} min", minutes / 60, minutes % 60),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::UserId;
    use protocol::event::{FileChange, Mode, PartOutcome};

    use super::*;

    const SCENE: Scene<'static> = Scene {
        public_url: "https://agents.example",
        now: Millis(65_000),
    };

    fn alice() -> Person {
        Person {
            id: UserId(1),
            login: "alice".to_owned(),
            name: "Alice".to_owned(),
            avatar: String::new(),
        }
    }

    fn prompt() -> PromptId {
        PromptId::parse("pmt_1").unwrap()
    }

    fn thread() -> Thread {
        Thread {
            session: Some(SessionId::parse("ses_1").unwrap()),
            repository: Some(Repository::new("acme", "api").unwrap()),
            branch: "main".to_owned(),
            ..Thread::default()
        }
    }

    fn queued(source: Source) -> Fact {
        Fact::PromptQueued {
            prompt: Prompt {
                id: prompt(),
                author: alice(),
                text: "fix <!channel>".to_owned(),
                source,
                mode: Mode::Queue,
                attachments: Vec::new(),
                client_request_id: None,
            },
        }
    }

    fn log(facts: Vec<Fact>) -> Vec<Event> {
        (1..)
            .zip(facts)
            .map(|(seq, fact)| Event {
                seq: Seq(seq),
                at: Millis(0),
                fact,
            })
            .collect()
    }

    fn whole_turn() -> Vec<Fact> {
        let (prompt, part) = (prompt(), PartId(1));
        vec![
            queued(Source::Slack),
            Fact::PromptStarted {
                prompt: prompt.clone(),
            },
            Fact::PartStarted {
                part,
                prompt: prompt.clone(),
                body: PartBody::Tool {
                    tool: "bash".to_owned(),
                    title: "Run the tests".to_owned(),
                    input: String::new(),
                },
            },
            Fact::PartFinished {
                part,
                prompt: prompt.clone(),
                length: 4,
                text: Some("all output of the tool".to_owned()),
                outcome: PartOutcome::Completed { title: None },
            },
            Fact::PartStarted {
                part: PartId(2),
                prompt: prompt.clone(),
                body: PartBody::Text,
            },
            Fact::PartFinished {
                part: PartId(2),
                prompt: prompt.clone(),
                length: 6,
                text: Some("It was **one** `!` too many. @here".to_owned()),
                outcome: PartOutcome::Completed { title: None },
            },
            Fact::Pushed {
                prompt: prompt.clone(),
                branch: "agent/ses_1".to_owned(),
                commit: "c0ffee".to_owned(),
                files: vec![FileChange {
                    path: "a".to_owned(),
                    additions: Some(1),
                    deletions: None,
                }],
            },
            Fact::PromptFinished {
                prompt: prompt.clone(),
                outcome: Outcome::Completed,
            },
            Fact::PullRequestOpened {
                prompt,
                number: 7,
                url: "https://github.com/acme/api/pull/7".to_owned(),
                title: "Fix it".to_owned(),
                by: Opener::User { person: alice() },
            },
            Fact::PullRequestChanged {
                number: 7,
                state: PullRequestState::Merged,
                by: "bob".to_owned(),
            },
        ]
    }

    fn names(says: &[Say]) -> Vec<&str> {
        says.iter().map(|say| say.name.as_str()).collect()
    }

    #[test]
    fn a_turn_has_one_status_and_ends_with_its_result() {
        let events = log(whole_turn());
        let mut thread = thread();
        let says = thread.follow(&events, &SCENE);
        let expected = ["result:pmt_1", "status:pmt_1", "pull:7", "pull:7:true"];
        assert_eq!(names(&says), expected);
        let status = serde_json::to_string(&says.get(1).unwrap().said).unwrap();
        assert!(
            status.contains("Done") && status.contains("Open pull request"),
            "{status}"
        );
        assert!(!status.contains("\"stop\""), "{status}");
        let result = &says.first().unwrap().said.text;
        assert!(
            result.contains("*one*") && !result.contains("@here"),
            "{result}"
        );
        assert!(!thread.is_busy());
    }

    #[test]
    fn events_that_come_again_say_nothing_and_pieces_lead_to_the_same_end() {
        let events = log(whole_turn());
        let mut at_once = thread();
        at_once.follow(&events, &SCENE);
        let mut piecemeal = thread();
        for event in &events {
            piecemeal.follow(std::slice::from_ref(event), &SCENE);
            assert_eq!(piecemeal.follow(std::slice::from_ref(event), &SCENE), []);
        }
        assert_eq!(at_once, piecemeal);
    }

    #[test]
    fn a_running_turn_shows_what_it_does_and_can_be_stopped() {
        let facts = whole_turn().into_iter().take(3).collect();
        let mut thread = thread();
        let says = thread.follow(&log(facts), &SCENE);
        let status = serde_json::to_string(&says.first().unwrap().said).unwrap();
        assert!(
            status.contains("Run the tests") && status.contains("\"stop\""),
            "{status}"
        );
        assert!(status.contains("1 min 5 s"), "{status}");
        assert!(thread.is_busy());
    }

    #[test]
    fn a_prompt_from_elsewhere_is_quoted_and_notifies_nobody() {
        let mut thread = thread();
        let says = thread.follow(&log(vec![queued(Source::Web)]), &SCENE);
        let status = serde_json::to_string(&says.first().unwrap().said).unwrap();
        assert!(status.contains("*alice* asked elsewhere"), "{status}");
        assert!(!status.contains("<!channel>"), "{status}");
    }
}
