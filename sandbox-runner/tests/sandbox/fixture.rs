//! A backend with a state directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protocol::SandboxId;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandbox_runner::init::wire::ExecSpec;
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::cgroup::Driver;
use sandbox_runner::sandbox::channel::ExecOutput;
use sandbox_runner::sandbox::limits::Limits;
use sandbox_runner::sandbox::namespaces::{Namespaces, NamespacesConfig, Tool};
use sandbox_runner::sandbox::record::{SandboxRecord, SandboxState};
use sandbox_runner::sandbox::{Sandbox, SandboxBackend, SandboxSpec};
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Fixture {
    pub(crate) backend: Arc<Namespaces>,
    /// The first of the users that are its sandboxes' own if the tests run as root.
    pub(crate) first_user: u32,
    state: State,
}

/// Users of the host for one more backend: two that shared them would also share what the kernel
/// counts for a user, and a sandbox that takes it all is what some tests are about.
fn users() -> u32 {
    const RANGE: u32 = 1000;
    static NEXT: AtomicU32 = AtomicU32::new(20_001);
    NEXT.fetch_add(RANGE, Ordering::Relaxed)
}

/// Sandboxes outlive the process that started them, so they are ended with their directory.
struct State {
    // First, since the directory is removed when nothing is mounted there.
    _volume: Option<Volume>,
    directory: TempDir,
}

/// A file system of its own, in memory, mounted there.
struct Volume(PathBuf);

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.directory.path().join("sandboxes")).unwrap() {
            let record = fs::read(entry.unwrap().path().join("record.json")).unwrap_or_default();
            let Ok(record) = serde_json::from_slice::<SandboxRecord>(&record) else {
                continue;
            };
            if let SandboxState::Running(process) = record.state
                && let Ok(descriptor) = open_process(process.pid)
            {
                let _ = pidfd_send_signal(&descriptor, Signal::KILL);
                wait_for_end(&descriptor);
            }
        }
        self.remove_groups();
    }
}

impl State {
    fn remove_groups(&self) {
        let groups = Driver::detect(self.directory.path());
        for name in groups.list().unwrap() {
            if let Some(group) = groups.open(&name).unwrap() {
                group.kill().unwrap();
                group.remove().unwrap();
            }
        }
        // The directory of this state's groups; that of all stays.
        let metadata = self.directory.path().metadata().unwrap();
        let owner = format!("hosted-agents/{:x}-{:x}", metadata.dev(), metadata.ino());
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap();
        let hierarchies = hierarchies.map(|entry| entry.unwrap().path());
        for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
            let _ = fs::remove_dir(hierarchy.join(&owner));
        }
    }
}

pub(crate) fn wait_for_end(process: &OwnedFd) {
    retry_on_intr(|| poll(&mut [PollFd::new(process, PollFlags::IN)], None)).unwrap();
}

pub(crate) fn open_process(pid: i32) -> rustix::io::Result<OwnedFd> {
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_tools(Vec::new())
    }

    pub(crate) fn with_tools(tools: Vec<Tool>) -> Self {
        Self::within(
            State {
                _volume: None,
                directory: TempDir::new().unwrap(),
            },
            tools,
        )
    }

    /// With a few megabytes for everything; `None` for whoever may not mount.
    pub(crate) fn on_a_small_volume() -> Option<Self> {
        let state = TempDir::new().unwrap();
        let size = Some(c"size=8m,mode=755");
        mount("tests", state.path(), "tmpfs", MountFlags::empty(), size).ok()?;
        let volume = Volume(state.path().to_owned());
        Some(Self::within(
            State {
                _volume: Some(volume),
                directory: state,
            },
            Vec::new(),
        ))
    }

    fn within(state: State, tools: Vec<Tool>) -> Self {
        let first_user = users();
        Self {
            backend: open(state.directory.path(), first_user, tools),
            first_user,
            state,
        }
    }

    /// The runner's process ends and another one takes its place; what held sandboxes is dropped.
    pub(crate) fn restart(self) -> Self {
        let Self {
            backend,
            first_user,
            state,
        } = self;
        drop(backend);
        Self {
            backend: open(state.directory.path(), first_user, Vec::new()),
            first_user,
            state,
        }
    }

    pub(crate) async fn create(&self, layers: &[LayerId]) -> Sandbox {
        self.backend.create(&spec(layers)).await.unwrap()
    }

    /// The number on the host of a sandbox's first process.
    pub(crate) async fn init(&self, id: &SandboxId) -> i32 {
        let records = self.backend.list().await.unwrap();
        let record = records.into_iter().find(|record| &record.id == id).unwrap();
        match record.state {
            SandboxState::Running(process) => process.pid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn directory(&self, id: &SandboxId) -> PathBuf {
        self.state
            .directory
            .path()
            .join("sandboxes")
            .join(id.as_str())
    }

    pub(crate) fn path(&self) -> &Path {
        self.state.directory.path()
    }

    /// Runs a shell script and returns all that it did.
    pub(crate) async fn run(&self, id: &SandboxId, script: &str) -> ExecOutput {
        let exec = ExecSpec::new(["/bin/sh", "-c", script], LIMIT);
        self.backend
            .exec(id, &exec)
            .await
            .unwrap()
            .output()
            .await
            .unwrap()
    }

    /// Leaves a process behind that is in no process group of ours, as daemons are.
    pub(crate) async fn detach(&self, id: &SandboxId, command: &str) {
        let started = format!(
            "setsid {command} > /dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do :; done"
        );
        self.text(id, &started).await;
    }

    /// Runs a shell script that has to succeed and returns what it printed.
    pub(crate) async fn text(&self, id: &SandboxId, script: &str) -> String {
        let output = self.run(id, script).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.exit.success(),
            "{script}: {:?} {stderr}",
            output.exit
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

pub(crate) fn spec(layers: &[LayerId]) -> SandboxSpec {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    SandboxSpec {
        id: SandboxId::from_random(bytes),
        layers: layers.to_vec(),
        env: BTreeMap::from([("GIVEN".to_owned(), "to the sandbox".to_owned())]),
        workshop: false,
        limits: Limits::default(),
    }
}

fn open(state: &Path, sandbox_uid: u32, tools: Vec<Tool>) -> Arc<Namespaces> {
    let backend = Namespaces::open(&NamespacesConfig {
        state: state.to_owned(),
        runner: env!("CARGO_BIN_EXE_sandbox-runner").into(),
        sandbox_uid,
        tools,
    });
    Arc::new(backend.unwrap())
}
