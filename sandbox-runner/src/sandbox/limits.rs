//! How much of the machine one sandbox may use.
//!
//! The control group enforces what it can; resource limits are set in every case, since they also
//! hold where no group can be made. What is written is counted by [`super::disk`].

use serde::{Deserialize, Serialize};

const GIB: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Of all processes together, with what the kernel holds for them.
    pub memory_bytes: u64,
    /// Processor time; 100 is one core.
    pub cpu_percent: u32,
    /// Processes and threads.
    pub processes: u32,
    /// Descriptors of one process.
    pub open_files: u64,
    /// Size of one file.
    pub file_bytes: u64,
    /// What the sandbox may write in total.
    pub disk_bytes: u64,
    /// How many files, directories and links the sandbox may write.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // An agent server takes 0.4 GiB; linking a large crate or bundling a web app 1 to 3.
            memory_bytes: 4 * GIB,
            // A build gets faster by a second core, and less by each further one.
            cpu_percent: 200,
            // A parallel build with a browser test has some hundred threads; a fork bomb has more.
            processes: 1024,
            // File watchers and bundlers hold ten thousands; select() is not used by what does.
            open_files: 65_536,
            // Larger than any build product, smaller than the disk.
            file_bytes: 16 * GIB,
            // A dependency tree with its build directory takes up to 10.
            disk_bytes: 20 * GIB,
            // A large dependency tree has some hundred thousand.
            files: 2_000_000,
        }
    }
}
