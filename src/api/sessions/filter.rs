//! What a list of sessions is narrowed to, as a query says it.

use protocol::Millis;
use serde::Deserialize;

use crate::api::extract::Count;
use crate::database::session_list::{Filter, Standing};
use crate::error::Error;

/// Longest text that is looked for, and most words of it.
const MAX_QUERY: usize = 200;
const MAX_WORDS: usize = 10;

#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    mine: bool,
    /// Separated by commas.
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    query: String,
    cursor: Option<Count>,
}

impl TryFrom<ListQuery> for Filter {
    type Error = Error;

    fn try_from(query: ListQuery) -> Result<Self, Error> {
        if query.query.chars().count() > MAX_QUERY {
            let message = format!("look for at most {MAX_QUERY} characters");
            return Err(Error::invalid("malformed", message));
        }
        let words: Vec<String> = query
            .query
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        if words.len() > MAX_WORDS {
            let message = format!("look for at most {MAX_WORDS} words");
            return Err(Error::invalid("malformed", message));
        }
        let standings = match &query.state {
            Some(names) => names.split(',').map(standing).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            only_mine: query.mine,
            standings,
            words,
            cursor: query.cursor.map(|cursor| Millis(cursor.into())),
        })
    }
}

fn standing(name: &str) -> Result<Standing, Error> {
    serde_json::from_value(name.into()).map_err(|_| {
        let message = "states are warming, working, idle, failed, archived, needs_you and \
                       ready_for_review, separated by commas";
        Error::invalid("malformed", message)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn filter(state: Option<&str>, query: &str) -> Result<Filter, &'static str> {
        let query = ListQuery {
            state: state.map(str::to_owned),
            query: query.to_owned(),
            ..ListQuery::default()
        };
        Filter::try_from(query).map_err(|error| error.code())
    }

    #[test]
    fn a_query_is_read_as_states_and_words() {
        let read = filter(Some("needs_you,working"), "  Fix\tÜBER ").unwrap();
        assert_eq!(read.standings, [Standing::NeedsYou, Standing::Working]);
        assert_eq!(read.words, ["fix", "über"]);
        assert_eq!(filter(None, " ").unwrap(), Filter::default());
    }

    #[test]
    fn what_is_no_state_or_too_long_is_refused() {
        for state in ["", "Working", "working,", "working;idle", "\"idle\""] {
            assert_eq!(filter(Some(state), ""), Err("malformed"), "{state:?}");
        }
        assert!(filter(None, &"ü".repeat(MAX_QUERY)).is_ok());
        assert_eq!(filter(None, &"x".repeat(MAX_QUERY + 1)), Err("malformed"));
        assert!(filter(None, &"x ".repeat(MAX_WORDS)).is_ok());
        assert_eq!(filter(None, &"x ".repeat(MAX_WORDS + 1)), Err("malformed"));
    }
}
