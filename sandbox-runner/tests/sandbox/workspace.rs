//! Git in a workspace that an agent uses already: brought up to date, and its work in progress kept.

mod differences;

use std::path::Path;
use std::sync::Arc;

use protocol::callback::Credentials;
use protocol::egress::EgressPolicy;
use protocol::event::Repository;
use protocol::image::Base;
use protocol::{Millis, SandboxId, SessionId};
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, Serving};
use sandbox_runner::git::{Conflict, Looked, Restored, Synchronised, Workspace};
use sandbox_runner::image::{Image, Images, Supplies, System, WORKSPACE};
use sandbox_runner::sandbox::SandboxBackend as _;

use crate::fixture::Fixture;
use crate::forge::Forge;

const WORK: &str = "agent/work";

/// An image of a repository, and a forge that goes on.
struct Site {
    fixture: Fixture,
    forge: Forge,
    gateway: Arc<Gateway>,
    repository: Repository,
    image: Image,
}

/// A sandbox on that image.
struct Room<'a> {
    site: &'a Site,
    id: SandboxId,
    _serving: Serving,
}

impl Site {
    async fn with(files: &[(&str, &str)]) -> Self {
        let (fixture, forge) = (Fixture::new(), Forge::start().await);
        forge.commit("octo/hello", files);
        let provider = Upstream {
            base_url: "http://127.0.0.1:9".to_owned(),
            key: None,
        };
        let credentials = Credentials {
            username: "x-access-token".to_owned(),
            password: "secret".to_owned(),
            expires_at: Millis(i64::MAX),
        };
        let source = Arc::new(move |_| {
            let credentials = credentials.clone();
            let answer: futures_util::future::BoxFuture<'static, _> =
                Box::pin(async move { Ok(credentials) });
            answer
        });
        let gateway = Gateway::new(&forge.url, &provider, &provider, source).unwrap();
        let gateway = Arc::new(gateway);
        let backend = Arc::clone(&fixture.backend);
        let images = Images::new(
            fixture.path().join("images"),
            backend,
            fixture.backend.layers().clone(),
            Arc::clone(&gateway),
            None,
            Supplies {
                system: System::read(),
                ..Supplies::default()
            },
        );
        let repository = Repository::parse("octo/hello").unwrap();
        let base = Base {
            repository: repository.clone(),
            branch: "main".to_owned(),
            environment: None,
        };
        let image = images.build(&base).await.unwrap();
        Self {
            fixture,
            forge,
            gateway,
            repository,
            image,
        }
    }

    async fn room(&self) -> Room<'_> {
        let sandbox = self.fixture.create(&self.image.layers).await;
        let policy = GatewayPolicy {
            repository: self.repository.clone(),
            access: Access::Session {
                session: SessionId::from_random([1; 16]),
                branch: WORK.to_owned(),
            },
            egress: EgressPolicy::default(),
            spent_microdollars: 0,
        };
        Room {
            site: self,
            _serving: self.gateway.serve(policy, sandbox.ports),
            id: sandbox.id,
        }
    }
}

