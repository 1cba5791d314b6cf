//! What `git diff-tree --raw --numstat -z` prints: first every file with its modes and objects, then
//! every file with its lines, in the same order.

use protocol::api::Change;

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) previous: Option<String>,
    pub(super) change: Change,
    pub(super) additions: Option<u32>,
    pub(super) deletions: Option<u32>,
    /// The objects on both sides.
    pub(super) before: String,
    pub(super) after: String,
    /// How many patches git prints for it.
    pub(super) sections: usize,
}

impl Entry {
    pub(super) fn is_binary(&self) -> bool {
        self.additions.is_none()
    }
}

/// Reads as far as it understands.
pub(super) fn parse(output: &[u8]) -> Vec<Entry> {
    let mut fields = output.split(|byte| *byte == 0);
    let (mut entries, mut counted) = (Vec::new(), 0);
    while let Some(field) = fields.next() {
        if let Some(raw) = field.strip_prefix(b":") {
            match entry(raw, &mut fields) {
                Some(entry) => entries.push(entry),
                None => break,
            }
            continue;
        }
        let mut columns = field.splitn(3, |byte| *byte == b'\t');
        let (Some(additions), Some(deletions), Some(path)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if path.is_empty() {
            // A rename's two names follow.
            fields.next();
            fields.next();
        }
        if let Some(entry) = entries.get_mut(counted) {
            (entry.additions, entry.deletions) = (count(additions), count(deletions));
        }
        counted += 1;
    }
    entries
}

/// `100644 100644 <object> <object> M`, and the names that follow.
fn entry<'a>(raw: &[u8], fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Entry> {
    let raw = std::str::from_utf8(raw).ok()?;
    let mut columns = raw.split(' ').skip(2);
    let (before, after, status) = (columns.next()?, columns.next()?, columns.next()?);
    let first = name(fields.next()?);
    let letter = status.chars().next()?;
    let (path, previous, change) = match letter {
        'R' => (name(fields.next()?), Some(first), Change::Renamed),
        'C' => (name(fields.next()?), None, Change::Added),
        'A' => (first, None, Change::Added),
        'D' => (first, None, Change::Deleted),
        _ => (first, None, Change::Modified),
    };
    Some(Entry {
        path,
        previous,
        change,
        additions: None,
        deletions: None,
        before: before.to_owned(),
        after: after.to_owned(),
        // A file that became a link, or the other way round, is deleted and added.
        sections: if letter == 'T' { 2 } else { 1 },
    })
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dash stands for a binary file.
fn count(column: &[u8]) -> Option<u32> {
    std::str::from_utf8(column).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_are_read_whole() {
        let output = b":100644 100644 aa bb M\0a\tb\nc\0:100644 100644 cc dd R090\0old\0:new\0\
            :000000 100644 00 ee A\0\xff.bin\0:100644 120000 11 22 T\0link\0\
            2\t1\ta\tb\nc\x00\x30\t4\t\0old\0:new\0-\t-\t\xff.bin\x001\t1\tlink\0";
        let read = parse(output);
        let seen: Vec<_> = read
            .iter()
            .map(|entry| {
                let counts = (entry.additions, entry.deletions);
                (entry.path.as_str(), entry.change, counts, entry.sections)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("a\tb\nc", Change::Modified, (Some(2), Some(1)), 1),
                (":new", Change::Renamed, (Some(0), Some(4)), 1),
                ("\u{fffd}.bin", Change::Added, (None, None), 1),
                ("link", Change::Modified, (Some(1), Some(1)), 2),
            ]
        );
        assert_eq!(
            read.get(1).and_then(|entry| entry.previous.as_deref()),
            Some("old")
        );
    }

    #[test]
    fn output_cut_in_the_middle_loses_only_its_end() {
        let read = parse(b":100644 100644 aa bb M\0one\0:100644 100644 cc");
        assert_eq!(read.len(), 1);
        assert_eq!(parse(b""), []);
    }
}
