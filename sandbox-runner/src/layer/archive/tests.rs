use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
use tar::{EntryType, Header};

use super::attributes::extended;
use super::*;

/// Everything that an archive keeps of each path.
fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut described = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            let content = if kind.is_dir() {
                directories.push(path.clone());
                "directory".to_owned()
            } else if kind.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if kind.is_file() {
                format!("{:?}", fs::read(&path).unwrap())
            } else {
                format!("{kind:?} {}", metadata.rdev())
            };
            let time = (metadata.rdev() != 0 || kind.is_file() || kind.is_dir())
                .then(|| (metadata.mtime(), metadata.mtime_nsec()));
            let links = kind.is_file().then(|| metadata.nlink());
            let attributes = extended(&path).unwrap();
            let mode = metadata.mode();
            described.insert(
                path.strip_prefix(root).unwrap().to_owned(),
                format!("{content} {mode:o} {time:?} {links:?} {attributes:?}"),
            );
        }
    }
    described
}

fn whiteout(path: &Path) {
    mknodat(
        CWD,
        path,
        FileType::CharacterDevice,
        Mode::empty(),
        makedev(0, 0),
    )
    .unwrap();
}

fn layer(root: &Path) {
    let home = root.join("fs");
    let deep = home.join("a".repeat(150)).join("b".repeat(150));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(root.join("agent")).unwrap();
    fs::write(root.join("agent/state"), "state").unwrap();
    fs::write(deep.join("line\nbreak \u{fc}"), vec![7; 300_000]).unwrap();
    fs::write(home.join(".wh.file"), "no whiteout").unwrap();
    fs::hard_link(home.join(".wh.file"), deep.join("linked")).unwrap();
    symlink("../../etc/passwd", home.join("symlink")).unwrap();
    symlink("x".repeat(300), deep.join("long")).unwrap();
    fs::create_dir(home.join("closed")).unwrap();
    fs::write(home.join("closed/file"), "").unwrap();
    fs::set_permissions(home.join("closed"), Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(home.join(".wh.file"), Permissions::from_mode(0o751)).unwrap();
    fs::create_dir(home.join("opaque")).unwrap();
    let flags = XattrFlags::empty();
    lsetxattr(home.join("opaque"), "user.overlay.opaque", b"y", flags).unwrap();
    lsetxattr(home.join(".wh.file"), "user.note", b"a=b\n", flags).unwrap();
    whiteout(&home.join("removed"));
    mknodat(
        CWD,
        home.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

fn packed(root: &Path) -> (Vec<u8>, Packed) {
    let mut archive = Vec::new();
    let packed = pack(root, &mut archive).unwrap();
    (archive, packed)
}

#[test]
fn a_layer_comes_out_of_its_archive_as_it_was() {
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    layer(from.path());
    let (archive, packed) = packed(from.path());
    assert_eq!(packed.size, archive.len() as u64);
    let content = unpack(
        archive.as_slice(),
        &packed.digest,
        into.path(),
        Limits::default(),
    );
    assert_eq!(content.unwrap(), packed.content);
    assert_eq!(describe(into.path()), describe(from.path()));
}

#[test]
fn what_came_out_of_an_archive_makes_the_same_archive() {
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    layer(from.path());
    let (archive, first) = packed(from.path());
    unpack(
        archive.as_slice(),
        &first.digest,
        into.path(),
        Limits::default(),
    )
    .unwrap();
    assert_eq!(packed(into.path()).1, first);
}

#[test]
fn what_the_overlay_notes_for_itself_is_not_part_of_a_layer() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("fs")).unwrap();
    let before = packed(root.path()).1;
    for name in [
        "user.overlay.impure",
        "user.overlay.origin",
        "user.overlay.redirect",
    ] {
        lsetxattr(root.path().join("fs"), name, b"y", XattrFlags::empty()).unwrap();
    }
    assert_eq!(packed(root.path()).1, before);
}

#[test]
fn what_no_archive_can_carry_is_named() {
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("fs").join(vec!["d"; MAX_DEPTH].join("/"));
    fs::create_dir_all(&deep).unwrap();
    let refused = pack(root.path(), io::sink());
    assert!(
        matches!(refused, Err(ArchiveError::Unsupported { .. })),
        "{refused:?}"
    );
}

/// One entry of a hostile archive.
struct Entry<'a> {
    kind: EntryType,
    path: &'a str,
    link: &'a str,
    content: &'a [u8],
    mode: u32,
    attributes: Vec<(&'a str, &'a [u8])>,
}

