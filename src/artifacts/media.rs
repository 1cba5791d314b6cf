//! What a file is. Its own first bytes decide, since browsers believe what they are told: only what
//! begins like a picture is called one, and only a picture is shown in place.

use protocol::api::PICTURES;

pub const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain";

/// How much of a file is looked at.
pub const BEGINNING: usize = 512;

/// The longest type that is believed.
const LONGEST: usize = 100;

/// The media type of a file that begins with `beginning`, whatever its sender says; `declared` counts
/// where the bytes say nothing.
pub fn media_type(declared: Option<&str>, beginning: &[u8]) -> String {
    // Text is told from other text by nobody but its sender.
    let found =
        infer::get(beginning).filter(|kind| kind.matcher_type() != infer::MatcherType::Text);
    if let Some(kind) = found {
        return kind.mime_type().to_owned();
    }
    let declared = declared.and_then(essence);
    match declared {
        Some(declared) if !PICTURES.contains(&declared.as_str()) && declared != UNKNOWN => declared,
        _ if is_text(beginning) => TEXT.to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// Whether a browser may show it in place.
pub fn is_picture(media_type: &str) -> bool {
    PICTURES.contains(&media_type)
}

/// `type/subtype` in lower case, without parameters.
fn essence(declared: &str) -> Option<String> {
    let essence = declared.split(';').next()?.trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (kind, subtype) = essence.split_once('/')?;
    (essence.len() <= LONGEST && is_token(kind) && is_token(subtype)).then_some(essence)
}

fn is_text(beginning: &[u8]) -> bool {
    let cut = |error: std::str::Utf8Error| error.error_len().is_none();
    !beginning.contains(&0) && std::str::from_utf8(beginning).map_or_else(cut, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_picture_is_what_begins_like_one() {
        assert_eq!(media_type(None, PNG), "image/png");
        assert_eq!(media_type(Some("text/html"), PNG), "image/png");
        assert_eq!(
            media_type(None, b"\xff\xd8\xff\xe0\0\x10JFIF"),
            "image/jpeg"
        );
        assert_eq!(media_type(None, b"GIF89a\x01\0\x01\0"), "image/gif");
        assert_eq!(media_type(None, b"RIFF\x24\0\0\0WEBPVP8 "), "image/webp");
    }

    #[test]
    fn what_only_says_that_it_is_a_picture_is_none() {
        for claimed in PICTURES {
            let found = media_type(Some(claimed), b"<script>alert(1)</script>");
            assert_eq!(found, TEXT);
            assert!(!is_picture(&found));
        }
    }

    #[test]
    fn pages_and_drawings_are_no_pictures() {
        let page = media_type(Some("text/html; charset=utf-8"), b"<!doctype html>");
        assert_eq!(page, "text/html");
        let drawing = media_type(Some("image/svg+xml"), b"<svg xmlns='x'>");
        assert!(!is_picture(&page) && !is_picture(&drawing));
    }

    #[test]
    fn what_says_nothing_is_text_or_unknown() {
        assert_eq!(media_type(None, b"a,b\n1,2\n"), TEXT);
        assert_eq!(media_type(Some("text/csv"), b"a,b\n1,2\n"), "text/csv");
        assert_eq!(media_type(Some(UNKNOWN), "größer".as_bytes()), TEXT);
        assert_eq!(media_type(None, b"\0\x01\x02"), UNKNOWN);
        assert_eq!(media_type(Some("not a type\r\nx: y"), b"\0\x01"), UNKNOWN);
    }

    #[test]
    fn documents_and_archives_are_known() {
        assert_eq!(
            media_type(Some("text/plain"), b"%PDF-1.7\n"),
            "application/pdf"
        );
        assert_eq!(media_type(None, b"PK\x03\x04\x14\0\0\0"), "application/zip");
    }

    #[test]
    fn a_character_that_is_cut_at_the_end_is_still_text() {
        let bytes = "ä".repeat(300).into_bytes();
        let (beginning, _) = bytes.split_at(511);
        assert_eq!(media_type(None, beginning), TEXT);
    }
}
