//! The making of one image: from the layers of the last good one where that fits, else from a fresh
//! clone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::ImageId;
use protocol::egress::EgressPolicy;
use protocol::image::{Base, BuildStep};

use super::ground::Ground;
use super::log::Log;
use super::recipe::{self, Findings, Work};
use super::runtime::Versions;
use super::site::{Answer, Kind, Site};
use super::{HOME, Image, ImageError, Made, WORKSPACE, Workshop, agent, packages, runtime, size};
use crate::clock;
use crate::init::wire::{ExecSpec, GATEWAY_PORT};
use crate::layer::LayerId;

/// Long enough for a large history.
const CLONE: Duration = Duration::from_secs(15 * 60);
/// Long enough to look through a large working tree on a busy machine.
const LOCAL: Duration = Duration::from_secs(2 * 60);
/// An image that would have more layers is made afresh: each costs every sandbox a little, and what
/// is deleted in a higher one still takes room in a lower one.
const MAX_LAYERS: usize = 8;

pub(super) struct Build<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) id: ImageId,
    pub(super) base: &'a Base,
    /// What its programs may reach.
    pub(super) egress: &'a EgressPolicy,
    pub(super) ground: Ground,
    /// Whether it is made even if nothing changed, and from nothing.
    pub(super) force: bool,
    pub(super) log: &'a Log,
}

/// What was done at a site.
struct Done {
    commit: String,
    steps: Vec<BuildStep>,
    runtime: Versions,
}

/// What becomes of the last image's files.
enum Update {
    Done(Done),
    /// They are of the branch's newest commit.
    Needless,
    /// They are not there.
    Impossible,
}

