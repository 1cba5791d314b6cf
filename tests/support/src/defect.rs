//! A real crate with one real defect, for the agent to find.
//!
//! `shlex` splits and quotes shell words: a few hundred lines, no dependencies, tests inside. It
//! is downloaded by name through cargo and kept in the cache; what comes out is a git repository
//! of one commit, in which one negation is missing and exactly one of the crate's tests fails.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::model::Repair;

const NAME: &str = "shlex";
const VERSION: &str = "1.3.0";
const FILE: &str = "src/bytes.rs";
const RIGHT: &str = r"if !self.allow_nul && in_bytes.iter().any(|&b| b == b'\0') {";
const WRONG: &str = r"if self.allow_nul && in_bytes.iter().any(|&b| b == b'\0') {";
const FAILING_TEST: &str = "test_fallible";
const EXPLANATION: &str = "No shell can hold a NUL byte in a word, so `Quoter::quote` refuses one \
    unless the caller has set `allow_nul`. The condition had lost its negation: such words were \
    refused exactly when they had been allowed, and passed through unquoted otherwise.";
/// A first download may have to fetch the registry's index.
const DEADLINE: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub enum DefectError {
    #[error("{path} cannot be read or written")]
    Files {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{program} could not be started; is it installed?")]
    Start {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{program} did not end within {DEADLINE:?}")]
    Deadline { program: &'static str },
    #[error("{NAME} {VERSION} could not be downloaded with cargo: {message}")]
    Download { message: String },
    #[error("git could not make a repository of {NAME}: {message}")]
    Git { message: String },
    #[error("{NAME} {VERSION} does not have the line that was to be changed")]
    OtherSource,
}

/// The repository, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: &'static str,
    pub version: &'static str,
    /// The work tree, with `main` checked out.
    pub directory: PathBuf,
    /// Relative to the work tree.
    pub file: &'static str,
    pub defect: &'static str,
    pub fix: &'static str,
    pub explanation: &'static str,
    /// The one test that fails until it is mended.
    pub failing_test: &'static str,
}

impl Project {
    /// What the scripted model needs to know to mend it in a sandbox.
    pub fn repair(&self, sandbox_directory: &str) -> Repair {
        Repair {
            directory: sandbox_directory.to_owned(),
            file: self.file.to_owned(),
            defect: self.defect.to_owned(),
            fix: self.fix.to_owned(),
            explanation: self.explanation.to_owned(),
        }
    }
}

/// Makes the repository in `target_dir`, which is replaced if it exists. The download is kept
/// below `cache_dir`.
pub async fn prepare(cache_dir: &Path, target_dir: &Path) -> Result<Project, DefectError> {
    let sources = download(cache_dir).await?;
    if target_dir.exists() {
        std::fs::remove_dir_all(target_dir).map_err(files(target_dir))?;
    }
    copy(&sources, target_dir)?;
    let file = target_dir.join(FILE);
    let source = std::fs::read_to_string(&file).map_err(files(&file))?;
    if source.matches(RIGHT).count() != 1 {
        return Err(DefectError::OtherSource);
    }
    std::fs::write(&file, source.replace(RIGHT, WRONG)).map_err(files(&file))?;
    let ignored = target_dir.join(".gitignore");
    std::fs::write(&ignored, "/target\n").map_err(files(&ignored))?;
    // Cargo would write it at the first run, and the agent's commit would hold it.
    let lock = ["generate-lockfile", "--offline", "--quiet"];
    cargo(target_dir, &lock).await?;
    commit(target_dir).await?;
    Ok(Project {
        name: NAME,
        version: VERSION,
        directory: target_dir.to_owned(),
        file: FILE,
        defect: WRONG,
        fix: RIGHT,
        explanation: EXPLANATION,
        failing_test: FAILING_TEST,
    })
}

async fn download(cache_dir: &Path) -> Result<PathBuf, DefectError> {
    let kept = cache_dir.join(format!("{NAME}-{VERSION}"));
    if kept.exists() {
        return Ok(kept);
    }
    std::fs::create_dir_all(cache_dir).map_err(files(cache_dir))?;
    let scratch = cache_dir.join(format!("{NAME}-{VERSION}.{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(files(&scratch))?;
    let manifest = format!(
        "[package]\nname = \"download\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n[dependencies]\n{NAME} = \"={VERSION}\"\n\n[workspace]\n"
    );
    for (name, content) in [("Cargo.toml", manifest.as_str()), ("lib.rs", "")] {
        let path = scratch.join(name);
        std::fs::write(&path, content).map_err(files(&path))?;
    }
    let vendored = cargo(&scratch, &["vendor", "--quiet", "vendor"]).await;
    let moved = vendored.and_then(|()| {
        match std::fs::rename(scratch.join("vendor").join(NAME), &kept) {
            // Somebody else was faster, with the same files.
            Err(_) if kept.exists() => Ok(()),
            moved => moved.map_err(files(&kept)),
        }
    });
    std::fs::remove_dir_all(&scratch).map_err(files(&scratch))?;
    moved.map(|()| kept)
}

/// All but what packaging added.
fn copy(from: &Path, to: &Path) -> Result<(), DefectError> {
    std::fs::create_dir_all(to).map_err(files(to))?;
    for entry in std::fs::read_dir(from).map_err(files(from))? {
        let entry = entry.map_err(files(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name();
        if name == ".cargo-checksum.json"
            || name == ".cargo_vcs_info.json"
            || name == "Cargo.toml.orig"
        {
            continue;
        }
        if entry.file_type().map_err(files(&source))?.is_dir() {
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(files(&source))?;
        }
    }
    Ok(())
}

async fn commit(directory: &Path) -> Result<(), DefectError> {
    let message = format!("{NAME} {VERSION}");
    let steps: [&[&str]; 3] = [
        &["init", "--quiet", "--initial-branch=main"],
        &["add", "--all"],
        &["commit", "--quiet", "--message", &message],
    ];
    for arguments in steps {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // Nobody upstream made this mistake, so nobody's name stands by it.
            .env("GIT_AUTHOR_NAME", "Upstream")
            .env("GIT_AUTHOR_EMAIL", "upstream@example.com")
            .env("GIT_COMMITTER_NAME", "Upstream")
            .env("GIT_COMMITTER_EMAIL", "upstream@example.com");
        let output = run("git", command, directory).await?;
        if !output.status.success() {
            return Err(DefectError::Git {
                message: complaint(&output),
            });
        }
    }
    Ok(())
}

async fn cargo(directory: &Path, arguments: &[&str]) -> Result<(), DefectError> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments);
    let output = run("cargo", command, directory).await?;
    if output.status.success() {
        return Ok(());
    }
    Err(DefectError::Download {
        message: complaint(&output),
    })
}

async fn run(
    program: &'static str,
    mut command: Command,
    directory: &Path,
) -> Result<Output, DefectError> {
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(DEADLINE, command.output())
        .await
        .map_err(|_| DefectError::Deadline { program })?
        .map_err(|source| DefectError::Start { program, source })
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn files(path: &Path) -> impl FnOnce(io::Error) -> DefectError + '_ {
    move |source| DefectError::Files {
        path: path.to_owned(),
        source,
    }
}
