//! A sandbox in which an image is made. Everything that is done in it is in the log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use protocol::SandboxId;
use protocol::egress::{EgressPolicy, HostName};
use protocol::image::Base;

use super::log::Log;
use super::{ImageError, Workshop};
use crate::cause;
use crate::clock;
use crate::gateway::{Access, GatewayPolicy, Serving};
use crate::init::wire::{ExecSpec, Exit};
use crate::layer::LayerId;
use crate::sandbox::channel::ExecFrame;
use crate::sandbox::limits::Limits;
use crate::sandbox::{SandboxBackend, SandboxSpec, Stays};

/// The most that is kept of what a program answers, apart from the log.
const MAX_ANSWER: usize = 1 << 20;
/// The most of a program's own last words in an error.
const MAX_COMPLAINT: usize = 600;
/// Programs that bring a list of authorities of their own are to trust those of the machine too.
pub(super) const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) struct Site<'a> {
    backend: &'a dyn SandboxBackend,
    sandbox: SandboxId,
    egress: &'a EgressPolicy,
    pub(super) log: &'a Log,
    /// Ends with the site: afterwards nobody speaks for this sandbox.
    _serving: Serving,
}

/// How a program ended, and what it said.
pub(super) struct Answer {
    pub(super) exit: Exit,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Whether system packages can be unpacked in it, for those that start from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Packages,
    Repository,
}

impl<'a> Site<'a> {
    /// The sandbox may read its repository, and reach what the repository's may.
    pub(super) async fn open(
        workshop: &'a Workshop,
        (base, egress): (&Base, &'a EgressPolicy),
        layers: &[LayerId],
        kind: Kind,
        log: &'a Log,
    ) -> Result<Self, ImageError> {
        let spec = SandboxSpec {
            id: SandboxId::from_random(clock::random()),
            layers: layers.to_vec(),
            env: BTreeMap::from([("NODE_EXTRA_CA_CERTS".to_owned(), AUTHORITIES.to_owned())]),
            workshop: kind == Kind::Packages,
            limits: Limits::default(),
        };
        let backend = workshop.backend.as_ref();
        let sandbox = backend.create(&spec).await.map_err(ImageError::Create)?;
        let policy = GatewayPolicy {
            repository: base.repository.clone(),
            access: Access::Image,
            egress: egress.clone(),
            spent_microdollars: 0,
        };
        Ok(Self {
            backend,
            sandbox: spec.id,
            egress,
            log,
            _serving: workshop.gateway.serve(policy, sandbox.ports),
        })
    }

    pub(super) fn may_reach(&self, host: &HostName) -> bool {
        self.egress.allows(host)
    }

    /// Ends it and keeps what was done in it.
    pub(super) async fn freeze(self) -> Result<LayerId, ImageError> {
        match self.backend.freeze(&self.sandbox).await {
            Ok(layer) => Ok(layer),
            Err(error) => {
                self.discard().await;
                Err(ImageError::Freeze(error))
            }
        }
    }

    /// Ends it with all that was done in it.
    pub(super) async fn discard(self) {
        if let Err(error) = self.backend.destroy(&self.sandbox).await {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %self.sandbox, error, "an image's sandbox remains");
        }
    }

    /// Ends every program, so that nothing is written any more behind the back of the next one.
    pub(super) async fn clear(&self) -> Result<(), ImageError> {
        // No program runs from there.
        let stays = Stays {
            server: PathBuf::new(),
            session: None,
        };
        let cleared = self.backend.clear(&self.sandbox, &stays).await;
        cleared.map_err(|source| ImageError::Run {
            step: "end what set-up left".to_owned(),
            source,
        })
    }

    /// Runs a program to its end, whatever it is.
    pub(super) async fn exec(&self, step: &str, spec: &ExecSpec) -> Result<Answer, ImageError> {
        self.log.heading(step);
        let run = |source| ImageError::Run {
            step: step.to_owned(),
            source,
        };
        let mut running = self.backend.exec(&self.sandbox, spec).await.map_err(run)?;
        let mut answer = Answer {
            exit: Exit::TimedOut,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        loop {
            let follow = |source| ImageError::Follow {
                step: step.to_owned(),
                source,
            };
            let (kept, bytes) = match running.next().await.map_err(follow)? {
                ExecFrame::Stdout(bytes) => (&mut answer.stdout, bytes),
                ExecFrame::Stderr(bytes) => (&mut answer.stderr, bytes),
                ExecFrame::Exit(exit) => {
                    answer.exit = exit;
                    self.log.heading(&format!("{step}: {}", answer.ending()));
                    return Ok(answer);
                }
            };
            self.log.bytes(&bytes);
            let room = MAX_ANSWER.saturating_sub(kept.len());
            kept.extend(bytes.into_iter().take(room));
        }
    }

    /// Runs a program that has to succeed.
    pub(super) async fn run(&self, step: &str, spec: &ExecSpec) -> Result<Answer, ImageError> {
        let answer = self.exec(step, spec).await?;
        if answer.exit.success() {
            return Ok(answer);
        }
        Err(answer.failure(step))
    }

    /// Runs a shell script that has to succeed, with `text` as its input.
    pub(super) async fn script(
        &self,
        step: &str,
        script: &str,
        text: &str,
        limit: Duration,
    ) -> Result<Answer, ImageError> {
        let spec = ExecSpec::new(["sh", "-c", script], limit).stdin(text);
        self.run(step, &spec).await
    }

    /// What a successful git printed, without the white space around it.
    pub(super) async fn git(
        &self,
        arguments: &[&str],
        directory: &str,
        limit: Duration,
    ) -> Result<String, ImageError> {
        let step = format!("git {}", arguments.first().copied().unwrap_or_default());
        let settings = ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
        let argv = settings.iter().chain(arguments).copied();
        let spec = ExecSpec::new(argv, limit)
            .cwd(directory)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8");
        let answer = self.run(&step, &spec).await?;
        let printed = String::from_utf8_lossy(&answer.stdout);
        Ok(printed.trim_matches(['\n', ' ']).to_owned())
    }
}

impl Answer {
    pub(super) fn ending(&self) -> String {
        match self.exit {
            Exit::Code(code) => format!("exit code {code}"),
            Exit::Signal(signal) => format!("ended by signal {signal}"),
            Exit::TimedOut => "ended, since it took too long".to_owned(),
        }
    }

    pub(super) fn failure(&self, step: &str) -> ImageError {
        ImageError::Failed {
            step: step.to_owned(),
            ending: self.ending(),
            complaint: self.complaint(),
        }
    }

    /// The program's last words.
    fn complaint(&self) -> String {
        let spoke = [&self.stderr, &self.stdout];
        let spoke = spoke.map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let words = spoke.into_iter().find(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| "it printed nothing".to_owned());
        let start = words.floor_char_boundary(words.len().saturating_sub(MAX_COMPLAINT));
        words.get(start..).unwrap_or_default().to_owned()
    }
}