impl Build<'_> {
    pub(super) async fn run(&self, known: Option<Image>) -> Result<Made, ImageError> {
        if let Some(known) = &known
            && known.ground == self.ground
            && !self.force
        {
            let layers = self.layers_to_start_from(known);
            let site = self.open(layers.unwrap_or_default()).await?;
            match self.update(&site, known, layers.is_some()).await {
                Ok(Update::Done(done)) => {
                    let below = layers.unwrap_or_default();
                    return self.keep(site, below, done, Some(known)).await;
                }
                Ok(Update::Needless) => {
                    site.discard().await;
                    return Ok(Made::Unchanged(known.clone()));
                }
                Ok(Update::Impossible) => site.discard().await,
                Err(error) => {
                    site.discard().await;
                    let error = crate::cause::chain(&error);
                    self.log.heading(&format!("from a fresh clone: {error}"));
                }
            }
        }
        let below = self.packages().await?;
        // Nothing says that it is used until the image is on record.
        let _lease = self
            .workshop
            .layers
            .lease(&below)
            .map_err(ImageError::Keep)?;
        let site = self.open(&below).await?;
        match self.begin(&site, known.as_ref()).await {
            Ok(done) => self.keep(site, &below, done, known.as_ref()).await,
            Err(error) => {
                site.discard().await;
                Err(error)
            }
        }
    }

    fn layers_to_start_from<'k>(&self, known: &'k Image) -> Option<&'k [LayerId]> {
        let store = &self.workshop.layers;
        let fits =
            known.layers.len() < MAX_LAYERS && known.layers.iter().all(|layer| store.exists(layer));
        fits.then_some(&known.layers)
    }

    async fn open(&self, layers: &[LayerId]) -> Result<Site<'_>, ImageError> {
        let base = (self.base, self.egress);
        Site::open(self.workshop, base, layers, Kind::Repository, self.log).await
    }

    /// The layers that hold the specification's packages.
    async fn packages(&self) -> Result<Vec<LayerId>, ImageError> {
        let names = &self.ground.specification.packages;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let base = (self.base, self.egress);
        let layer = packages::layer(self.workshop, base, names, self.log).await?;
        self.share(&layer)?;
        Ok(vec![layer])
    }

    /// What an image holds is no sandbox's own.
    fn share(&self, layer: &LayerId) -> Result<(), ImageError> {
        let shared = self.workshop.layers.share(layer);
        shared.map_err(|source| ImageError::Write {
            path: layer.as_str().into(),
            source,
        })
    }

    /// Brings the last image's files to the branch's newest commit.
    async fn update(
        &self,
        site: &Site<'_>,
        known: &Image,
        has_files: bool,
    ) -> Result<Update, ImageError> {
        if self.newest_commit(site).await? == known.commit {
            return Ok(Update::Needless);
        }
        if !has_files {
            return Ok(Update::Impossible);
        }
        let (url, branch) = (self.url(), &self.base.branch);
        let branch = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
        let fetch = ["fetch", "--no-tags", "--", &url, &branch];
        site.git(&fetch, WORKSPACE, CLONE).await?;
        let reset = ["reset", "--quiet", "--hard", "FETCH_HEAD"];
        site.git(&reset, WORKSPACE, LOCAL).await?;
        let clean = ["clean", "--quiet", "-ffd"];
        site.git(&clean, WORKSPACE, LOCAL).await?;
        self.finish(site, Some(known)).await.map(Update::Done)
    }

    async fn begin(&self, site: &Site<'_>, known: Option<&Image>) -> Result<Done, ImageError> {
        // What cannot be had is said before anything takes its time.
        let wanted = &self.ground.specification.runtime;
        runtime::ensure(site, wanted, &self.workshop.supplies.python).await?;
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
        site.git(&clone, HOME, CLONE).await?;
        self.finish(site, known).await
    }

    /// Set-up, build and tests. A branch that fails is worked on too, so none of them has to succeed,
    /// but for a set-up without which there is something better: see [`Build::needs`].
    async fn finish(&self, site: &Site<'_>, known: Option<&Image>) -> Result<Done, ImageError> {
        let head = ["rev-parse", "--verify", "HEAD"];
        let commit = site.git(&head, WORKSPACE, LOCAL).await?;
        let mut steps = Vec::new();
        let mut missing = BTreeSet::new();
        let phases = [
            (recipe::set_up as Phase, true),
            (recipe::build_and_test, false),
        ];
        for (phase, is_set_up) in phases {
            for work in phase(&self.look(site).await?) {
                match work {
                    Work::Run(step) => {
                        let (step, answer) = run(site, step).await?;
                        if is_set_up && !step.success && self.needs(&step.name, known) {
                            return Err(answer.failure(&step.name));
                        }
                        steps.push(step);
                    }
                    Work::Missing(tool) => {
                        if missing.insert(tool) {
                            let said = format!("{tool} is not installed in this environment");
                            site.log.heading(&said);
                        }
                    }
                }
            }
        }
        clean(site).await?;
        let runtime = runtime::measure(site).await?;
        // Last: nothing that set-up has left runs after it.
        if let Some(binary) = &self.workshop.supplies.agent {
            agent::begin(site, binary).await?;
        }
        Ok(Done {
            commit,
            steps,
            runtime,
        })
    }

    /// Whether an image in which this part of the set-up has failed is worse than none: an environment
    /// would not be what was asked for, whatever became of it before, and elsewhere the last image in
    /// which it has not failed is better.
    fn needs(&self, step: &str, known: Option<&Image>) -> bool {
        let known = known.filter(|_| self.base.environment.is_none());
        let Some(known) = known else {
            return self.base.environment.is_some();
        };
        let failed = |before: &BuildStep| before.name == step && !before.success;
        !known.steps.iter().any(failed)
    }

    async fn look(&self, site: &Site<'_>) -> Result<Findings, ImageError> {
        let script = "for file; do [ -e \"$file\" ] && echo \"$file\"; done; true";
        let argv = ["sh", "-c", script, "sh"].into_iter().chain(recipe::FILES);
        let files = ExecSpec::new(argv, LOCAL).cwd(WORKSPACE);
        let files = site.run("look for build files", &files).await?;
        let script = "for tool; do command -v \"$tool\" > /dev/null && echo \"$tool\"; done; true";
        let argv = ["sh", "-c", script, "sh"].into_iter().chain(recipe::TOOLS);
        let tools = site
            .run("look for tools", &ExecSpec::new(argv, LOCAL))
            .await?;
        let mut found = Findings {
            setup: self.ground.specification.setup.clone(),
            ..Findings::default()
        };
        let known = |name: &&str| recipe::FILES.contains(name) || recipe::TOOLS.contains(name);
        for printed in [files.stdout, tools.stdout] {
            let printed = String::from_utf8_lossy(&printed);
            let names = printed.lines().filter(known).map(str::to_owned);
            found.present.extend(names);
        }
        if found.present.contains("package.json") {
            let package = read(site, "package.json").await?;
            found.has_npm_test = recipe::has_npm_test(&package);
            found.package_manager = recipe::package_manager(&package);
        }
        if found.present.contains("pyproject.toml") {
            let project = read(site, "pyproject.toml").await?;
            found.is_python_project = recipe::is_python_project(&project);
        }
        Ok(found)
    }

    async fn keep(
        &self,
        site: Site<'_>,
        below: &[LayerId],
        done: Done,
        known: Option<&Image>,
    ) -> Result<Made, ImageError> {
        let mut layers = below.to_vec();
        let layer = site.freeze().await?;
        self.share(&layer)?;
        layers.push(layer);
        let shared = known.map_or(&[][..], |known| &known.layers);
        let fresh: Vec<_> = layers
            .iter()
            .filter(|layer| !shared.contains(layer))
            .cloned()
            .collect();
        Ok(Made::Ready(Image {
            id: self.id.clone(),
            base: self.base.clone(),
            reason: self.ground.reason(&done.commit, known),
            commit: done.commit,
            ground: self.ground.clone(),
            layers,
            built_at: clock::now(),
            steps: done.steps,
            runtime: done.runtime,
            bytes: size::of_layers(&self.workshop.layers, fresh).await,
        }))
    }

    async fn newest_commit(&self, site: &Site<'_>) -> Result<String, ImageError> {
        let (url, reference) = (self.url(), format!("refs/heads/{}", self.base.branch));
        let listed = site
            .git(&["ls-remote", "--", &url, &reference], HOME, CLONE)
            .await?;
        let listed = listed.lines().find_map(|line| {
            let (commit, name) = line.split_once('\t')?;
            (name == reference).then(|| commit.to_owned())
        });
        listed.ok_or_else(|| ImageError::NoBranch(self.base.branch.clone()))
    }

    fn url(&self) -> String {
        let (owner, name) = (self.base.repository.owner(), self.base.repository.name());
        format!("http://127.0.0.1:{GATEWAY_PORT}/git/{owner}/{name}.git")
    }
}