impl Room<'_> {
    fn workspace(&self) -> Workspace<'_> {
        Workspace {
            backend: self.site.fixture.backend.as_ref(),
            sandbox: &self.id,
            directory: WORKSPACE,
            repository: &self.site.repository,
        }
    }

    async fn run(&self, script: &str) -> String {
        let script = format!("cd {WORKSPACE} && {script}");
        self.site.fixture.text(&self.id, &script).await
    }

    async fn look(&self) -> Looked {
        self.workspace().look("main", WORK).await.unwrap()
    }

    async fn advance(&self, looked: &Looked) -> Synchronised {
        self.workspace().advance(looked).await.unwrap()
    }

    /// Ends it as the loss of its machine would.
    async fn kill(self) {
        self.site.fixture.backend.destroy(&self.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_look_tells_what_changes_and_moves_nothing() {
    let site = Site::with(&[("a.txt", "1\n"), ("b.txt", "1\n")]).await;
    let room = site.room().await;
    let same = room.look().await;
    assert!(same.is_unchanged());
    assert_eq!(same.changed, Some(vec![]));

    let newer = site
        .forge
        .commit("octo/hello", &[("b.txt", "2\n"), ("new/c d.txt", "1\n")]);
    let looked = room.look().await;
    assert_eq!(looked.wanted(), newer);
    assert_eq!(
        looked.changed,
        Some(vec!["b.txt".to_owned(), "new/c d.txt".to_owned()])
    );
    assert_eq!(
        room.run("cat b.txt; git rev-parse HEAD").await,
        format!("1\n{}", site.image.commit)
    );
}

#[tokio::test]
async fn the_workspace_advances_under_an_agent_that_has_written_elsewhere() {
    let site = Site::with(&[("a.txt", "1\n"), ("b.txt", "1\n"), ("gone.txt", "1\n")]).await;
    let room = site.room().await;
    let newer = site
        .forge
        .commit("octo/hello", &[("b.txt", "2\n"), ("new/c.txt", "1\n")]);
    let looked = room.look().await;
    room.run(
        "echo mine > a.txt; echo mine > mine.txt; rm gone.txt; echo mine > new2; git add new2",
    )
    .await;
    let moved = room.advance(&looked).await;
    assert_eq!((moved.head.as_str(), moved.moved), (newer.as_str(), true));
    assert_eq!(moved.conflict, None);
    assert_eq!(
        room.run(
            "cat a.txt mine.txt b.txt new/c.txt; git branch --show-current; git rev-parse HEAD"
        )
        .await,
        format!("mine\nmine\n2\n1\n{WORK}\n{newer}")
    );
    assert_eq!(
        room.run("git status --porcelain --no-renames").await,
        "M a.txt\n D gone.txt\nA  new2\n?? mine.txt"
    );
}

#[tokio::test]
async fn what_was_written_in_a_path_that_changes_keeps_the_workspace_where_it_is() {
    let site = Site::with(&[("a.txt", "1\n"), ("b.txt", "1\n")]).await;
    for (written, script) in [
        ("b.txt", "echo mine > b.txt"),
        ("new.txt", "echo mine > new.txt"),
        ("b.txt", "echo mine > b.txt; git add b.txt"),
    ] {
        let room = site.room().await;
        let newest = site
            .forge
            .commit("octo/hello", &[("b.txt", "2\n"), ("new.txt", "2\n")]);
        let looked = room.look().await;
        room.run(script).await;
        let stayed = room.advance(&looked).await;
        let expected = Conflict {
            paths: vec![written.to_owned()],
            newest: newest.clone(),
        };
        assert_eq!(stayed.conflict, Some(expected), "{script}");
        room.run(&format!("git cat-file -e {newest}")).await;
        assert_eq!(
            (&stayed.head, &stayed.base),
            (&site.image.commit, &site.image.commit)
        );
        assert_eq!(
            room.run(&format!("cat {written} a.txt")).await,
            "mine\n1",
            "{script}"
        );
        assert_eq!(room.run("git branch --show-current").await, WORK);
    }
}

#[tokio::test]
async fn a_git_of_the_agents_that_holds_the_index_is_waited_for() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let room = site.room().await;
    let newer = site.forge.commit("octo/hello", &[("a.txt", "2\n")]);
    let looked = room.look().await;
    room.run("touch .git/index.lock").await;
    let workspace = room.workspace();
    let (moved, _) = tokio::join!(workspace.advance(&looked), async {
        // Git has tried, and found the lock, when it reads the index.
        room.run("sleep 0.3; rm .git/index.lock").await
    });
    assert_eq!(moved.unwrap().head, newer);
}

#[tokio::test]
async fn the_work_of_an_earlier_sandbox_is_gone_on_from_and_never_lost() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let earlier = site
        .forge
        .commit_on("octo/hello", WORK, &[("work.txt", "done\n")]);
    let room = site.room().await;
    let looked = room.look().await;
    assert_eq!(looked.pushed.as_deref(), Some(earlier.as_str()));
    assert_eq!(looked.changed, Some(vec!["work.txt".to_owned()]));
    let moved = room.advance(&looked).await;
    assert_eq!(
        (moved.head.as_str(), moved.behind),
        (earlier.as_str(), false)
    );

    // In the way: the workspace lacks that work, and says so.
    let room = site.room().await;
    let looked = room.look().await;
    room.run("echo mine > work.txt").await;
    let stayed = room.advance(&looked).await;
    let newest = stayed.conflict.map(|conflict| conflict.newest);
    assert!(stayed.behind && newest == stayed.pushed);
}

