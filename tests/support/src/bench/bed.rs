//! Sandboxes of this process: the launcher driven directly, in a state directory of its own.
//!
//! What a measure made is gone after [`Bed::clear`], and what one that failed left is removed by
//! the next [`Bed::open`] of the same name.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::SandboxId;
use sandbox_runner::init::wire::ExecSpec;
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::limits::Limits;
use sandbox_runner::sandbox::namespaces::{Namespaces, NamespacesConfig, Tool};
use sandbox_runner::sandbox::{Sandbox, SandboxBackend as _, SandboxError, SandboxSpec};
use tokio::time::{Instant, sleep};

use super::{BenchError, LIMIT, io};
use crate::stack::{runner_binary, state_directory};

const SANDBOX_UID: u32 = 20_001;

/// How long what was thrown away may take to be gone.
const TRASH_PATIENCE: Duration = Duration::from_secs(300);
const TRASH_INTERVAL: Duration = Duration::from_millis(20);

pub struct Bed {
    pub backend: Arc<Namespaces>,
    state: PathBuf,
}

impl Bed {
    /// An empty one, in a state directory called `name`.
    pub async fn open(name: &str, tools: Vec<Tool>) -> Result<Self, BenchError> {
        let state = state_directory(name);
        if state.exists() {
            Self::at(&state, Vec::new())?.clear().await?;
        }
        std::fs::create_dir_all(&state).map_err(io("make the sandboxes' state directory"))?;
        Self::at(&state, tools)
    }

    /// Whatever is in `state`.
    pub fn at(state: &Path, tools: Vec<Tool>) -> Result<Self, BenchError> {
        let backend = Namespaces::open(&NamespacesConfig {
            state: state.to_owned(),
            runner: runner_binary(),
            sandbox_uid: SANDBOX_UID,
            tools,
        })?;
        Ok(Self {
            backend: Arc::new(backend),
            state: state.to_owned(),
        })
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    pub async fn create(&self, layers: &[LayerId]) -> Result<Sandbox, BenchError> {
        Ok(self.backend.create(&spec(layers)?).await?)
    }

    /// Runs a program to its end, which has to be a good one.
    pub async fn run(&self, id: &SandboxId, argv: &[&str]) -> Result<(), BenchError> {
        let program = ExecSpec::new(argv.iter().copied(), LIMIT);
        let running = self.backend.exec(id, &program).await?;
        let output = running.output().await.map_err(SandboxError::from)?;
        if output.exit.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(BenchError::Unexpected(format!(
            "{argv:?} failed in a sandbox: {said}"
        )))
    }

    /// Layers with a file each, lowest first.
    pub async fn layers(&self, number: usize) -> Result<Vec<LayerId>, BenchError> {
        let mut layers = Vec::new();
        for layer in 0..number {
            let id = self.create(&layers).await?.id;
            let script = format!("echo {layer} > layer-{layer}");
            self.run(&id, &["/bin/sh", "-c", &script]).await?;
            layers.push(self.backend.freeze(&id).await?);
            self.backend.destroy(&id).await?;
        }
        Ok(layers)
    }

    /// Removes a layer that no sandbox uses.
    pub fn remove_layer(&self, layer: &LayerId) -> Result<(), BenchError> {
        let path = self.state.join("layers").join(layer.to_string());
        // Its weight may still be on its way to it, and finds it no more.
        let away = self.state.join("removed");
        std::fs::rename(path, &away).map_err(io("move a layer away"))?;
        std::fs::remove_dir_all(away).map_err(io("remove a layer"))
    }

    /// Puts the files of a layer that no sandbox uses into one that is new, as if it had written them,
    /// and removes the layer. The sandbox has not looked into its home yet, so it finds them there.
    pub fn give_back(&self, layer: &LayerId, id: &SandboxId) -> Result<(), BenchError> {
        let moved = io("move the files of a layer");
        let files = self.backend.layers().files(layer).unwrap_or_default();
        let upper = self.state.join("sandboxes").join(id.as_str()).join("upper");
        let give = || {
            for entry in std::fs::read_dir(files)? {
                let entry = entry?;
                std::fs::rename(entry.path(), upper.join(entry.file_name()))?;
            }
            Ok(())
        };
        give().map_err(moved)?;
        self.remove_layer(layer)
    }

    /// Waits until nothing of what was destroyed is being deleted any more.
    pub async fn quiet(&self) -> Result<(), BenchError> {
        let trash = self.state.join("trash");
        let deadline = Instant::now() + TRASH_PATIENCE;
        while std::fs::read_dir(&trash)
            .map_err(io("look into the trash"))?
            .next()
            .is_some()
        {
            if Instant::now() >= deadline {
                let message = "what was thrown away does not go".to_owned();
                return Err(BenchError::Unexpected(message));
            }
            sleep(TRASH_INTERVAL).await;
        }
        Ok(())
    }

    /// Ends every sandbox and removes the state directory.
    pub async fn clear(self) -> Result<(), BenchError> {
        for record in self.backend.list().await? {
            self.backend.destroy(&record.id).await?;
        }
        self.quiet().await?;
        // With the sandbox that it keeps ready.
        drop(self.backend);
        remove_groups(&self.state)?;
        std::fs::remove_dir_all(&self.state).map_err(io("remove the sandboxes' state"))
    }
}

pub fn spec(layers: &[LayerId]) -> Result<SandboxSpec, BenchError> {
    Ok(SandboxSpec {
        id: new_id()?,
        layers: layers.to_vec(),
        env: BTreeMap::new(),
        workshop: false,
        limits: Limits::default(),
    })
}

pub fn new_id() -> Result<SandboxId, BenchError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(SandboxId::from_random(random))
}

/// The empty directory that the control groups of this state were in.
fn remove_groups(state: &Path) -> Result<(), BenchError> {
    let metadata = state
        .metadata()
        .map_err(io("look at the state directory"))?;
    let owner = format!("hosted-agents/{:x}-{:x}", metadata.dev(), metadata.ino());
    let root = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(&root).into_iter().flatten();
    let hierarchies = hierarchies.filter_map(|entry| Some(entry.ok()?.path()));
    for hierarchy in hierarchies.chain([root.clone()]) {
        // Few of them have it.
        let _ = std::fs::remove_dir(hierarchy.join(&owner));
    }
    Ok(())
}
