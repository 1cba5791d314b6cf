//! From a specification to a sandbox that can be reached.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::end::ended;
use super::launcher::Channel;
use super::message::{Go, Home, Order, Report, Start};
use super::{Namespaces, below, tree};
use crate::layer::{LayerError, LayerId};
use crate::sandbox::identity::ProcessIdentity;
use crate::sandbox::record::{SandboxRecord, SandboxState};
use crate::sandbox::state::SandboxDirectory;
use crate::sandbox::{HOME, Ports, Sandbox, SandboxError, SandboxSpec};

/// A start takes some milliseconds; a machine that starts many at once may take seconds.
const START: Duration = Duration::from_secs(30);
pub(super) const PATH: &str = "/home/agent/.local/bin:/home/agent/.cargo/bin:\
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
        let slot = self.slots.take();
        let directory = self.state.sandbox(&spec.id);
        let mut record = SandboxRecord {
            id: spec.id.clone(),
            layers: spec.layers.clone(),
            slot: slot.number(),
            ordinal: 0,
            snapshot: None,
            workshop: spec.workshop,
            state: SandboxState::Starting,
        };
        self.prepare(&directory, &record).await?;
        match self.launch(spec, &mut record).await {
            Ok(sandbox) => {
                slot.keep();
                Ok(sandbox)
            }
            Err(error) => {
                self.remove_group(&spec.id).await?;
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

    async fn launch(
        &self,
        spec: &SandboxSpec,
        record: &mut SandboxRecord,
    ) -> Result<Sandbox, SandboxError> {
        let group = self.groups.create(spec.id.as_str(), &spec.limits)?;
        let entrance = group.map(|group| group.entrance()).transpose()?;
        let (directory, tasks) = entrance.map_or((None, Vec::new()), |entrance| {
            (entrance.directory, entrance.tasks)
        });
        let mut plan = self.plan(spec, record);
        plan.unified = directory.is_some();
        let entrance: Vec<_> = directory.into_iter().chain(tasks).collect();
        let order = Order::Start(plan);
        let channel = self
            .launcher
            .order(&order, &entrance)
            .await
            .map_err(SandboxError::Zygote)?;
        let mut born = None;
        let launched = timeout(START, self.follow(&channel, record, &mut born)).await;
        let launched = launched.unwrap_or_else(|_| Err(failed("it was not ready in time")));
        match launched {
            Ok(ports) => Ok(Sandbox {
                id: spec.id.clone(),
                ports,
            }),
            Err(error) => {
                if let Some(process) = born {
                    let _ = pidfd_send_signal(&process, Signal::KILL);
                    let _ = ended(process).await;
                }
                Err(error)
            }
        }
    }

    fn plan(&self, spec: &SandboxSpec, record: &SandboxRecord) -> Start {
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
        Start {
            state: root.to_owned(),
            home: self.home(&record.layers, &sandbox),
            sandbox,
            systems: systems.map(|path| below(root, &path)).collect(),
            tools: self.tools.clone(),
            env,
            user: self.users.map(|first| first + record.slot),
            workshop: spec.workshop,
            limits: spec.limits,
            counted: self.groups.enforced().processes,
            unified: false,
        }
    }

    pub(super) fn home(&self, layers: &[LayerId], sandbox: &Path) -> Home {
        let root = self.state.root();
        let files = layers.iter().filter_map(|layer| self.layers.files(layer));
        let mut lower: Vec<_> = files.map(|path| below(root, &path)).collect();
        if lower.is_empty() {
            lower.push(below(root, &self.state.empty()));
        }
        Home {
            lower,
            upper: sandbox.join("upper"),
            work: sandbox.join("work"),
        }
    }

    /// Records the new process while it is still preparing itself, and lets it go on.
    async fn follow(
        &self,
        channel: &Channel,
        record: &mut SandboxRecord,
        born: &mut Option<OwnedFd>,
    ) -> Result<Ports, SandboxError> {
        loop {
            let report = channel.receive().await.map_err(SandboxError::Zygote)?;
            match report {
                Some((Report::Born { pid }, descriptors)) => {
                    *born = descriptors.into_iter().next();
                    let watch = |source| SandboxError::Watch { pid, source };
                    let identity = ProcessIdentity::of(pid).map_err(watch)?;
                    record.state = SandboxState::Running(identity);
                    self.write_record(record)?;
                    channel.send(&Go).await.map_err(SandboxError::Zygote)?;
                }
                Some((Report::Ready, descriptors)) => {
                    return Ports::new(descriptors).map_err(SandboxError::Ports);
                }
                Some((Report::Failed { reason }, _)) => return Err(failed(&reason)),
                Some((other, _)) => return Err(failed(&format!("it reported {other:?}"))),
                None => return Err(failed("it ended without a reason")),
            }
        }
    }
}

fn failed(output: &str) -> SandboxError {
    SandboxError::Start {
        output: output.to_owned(),
    }
}
