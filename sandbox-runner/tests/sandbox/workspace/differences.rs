//! What a turn and a session have changed, told from inside a sandbox whatever the repository is.

use protocol::api::{Change, ChangedFile, MAX_CHANGED_FILES, Patch};
use sandbox_runner::git::{Difference, Recorded};

use super::{Room, Site, WORK};

async fn record(room: &Room<'_>, mark: &str, base: &str) -> Recorded {
    let recording = room.workspace().record_turn(mark, base, None).await;
    recording.unwrap()
}

async fn since(room: &Room<'_>, from: &str, recorded: &Recorded) -> Difference {
    let workspace = room.workspace();
    workspace.difference(from, &recorded.files).await.unwrap()
}

/// Everything that the session has changed, after `script`.
async fn changed(site: &Site, script: &str) -> Difference {
    let room = site.room().await;
    room.run(script).await;
    let recorded = record(&room, "pmt_1", &site.image.commit).await;
    since(&room, &recorded.session, &recorded).await
}

fn hunks(file: &ChangedFile) -> &str {
    match &file.patch {
        Patch::Text { hunks } => hunks,
        other => panic!("{}: {other:?}", file.path),
    }
}

fn paths(difference: &Difference) -> Vec<&str> {
    let files = difference.files.iter();
    files.map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn what_is_committed_staged_written_or_new_counts_and_what_is_ignored_does_not() {
    let files = [
        ("a.txt", "1\n2\n"),
        ("b.txt", "1\n"),
        (".gitignore", "out\n"),
    ];
    let site = Site::with(&files).await;
    let script = "git config user.name Ada; git config user.email ada@example.com; \
        echo 3 >> a.txt; git commit -qam mine; echo new > 'c d'; rm b.txt; \
        echo x > out; echo staged > s; git add s";
    let changes = changed(&site, script).await;
    assert_eq!(paths(&changes), ["a.txt", "b.txt", "c d", "s"]);
    let [a, b, c, _] = changes.files.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(
        (a.change, a.additions, a.deletions),
        (Change::Modified, Some(1), Some(0))
    );
    assert_eq!(hunks(a), "@@ -1,2 +1,3 @@\n 1\n 2\n+3\n");
    assert_eq!((b.change, c.change), (Change::Deleted, Change::Added));
    assert_eq!(hunks(c), "@@ -0,0 +1 @@\n+new\n");
}

#[tokio::test]
async fn renames_are_found_and_binary_files_are_only_named() {
    let text: String = (0..40).map(|line| format!("line {line}\n")).collect();
    let site = Site::with(&[("old.txt", &text), ("mode.sh", "x\n")]).await;
    let script = "git mv old.txt new.txt; sed -i 's/line 7/seven/' new.txt; chmod +x mode.sh; \
        printf '\\0\\1\\2' > picture.png";
    let changes = changed(&site, script).await;
    assert_eq!(paths(&changes), ["mode.sh", "new.txt", "picture.png"]);
    let [mode, new, picture] = changes.files.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!((mode.change, hunks(mode)), (Change::Modified, ""));
    assert_eq!(new.change, Change::Renamed);
    assert_eq!(new.previous.as_deref(), Some("old.txt"));
    assert!(hunks(new).contains("-line 7\n+seven\n"));
    assert_eq!((&picture.patch, picture.additions), (&Patch::Binary, None));
}

#[tokio::test]
async fn files_beyond_a_size_or_a_number_are_counted_only() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let script = "seq 1 60000 > long.txt; seq 1 1000000 > huge.txt; \
        mkdir many; for i in $(seq 1 1100); do echo $i > many/$i; done";
    let changes = changed(&site, script).await;
    assert_eq!(changes.files.len(), MAX_CHANGED_FILES);
    assert_eq!(changes.omitted, 102);
    let find = |path: &str| {
        let found = changes.files.iter().find(|file| file.path == path);
        found.unwrap().clone()
    };
    assert_eq!(find("huge.txt").patch, Patch::TooLarge);
    let long = find("long.txt");
    assert_eq!(
        (long.patch, long.additions),
        (Patch::TooLarge, Some(60_000))
    );
    assert_eq!(hunks(&find("many/1")), "@@ -0,0 +1 @@\n+1\n");
}

