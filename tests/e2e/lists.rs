//! Lists: who hears in the lobby of which session, what is unread, what is found, what can be
//! chosen.

use std::time::Instant;

use protocol::SessionId;
use protocol::api::{
    BranchList, LobbyNotice, ModelList, SessionList, SessionState, SessionSummary,
};
use protocol::callback::{PromptResult, Report};
use protocol::command::{Model, Provider};
use reqwest::Method;
use serde_json::{Value, json};
use support::client::{Client, ClientError};
use support::forge::ORGANIZATION;
use support::lobby::Listener;

use crate::github::push;
use crate::images::bench::refused_with;
use crate::stage::{ALICE, BOB, CAROL, Failure, LIMIT, Outcome, Played, REPOSITORY, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_page_hears_of_sessions_that_its_person_reaches_and_of_no_others,
        of_a_burst_of_changes_the_last_one_is_told,
        a_page_hears_how_many_people_prompt,
        a_lobby_ticket_is_good_once_and_only_a_ping_is_taken,
        what_happened_since_somebody_looked_is_unread_for_them_alone,
        sessions_are_found_by_their_words_and_their_state,
        a_session_gets_another_title,
        branches_are_found_and_the_default_one_comes_first,
        a_session_starts_with_a_model_that_is_listed,
    );
}

/// Listens like a page, which asks for the list as well.
async fn page(client: &Client) -> Result<Listener, Failure> {
    let listener = client.listen().await?;
    listed(client, "").await?;
    Ok(listener)
}

async fn listed(client: &Client, query: &str) -> Result<Vec<SessionSummary>, ClientError> {
    let path = format!("/api/sessions?{query}");
    let list: SessionList = client.send(Method::GET, &path, None::<&()>).await?;
    Ok(list.sessions)
}

async fn titles(client: &Client, query: &str) -> Result<Vec<String>, ClientError> {
    let sessions = listed(client, query).await?;
    Ok(sessions.into_iter().map(|one| one.title).collect())
}

async fn rename(client: &Client, session: &SessionId, title: &str) -> Result<(), ClientError> {
    let path = format!("/api/sessions/{session}");
    let body = json!({ "title": title });
    client
        .send::<Value>(Method::PATCH, &path, Some(&body))
        .await?;
    Ok(())
}

async fn see(client: &Client, session: &SessionId) -> Result<(), ClientError> {
    let path = format!("/api/sessions/{session}/seen");
    client
        .send::<Value>(Method::PUT, &path, None::<&()>)
        .await?;
    Ok(())
}

/// A word that is in no other test's title.
fn word(session: &SessionId) -> String {
    format!("Wörd{}", session.as_str().replace('_', ""))
}

async fn a_page_hears_of_sessions_that_its_person_reaches_and_of_no_others(
    world: &World,
) -> Outcome {
    let stack = world.played().await;
    let mut alices = page(&stack.client(ALICE).await?).await?;
    let mut bobs = page(&stack.client(BOB).await?).await?;
    let mut carols = page(&stack.client(CAROL).await?).await?;
    let played = Played::ready(world).await?;
    let (_viewer, sent) = played.prompt("hear of this").await?;
    for page in [&mut alices, &mut bobs] {
        let told = page.session("the session", LIMIT, |one| {
            one.id == played.session && one.state == SessionState::Working
        });
        assert_eq!(told.await?.title, "hear of this");
    }
    let prompt = sent.prompt;
    let result = PromptResult::Completed;
    let finished = Report::PromptFinished { prompt, result };
    played
        .puppet
        .report(&played.start, 2, vec![finished])
        .await?;
    let idle = |one: &SessionSummary| one.id == played.session && one.state == SessionState::Idle;
    bobs.session("its end", LIMIT, idle).await?;
    played.client.archive(&played.session).await?;
    for page in [&mut alices, &mut bobs] {
        page.session("its way to the archive", LIMIT, |one| {
            one.id == played.session && one.state == SessionState::Archived
        })
        .await?;
    }
    // All sockets are told in one go, so what Carol was told has come before this.
    carols.catch_up(LIMIT).await?;
    assert_eq!(carols.told_of(&played.session).count(), 0);
    let of_a_session = |notice: &LobbyNotice| matches!(notice, LobbyNotice::Session { .. });
    assert!(
        !carols.notices.iter().any(of_a_session),
        "{:?}",
        carols.notices
    );
    Ok(())
}

