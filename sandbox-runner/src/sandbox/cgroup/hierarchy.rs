//! Which hierarchies are mounted, and where this process is in the unified one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// Of v1, by the names of their controllers; a hierarchy with several is there several times.
    pub separate: BTreeMap<String, PathBuf>,
    pub unified: Option<Unified>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unified {
    pub mount: PathBuf,
    /// The group of this process, if it is below the mount.
    pub own: Option<PathBuf>,
}

impl Mounts {
    /// What cannot be read is taken as not there.
    pub fn read() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::parse(&mounts, &groups)
    }

    fn parse(mounts: &str, groups: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let Some(mount) = Mount::parse(line) else {
                continue;
            };
            match mount.kind {
                "cgroup" => {
                    for controller in mount.options.split(',') {
                        // Later mounts may hide earlier ones or show the same again; the first
                        // one is where everybody else's groups are.
                        found
                            .separate
                            .entry(controller.to_owned())
                            .or_insert_with(|| mount.point.clone());
                    }
                }
                "cgroup2" if found.unified.is_none() => {
                    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
                    let own = own.and_then(|own| below(own, mount.root));
                    found.unified = Some(Unified {
                        own: own.map(|own| join(&mount.point, own)),
                        mount: mount.point,
                    });
                }
                _ => {}
            }
        }
        found
    }
}

struct Mount<'a> {
    root: &'a str,
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `36 35 98:0 /root /point rw,noatime master:1 - kind source options`
    fn parse(line: &'a str) -> Option<Self> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut system = system.split(' ');
        let (kind, _source, options) = (system.next()?, system.next()?, system.next()?);
        // A blank in a path is written as an escape; nobody mounts control groups there.
        (!point.contains('\\')).then(|| Self {
            root,
            point: PathBuf::from(point),
            kind,
            options,
        })
    }
}

/// The rest of a path below another.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a Path> {
    let rest = Path::new(path).strip_prefix(root).ok()?;
    // Above the root of a namespace, it is written as `/..`.
    (!rest.starts_with("..")).then_some(rest)
}

fn join(point: &Path, rest: &Path) -> PathBuf {
    match rest.as_os_str().is_empty() {
        true => point.to_owned(),
        false => point.join(rest),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs cgroup_root rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hierarchy_is_found_by_each_of_its_controllers() {
        let mounts = Mounts::parse(HYBRID, "4:memory:/a/b\n0::/\n");
        let at = |name: &str| mounts.separate.get(name).unwrap().to_str().unwrap();
        assert_eq!(at("cpu"), "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(at("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(at("memory"), "/sys/fs/cgroup/memory");
        assert!(!mounts.separate.contains_key("pids"));
    }

    #[test]
    fn the_own_group_is_where_the_kernel_says() {
        let own = |mounts: &str, groups: &str| Mounts::parse(mounts, groups).unified.unwrap().own;
        let unified = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(
            own(unified, "0::/system.slice/runner.service\n"),
            Some(PathBuf::from("/sys/fs/cgroup/system.slice/runner.service"))
        );
        assert_eq!(own(unified, "0::/\n"), Some("/sys/fs/cgroup".into()));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_mount() {
        let mounts = "30 23 0:26 /docker/c1 /sys/fs/cgroup rw - cgroup2 cgroup rw";
        let unified = Mounts::parse(mounts, "0::/docker/c1/runner\n")
            .unified
            .unwrap();
        assert_eq!(unified.own, Some("/sys/fs/cgroup/runner".into()));
        let unified = Mounts::parse(mounts, "0::/docker/c2\n").unified.unwrap();
        assert_eq!(unified.own, None);
    }
}
