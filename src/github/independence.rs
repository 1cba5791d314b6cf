//! Whether somebody has approved a pull request who had no part in it, purely.
//!
//! Whoever prompted in the session, or made or co-authored one of the commits, has a part in it:
//! their approval would be one of their own work. Only the last word of a reviewer counts, and only
//! about the commit that is to be merged.

use std::collections::{BTreeMap, BTreeSet};

use protocol::UserId;
use protocol::event::Person;

use super::review::{Commit, Review, Reviewer, State};

/// The name of the check run; repositories require it by this name.
pub const CHECK: &str = "independent-review";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub passes: bool,
    pub title: String,
    pub summary: String,
}

/// Those who said yes to `head` last and are no bots, in the order of their identifiers.
pub fn approvers<'a>(reviews: &'a [Review], head: &str) -> Vec<&'a Reviewer> {
    let mut last: BTreeMap<UserId, (&Reviewer, bool)> = BTreeMap::new();
    for review in reviews {
        let Some(user) = review.user.as_ref().filter(|user| !user.is_bot()) else {
            continue;
        };
        match review.state {
            State::Approved => {
                let is_current = review.commit_id.as_deref() == Some(head);
                last.insert(user.id, (user, is_current));
            }
            State::ChangesRequested | State::Dismissed => {
                last.insert(user.id, (user, false));
            }
            // A comment takes no approval back.
            State::Other => {}
        }
    }
    let approving = last.into_values().filter(|(_, approves)| *approves);
    approving.map(|(user, _)| user).collect()
}

/// Everybody who has a part in the work.
pub fn involved(prompters: &[Person], commits: &[Commit]) -> BTreeSet<UserId> {
    let mut people: BTreeSet<UserId> = prompters.iter().map(|person| person.id).collect();
    for commit in commits {
        let known = commit.author.iter().chain(&commit.committer);
        people.extend(known.map(|account| account.id));
        people.extend(account_of(&commit.commit.author.email));
        let trailers = commit.commit.message.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("co-authored-by")
                .then_some(value)
        });
        let emails = trailers.filter_map(|value| Some(value.split_once('<')?.1.split_once('>')?.0));
        people.extend(emails.filter_map(account_of));
    }
    people
}

/// The account of one of GitHub's own addresses, `<id>+<login>@users.noreply.github.com`.
fn account_of(email: &str) -> Option<UserId> {
    let (name, host) = email.split_once('@')?;
    let (id, _) = name.split_once('+')?;
    host.starts_with("users.noreply.")
        .then(|| id.parse().ok().map(UserId))?
}

/// `approvers` are those of [`approvers`] who may write to the repository.
pub fn verdict(approvers: &[&Reviewer], involved: &BTreeSet<UserId>) -> Verdict {
    let (own, independent): (Vec<&Reviewer>, Vec<&Reviewer>) = approvers
        .iter()
        .copied()
        .partition(|reviewer| involved.contains(&reviewer.id));
    let names = |people: &[&Reviewer]| {
        let names: Vec<_> = people.iter().map(|one| format!("@{}", one.login)).collect();
        names.join(", ")
    };
    let passes = !independent.is_empty();
    let (title, summary) = if passes {
        (
            format!("Approved by {}", names(&independent)),
            "Somebody approved this commit who neither prompted in the session nor made one of \
             the commits."
                .to_owned(),
        )
    } else if own.is_empty() {
        (
            "Nobody has approved this commit yet".to_owned(),
            "Somebody has to approve it who neither prompted in the session nor made one of the \
             commits, and who may write to this repository."
                .to_owned(),
        )
    } else {
        (
            "Only people who took part have approved".to_owned(),
            format!(
                "{} prompted in the session, or made one of the commits: their approval would be \
                 one of their own work. Somebody else has to approve it.",
                names(&own)
            ),
        )
    };
    Verdict {
        passes,
        title,
        summary,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    const HEAD: &str = "abc";

    fn review(id: i64, state: &str, commit: &str) -> Review {
        let user = json!({ "id": id, "login": format!("u{id}"), "type": "User" });
        let review = json!({ "user": user, "state": state, "commit_id": commit });
        serde_json::from_value(review).unwrap()
    }

    fn person(id: i64) -> Person {
        Person {
            id: UserId(id),
            login: format!("u{id}"),
            name: String::new(),
            avatar: String::new(),
        }
    }

    fn commit(message: &str, email: &str, author: Option<i64>) -> Commit {
        let author = author.map(|id| json!({ "id": id, "login": format!("u{id}") }));
        let text = json!({ "message": message, "author": { "email": email } });
        serde_json::from_value(json!({ "commit": text, "author": author })).unwrap()
    }

    fn passes(reviews: &[Review], prompters: &[Person], commits: &[Commit]) -> bool {
        let involved = involved(prompters, commits);
        verdict(&approvers(reviews, HEAD), &involved).passes
    }

    #[test]
    fn only_somebody_who_had_no_part_can_approve() {
        let prompters = [person(1), person(2)];
        assert!(!passes(&[], &prompters, &[]));
        assert!(!passes(&[review(2, "APPROVED", HEAD)], &prompters, &[]));
        let third = [review(2, "APPROVED", HEAD), review(3, "APPROVED", HEAD)];
        assert!(passes(&third, &prompters, &[]));
        // Then the third prompts, too.
        let prompters = [person(1), person(2), person(3)];
        assert!(!passes(&third, &prompters, &[]));
    }

    #[test]
    fn only_a_reviewers_last_word_on_the_head_counts() {
        for (reviews, expected) in [
            (vec![review(3, "APPROVED", "older")], false),
            (
                vec![
                    review(3, "APPROVED", HEAD),
                    review(3, "CHANGES_REQUESTED", HEAD),
                ],
                false,
            ),
            (
                vec![review(3, "APPROVED", HEAD), review(3, "DISMISSED", HEAD)],
                false,
            ),
            (vec![review(3, "DISMISSED", HEAD)], false),
            (
                vec![review(3, "APPROVED", HEAD), review(3, "COMMENTED", HEAD)],
                true,
            ),
            (
                vec![
                    review(3, "CHANGES_REQUESTED", HEAD),
                    review(3, "APPROVED", HEAD),
                ],
                true,
            ),
            (vec![review(3, "SOMETHING_NEW", HEAD)], false),
        ] {
            assert_eq!(passes(&reviews, &[person(1)], &[]), expected, "{reviews:?}");
        }
    }

    #[test]
    fn authors_and_co_authors_of_commits_had_a_part() {
        let approved = [review(3, "APPROVED", HEAD)];
        let noreply = "3+u3@users.noreply.github.com";
        for commits in [
            vec![commit("x", "a@x.org", Some(3))],
            vec![commit("x", noreply, None)],
            vec![commit(
                &format!("x\n\nCo-Authored-By: U <{noreply}>"),
                "a@x.org",
                None,
            )],
        ] {
            assert!(!passes(&approved, &[person(1)], &commits), "{commits:?}");
        }
        let other = [commit(
            "x\n\nCo-authored-by: V <v@x.org>",
            "a@x.org",
            Some(4),
        )];
        assert!(passes(&approved, &[person(1)], &other));
    }

    #[test]
    fn a_bot_approves_nothing() {
        let mut by_bot = review(9, "APPROVED", HEAD);
        by_bot.user.as_mut().unwrap().kind = "Bot".to_owned();
        assert!(!passes(&[by_bot], &[person(1)], &[]));
    }
}
