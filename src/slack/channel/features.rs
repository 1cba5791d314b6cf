//! What a workspace has beyond messages. It is found out by trying, and remembered for a while: a
//! workspace that lacks something may get it, and an app that lacks a scope may be given it.

use super::Core;
use crate::error::Error;
use crate::platform::clock;
use crate::slack::client::SlackError;

/// How long it is remembered that there is no such thing here.
const REMEMBERED_MS: i64 = 6 * 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// Messages that grow, with cards of tasks.
    Streams,
    /// Sessions of agents, with a button that stops them.
    Sessions,
    /// The older line under a thread that says what an assistant does.
    Assistant,
    Files,
}

impl Feature {
    fn note(self) -> &'static str {
        match self {
            Self::Streams => "without:streams",
            Self::Sessions => "without:sessions",
            Self::Assistant => "without:assistant",
            Self::Files => "without:files",
        }
    }
}

impl Core {
    /// Whether it is worth a try.
    pub(super) fn may_have(&self, feature: Feature) -> bool {
        let known = self
            .store()
            .and_then(|store| Ok(store.note(feature.note())?));
        let until = known.ok().flatten().and_then(|until| until.parse().ok());
        until.is_none_or(|until: i64| until <= clock::now().0)
    }

    /// Notes what a refusal says of the workspace; what it says of one call alone is nothing to note.
    pub(super) fn lacks(&self, feature: Feature, error: &SlackError) {
        worker::console_warn!("Slack does not do this here: {error}");
        if !is_general(error.code()) {
            return;
        }
        let until = clock::now().plus(REMEMBERED_MS).0.to_string();
        let noted = self
            .store()
            .and_then(|store| Ok(store.set_note(feature.note(), &until)?));
        if let Err(error) = noted {
            // It is found out again.
            Error::log(&error);
        }
    }
}

/// Whether the same is to be expected of every call of the kind.
fn is_general(code: &str) -> bool {
    matches!(
        code,
        "unknown_method"
            | "method_deprecated"
            | "deprecated_endpoint"
            | "feature_not_enabled"
            | "not_enabled"
            | "missing_scope"
            | "no_permission"
            | "access_denied"
            | "not_allowed"
            | "not_allowed_token_type"
            | "team_access_not_granted"
            | "team_not_found"
            | "channel_type_not_supported"
            | "method_not_supported_for_channel_type"
            | "restricted_action"
            | "file_uploads_disabled"
            | "enterprise_is_restricted"
    )
}

#[cfg(test)]
mod tests {
    use super::is_general;

    #[test]
    fn what_is_wrong_with_one_message_says_nothing_of_the_workspace() {
        assert!(is_general("unknown_method") && is_general("missing_scope"));
        for other in ["message_not_found", "message_not_in_streaming_state", ""] {
            assert!(!is_general(other), "{other}");
        }
    }
}