#[tokio::test]
async fn work_in_progress_outlives_its_sandbox() {
    let files = [
        ("changed.txt", "1\n"),
        ("deleted.txt", "1\n"),
        ("kept.txt", "1\n"),
        (".gitignore", "ignored\n"),
    ];
    let site = Site::with(&files).await;
    let bundle = site.fixture.path().join("kept.bundle");
    let room = site.room().await;
    let looked = room.look().await;
    let synchronised = room.advance(&looked).await;
    room.run(
        "git -c user.name=A -c user.email=a@b commit -q --allow-empty -m 'by the agent'; \
         echo 2 > changed.txt; rm deleted.txt; mkdir sub; echo new > 'sub/a file'; \
         printf '#!/bin/sh\\n' > run.sh; chmod +x run.sh; ln -s kept.txt link; \
         echo secret > ignored; echo staged > staged; git add staged",
    )
    .await;
    let before = room
        .run("git status --porcelain; cat .git/index | sha256sum")
        .await;
    let workspace = room.workspace();
    let commit = workspace.record_progress().await.unwrap();
    workspace
        .bundle_progress(&synchronised.base, &bundle, 1 << 20)
        .await
        .unwrap();
    assert_eq!(workspace.record_progress().await.unwrap(), commit);
    // The agent's own index and branches are as they were.
    assert_eq!(
        room.run("git status --porcelain; cat .git/index | sha256sum")
            .await,
        before
    );
    assert_eq!(
        room.run("git log --format=%s -1; git branch --format='%(refname)'")
            .await
            .lines()
            .next(),
        Some("by the agent")
    );
    room.kill().await;

    let room = site.room().await;
    let looked = room.look().await;
    let workspace = room.workspace();
    assert_eq!(
        workspace
            .restore_progress(WORK, looked.pushed.as_deref(), (&bundle, 0))
            .await
            .unwrap(),
        Restored::Whole
    );
    assert_eq!(
        room.run("git status --porcelain --untracked-files=all")
            .await,
        "M changed.txt\n D deleted.txt\n?? link\n?? run.sh\n?? staged\n?? \"sub/a file\""
    );
    assert_eq!(
        room.run("cat changed.txt 'sub/a file' link staged; git log --format=%s -1; test -x run.sh; test ! -e ignored; git branch --show-current").await,
        format!("2\nnew\n1\nstaged\nby the agent\n{WORK}")
    );
    let stayed = workspace.stay(&looked).await.unwrap();
    assert_eq!(
        (stayed.base.as_str(), stayed.behind),
        (site.image.commit.as_str(), false)
    );
}

#[tokio::test]
async fn work_in_progress_is_larger_than_one_request_and_no_larger_than_its_limit() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let bundle = site.fixture.path().join("kept.bundle");
    let room = site.room().await;
    room.look().await;
    room.run("head -c 20000000 /dev/urandom > large").await;
    let digest = room.run("sha256sum large").await;
    let workspace = room.workspace();
    workspace.record_progress().await.unwrap();
    let commit = &site.image.commit;
    let refused = workspace.bundle_progress(commit, &bundle, 1 << 20).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("larger than 1048576 bytes")
    );
    std::fs::remove_file(&bundle).unwrap();
    workspace
        .bundle_progress(commit, &bundle, 32 << 20)
        .await
        .unwrap();
    room.kill().await;

    let room = site.room().await;
    let looked = room.look().await;
    room.workspace()
        .restore_progress(WORK, looked.pushed.as_deref(), (&bundle, 0))
        .await
        .unwrap();
    assert_eq!(room.run("sha256sum large").await, digest);
}

