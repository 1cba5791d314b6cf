//! Asks a model which repository a message is about. Whatever goes wrong, somebody is asked instead.

use std::time::Duration;

use protocol::command::Provider;

use super::classification::answer::{self, Answer};
use super::classification::{Question, request};
use crate::config::slack::Classifier;
use crate::platform::http;

/// Somebody waits.
const DEADLINE: Duration = Duration::from_secs(8);

/// What the model says; `None` if it does not answer, or not as it has to.
pub async fn ask(classifier: &Classifier, question: &Question<'_>) -> Option<Answer> {
    let Classifier { url, key, model } = classifier;
    let client = reqwest::Client::new();
    let request = match model.provider {
        Provider::Anthropic => client
            .post(format!("{url}/v1/messages"))
            .header("x-api-key", key)
            .header("anthropic-version", "2023-06-01"),
        Provider::Openai => client
            .post(format!("{url}/chat/completions"))
            .bearer_auth(key),
    };
    let body = request::body(model.provider, &model.name, question);
    match http::send(request.json(&body), "the classifier's model", DEADLINE).await {
        Ok(found) if found.status == 200 => answer::parse(&found.body),
        Ok(found) => {
            worker::console_warn!("the classifier's model answered {}", found.status);
            None
        }
        Err(error) => {
            worker::console_warn!("the classifier's model could not be asked: {error}");
            None
        }
    }
}
