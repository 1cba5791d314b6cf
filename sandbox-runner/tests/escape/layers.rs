//! Tricks with links, names and attributes against layers, and against the runner when it keeps or
//! removes what a sandbox wrote.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::fixture::Fixture;
use crate::tests;
use crate::world::{Group, LIMIT, World, find, python, stdout};

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        nothing_done_to_a_layers_files_changes_the_layer,
        a_whiteout_made_by_hand_hides_nothing_but_ones_own,
        attributes_of_an_overlay_lead_nowhere,
        links_out_of_the_sandbox_are_not_followed_when_it_becomes_a_layer,
        links_out_of_the_sandbox_are_not_followed_when_it_is_removed,
        a_home_that_was_moved_away_is_still_the_one_that_is_kept,
        names_of_any_kind_are_kept_and_removed,
        a_tree_deeper_than_paths_can_be_is_removed,
        directories_that_nobody_may_enter_are_removed,
        pipes_and_sockets_hold_nobody_up,
        a_file_larger_than_the_disk_is_kept_as_the_little_that_it_is,
        a_bit_that_makes_a_program_root_is_not_roots_outside,
    );
}

/// A layer with one file of each kind, and its sandbox's id is gone.
async fn layer(fixture: &Fixture, script: &str) -> LayerId {
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, script).await;
    fixture.backend.freeze(&id).await.unwrap()
}

/// Everything about a tree that somebody could change.
fn state(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else if metadata.is_file() {
            format!("{:?}", fs::read(&path).unwrap())
        } else {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            String::new()
        };
        let links = if metadata.is_dir() {
            0
        } else {
            metadata.nlink()
        };
        let about = format!(
            "{content} {:o} {} {} {links} {}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime()
        );
        found.insert(path, about);
    }
    found
}

/// Something of the host that nothing inside may touch.
struct Outside(TempDir);

impl Outside {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.path().join("kept"), "the host's own").unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/kept"), "the host's own").unwrap();
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// Where the files of a layer are. Beside them the store notes when they are on disk for good.
fn files_of(fixture: &Fixture, layer: &LayerId) -> PathBuf {
    let layers = fixture.path().join("layers");
    layers.join(layer.as_str()).join("fs")
}