async fn of_a_burst_of_changes_the_last_one_is_told(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    played.prompt("first title").await?;
    let mut page = page(&played.client).await?;
    let began = Instant::now();
    for number in 0..10 {
        rename(&played.client, &played.session, &format!("title {number}")).await?;
    }
    page.session("the last title", LIMIT, |one| {
        one.id == played.session && one.title == "title 9"
    })
    .await?;
    let told = page.told_of(&played.session).count() as u64;
    let most = began.elapsed().as_secs() + 2;
    assert!(told <= most, "{told} notices, at most {most}");
    Ok(())
}

async fn a_page_hears_how_many_people_prompt(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let mut page = played.client.listen().await?;
    played.prompt("count me").await?;
    let people = page
        .wait_for("a count", LIMIT, |notice| match notice {
            LobbyNotice::Prompting { people } if *people > 0 => Some(*people),
            _ => None,
        })
        .await?;
    assert!(people <= 3, "{people}");
    Ok(())
}

async fn a_lobby_ticket_is_good_once_and_only_a_ping_is_taken(world: &World) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    let ticket = alice.lobby_ticket().await?;
    let mut first = alice.listen_with(&ticket).await?;
    assert!(alice.listen_with(&ticket).await.is_err(), "it is used up");
    assert!(alice.listen_with("unknown").await.is_err());
    // A session's ticket opens that session only.
    let played = Played::ready(world).await?;
    let other = alice.ticket(&played.session).await?;
    assert!(alice.listen_with(&other).await.is_err());
    for ping in [r#"{"type":"ping"}"#, "ping"] {
        first.send(ping).await?;
        first
            .wait_for("a pong", LIMIT, |notice| {
                matches!(notice, LobbyNotice::Pong).then_some(())
            })
            .await?;
    }
    first.send(r#"{"type":"subscribe"}"#).await?;
    assert_eq!(first.closed(LIMIT).await?, 1008);
    Ok(())
}

async fn what_happened_since_somebody_looked_is_unread_for_them_alone(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (alice, id) = (played.client.clone(), played.session.clone());
    let bob = world.played().await.client(BOB).await?;
    let mut page = page(&alice).await?;
    let mut bobs = bob.listen().await?;
    let unread = async |client: &Client| {
        let sessions = listed(client, "").await?;
        let found = sessions.iter().find(|one| one.id == id);
        Ok::<_, Failure>(found.ok_or("it is not in the list")?.unread)
    };
    let (_viewer, sent) = played.prompt("read this").await?;
    // What is told is in the index.
    let working = |one: &SessionSummary| one.id == id && one.state == SessionState::Working;
    page.session("the prompt", LIMIT, working).await?;
    see(&bob, &id).await?;
    let is_seen = |notice: &LobbyNotice| {
        matches!(notice, LobbyNotice::Seen { session } if *session == id).then_some(())
    };
    bobs.wait_for("that it was seen", LIMIT, is_seen).await?;
    assert!(!unread(&alice).await?, "it is her own prompt");
    assert!(!unread(&bob).await?, "he has just looked");

    let prompt = sent.prompt;
    let result = PromptResult::Completed;
    let finished = Report::PromptFinished { prompt, result };
    played
        .puppet
        .report(&played.start, 2, vec![finished])
        .await?;
    let idle = |one: &SessionSummary| one.id == id && one.state == SessionState::Idle;
    page.session("the end", LIMIT, idle).await?;
    assert!(unread(&alice).await?);
    assert!(unread(&bob).await?);
    see(&alice, &id).await?;
    page.wait_for("that it was seen", LIMIT, is_seen).await?;
    assert!(!unread(&alice).await?);
    assert!(unread(&bob).await?, "he has not looked again");
    bobs.catch_up(LIMIT).await?;
    let seen = bobs.notices.iter().filter_map(is_seen).count();
    assert_eq!(seen, 1, "what others see is theirs");

    let carol = world.played().await.client(CAROL).await?;
    refused_with(see(&carol, &id).await, 404, "not_found");
    Ok(())
}

