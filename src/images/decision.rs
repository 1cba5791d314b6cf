//! What to do with a base, a build and a report: decided from what is known, without I/O.

use protocol::api::{EnvironmentStatus, ImageState};
use protocol::callback::ImageReport;
use protocol::{Millis, RunnerId};

use crate::database::images::Row;

/// Pushes do not have a base built more often than this.
pub const DEBOUNCE_MS: i64 = 60_000;

/// A build whose runner is silent for so long has failed.
pub const SILENCE_MS: i64 = 45 * 60_000;

/// The same when the runner is not there any more: long enough for one that restarts.
pub const ABSENCE_MS: i64 = 5 * 60_000;

/// A commit whose image failed is tried again after this, since the cause may have passed.
pub const RETRY_MS: i64 = 6 * 3_600_000;

/// Why a base needs an image of its branch's `head`, if it does. `rows` are the base's, newest
/// first; `is_stale` says that sessions start from an image whose runner's system has changed.
pub fn why_build(
    branch: &str,
    head: &str,
    rows: &[Row],
    is_stale: bool,
    now: Millis,
) -> Option<String> {
    if rows.iter().any(|row| row.state == ImageState::Requested) {
        return None;
    }
    let is_good = |row: &&Row| matches!(row.state, ImageState::Ready | ImageState::Unchanged);
    let good = rows.iter().find(is_good);
    let commit = good.and_then(|row| row.commit_hash.as_deref());
    // What is being made is made on the system as it is.
    let is_stale = is_stale && rows.iter().all(|row| row.state != ImageState::Building);
    if commit == Some(head) && !is_stale {
        return None;
    }
    let tried = rows.first().is_some_and(|row| {
        row.state == ImageState::Failed
            && row.commit_hash.as_deref() == Some(head)
            && row
                .finished_at
                .is_some_and(|at| now.0 < at.saturating_add(RETRY_MS))
    });
    if tried {
        return None;
    }
    Some(match commit {
        None => "no image yet".to_owned(),
        Some(commit) if commit == head => "the system changed".to_owned(),
        Some(commit) => format!("{branch} moved from {} to {}", short(commit), short(head)),
    })
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// When a push may have its base built.
pub fn not_before(rows: &[Row], now: Millis) -> Millis {
    let started = rows.iter().filter_map(|row| row.started_at).max();
    started.map_or(now, |at| now.max(Millis(at).plus(DEBOUNCE_MS)))
}

/// What becomes of a build that its runner should be at.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    GoesOn,
    /// Nothing was ever heard of it, so perhaps the command was lost: it is offered again.
    Unheard,
    Lost(&'static str),
}

pub fn fate(row: &Row, present: &[RunnerId], now: Millis) -> Fate {
    let heard = Millis(row.reported_at.or(row.started_at).unwrap_or(0));
    let silence = now.since(heard);
    let is_absent = silence >= ABSENCE_MS.unsigned_abs();
    let is_present = row
        .runner
        .as_ref()
        .is_some_and(|runner| present.contains(runner));
    if is_absent && row.reported_at == row.started_at {
        Fate::Unheard
    } else if silence >= SILENCE_MS.unsigned_abs() {
        Fate::Lost("its runner has not reported for 45 minutes: ask for the image again")
    } else if is_absent && !is_present {
        Fate::Lost("the runner that built it is gone: ask for the image again")
    } else {
        Fate::GoesOn
    }
}

/// What a report's piece of the log is to what is held.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The log begins anew.
    Anew(&'a str),
    Next(&'a str),
    /// All of it is held.
    Repeated,
    /// It begins behind the log's end.
    Gap,
}

pub fn piece(held: u64, report: &ImageReport) -> Piece<'_> {
    let ImageReport {
        log_offset, log, ..
    } = report;
    if *log_offset == 0 && !log.is_empty() {
        return Piece::Anew(log);
    }
    let Some(known) = held.checked_sub(*log_offset) else {
        return Piece::Gap;
    };
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    if known >= log.len() {
        return Piece::Repeated;
    }
    // What a repetition adds begins between two characters, unless it is no repetition.
    log.get(known..).map_or(Piece::Gap, Piece::Next)
}

/// Where an environment stands, and the row that says so. `rows` are those of its base, newest
/// first; what was started before `specified_at` is of an earlier specification.
pub fn status(rows: &[Row], specified_at: Millis) -> (EnvironmentStatus, Option<&Row>) {
    let is_of_it = |row: &&Row| row.started_at.is_some_and(|at| at >= specified_at.0);
    let is_good = |row: &&Row| matches!(row.state, ImageState::Ready | ImageState::Unchanged);
    let good = rows.iter().filter(is_of_it).find(is_good);
    if good.is_some() {
        return (EnvironmentStatus::Ready, good);
    }
    let under_way = rows.iter().find(|row| !row.is_finished());
    if under_way.is_some() {
        return (EnvironmentStatus::Building, under_way);
    }
    let failed = rows.iter().find(|row| row.state == ImageState::Failed);
    (EnvironmentStatus::Failed, failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use protocol::ImageId;
    use protocol::event::Repository;

    use super::*;

    const OLD: &str = "1a2b3c4d5e6f";
    const NEW: &str = "5d6e7f8a9b0c";
    const NOW: Millis = Millis(100_000_000_000);

    fn row(state: ImageState, commit: &str) -> Row {
        Row {
            id: ImageId::from_random([1; 16]),
            repository: Repository::new("a", "b").unwrap(),
            branch: "main".to_owned(),
            environment: String::new(),
            state,
            reason: String::new(),
            forced: 0,
            commit_hash: Some(commit.to_owned()),
            runner: Some(RunnerId::from_random([1; 16])),
            requested_by: None,
            requested_at: NOW.0,
            attempts: 1,
            started_at: Some(NOW.0),
            reported_at: Some(NOW.0),
            finished_at: Some(NOW.0),
            message: None,
            runtime: "{}".to_owned(),
            steps: "[]".to_owned(),
            bytes: 0,
            log_bytes: 0,
            current: 0,
        }
    }

    #[test]
    fn an_image_is_built_when_there_is_none_and_when_the_head_has_moved() {
        let why = |rows: &[Row]| why_build("main", NEW, rows, false, NOW);
        assert_eq!(why(&[]).as_deref(), Some("no image yet"));
        let moved = "main moved from 1a2b3c4 to 5d6e7f8";
        for state in [ImageState::Ready, ImageState::Unchanged] {
            assert_eq!(why(&[row(state, OLD)]).as_deref(), Some(moved));
            assert_eq!(why(&[row(state, NEW)]), None);
        }
        assert_eq!(why(&[row(ImageState::Requested, NEW)]), None);
    }

    #[test]
    fn a_build_that_began_before_a_push_is_no_image_of_it() {
        let rows = [row(ImageState::Building, OLD), row(ImageState::Ready, OLD)];
        assert!(why_build("main", NEW, &rows, false, NOW).is_some());
    }

    #[test]
    fn a_commit_whose_image_failed_is_tried_again_later() {
        let rows = [row(ImageState::Failed, NEW), row(ImageState::Ready, OLD)];
        let why = |head, now| why_build("main", head, &rows, false, now);
        assert_eq!(why(NEW, NOW), None);
        assert!(why(NEW, NOW.plus(RETRY_MS)).is_some());
        assert!(why("another", NOW).is_some());
    }

    #[test]
    fn an_image_is_built_anew_when_the_system_has_changed_under_it() {
        let why = |rows: &[Row], now| why_build("main", NEW, rows, true, now);
        let changed = Some("the system changed");
        for state in [ImageState::Ready, ImageState::Unchanged] {
            assert_eq!(why(&[row(state, NEW)], NOW).as_deref(), changed);
        }
        let moved = "main moved from 1a2b3c4 to 5d6e7f8";
        let rows = [row(ImageState::Ready, OLD)];
        assert_eq!(why(&rows, NOW).as_deref(), Some(moved));
        for state in [ImageState::Requested, ImageState::Building] {
            let rows = [row(state, NEW), row(ImageState::Ready, NEW)];
            assert_eq!(why(&rows, NOW), None);
        }
        let rows = [row(ImageState::Failed, NEW), row(ImageState::Ready, NEW)];
        assert_eq!(why(&rows, NOW), None);
        assert_eq!(why(&rows, NOW.plus(RETRY_MS)).as_deref(), changed);
    }

    #[test]
    fn a_push_waits_a_minute_after_the_last_build_began() {
        assert_eq!(not_before(&[], NOW), NOW);
        let rows = [row(ImageState::Building, OLD)];
        assert_eq!(not_before(&rows, NOW.plus(1000)), NOW.plus(DEBOUNCE_MS));
        let later = NOW.plus(2 * DEBOUNCE_MS);
        assert_eq!(not_before(&rows, later), later);
    }

    #[test]
    fn a_build_is_given_up_when_it_is_silent_and_sooner_when_its_runner_is_gone() {
        let mut row = row(ImageState::Building, OLD);
        row.reported_at = Some(NOW.0 + 1);
        let here: Vec<RunnerId> = row.runner.clone().into_iter().collect();
        let after = |millis| NOW.plus(millis + 1);
        assert_eq!(fate(&row, &here, after(SILENCE_MS - 1)), Fate::GoesOn);
        let silent = fate(&row, &here, after(SILENCE_MS));
        assert!(matches!(silent, Fate::Lost(message) if message.contains("45 minutes")));
        assert_eq!(fate(&row, &[], after(ABSENCE_MS - 1)), Fate::GoesOn);
        let gone = fate(&row, &[], after(ABSENCE_MS));
        assert!(matches!(gone, Fate::Lost(message) if message.contains("gone")));
    }

    #[test]
    fn a_build_that_was_never_heard_of_is_offered_again() {
        let row = row(ImageState::Building, OLD);
        assert_eq!(fate(&row, &[], NOW.plus(ABSENCE_MS - 1)), Fate::GoesOn);
        assert_eq!(fate(&row, &[], NOW.plus(ABSENCE_MS)), Fate::Unheard);
    }

    fn report(log_offset: u64, log: &str) -> ImageReport {
        ImageReport {
            runner: RunnerId::from_random([1; 16]),
            base: None,
            log_offset,
            log: log.to_owned(),
            outcome: None,
        }
    }

    proptest! {
        #[test]
        fn a_log_is_whole_however_its_pieces_are_repeated(
            pieces in prop::collection::vec("[a-zé😀]{1,5}", 1..6),
            order in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let starts: Vec<usize> = pieces
                .iter()
                .scan(0, |end, piece| {
                    let start = *end;
                    *end += piece.len();
                    Some(start)
                })
                .collect();
            let mut held = String::new();
            // Any pieces in any order, then all in order from where the log ends, as a sender does.
            let any = order.iter().map(|index| index % pieces.len());
            for index in any.chain(0..pieces.len()) {
                let text = pieces.get(index).unwrap();
                let report = report(*starts.get(index).unwrap() as u64, text);
                match piece(held.len() as u64, &report) {
                    Piece::Anew(text) => text.clone_into(&mut held),
                    Piece::Next(text) => held.push_str(text),
                    Piece::Repeated | Piece::Gap => {}
                }
                prop_assert!(pieces.concat().starts_with(&held));
            }
            prop_assert_eq!(held, pieces.concat());
        }
    }

    #[test]
    fn a_piece_is_taken_up_to_where_the_log_ends() {
        assert_eq!(piece(3, &report(3, "two")), Piece::Next("two"));
        assert_eq!(piece(3, &report(1, "netwo")), Piece::Next("two"));
        assert_eq!(piece(3, &report(1, "ne")), Piece::Repeated);
        assert_eq!(piece(3, &report(4, "wo")), Piece::Gap);
        assert_eq!(piece(3, &report(0, "new")), Piece::Anew("new"));
        // The last report may have nothing but the outcome.
        assert_eq!(piece(0, &report(0, "")), Piece::Repeated);
        assert_eq!(piece(2, &report(1, "é")), Piece::Gap);
    }

    #[test]
    fn an_environment_is_ready_by_images_of_its_present_specification_only() {
        let ready = row(ImageState::Ready, NEW);
        let status_of = |rows: &[Row], at: Millis| status(rows, at).0;
        let rows = [ready.clone()];
        assert_eq!(status_of(&rows, NOW), EnvironmentStatus::Ready);
        assert_eq!(status_of(&rows, NOW.plus(1)), EnvironmentStatus::Failed);
        let rows = [row(ImageState::Requested, NEW), ready.clone()];
        assert_eq!(status_of(&rows, NOW.plus(1)), EnvironmentStatus::Building);
        // A later failure keeps the last good one.
        let rows = [row(ImageState::Failed, NEW), ready];
        assert_eq!(status_of(&rows, NOW), EnvironmentStatus::Ready);
        assert_eq!(status_of(&[], NOW), EnvironmentStatus::Failed);
    }
}
