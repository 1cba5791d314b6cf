use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use protocol::SandboxId;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};

use super::*;
use crate::layer::fixture::store;
use crate::layer::overlay::{OPAQUE, is_whiteout, make_whiteout};

/// What a layer has at one place.
#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Leaf(u32),
    Whiteout,
    Directory(Tree),
}

#[derive(Debug, Clone, PartialEq)]
struct Tree {
    opaque: bool,
    mode: u32,
    entries: BTreeMap<&'static str, Entry>,
}

/// What somebody sees at one place, with the modes of directories.
#[derive(Debug, Clone, PartialEq)]
enum View {
    Leaf(u32),
    Directory(u32, BTreeMap<&'static str, View>),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<u32>().prop_map(Entry::Leaf),
        Just(Entry::Whiteout),
        directory(Just(BTreeMap::new())),
    ];
    let entry = leaf.prop_recursive(3, 20, 3, |inner| directory(entries(inner)));
    entries(entry).prop_map(|entries| Tree { entries, ..empty() })
}

fn entries(
    entry: impl Strategy<Value = Entry>,
) -> impl Strategy<Value = BTreeMap<&'static str, Entry>> {
    prop::collection::btree_map(prop::sample::select(&NAMES), entry, 0..=3)
}

fn directory(
    entries: impl Strategy<Value = BTreeMap<&'static str, Entry>>,
) -> impl Strategy<Value = Entry> {
    let modes = prop::sample::select(&[0o700, 0o750, 0o755]);
    (prop::bool::weighted(0.3), modes, entries).prop_map(|(opaque, mode, entries)| {
        Entry::Directory(Tree {
            opaque,
            mode,
            entries,
        })
    })
}

/// Lays one layer upon what is seen without it.
fn lay(entry: &Entry, under: Option<View>) -> Option<View> {
    match entry {
        Entry::Leaf(content) => Some(View::Leaf(*content)),
        Entry::Whiteout => None,
        Entry::Directory(tree) => {
            let mut seen = match under {
                Some(View::Directory(_, seen)) if !tree.opaque => seen,
                _ => BTreeMap::new(),
            };
            for (name, entry) in &tree.entries {
                if let Some(view) = lay(entry, seen.remove(name)) {
                    seen.insert(*name, view);
                }
            }
            Some(View::Directory(tree.mode, seen))
        }
    }
}

fn view(layers: &[Tree]) -> Option<View> {
    let layers = layers.iter().cloned().map(Entry::Directory);
    layers.fold(None, |under, layer| lay(&layer, under))
}

fn write(path: &Path, tree: &Tree) {
    fs::create_dir(path).unwrap();
    for (name, entry) in &tree.entries {
        let path = path.join(name);
        match entry {
            Entry::Leaf(content) => fs::write(path, content.to_string()).unwrap(),
            Entry::Whiteout => make_whiteout(&path).unwrap(),
            Entry::Directory(tree) => write(&path, tree),
        }
    }
    if tree.opaque {
        lsetxattr(path, OPAQUE, b"y", XattrFlags::empty()).unwrap();
    }
    fs::set_permissions(path, Permissions::from_mode(tree.mode)).unwrap();
}

fn read(path: &Path) -> Tree {
    let mut entries = BTreeMap::new();
    for name in NAMES {
        let path = path.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let entry = if metadata.is_dir() {
            Entry::Directory(read(&path))
        } else if is_whiteout(&metadata) {
            Entry::Whiteout
        } else {
            Entry::Leaf(fs::read_to_string(&path).unwrap().parse().unwrap())
        };
        entries.insert(name, entry);
    }
    let mut value = [0];
    Tree {
        opaque: lgetxattr(path, OPAQUE, &mut value).is_ok(),
        mode: fs::metadata(path).unwrap().mode() & 0o7777,
        entries,
    }
}

/// Whether each whiteout has something to hide, and each opaque directory a directory.
fn hides_only_what_is_there(tree: &Tree, under: Option<&View>) -> bool {
    let under = match under {
        Some(View::Directory(_, under)) if !tree.opaque => under,
        Some(View::Directory(..)) => &BTreeMap::new(),
        Some(View::Leaf(_)) | None if tree.opaque => return false,
        Some(View::Leaf(_)) | None => &BTreeMap::new(),
    };
    tree.entries.iter().all(|(name, entry)| match entry {
        Entry::Leaf(_) => true,
        Entry::Whiteout => under.contains_key(name),
        Entry::Directory(tree) => hides_only_what_is_there(tree, under.get(name)),
    })
}