/// What is removed is removed in the background.
async fn until_nothing_is_left(fixture: &Fixture) {
    let deadline = Instant::now() + LIMIT;
    let trash = fixture.path().join("trash");
    while fs::read_dir(&trash).unwrap().next().is_some() {
        assert!(
            Instant::now() < deadline,
            "the trash of {} remains",
            trash.display()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn nothing_done_to_a_layers_files_changes_the_layer(_: &World) {
    let fixture = Fixture::new();
    let make = "mkdir dir && for n in linked opened cut moved gone mode time; do echo lower > $n; echo lower > dir/$n; done; ln -s linked link";
    let layer = layer(&fixture, make).await;
    let files = files_of(&fixture, &layer);
    let before = state(&files);
    let id = fixture.create(&[layer]).await.id;
    let script = "for d in . dir; do cd ~/$d\n\
                  ln linked other && echo upper > other; echo upper >> opened; : > cut\n\
                  mv moved elsewhere; rm gone; chmod 777 mode; touch -d 2001-01-01 time; done\n\
                  cd; echo upper > link; rm -rf dir; mkdir dir; echo upper > dir/linked; ln -sfn /etc dir/link";
    fixture.text(&id, script).await;
    assert_eq!(state(&files), before);
    fixture.backend.destroy(&id).await.unwrap();
    assert_eq!(state(&files), before);
}

async fn a_whiteout_made_by_hand_hides_nothing_but_ones_own(_: &World) {
    let fixture = Fixture::new();
    let layer = layer(
        &fixture,
        "mkdir dir && echo lower > dir/file && echo lower > file",
    )
    .await;
    let files = files_of(&fixture, &layer);
    let before = state(&files);
    let id = fixture.create(std::slice::from_ref(&layer)).await.id;
    // Whether it may make one is the kernel's matter.
    fixture
        .run(
            &id,
            "rm file; mknod file c 0 0; mknod .wh.dir c 0 0; touch .wh.dir .wh..wh..opq",
        )
        .await;
    let second = fixture.backend.freeze(&id).await.unwrap();
    assert_eq!(state(&files), before);
    let on_both = fixture.create(&[layer.clone(), second]).await.id;
    assert_eq!(fixture.text(&on_both, "cat dir/file").await, "lower");
    let on_first = fixture.create(&[layer]).await.id;
    assert_eq!(
        fixture.text(&on_first, "cat file dir/file").await,
        "lower\nlower"
    );
}

/// An overlay obeys attributes of its layers: one that shows another directory in the place of
/// this one would lead to wherever it names.
async fn attributes_of_an_overlay_lead_nowhere(_: &World) {
    let fixture = Fixture::new();
    let first = layer(&fixture, "mkdir secret && echo secret > secret/file").await;
    let id = fixture.create(std::slice::from_ref(&first)).await.id;
    let program = "import os\n\
                   os.chdir('/home/agent'); os.makedirs('place'); open('data', 'w').write('own')\n\
                   for space in ('user.overlay.', 'trusted.overlay.', 'user.', 'security.'):\n\
                   \x20 for path in ('place', 'data'):\n\
                   \x20  for name, value in (('redirect', b'/etc'), ('redirect', b'secret'), ('opaque', b'y'), ('metacopy', b''), ('origin', b'x' * 20), ('whiteouts', b'y')):\n\
                   \x20   try: os.setxattr(path, space + name, value)\n\
                   \x20   except OSError: pass\n\
                   print('tried')";
    assert_eq!(stdout(&python(&fixture, &id, program, &[]).await), "tried");
    let second = fixture.backend.freeze(&id).await.unwrap();
    let id = fixture.create(&[first, second]).await.id;
    assert_eq!(fixture.text(&id, "ls -A place; cat data").await, "own");
}

/// Every name that a runner might open.
fn links_to(outside: &str) -> String {
    format!(
        "for name in workspace .git .agents .config .cache .local snapshot exit.json meta.json fs \
         record.json .gitconfig .npmrc; do ln -s {outside} $name; done; \
         mkdir tree; ln -s {outside}/kept tree/file; ln -s {outside}/below tree/dir; \
         ln -s ../../../../../../../../..{outside} tree/up; ln -s / tree/root"
    )
}

async fn links_out_of_the_sandbox_are_not_followed_when_it_becomes_a_layer(_: &World) {
    let (fixture, outside) = (Fixture::new(), Outside::new());
    let before = state(outside.0.path());
    let layer = layer(&fixture, &links_to(&outside.path())).await;
    let id = fixture.create(&[layer]).await.id;
    let shown = fixture
        .text(
            &id,
            "cat tree/file tree/dir/* workspace/* tree/up/* 2> /dev/null; readlink tree/file",
        )
        .await;
    assert_eq!(shown, format!("{}/kept", outside.path()));
    assert_eq!(state(outside.0.path()), before);
}

async fn links_out_of_the_sandbox_are_not_followed_when_it_is_removed(_: &World) {
    let (fixture, outside) = (Fixture::new(), Outside::new());
    let before = state(outside.0.path());
    let id = fixture.create(&[]).await.id;
    fixture.text(&id, &links_to(&outside.path())).await;
    // Again and again a directory, a link, a directory: while it is being removed as well.
    let race = "mkdir -p race/a && cp -r tree race/a; (while :; do mv race/a race/b; ln -s {} race/a; rm race/a; mv race/b race/a; done) > /dev/null 2>&1 &";
    fixture
        .text(&id, &race.replace("{}", &outside.path()))
        .await;
    fixture.backend.destroy(&id).await.unwrap();
    until_nothing_is_left(&fixture).await;
    assert_eq!(state(outside.0.path()), before);
}

async fn a_home_that_was_moved_away_is_still_the_one_that_is_kept(_: &World) {
    let (fixture, outside) = (Fixture::new(), Outside::new());
    let id = fixture.create(&[]).await.id;
    let script = format!(
        "echo work > ~/file; mv /home/agent /home/other; ln -s {} /home/agent; ls -d /home/other",
        outside.path()
    );
    let output = fixture.run(&id, &script).await;
    assert!(output.stdout.is_empty(), "{output:?}");
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(fixture.text(&next, "cat ~/file").await, "work");
}

async fn names_of_any_kind_are_kept_and_removed(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let program = "import os\n\
                   names = [b'new\\nline', b'-rf', b'--', b'..a', b'...', b' ', b'\\xff\\xfe', b'\\x1b[2J', b'x' * 255,\n\
                   \x20        b'$(touch owned)', b'`id`', b'a;b', b'*', b'\\\\', b'\\r', b'.wh.x', 'e\\u0301\\u202e'.encode()]\n\
                   os.makedirs(b'/home/agent/names')\n\
                   for name in names:\n\
                   \x20 os.makedirs(b'/home/agent/names/' + name)\n\
                   \x20 open(b'/home/agent/names/' + name + b'/' + name, 'wb').write(name)\n\
                   print(len(names))";
    let made = stdout(&python(&fixture, &id, program, &[]).await);
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    let count =
        "import os; print(sum(len(files) for _, _, files in os.walk(b'/home/agent/names')))";
    assert_eq!(stdout(&python(&fixture, &next, count, &[]).await), made);
    fixture.text(&next, "cp -r names again").await;
    fixture.backend.destroy(&next).await.unwrap();
    until_nothing_is_left(&fixture).await;
    assert!(!fixture.path().join("owned").exists());
}

async fn a_tree_deeper_than_paths_can_be_is_removed(world: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let program = "import os\n\
                   os.chdir('/home/agent')\n\
                   for _ in range(6000): os.mkdir('d'); os.chdir('d')\n\
                   print('deep')";
    assert_eq!(stdout(&python(&fixture, &id, program, &[]).await), "deep");
    fixture.backend.destroy(&id).await.unwrap();
    until_nothing_is_left(&fixture).await;
    world.pair().await.assert_sound().await;
}

async fn directories_that_nobody_may_enter_are_removed(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .text(
            &id,
            "mkdir -p a/b/c && touch a/b/c/file && chmod 000 a/b/c a/b a; chmod 0 ~",
        )
        .await;
    fixture.backend.destroy(&id).await.unwrap();
    until_nothing_is_left(&fixture).await;
}

async fn pipes_and_sockets_hold_nobody_up(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let program = "import os, socket\n\
                   os.chdir('/home/agent')\n\
                   for name in ('workspace', '.git', 'meta.json', 'file'): os.mkfifo(name)\n\
                   socket.socket(socket.AF_UNIX).bind('socket')";
    stdout(&python(&fixture, &id, program, &[]).await);
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(
        fixture.text(&next, "ls").await,
        "file\nmeta.json\nsocket\nworkspace"
    );
    fixture.backend.destroy(&next).await.unwrap();
    until_nothing_is_left(&fixture).await;
}

async fn a_file_larger_than_the_disk_is_kept_as_the_little_that_it_is(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    // The limit of a file's size, where there is one, is as good.
    fixture
        .run(&id, "truncate -s 8T sparse; echo end > other")
        .await;
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let files = files_of(&fixture, &layer);
    // Its length is terabytes: looked at, not read.
    let used = Command::new("du")
        .args(["-s", "--block-size=1"])
        .arg(&files)
        .output()
        .unwrap();
    let used = String::from_utf8(used.stdout).unwrap();
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    assert!(used < 1 << 20, "{used}");
}

async fn a_bit_that_makes_a_program_root_is_not_roots_outside(_: &World) {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .text(&id, "cp /usr/bin/id owned && chmod 6755 owned")
        .await;
    let outside = find(&fixture.directory(&id), "owned");
    let metadata = fs::metadata(&outside).unwrap();
    if !rustix::process::getuid().is_root() {
        return;
    }
    assert_ne!(metadata.uid(), 0);
    // Nor can another user of the machine run it as its owner: the way there is closed.
    let run = Command::new(&outside)
        .arg("-u")
        .uid(20_999)
        .gid(20_999)
        .output();
    assert_eq!(
        run.unwrap_err().kind(),
        std::io::ErrorKind::PermissionDenied
    );
}
