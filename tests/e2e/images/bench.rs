//! A repository of a test's own, Alice, and the runner that the test plays.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::ImageId;
use protocol::api::{Image, ImageList, RequestedImage};
use protocol::command::BuildImage;
use protocol::event::Repository;
use protocol::image::{BuildStep, BuiltImage, ImageOutcome};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Sha256;
use support::client::{Client, ClientError};
use support::forge::ORGANIZATION;
use support::puppet::Puppet;
use support::stack::WEBHOOK_SECRET;
use tokio::process::Command;

use crate::stage::{ALICE, Failure, PlayedStack, write_source};
use crate::world::World;

pub struct Bench<'w> {
    pub stack: &'w PlayedStack,
    pub puppet: &'w Puppet,
    pub alice: Client,
    pub repository: Repository,
}

impl<'w> Bench<'w> {
    /// On the stack that tests share. Each test ends the builds that it begins, since a runner has
    /// only so many at a time.
    pub async fn new(world: &'w World, name: &str) -> Result<Self, Failure> {
        Self::on(world.played().await, name).await
    }

    pub async fn on(stack: &'w PlayedStack, name: &str) -> Result<Self, Failure> {
        let name = format!("images-{name}");
        let source = stack.stack.directory().join(format!("source-{name}"));
        write_source(&source);
        let forge = &stack.stack.forge;
        forge
            .create_repository(ORGANIZATION, &name, &source)
            .await?;
        Ok(Self {
            stack,
            puppet: &stack.puppet,
            alice: stack.client(ALICE).await?,
            repository: Repository::new(ORGANIZATION, &name)?,
        })
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/api/repositories/{}/{rest}", self.repository)
            .trim_end_matches('/')
            .to_owned()
    }

    pub async fn get<T: DeserializeOwned>(&self, rest: &str) -> Result<T, ClientError> {
        self.alice
            .send(Method::GET, &self.path(rest), None::<&()>)
            .await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        self.alice
            .send(Method::POST, &self.path(rest), Some(body))
            .await
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        self.alice
            .send(Method::PUT, &self.path(rest), Some(body))
            .await
    }

    /// Asks for an image. The runner says that it is there first: it may have been silent long.
    pub async fn request(&self, body: Value) -> Result<RequestedImage, Failure> {
        self.puppet.register().await?;
        Ok(self.post("images", &body).await?)
    }

    pub async fn images(&self) -> Result<Vec<Image>, Failure> {
        Ok(self.get::<ImageList>("images").await?.images)
    }

    /// The next command to build, which a registration brings along if nothing did before.
    pub async fn build(&self) -> Result<BuildImage, Failure> {
        self.puppet.register().await?;
        Ok(self.puppet.build_command(&self.repository).await?)
    }

    /// Ends a build whatever its log is.
    pub async fn finish(&self, image: &ImageId, outcome: ImageOutcome) -> Result<(), Failure> {
        self.puppet
            .report_image(image, 0, "", Some(outcome))
            .await?;
        Ok(())
    }

    /// Commits to a branch on the forge, as a person does; answers the new head.
    pub async fn push(&self, branch: &str) -> Result<String, Failure> {
        let (forge, name) = (&self.stack.stack.forge, self.repository.name());
        let token = forge
            .installation_token(ORGANIZATION, &[name], &[("contents", "write")])
            .await?;
        let at = self
            .stack
            .stack
            .directory()
            .join(format!("checkout-{name}"));
        std::fs::create_dir_all(&at)?;
        let url = forge.clone_url(ORGANIZATION, name);
        git(&at, &token, &["clone", "-q", "-b", branch, &url, "."]).await?;
        git(
            &at,
            &token,
            &["commit", "-q", "--allow-empty", "-m", "Change nothing"],
        )
        .await?;
        git(&at, &token, &["push", "-q", "origin", branch]).await?;
        git(&at, &token, &["rev-parse", "HEAD"]).await
    }
}

pub async fn git(at: &Path, token: &str, arguments: &[&str]) -> Result<String, Failure> {
    let basic = STANDARD.encode(format!("x-access-token:{token}"));
    let output = Command::new("git")
        .args([
            "-c",
            &format!("http.extraHeader=Authorization: Basic {basic}"),
        ])
        .args([
            "-c",
            "user.name=Alice",
            "-c",
            "user.email=alice@example.com",
        ])
        .args(arguments)
        .current_dir(at)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What GitHub signs a delivery with.
pub fn signature(body: &[u8]) -> String {
    signature_with(WEBHOOK_SECRET, body)
}

pub fn signature_with(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

pub fn ready(commit: &str) -> ImageOutcome {
    ImageOutcome::Ready(BuiltImage {
        commit: commit.to_owned(),
        fingerprint: format!("fingerprint of {commit}"),
        reason: "no image yet".to_owned(),
        runtime: [("python".to_owned(), "3.11.2".to_owned())].into(),
        steps: vec![BuildStep {
            name: "cargo test".to_owned(),
            success: true,
            ms: 12,
        }],
        bytes: 1234,
    })
}

pub fn failed(message: &str) -> ImageOutcome {
    ImageOutcome::Failed {
        message: message.to_owned(),
    }
}

pub fn refused_with<T: std::fmt::Debug>(
    answer: Result<T, ClientError>,
    status: u16,
    code: &str,
) -> String {
    match answer {
        Err(ClientError::Refused {
            status: got,
            code: given,
            message,
            ..
        }) => {
            assert_eq!((got.as_u16(), given.as_str()), (status, code), "{message}");
            message
        }
        other => panic!("{status} {code} was wanted, not {other:?}"),
    }
}
