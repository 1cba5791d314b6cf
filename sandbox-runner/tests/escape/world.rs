//! What attempts share: a runtime, the pair of sandboxes, and what the host offers to be reached.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use protocol::SandboxId;
use sandbox_runner::init::wire::ExecSpec;
use sandbox_runner::sandbox::channel::ExecOutput;
use sandbox_runner::sandbox::namespaces::Tool;
use sandbox_runner::sandbox::{Sandbox, SandboxBackend};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::api::Runner;
use crate::fixture::Fixture;
use crate::table::Controls;

/// The machine is small and may be busy; nothing that is waited for takes long by itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const PYTHON: &str = "/usr/bin/python3";

pub(crate) struct World {
    runtime: Runtime,
    pair: OnceCell<Pair>,
    runner: OnceCell<Runner>,
    pub(crate) controls: OnceCell<Controls>,
}

/// An attacker, and who must not notice.
pub(crate) struct Pair {
    pub(crate) fixture: Fixture,
    pub(crate) attacker: Sandbox,
    pub(crate) neighbour: Sandbox,
    _decoy: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            pair: OnceCell::new(),
            runner: OnceCell::new(),
            controls: OnceCell::new(),
        }
    }

    pub(crate) async fn pair(&self) -> &Pair {
        self.pair.get_or_init(Pair::start).await
    }

    /// A runner as a process of its own.
    pub(crate) async fn runner(&self) -> &Runner {
        self.runner.get_or_init(Runner::start).await
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Statics would leave processes behind.
    pub(crate) fn end(self: Arc<Self>) {
        if let Some(world) = Arc::into_inner(self) {
            let _inside = world.runtime.enter();
            drop((world.pair, world.runner));
        }
    }
}

impl Pair {
    async fn start() -> Self {
        let decoy = decoy();
        let fixture = Fixture::with_tools(vec![
            tool("attempts", &attempts()),
            tool("decoy", decoy.path()),
        ]);
        // Placing them may have dropped what makes them interesting.
        arm(
            &find(fixture.path(), "setuid-id"),
            &find(fixture.path(), "capable-cat"),
        );
        let attacker = fixture.create(&[]).await;
        let neighbour = fixture.create(&[]).await;
        Self {
            fixture,
            attacker,
            neighbour,
            _decoy: decoy,
        }
    }

    pub(crate) async fn attack(&self, program: &str, arguments: &[&str]) -> ExecOutput {
        python(&self.fixture, &self.attacker.id, program, arguments).await
    }

    /// Both answer, and the attacker still is where it was.
    pub(crate) async fn assert_sound(&self) {
        for sandbox in [&self.neighbour.id, &self.attacker.id] {
            let shown = self.fixture.text(sandbox, "echo here; hostname").await;
            assert_eq!(shown, "here\nsandbox");
        }
    }
}

/// Runs a program that is given as text.
pub(crate) async fn python(
    fixture: &Fixture,
    sandbox: &SandboxId,
    program: &str,
    arguments: &[&str],
) -> ExecOutput {
    let argv = [PYTHON, "-c", program]
        .into_iter()
        .chain(arguments.iter().copied());
    run(fixture, sandbox, &ExecSpec::new(argv, LIMIT)).await
}

pub(crate) async fn run(fixture: &Fixture, sandbox: &SandboxId, spec: &ExecSpec) -> ExecOutput {
    let exec = fixture.backend.exec(sandbox, spec).await.unwrap();
    exec.output().await.unwrap()
}

pub(crate) fn stdout(output: &ExecOutput) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.exit.success(), "{:?}: {stderr}", output.exit);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where the attempts are on the host.
pub(crate) fn attempts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escape/attempts")
}

fn tool(name: &str, source: &Path) -> Tool {
    Tool {
        name: name.to_owned(),
        sources: vec![source.to_owned()],
    }
}

/// Programs that give whoever runs them more rights, where nothing prevents it.
fn decoy() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    let bin = directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy("/usr/bin/id", bin.join("setuid-id")).unwrap();
    fs::copy("/usr/bin/cat", bin.join("capable-cat")).unwrap();
    directory
}

fn arm(setuid: &Path, capable: &Path) {
    fs::set_permissions(setuid, Permissions::from_mode(0o4755)).unwrap();
    if rustix::process::getuid().is_root() {
        // Version 2, effective; CAP_NET_RAW permitted.
        let mut capabilities = [0_u8; 20];
        capabilities[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
        capabilities[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(capable, "security.capability", &capabilities, flags).unwrap();
    }
}

/// The one file of that name below a directory.
pub(crate) fn find(root: &Path, name: &str) -> PathBuf {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            // Nobody but root may look into an overlay's own working directory.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
            entries => entries.unwrap(),
        };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            }
        }
    }
    panic!("there is no {name} in {}", root.display());
}

/// Tests of one kind, named after it.
pub(crate) struct Group<'a> {
    name: &'static str,
    world: &'a Arc<World>,
    trials: &'a mut Vec<Trial>,
}

type Test<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

impl<'a> Group<'a> {
    pub(crate) fn new(
        name: &'static str,
        world: &'a Arc<World>,
        trials: &'a mut Vec<Trial>,
    ) -> Self {
        Self {
            name,
            world,
            trials,
        }
    }

    pub(crate) fn test(
        &mut self,
        name: &str,
        test: impl for<'w> Fn(&'w World) -> Test<'w> + Send + 'static,
    ) {
        let world = Arc::clone(self.world);
        let trial = Trial::test(format!("{}::{name}", self.name), move || {
            world.block_on(test(&world));
            Ok(())
        });
        self.trials.push(trial);
    }
}

/// Makes a test of an async function.
#[macro_export]
macro_rules! tests {
    ($group:expr; $($name:ident),+ $(,)?) => {
        $($group.test(stringify!($name), |world| Box::pin($name(world)));)+
    };
}
