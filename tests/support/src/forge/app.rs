//! The GitHub App that the forge knows: its credentials, and what its owner does with them.

use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::ForgeError;
use super::emulator::Emulator;
use super::json::{number, text};
use super::people::{ACCOUNTS_WITH_APP, ORGANIZATION};
use super::repository::administrator_of;
use crate::random;

pub(super) const APP_ID: u64 = 4_021;
pub(super) const SLUG: &str = "hosted-agents";
pub(super) const NAME: &str = "Hosted Agents";
/// Where users come back to after signing in; any port on loopback, as GitHub has it.
pub(super) const CALLBACK_PATH: &str = "/auth/github/callback";

/// Everything that the owner of a GitHub App holds.
#[derive(Clone)]
pub struct AppCredentials {
    pub app_id: u64,
    pub slug: String,
    pub name: String,
    pub client_id: String,
    pub client_secret: String,
    /// PKCS#1, as GitHub hands it out.
    pub private_key_pem: String,
    pub webhook_secret: String,
    /// Login and id of the App's own user, for the committer's e-mail address.
    pub bot_login: String,
    pub bot_user_id: u64,
}

impl std::fmt::Debug for AppCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AppCredentials")
            .field("app_id", &self.app_id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}

/// New credentials; the key is kept in `directory`, the secrets are fresh with every start.
pub(super) async fn create(directory: &Path) -> Result<AppCredentials, ForgeError> {
    let path = directory.join("app-key.pem");
    let private_key_pem = match tokio::fs::read_to_string(&path).await {
        Ok(pem) => pem,
        Err(_) => generate_key(&path).await?,
    };
    Ok(AppCredentials {
        app_id: APP_ID,
        slug: SLUG.to_owned(),
        name: NAME.to_owned(),
        client_id: format!("Iv23li{}", random::token(14)?),
        client_secret: random::token(40)?,
        private_key_pem,
        webhook_secret: random::token(40)?,
        bot_login: format!("{SLUG}[bot]"),
        bot_user_id: 0,
    })
}

/// A token of the App itself, valid for nine minutes.
pub(super) async fn jwt(app: &AppCredentials, directory: &Path) -> Result<String, ForgeError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let claims = json!({
        "iat": now.saturating_sub(60),
        "exp": now + 540,
        "iss": app.app_id.to_string(),
    });
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = directory.join("app-key.pem");
    let signature = openssl(
        &["dgst", "-sha256", "-sign", &key.to_string_lossy()],
        message.as_bytes(),
    )
    .await?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The emulator makes the App's own user when the App first acts; its id is wanted before.
pub(super) async fn introduce(
    emulator: &Emulator,
    app: &AppCredentials,
    directory: &Path,
) -> Result<u64, ForgeError> {
    const PLACE: &str = "first-steps";
    let acting = emulator.acting(administrator_of(ORGANIZATION));
    let installation = ACCOUNTS_WITH_APP.first().map_or(0, |(_, id)| *id);
    let place = json!({"name": PLACE, "private": true});
    let path = format!("/orgs/{ORGANIZATION}/repos");
    emulator
        .demand(Method::POST, &path, acting, Some(&place))
        .await?;
    let jwt = jwt(app, directory).await?;
    let path = format!("/app/installations/{installation}/access_tokens");
    let token = emulator
        .demand(Method::POST, &path, &jwt, Some(&json!({})))
        .await?;
    let place = format!("/repos/{ORGANIZATION}/{PLACE}");
    let label = json!({"name": "hello", "color": "ffffff"});
    emulator
        .demand(
            Method::POST,
            &format!("{place}/labels"),
            &text(&token, "/token"),
            Some(&label),
        )
        .await?;
    emulator
        .demand(Method::DELETE, &place, acting, None)
        .await?;
    let path = format!(
        "/users/{}",
        app.bot_login.replace('[', "%5B").replace(']', "%5D")
    );
    let bot = emulator.demand(Method::GET, &path, acting, None).await?;
    Ok(number(&bot, "/id"))
}

async fn generate_key(path: &Path) -> Result<String, ForgeError> {
    let pem = openssl(&["genrsa", "-traditional", "2048"], b"").await?;
    let pem = String::from_utf8_lossy(&pem).into_owned();
    tokio::fs::write(path, &pem)
        .await
        .map_err(|source| ForgeError::Write {
            path: path.to_owned(),
            source,
        })?;
    Ok(pem)
}

async fn openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, ForgeError> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(ForgeError::OpensslStart)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A key generator reads nothing and may be gone before this is written.
        let _ = stdin.write_all(input).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(ForgeError::OpensslStart)?;
    if !output.status.success() {
        return Err(ForgeError::Openssl {
            command: arguments.join(" "),
        });
    }
    Ok(output.stdout)
}
