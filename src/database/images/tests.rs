//! The statements against real SQLite, with the tables of the migrations.

#![allow(clippy::unwrap_used, reason = "tests")]

use rusqlite::{Connection, params};

use super::{CLAIM, DUE, EXPIRE, JOIN, RELEASE, REQUEST, UNDER_WAY};

/// A database as D1 has it.
pub fn migrated() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.pragma_update(None, "foreign_keys", true).unwrap();
    for migration in [
        include_str!("../../../migrations/0001_init.sql"),
        include_str!("../../../migrations/0002_images.sql"),
    ] {
        database.execute_batch(migration).unwrap();
    }
    database
}

/// Asks for an image of `main` as a person does, or as a push does; answers what will be it.
fn request(database: &Connection, id: &str, behind: bool, not_before: i64) -> String {
    let null = None::<String>;
    database
        .execute(
            REQUEST,
            params![
                id, "a/b", "main", "", "because", 0, null, null, 10, not_before, behind
            ],
        )
        .unwrap();
    database
        .execute(JOIN, params!["a/b", "main", "", 0, not_before])
        .unwrap();
    database
        .query_row(UNDER_WAY, ["a/b", "main", ""], |row| row.get(0))
        .unwrap()
}

fn claim(database: &Connection, id: &str, runner: &str) -> bool {
    let mut statement = database.prepare(CLAIM).unwrap();
    statement.exists(params![id, runner, 20, 2]).unwrap()
}

fn due(database: &Connection, now: i64) -> Vec<String> {
    let mut statement = database.prepare(DUE).unwrap();
    let rows = statement.query_map(params![now, 8], |row| row.get(0));
    rows.unwrap().map(Result::unwrap).collect()
}

fn state(database: &Connection, id: &str) -> String {
    database
        .query_row("SELECT state FROM images WHERE id = ?", [id], |row| {
            row.get(0)
        })
        .unwrap()
}

fn set_state(database: &Connection, id: &str, state: &str) {
    database
        .execute(
            "UPDATE images SET state = ?, finished_at = requested_at WHERE id = ?",
            [state, id],
        )
        .unwrap();
}

#[test]
fn a_second_request_joins_the_build_that_waits_or_runs() {
    let database = migrated();
    assert_eq!(request(&database, "img_a", false, 10), "img_a");
    assert_eq!(request(&database, "img_b", false, 10), "img_a");
    assert!(claim(&database, "img_a", "run_a"));
    assert_eq!(request(&database, "img_c", false, 10), "img_a");
    set_state(&database, "img_a", "ready");
    assert_eq!(request(&database, "img_d", false, 10), "img_d");
}

#[test]
fn pushes_during_a_build_are_one_request_that_waits_for_its_end() {
    let database = migrated();
    request(&database, "img_a", false, 10);
    assert!(claim(&database, "img_a", "run_a"));
    assert_eq!(request(&database, "img_b", true, 70), "img_b");
    assert_eq!(request(&database, "img_c", true, 75), "img_b");
    assert!(due(&database, 100).is_empty());
    assert!(!claim(&database, "img_b", "run_b"));
    set_state(&database, "img_a", "ready");
    assert!(due(&database, 69).is_empty());
    assert_eq!(due(&database, 70), ["img_b"]);
    assert!(claim(&database, "img_b", "run_b"));
}

#[test]
fn a_person_does_not_wait_for_the_end_of_a_pushs_delay() {
    let database = migrated();
    request(&database, "img_a", true, 1000);
    assert!(due(&database, 10).is_empty());
    assert_eq!(request(&database, "img_b", false, 10), "img_a");
    assert_eq!(due(&database, 10), ["img_a"]);
}

