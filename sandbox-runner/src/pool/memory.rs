//! How much memory the machine has left.

use std::fs;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) available: u64,
    pub(super) total: u64,
}

/// `None` where the kernel does not say: the pool is bounded by its room alone then.
pub(super) fn read() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(Memory {
        available: bytes("MemAvailable:")?,
        total: bytes("MemTotal:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:  24000 kB\nMemFree:  1 kB\nMemAvailable:   12000 kB\n";
        let memory = Memory {
            available: 12_000 << 10,
            total: 24_000 << 10,
        };
        assert_eq!(parse(text), Some(memory));
        assert_eq!(parse("MemTotal: many"), None);
    }
}
