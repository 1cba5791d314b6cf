//! The session's work at the forge: what it pushed, whose approval counts, what woke it.
//!
//! Nobody whose words the agent worked on can approve the outcome: whoever joins after an approval
//! has it looked at again. A failed check is repaired a few times, and only while the branch is as
//! this session left it.

use std::collections::BTreeMap;

use protocol::api::{PullRequest, SessionState};
use protocol::branch::is_of_session;
use protocol::callback::PullRequestWish;
use protocol::event::{FileChange, Opener, Person, Prompt, PullRequestState, Step};
use protocol::{Fact, PromptId};
use serde::{Deserialize, Serialize};

use super::pull_requests::Standing;
use super::{Context, Effect, Output, Refusal, State, Transition};

/// How often failed checks of one branch are worked on before a person has to say something.
pub const MOST_REPAIRS: u32 = 3;

/// Most issues and pull requests that are told how a session goes.
const MOST_THREADS: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Forge {
    /// Everybody whose words the agent worked on, in order, each once.
    pub prompters: Vec<Person>,
    pub last_prompter: Option<Person>,
    /// What this session pushed last, by branch.
    pub heads: BTreeMap<String, Head>,
    pub wishes: BTreeMap<String, PullRequestWish>,
    /// How often checks of a branch were worked on since a person prompted.
    pub repairs: BTreeMap<String, u32>,
    /// Issues and pull requests on which somebody called this session.
    pub threads: Vec<u64>,
    /// Its sandboxes may spend nothing more on models.
    pub is_spent: bool,
    /// Reviews and checks of the pull requests, by their numbers.
    #[serde(default)]
    pub standings: BTreeMap<u64, Standing>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub commit: String,
    pub prompt: PromptId,
    /// The session's other branch that it is stacked on.
    pub base: Option<String>,
}

/// Work of one prompt that is on a branch at the forge now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    pub prompt: PromptId,
    pub branch: String,
    pub commit: String,
    pub base: Option<String>,
    pub files: Vec<FileChange>,
    pub summary: String,
}

impl State {
    pub(super) fn pushed(&mut self, push: Push, context: Context, transition: &mut Transition) {
        // A sandbox that goes on with a prompt tells again what the one before had pushed.
        let known = self.forge.heads.get(&push.branch);
        let is_repeated = known.is_some_and(|head| head.commit == push.commit);
        if is_repeated || !is_of_session(&self.work_branch, &push.branch) {
            return;
        }
        let head = Head {
            commit: push.commit.clone(),
            prompt: push.prompt.clone(),
            base: push.base.clone(),
        };
        self.forge.heads.insert(push.branch.clone(), head);
        let of_branch = self
            .pull_requests
            .iter()
            .filter(|pull| pull.branch == push.branch);
        for number in of_branch.map(|pull| pull.number).collect::<Vec<_>>() {
            self.moved_on(number, push.commit.clone());
        }
        transition.fact(Fact::Pushed {
            prompt: push.prompt.clone(),
            branch: push.branch.clone(),
            commit: push.commit.clone(),
            files: push.files.clone(),
        });
        self.uncredited.clear();
        let author = self.running.as_ref().map(|running| running.author.clone());
        if let Some(author) = author {
            transition.now(context, Effect::OpenPullRequest { author, push });
        }
    }

    /// The agent, or a person, says how a branch's pull request is to be.
    pub(super) fn wished(
        &mut self,
        branch: String,
        wish: PullRequestWish,
        by: Option<Person>,
        context: Context,
        transition: &mut Transition,
    ) {
        let author = by.or_else(|| self.running.as_ref().map(|running| running.author.clone()));
        let is_own = is_of_session(&self.work_branch, &branch);
        let Some(author) = author.filter(|_| is_own) else {
            return;
        };
        let known = self.forge.wishes.entry(branch.clone()).or_default();
        known.title = wish.title.or(known.title.take());
        known.body = wish.body.or(known.body.take());
        known.draft = wish.draft.or(known.draft);
        if self.forge.heads.contains_key(&branch) {
            transition.now(context, Effect::AdjustPullRequest { author, branch });
        }
    }

    pub(super) fn pull_request_opened(
        &mut self,
        prompt: PromptId,
        pull_request: PullRequest,
        by: Opener,
        step: Step,
        context: Context,
        transition: &mut Transition,
    ) {
        transition.fact(Fact::Step { step });
        let number = pull_request.number;
        transition.soon(context, Effect::CheckReviews { number });
        let known = self
            .pull_requests
            .iter_mut()
            .find(|known| known.number == number);
        if let Some(known) = known {
            *known = pull_request;
            // The forge was not asked for these.
            if let Some(standing) = self.forge.standings.get(&number) {
                standing.show(known);
            }
        } else {
            transition.fact(Fact::PullRequestOpened {
                prompt,
                number,
                url: pull_request.url.clone(),
                title: pull_request.title.clone(),
                by,
            });
            self.pull_requests.push(pull_request);
        }
    }

    /// A prompt that a failed check gives, unless it would not help.
    pub(super) fn repair(
        &mut self,
        prompt: Prompt,
        branch: &str,
        commit: &str,
        context: Context,
        transition: &mut Transition,
    ) -> Result<(), Refusal> {
        let head = self.forge.heads.get(branch);
        if head.is_none_or(|head| head.commit != commit) {
            return Err(Refusal::NoRepair("the branch has moved on"));
        }
        if self.forge.is_spent {
            return Err(Refusal::NoRepair("the session's budget is spent"));
        }
        let tried = self.forge.repairs.get(branch).copied().unwrap_or_default();
        if tried >= MOST_REPAIRS {
            return Err(Refusal::NoRepair("it was tried often enough"));
        }
        self.prompt(prompt, context, transition)?;
        self.forge.repairs.insert(branch.to_owned(), tried + 1);
        Ok(())
    }

    /// Somebody called this session on an issue or a pull request.
    pub(super) fn called(&mut self, number: u64, context: Context, transition: &mut Transition) {
        if !self.forge.threads.contains(&number) && self.forge.threads.len() < MOST_THREADS {
            self.forge.threads.push(number);
        }
        if self.forge.threads.contains(&number) {
            transition.soon(context, Effect::TellThread { number });
        }
    }

    /// What a step means for people at the forge: whoever is new among those who prompted cannot
    /// approve any more, and threads are told when the session works, is done or has failed.
    pub(super) fn tell_forge(
        &mut self,
        before: SessionState,
        context: Context,
        transition: &mut Transition,
    ) {
        let editors = transition.outputs.iter().filter_map(|output| match output {
            Output::Fact(Fact::PromptEdited { by, .. }) => Some(by),
            _ => None,
        });
        let people: Vec<Person> = self.uncredited.iter().chain(editors).cloned().collect();
        let mut is_somebody_new = false;
        for person in people {
            let prompters = &mut self.forge.prompters;
            if !prompters.iter().any(|known| known.id == person.id) {
                prompters.push(person);
                is_somebody_new = true;
            }
        }
        if is_somebody_new {
            for number in self.open_pull_requests() {
                transition.soon(context, Effect::CheckReviews { number });
            }
        }
        if self.activity() != before {
            for number in &self.forge.threads {
                transition.soon(context, Effect::TellThread { number: *number });
            }
        }
    }

    pub(super) fn open_pull_requests(&self) -> Vec<u64> {
        let is_open = |pull: &&PullRequest| {
            matches!(pull.state, PullRequestState::Open | PullRequestState::Draft)
        };
        let open = self.pull_requests.iter().filter(is_open);
        open.map(|pull| pull.number).collect()
    }
}
