//! The making of one image, in a sandbox of its own that may only read its repository.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::egress::EgressPolicy;
use protocol::image::Base;
use protocol::{ImageId, SandboxId};

use super::log::Log;
use super::shelf::Shelf;
use super::{HOME, Image, ImageError, StepOutcome, WORKSPACE, recipe};
use crate::clock;
use crate::gateway::{Access, Gateway, GatewayPolicy, Serving};
use crate::init::wire::{ExecSpec, Exit, GATEWAY_PORT};
use crate::sandbox::channel::ExecFrame;
use crate::sandbox::limits::Limits;
use crate::sandbox::{SandboxBackend, SandboxSpec};

/// Long enough for a large history.
const CLONE: Duration = Duration::from_secs(15 * 60);
/// Long enough to look through a large working tree on a busy machine.
const LOCAL: Duration = Duration::from_secs(2 * 60);
/// The most that is kept of what a program answers, apart from the log.
const MAX_ANSWER: usize = 1 << 20;
/// The most of a program's own words in an error.
const MAX_COMPLAINT: usize = 600;

pub(super) struct Build<'a> {
    backend: &'a dyn SandboxBackend,
    sandbox: SandboxId,
    base: &'a Base,
    log: Log,
    /// Ends with the build: afterwards nobody speaks for this sandbox.
    _serving: Serving,
}

/// How a program ended, and what it said.
struct Answer {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl<'a> Build<'a> {
    pub(super) async fn start(
        backend: &'a dyn SandboxBackend,
        gateway: &Gateway,
        base: &'a Base,
    ) -> Result<Self, ImageError> {
        let spec = SandboxSpec {
            id: SandboxId::from_random(clock::random()),
            layers: Vec::new(),
            env: BTreeMap::new(),
            workshop: false,
            limits: Limits::default(),
        };
        let sandbox = backend.create(&spec).await.map_err(ImageError::Create)?;
        let policy = GatewayPolicy {
            repository: base.repository.clone(),
            access: Access::Image,
            egress: EgressPolicy::default(),
            spent_microdollars: 0,
        };
        let serving = gateway.serve(policy, sandbox.ports);
        let log = Log::default();
        Ok(Self {
            backend,
            sandbox: spec.id,
            base,
            log,
            _serving: serving,
        })
    }

