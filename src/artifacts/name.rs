//! What a file may be called: a name that is safe in a header, a page and a shell's argument.

/// Most bytes of a name; the beginning and the extension are kept.
const LONGEST: usize = 120;
const LONGEST_EXTENSION: usize = 16;

/// The last part of a path, without what could mean something to a terminal or a file system.
pub fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|letter| !is_hidden(*letter)).collect();
    let trimmed = shown.trim().trim_start_matches('.').trim();
    if trimmed.is_empty() {
        return "file".to_owned();
    }
    if trimmed.len() <= LONGEST {
        return trimmed.to_owned();
    }
    let extension = trimmed
        .rsplit_once('.')
        .map(|(_, extension)| extension)
        .filter(|extension| extension.len() <= LONGEST_EXTENSION);
    match extension {
        Some(extension) => format!("{}.{extension}", cut(trimmed, LONGEST - LONGEST_EXTENSION)),
        None => cut(trimmed, LONGEST).to_owned(),
    }
}

/// The value of a `Content-Disposition` (RFC 6266): what old readers take, then the name itself.
pub fn disposition(kind: &str, name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|letter| match letter {
            '"' | '\\' | '%' => '_',
            ' '..='~' => letter,
            _ => '_',
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Controls, and characters that turn the direction of what follows.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at_checked(end).map_or(text, |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_path() {
        assert_eq!(safe("../../etc/passwd"), "passwd");
        assert_eq!(safe("C:\\Users\\a\\shot.png"), "shot.png");
        assert_eq!(safe("..."), "file");
        assert_eq!(safe(".bashrc"), "bashrc");
        assert_eq!(safe(" a\r\nb\u{202e}gnp.exe "), "abgnp.exe");
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = safe(&format!("{}.tar.gz", "ä".repeat(200)));
        assert!(name.len() <= LONGEST && name.ends_with(".gz"), "{name}");
    }

    #[test]
    fn a_disposition_cannot_be_left() {
        assert_eq!(
            disposition("attachment", "a\"b;ü.png"),
            "attachment; filename=\"a_b;_.png\"; filename*=UTF-8''a%22b%3B%C3%BC.png"
        );
    }
}
