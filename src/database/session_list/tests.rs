//! The statements against real SQLite, with the tables of the migrations.

#![allow(clippy::unwrap_used, reason = "tests")]

use protocol::api::{ChecksVerdict, PullRequest, SessionState};
use protocol::event::{Person, PullRequestState, Repository, ReviewVerdict};
use rusqlite::{Connection, params};

use super::*;
use crate::database::native::migrated;
use crate::database::seen;
use crate::database::sessions::{UPDATE, search_text};

const ALICE: UserId = UserId(1);
const NOW: i64 = 1_000;

/// A database in which Alice reaches `acme/tool`.
fn reached() -> Connection {
    let database = migrated();
    database
        .execute_batch(
            "INSERT INTO users (id, login, name, avatar, seen_at) VALUES (1, 'alice', '', '', 1000);
             INSERT INTO access (user, repository, default_branch, checked_at)
             VALUES (1, 'acme/tool', 'main', 1000)",
        )
        .unwrap();
    database
}

fn summary(number: u8, title: &str, state: SessionState) -> SessionSummary {
    SessionSummary {
        id: SessionId::from_random([number; 16]),
        repository: Repository::new("acme", "tool").unwrap(),
        branch: "main".to_owned(),
        title: title.to_owned(),
        state,
        created_by: Person {
            id: ALICE,
            login: "alice".to_owned(),
            name: "Alice".to_owned(),
            avatar: String::new(),
        },
        created_at: Millis(0),
        updated_at: Millis(i64::from(number)),
        pull_requests: Vec::new(),
        paused: false,
        parent: None,
        unread: false,
    }
}

fn pull(state: PullRequestState) -> PullRequest {
    PullRequest {
        number: 1,
        url: String::new(),
        title: String::new(),
        branch: String::new(),
        state,
        review: None,
        checks: None,
    }
}

fn keep(database: &Connection, summary: &SessionSummary) {
    database
        .execute(
            UPDATE,
            params![
                summary.id.as_str(),
                summary.repository.to_string(),
                summary.created_by.id.0,
                summary.updated_at.0,
                i64::from(summary.state == SessionState::Archived),
                serde_json::to_string(summary).unwrap(),
                summary.parent.as_ref().map(|one| one.session.as_str()),
                search_text(summary),
            ],
        )
        .unwrap();
}

/// Titles of what the user gets, those that are unread marked.
fn titles(database: &Connection, user: UserId, filter: &Filter) -> Vec<String> {
    let archived = filter.standings.contains(&Standing::Archived);
    let statement = if archived { LIST_WITH_ARCHIVED } else { LIST };
    let mut statement = database.prepare(statement).unwrap();
    let rows = statement.query_map(
        params![
            user.0,
            NOW,
            before(filter.cursor),
            filter.only_mine,
            serde_json::to_string(&filter.standings).unwrap(),
            serde_json::to_string(&filter.words).unwrap(),
            PAGE,
        ],
        |row| {
            let (summary, unread) = (row.get(0)?, row.get(1)?);
            Ok(Row { summary, unread })
        },
    );
    let rows: Vec<Row> = rows.unwrap().map(Result::unwrap).collect();
    let mark = |one: SessionSummary| if one.unread { "*" } else { "" }.to_owned() + &one.title;
    summaries(&rows).unwrap().into_iter().map(mark).collect()
}

fn of(standings: &[Standing]) -> Filter {
    Filter {
        standings: standings.to_vec(),
        ..Filter::default()
    }
}

fn words(words: &[&str]) -> Filter {
    Filter {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Filter::default()
    }
}

#[test]
fn a_list_has_what_the_user_reaches_newest_first() {
    let database = reached();
    keep(&database, &summary(1, "older", SessionState::Idle));
    keep(&database, &summary(2, "newer", SessionState::Working));
    keep(&database, &summary(3, "", SessionState::Warming));
    keep(&database, &summary(4, "gone", SessionState::Archived));
    let elsewhere = SessionSummary {
        repository: Repository::new("acme", "secret").unwrap(),
        ..summary(5, "secret", SessionState::Idle)
    };
    keep(&database, &elsewhere);
    assert_eq!(
        titles(&database, ALICE, &Filter::default()),
        ["newer", "older"]
    );
    assert_eq!(titles(&database, UserId(2), &Filter::default()), [""; 0]);
    let cursor = Some(Millis(2));
    let rest = Filter {
        cursor,
        ..Filter::default()
    };
    assert_eq!(titles(&database, ALICE, &rest), ["older"]);
}

#[test]
fn states_are_alternatives_and_archived_ones_are_shown_when_they_are_asked_for() {
    let database = reached();
    keep(&database, &summary(1, "idle", SessionState::Idle));
    keep(&database, &summary(2, "working", SessionState::Working));
    keep(&database, &summary(3, "archived", SessionState::Archived));
    let shown = |standings: &[Standing]| titles(&database, ALICE, &of(standings));
    assert_eq!(shown(&[Standing::Working]), ["working"]);
    assert_eq!(
        shown(&[Standing::Idle, Standing::Working]),
        ["working", "idle"]
    );
    assert_eq!(shown(&[Standing::Archived]), ["archived"]);
    assert_eq!(
        shown(&[Standing::Archived, Standing::Idle]),
        ["archived", "idle"]
    );
}

