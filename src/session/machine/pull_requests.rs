//! What the forge tells of this session's pull requests.
//!
//! It may be told twice and late. Whoever tells a state tells the newest that is known, and a
//! review or the end of a commit's checks is logged once. What lists show of reviews and checks
//! comes out the same in whatever order these are told.

use std::collections::BTreeMap;

use protocol::Fact;
use protocol::api::{ChecksVerdict, PullRequest};
use protocol::event::{PullRequestState, ReviewVerdict};
use serde::{Deserialize, Serialize};

use super::{State, Transition};

/// Most entries of [`State::told`]; the oldest are forgotten first.
const MAX_TOLD: usize = 100;

/// Most reviews of one pull request that are kept; what is said last is what counts.
const MAX_REVIEWS: usize = 50;

/// What the newest word on a pull request follows from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The newest commit of its branch.
    pub head: Option<String>,
    /// The commit whose checks ended last, and how.
    pub checked: Option<(String, ChecksVerdict)>,
    /// Verdicts by the forge's numbers of the reviews; none is left of one that was dismissed.
    pub reviews: BTreeMap<i64, Option<ReviewVerdict>>,
}

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
    /// A review counts no more.
    Dismissed { number: u64, review: i64 },
    /// Its branch has another newest commit, whoever pushed it.
    Pushed { number: u64, commit: String },
    /// Every check of the head has ended.
    ChecksFinished {
        number: u64,
        commit: String,
        failed: Vec<String>,
    },
}

impl Standing {
    pub(super) fn show(&self, pull: &mut PullRequest) {
        pull.review = self.reviews.values().rev().find_map(|verdict| *verdict);
        let checked = self.checked.as_ref();
        let is_of_head = |(commit, _): &&(String, ChecksVerdict)| {
            self.head.as_ref().is_none_or(|head| head == commit)
        };
        pull.checks = checked.filter(is_of_head).map(|(_, verdict)| *verdict);
    }
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
                    if verdict != ReviewVerdict::Commented {
                        self.reviewed(number, review, Some(verdict));
                    }
                    transition.fact(Fact::PullRequestReviewed {
                        number,
                        verdict,
                        by,
                    });
                }
            }
            PullRequestNews::Dismissed { number, review } => self.reviewed(number, review, None),
            PullRequestNews::Pushed { number, commit } => self.moved_on(number, commit),
            PullRequestNews::ChecksFinished {
                number,
                commit,
                mut failed,
            } => {
                self.checked(number, &commit, failed.is_empty());
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

    /// The branch of a pull request has another newest commit, which nothing was checked of yet.
    pub(super) fn moved_on(&mut self, number: u64, commit: String) {
        self.stand(number, |standing| standing.head = Some(commit));
    }

    fn reviewed(&mut self, number: u64, review: i64, verdict: Option<ReviewVerdict>) {
        self.stand(number, |standing| {
            let known = standing.reviews.entry(review).or_insert(verdict);
            // A dismissal is final, whichever comes last.
            *known = known.and(verdict);
            if standing.reviews.len() > MAX_REVIEWS {
                standing.reviews.pop_first();
            }
        });
    }

    fn checked(&mut self, number: u64, commit: &str, passed: bool) {
        let verdict = match passed {
            true => ChecksVerdict::Passed,
            false => ChecksVerdict::Failed,
        };
        self.stand(number, |standing| {
            standing.checked = Some((commit.to_owned(), verdict));
        });
    }

    /// Changes what is known of a pull request of this session, and what lists show of it.
    fn stand(&mut self, number: u64, change: impl FnOnce(&mut Standing)) {
        let mut pulls = self.pull_requests.iter_mut();
        let Some(pull) = pulls.find(|pull| pull.number == number) else {
            return;
        };
        let standing = self.forge.standings.entry(number).or_default();
        change(standing);
        standing.show(pull);
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
