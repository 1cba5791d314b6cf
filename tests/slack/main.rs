//! What Slack posts is read as the `slack-morphism` crate reads it.
//!
//! `payloads.json` holds one of each that the manifest subscribes to, in the form in which Slack's
//! documentation has them, and such as we pass over.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hosted_agents::slack::event::{Bot, Envelope, Event, Message};
use hosted_agents::slack::interaction::Interaction;
use serde_json::{Value, json};
use slack_morphism::prelude::*;

/// What the crate reads as nothing that it knows.
const UNKNOWN_TO_IT: &[&str] = &["pin_added"];

fn payloads(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("payloads.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> T {
    serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The fields of a message that we act on, of those that both know.
fn said(message: &Message) -> Value {
    let files: Vec<Value> = message
        .files
        .iter()
        .map(|file| json!([file.id, file.name, file.mimetype, file.url_private_download]))
        .collect();
    json!([
        message.channel,
        message.ts,
        message.thread_ts,
        message.user,
        message.text,
        message.bot_id,
        message.channel_type,
        message.subtype,
        files,
    ])
}

fn said_by(
    origin: &SlackMessageOrigin,
    content: &SlackMessageContent,
    sender: (Option<&SlackUserId>, Option<&SlackBotId>),
    subtype: Option<&SlackMessageEventType>,
) -> Value {
    let files: Vec<Value> = content
        .files
        .iter()
        .flatten()
        .map(|file| json!([file.id, file.name, file.mimetype, file.url_private_download]))
        .collect();
    json!([
        origin.channel,
        origin.ts,
        origin.thread_ts,
        sender.0,
        content.text,
        sender.1,
        origin.channel_type,
        subtype,
        files,
    ])
}

#[test]
fn every_event_is_read_as_another_reads_it() {
    let mut kinds = Vec::new();
    for body in payloads("events") {
        let (ours, theirs) = (read::<Envelope>(&body), read::<SlackPushEvent>(&body));
        let (ours, theirs) = match (ours, theirs) {
            (Envelope::EventCallback(ours), SlackPushEvent::EventCallback(theirs)) => {
                (ours, theirs)
            }
            (Envelope::UrlVerification { challenge }, SlackPushEvent::UrlVerification(theirs)) => {
                assert_eq!(challenge, theirs.challenge);
                continue;
            }
            (Envelope::AppRateLimited {}, SlackPushEvent::AppRateLimited(_)) => continue,
            other => panic!("{other:?}"),
        };
        assert_eq!(json!(ours.team_id), json!(theirs.team_id));
        assert_eq!(json!(ours.event_id), json!(theirs.event_id));
        let kind = body["event"]["type"].as_str().unwrap().to_owned();
        let (ours, theirs) = match (ours.event(), theirs.event) {
            (Event::AppMention(ours), SlackEventCallbackBody::AppMention(theirs)) => {
                // The crate has no bots and no kinds of those.
                let sender = (Some(&theirs.user), None);
                let mut origin = theirs.origin;
                origin.channel = Some(theirs.channel);
                (said(&ours), said_by(&origin, &theirs.content, sender, None))
            }
            (Event::Message(ours), SlackEventCallbackBody::Message(theirs))
                if ours.message.is_some() || ours.deleted_ts.is_some() =>
            {
                let of = |message: &Option<Box<Message>>| {
                    let message = message.as_ref()?;
                    Some(json!([message.ts, message.user, message.text]))
                };
                let by_them = |message: &Option<SlackMessageEventEdited>| {
                    let message = message.as_ref()?;
                    let text = message.content.as_ref().and_then(|it| it.text.as_ref());
                    Some(json!([message.ts, message.sender.user, text]))
                };
                (
                    json!([
                        ours.channel,
                        ours.ts,
                        ours.subtype,
                        ours.deleted_ts,
                        of(&ours.message),
                        of(&ours.previous_message),
                    ]),
                    json!([
                        theirs.origin.channel,
                        theirs.origin.ts,
                        theirs.subtype,
                        theirs.deleted_ts,
                        by_them(&theirs.message),
                        by_them(&theirs.previous_message),
                    ]),
                )
            }
            (Event::Message(ours), SlackEventCallbackBody::Message(theirs)) => {
                let content = theirs.content.unwrap_or_else(SlackMessageContent::new);
                let sender = (theirs.sender.user.as_ref(), theirs.sender.bot_id.as_ref());
                let subtype = theirs.subtype.as_ref();
                let theirs = said_by(&theirs.origin, &content, sender, subtype);
                (said(&ours), theirs)
            }
            (Event::ReactionAdded(ours), SlackEventCallbackBody::ReactionAdded(theirs)) => {
                let SlackReactionsItem::Message(item) = theirs.item else {
                    panic!("no message: {body}")
                };
                (
                    json!([ours.user, ours.reaction, ours.item.channel, ours.item.ts]),
                    json!([
                        theirs.user,
                        theirs.reaction,
                        item.origin.channel,
                        item.origin.ts
                    ]),
                )
            }
            (Event::AppHomeOpened { user }, SlackEventCallbackBody::AppHomeOpened(theirs)) => {
                (json!(user), json!(theirs.user))
            }
            (Event::LinkShared(ours), SlackEventCallbackBody::LinkShared(theirs)) => {
                let links: Vec<&str> = ours.links.iter().map(|link| link.url.as_str()).collect();
                let others: Vec<&str> = theirs.links.iter().map(|link| link.url.as_str()).collect();
                (
                    json!([ours.user, ours.channel, ours.message_ts, links]),
                    json!([theirs.user, theirs.channel, theirs.message_ts, others]),
                )
            }
            (
                Event::AgentSessionStopped(ours),
                SlackEventCallbackBody::AgentSessionStopped(theirs),
            ) => (
                json!([ours.channel, ours.thread_ts, ours.user]),
                json!([theirs.channel, theirs.thread_ts, theirs.user]),
            ),
            (Event::AppUninstalled {}, SlackEventCallbackBody::AppUninstalled(_)) => {
                (Value::Null, Value::Null)
            }
            // The crate does not know it yet.
            (Event::TokensRevoked {}, SlackEventCallbackBody::Unknown(theirs)) => {
                (json!("tokens_revoked"), theirs["type"].clone())
            }
            (Event::Other, SlackEventCallbackBody::Unknown(_)) => {
                assert!(UNKNOWN_TO_IT.contains(&kind.as_str()), "{kind}");
                continue;
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ours, theirs, "{body}");
        kinds.push(kind);
    }
    // All that the manifest subscribes to is among them.
    let manifest: Value = serde_json::from_str(hosted_agents::slack::MANIFEST).unwrap();
    let subscribed = manifest["settings"]["event_subscriptions"]["bot_events"].as_array();
    for name in subscribed.unwrap() {
        let kind = name.as_str().unwrap().split('.').next().unwrap();
        assert!(kinds.iter().any(|known| known == kind), "{kind}");
    }
}

#[test]
fn what_is_heard_is_what_a_person_said() {
    let bot = Bot {
        team: "T123ABC456".to_owned(),
        user: "U0LAN0Z89".to_owned(),
        bot_id: None,
        workspaces: Vec::new(),
    };
    let payloads = payloads("events");
    let heard = payloads.iter().filter_map(|body| {
        let Envelope::EventCallback(callback) = read(body) else {
            return None;
        };
        match callback.event() {
            Event::AppMention(message) => message.heard(&bot, true),
            Event::Message(message) => message.heard(&bot, false),
            _ => None,
        }
    });
    let heard: Vec<(String, bool)> = heard
        .map(|heard| (heard.root, heard.is_addressed))
        .collect();
    let known = [
        ("1515449522.000016", true),
        ("1515449522.000016", true),
        ("1515449522.000016", false),
        ("1355517523.000005", true),
        ("1355517524.000005", true),
        ("1515449522.000016", false),
    ];
    assert_eq!(
        heard,
        known.map(|(root, is_addressed)| (root.to_owned(), is_addressed))
    );
}

#[test]
fn every_interaction_is_read_as_another_reads_it() {
    for body in payloads("interactions") {
        let (ours, theirs) = (
            read::<Interaction>(&body),
            read::<SlackInteractionEvent>(&body),
        );
        let (ours, theirs) = match (ours, theirs) {
            (Interaction::BlockActions(ours), SlackInteractionEvent::BlockActions(theirs)) => {
                let actions: Vec<Value> = ours
                    .actions
                    .iter()
                    .map(|action| json!([action.action_id, action.chosen(), action.action_ts]))
                    .collect();
                let others: Vec<Value> = theirs
                    .actions
                    .unwrap_or_default()
                    .into_iter()
                    .map(|action| {
                        let option = action.selected_option.map(|option| option.value);
                        json!([action.action_id, option.or(action.value), action.action_ts])
                    })
                    .collect();
                let (is_view, ts) = match theirs.container {
                    SlackInteractionActionContainer::Message(at) => (false, Some(at.message_ts)),
                    SlackInteractionActionContainer::View(_) => (true, None),
                    other => panic!("{other:?}"),
                };
                let user = theirs.user.map(|user| user.id);
                let channel = theirs.channel.map(|channel| channel.id);
                (
                    json!([
                        ours.user.id,
                        ours.team.as_ref().map(|team| &team.id),
                        ours.channel.as_ref().map(|channel| &channel.id),
                        ours.container.message_ts,
                        ours.is_at_home(),
                        actions,
                    ]),
                    json!([user, theirs.team.id, channel, ts, is_view, others]),
                )
            }
            (
                Interaction::BlockSuggestion(ours),
                SlackInteractionEvent::BlockSuggestion(theirs),
            ) => (
                json!([ours.user.id, ours.team.map(|team| team.id), ours.value]),
                json!([theirs.user.id, theirs.team.id, theirs.value]),
            ),
            (Interaction::MessageAction(ours), SlackInteractionEvent::MessageAction(theirs)) => {
                let message = theirs.message.unwrap();
                (
                    json!([
                        ours.callback_id,
                        ours.user.id,
                        ours.team.map(|team| team.id),
                        ours.channel.id,
                        ours.message.ts,
                        ours.message.text,
                        ours.message.user,
                    ]),
                    json!([
                        theirs.callback_id,
                        theirs.user.id,
                        theirs.team.id,
                        theirs.channel.map(|channel| channel.id),
                        message.origin.ts,
                        message.content.text,
                        message.sender.user,
                    ]),
                )
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ours, theirs, "{body}");
    }
}