#[tokio::test]
async fn odd_names_and_content_that_looks_like_a_patch_are_told_as_they_are() {
    let site = Site::with(&[("a.txt", "1\n"), ("link", "1\n")]).await;
    let script = "printf 'diff --git a/x b/x\\n@@ -1 +1 @@\\n' > \"$(printf 'tab\\there\\nline')\"; \
        echo q > 'quo\"te'; echo c > ':(glob)*'; echo u > ünï; rm link; ln -s a.txt link; echo z > z";
    let changes = changed(&site, script).await;
    assert_eq!(
        paths(&changes),
        [":(glob)*", "link", "quo\"te", "tab\there\nline", "z", "ünï"]
    );
    let [glob, link, quote, tab, z, _] = changes.files.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(
        hunks(tab),
        "@@ -0,0 +1,2 @@\n+diff --git a/x b/x\n+@@ -1 +1 @@\n"
    );
    assert!(hunks(link).contains("-1\n") && hunks(link).contains("+a.txt\n"));
    for (file, text) in [(glob, "c"), (quote, "q"), (z, "z")] {
        assert_eq!(hunks(file), format!("@@ -0,0 +1 @@\n+{text}\n"));
    }
}

#[tokio::test]
async fn no_program_of_the_repository_has_a_say_in_what_is_told() {
    let attributes = "*.txt diff=evil\n*.rs diff=evil text eol=lf\n";
    let site = Site::with(&[("a.txt", "1\n"), (".gitattributes", attributes)]).await;
    let script = "echo 2 >> a.txt; git mv a.txt b.txt; echo fn > c.rs; \
        evil='touch /tmp/ran; echo nothing; :'; \
        git config diff.evil.command \"$evil\"; git config diff.evil.textconv \"$evil\"; \
        git config diff.external \"$evil\"; git config core.pager \"$evil\"; \
        git config core.fsmonitor \"$evil\"; git config color.ui always; \
        git config diff.noprefix true; git config diff.renames false; \
        git config diff.context 0; git config diff.submodule log";
    let room = site.room().await;
    room.run(script).await;
    let recorded = record(&room, "pmt_1", &site.image.commit).await;
    let changes = since(&room, &recorded.session, &recorded).await;
    assert_eq!(paths(&changes), ["b.txt", "c.rs"]);
    let [b, c] = changes.files.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(b.change, Change::Renamed);
    assert_eq!(hunks(b), "@@ -1 +1,2 @@\n 1\n+2\n");
    assert_eq!(hunks(c), "@@ -0,0 +1 @@\n+fn\n");
    assert_eq!(
        room.run("ls /tmp/ran 2>/dev/null || echo none").await,
        "none"
    );
}

#[tokio::test]
async fn a_turn_is_compared_with_what_the_one_before_left() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let room = site.room().await;
    let base = &site.image.commit;
    room.run("echo first > one.txt").await;
    let first = record(&room, "pmt_1", base).await;
    assert_eq!(first.turn, first.session);
    // Whatever is written later, it is the record of that turn.
    room.run("echo second > two.txt").await;
    assert_eq!(record(&room, "pmt_1", base).await, first);
    let second = record(&room, "pmt_2", base).await;
    assert_eq!(
        paths(&since(&room, &second.session, &second).await),
        ["one.txt", "two.txt"]
    );
    assert_eq!(
        paths(&since(&room, &second.turn, &second).await),
        ["two.txt"]
    );
}

#[tokio::test]
async fn what_came_from_upstream_between_two_turns_is_neither_turns_work() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let room = site.room().await;
    room.run(
        "git config user.name Ada; git config user.email ada@example.com; \
         echo mine > mine.txt; git add .; git commit -qm mine",
    )
    .await;
    record(&room, "pmt_1", &site.image.commit).await;
    let newer = site.forge.commit("octo/hello", &[("theirs.txt", "1\n")]);
    room.look().await;
    room.run(&format!(
        "git merge -q {newer} -m merged; echo more > more.txt"
    ))
    .await;
    let second = record(&room, "pmt_2", &newer).await;
    assert_eq!(
        paths(&since(&room, &second.turn, &second).await),
        ["more.txt"]
    );
    assert_eq!(
        paths(&since(&room, &second.session, &second).await),
        ["mine.txt", "more.txt"]
    );
}

#[tokio::test]
async fn what_an_earlier_sandbox_pushed_is_the_sessions_work_and_not_the_turns() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let earlier = site
        .forge
        .commit_on("octo/hello", WORK, &[("work.txt", "done\n")]);
    let room = site.room().await;
    let looked = room.look().await;
    room.advance(&looked).await;
    room.run("echo now > now.txt").await;
    let workspace = room.workspace();
    let recorded = workspace
        .record_turn("pmt_1", &looked.base, Some(&earlier))
        .await
        .unwrap();
    assert_eq!(
        paths(&since(&room, &recorded.turn, &recorded).await),
        ["now.txt"]
    );
    assert_eq!(
        paths(&since(&room, &recorded.session, &recorded).await),
        ["now.txt", "work.txt"]
    );
}
