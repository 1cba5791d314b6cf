//! HTTP bodies of figures.

use super::samples::*;
use crate::example::Unknown::PassedOver;
use crate::example::{Example, message};
use protocol::api::*;
use protocol::event::Source;

pub fn statistics() -> Vec<Example> {
    let totals = Totals {
        prompts: 12,
        microdollars: 3_400_000,
        opened: 4,
        merged: 3,
    };
    let day = DayFigures {
        day: "2026-11-30".to_owned(),
        opened: 4,
        merged: 3,
    };
    let of_repository = RepositoryFigures {
        repository: repository(),
        all_merged: 6,
        merged: 3,
        merged_share: 0.5,
        all_lines: 1000,
        lines: 250,
        line_share: Some(0.25),
    };
    let person = PersonFigures {
        id: alice().id,
        login: alice().login,
        totals,
    };
    let source = SourceFigures {
        source: Source::Web,
        totals,
    };
    vec![
        message(
            "statistics",
            PassedOver,
            Statistics {
                days: 7,
                repository: Some(repository()),
                merged: 3,
                opened: 4,
                merged_share: Some(0.75),
                trend: vec![day.clone()],
                median_first_response_ms: Some(600_000),
                median_merge_ms: Some(7_200_000),
                approval_share: Some(0.5),
                revisions: Some(1.5),
                microdollars_per_merged: Some(1_133_333),
                microdollars: 3_400_000,
                prompts: 12,
                people_prompting: 2,
                first_token_p50_ms: Some(700),
                first_token_p95_ms: Some(1900),
                repositories: vec![of_repository.clone()],
                people: vec![person.clone()],
                sources: vec![source.clone()],
            },
        ),
        message(
            "statistics-none",
            PassedOver,
            Statistics {
                days: 30,
                repository: None,
                merged: 0,
                opened: 0,
                merged_share: None,
                trend: Vec::new(),
                median_first_response_ms: None,
                median_merge_ms: None,
                approval_share: None,
                revisions: None,
                microdollars_per_merged: None,
                microdollars: 0,
                prompts: 0,
                people_prompting: 0,
                first_token_p50_ms: None,
                first_token_p95_ms: None,
                repositories: Vec::new(),
                people: Vec::new(),
                sources: Vec::new(),
            },
        ),
        message("day_figures", PassedOver, day),
        message("repository_figures", PassedOver, of_repository),
        message("person_figures", PassedOver, person),
        message("source_figures", PassedOver, source),
        message("totals", PassedOver, totals),
    ]
}
