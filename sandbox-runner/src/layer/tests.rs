use protocol::SandboxId;

use super::*;

struct Bench {
    root: tempfile::TempDir,
    store: LayerStore,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = LayerStore::new(
            root.path().join("layers"),
            Trash::new(root.path().join("trash")),
        );
        for name in ["layers", "trash"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Self { root, store }
    }

    fn part(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), text).unwrap();
        path
    }
}

fn meta(number: u8) -> LayerMeta {
    LayerMeta {
        id: LayerId::of(&SandboxId::from_random([number; 16]), 0),
        parents: Vec::new(),
    }
}

fn text(directory: Option<PathBuf>) -> Option<String> {
    directory.map(|directory| fs::read_to_string(directory.join("file")).unwrap())
}

#[test]
fn a_committed_layer_holds_its_parts() {
    let bench = Bench::new();
    let (home, agent) = (bench.part("home", "home"), bench.part("agent", "agent"));
    let parts = Parts {
        agent: Some(&agent),
        ..Parts::fs(&home)
    };
    bench.store.commit(&meta(1), parts).unwrap();
    let id = meta(1).id;
    assert_eq!(text(bench.store.files(&id)).as_deref(), Some("home"));
    assert_eq!(text(bench.store.agent(&id)).as_deref(), Some("agent"));
    assert_eq!(bench.store.system(&id), None);
    assert!(!home.exists() && !agent.exists());
}

#[test]
fn committing_again_keeps_the_first_result() {
    let bench = Bench::new();
    for content in ["first", "second"] {
        let home = bench.part(content, content);
        bench.store.commit(&meta(1), Parts::fs(&home)).unwrap();
    }
    assert_eq!(
        text(bench.store.files(&meta(1).id)).as_deref(),
        Some("first")
    );
}

#[test]
fn a_layer_that_lacks_a_part_is_absent_and_its_parts_are_where_they_were() {
    let bench = Bench::new();
    let home = bench.part("home", "home");
    let missing = bench.root.path().join("missing");
    let parts = Parts {
        system: Some(&missing),
        ..Parts::fs(&home)
    };
    assert!(bench.store.commit(&meta(1), parts).is_err());
    assert_eq!(bench.store.files(&meta(1).id), None);
    assert_eq!(text(Some(home)).as_deref(), Some("home"));
}

#[test]
fn the_sweep_gives_back_the_parts_of_a_layer_that_was_never_committed() {
    let bench = Bench::new();
    let (home, agent) = (bench.part("home", "home"), bench.part("agent", "agent"));
    let origins = [("fs", &home), ("agent", &agent)];
    let record = Record {
        meta: meta(1),
        boot: boot_id().unwrap(),
        origins: origins
            .map(|(name, path)| (name.to_owned(), path.clone()))
            .to_vec(),
    };
    let directory = bench.store.directory(&meta(1).id);
    fs::create_dir(&directory).unwrap();
    durable::write_json(&directory.join(INTENT), &record).unwrap();
    fs::rename(&home, directory.join(FS)).unwrap();
    assert_eq!(bench.store.files(&meta(1).id), None);

    bench.store.sweep().unwrap();
    assert!(!directory.exists());
    assert_eq!(text(Some(home)).as_deref(), Some("home"));
    assert_eq!(text(Some(agent)).as_deref(), Some("agent"));
}

#[test]
fn the_sweep_removes_only_layers_that_do_not_exist() {
    let bench = Bench::new();
    let home = bench.part("home", "home");
    bench.store.commit(&meta(1), Parts::fs(&home)).unwrap();
    let orphan = bench.store.directory(&meta(2).id);
    fs::create_dir(&orphan).unwrap();
    bench.store.sweep().unwrap();
    assert!(!orphan.exists());
    assert!(bench.store.files(&meta(1).id).is_some());
}

#[test]
fn a_layer_that_was_not_on_the_disk_when_the_power_was_lost_is_no_layer() {
    let bench = Bench::new();
    for (number, settled) in [(1, true), (2, false)] {
        let directory = bench.store.directory(&meta(number).id);
        fs::create_dir_all(directory.join(FS)).unwrap();
        let record = Record {
            meta: meta(number),
            boot: "an earlier one".to_owned(),
            origins: Vec::new(),
        };
        durable::write_json(&directory.join(META), &record).unwrap();
        if settled {
            settle(&directory).unwrap();
        }
    }
    bench.store.sweep().unwrap();
    assert_eq!(bench.store.ids().unwrap(), [meta(1).id]);
}

#[test]
fn a_staged_layer_is_there_once_it_is_admitted_and_gone_if_it_never_is() {
    let bench = Bench::new();
    let staging = bench.store.stage().unwrap();
    fs::create_dir(staging.path().join(FS)).unwrap();
    bench.store.admit(&staging, &meta(1)).unwrap();
    drop(staging);
    assert!(bench.store.files(&meta(1).id).is_some());

    let path = bench.store.stage().unwrap().path().to_owned();
    assert!(!path.exists());
}
