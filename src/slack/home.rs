//! The app's home in Slack, and sessions as cards.

pub mod tab;

use protocol::api::{ModelChoice, SessionState, SessionSummary};
use protocol::event::Person;
use serde_json::Value;

use super::blocks::{MAX_OPTIONS, Said, labelled, link_button, select_menu};
use super::message::escape;
use super::wishes::key;
use crate::database::preferences::Preferences;

/// Most sessions that the home shows.
const MAX_SESSIONS: usize = 15;

/// What can be chosen, and what is.
pub struct Choices<'a> {
    pub models: Vec<ModelChoice>,
    pub preferences: Preferences,
    /// What came of the last choice.
    pub notice: &'a str,
}

/// The home of somebody who is known.
pub fn home(
    person: &Person,
    choices: &Choices<'_>,
    sessions: &[SessionSummary],
    public_url: &str,
) -> Said {
    let login = escape(&person.login);
    let said = Said::line(&format!(
        "You work here as *{login}* on GitHub. `/agent unlink` takes that back."
    ));
    let said = chosen(said, choices);
    let said = match sessions {
        [] => said.section("You have no sessions yet: mention me in a channel, or write to me."),
        sessions => said.section(&format!("*Your sessions*\n{}", list(sessions, public_url))),
    };
    let url = format!("{public_url}/");
    said.actions(vec![link_button("open", "Open in the browser", &url)])
}

/// The home of somebody who is not: the invitation to say who they are.
pub fn welcome(invitation: Said) -> Said {
    invitation.context("Then your sessions are shown here, and what they start with can be chosen.")
}

/// What sessions from Slack start with.
fn chosen(said: Said, choices: &Choices<'_>) -> Said {
    let own = choices.models.first();
    let own = own.map_or(String::new(), |own| format!("As here: {}", own.label));
    let mut options: Vec<Value> = labelled(&own, tab::NO_MODEL).into_iter().collect();
    let all = choices.models.iter();
    options.extend(all.filter_map(|choice| labelled(&choice.label, &key(&choice.model))));
    options.truncate(MAX_OPTIONS);
    let preferred = choices.preferences.model.as_deref();
    let is_preferred = |option: &&Value| option["value"].as_str() == preferred;
    let initial = options.iter().find(is_preferred).or(options.first());
    let menu = select_menu(tab::MODEL, "Model", &options, initial);
    let branch = choices.preferences.branch.as_deref();
    said.section("*Your sessions start with* this model, unless you name another:")
        .actions(vec![menu])
        .input(
            tab::BRANCH,
            "On this branch, where there is one of that name (Enter sets it)",
            branch.unwrap_or_default(),
        )
        .context(choices.notice)
}

fn list(sessions: &[SessionSummary], public_url: &str) -> String {
    let lines = sessions.iter().take(MAX_SESSIONS).map(|session| {
        let title = match session.title.as_str() {
            "" => "Untitled".to_owned(),
            title => escape(title).replace('|', "/"),
        };
        let repository = escape(&session.repository.to_string());
        let state = state(session.state);
        format!(
            "• <{public_url}/sessions/{}|{title}> · {repository} · {state}",
            session.id
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A session where its address was posted.
pub fn card(session: &SessionSummary) -> Said {
    let title = match session.title.as_str() {
        "" => "A session".to_owned(),
        title => escape(title),
    };
    let repository = escape(&session.repository.to_string());
    let pulls: Vec<String> = session
        .pull_requests
        .iter()
        .map(|pull| format!("<{}|#{}>", escape(&pull.url), pull.number))
        .collect();
    let mut about = format!("{repository} · {}", state(session.state));
    if !pulls.is_empty() {
        about.push_str(&format!(" · {}", pulls.join(", ")));
    }
    Said::line(&format!("*{title}*")).context(&about)
}

fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Warming | SessionState::Idle => "idle",
        SessionState::Working => "working",
        SessionState::Failed => "failed",
        SessionState::Archived => "archived",
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use protocol::UserId;
    use protocol::command::{Model, Provider};

    use super::*;

    fn shown(preferences: Preferences) -> String {
        let choice = |name: &str| ModelChoice {
            model: Model {
                provider: Provider::Openai,
                name: name.to_owned(),
            },
            label: name.to_uppercase(),
        };
        let choices = Choices {
            models: vec![choice("a"), choice("b")],
            preferences,
            notice: "",
        };
        let person = Person {
            id: UserId(1),
            login: "ann".to_owned(),
            name: String::new(),
            avatar: String::new(),
        };
        let said = home(&person, &choices, &[], "https://agents.example.com");
        let menu = &said.blocks[2]["elements"][0];
        assert_eq!(menu["options"].as_array().map(Vec::len), Some(3));
        menu["initial_option"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn the_chosen_model_is_shown_while_it_is_there() {
        let of = |model: Option<&str>| Preferences {
            model: model.map(str::to_owned),
            branch: None,
        };
        assert_eq!(shown(of(None)), tab::NO_MODEL);
        assert_eq!(shown(of(Some("openai/b"))), "openai/b");
        assert_eq!(shown(of(Some("openai/gone"))), tab::NO_MODEL);
    }
}