#[test]
fn a_runner_has_at_most_two_builds() {
    let database = migrated();
    for (id, branch) in [("img_a", "a"), ("img_b", "b"), ("img_c", "c")] {
        let null = None::<String>;
        database
            .execute(
                REQUEST,
                params![
                    id, "a/b", branch, "", "because", 0, null, null, 10, 10, false
                ],
            )
            .unwrap();
    }
    assert!(claim(&database, "img_a", "run_a"));
    assert!(claim(&database, "img_b", "run_a"));
    assert!(!claim(&database, "img_c", "run_a"));
    assert!(claim(&database, "img_c", "run_b"));
    assert!(!claim(&database, "img_c", "run_c"), "it is taken");
}

#[test]
fn a_build_that_was_not_accepted_waits_again_unless_another_waits_already() {
    let database = migrated();
    let release = |id: &str| {
        let mut statement = database.prepare(RELEASE).unwrap();
        statement.exists(params![id, 50]).unwrap()
    };
    request(&database, "img_a", false, 10);
    assert!(claim(&database, "img_a", "run_a"));
    assert!(release("img_a"));
    assert_eq!(due(&database, 50), ["img_a"]);
    assert!(claim(&database, "img_a", "run_a"));
    request(&database, "img_b", true, 10);
    assert!(!release("img_a"));
    assert_eq!(state(&database, "img_a"), "building");
}

#[test]
fn what_is_old_goes_with_its_log_but_the_current_image_of_what_is_in_use_stays() {
    let database = migrated();
    let used = "INSERT INTO bases (repository, branch, environment, used_at)
        VALUES ('a/b', 'main', '', 0)";
    database.execute(used, []).unwrap();
    let states = ["ready", "failed", "ready", "unchanged", "failed"];
    for (number, state) in states.into_iter().enumerate() {
        database
            .execute(
                "INSERT INTO images (id, repository, branch, environment, state, reason,
                    requested_at, not_before, finished_at)
                 VALUES (?1, 'a/b', 'main', '', ?2, '', ?3, 0, ?3)",
                params![format!("img_{number}"), state, number as i64],
            )
            .unwrap();
        database
            .execute(
                "INSERT INTO image_logs (image, offset, text) VALUES (?, 0, 'log')",
                [format!("img_{number}")],
            )
            .unwrap();
    }
    database.execute(EXPIRE, params![4, 200]).unwrap();
    for table in ["SELECT id FROM images", "SELECT image FROM image_logs"] {
        let mut statement = database.prepare(&format!("{table} ORDER BY 1")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        let left: Vec<String> = rows.map(Result::unwrap).collect();
        assert_eq!(left, ["img_2", "img_4"], "{table}");
    }
    database.execute("DELETE FROM bases", []).unwrap();
    database.execute(EXPIRE, params![4, 200]).unwrap();
    let left = "SELECT COUNT(*) FROM images WHERE id = 'img_2'";
    let left: i64 = database.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn the_image_of_an_environment_that_nobody_uses_stays() {
    let database = migrated();
    let environment = "INSERT INTO environments (repository, name, branch, specification, members,
            created_by, created_by_login, created_at, specified_at)
        VALUES ('a/b', 'tests', 'main', '{}', '[]', 1, 'ada', 0, 0)";
    database.execute(environment, []).unwrap();
    // The environment's status is about its own branch alone.
    let images = [
        ("img_old", "main", "tests", 1),
        ("img_now", "main", "tests", 2),
        ("img_branch", "other", "tests", 2),
        ("img_default", "main", "", 2),
    ];
    for (id, branch, environment, at) in images {
        database
            .execute(
                "INSERT INTO images (id, repository, branch, environment, state, reason,
                    requested_at, not_before, finished_at)
                 VALUES (?1, 'a/b', ?2, ?3, 'ready', '', ?4, 0, ?4)",
                params![id, branch, environment, at],
            )
            .unwrap();
    }
    database.execute(EXPIRE, params![4, 200]).unwrap();
    let mut statement = database.prepare("SELECT id FROM images").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    let left: Vec<String> = rows.map(Result::unwrap).collect();
    assert_eq!(left, ["img_now"]);
}
