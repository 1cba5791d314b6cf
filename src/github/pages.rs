//! Lists that come in pages, as far as they are read.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;

use super::{Github, GithubError};

/// With 100 entries on each, a thousand.
const MAX_PAGES: usize = 10;

pub struct Pages<'a> {
    github: &'a Github,
    token: &'a str,
    next: Option<String>,
    left: usize,
}

impl<'a> Pages<'a> {
    pub fn new(github: &'a Github, token: &'a str, path: String) -> Self {
        Self {
            github,
            token,
            next: Some(path),
            left: MAX_PAGES,
        }
    }

    /// `None` at the end, and after the last page that is read.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>, GithubError> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(path) = self.next.take() else {
            return Ok(None);
        };
        self.left -= 1;
        let (page, headers) = self
            .github
            .call_with_headers(Method::GET, &path, self.token, None::<&()>)
            .await?;
        self.next = next_path(&headers, self.github.api_url());
        Ok(Some(page))
    }
}

/// The path of `rel="next"` (RFC 8288), if it is at the API.
pub(super) fn next_path(headers: &HeaderMap, api_url: &str) -> Option<String> {
    let link = headers.get("link")?.to_str().ok()?;
    let next = link
        .split(',')
        .find(|entry| entry.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    Some(url.strip_prefix(api_url)?.to_owned()).filter(|path| path.starts_with('/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_followed_at_the_api_only() {
        let next = |link: &str| {
            let headers = [("link".parse().unwrap(), link.parse().unwrap())];
            next_path(&headers.into_iter().collect(), "https://api.github.com")
        };
        let link = "<https://api.github.com/app/hook/deliveries?cursor=v1_2>; rel=\"next\", \
                    <https://api.github.com/app/hook/deliveries?cursor=v1_9>; rel=\"last\"";
        assert_eq!(
            next(link).as_deref(),
            Some("/app/hook/deliveries?cursor=v1_2")
        );
        assert_eq!(next("<https://a.example/x>; rel=\"next\""), None);
        assert_eq!(
            next("<https://api.github.com.evil.example/x>; rel=\"next\""),
            None
        );
        assert_eq!(next(""), None);
        assert_eq!(next_path(&HeaderMap::new(), "https://api.github.com"), None);
    }
}
