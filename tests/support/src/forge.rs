//! The local forge: a GitHub on loopback, with real git behind it.
//!
//! `emulate` keeps users, pull requests and OAuth; bare repositories served by `git http-backend`
//! keep the commits; this module stands in front of both, on one origin that is `GITHUB_URL` and
//! `GITHUB_API_URL` alike. Where the emulator is more lenient than GitHub, the forge refuses as
//! GitHub does, so that a test against it means something.
//!
//! A forge lives as long as its value: it starts without repositories, and dropping it ends the
//! processes behind it. Only the App's key is kept in its directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::http::Method;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinHandle;

mod api;
mod app;
mod check;
mod emulator;
mod error;
mod git;
mod graphql;
mod history;
mod hook;
mod json;
mod listing;
mod mirror;
mod page;
mod people;
mod pull;
mod reference;
mod reply;
mod repository;
mod review;
mod sign_in;
mod site;
mod token;
mod transport;
mod visit;

pub use app::AppCredentials;
pub use emulator::EmulatorError;
pub use error::ForgeError;
pub use git::GitError;
pub use hook::WebhookTarget;
pub use mirror::MirrorError;
pub use people::{ORGANIZATION, PEOPLE, Person};
pub use pull::PullRequest;
pub use repository::Permission;
pub use token::UserToken;
pub use visit::VisitError;

use json::text;
use site::Site;
use token::TokenLedger;

#[derive(Debug, Clone)]
pub struct ForgeOptions {
    /// Everything that the forge writes goes here.
    pub state_dir: PathBuf,
    /// 0 chooses a free one.
    pub port: u16,
    /// The `emulate` package's program, for Node.
    pub emulate_bin: PathBuf,
    /// Node 22.15 or newer.
    pub node_bin: PathBuf,
    /// Where clients reach the forge, if not at its own address.
    pub public_url: Option<String>,
    /// Where the App's webhook leads to, if it has one.
    pub webhook: Option<WebhookTarget>,
}

impl ForgeOptions {
    /// A forge on a free port, of the tools that `EMULATE_BIN` and `NODE_BIN` name.
    pub fn from_environment(state_dir: PathBuf) -> Result<Self, ForgeError> {
        let tool = |variable| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .ok_or(ForgeError::Environment { variable })
        };
        Ok(Self {
            state_dir,
            port: 0,
            emulate_bin: tool("EMULATE_BIN")?,
            node_bin: tool("NODE_BIN")?,
            public_url: None,
            webhook: None,
        })
    }
}

/// A running forge.
#[derive(Debug)]
pub struct Forge {
    site: Arc<Site>,
    state_dir: PathBuf,
    server: JoinHandle<()>,
    deliveries: JoinHandle<()>,
    /// Ends with its value.
    _emulator: Child,
}