#[tokio::test]
async fn work_in_progress_from_before_the_last_push_is_left_alone() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let bundle = site.fixture.path().join("kept.bundle");
    let room = site.room().await;
    room.look().await;
    room.run("echo mine > a.txt").await;
    room.workspace().record_progress().await.unwrap();
    bundle_to(&room, &bundle).await;
    site.forge
        .commit_on("octo/hello", WORK, &[("a.txt", "mine\n")]);
    room.kill().await;

    let room = site.room().await;
    let looked = room.look().await;
    let restored = room
        .workspace()
        .restore_progress(WORK, looked.pushed.as_deref(), (&bundle, 0))
        .await;
    assert_eq!(restored.unwrap(), Restored::Outdated);
    assert_eq!(room.run("cat a.txt").await, "1");
}

#[tokio::test]
async fn work_in_progress_is_joined_with_what_was_pushed_meanwhile() {
    let site = Site::with(&[("a.txt", "1\n"), ("b.txt", "1\n")]).await;
    let bundle = site.fixture.path().join("kept.bundle");
    let room = site.room().await;
    room.look().await;
    room.run("echo mine > a.txt; echo new > c.txt").await;
    room.workspace().record_progress().await.unwrap();
    bundle_to(&room, &bundle).await;
    site.forge
        .commit_on("octo/hello", WORK, &[("b.txt", "theirs\n")]);
    room.kill().await;

    let room = site.room().await;
    let looked = room.look().await;
    let restored = room
        .workspace()
        .restore_progress(WORK, looked.pushed.as_deref(), (&bundle, 0))
        .await;
    assert_eq!(restored.unwrap(), Restored::Whole);
    assert_eq!(room.run("cat a.txt b.txt c.txt").await, "mine\ntheirs\nnew");
    assert_eq!(
        room.run("git rev-parse HEAD; git status --porcelain").await,
        format!("{}\n M a.txt\n?? c.txt", looked.pushed.unwrap())
    );
}

#[tokio::test]
async fn work_in_progress_that_does_not_fit_what_was_pushed_meanwhile_is_beside_the_files() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let bundle = site.fixture.path().join("kept.bundle");
    let room = site.room().await;
    room.look().await;
    room.run("echo mine > a.txt").await;
    room.workspace().record_progress().await.unwrap();
    bundle_to(&room, &bundle).await;
    site.forge
        .commit_on("octo/hello", WORK, &[("a.txt", "theirs\n")]);
    room.kill().await;

    let room = site.room().await;
    let looked = room.look().await;
    let restored = room
        .workspace()
        .restore_progress(WORK, looked.pushed.as_deref(), (&bundle, 0))
        .await;
    let Ok(Restored::Conflicting { commit }) = &restored else {
        panic!("{restored:?}")
    };
    assert_eq!(room.run("cat a.txt").await, "1");
    assert_eq!(room.run(&format!("git show {commit}:a.txt")).await, "mine");
}

#[tokio::test]
async fn a_snapshot_is_overtaken_by_later_work_of_its_own_branch_alone() {
    let site = Site::with(&[("a.txt", "1\n")]).await;
    let room = site.room().await;
    let looked = room.look().await;
    assert!(!room.workspace().is_overtaken(&looked).await.unwrap());
    site.forge
        .commit_on("octo/hello", WORK, &[("a.txt", "2\n")]);
    let looked = room.look().await;
    assert!(room.workspace().is_overtaken(&looked).await.unwrap());
    room.run("git -c user.name=A -c user.email=a@b commit -q --allow-empty -m 'another way'")
        .await;
    let looked = room.look().await;
    assert!(!room.workspace().is_overtaken(&looked).await.unwrap());
}

async fn bundle_to(room: &Room<'_>, path: &Path) {
    let commit = &room.site.image.commit;
    room.workspace()
        .bundle_progress(commit, path, 1 << 20)
        .await
        .unwrap();
}
