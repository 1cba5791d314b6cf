//! Who the App is: the name by which people call it.

use std::cell::RefCell;

use reqwest::Method;
use serde::Deserialize;

use super::{Github, GithubError};

#[derive(Debug, Clone, Deserialize)]
pub struct App {
    /// People write `@slug`; its own user is `slug[bot]`.
    pub slug: String,
}

thread_local! {
    /// It changes about never, and every comment of every repository asks for it.
    static KNOWN: RefCell<Option<(String, App)>> = const { RefCell::new(None) };
}

impl Github {
    pub async fn app(&self) -> Result<App, GithubError> {
        let place = format!("{}/{}", self.api_url(), self.config.app_id);
        let known = KNOWN.with_borrow(|known| {
            let known = known.as_ref().filter(|(at, _)| *at == place);
            known.map(|(_, app)| app.clone())
        });
        if let Some(app) = known {
            return Ok(app);
        }
        let jwt = self.jwt().await?;
        let app: App = self.call(Method::GET, "/app", &jwt, None::<&()>).await?;
        KNOWN.set(Some((place, app.clone())));
        Ok(app)
    }

    /// Where the App is installed on more repositories.
    pub fn install_url(&self, slug: &str) -> String {
        format!("{}/apps/{slug}/installations/new", self.config.url)
    }
}
