//! A turn as cards, purely: what it is about, and one task for each step. Slack's streams take what
//! has changed; when the stream has ended, the cards are a block of the message.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::message::cut;

/// Most tasks of one turn. What comes after is the last one's.
const MAX_TASKS: usize = 30;

const MAX_TITLE: usize = 150;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How it goes, in a line.
    pub title: String,
    pub tasks: Vec<Task>,
    /// Whose question is answered, as a channel's streams want to know.
    pub user: String,
    pub is_over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    pub title: String,
    pub status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    InProgress,
    Complete,
    Error,
}

/// Notes that a step has begun. Steps beyond the most share the last task.
pub fn begin(tasks: &mut Vec<Task>, id: String, title: &str) {
    let task = Task {
        id,
        title: cut(title, MAX_TITLE),
        status: Status::InProgress,
    };
    let is_full = tasks.len() >= MAX_TASKS;
    match tasks.last_mut().filter(|_| is_full) {
        Some(last) => last.title = task.title,
        None => tasks.push(task),
    }
}

/// Notes that a step has ended.
pub fn end(tasks: &mut [Task], id: &str, status: Status) {
    for task in tasks.iter_mut().filter(|task| task.id == id) {
        task.status = status;
    }
}

/// Nothing goes on in a turn that is over.
pub fn end_all(tasks: &mut [Task], status: Status) {
    let open = |task: &&mut Task| task.status == Status::InProgress;
    for task in tasks.iter_mut().filter(open) {
        task.status = status;
    }
}

impl Progress {
    /// What a stream that was told `before` is to be told now.
    pub fn since(&self, before: &Self) -> Vec<Value> {
        let mut chunks = Vec::new();
        if self.title != before.title {
            chunks.push(json!({ "type": "plan_update", "title": self.title }));
        }
        for task in &self.tasks {
            if !before.tasks.contains(task) {
                let Task { id, title, status } = task;
                chunks.push(json!({
                    "type": "task_update", "id": id, "title": title, "status": status,
                }));
            }
        }
        chunks
    }

    /// The cards as a block; there is none without tasks.
    pub fn block(&self) -> Option<Value> {
        let card = |Task { id, title, status }: &Task| json!({ "type": "task_card", "task_id": id, "title": title, "status": status });
        let cards: Vec<Value> = self.tasks.iter().map(card).collect();
        (!cards.is_empty()).then(|| json!({ "type": "plan", "title": self.title, "tasks": cards }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_told_what_has_changed_and_nothing_twice() {
        let mut progress = Progress {
            title: "Working".to_owned(),
            ..Progress::default()
        };
        begin(&mut progress.tasks, "1".to_owned(), "Run the tests");
        assert_eq!(progress.since(&Progress::default()).len(), 2);
        let before = progress.clone();
        assert_eq!(progress.since(&before), Vec::<Value>::new());
        end(&mut progress.tasks, "1", Status::Complete);
        begin(&mut progress.tasks, "2".to_owned(), "Repair it");
        let chunks = progress.since(&before);
        let statuses: Vec<_> = chunks.iter().map(|chunk| chunk["status"].clone()).collect();
        assert_eq!(statuses, ["complete", "in_progress"]);
    }

    #[test]
    fn a_turn_of_many_steps_stays_within_limits_and_nothing_goes_on_after_it() {
        let mut progress = Progress::default();
        for step in 0..200 {
            begin(&mut progress.tasks, step.to_string(), &"x".repeat(999));
        }
        assert_eq!(progress.tasks.len(), MAX_TASKS);
        end_all(&mut progress.tasks, Status::Complete);
        let is_over = |task: &Task| task.status == Status::Complete;
        assert!(progress.tasks.iter().all(is_over));
        assert!(progress.block().is_some());
        assert_eq!(Progress::default().block(), None);
    }
}
