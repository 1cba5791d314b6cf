//! What a push asks for: the part of git's `receive-pack` request before the pack.
//!
//! Source: git's pack-protocol(5) and gitprotocol-common(5), and `builtin/receive-pack.c` for what
//! git itself accepts. Read strictly: what git would read in another way than this is refused.

use protocol::branch::is_of_session;

/// Longest command section: one command and its capabilities fit many times.
pub(super) const LONGEST: usize = 64 * 1024;

/// Longest packet, by git's own limit.
const LONGEST_PACKET: usize = 65_520;

const FLUSH: &[u8] = b"0000";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) commands: Vec<Command>,
    pub(super) capabilities: Vec<String>,
    /// Bytes up to the pack.
    pub(super) length: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) deletes: bool,
    pub(super) reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a push that git makes")]
pub(super) struct Malformed;

/// Reads the commands; `None` as long as they are not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Commands>, Malformed> {
    let mut parsed = Commands {
        commands: Vec::new(),
        capabilities: Vec::new(),
        length: 0,
    };
    let mut rest = bytes;
    while let Some((digits, following)) = rest.split_first_chunk::<4>() {
        parsed.length += 4;
        if digits == FLUSH {
            return Ok(Some(parsed));
        }
        let length = packet_length(*digits)?;
        let Some((line, following)) = following.split_at_checked(length) else {
            break;
        };
        parsed.length += length;
        rest = following;
        parsed.line(line)?;
    }
    if bytes.len() > LONGEST {
        Err(Malformed)
    } else {
        Ok(None)
    }
}

impl Commands {
    fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        let (command, capabilities) = match line.split_once('\0') {
            Some((command, capabilities)) if self.commands.is_empty() => (command, capabilities),
            Some(_) => return Err(Malformed),
            None => (line, ""),
        };
        self.capabilities
            .extend(capabilities.split_ascii_whitespace().map(str::to_owned));
        if command.strip_prefix("shallow ").is_some_and(is_object) {
            return Ok(());
        }
        let (old, rest) = command.split_once(' ').ok_or(Malformed)?;
        let (new, reference) = rest.split_once(' ').ok_or(Malformed)?;
        let printable = |byte: u8| byte > b' ' && byte != 0x7f;
        if !is_object(old) || !is_object(new) || !reference.bytes().all(printable) {
            return Err(Malformed);
        }
        let deletes = new.bytes().all(|byte| byte == b'0');
        self.commands.push(Command {
            deletes,
            reference: reference.to_owned(),
        });
        Ok(())
    }

    /// Why each command is not allowed, if one is not; only `branch` and those named after it may
    /// change.
    pub(super) fn refusals(&self, branch: &str) -> Option<Vec<(&str, String)>> {
        let is_own = |reference: &str| {
            reference
                .strip_prefix("refs/heads/")
                .is_some_and(|name| is_of_session(branch, name))
        };
        let reason = |command: &Command| {
            if !is_own(&command.reference) {
                Some(format!(
                    "only {branch} and {branch}-<topic> may be pushed from this sandbox"
                ))
            } else if command.deletes {
                Some("branches may not be deleted from this sandbox".to_owned())
            } else {
                None
            }
        };
        let reasons: Vec<_> = self.commands.iter().map(reason).collect();
        reasons.iter().any(Option::is_some).then(|| {
            let together = || "refused with the others".to_owned();
            let reasons = reasons
                .into_iter()
                .map(|reason| reason.unwrap_or_else(together));
            self.commands
                .iter()
                .map(|one| one.reference.as_str())
                .zip(reasons)
                .collect()
        })
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one == capability)
    }
}

/// The answer that git shows to its user, if this client understands one.
pub(super) fn refusal(commands: &Commands, refusals: &[(&str, String)]) -> Option<Vec<u8>> {
    if !commands.has("report-status") && !commands.has("report-status-v2") {
        return None;
    }
    let mut report = packet(b"unpack ok\n");
    for (reference, reason) in refusals {
        report.extend(packet(format!("ng {reference} {reason}\n").as_bytes()));
    }
    report.extend(FLUSH);
    if !commands.has("side-band-64k") && !commands.has("side-band") {
        return Some(report);
    }
    // The older side band has packets of at most 1000 bytes.
    let mut answer = Vec::new();
    for piece in report.chunks(900) {
        answer.extend(packet(&[&[1], piece].concat()));
    }
    answer.extend(FLUSH);
    Some(answer)
}

fn packet(content: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", content.len() + 4).into_bytes();
    packet.extend_from_slice(content);
    packet
}

/// Length of what follows the four digits.
fn packet_length(digits: [u8; 4]) -> Result<usize, Malformed> {
    // `from_str_radix` would take a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed);
    }
    let digits = std::str::from_utf8(&digits).map_err(|_| Malformed)?;
    let length = usize::from_str_radix(digits, 16).map_err(|_| Malformed)?;
    // Up to 4 there are only marks that end the commands in another way, and the empty packet.
    if (5..=LONGEST_PACKET).contains(&length) {
        Ok(length - 4)
    } else {
        Err(Malformed)
    }
}

fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    const NONE: &str = "0000000000000000000000000000000000000000";
    const BRANCH: &str = "agents/ses_1";
    const CAPABILITIES: &str = "report-status side-band-64k agent=git/2.39";

    fn request(commands: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (place, (new, reference)) in commands.iter().enumerate() {
            let capabilities = if place == 0 {
                format!("\0{CAPABILITIES}")
            } else {
                String::new()
            };
            bytes.extend(packet(
                format!("{OLD} {new} {reference}{capabilities}").as_bytes(),
            ));
        }
        bytes.extend(FLUSH);
        bytes
    }

    /// What git's own reader would take as the references, by the loop in `receive-pack.c`.
    fn references_by_git(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut rest = bytes;
        let mut references = Vec::new();
        loop {
            let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
            let length = usize::from_str_radix(digits, 16).ok()?;
            if length < 4 {
                return Some(references);
            }
            let line = rest.get(4..length)?;
            rest = rest.get(length..)?;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.split(|byte| *byte == 0).next()?;
            if line.starts_with(b"shallow ") {
                continue;
            }
            references.push(line.get(82..)?.to_vec());
        }
    }

    fn is_allowed(bytes: &[u8]) -> bool {
        parse(bytes).ok().flatten().is_some_and(|commands| {
            !commands.commands.is_empty() && commands.refusals(BRANCH).is_none()
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_changed_push_never_reaches_another_reference(
            commands in prop::collection::vec(
                (
                    prop_oneof![Just(NEW), Just(NONE)],
                    prop_oneof![
                        4 => Just(format!("refs/heads/{BRANCH}")),
                        2 => Just(format!("refs/heads/{BRANCH}-docs")),
                        1 => Just("refs/heads/main".to_owned()),
                        1 => "[a-z/ \0\n]{0,12}",
                    ],
                ),
                1..4,
            ),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let commands: Vec<_> =
                commands.iter().map(|(new, reference)| (*new, reference.as_str())).collect();
            let mut bytes = request(&commands);
            for (place, byte) in changes {
                *place.get_mut(&mut bytes) = byte;
            }
            if is_allowed(&bytes) {
                let only = format!("refs/heads/{BRANCH}").into_bytes();
                let beside = format!("refs/heads/{BRANCH}-").into_bytes();
                for reference in references_by_git(&bytes).unwrap() {
                    prop_assert!(reference == only || reference.starts_with(&beside));
                    let topic = reference.strip_prefix(&*beside);
                    let below = topic.is_some_and(|topic| topic.contains(&b'/'));
                    prop_assert!(topic != Some(b"") && !below);
                }
            }
        }

        #[test]
        fn the_verdict_waits_for_the_whole_command(cut: prop::sample::Index) {
            let bytes = request(&[(NEW, "refs/heads/main")]);
            let cut = cut.index(bytes.len());
            prop_assert_eq!(parse(bytes.get(..cut).unwrap()), Ok(None));
        }
    }

    #[test]
    fn a_push_to_the_work_branch_is_allowed() {
        let mut bytes = request(&[(NEW, "refs/heads/agents/ses_1")]);
        let length = bytes.len();
        bytes.extend(b"PACK");
        assert!(is_allowed(&bytes));
        assert_eq!(parse(&bytes).unwrap().unwrap().length, length);
    }

    #[test]
    fn branches_named_after_the_work_branch_are_the_sessions_too() {
        let work = "refs/heads/agents/ses_1";
        let topics = [(NEW, work), (NEW, "refs/heads/agents/ses_1-docs")];
        assert!(is_allowed(&request(&topics)));
    }

    #[test]
    fn every_other_push_is_refused() {
        let work = "refs/heads/agents/ses_1";
        for commands in [
            vec![(NEW, "refs/heads/main")],
            vec![(NONE, work)],
            vec![(NEW, work), (NEW, "refs/heads/main")],
            vec![(NEW, "refs/tags/agents/ses_1")],
            vec![(NEW, "agents/ses_1")],
            vec![(NEW, "refs/heads/agents/ses_1/more")],
            vec![(NEW, "refs/heads/agents/ses_1-")],
            vec![(NEW, "refs/heads/agents/ses_1-a/b")],
            vec![(NEW, "refs/heads/agents/ses_10")],
            vec![(NEW, "refs/heads/agents/ses_10-docs")],
            vec![(NEW, "refs/tags/agents/ses_1-docs")],
            vec![(NONE, "refs/heads/agents/ses_1-docs")],
            vec![
                (NEW, "refs/heads/agents/ses_1-docs"),
                (NEW, "refs/heads/main"),
            ],
        ] {
            assert!(!is_allowed(&request(&commands)), "{commands:?}");
        }
    }

    #[test]
    fn a_signed_push_is_refused_since_its_commands_are_inside_a_certificate() {
        let bytes = [packet(b"push-cert\0report-status\n"), FLUSH.to_vec()].concat();
        assert_eq!(parse(&bytes), Err(Malformed));
    }

    #[test]
    fn a_refusal_names_each_reference() {
        let bytes = request(&[(NEW, "refs/heads/main")]);
        let commands = parse(&bytes).unwrap().unwrap();
        let answer = refusal(&commands, &commands.refusals(BRANCH).unwrap()).unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains(
            "ng refs/heads/main only agents/ses_1 and agents/ses_1-<topic> may be pushed"
        ));
    }
}
