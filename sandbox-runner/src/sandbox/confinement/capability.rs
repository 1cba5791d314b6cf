//! From root of the namespace to a user who can never be root again.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::{AGENT_ID, ConfinementError};

pub(super) fn renounce() -> Result<(), ConfinementError> {
    empty_bounding_set()?;
    set_capabilities_secure_bits(locked()).map_err(ConfinementError::SecureBits)?;
    become_agent()?;
    clear_ambient_capability_set().map_err(ConfinementError::Capabilities)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(ConfinementError::Capabilities)
}

/// No program can give more than this set holds, whatever its file says.
fn empty_bounding_set() -> Result<(), ConfinementError> {
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // One more than this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(ConfinementError::BoundingSet(number, error)),
        }
    }
    Ok(())
}

/// User 0 gets nothing for being user 0, and capabilities are neither kept nor passed on.
fn locked() -> CapabilitiesSecureBits {
    CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED
}

fn become_agent() -> Result<(), ConfinementError> {
    match set_thread_groups(&[]) {
        Ok(()) => {}
        // Without the host's root a namespace cannot give up groups, or a file that is closed to a
        // group would open for whoever leaves it.
        Err(Errno::PERM) if groups_are_fixed() => {}
        Err(error) => return Err(ConfinementError::Groups(error)),
    }
    let (user, group) = (Uid::from_raw(AGENT_ID), Gid::from_raw(AGENT_ID));
    set_thread_res_gid(group, group, group).map_err(ConfinementError::Group)?;
    set_thread_res_uid(user, user, user).map_err(ConfinementError::User)
}

fn groups_are_fixed() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}