    /// Gives `known` back if it is of the branch's newest commit.
    pub(super) async fn run(
        mut self,
        known: Option<Image>,
        shelf: &Shelf,
    ) -> Result<Image, ImageError> {
        let made = self.make(known, shelf).await;
        if let Err(error) = shelf.put_log(self.base, self.log.text()) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an image has no log"
            );
        }
        // After a success the sandbox has become a layer already.
        if let Err(error) = self.backend.destroy(&self.sandbox).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(sandbox = %self.sandbox, error, "an image's sandbox remains");
        }
        made
    }

    async fn make(&mut self, known: Option<Image>, shelf: &Shelf) -> Result<Image, ImageError> {
        if let Some(known) = known
            && self.newest_commit().await? == known.commit
        {
            return Ok(known);
        }
        let commit = self.clone_repository().await?;
        let mut steps = Vec::new();
        for step in recipe::steps(&self.present_files().await?) {
            let mut spec = ExecSpec::new(step.argv.iter().copied(), step.limit).cwd(WORKSPACE);
            for (name, value) in step.env {
                spec = spec.env(name, value);
            }
            let started = Instant::now();
            let answer = self.exec(step.name, &spec).await?;
            steps.push(StepOutcome {
                name: step.name.to_owned(),
                success: answer.exit.success(),
                ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            });
        }
        self.clean().await?;
        let layer = self
            .backend
            .freeze(&self.sandbox)
            .await
            .map_err(ImageError::Freeze)?;
        let image = Image {
            id: ImageId::from_random(clock::random()),
            base: self.base.clone(),
            commit,
            layers: vec![layer],
            built_at: clock::now(),
            steps,
        };
        shelf.put(&image)?;
        Ok(image)
    }

    async fn newest_commit(&mut self) -> Result<String, ImageError> {
        let (url, reference) = (self.url(), format!("refs/heads/{}", self.base.branch));
        let listed = self
            .git(&["ls-remote", &url, &reference], HOME, CLONE)
            .await?;
        let listed = listed.lines().find_map(|line| {
            let (commit, name) = line.split_once('\t')?;
            (name == reference).then(|| commit.to_owned())
        });
        listed.ok_or_else(|| ImageError::NoBranch(self.base.branch.clone()))
    }

    async fn clone_repository(&mut self) -> Result<String, ImageError> {
        let (url, branch) = (self.url(), format!("--branch={}", self.base.branch));
        let clone = [
            "clone",
            "--no-tags",
            "--template=",
            &branch,
            "--",
            &url,
            WORKSPACE,
        ];
        self.git(&clone, HOME, CLONE).await?;
        self.git(&["rev-parse", "--verify", "HEAD"], WORKSPACE, LOCAL)
            .await
    }

    async fn present_files(&mut self) -> Result<Vec<&'static str>, ImageError> {
        let test = "for file; do if [ -f \"$file\" ]; then echo \"$file\"; fi; done";
        let argv = ["sh", "-c", test, "sh"].into_iter().chain(recipe::FILES);
        let spec = ExecSpec::new(argv, LOCAL).cwd(WORKSPACE);
        let answer = self.exec("look for build files", &spec).await?;
        let found = String::from_utf8_lossy(&answer.stdout);
        let present = |file: &&str| found.lines().any(|line| line == *file);
        Ok(recipe::FILES.into_iter().filter(present).collect())
    }

    /// What set-up and tests left in the working tree is nobody's work: it must not be committed
    /// with the first prompt's, and must stay, since it is what makes the image warm.
    async fn clean(&mut self) -> Result<(), ImageError> {
        self.git(&["reset", "--quiet", "--hard"], WORKSPACE, LOCAL)
            .await?;
        let list = [
            "ls-files",
            "--others",
            "--exclude-standard",
            "--directory",
            "-z",
        ];
        let left = self.git(&list, WORKSPACE, LOCAL).await?;
        let patterns: String = left.split_terminator('\0').map(exclude_pattern).collect();
        let script = "mkdir -p .git/info && cat >> .git/info/exclude";
        let exclude = ExecSpec::new(["sh", "-c", script], LOCAL)
            .cwd(WORKSPACE)
            .stdin(&patterns);
        self.exec("exclude", &exclude).await.map(drop)
    }

    fn url(&self) -> String {
        let (owner, name) = (self.base.repository.owner(), self.base.repository.name());
        format!("http://127.0.0.1:{GATEWAY_PORT}/git/{owner}/{name}.git")
    }

    /// What a successful git printed, without the white space around it.
    async fn git(
        &mut self,
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
        let answer = self.exec(&step, &spec).await?;
        if answer.exit.success() {
            return Ok(String::from_utf8_lossy(&answer.stdout)
                .trim_matches(['\n', ' '])
                .to_owned());
        }
        let complaint = match answer.exit {
            Exit::TimedOut => "it took too long and was ended".to_owned(),
            _ => {
                let text = String::from_utf8_lossy(&answer.stderr);
                text.trim().chars().take(MAX_COMPLAINT).collect()
            }
        };
        Err(ImageError::Failed { step, complaint })
    }

    async fn exec(&mut self, step: &str, spec: &ExecSpec) -> Result<Answer, ImageError> {
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
                    self.log.heading(&format!("{step}: {exit:?}"));
                    return Ok(answer);
                }
            };
            self.log.bytes(&bytes);
            let room = MAX_ANSWER.saturating_sub(kept.len());
            kept.extend(bytes.into_iter().take(room));
        }
    }
}

/// A line for git's exclude file that means this path and no other.
fn exclude_pattern(path: &str) -> String {
    let mut pattern = String::from("/");
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '\\' | ' ') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('\n');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclude_pattern_means_one_path_whatever_characters_it_has() {
        assert_eq!(exclude_pattern("target/"), "/target/\n");
        assert_eq!(exclude_pattern("!a [*].txt "), "/!a\\ \\[\\*].txt\\ \n");
    }
}
