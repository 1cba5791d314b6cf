//! What the programs of a sandbox may ask of the kernel.
//!
//! [`Profile::apply`] turns the calling process into an ordinary user without any way to become
//! more: no capability in any set, no new privileges, resource limits, a Landlock domain over what
//! the mounts already deny, and last the system calls that development work needs. All of it is
//! inherited by every later process and none of it can be undone.
//!
//! The caller is the first process of a sandbox, has a single thread (the kernel keeps all of this
//! by thread) and every capability in its user namespace, and has done everything that needs one.

use ::landlock::RulesetError;
use rustix::io::Errno;
use rustix::thread::set_no_new_privs;
use seccompiler::BpfProgram;

use super::limits::Limits;

mod capability;
mod landlock;
mod resource;
mod system_call;

/// The user and the group that everything in a sandbox runs as, as seen inside.
pub const AGENT_ID: u32 = 1000;

/// What counts the processes of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessCount {
    /// Its control group.
    ControlGroup,
    /// Nothing else, so the user's resource limit has to. It is counted for the user in its user
    /// namespace, so sandboxes do not take from each other.
    ResourceLimit,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfinementError {
    #[error("failed to compile the system call filter")]
    Compile(#[source] seccompiler::BackendError),
    #[error("the system call filter cannot be built for this architecture")]
    Architecture,
    #[error("failed to set the resource limit {0}")]
    ResourceLimit(&'static str, #[source] Errno),
    #[error("failed to give up the capability {0} for good")]
    BoundingSet(u32, #[source] Errno),
    #[error("failed to lock what root means")]
    SecureBits(#[source] Errno),
    #[error("failed to give up the supplementary groups")]
    Groups(#[source] Errno),
    #[error("failed to become group {AGENT_ID}")]
    Group(#[source] Errno),
    #[error("failed to become user {AGENT_ID}")]
    User(#[source] Errno),
    #[error("failed to give up all capabilities")]
    Capabilities(#[source] Errno),
    #[error("failed to rule out new privileges")]
    NoNewPrivileges(#[source] Errno),
    #[error("failed to enter the Landlock domain")]
    Landlock(#[source] RulesetError),
    #[error("failed to install the system call filter")]
    Filter(#[source] seccompiler::Error),
}

/// The compiled filter; one serves all sandboxes.
#[derive(Debug, Clone)]
pub struct Profile {
    filter: BpfProgram,
}

impl Profile {
    pub fn compile() -> Result<Self, ConfinementError> {
        Ok(Self {
            filter: system_call::compile()?,
        })
    }

    /// Confines the calling process. After an error it is in between and has to end.
    ///
    /// The process cannot be debugged by others of its user until it executes a program, since the
    /// kernel says so of whoever changes their user; `/proc/self` belongs to root that long.
    pub fn apply(&self, limits: &Limits, processes: ProcessCount) -> Result<(), ConfinementError> {
        resource::limit(limits, processes)?;
        capability::renounce()?;
        set_no_new_privs(true).map_err(ConfinementError::NoNewPrivileges)?;
        landlock::enter().map_err(ConfinementError::Landlock)?;
        // Last: it allows none of the above.
        seccompiler::apply_filter(&self.filter).map_err(ConfinementError::Filter)
    }
}
