//! The repository at the forge: what others commit to it, and what git says of it.

use std::path::Path;

use super::{OWNER, REPOSITORY, Stage};

impl Stage {
    /// Commits a file to a branch at the forge, which grows out of `main`.
    pub(crate) fn commit(&self, branch: &str, path: &str, content: &str) {
        let work = tempfile::tempdir().unwrap();
        let work = work.path();
        let bare = self.forge.bare_repository(OWNER, REPOSITORY);
        git(work, &["clone", "-q", bare.to_str().unwrap(), "."]);
        git(work, &["checkout", "-q", "-B", branch]);
        let file = work.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        git(work, &["add", "--all"]);
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let commit = ["commit", "-q", "-m", "change"];
        git(work, &[&identity[..], &commit[..]].concat());
        git(work, &["push", "-q", "origin", branch]);
    }

    /// Somebody else pushes a file to `main`; returns the commit.
    pub(crate) fn move_main(&self, path: &str, content: &str) -> String {
        let copy = self.directory.path().join("copy");
        let bare = self.forge.bare_repository(OWNER, REPOSITORY);
        let git = |directory: &Path, arguments: &[&str]| {
            let people = ["-c", "user.name=Eve", "-c", "user.email=eve@example.com"];
            let status = std::process::Command::new("git")
                .current_dir(directory)
                .args(people)
                .args(arguments)
                .status();
            assert!(status.unwrap().success(), "{arguments:?}");
        };
        let (from, to) = (bare.to_str().unwrap(), copy.to_str().unwrap());
        git(
            self.directory.path(),
            &["clone", "--quiet", "--branch=main", from, to],
        );
        std::fs::write(copy.join(path), content).unwrap();
        git(&copy, &["add", "--all"]);
        git(&copy, &["commit", "--quiet", "-m", "newer"]);
        git(&copy, &["push", "--quiet", "origin", "main"]);
        self.git(&["rev-parse", "main"])
    }

    /// What git says of the bare repository at the forge.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.forge.bare_repository(OWNER, REPOSITORY), arguments)
    }

    /// The files of work in progress, which is one line that says what it is and then a bundle.
    pub(crate) fn files_in_progress(&self, parcel: &[u8]) -> Vec<String> {
        let start = parcel.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let bundle = self.directory.path().join("looked-at.bundle");
        std::fs::write(&bundle, &parcel[start..]).unwrap();
        let heads = self.git(&["bundle", "unbundle", bundle.to_str().unwrap()]);
        let commit = heads.split_whitespace().next().unwrap();
        let files = self.git(&["ls-tree", "--name-only", commit]);
        files.lines().map(str::to_owned).collect()
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
