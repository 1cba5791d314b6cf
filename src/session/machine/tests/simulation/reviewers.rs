//! People and machines at the forge, who judge what the session pushed, and what is told of it.

use std::collections::BTreeMap;

use protocol::api::ChecksVerdict;
use protocol::event::ReviewVerdict;

use super::super::*;
use super::{Message, Simulation};
use crate::session::machine::pull_requests::PullRequestNews;

/// What the forge knows of a pull request.
#[derive(Default)]
pub struct Judged {
    pub head: String,
    /// In their order; without a verdict if they were dismissed.
    pub reviews: Vec<Option<ReviewVerdict>>,
    /// How the checks of each commit ended last.
    pub checks: BTreeMap<String, ChecksVerdict>,
}

/// A delivery. Whoever sees to it asks the forge how things stand then.
#[derive(Clone, Copy)]
pub enum News {
    Head(u64),
    Review(u64, usize),
    Checks(u64),
}

impl Simulation {
    /// Somebody reviews, takes it back or pushes, or checks end.
    pub fn somebody_judges(&mut self) {
        let place = self.dice.below(self.judged.len());
        let Some((number, judged)) = self.judged.iter_mut().nth(place) else {
            return;
        };
        let number = *number;
        let news = match self.dice.below(6) {
            0 => {
                judged.head = format!("human-{}", self.dice.below(1000));
                News::Head(number)
            }
            1 if !judged.reviews.is_empty() => {
                let review = self.dice.below(judged.reviews.len());
                judged.reviews[review] = None;
                News::Review(number, review)
            }
            2 | 3 => {
                let verdicts = [ChecksVerdict::Passed, ChecksVerdict::Failed];
                let verdict = verdicts[self.dice.below(2)];
                judged.checks.insert(judged.head.clone(), verdict);
                News::Checks(number)
            }
            _ => {
                let verdicts = [
                    ReviewVerdict::Approved,
                    ReviewVerdict::ChangesRequested,
                    ReviewVerdict::Commented,
                ];
                judged.reviews.push(Some(verdicts[self.dice.below(3)]));
                News::Review(number, judged.reviews.len() - 1)
            }
        };
        self.network.push(Message::News(news));
    }

    /// What the Worker makes of a delivery.
    pub fn news(&mut self, news: News) {
        let (News::Head(number) | News::Review(number, _) | News::Checks(number)) = news;
        let judged = &self.judged[&number];
        let news = match news {
            News::Head(_) => PullRequestNews::Pushed {
                number,
                commit: judged.head.clone(),
            },
            News::Review(_, review) => match judged.reviews[review] {
                Some(verdict) => PullRequestNews::Reviewed {
                    number,
                    review: review as i64,
                    verdict,
                    by: "eve".to_owned(),
                },
                None => PullRequestNews::Dismissed {
                    number,
                    review: review as i64,
                },
            },
            News::Checks(_) => {
                let commit = judged.head.clone();
                let Some(verdict) = judged.checks.get(&commit) else {
                    return;
                };
                let failed = match verdict {
                    ChecksVerdict::Passed => Vec::new(),
                    ChecksVerdict::Failed => vec!["test".to_owned()],
                };
                PullRequestNews::ChecksFinished {
                    number,
                    commit,
                    failed,
                }
            }
        };
        let taken = self.take(Input::PullRequest(news));
        assert_eq!(taken, Ok(()));
    }

    /// The forge records what was not taken, and it is asked for again.
    pub fn tell_news_again(&mut self) {
        for (number, judged) in &self.judged {
            let reviews = (0..judged.reviews.len()).map(|review| News::Review(*number, review));
            let news = reviews.chain([News::Head(*number), News::Checks(*number)]);
            self.network.extend(news.map(Message::News));
        }
    }

    /// Lists show what the forge would.
    pub fn check_judged(&self) {
        for pull in &self.object.state.pull_requests {
            let judged = &self.judged[&pull.number];
            let verdicts = judged.reviews.iter().flatten();
            let mut last = verdicts.filter(|verdict| **verdict != ReviewVerdict::Commented);
            assert_eq!(pull.review.as_ref(), last.next_back(), "#{}", pull.number);
            let checks = judged.checks.get(&judged.head);
            assert_eq!(pull.checks.as_ref(), checks, "#{}", pull.number);
        }
    }
}