impl Forge {
    pub async fn start(options: ForgeOptions) -> Result<Self, ForgeError> {
        let root = options.state_dir.join("repositories");
        if root.exists() {
            // Nothing in the emulator's memory belongs to what an earlier forge left here.
            tokio::fs::remove_dir_all(&root)
                .await
                .map_err(write_error(&root))?;
        }
        tokio::fs::create_dir_all(&root)
            .await
            .map_err(write_error(&root))?;
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let listen_error = |source| ForgeError::Listen { address, source };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(listen_error)?;
        let port = listener.local_addr().map_err(listen_error)?.port();
        let url = options
            .public_url
            .unwrap_or_else(|| format!("http://127.0.0.1:{port}"));

        let mut app = app::create(&options.state_dir).await?;
        let (emulator, child) = emulator::start(&emulator::Launch {
            node: &options.node_bin,
            program: &options.emulate_bin,
            directory: &options.state_dir,
            public_url: &url,
            hook_base: &format!("http://127.0.0.1:{port}"),
            people: PEOPLE,
            app: &app,
        })
        .await?;
        app.bot_user_id = app::introduce(&emulator, &app, &options.state_dir).await?;
        let (hook, told) = hook::Hook::new(options.webhook, app.app_id);
        let site = Arc::new(Site {
            own_runs: check::OwnRuns::default(),
            hook,
            url,
            root,
            emulator,
            app,
            tokens: TokenLedger::default(),
            sign_ins: sign_in::SignIns::default(),
            repositories: repository::Repositories::default(),
        });
        let router = Router::new()
            .fallback(site::answer)
            .with_state(Arc::clone(&site));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the forge stopped serving");
            }
        });
        let deliveries = tokio::spawn(hook::run(Arc::clone(&site), told));
        Ok(Self {
            site,
            state_dir: options.state_dir,
            server,
            deliveries,
            _emulator: child,
        })
    }

    /// `GITHUB_URL` and `GITHUB_API_URL`.
    pub fn url(&self) -> &str {
        &self.site.url
    }

    /// What the Worker is configured with.
    pub fn app(&self) -> &AppCredentials {
        &self.site.app
    }

    /// A private repository: a copy of the history in `source`, or one commit of its files.
    ///
    /// The organization's members, or the user who owns it, may write.
    pub async fn create_repository(
        &self,
        owner: &str,
        name: &str,
        source: &Path,
    ) -> Result<(), ForgeError> {
        self.create(owner, name, source, true).await
    }

    /// The same, which everybody may read.
    pub async fn create_public_repository(
        &self,
        owner: &str,
        name: &str,
        source: &Path,
    ) -> Result<(), ForgeError> {
        self.create(owner, name, source, false).await
    }

    /// The bare repository on disk.
    pub fn bare_repository(&self, owner: &str, name: &str) -> PathBuf {
        self.site.root.join(owner).join(format!("{name}.git"))
    }

    /// The URL to clone from.
    pub fn clone_url(&self, owner: &str, name: &str) -> String {
        format!("{}/{owner}/{name}.git", self.site.url)
    }

    /// The commit at the tip of a branch.
    pub async fn branch(
        &self,
        owner: &str,
        name: &str,
        branch: &str,
    ) -> Result<Option<String>, ForgeError> {
        let repository = self.find(owner, name)?;
        repository.git.branch(branch).await.map_err(ForgeError::Git)
    }

    /// Gives a user access to a repository, or takes it away.
    pub async fn set_permission(
        &self,
        owner: &str,
        name: &str,
        login: &str,
        permission: Option<Permission>,
    ) -> Result<(), ForgeError> {
        let repository = self.find(owner, name)?;
        let token = self.site.emulator.acting(repository.administrator());
        let path = format!("{}/collaborators/{login}", repository.api_path());
        let (method, body) = match permission {
            Some(permission) => (Method::PUT, json!({"permission": permission.wire()})),
            None => (Method::DELETE, json!({})),
        };
        self.site
            .emulator
            .demand(method, &path, token, Some(&body))
            .await?;
        let mut collaborators = repository
            .collaborators
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match permission {
            Some(permission) => collaborators.insert(login.to_owned(), permission),
            None => collaborators.remove(login),
        };
        Ok(())
    }

    /// Tells a pull request from now on as if its branch were in `owner`'s fork: nobody can fork here.
    pub fn call_it_a_fork(
        &self,
        repository_owner: &str,
        name: &str,
        number: u64,
        owner: &str,
    ) -> Result<(), ForgeError> {
        let repository = self.find(repository_owner, name)?;
        let mut forks = repository
            .forks
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        forks.insert(number, owner.to_owned());
        Ok(())
    }

    /// Any call of the API as a user; answers what it answered.
    pub async fn act(
        &self,
        method: Method,
        path: &str,
        login: &str,
        body: &Value,
    ) -> Result<Value, ForgeError> {
        let token = self.sign_in(login).await?;
        Ok(visit::api(&self.site.url, method, path, &token.access_token, body).await?)
    }

    /// What is said of a commit by a check: conclusion and title.
    pub async fn check(
        &self,
        owner: &str,
        name: &str,
        commit: &str,
        check: &str,
    ) -> Result<Option<(String, String)>, ForgeError> {
        let repository = self.find(owner, name)?;
        let token = self.site.emulator.acting(repository.administrator());
        let path = format!("{}/commits/{commit}/check-runs", repository.api_path());
        let runs = self
            .site
            .emulator
            .demand(Method::GET, &path, token, None)
            .await?;
        let runs = runs.get("check_runs").and_then(Value::as_array).cloned();
        let found = runs.unwrap_or_default();
        let found = found.iter().find(|run| text(run, "/name") == check);
        Ok(found.map(|run| (text(run, "/conclusion"), text(run, "/output/title"))))
    }

    /// Goes through the sign-in page at `authorize_url` as a browser would, picks `login`, and
    /// answers where the page then sends the browser.
    pub async fn authorize(&self, authorize_url: &str, login: &str) -> Result<String, ForgeError> {
        Ok(visit::pick(authorize_url, login).await?)
    }

    /// A user's own token, by the whole web flow.
    pub async fn sign_in(&self, login: &str) -> Result<UserToken, ForgeError> {
        Ok(visit::sign_in(&self.site.url, &self.site.app, login).await?)
    }

    /// A token of the installation on `account`, for the named repositories and permissions.
    pub async fn installation_token(
        &self,
        account: &str,
        repositories: &[&str],
        permissions: &[(&str, &str)],
    ) -> Result<String, ForgeError> {
        let installation = people::ACCOUNTS_WITH_APP
            .iter()
            .find(|(name, _)| *name == account)
            .map_or(0, |(_, id)| *id);
        let permissions: Value = permissions
            .iter()
            .map(|(name, level)| ((*name).to_owned(), json!(level)))
            .collect();
        let body = json!({"repositories": repositories, "permissions": permissions});
        let path = format!("/app/installations/{installation}/access_tokens");
        let jwt = self.app_token().await?;
        let answer = visit::api(&self.site.url, Method::POST, &path, &jwt, &body).await?;
        Ok(text(&answer, "/token"))
    }

    /// A signed token of the App itself.
    pub async fn app_token(&self) -> Result<String, ForgeError> {
        app::jwt(&self.site.app, &self.state_dir).await
    }

    /// Lets every access token of a user run out; their refresh tokens stay good.
    pub fn expire_user_tokens(&self, login: &str) {
        self.site.tokens.expire_user(login);
    }

    /// While set, whoever clones a repository or fetches from it waits.
    pub fn hold_fetches(&self, owner: &str, name: &str, held: bool) -> Result<(), ForgeError> {
        self.find(owner, name)?.holds_fetches.send_replace(held);
        Ok(())
    }

    /// How many webhook deliveries did not arrive.
    pub fn undelivered(&self) -> usize {
        self.site.hook.undelivered()
    }

    /// Takes back every token of a user, as if they had revoked the App.
    pub fn revoke_user_tokens(&self, login: &str) {
        self.site.tokens.revoke_user(login);
    }

    async fn create(
        &self,
        owner: &str,
        name: &str,
        source: &Path,
        private: bool,
    ) -> Result<(), ForgeError> {
        if !repository::is_plain_name(owner) || !repository::is_plain_name(name) {
            return Err(ForgeError::Name {
                name: format!("{owner}/{name}"),
            });
        }
        let emulator = &self.site.emulator;
        let repository = repository::create(&self.site.root, owner, name, source, private).await?;
        let token = emulator.acting(repository.administrator());
        let path = if owner == ORGANIZATION {
            format!("/orgs/{owner}/repos")
        } else {
            "/user/repos".to_owned()
        };
        let body = json!({
            "name": name,
            "private": private,
            "auto_init": false,
            "allow_rebase_merge": false,
        });
        emulator
            .demand(Method::POST, &path, token, Some(&body))
            .await?;
        if repository.default_branch != "main" {
            let body = json!({"default_branch": repository.default_branch});
            let path = repository.api_path();
            emulator
                .demand(Method::PATCH, &path, token, Some(&body))
                .await?;
        }
        let repository = Arc::new(repository);
        let mut mirrored = repository.changes.lock().await;
        mirror::update(emulator, &repository, &mut mirrored, None).await?;
        drop(mirrored);
        self.site.repositories.add(Arc::clone(&repository));
        let members: Vec<_> = repository
            .collaborators
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .into_iter()
            .filter(|(login, _)| login != owner)
            .collect();
        for (login, permission) in members {
            self.set_permission(owner, name, &login, Some(permission))
                .await?;
        }
        Ok(())
    }

    fn find(&self, owner: &str, name: &str) -> Result<Arc<repository::Repository>, ForgeError> {
        self.site
            .repositories
            .find(owner, name)
            .ok_or_else(|| ForgeError::NoRepository {
                name: format!("{owner}/{name}"),
            })
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.server.abort();
        self.deliveries.abort();
    }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> ForgeError + '_ {
    move |source| ForgeError::Write {
        path: path.to_owned(),
        source,
    }
}