async fn sessions_are_found_by_their_words_and_their_state(world: &World) -> Outcome {
    let stack = world.played().await;
    let played = Played::ready(world).await?;
    let (alice, word) = (&played.client, word(&played.session));
    let mut page = page(alice).await?;
    let title = format!("{word} is 100% _done_");
    let (_viewer, _) = played.prompt(&title).await?;
    page.session("the session", LIMIT, |one| one.title == title)
        .await?;
    for query in [
        format!("query={word}"),
        format!("query={}", word.to_uppercase()),
        format!("query=tool+{word}+alice"),
        format!("query={word}%20100%25"),
        format!("query={word}&mine=true&state=working,failed"),
    ] {
        assert_eq!(
            titles(alice, &query).await?,
            std::slice::from_ref(&title),
            "{query}"
        );
    }
    for query in [
        format!("query={word}+bob"),
        format!("query={word}+1%250"),
        format!("query={word}'%20OR%201%3D1--"),
        format!("query={word}&state=idle,archived,needs_you,ready_for_review"),
    ] {
        assert_eq!(titles(alice, &query).await?, [""; 0], "{query}");
    }
    let bob = stack.client(BOB).await?;
    assert_eq!(titles(&bob, &format!("query={word}")).await?.len(), 1);
    let his = format!("query={word}&mine=true");
    assert_eq!(titles(&bob, &his).await?, [""; 0]);
    let carol = stack.client(CAROL).await?;
    assert_eq!(titles(&carol, &format!("query={word}")).await?, [""; 0]);
    for query in [
        "state=lost".to_owned(),
        "state=".to_owned(),
        format!("query={}", "x".repeat(201)),
    ] {
        refused_with(titles(alice, &query).await, 400, "malformed");
    }
    let stop = format!("/api/sessions/{}/stop", played.session);
    let prompts = format!("/api/sessions/{}/prompts", played.session);
    let waits = json!({ "text": "this waits while the first is stopped" });
    alice
        .send::<Value>(Method::POST, &prompts, Some(&waits))
        .await?;
    alice
        .send::<Value>(Method::POST, &stop, Some(&json!({})))
        .await?;
    page.session("the pause", LIMIT, |one| {
        one.id == played.session && one.paused
    })
    .await?;
    let paused = format!("query={word}&state=needs_you");
    assert_eq!(titles(alice, &paused).await?, [title]);
    Ok(())
}

async fn a_session_gets_another_title(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let mut page = page(&played.client).await?;
    let (mut viewer, _) = played.prompt("a clumsy title").await?;
    let bob = world.played().await.client(BOB).await?;
    rename(&bob, &played.session, "  A better\n title ").await?;
    viewer
        .wait_for_fact("the title", LIMIT, |fact| match fact {
            protocol::Fact::SessionTitled { title } if title == "A better title" => Some(()),
            _ => None,
        })
        .await?;
    page.session("the title", LIMIT, |one| {
        one.id == played.session && one.title == "A better title"
    })
    .await?;
    for title in [" ".to_owned(), "x".repeat(201)] {
        let refused = rename(&bob, &played.session, &title).await;
        refused_with(refused, 400, "bad_title");
    }
    let carol = world.played().await.client(CAROL).await?;
    let refused = rename(&carol, &played.session, "mine").await;
    refused_with(refused, 404, "not_found");
    played.client.archive(&played.session).await?;
    let refused = rename(&bob, &played.session, "too late").await;
    refused_with(refused, 409, "archived");
    Ok(())
}

async fn branches_are_found_and_the_default_one_comes_first(world: &World) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    push(stack, "topic/Lists-of-branches", "one more").await?;
    let branches = async |client: &Client, query: &str| {
        let path = format!("/api/repositories/{ORGANIZATION}/{REPOSITORY}/branches{query}");
        let list: BranchList = client.send(Method::GET, &path, None::<&()>).await?;
        Ok::<_, ClientError>(list.branches)
    };
    let all = branches(&alice, "").await?;
    assert_eq!(all.first().map(String::as_str), Some("main"));
    assert!(all.iter().any(|name| name == "topic/Lists-of-branches"));
    let found = branches(&alice, "?query=lists-OF").await?;
    assert_eq!(found, ["topic/Lists-of-branches"]);
    let carol = stack.client(CAROL).await?;
    refused_with(branches(&carol, "").await, 404, "not_found");
    Ok(())
}

async fn a_session_starts_with_a_model_that_is_listed(world: &World) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    let list: ModelList = alice.send(Method::GET, "/api/models", None::<&()>).await?;
    let labels: Vec<_> = list.models.iter().map(|one| one.label.as_str()).collect();
    assert_eq!(labels, ["Scripted", "Scripted and warm"]);
    let mut wanted = wanted(None);
    wanted.model = Some(Model {
        provider: Provider::Openai,
        name: "unheard-of".to_owned(),
    });
    refused_with(alice.create_session(&wanted).await, 400, "unknown_model");
    let other = list.models.into_iter().next_back().ok_or("no models")?;
    wanted.model = Some(other.model.clone());
    let made = alice.create_session(&wanted).await?;
    let start = stack.puppet.start_command(&made.id).await?;
    assert_eq!(start.model, other.model);
    Ok(())
}
