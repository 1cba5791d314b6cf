//! Resource limits: what one process may use, whether or not there is a control group.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{ConfinementError, ProcessCount};
use crate::sandbox::limits::Limits;

/// The kernel's own default. Keys in locked pages need kilobytes; the pages count as memory anyway.
const LOCKED_BYTES: u64 = 8 << 20;

pub(super) fn limit(limits: &Limits, processes: ProcessCount) -> Result<(), ConfinementError> {
    lower(Resource::Nofile, "open files", limits.open_files)?;
    lower(Resource::Fsize, "file size", limits.file_bytes)?;
    // A core dump is a file nobody asked for, and on the host a program may be named to take it.
    lower(Resource::Core, "core size", 0)?;
    lower(Resource::Memlock, "locked memory", LOCKED_BYTES)?;
    // Realtime scheduling would take the processor from the machine, not from the sandbox.
    lower(Resource::Rtprio, "realtime priority", 0)?;
    lower(Resource::Nice, "nice value", 0)?;
    match processes {
        ProcessCount::ControlGroup => Ok(()),
        ProcessCount::ResourceLimit => {
            lower(Resource::Nproc, "processes", u64::from(limits.processes))
        }
    }
}

/// A limit that is lower already stays: to raise it takes the host's root.
fn lower(resource: Resource, name: &'static str, wanted: u64) -> Result<(), ConfinementError> {
    let value = getrlimit(resource)
        .maximum
        .map_or(wanted, |maximum| maximum.min(wanted));
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).map_err(|error| ConfinementError::ResourceLimit(name, error))
}
