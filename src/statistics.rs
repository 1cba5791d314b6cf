//! What sessions came to: figures made from rows, purely.

use std::collections::BTreeMap;

use protocol::api::{
    DayFigures, PersonFigures, RepositoryFigures, SourceFigures, Statistics, Totals,
};
use protocol::event::{Repository, Source};
use protocol::{Millis, UserId};

const DAY_MS: i64 = 24 * 3_600_000;

/// What a session's pull request came to.
#[derive(Debug, Clone)]
pub struct Pull {
    pub repository: Repository,
    /// Whose prompt it comes from, and where that was given.
    pub by: Option<UserId>,
    pub source: Option<Source>,
    pub opened_at: Millis,
    pub merged_at: Option<Millis>,
    pub first_response_at: Option<Millis>,
    /// The newest verdict, if there is one.
    pub approved: Option<bool>,
    pub is_reviewed: bool,
    pub revisions: u64,
    pub additions: u64,
}

/// Everybody's pull requests of a repository that were merged in the window.
#[derive(Debug, Clone)]
pub struct MergedTotal {
    pub repository: Repository,
    pub count: u64,
    pub additions: u64,
}

/// Prompts of one person from one place in the window.
#[derive(Debug, Clone)]
pub struct PromptTotal {
    pub by: UserId,
    pub source: Source,
    pub count: u64,
    pub microdollars: u64,
}

/// All that figures are made from.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The sessions' that were opened or merged in the window.
    pub pulls: Vec<Pull>,
    pub merged: Vec<MergedTotal>,
    pub prompts: Vec<PromptTotal>,
    pub logins: BTreeMap<UserId, String>,
    pub people_prompting: u64,
    pub first_token_p50_ms: Option<u64>,
    pub first_token_p95_ms: Option<u64>,
}

/// When a window of `days` begins: today, in UTC, is the last of its days.
pub fn beginning(days: u32, now: Millis) -> Millis {
    let today = now.0.div_euclid(DAY_MS) * DAY_MS;
    Millis(today.saturating_sub(i64::from(days.saturating_sub(1)).saturating_mul(DAY_MS)))
}

pub fn figures(
    facts: &Facts,
    days: u32,
    repository: Option<Repository>,
    now: Millis,
) -> Statistics {
    let since = beginning(days, now);
    let opened: Vec<&Pull> = facts
        .pulls
        .iter()
        .filter(|pull| pull.opened_at >= since)
        .collect();
    let merged: Vec<&Pull> = facts
        .pulls
        .iter()
        .filter(|pull| pull.merged_at.is_some_and(|at| at >= since))
        .collect();
    let verdicts: Vec<bool> = opened.iter().filter_map(|pull| pull.approved).collect();
    let reviewed: Vec<&&Pull> = opened.iter().filter(|pull| pull.is_reviewed).collect();
    let microdollars = facts.prompts.iter().map(|total| total.microdollars).sum();
    Statistics {
        days,
        repository,
        merged: count(&merged),
        opened: count(&opened),
        merged_share: share(
            opened
                .iter()
                .filter(|pull| pull.merged_at.is_some())
                .count(),
            opened.len(),
        ),
        trend: trend(&opened, &merged, since, days),
        median_first_response_ms: median(opened.iter().filter_map(|pull| {
            let at = pull.first_response_at?;
            Some(at.since(pull.opened_at))
        })),
        median_merge_ms: median(merged.iter().filter_map(|pull| {
            let at = pull.merged_at?;
            Some(at.since(pull.opened_at))
        })),
        approval_share: share(
            verdicts.iter().filter(|approved| **approved).count(),
            verdicts.len(),
        ),
        revisions: ratio(
            reviewed.iter().map(|pull| pull.revisions).sum(),
            count(&reviewed),
        ),
        microdollars_per_merged: u64::checked_div(microdollars, count(&merged)),
        microdollars,
        prompts: facts.prompts.iter().map(|total| total.count).sum(),
        people_prompting: facts.people_prompting,
        first_token_p50_ms: facts.first_token_p50_ms,
        first_token_p95_ms: facts.first_token_p95_ms,
        repositories: repositories(facts, &merged),
        people: people(facts, &opened, &merged),
        sources: sources(facts, &opened, &merged),
    }
}

