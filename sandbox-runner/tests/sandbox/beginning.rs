//! What the agent of a sandbox finds in its directory before its first start.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sandbox_runner::agent::launch;
use sandbox_runner::image::{Log, WORKSPACE};
use sandbox_runner::sandbox::SandboxBackend as _;
use sandbox_runner::sandbox::namespaces::Tool;
use tokio::time::sleep;

use crate::fixture::Fixture;
use crate::forge::Forge;
use crate::images::{base, images_for, order, ready};

/// As hostile as it can be to an agent that is not there yet.
const SET_UP: &str = "cd /var/lib/agent && mkdir -p data/opencode config && echo no > config/file && \
    echo {} > data/opencode/auth.json && echo no > data/opencode/opencode.db && \
    mkdir -p locked && echo no > locked/file && chmod 0555 locked && \
    mkdir -p ~/.local/bin && printf '#!/bin/sh\\nexit 0\\n' > ~/.local/bin/find && \
    cp ~/.local/bin/find ~/.local/bin/chmod && /bin/chmod +x ~/.local/bin/*; \
    setsid /bin/sh -c 'while :; do echo no > /var/lib/agent/late; done' > /dev/null 2>&1 &";

/// With the agent among the tools, and its executable as sandboxes see it.
fn with_agent() -> (Fixture, String) {
    let binary = std::env::var_os("OPENCODE_BIN").map(PathBuf::from).unwrap();
    let settings = tempfile::tempdir().unwrap();
    launch::write_tools(settings.path()).unwrap();
    let program = format!("/opt/agent/{}", binary.file_name().unwrap().display());
    let tool = Tool {
        name: "agent".to_owned(),
        sources: vec![settings.path().to_owned(), binary],
    };
    (Fixture::with_tools(vec![tool]), program)
}

#[tokio::test]
async fn an_image_has_the_agents_own_database_and_nobodys_conversation() {
    let ((fixture, program), forge) = (with_agent(), Forge::start().await);
    forge.commit("octo/hello", &[(".agents/setup.sh", SET_UP)]);
    let images = images_for(&fixture, &forge, Some(program));
    let image = images.build(&base("main")).await.unwrap();

    let id = fixture.create(&image.layers).await.id;
    let found = fixture
        .text(&id, "cd /var/lib/agent && /usr/bin/find . -type f")
        .await;
    let others = found.lines().filter(|path| !path.contains("/opencode.db"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());

    let directory = fixture.path().join("sandboxes").join(id.as_str());
    let database = directory.join("agent/data/opencode/opencode.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(database, flags).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = database.prepare(tables).unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let filled = tables.map(Result::unwrap).filter(|table| {
        let count = format!("SELECT count(*) FROM \"{table}\"");
        let rows: i64 = database.query_row(&count, [], |row| row.get(0)).unwrap();
        rows > 0
    });
    // Which changes of the agent's tables were made.
    assert_eq!(filled.collect::<Vec<_>>(), ["migration"]);
    fixture.backend.destroy(&id).await.unwrap();
}

/// Waits until what it has planted is somebody else's, and so can be removed by nobody inside.
const STUCK: &str = "cd /var/lib/agent && mkdir -p planted && echo no > planted/auth.json && \
    until [ \"$(stat -c %u planted)\" != \"$(id -u)\" ]; do sleep 0.02; done";

/// Gives to root what a set-up has planted, again and again: each attempt has a sandbox of its own.
async fn take_over(sandboxes: &Path) {
    loop {
        for entry in std::fs::read_dir(sandboxes).unwrap().flatten() {
            let planted = entry.path().join("agent/planted");
            if planted.join("auth.json").exists() {
                // It may be gone by now.
                let _ = chown(&planted, Some(0), Some(0));
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_cleared_becomes_no_image_and_the_last_one_stays() {
    if !rustix::process::getuid().is_root() {
        // Nobody else can give a file away.
        return;
    }
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images_for(&fixture, &forge, Some("/usr/bin/false".to_owned()));
    let good = ready(&images, &order("main", 1)).await;

    forge.commit("octo/hello", &[(".agents/setup.sh", STUCK)]);
    let sandboxes = fixture.path().join("sandboxes");
    let (log, next) = (Arc::new(Log::default()), order("main", 2));
    let failed = tokio::select! {
        made = images.order(&next, Arc::clone(&log)) => made.unwrap_err(),
        () = take_over(&sandboxes) => unreachable!(),
    };
    let failed = failed.to_string();
    let step = "the agent's database failed, exit code 2: ";
    assert!(failed.starts_with(step), "{failed}");
    let reason = "what set-up left in /var/lib/agent cannot be removed";
    assert!(failed.ends_with(reason), "{failed}");
    assert!(log.text().contains(reason), "{}", log.text());

    assert_eq!(images.newest(&base("main")).unwrap(), Some(good.clone()));
    assert!(fixture.backend.list().await.unwrap().is_empty());
    let id = fixture.create(&good.layers).await.id;
    let script = format!("cd {WORKSPACE}; cat file; /usr/bin/find /var/lib/agent -mindepth 1");
    assert_eq!(fixture.text(&id, &script).await, "one");
    fixture.backend.destroy(&id).await.unwrap();
}

#[tokio::test]
async fn an_agent_without_a_database_of_its_own_makes_an_image_too() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[(".agents/setup.sh", SET_UP)]);
    let images = images_for(&fixture, &forge, Some("/usr/bin/false".to_owned()));
    let image = images.build(&base("main")).await.unwrap();

    let id = fixture.create(&image.layers).await.id;
    let found = fixture
        .text(&id, "/usr/bin/find /var/lib/agent -mindepth 1")
        .await;
    assert_eq!(found, "");
    fixture.backend.destroy(&id).await.unwrap();
}