fn entry(kind: EntryType, path: &str) -> Entry<'_> {
    Entry {
        kind,
        path,
        link: "",
        content: b"",
        mode: 0o755,
        attributes: Vec::new(),
    }
}

fn directory(path: &str) -> Entry<'_> {
    entry(EntryType::Directory, path)
}

fn file<'a>(path: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry {
        content,
        ..entry(EntryType::Regular, path)
    }
}

fn link<'a>(kind: EntryType, path: &'a str, link: &'a str) -> Entry<'a> {
    Entry {
        link,
        ..entry(kind, path)
    }
}

fn archive(entries: Vec<Entry<'_>>) -> (Vec<u8>, Digest) {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        builder.append_pax_extensions(entry.attributes).unwrap();
        let mut header = Header::new_ustar();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_mtime(1);
        header.set_size(entry.content.len() as u64);
        header.set_device_major(0).unwrap();
        header
            .set_device_minor(if entry.kind == EntryType::Block { 1 } else { 0 })
            .unwrap();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_cksum();
        builder.append(&header, entry.content).unwrap();
    }
    compressed(&builder.into_inner().unwrap())
}

fn compressed(tar: &[u8]) -> (Vec<u8>, Digest) {
    let bytes = zstd::encode_all(tar, 1).unwrap();
    let digest = digest(&bytes);
    (bytes, digest)
}

fn digest(bytes: &[u8]) -> Digest {
    let mut measured = Measured::new(io::sink());
    measured.write_all(bytes).unwrap();
    measured.digest()
}

/// The result, and the names in the directory that holds the one that was unpacked into.
fn unpacked(
    (bytes, digest): &(Vec<u8>, Digest),
    limits: Limits,
) -> (Result<u64, ArchiveError>, usize) {
    let root = tempfile::tempdir().unwrap();
    let into = root.path().join("into");
    fs::create_dir(&into).unwrap();
    let result = unpack(bytes.as_slice(), digest, &into, limits);
    (result, fs::read_dir(root.path()).unwrap().count())
}

#[test]
fn nothing_that_a_layer_does_not_have_is_accepted() {
    let cases: Vec<(&str, Vec<Entry<'_>>)> = vec![
        ("an absolute path", vec![file("/fs/x", b"")]),
        ("a path upwards", vec![file("fs/../../x", b"")]),
        ("a path to itself", vec![directory("fs/./x")]),
        ("an empty component", vec![directory("fs/x/")]),
        ("a name of its own", vec![directory("meta.json")]),
        ("a part that is a file", vec![file("system", b"")]),
        (
            "a part that is a link",
            vec![link(EntryType::Symlink, "system", "/usr")],
        ),
        ("a file without its directory", vec![file("fs/no/x", b"")]),
        (
            "a file through a link",
            vec![
                link(EntryType::Symlink, "fs/a", "/tmp"),
                file("fs/a/x", b""),
            ],
        ),
        (
            "a file in a file",
            vec![file("fs/a", b""), file("fs/a/x", b"")],
        ),
        (
            "a name twice",
            vec![file("fs/a", b""), link(EntryType::Symlink, "fs/a", "b")],
        ),
        (
            "a file in place of a directory",
            vec![directory("fs/a"), file("fs/a", b"")],
        ),
        (
            "a directory again",
            vec![directory("fs/b"), directory("fs/a")],
        ),
        (
            "a hard link to the outside",
            vec![link(EntryType::Link, "fs/a", "../secret")],
        ),
        (
            "an absolute hard link",
            vec![link(EntryType::Link, "fs/a", "/etc/passwd")],
        ),
        (
            "a hard link through a link",
            vec![
                link(EntryType::Symlink, "fs/a", "/etc"),
                link(EntryType::Link, "fs/b", "fs/a/passwd"),
            ],
        ),
        (
            "a hard link to a directory",
            vec![directory("fs/a"), link(EntryType::Link, "fs/b", "fs/a")],
        ),
        (
            "a hard link to nothing",
            vec![link(EntryType::Link, "fs/b", "fs/c")],
        ),
        ("a block device", vec![entry(EntryType::Block, "fs/a")]),
        (
            "a contiguous file",
            vec![entry(EntryType::Continuous, "fs/a")],
        ),
        (
            "a GNU long name",
            vec![entry(EntryType::GNULongName, "fs/a")],
        ),
        (
            "a global header",
            vec![entry(EntryType::XGlobalHeader, "fs/a")],
        ),
        (
            "a GNU sparse file",
            vec![entry(EntryType::GNUSparse, "fs/a")],
        ),
        (
            "attributes of nothing",
            vec![entry(EntryType::XHeader, "fs/a")],
        ),
        (
            "a size from elsewhere",
            vec![Entry {
                attributes: vec![("size", b"1000000")],
                ..file("fs/a", b"")
            }],
        ),
        (
            "an attribute of the system",
            vec![Entry {
                attributes: vec![("SCHILY.xattr.security.capability", b"x")],
                ..file("fs/a", b"")
            }],
        ),
        (
            "an overlay redirect",
            vec![Entry {
                attributes: vec![("SCHILY.xattr.user.overlay.redirect", b"/etc")],
                ..directory("fs/a")
            }],
        ),
        (
            "a zero in a name",
            vec![Entry {
                attributes: vec![("path", b"fs/a\0b")],
                ..file("fs/a", b"")
            }],
        ),
    ];
    for (name, entries) in cases {
        let entries = [directory("fs")].into_iter().chain(entries).collect();
        let (result, around) = unpacked(&archive(entries), Limits::default());
        assert!(
            matches!(result, Err(ArchiveError::Refused { .. })),
            "{name}: {result:?}"
        );
        assert_eq!(around, 1, "{name}");
    }
    let (result, _) = unpacked(&archive(vec![directory("agent")]), Limits::default());
    assert!(
        matches!(result, Err(ArchiveError::Refused { .. })),
        "{result:?}"
    );
}