fn trend(opened: &[&Pull], merged: &[&Pull], since: Millis, days: u32) -> Vec<DayFigures> {
    let number = |at: Millis| at.since(since) / DAY_MS.unsigned_abs();
    (0..u64::from(days))
        .map(|day| DayFigures {
            day: name_of(since, day),
            opened: count_if(opened, |pull| number(pull.opened_at) == day),
            merged: count_if(merged, |pull| {
                pull.merged_at.is_some_and(|at| number(at) == day)
            }),
        })
        .collect()
}

fn name_of(since: Millis, day: u64) -> String {
    let day = i64::try_from(day).unwrap_or(0);
    let at = since.plus(day.saturating_mul(DAY_MS));
    chrono::DateTime::from_timestamp_millis(at.0)
        .map(|time| time.date_naive().to_string())
        .unwrap_or_default()
}

fn repositories(facts: &Facts, merged: &[&Pull]) -> Vec<RepositoryFigures> {
    let mut figures: Vec<RepositoryFigures> = facts
        .merged
        .iter()
        .map(|all| {
            let ours = merged
                .iter()
                .filter(|pull| pull.repository == all.repository);
            let (merged, lines) = ours.fold((0, 0), |(merged, lines), pull| {
                (merged + 1, lines + pull.additions)
            });
            RepositoryFigures {
                repository: all.repository.clone(),
                all_merged: all.count,
                merged,
                merged_share: ratio(merged, all.count).unwrap_or(0.0),
                all_lines: all.additions,
                lines,
                line_share: ratio(lines, all.additions),
            }
        })
        .collect();
    figures.sort_by_key(|figures| std::cmp::Reverse((figures.merged, figures.all_merged)));
    figures
}

fn people(facts: &Facts, opened: &[&Pull], merged: &[&Pull]) -> Vec<PersonFigures> {
    let mut totals: BTreeMap<UserId, Totals> = BTreeMap::new();
    for prompt in &facts.prompts {
        add_prompts(totals.entry(prompt.by).or_default(), prompt);
    }
    for by in opened.iter().filter_map(|pull| pull.by) {
        totals.entry(by).or_default().opened += 1;
    }
    for by in merged.iter().filter_map(|pull| pull.by) {
        totals.entry(by).or_default().merged += 1;
    }
    let mut people: Vec<PersonFigures> = totals
        .into_iter()
        .map(|(id, totals)| PersonFigures {
            id,
            login: facts.logins.get(&id).cloned().unwrap_or_default(),
            totals,
        })
        .collect();
    people.sort_by_key(|person| std::cmp::Reverse((person.totals.merged, person.totals.prompts)));
    people
}

fn sources(facts: &Facts, opened: &[&Pull], merged: &[&Pull]) -> Vec<SourceFigures> {
    let mut sources: Vec<SourceFigures> = Vec::new();
    let mut of = |source: Source, add: &mut dyn FnMut(&mut Totals)| match sources
        .iter_mut()
        .find(|known| known.source == source)
    {
        Some(known) => add(&mut known.totals),
        None => {
            let mut totals = Totals::default();
            add(&mut totals);
            sources.push(SourceFigures { source, totals });
        }
    };
    for prompt in &facts.prompts {
        of(prompt.source, &mut |totals| add_prompts(totals, prompt));
    }
    for source in opened.iter().filter_map(|pull| pull.source) {
        of(source, &mut |totals| totals.opened += 1);
    }
    for source in merged.iter().filter_map(|pull| pull.source) {
        of(source, &mut |totals| totals.merged += 1);
    }
    sources.sort_by_key(|source| std::cmp::Reverse((source.totals.merged, source.totals.prompts)));
    sources
}

fn add_prompts(totals: &mut Totals, prompt: &PromptTotal) {
    totals.prompts += prompt.count;
    totals.microdollars += prompt.microdollars;
}

fn count<T>(rows: &[T]) -> u64 {
    rows.len() as u64
}

fn count_if(pulls: &[&Pull], holds: impl Fn(&Pull) -> bool) -> u64 {
    pulls.iter().filter(|pull| holds(pull)).count() as u64
}

