//! The front of the filter: finds the answer of a call by its number.
//!
//! The filter library compares a number with one call after the other, in 1700 instructions. The
//! kernel runs a filter for every number there is when it is installed, so that would be one
//! millisecond of each start. Allowed numbers lie side by side, and ranges are few.

use std::collections::BTreeSet;

use rustix::io::Errno;
use seccompiler::{BpfProgram, TargetArch, sock_filter};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    /// As a kernel that never had it.
    Absent,
    /// What the program after this one says.
    Ask,
}

/// The numbers from here to the next range.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    answer: Answer,
}

/// Answers by number; numbers above the newest are absent.
pub(super) struct Numbers {
    pub allowed: BTreeSet<u32>,
    pub absent: BTreeSet<u32>,
    pub newest: u32,
}

impl Numbers {
    fn answer(&self, number: u32) -> Answer {
        if self.allowed.contains(&number) {
            Answer::Allow
        } else if self.absent.contains(&number) || number > self.newest {
            Answer::Absent
        } else {
            Answer::Ask
        }
    }

    fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for start in 0..=self.newest.saturating_add(1) {
            let answer = self.answer(start);
            if ranges.last().is_none_or(|last| last.answer != answer) {
                ranges.push(Range { start, answer });
            }
        }
        ranges
    }
}

/// Puts the lookup in front of a program that is asked about the rest.
pub(super) fn prepend(numbers: &Numbers, architecture: TargetArch, rest: BpfProgram) -> BpfProgram {
    // The end of a range is the start of the next; the last one has none.
    let ranges = numbers.ranges();
    let ends = ranges.iter().skip(1).map(|range| Some(range.start));
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| range.answer)
        .zip(ends.chain([None]))
        .collect();

    // From the back, where the distance to the rest is known.
    let mut reversed = Vec::new();
    for (answer, end) in ranges.into_iter().rev() {
        reversed.push(match answer {
            Answer::Allow => sock(RETURN, 0, 0, RETURN_ALLOW),
            Answer::Absent => sock(RETURN, 0, 0, RETURN_ABSENT),
            Answer::Ask => sock(JUMP, 0, 0, distance(&reversed)),
        });
        if let Some(end) = end {
            reversed.push(sock(JUMP_IF_AT_LEAST, 1, 0, end));
        }
    }
    reversed.push(sock(LOAD_WORD, 0, 0, NUMBER_OFFSET));
    // The numbers of another architecture mean other calls; the rest kills whoever makes them.
    reversed.push(sock(JUMP, 0, 0, distance(&reversed)));
    reversed.push(sock(JUMP_IF_EQUAL, 1, 0, audit(architecture)));
    reversed.push(sock(LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET));
    reversed.into_iter().rev().chain(rest).collect()
}

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ABSENT: u32 = 0x0005_0000 | Errno::NOSYS.raw_os_error().unsigned_abs();
/// In `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

fn sock(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Over everything that is already there.
fn distance(program: &[sock_filter]) -> u32 {
    u32::try_from(program.len()).unwrap_or(u32::MAX)
}

/// The machine of an executable file, of 64 bits and with the low byte first.
fn audit(architecture: TargetArch) -> u32 {
    const LITTLE_64: u32 = 0xc000_0000;
    LITTLE_64
        | match architecture {
            TargetArch::x86_64 => 62,
            TargetArch::aarch64 => 183,
            TargetArch::riscv64 => 243,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        Numbers {
            allowed: BTreeSet::from([0, 1, 2, 5, 7, 8]),
            absent: BTreeSet::from([6]),
            newest: 9,
        }
    }

    /// Runs the part of the language that is used here.
    fn run(program: &[sock_filter], number: u32, architecture: u32) -> Option<u32> {
        let (mut at, mut word) = (0, 0);
        loop {
            let instruction = program.get(at)?;
            at += 1;
            match instruction.code {
                LOAD_WORD if instruction.k == NUMBER_OFFSET => word = number,
                LOAD_WORD => word = architecture,
                RETURN => return Some(instruction.k),
                JUMP => at += usize::try_from(instruction.k).ok()?,
                code => {
                    let holds = match code {
                        JUMP_IF_EQUAL => word == instruction.k,
                        _ => word >= instruction.k,
                    };
                    at += usize::from(if holds {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
            }
        }
    }

    #[test]
    fn each_number_has_its_own_answer() {
        const REST: u32 = 1;
        let rest = vec![sock(RETURN, 0, 0, REST)];
        let native = audit(TargetArch::x86_64);
        let program = prepend(&numbers(), TargetArch::x86_64, rest);
        for number in (0..20).chain([0x4000_0000, u32::MAX]) {
            let expected = match numbers().answer(number) {
                Answer::Allow => RETURN_ALLOW,
                Answer::Absent => RETURN_ABSENT,
                Answer::Ask => REST,
            };
            assert_eq!(run(&program, number, native), Some(expected), "{number}");
            // AUDIT_ARCH_I386
            assert_eq!(run(&program, number, 0x4000_0003), Some(REST), "{number}");
        }
    }

    #[test]
    fn neighbours_share_a_range() {
        let ranges = numbers().ranges();
        let starts: Vec<_> = ranges.iter().map(|range| range.start).collect();
        assert_eq!(starts, [0, 3, 5, 6, 7, 9, 10]);
    }
}
