//! The app's home in Slack, and sessions as cards.

use protocol::api::{SessionState, SessionSummary};
use protocol::event::Person;

use super::blocks::{Said, link_button};
use super::message::escape;

/// Most sessions that the home shows.
const MAX_SESSIONS: usize = 15;

/// What the home shows of somebody; `Err` is the invitation to say who they are.
pub fn home(person: Result<&Person, &Said>, sessions: &[SessionSummary], public_url: &str) -> Said {
    let person = match person {
        Ok(person) => person,
        Err(invitation) => return invitation.clone(),
    };
    let login = escape(&person.login);
    let said = Said::line(&format!("You work here as *{login}* on GitHub."));
    let said = match sessions {
        [] => said.section("You have no sessions yet: mention me in a channel, or write to me."),
        sessions => said.section(&format!("*Your sessions*\n{}", list(sessions, public_url))),
    };
    let url = format!("{public_url}/");
    said.actions(vec![link_button("open", "Open in the browser", &url)])
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
