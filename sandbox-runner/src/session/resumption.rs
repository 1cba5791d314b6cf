//! What an agent is told that goes on with a prompt which it, or one before it, was at work on.

use std::borrow::Cow;

use protocol::command::SendPrompt;

const INTERRUPTED: &str = "\
(The sandbox was lost while you were working on the prompt below, and this is another one. The work up \
to then is in the workspace, also what was not committed: look at it with git status, git diff and git \
log, go on from there, and do nothing twice. Programs that ran were ended.)";

/// A prompt as the agent is given it.
pub(super) fn text(prompt: &SendPrompt) -> Cow<'_, str> {
    if prompt.resumed {
        Cow::Owned(format!("{INTERRUPTED}\n\n{}", prompt.text))
    } else {
        Cow::Borrowed(&prompt.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_agent_is_told_of_an_interruption_and_of_nothing_else() {
        let mut prompt = fixture::prompt(1, "fix it");
        assert_eq!(text(&prompt), "fix it");
        prompt.resumed = true;
        assert!(text(&prompt).starts_with("(The sandbox was lost"));
        assert!(text(&prompt).ends_with("\n\nfix it"));
    }
}
