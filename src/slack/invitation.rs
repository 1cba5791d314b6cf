//! The private message by which somebody is asked to say who they are at GitHub.

use worker::Env;

use super::blocks::{Said, link_button};
use super::client::Profile;
use super::identity::{INVITATION_MS, Invitation};
use super::message::escape;
use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::platform::{clock, random};

/// Whom an invitation is for.
pub struct Guest<'a> {
    pub team: &'a str,
    pub user: &'a str,
    /// What Slack says of them, if it does.
    pub profile: Option<&'a Profile>,
}

/// Invites somebody. Whose their address is at GitHub is said, so that they sign in as the right
/// one, and nothing follows from it.
pub async fn invite(env: &Env, guest: &Guest<'_>) -> Result<Said, Error> {
    let email = guest.profile.and_then(|profile| profile.email.as_deref());
    let likely = match email {
        Some(email) => database::slack::known_by(&Database::new(env)?, email).await?,
        None => None,
    };
    let name = guest.profile.map_or(guest.user, |profile| &profile.name);
    let invitation = Invitation {
        team: guest.team.to_owned(),
        user: guest.user.to_owned(),
        name: name.to_owned(),
        nonce: random::token()?,
        expires_at: clock::now().plus(INVITATION_MS),
    };
    let url = format!(
        "{}/slack/link?invitation={}",
        config::public_url(env)?,
        invitation.seal(&config::encryption_keys(env)?)?
    );
    Ok(said(likely.as_deref(), &url))
}

fn said(likely: Option<&str>, url: &str) -> Said {
    let hint = likely.map_or(String::new(), |login| {
        format!("Are you *@{}* there? ", escape(login))
    });
    let text = format!(
        "I work in your name, so I have to know who you are on GitHub. {hint}Sign in to link, and I \
         go on with what you asked."
    );
    Said::line(&text).actions(vec![link_button("link", "Sign in with GitHub", url)])
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn whose_an_address_is_is_asked_and_not_said() {
        let url = "https://agents.example.com/slack/link?invitation=x";
        assert!(
            said(Some("octocat"), url)
                .text
                .contains("Are you *@octocat* there? Sign in")
        );
        assert!(!said(None, url).text.contains("Are you"));
    }
}
