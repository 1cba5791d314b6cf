//! What the forge tells of this session's pull requests.
//!
//! It may be told twice and late. Whoever tells a state tells the newest that is known, and a
//! review or the end of a commit's checks is logged once.

use protocol::Fact;
use protocol::event::{PullRequestState, ReviewVerdict};
use serde::{Deserialize, Serialize};

use super::{State, Transition};

/// Most entries of [`State::told`]; the oldest are forgotten first.
const MAX_TOLD: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum PullRequestNews {
    Changed {
        number: u64,
        state: PullRequestState,
        /// Login at the forge.
        by: String,
    },
    Reviewed {
        number: u64,
        /// The forge's number of the review.
        review: i64,
        verdict: ReviewVerdict,
        by: String,
    },
    /// Every check of the head has ended.
    ChecksFinished {
        number: u64,
        commit: String,
        failed: Vec<String>,
    },
}

impl State {
    pub(super) fn pull_request_news(&mut self, news: PullRequestNews, transition: &mut Transition) {
        match news {
            PullRequestNews::Changed { number, state, by } => {
                let mut pulls = self.pull_requests.iter_mut();
                let known = pulls.find(|pull| pull.number == number && pull.state != state);
                if let Some(known) = known {
                    known.state = state;
                    transition.fact(Fact::PullRequestChanged { number, state, by });
                }
            }
            PullRequestNews::Reviewed {
                number,
                review,
                verdict,
                by,
            } => {
                if self.has_opened(number) && self.tell(format!("review:{review}")) {
                    transition.fact(Fact::PullRequestReviewed {
                        number,
                        verdict,
                        by,
                    });
                }
            }
            PullRequestNews::ChecksFinished {
                number,
                commit,
                mut failed,
            } => {
                // The order is of no meaning; another outcome after a rerun is.
                failed.sort();
                let key = format!("checks:{number}:{commit}:{}", failed.join(","));
                if self.has_opened(number) && self.tell(key) {
                    transition.fact(Fact::ChecksFinished {
                        number,
                        commit,
                        failed,
                    });
                }
            }
        }
    }

    fn has_opened(&self, number: u64) -> bool {
        self.pull_requests.iter().any(|pull| pull.number == number)
    }

    /// Whether something is told for the first time.
    fn tell(&mut self, key: String) -> bool {
        if self.told.contains(&key) {
            return false;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.remove(0);
        }
        self.told.push(key);
        true
    }
}
