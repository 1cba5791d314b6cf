//! What `git diff --numstat -z` prints.

use protocol::event::FileChange;

/// Most files of one push that are listed: beyond that a list helps nobody.
const MAX_FILES: usize = 1000;

/// Reads what it understands and passes over the rest: a diff that looks odd is no reason to lose
/// a push.
pub(super) fn parse(output: &[u8]) -> Vec<FileChange> {
    let mut fields = output.split(|byte| *byte == 0);
    let mut files = Vec::new();
    while files.len() < MAX_FILES {
        let Some(field) = fields.next() else { break };
        let mut columns = field.splitn(3, |byte| *byte == b'\t');
        let (Some(additions), Some(deletions), Some(path)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        // A rename leaves the path empty, and its old and new names follow.
        let path = if path.is_empty() {
            fields.next();
            fields.next().unwrap_or_default()
        } else {
            path
        };
        files.push(FileChange {
            path: String::from_utf8_lossy(path).into_owned(),
            additions: count(additions),
            deletions: count(deletions),
        });
    }
    files
}

/// A dash stands for a binary file.
fn count(column: &[u8]) -> Option<u32> {
    std::str::from_utf8(column).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, additions: Option<u32>, deletions: Option<u32>) -> FileChange {
        FileChange {
            path: path.into(),
            additions,
            deletions,
        }
    }

    #[test]
    fn text_binary_and_renamed_files_are_read() {
        let output = b"3\t1\tsrc/lib.rs\0-\t-\tlogo.png\0\x30\t2\t\0old name.rs\0new\tname.rs\0";
        assert_eq!(
            parse(output),
            [
                change("src/lib.rs", Some(3), Some(1)),
                change("logo.png", None, None),
                change("new\tname.rs", Some(0), Some(2)),
            ]
        );
    }

    #[test]
    fn output_cut_in_the_middle_loses_only_its_end() {
        assert_eq!(parse(b"3\t1\ta\0\x34\t1"), [change("a", Some(3), Some(1))]);
        assert_eq!(parse(b""), []);
    }
}