struct Bench {
    root: tempfile::TempDir,
    store: LayerStore,
    chain: Vec<LayerId>,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            store: store(root.path()),
            root,
            chain: Vec::new(),
        }
    }

    fn of(layers: &[Tree]) -> Self {
        let mut bench = Self::new();
        for layer in layers {
            bench.add(&[(FS, layer)]);
        }
        bench
    }

    fn add(&mut self, parts: &[(&str, &Tree)]) {
        let staging = self.store.stage().unwrap();
        for (name, tree) in parts {
            write(&staging.path().join(name), tree);
        }
        let ordinal = u32::try_from(self.chain.len()).unwrap();
        let meta = LayerMeta {
            id: LayerId::of(&SandboxId::from_random([1; 16]), ordinal),
            parents: self.chain.clone(),
        };
        self.store.admit(&staging, &meta).unwrap();
        self.chain.push(meta.id);
    }

    fn squash(&self, count: usize) -> LayerMeta {
        let id = LayerId::of(&SandboxId::from_random([2; 16]), 0);
        squash(&self.store, &self.chain, count, id).unwrap()
    }

    /// What the kernel shows of these layers: kinds, modes and contents.
    fn mounted(&self, chain: &[LayerId]) -> String {
        let place = self.root.path().join("mount");
        fs::create_dir_all(&place).unwrap();
        let nothing = self.root.path().join("nothing");
        fs::create_dir_all(&nothing).unwrap();
        let layers = chain.iter().rev().map(|id| self.store.files(id).unwrap());
        // An overlay has at least two directories.
        let layers: Vec<_> = layers.chain([nothing]).collect();
        let layers: Vec<_> = layers
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let options = format!("userxattr,lowerdir={}", layers.join(":"));
        let script = "mount -t overlay overlay -o \"$1\" \"$2\" && cd \"$2\" \
            && find . -printf '%P %y %m\\n' | sort && { grep -r '' . | sort; }";
        let namespaces = if rustix::process::geteuid().is_root() {
            "-m"
        } else {
            "-Urm"
        };
        let shown = Command::new("unshare")
            .args([namespaces, "--", "sh", "-c", script, "sh", &options])
            .arg(&place)
            .output()
            .unwrap();
        assert!(shown.status.success(), "{shown:?}");
        String::from_utf8(shown.stdout).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_squashed_layer_shows_what_its_layers_showed_and_hides_no_more_than_it_has_to(
        layers in prop::collection::vec(tree(), 1..6),
        count in 1..6_usize,
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            paths.insert(0, root.path().join(number.to_string()));
            write(&paths[0], layer);
        }
        let below = &layers[..layers.len().saturating_sub(count)];
        let lower = paths.split_off(layers.len() - below.len());
        let target = root.path().join("squashed");
        Merge::upon_layers().run(target.clone(), paths, lower).unwrap();
        let squashed = read(&target);
        prop_assert!(hides_only_what_is_there(&squashed, view(below).as_ref()));
        prop_assert_eq!(view(&[below, &[squashed]].concat()), view(&layers));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_shows_a_squashed_layer_as_it_showed_its_layers(
        layers in prop::collection::vec(tree(), 2..6),
        count in 2..4_usize,
    ) {
        let bench = Bench::of(&layers);
        let meta = bench.squash(count);
        let squashed = [meta.parents, vec![meta.id]].concat();
        prop_assert_eq!(bench.mounted(&squashed), bench.mounted(&bench.chain));
    }
}

fn empty() -> Tree {
    Tree {
        opaque: false,
        mode: 0o755,
        entries: BTreeMap::new(),
    }
}

fn leaf(name: &'static str, entry: Entry) -> Tree {
    Tree {
        entries: [(name, entry)].into(),
        ..empty()
    }
}

#[test]
fn nothing_in_a_file_is_copied() {
    let layer = leaf("a", Entry::Leaf(1));
    let bench = Bench::of(&[layer.clone(), layer]);
    let inode = |id: &LayerId| {
        let file = bench.store.files(id).unwrap().join("a");
        fs::metadata(file).unwrap().ino()
    };
    let squashed = bench.squash(2).id;
    assert_eq!(inode(&squashed), inode(bench.chain.last().unwrap()));
}

#[test]
fn whiteouts_of_system_packages_stay_since_the_machine_has_files_of_its_own() {
    let (home, mut bench) = (empty(), Bench::new());
    bench.add(&[(FS, &home), (SYSTEM, &leaf("a", Entry::Whiteout))]);
    bench.add(&[(FS, &home), (SYSTEM, &leaf("b", Entry::Leaf(1)))]);
    let squashed = read(&bench.store.system(&bench.squash(2).id).unwrap());
    let expected = [("a", Entry::Whiteout), ("b", Entry::Leaf(1))];
    assert_eq!(squashed.entries, expected.into());
}

#[test]
fn the_agents_state_is_the_newest_and_not_a_mixture() {
    let (home, mut bench) = (empty(), Bench::new());
    bench.add(&[(FS, &home), (AGENT, &leaf("a", Entry::Leaf(1)))]);
    bench.add(&[(FS, &home), (AGENT, &leaf("b", Entry::Leaf(2)))]);
    bench.add(&[(FS, &home)]);
    let squashed = read(&bench.store.agent(&bench.squash(3).id).unwrap());
    assert_eq!(squashed.entries, [("b", Entry::Leaf(2))].into());
}

#[test]
fn only_a_chain_that_is_too_deep_is_flattened_down_to_its_image() {
    let mut bench = Bench::of(&vec![leaf("a", Entry::Leaf(1)); MAX_DEPTH]);
    let id = LayerId::of(&SandboxId::from_random([3; 16]), 0);
    let flat = |bench: &Bench| flatten(&bench.store, &bench.chain, 2, id.clone()).unwrap();
    assert_eq!(flat(&bench), bench.chain);
    bench.add(&[(FS, &leaf("a", Entry::Leaf(1)))]);
    let image = bench.chain.iter().take(2).cloned();
    assert_eq!(flat(&bench), image.chain([id.clone()]).collect::<Vec<_>>());
}

#[test]
fn a_chain_that_lacks_a_layer_is_not_squashed() {
    let bench = Bench::new();
    let id = LayerId::of(&SandboxId::from_random([4; 16]), 0);
    let result = squash(&bench.store, std::slice::from_ref(&id), 1, id.clone());
    assert!(
        matches!(result, Err(SquashError::Layer(LayerError::Unknown(_)))),
        "{result:?}"
    );
}
