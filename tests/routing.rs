//! What leads to a repository without a model is never wrong, whatever people write.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use protocol::event::Repository;
use support::routing::{Kind, Message, Messages, scripted};

#[tokio::test]
async fn rules_and_names_send_no_message_to_the_wrong_repository() {
    let messages = Messages::read().unwrap();
    let score = messages.score(async |_| None).await;
    assert_eq!(score.wrong, Vec::<String>::new());
    // They do decide, where there is something to decide by. Whoever names a repository in full may
    // have it, whatever else is in the message; what others said before names nothing.
    let is_sure = |message: &&Message| {
        let names = |want: &Repository| message.text.contains(&want.to_string());
        match message.kind {
            Kind::Named | Kind::Channel | Kind::Rule => true,
            Kind::Hostile => message.want.as_ref().is_some_and(names),
            Kind::Plain | Kind::Thread | Kind::Ambiguous => false,
        }
    };
    let sure = messages.messages.iter().filter(is_sure).count();
    assert_eq!(score.messages - score.asked, sure);
}

#[tokio::test]
async fn a_stand_in_for_a_model_sends_more_messages_and_hardly_one_in_a_hundred_wrong() {
    let messages = Messages::read().unwrap();
    let rules = messages.score(async |_| None).await;
    let score = messages.score(async |question| scripted(question)).await;
    assert!(
        score.wrong.len() * 100 <= score.messages,
        "{:?}",
        score.wrong
    );
    assert!(score.right > rules.right + 20, "{score:?}");
}

#[test]
fn the_messages_are_many_and_of_every_kind() {
    let messages = Messages::read().unwrap();
    assert!(messages.repositories.len() >= 25);
    assert!(messages.messages.len() >= 120);
    let known: BTreeSet<_> = messages
        .repositories
        .iter()
        .map(|known| &known.repository)
        .collect();
    let wanted = messages
        .messages
        .iter()
        .filter_map(|message| message.want.as_ref());
    assert!(wanted.clone().all(|wanted| known.contains(wanted)));
    assert_eq!(wanted.collect::<BTreeSet<_>>(), known);
    let kinds: BTreeSet<Kind> = messages
        .messages
        .iter()
        .map(|message| message.kind)
        .collect();
    assert_eq!(kinds.len(), 7);
}