#[test]
fn what_needs_somebody_is_told_from_what_is_ready_for_review() {
    let database = reached();
    let with = |number, title, state, pull| SessionSummary {
        pull_requests: vec![pull],
        ..summary(number, title, state)
    };
    keep(&database, &summary(1, "failed", SessionState::Failed));
    keep(
        &database,
        &SessionSummary {
            paused: true,
            ..summary(2, "paused", SessionState::Working)
        },
    );
    let asked = PullRequest {
        review: Some(ReviewVerdict::ChangesRequested),
        ..pull(PullRequestState::Open)
    };
    keep(
        &database,
        &with(3, "asked", SessionState::Idle, asked.clone()),
    );
    keep(
        &database,
        &with(4, "at it", SessionState::Working, asked.clone()),
    );
    let broken = PullRequest {
        checks: Some(ChecksVerdict::Failed),
        ..pull(PullRequestState::Draft)
    };
    keep(&database, &with(5, "broken", SessionState::Idle, broken));
    let passed = PullRequest {
        checks: Some(ChecksVerdict::Passed),
        ..pull(PullRequestState::Open)
    };
    keep(&database, &with(6, "ready", SessionState::Idle, passed));
    let merged = PullRequest {
        state: PullRequestState::Merged,
        ..asked
    };
    keep(&database, &with(7, "merged", SessionState::Idle, merged));
    keep(&database, &summary(8, "plain", SessionState::Idle));
    let shown = |standing| titles(&database, ALICE, &of(&[standing]));
    assert_eq!(
        shown(Standing::NeedsYou),
        ["plain", "broken", "asked", "paused", "failed"]
    );
    assert_eq!(shown(Standing::ReadyForReview), ["ready"]);
}

#[test]
fn words_are_found_in_title_repository_and_login_whatever_their_case() {
    let database = reached();
    let bobs = SessionSummary {
        created_by: Person {
            id: UserId(2),
            login: "Bob".to_owned(),
            name: String::new(),
            avatar: String::new(),
        },
        ..summary(1, "Größe der Übersicht", SessionState::Idle)
    };
    keep(&database, &bobs);
    keep(&database, &summary(2, "100% of _all_", SessionState::Idle));
    let found = |asked: &[&str]| titles(&database, ALICE, &words(asked)).len();
    assert_eq!(found(&["übersicht"]), 1);
    assert_eq!(found(&["acme/tool"]), 2);
    assert_eq!(found(&["bob", "größe"]), 1);
    assert_eq!(found(&["bob", "100%"]), 0);
    assert_eq!(found(&["%"]), 1, "a sign is only a sign");
    assert_eq!(found(&["_all_"]), 1);
    assert_eq!(found(&["1_0"]), 0);
    assert_eq!(found(&["' OR 1=1 --"]), 0);
    let long = "x".repeat(200);
    assert_eq!(found(&[&long]), 0, "a pattern this long would be refused");
}

#[test]
fn what_happened_since_somebody_looked_is_unread_for_them() {
    let database = reached();
    let session = summary(10, "one", SessionState::Working);
    keep(&database, &session);
    let shown = || titles(&database, ALICE, &Filter::default());
    assert_eq!(shown(), ["one"], "never looked at");
    let look = |at: i64| {
        database
            .execute(seen::NOTE, params![ALICE.0, session.id.as_str(), at])
            .unwrap();
    };
    look(10);
    assert_eq!(shown(), ["one"]);
    let later = SessionSummary {
        updated_at: Millis(20),
        ..session.clone()
    };
    keep(&database, &later);
    assert_eq!(shown(), ["*one"]);
    look(20);
    look(15);
    assert_eq!(shown(), ["one"], "looking never undoes itself");
}

#[test]
fn what_changed_since_somebody_came_is_unread_even_if_they_never_opened_it() {
    let database = reached();
    let signed_in = |at: i64| {
        database
            .execute("UPDATE users SET seen_at = ?", params![at])
            .unwrap();
    };
    signed_in(100);
    keep(&database, &summary(90, "before", SessionState::Idle));
    keep(&database, &summary(110, "after", SessionState::Idle));
    let shown = || titles(&database, ALICE, &Filter::default());
    assert_eq!(shown(), ["*after", "before"]);
    let look = |session: &str, at: i64| {
        database
            .execute(seen::NOTE, params![ALICE.0, session, at])
            .unwrap();
    };
    look("ses_elsewhere", 105);
    signed_in(200);
    assert_eq!(shown(), ["*after", "before"], "nobody opened it since");
    look(summary(110, "", SessionState::Idle).id.as_str(), 110);
    assert_eq!(shown(), ["after", "before"]);
}

#[test]
fn sessions_from_before_are_found_as_well() {
    let database = Connection::open_in_memory().unwrap();
    let before = summary(1, "OLD One", SessionState::Idle);
    database
        .execute_batch(include_str!("../../../migrations/0001_init.sql"))
        .unwrap();
    database
        .execute(
            "INSERT INTO sessions (id, repository, created_by, updated_at, summary)
             VALUES ('ses_1', 'acme/tool', 1, 1, ?)",
            [serde_json::to_string(&before).unwrap()],
        )
        .unwrap();
    database
        .execute_batch(include_str!("../../../migrations/0008_lobby.sql"))
        .unwrap();
    let search = database.query_row("SELECT search FROM sessions", [], |row| row.get(0));
    assert_eq!(search, Ok(search_text(&before)));
}
