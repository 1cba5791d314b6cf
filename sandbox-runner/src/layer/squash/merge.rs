//! The merging of one stack of directories into a new one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, lsetxattr};
use rustix::process::geteuid;

use crate::layer::archive::extended;
use crate::layer::overlay::{OPAQUE, is_whiteout, make_whiteout, set_time};

/// Where it happened, and what.
type Failure = (PathBuf, io::Error);

pub(super) struct Merge {
    /// Whether what lies below the lowest layer may be anything.
    upon_unknown: bool,
    pending: Vec<Directory>,
    /// Completed at the end: their times would change again, and their modes may forbid to write.
    made: Vec<Directory>,
}

/// A directory of the new layer.
struct Directory {
    target: PathBuf,
    /// What it is made of, topmost first.
    above: Vec<PathBuf>,
    /// What it is shown upon, topmost first.
    below: Vec<PathBuf>,
    /// Whether something unknown may be shown through it.
    upon_unknown: bool,
    opaque: bool,
}

/// What a stack of directories shows under one name.
enum Shown {
    Nothing,
    Whiteout,
    Leaf(PathBuf),
    /// Directories that are shown as one, topmost first, and whether they hide what is below.
    Directory(Vec<PathBuf>, bool),
}

impl Merge {
    pub(super) fn upon_layers() -> Self {
        Self {
            upon_unknown: false,
            pending: Vec::new(),
            made: Vec::new(),
        }
    }

    pub(super) fn upon_unknown() -> Self {
        Self {
            upon_unknown: true,
            ..Self::upon_layers()
        }
    }

    /// Makes `target` of `above` so that upon `below` it shows what they showed; topmost first.
    pub(super) fn run(
        mut self,
        target: PathBuf,
        above: Vec<PathBuf>,
        below: Vec<PathBuf>,
    ) -> Result<(), Failure> {
        self.pending.push(Directory {
            target,
            above,
            below,
            upon_unknown: self.upon_unknown,
            opaque: false,
        });
        while let Some(directory) = self.pending.pop() {
            self.fill(&directory)?;
            self.made.push(directory);
        }
        for directory in self.made.iter().rev() {
            complete(directory).map_err(|source| (directory.target.clone(), source))?;
        }
        Ok(())
    }

    fn fill(&mut self, directory: &Directory) -> Result<(), Failure> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| (path, source)
        };
        let target = &directory.target;
        fs::create_dir(target)
            .and_then(|()| fs::set_permissions(target, Permissions::from_mode(0o700)))
            .map_err(at(target))?;
        for name in names(&directory.above)? {
            let target = target.join(&name);
            let below = show(&directory.below, &name)?;
            let visible = matches!(below, Shown::Leaf(_) | Shown::Directory(..));
            let merged = matches!(below, Shown::Directory(..));
            // Only a whiteout, a file or an opaque directory ends what is looked through.
            let open = matches!(below, Shown::Nothing | Shown::Directory(_, false));
            let unknown = directory.upon_unknown && open;
            match show(&directory.above, &name)? {
                Shown::Nothing => {}
                Shown::Leaf(path) => fs::hard_link(&path, &target).map_err(at(&path))?,
                Shown::Whiteout if visible || unknown => {
                    make_whiteout(&target).map_err(at(&target))?;
                }
                Shown::Whiteout => {}
                Shown::Directory(above, closed) => self.pending.push(Directory {
                    target,
                    above,
                    below: match below {
                        Shown::Directory(below, _) if !closed => below,
                        _ => Vec::new(),
                    },
                    upon_unknown: unknown && !closed,
                    opaque: closed && (merged || unknown),
                }),
            }
        }
        Ok(())
    }
}

/// As its topmost one is.
fn complete(directory: &Directory) -> io::Result<()> {
    let Some(like) = directory.above.first() else {
        return Ok(());
    };
    let target = &directory.target;
    let mut attributes = extended(like)?;
    attributes.remove(OPAQUE);
    if directory.opaque {
        attributes.insert(OPAQUE.to_owned(), b"y".to_vec());
    }
    for (name, value) in &attributes {
        lsetxattr(target, name, value, XattrFlags::CREATE)?;
    }
    let metadata = fs::symlink_metadata(like)?;
    if geteuid().is_root() {
        lchown(target, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(target, Permissions::from_mode(metadata.mode() & 0o7777))?;
    set_time(target, metadata.mtime(), metadata.mtime_nsec())
}

fn names(directories: &[PathBuf]) -> Result<BTreeSet<OsString>, Failure> {
    let mut names = BTreeSet::new();
    for directory in directories {
        let failed = |source| (directory.clone(), source);
        for entry in fs::read_dir(directory).map_err(failed)? {
            names.insert(entry.map_err(failed)?.file_name());
        }
    }
    Ok(names)
}

/// As an overlay of these directories would, topmost first.
fn show(directories: &[PathBuf], name: &OsStr) -> Result<Shown, Failure> {
    let mut layers = Vec::new();
    for directory in directories {
        let path = directory.join(name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err((path, error)),
        };
        if metadata.is_dir() {
            let attributes = extended(&path).map_err(|source| (path.clone(), source))?;
            layers.push(path);
            if attributes.get(OPAQUE).is_some_and(|value| value == b"y") {
                return Ok(Shown::Directory(layers, true));
            }
        } else if !layers.is_empty() {
            // Neither a file nor a whiteout is merged with a directory above it.
            return Ok(Shown::Directory(layers, true));
        } else if is_whiteout(&metadata) {
            return Ok(Shown::Whiteout);
        } else {
            return Ok(Shown::Leaf(path));
        }
    }
    Ok(match layers.is_empty() {
        true => Shown::Nothing,
        false => Shown::Directory(layers, false),
    })
}