fn share(part: usize, whole: usize) -> Option<f64> {
    ratio(part as u64, whole as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay within 2^53")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    /// 2026-11-30, noon.
    const NOW: Millis = Millis(1_796_040_000_000);

    fn repository(name: &str) -> Repository {
        Repository::new("acme", name).unwrap()
    }

    /// Opened some hours ago by Alice from the web.
    fn pull(hours: i64) -> Pull {
        Pull {
            repository: repository("api"),
            by: Some(UserId(1)),
            source: Some(Source::Web),
            opened_at: NOW.plus(-hours * HOUR),
            merged_at: None,
            first_response_at: None,
            approved: None,
            is_reviewed: false,
            revisions: 0,
            additions: 10,
        }
    }

    fn merged(mut pull: Pull, hours: i64) -> Pull {
        pull.merged_at = Some(NOW.plus(-hours * HOUR));
        pull
    }

    fn of(pulls: Vec<Pull>) -> Statistics {
        let facts = Facts {
            pulls,
            ..Facts::default()
        };
        figures(&facts, 7, None, NOW)
    }

    #[test]
    fn the_merged_share_is_of_what_was_opened_in_the_window() {
        let before = merged(pull(24 * 20), 1);
        let figures = of(vec![merged(pull(30), 2), pull(2), pull(3), before]);
        assert_eq!((figures.opened, figures.merged), (3, 2));
        assert_eq!(figures.merged_share, Some(1.0 / 3.0));
        assert_eq!(of(Vec::new()).merged_share, None);
    }

    #[test]
    fn every_day_of_the_window_has_an_entry_and_today_is_the_last() {
        let figures = of(vec![merged(pull(30), 2), pull(2)]);
        assert_eq!(figures.trend.len(), 7);
        let day = |day: &str, opened, merged| DayFigures {
            day: day.to_owned(),
            opened,
            merged,
        };
        assert_eq!(
            figures.trend.get(4..),
            Some(
                &[
                    day("2026-11-28", 0, 0),
                    day("2026-11-29", 1, 0),
                    day("2026-11-30", 1, 1)
                ][..]
            )
        );
    }

    #[test]
    fn reviews_are_counted_where_there_were_any() {
        let reviewed = |approved: Option<bool>, revisions| Pull {
            approved,
            is_reviewed: true,
            revisions,
            first_response_at: Some(NOW.plus(-HOUR)),
            ..pull(3)
        };
        let figures = of(vec![
            reviewed(Some(true), 3),
            reviewed(Some(false), 0),
            reviewed(None, 0),
            pull(5),
        ]);
        assert_eq!(figures.approval_share, Some(0.5));
        assert_eq!(figures.revisions, Some(1.0));
        assert_eq!(
            figures.median_first_response_ms,
            Some(2 * HOUR.unsigned_abs())
        );
    }

    #[test]
    fn a_repositorys_share_is_of_everybodys_merged_pull_requests() {
        let facts = Facts {
            pulls: vec![merged(pull(30), 2)],
            merged: vec![
                MergedTotal {
                    repository: repository("web"),
                    count: 9,
                    additions: 0,
                },
                MergedTotal {
                    repository: repository("api"),
                    count: 4,
                    additions: 40,
                },
            ],
            ..Facts::default()
        };
        let figures = figures(&facts, 7, None, NOW);
        let [api, web] = figures.repositories.as_slice() else {
            panic!("two repositories: {figures:?}");
        };
        assert_eq!((api.merged, api.merged_share), (1, 0.25));
        assert_eq!((api.lines, api.line_share), (10, Some(0.25)));
        assert_eq!((web.merged, web.line_share), (0, None));
    }

    #[test]
    fn cost_is_of_all_prompts_and_told_by_person_and_source() {
        let prompts = |by, source, count, microdollars| PromptTotal {
            by: UserId(by),
            source,
            count,
            microdollars,
        };
        let facts = Facts {
            pulls: vec![merged(pull(30), 2), merged(pull(9), 2)],
            prompts: vec![
                prompts(1, Source::Web, 2, 500),
                prompts(1, Source::Slack, 1, 400),
                prompts(2, Source::Web, 5, 100),
            ],
            logins: [(UserId(1), "alice".to_owned())].into(),
            ..Facts::default()
        };
        let figures = figures(&facts, 7, None, NOW);
        assert_eq!(figures.microdollars_per_merged, Some(500));
        assert_eq!(figures.prompts, 8);
        let alice = figures.people.first().unwrap();
        assert_eq!(alice.login, "alice");
        assert_eq!(
            alice.totals,
            Totals {
                prompts: 3,
                microdollars: 900,
                opened: 2,
                merged: 2
            }
        );
        let web = figures.sources.first().unwrap();
        assert_eq!((web.source, web.totals.prompts), (Source::Web, 7));
    }
}