type Phase = fn(&Findings) -> Vec<Work>;

async fn run(site: &Site<'_>, step: recipe::Step) -> Result<(BuildStep, Answer), ImageError> {
    let argv = step.argv.iter().map(String::as_str);
    let mut spec = ExecSpec::new(argv, step.limit).cwd(WORKSPACE);
    for (name, value) in step.env {
        spec = spec.env(name, value);
    }
    let started = Instant::now();
    let answer = site.exec(&step.name, &spec).await?;
    let done = BuildStep {
        name: step.name,
        success: answer.exit.success(),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok((done, answer))
}

async fn read(site: &Site<'_>, file: &str) -> Result<String, ImageError> {
    // What is no file, or a link to what is none, has nothing to say.
    let script = "[ -f \"$0\" ] && head -c 262144 \"$0\" || true";
    let spec = ExecSpec::new(["sh", "-c", script, file], LOCAL).cwd(WORKSPACE);
    let answer = site.run(&format!("read {file}"), &spec).await?;
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// What set-up and tests left in the working tree is nobody's work: it must not be committed with
/// the first prompt's, and must stay, since it is what makes the image warm.
async fn clean(site: &Site<'_>) -> Result<(), ImageError> {
    site.git(&["reset", "--quiet", "--hard"], WORKSPACE, LOCAL)
        .await?;
    let list = [
        "ls-files",
        "--others",
        "--exclude-standard",
        "--directory",
        "-z",
    ];
    let left = site.git(&list, WORKSPACE, LOCAL).await?;
    let patterns: String = left.split_terminator('\0').map(exclude_pattern).collect();
    let script = "mkdir -p .git/info && cat >> .git/info/exclude";
    let exclude = ExecSpec::new(["sh", "-c", script], LOCAL)
        .cwd(WORKSPACE)
        .stdin(&patterns);
    site.run("exclude", &exclude).await.map(drop)
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
