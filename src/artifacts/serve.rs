//! A file as an answer. Nothing that a browser could run is ever shown in place: whatever is no picture
//! is saved, and either way the answer is a sandbox of its own without a script, a frame or a request.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use worker::Range;

use super::{Artifacts, Key, media, media_type_of, name, name_of};
use crate::api::into_axum;
use crate::error::Error;

/// From where a file may be embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Our own pages.
    Own,
    /// Whoever was given the link.
    Anybody,
}

/// Answers a `GET`, also of a part of the file.
pub async fn serve(
    artifacts: &Artifacts,
    key: &Key,
    range: Option<&HeaderValue>,
    audience: Audience,
) -> Result<Response, Error> {
    const MISSING: Error = Error::NotFound("artifact");
    let wanted = match range.and_then(|range| range.to_str().ok()) {
        Some(range) => {
            let size = artifacts.head(key).await?.ok_or(MISSING)?.size();
            wanted_part(range, size)
        }
        None => None,
    };
    let part = wanted.map(|(first, last)| Range::OffsetWithLength {
        offset: first,
        length: last - first + 1,
    });
    let object = artifacts.get(key, part).await?.ok_or(MISSING)?;
    let (media_type, name, size) = (media_type_of(&object), name_of(&object)?, object.size());
    let kind = match media::is_picture(&media_type) {
        true => "inline",
        false => "attachment",
    };
    let body = object.body().ok_or(MISSING)?.response_body()?;
    let mut response = into_axum(worker::Response::from_body(body)?)?;
    let (resource_policy, cache) = match audience {
        Audience::Own => ("same-origin", "private, max-age=3600"),
        Audience::Anybody => ("cross-origin", "no-store"),
    };
    let text = |text: String| {
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(media::UNKNOWN))
    };
    let fixed = HeaderValue::from_static;
    let mut headers = vec![
        (header::CONTENT_TYPE, text(media_type)),
        (
            header::CONTENT_DISPOSITION,
            text(name::disposition(kind, &name)),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            fixed("sandbox; default-src 'none'; frame-ancestors 'none'"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            fixed(resource_policy),
        ),
        (header::CACHE_CONTROL, fixed(cache)),
        (header::ACCEPT_RANGES, fixed("bytes")),
    ];
    if let Some((first, last)) = wanted {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        headers.push((
            header::CONTENT_RANGE,
            text(format!("bytes {first}-{last}/{size}")),
        ));
    }
    for (name, value) in headers {
        // The platform has set some of its own.
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// First and last byte of the one part that is wanted. What cannot be read or had is passed over, as
/// RFC 9110, 14.2 allows: the whole file is an answer, too.
fn wanted_part(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = size.checked_sub(1)?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), end),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(end)),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_given_and_anything_else_is_the_whole() {
        assert_eq!(wanted_part("bytes=0-9", 100), Some((0, 9)));
        assert_eq!(wanted_part("bytes=90-", 100), Some((90, 99)));
        assert_eq!(wanted_part("bytes=-10", 100), Some((90, 99)));
        assert_eq!(wanted_part("bytes=-1000", 100), Some((0, 99)));
        assert_eq!(wanted_part("bytes=50-1000", 100), Some((50, 99)));
        for whole in [
            "bytes=100-",
            "bytes=9-1",
            "bytes=-0",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=a-",
        ] {
            assert_eq!(wanted_part(whole, 100), None, "{whole}");
        }
        assert_eq!(wanted_part("bytes=0-", 0), None);
    }
}