#[test]
fn a_device_other_than_a_whiteout_is_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, minor) in [
        (EntryType::Directory, "fs", 0),
        (EntryType::Char, "fs/null", 3),
    ] {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_mode(0o700);
        header.set_size(0);
        header.set_mtime(0);
        header.set_device_major(minor.min(1)).unwrap();
        header.set_device_minor(minor).unwrap();
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }
    let archive = compressed(&builder.into_inner().unwrap());
    let (result, _) = unpacked(&archive, Limits::default());
    assert!(
        matches!(result, Err(ArchiveError::Refused { .. })),
        "{result:?}"
    );
}

#[test]
fn no_set_user_id_bit_arrives() {
    let root = tempfile::tempdir().unwrap();
    let entries = vec![
        directory("fs"),
        Entry {
            mode: 0o6755,
            ..file("fs/a", b"")
        },
    ];
    let (bytes, digest) = archive(entries);
    unpack(bytes.as_slice(), &digest, root.path(), Limits::default()).unwrap();
    let mode = fs::metadata(root.path().join("fs/a")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn an_archive_that_holds_more_than_it_may_is_refused() {
    let small = Limits {
        content: 10,
        entries: 2,
    };
    let too_long = archive(vec![directory("fs"), file("fs/a", b"01234567890")]);
    let too_many = archive(vec![directory("fs"), file("fs/a", b""), file("fs/b", b"")]);
    for archive in [too_long, too_many] {
        let (result, _) = unpacked(&archive, small);
        assert!(
            matches!(result, Err(ArchiveError::TooLarge(_))),
            "{result:?}"
        );
    }
    let bomb = vec![0; 4 << 20];
    let huge = archive(vec![
        directory("fs"),
        Entry {
            content: &bomb,
            ..entry(EntryType::XHeader, "fs/a")
        },
    ]);
    let (result, _) = unpacked(&huge, small);
    assert!(
        matches!(result, Err(ArchiveError::Refused { .. })),
        "{result:?}"
    );
}

#[test]
fn a_damaged_archive_is_never_taken_for_whole() {
    let root = tempfile::tempdir().unwrap();
    layer(root.path());
    let (bytes, packed) = packed(root.path());
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let short = bytes[..bytes.len() - 1].to_vec();
    let half = bytes[..bytes.len() / 2].to_vec();
    let longer = [bytes.as_slice(), b"x"].concat();
    // A second frame is decoded like the first, and must not go unnoticed.
    let twice = [bytes.as_slice(), bytes.as_slice()].concat();
    for damaged in [flipped, short, half, longer, twice, Vec::new()] {
        let (result, _) = unpacked(&(damaged, packed.digest.clone()), Limits::default());
        assert!(result.is_err());
    }
    let (result, _) = unpacked(&(bytes, digest(b"another")), Limits::default());
    assert!(
        matches!(result, Err(ArchiveError::OtherDigest { .. })),
        "{result:?}"
    );
}

#[test]
fn a_digest_has_one_form() {
    let valid = digest(b"").to_string();
    assert_eq!(
        valid,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert!(Digest::parse(&valid).is_ok());
    for text in [&valid.to_uppercase(), &valid[1..], "../x", ""] {
        assert_eq!(Digest::parse(text), Err(InvalidDigest));
    }
}
