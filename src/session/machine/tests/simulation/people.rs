//! What people do, and what the object makes of it.

use super::super::person;
use super::super::*;
use super::{Message, Simulation};
use protocol::event::{Mode, Source};

/// What people do.
#[derive(Clone)]
pub enum Ask {
    Prompt { request: u64, mode: Mode },
    Edit(PromptId),
    Cancel(PromptId),
    Insert(PromptId),
    Reorder(Vec<PromptId>),
    Stop,
    Resume,
    Clear,
    Typing,
    Fork(PromptId),
    Archive,
}

impl Simulation {
    pub fn somebody_asks(&mut self) {
        let queue = &self.object.state.queue;
        let waiting = queue.get(self.dice.below(queue.len()));
        let waiting = waiting.map(|waiting| waiting.prompt.clone());
        let ask = match (self.dice.below(24), waiting) {
            (0..=9, _) => {
                let request = self.asked.len() as u64;
                let insert = self.dice.once_in(3);
                let mode = if insert { Mode::Insert } else { Mode::Queue };
                self.asked.insert(request, (mode, None));
                Ask::Prompt { request, mode }
            }
            (10, Some(prompt)) => Ask::Edit(prompt),
            (11, Some(prompt)) => Ask::Cancel(prompt),
            (12 | 13, Some(prompt)) => Ask::Insert(prompt),
            (14 | 15, Some(_)) => {
                let queue = self.object.state.queue.iter();
                let mut order: Vec<_> = queue.map(|waiting| waiting.prompt.clone()).collect();
                order.reverse();
                Ask::Reorder(order)
            }
            (16 | 17, _) => Ask::Stop,
            (18, _) => Ask::Resume,
            (19, Some(_)) => Ask::Clear,
            (20, _) => match self.object.kept.keys().next_back() {
                Some(prompt) => Ask::Fork(prompt.clone()),
                None => Ask::Typing,
            },
            (21, _) if self.dice.once_in(12) => Ask::Archive,
            _ => Ask::Typing,
        };
        self.network.push(Message::Ask(ask));
    }

    pub fn asked(&mut self, ask: Ask) {
        let by = person(i64::try_from(self.dice.below(3)).unwrap() + 1);
        // That a refusal changes nothing is tested elsewhere.
        let _ = match ask {
            Ask::Prompt { request, mode } => {
                self.prompt(request, mode, by);
                Ok(())
            }
            Ask::Edit(prompt) => {
                let text = "better".to_owned();
                self.take(Act::Edit { prompt, text }.by(by))
            }
            Ask::Cancel(prompt) => self.take(Act::Cancel { prompt }.by(by)),
            Ask::Insert(prompt) => self.take(Act::Insert { prompt }.by(by)),
            Ask::Reorder(order) => self.take(Act::Reorder { order }.by(by)),
            Ask::Stop => self.take(Act::Stop.by(by)),
            Ask::Resume => self.take(Act::ResumeQueue.by(by)),
            Ask::Clear => self.take(Act::ClearQueue.by(by)),
            Ask::Typing => self.take(Input::Typing),
            Ask::Fork(prompt) => self.fork(prompt, by),
            Ask::Archive => self.take(Act::Archive.by(by)),
        };
    }

    /// As `Core::prompt`: once for each request.
    fn prompt(&mut self, request: u64, mode: Mode, author: Person) {
        let answer = match self.object.requests.get(&request) {
            Some(known) => Ok(known.clone()),
            None => {
                let id = PromptId::from_random(self.dice.bytes());
                let prompt = Prompt {
                    id: id.clone(),
                    author,
                    text: "do it".to_owned(),
                    source: Source::Web,
                    mode,
                    attachments: Vec::new(),
                    client_request_id: None,
                };
                self.take(Input::Prompt(prompt)).map(|()| {
                    self.object.requests.insert(request, id.clone());
                    id
                })
            }
        };
        // The answer may be lost, and then the client asks again.
        if !(self.trouble && self.dice.once_in(4)) {
            self.asked.insert(request, (mode, Some(answer)));
        }
    }

    fn fork(&mut self, prompt: PromptId, by: Person) -> Result<(), Refusal> {
        let kept = self.object.kept.get(&prompt).cloned();
        let session = SessionId::from_random(self.dice.bytes());
        let state = &self.object.state;
        let create = state.fork(prompt.clone(), kept, session, by.clone())?;
        let snapshot = create.snapshot.expect("a fork starts from somewhere");
        assert!(self.world.snapshots.contains_key(&snapshot.id));
        assert_eq!(create.parent.map(|parent| parent.prompt), Some(prompt));
        self.forks.push(create.session.clone());
        for _ in 0..=self.dice.below(2) {
            let session = create.session.clone();
            let by = by.clone();
            self.take(Input::Forked { session, by })?;
        }
        Ok(())
    }
}
