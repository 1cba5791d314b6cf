//! From a specification to a sandbox that can be reached.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::message::{Home, Report, Start};
use super::spare::Spare;
use super::{Namespaces, below, tree};
use crate::layer::{LayerError, LayerId};
use crate::sandbox::record::{SandboxRecord, SandboxState};
use crate::sandbox::state::SandboxDirectory;
use crate::sandbox::{HOME, Ports, Sandbox, SandboxError, SandboxSpec};

/// A start takes some milliseconds; a machine that starts many at once may take seconds.
const START: Duration = Duration::from_secs(30);
/// Of all programs in a sandbox. In the second directory are those of an environment's own Python.
pub(super) const PATH: &str = "/home/agent/.local/bin:/home/agent/.local/runtime/python/bin:\
    /home/agent/.cargo/bin:\
    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Namespaces {
    pub(super) async fn start(&self, spec: &SandboxSpec) -> Result<Sandbox, SandboxError> {
        // Until they are on record.
        let _lease = self
            .layers
            .lease(&spec.layers)
            .map_err(|error| match error {
                LayerError::Unknown(layer) => SandboxError::UnknownLayer(layer),
                other => other.into(),
            })?;
        let directory = self.state.sandbox(&spec.id);
        let mut record = SandboxRecord {
            id: spec.id.clone(),
            layers: spec.layers.clone(),
            slot: 0,
            group: None,
            ordinal: 0,
            snapshot: None,
            workshop: spec.workshop,
            limits: spec.limits,
            state: SandboxState::Starting,
        };
        let (spare, prepared) = tokio::join!(
            self.spares.take(&spec.limits),
            self.prepare(&directory, &record)
        );
        if let Err(error @ SandboxError::Exists(_)) = prepared {
            return Err(error);
        }
        let launched = match (prepared, spare) {
            (Ok(()), Ok(spare)) => self.launch(spec, &mut record, spare).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        self.spares.replace();
        match launched {
            Ok(sandbox) => {
                self.disk.enter(&spec.id, directory.path(), &spec.limits);
                Ok(sandbox)
            }
            Err(error) => {
                self.groups.forget(spec.id.as_str());
                self.discard(&directory)?;
                Err(error)
            }
        }
    }

    async fn prepare(
        &self,
        directory: &SandboxDirectory,
        record: &SandboxRecord,
    ) -> Result<(), SandboxError> {
        let agent = record
            .layers
            .iter()
            .rev()
            .find_map(|layer| self.layers.agent(layer));
        let (directory, record, owner) = (directory.clone(), record.clone(), self.owner());
        let (path, id) = (directory.path().to_owned(), record.id.clone());
        let prepared = spawn_blocking(move || {
            directory.create(owner)?;
            if record.workshop {
                SandboxDirectory::create_part(&directory.system(), owner)?;
            }
            if let Some(agent) = agent {
                tree::copy(&agent, &directory.agent(), owner)?;
            }
            record.write(directory.path())
        });
        match prepared.await.map_err(io::Error::other).flatten() {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(SandboxError::Exists(id))
            }
            Err(source) => Err(SandboxError::Prepare { path, source }),
        }
    }

    /// Makes a process the sandbox.
    async fn launch(
        &self,
        spec: &SandboxSpec,
        record: &mut SandboxRecord,
        spare: Spare,
    ) -> Result<Sandbox, SandboxError> {
        record.slot = spare.slot();
        record.group = spare.group().map(str::to_owned);
        record.state = SandboxState::Running(spare.identity().clone());
        if let Some(group) = &record.group {
            self.groups.rename(group, spec.id.as_str());
        }
        self.write_record(record)?;
        let named = timeout(START, self.name(spec, record, &spare)).await;
        let named = named.unwrap_or_else(|_| Err(failed("it was not ready in time")));
        match named {
            Ok(ports) => {
                spare.give();
                Ok(Sandbox {
                    id: spec.id.clone(),
                    ports,
                })
            }
            Err(error) => {
                // Until it has ended, which it may take a while for.
                let _ = spawn_blocking(move || drop(spare)).await;
                Err(error)
            }
        }
    }

    /// Tells a process which sandbox it is, and waits until it can be reached.
    async fn name(
        &self,
        spec: &SandboxSpec,
        record: &SandboxRecord,
        spare: &Spare,
    ) -> Result<Ports, SandboxError> {
        let path = self.state.sandbox(&spec.id).path().to_owned();
        let control = listen(&path).map_err(|source| SandboxError::Prepare { path, source })?;
        let channel = spare.channel();
        let plan = self.plan(spec, record)?;
        // If it cannot be told, it has ended, and said before why.
        let told = channel.send(&plan, &[control.as_fd()]).await;
        drop(control);
        match channel.receive().await.map_err(SandboxError::Zygote)? {
            Some((Report::Ready, descriptors)) => {
                Ports::new(descriptors).map_err(SandboxError::Ports)
            }
            Some((Report::Failed { reason }, _)) => Err(failed(&reason)),
            Some((other, _)) => Err(failed(&format!("it reported {other:?}"))),
            None => {
                told.map_err(SandboxError::Zygote)?;
                Err(failed("it ended without a reason"))
            }
        }
    }

    fn plan(&self, spec: &SandboxSpec, record: &SandboxRecord) -> Result<Start, SandboxError> {
        let root = self.state.root();
        let sandbox = below(root, self.state.sandbox(&spec.id).path());
        let mut env = spec.env.clone();
        for (name, value) in [
            ("PATH", self.path.as_str()),
            ("HOME", HOME),
            ("USER", "agent"),
            ("LOGNAME", "agent"),
            ("SHELL", "/bin/bash"),
            ("LANG", "C.UTF-8"),
        ] {
            env.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let systems = spec
            .layers
            .iter()
            .filter_map(|layer| self.layers.system(layer));
        let systems = systems
            .map(|path| path.join("usr"))
            .filter(|path| path.is_dir());
        Ok(Start {
            home: self.home(&record.layers, &sandbox)?,
            sandbox,
            systems: systems.map(|path| below(root, &path)).collect(),
            env,
            workshop: spec.workshop,
            limits: spec.limits,
            counted: self.groups.enforced().processes,
        })
    }

    pub(super) fn home(&self, layers: &[LayerId], sandbox: &Path) -> Result<Home, SandboxError> {
        let root = self.state.root();
        let files = |layer: &LayerId| -> Result<PathBuf, SandboxError> {
            let path = self.layers.files(layer);
            // Without it the sandbox would lack files, and nobody would know.
            let path = path.ok_or_else(|| SandboxError::UnknownLayer(layer.clone()))?;
            Ok(below(root, &path))
        };
        let mut lower: Vec<_> = layers
            .iter()
            .map(files)
            .collect::<Result<_, SandboxError>>()?;
        if lower.is_empty() {
            lower.push(below(root, &self.state.empty()));
        }
        Ok(Home {
            lower,
            upper: sandbox.join("upper"),
            work: sandbox.join("work"),
        })
    }
}

/// Listens for the runner in a directory that only the runner can write and the sandbox does not
/// see. Short, since socket addresses are.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    let directory = File::open(directory)?;
    UnixListener::bind(format!("/proc/self/fd/{}/init.sock", directory.as_raw_fd()))
}

pub(super) fn failed(output: &str) -> SandboxError {
    SandboxError::Start {
        output: output.to_owned(),
    }
}
