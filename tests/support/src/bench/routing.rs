//! How often a chat's message finds its repository, and how often somebody is asked.
//!
//! The stand-in for a model beside rules alone; with `CLASSIFIER_KEY` a real model as well.

use std::time::Duration;

use hosted_agents::slack::classification::answer::{self, Answer};
use hosted_agents::slack::classification::{Question, request};
use protocol::command::Provider;

use super::{Bar, BenchError, Measure, unexpected};
use crate::routing::{Messages, Score, scripted};

/// What the Worker waits.
const DEADLINE: Duration = Duration::from_secs(8);

pub async fn measure() -> Result<Vec<Measure>, BenchError> {
    let messages = Messages::read().map_err(unexpected)?;
    let rules = messages.score(async |_| None).await;
    let stand_in = messages.score(async |question| scripted(question)).await;
    let mut measures = pair(
        ["slack_routing_accuracy", "slack_routing_asked"],
        &stand_in,
        &rules,
    );
    if let Ok(key) = std::env::var("CLASSIFIER_KEY") {
        let model = RealModel::new(key)?;
        let real = messages.score(async |question| model.ask(question).await);
        measures.extend(pair(
            ["slack_routing_accuracy_real", "slack_routing_asked_real"],
            &real.await,
            &rules,
        ));
    }
    Ok(measures)
}

fn pair([accuracy, asked]: [&'static str; 2], score: &Score, rules: &Score) -> Vec<Measure> {
    for wrong in &score.wrong {
        println!("  wrong: {wrong}");
    }
    let measure = |name, value, baseline| Measure {
        name,
        value,
        unit: "%",
        baseline: Some(baseline),
        bar: Bar::None,
        runs: score.messages,
    };
    vec![
        measure(accuracy, score.accuracy(), rules.accuracy()),
        measure(asked, score.asked(), rules.asked()),
    ]
}

/// As the Worker asks it, by the same variables.
struct RealModel {
    client: reqwest::Client,
    provider: Provider,
    name: String,
    url: String,
    key: String,
}

impl RealModel {
    fn new(key: String) -> Result<Self, BenchError> {
        let model = std::env::var("CLASSIFIER_MODEL")
            .unwrap_or_else(|_| "anthropic/claude-haiku-4-5".to_owned());
        let (provider, name) = model
            .split_once('/')
            .ok_or_else(|| unexpected("CLASSIFIER_MODEL is provider/model"))?;
        let (provider, url) = match provider {
            "anthropic" => (Provider::Anthropic, "https://api.anthropic.com"),
            "openai" => (Provider::Openai, "https://api.openai.com/v1"),
            _ => return Err(unexpected("CLASSIFIER_MODEL is anthropic/… or openai/…")),
        };
        let client = reqwest::Client::builder().timeout(DEADLINE).build();
        Ok(Self {
            client: client.map_err(unexpected)?,
            provider,
            name: name.to_owned(),
            url: std::env::var("CLASSIFIER_URL").unwrap_or_else(|_| url.to_owned()),
            key,
        })
    }

    async fn ask(&self, question: &Question<'_>) -> Option<Answer> {
        let request = match self.provider {
            Provider::Anthropic => self
                .client
                .post(format!("{}/v1/messages", self.url))
                .header("x-api-key", &self.key)
                .header("anthropic-version", "2023-06-01"),
            Provider::Openai => self
                .client
                .post(format!("{}/chat/completions", self.url))
                .bearer_auth(&self.key),
        };
        let body = request::body(self.provider, &self.name, question);
        let response = request.json(&body).send().await.ok()?;
        answer::parse(&response.error_for_status().ok()?.bytes().await.ok()?)
    }
}
