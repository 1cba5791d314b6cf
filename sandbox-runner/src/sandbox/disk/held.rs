//! Counts what the processes of a sandbox hold and what has no name any more: it takes space on the
//! volume until the last of them lets go of it, and no walk over directories meets it.
//!
//! Looked at are the descriptors of each process, of a thread only where it does not share them, and
//! what is mapped. Not looked at is what waits in a socket for whoever receives it. Each file counts once.
//! A process may hold so many descriptors that a look would take long; it ends after [`LONGEST`], and
//! begins somewhere else the next time.
//!
//! Numbers of processes are used again, so each is opened first and counts if the group still lists
//! it then. What another process does with its descriptors meanwhile only changes what is counted.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstatfs, openat, stat, statat};

use super::Usage;
use crate::clock;
use crate::layer::descent;
use crate::sandbox::cgroup::{Cgroup, CgroupError};

const LONGEST: Duration = Duration::from_secs(1);
/// What `fstatfs` calls an overlay: the only one that a sandbox can write to is on the volume.
const OVERLAY: u64 = 0x794c_7630;

pub(super) fn measure(volume: &Path, group: &Cgroup) -> Result<Usage, CgroupError> {
    let processes = group.processes()?;
    let opened: Vec<_> = processes
        .into_iter()
        .filter_map(|pid| Some((pid, descent::directory(CWD, format!("/proc/{pid}")).ok()?)))
        .collect();
    let still: HashSet<i32> = group.processes()?.into_iter().collect();
    let mut held = Held {
        usage: Usage::default(),
        met: HashSet::new(),
        counted: BTreeMap::new(),
        until: Instant::now() + LONGEST,
    };
    if let Ok(about) = stat(volume) {
        held.counted.insert(about.st_dev, true);
    }
    let begin = somewhere(opened.len());
    for (pid, process) in opened.iter().cycle().skip(begin).take(opened.len()) {
        if still.contains(pid) {
            held.by(*pid, process);
        }
    }
    Ok(held.usage)
}

/// Where among so many a look begins, which nobody inside can tell.
fn somewhere(count: usize) -> usize {
    let [low, high, ..] = clock::random();
    let number = usize::from(u16::from_le_bytes([low, high]));
    number.checked_rem(count).unwrap_or(0)
}

struct Held {
    usage: Usage,
    met: HashSet<(u64, u64)>,
    /// Whether what is on a device takes space on the volume, as far as known.
    counted: BTreeMap<u64, bool>,
    until: Instant,
}

impl Held {
    fn by(&mut self, pid: i32, process: &OwnedFd) {
        let Ok(tasks) = descent::directory(process, "task") else {
            return;
        };
        let mut has_mapped = false;
        for task in names(&tasks) {
            if self.is_over() {
                return;
            }
            let Ok(tid) = task.parse::<i32>() else {
                continue;
            };
            // A leader that has ended has neither, while its other threads go on.
            if !has_mapped {
                has_mapped = self.mapped(tid, &tasks);
            }
            if tid == pid || !shares_descriptors(pid, tid) {
                self.descriptors(&tasks, tid);
            }
        }
    }

    fn descriptors(&mut self, tasks: &OwnedFd, tid: i32) {
        if let Ok(directory) = descent::directory(tasks, format!("{tid}/fd")) {
            for name in names(&directory) {
                if self.is_over() {
                    return;
                }
                self.file(&directory, &name);
            }
        }
    }

    /// Whether the thread has a memory whose mappings could be listed.
    fn mapped(&mut self, tid: i32, tasks: &OwnedFd) -> bool {
        // Among those of a thread there is no directory of mappings.
        let Ok(process) = descent::directory(CWD, format!("/proc/{tid}")) else {
            return false;
        };
        let Ok(maps) = descent::file(&process, "maps") else {
            return false;
        };
        // Then the number has been this thread's all the time.
        if statat(tasks, tid.to_string(), AtFlags::empty()).is_err() {
            return false;
        }
        let Ok(files) = descent::directory(&process, "map_files") else {
            return false;
        };
        let mut is_there = false;
        for line in BufReader::new(fs::File::from(maps)).split(b'\n') {
            let Ok(line) = line else {
                break;
            };
            is_there = true;
            if self.is_over() {
                break;
            }
            // Only a candidate: any file may be called that.
            if line.ends_with(b" (deleted)")
                && let Some(range) = line.split(|byte| *byte == b' ').next()
                && let Ok(range) = str::from_utf8(range)
            {
                self.file(&files, &unpadded(range));
            }
        }
        is_there
    }

    fn file(&mut self, directory: &OwnedFd, name: &str) {
        let Ok(about) = statat(directory, name, AtFlags::empty()) else {
            return;
        };
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        if is_file
            && about.st_nlink == 0
            && self.is_on_the_volume(about.st_dev, directory, name)
            && self.met.insert((about.st_dev, about.st_ino))
        {
            let bytes = u64::try_from(about.st_blocks).unwrap_or(0) * 512;
            self.usage = self.usage.plus(Usage { bytes, files: 1 });
        }
    }

    /// What is in memory is on other devices, and is counted as memory.
    fn is_on_the_volume(&mut self, device: u64, directory: &OwnedFd, name: &str) -> bool {
        if let Some(known) = self.counted.get(&device) {
            return *known;
        }
        // Opens nothing but the place, so nobody notices.
        let opened = openat(
            directory,
            name,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let Some(kind) = opened.ok().and_then(|file| fstatfs(file).ok()) else {
            return false;
        };
        let is_overlay = u64::try_from(kind.f_type).is_ok_and(|kind| kind == OVERLAY);
        self.counted.insert(device, is_overlay);
        is_overlay
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// `maps` fills up numbers of an address with zeros, and `map_files` does not.
fn unpadded(range: &str) -> String {
    let numbers = range.split('-').map(|number| {
        let short = number.trim_start_matches('0');
        if short.is_empty() { "0" } else { short }
    });
    numbers.collect::<Vec<_>>().join("-")
}

fn names(directory: impl AsFd) -> impl Iterator<Item = String> {
    let entries = Dir::read_from(directory).into_iter().flatten();
    entries
        .map_while(Result::ok)
        .filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where the kernel does not say, the thread's are looked at as well.
fn shares_descriptors(pid: i32, tid: i32) -> bool {
    const FILES: libc::c_int = 2;
    #[expect(unsafe_code, reason = "no library makes this call")]
    // SAFETY: it takes numbers alone and changes nothing.
    let compared = unsafe { libc::syscall(libc::SYS_kcmp, pid, tid, FILES, 0_usize, 0_usize) };
    compared == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_called_as_the_kernel_calls_its_file() {
        assert_eq!(unpadded("00400000-00a01000"), "400000-a01000");
        assert_eq!(unpadded("7f00-8000"), "7f00-8000");
    }
}
