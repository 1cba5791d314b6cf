//! The queue: paused, resumed, cleared, reordered, inserted from.

use super::*;

/// One prompt runs, `waiting` more wait, numbered from 2.
fn busy(waiting: u8) -> Session {
    let mut session = Session::ready();
    for number in 1..=waiting + 1 {
        session.take(prompt(number, 1, Mode::Queue)).unwrap();
    }
    session
}

fn stop(session: &mut Session) {
    session.take(Act::Stop.by(person(2))).unwrap();
    session.finish(1, PromptResult::Stopped).unwrap();
}

fn insert(number: u8) -> Input {
    Act::Insert {
        prompt: prompt_id(number),
    }
    .by(person(2))
}

fn reorder(order: &[u8]) -> Input {
    Act::Reorder {
        order: order.iter().copied().map(prompt_id).collect(),
    }
    .by(person(2))
}

fn waiting(session: &Session) -> Vec<PromptId> {
    let queue = session.state.queue.iter();
    queue.map(|waiting| waiting.prompt.clone()).collect()
}

fn ids(numbers: &[u8]) -> Vec<PromptId> {
    numbers.iter().copied().map(prompt_id).collect()
}

#[test]
fn a_stop_pauses_what_waits_until_it_is_resumed() {
    let mut session = busy(1);
    stop(&mut session);
    session.take(prompt(3, 2, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1)], "also what came later");
    session.take(Act::ResumeQueue.by(person(2))).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
    session.finish(2, PromptResult::Completed).unwrap();
    assert_eq!(session.sends().last(), Some(&&prompt_id(3)));
    let paused = |fact: &Fact| matches!(fact, Fact::QueuePaused { by } if by.id == UserId(2));
    assert_eq!(session.count(paused), 1);
}

#[test]
fn a_prompt_after_a_stop_with_nothing_waiting_starts_at_once() {
    let mut session = busy(0);
    stop(&mut session);
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
}

#[test]
fn a_cleared_queue_is_cancelled_and_not_paused_any_more() {
    let mut session = busy(2);
    stop(&mut session);
    session.take(Act::ClearQueue.by(person(2))).unwrap();
    let cancelled = |fact: &Fact| matches!(fact, Fact::PromptCancelled { .. });
    assert_eq!(session.count(cancelled), 2);
    let last = session.facts.last().unwrap();
    assert!(matches!(last, Fact::QueueResumed { .. }), "{last:?}");
    session.take(prompt(4, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends().last(), Some(&&prompt_id(4)));
}

#[test]
fn the_pause_ends_with_the_last_prompt_that_waits() {
    let mut session = busy(1);
    stop(&mut session);
    let prompt = prompt_id(2);
    let by = person(1);
    session.take(Act::Cancel { prompt }.by(by)).unwrap();
    assert!(!session.state.paused);
    let resumed = |fact: &Fact| matches!(fact, Fact::QueueResumed { .. });
    assert_eq!(session.count(resumed), 1);
}

#[test]
fn resuming_what_is_not_paused_says_nothing() {
    let mut session = busy(1);
    let facts = session.facts.len();
    session.take(Act::ResumeQueue.by(person(2))).unwrap();
    assert_eq!(session.facts.len(), facts);
}

#[test]
fn prompts_start_in_the_order_that_they_were_put_in() {
    let mut session = busy(3);
    session.take(reorder(&[4, 2, 3])).unwrap();
    assert_eq!(waiting(&session), ids(&[4, 2, 3]));
    session.finish(1, PromptResult::Completed).unwrap();
    assert_eq!(session.sends().last(), Some(&&prompt_id(4)));
}

#[test]
fn an_order_that_does_not_name_each_waiting_prompt_once_is_refused() {
    let mut session = busy(2);
    for order in [&[2][..], &[2, 2], &[2, 3, 1], &[2, 9], &[]] {
        let refused = session.take(reorder(order));
        assert_eq!(refused, Err(Refusal::QueueChanged), "{order:?}");
    }
    let facts = session.facts.len();
    session.take(reorder(&[2, 3])).unwrap();
    assert_eq!(session.facts.len(), facts, "what is so already is no event");
}

#[test]
fn a_waiting_prompt_joins_the_running_one_when_it_is_inserted() {
    let mut session = busy(2);
    session.take(insert(3)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(3)]);
    assert_eq!(waiting(&session), ids(&[2]));
    session.finish_all(&[1, 3]);
    assert_eq!(session.outcome_of(3), Some(&Outcome::Completed));
    assert_eq!(session.take(insert(3)), Err(Refusal::NotWaiting));
    assert_eq!(session.sends().last(), Some(&&prompt_id(2)));
}

#[test]
fn a_prompt_that_came_too_late_to_join_goes_on_alone() {
    let mut session = busy(0);
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.take(prompt(3, 1, Mode::Queue)).unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    assert_eq!(session.outcome_of(2), None, "its turn comes");
    let running = session.state.running.clone().unwrap();
    assert_eq!(
        (running.prompt, running.author.id),
        (prompt_id(2), UserId(2))
    );
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
    session.finish(2, PromptResult::Completed).unwrap();
    assert_eq!(session.sends().last(), Some(&&prompt_id(3)));
}

#[test]
fn a_prompt_that_overtook_the_one_it_joined_ends_by_itself() {
    let mut session = busy(0);
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.finish(2, PromptResult::Completed).unwrap();
    assert_eq!(session.outcome_of(2), Some(&Outcome::Completed));
    assert_eq!(session.outcome_of(1), None);
}

#[test]
fn an_inserted_prompt_is_next_when_nothing_can_be_joined() {
    let mut session = busy(3);
    session.take(Act::Stop.by(person(1))).unwrap();
    session.take(insert(4)).unwrap();
    assert_eq!(waiting(&session), ids(&[4, 2, 3]));
    let told = session.facts.last().unwrap();
    assert!(
        matches!(told, Fact::PromptsReordered { order, .. } if *order == ids(&[4, 2, 3])),
        "{told:?}"
    );
    session.finish(1, PromptResult::Stopped).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1)], "a pause is a pause");
    session.take(Act::ResumeQueue.by(person(1))).unwrap();
    assert_eq!(session.sends().last(), Some(&&prompt_id(4)));
}

#[test]
fn a_stop_is_for_all_that_run_together() {
    let mut session = busy(0);
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.take(Act::Stop.by(person(2))).unwrap();
    let stops = session.effects.iter().filter_map(|effect| match effect {
        Effect::StopPrompt { prompt, .. } => Some(prompt.clone()),
        _ => None,
    });
    assert_eq!(stops.collect::<Vec<_>>(), ids(&[1, 2]));
    let sends = session
        .schedule
        .keys()
        .filter(|key| key.starts_with("send:"));
    assert_eq!(sends.count(), 0, "what has not gone out does not");
    session.finish(1, PromptResult::Stopped).unwrap();
    let stopped = Outcome::Stopped { by: person(2) };
    assert_eq!(session.outcome_of(2), Some(&stopped));
}

#[test]
fn a_session_that_is_archived_while_paused_is_left_with_nothing() {
    let mut session = busy(2);
    stop(&mut session);
    session.take(Act::Archive.by(person(1))).unwrap();
    assert!(!session.state.paused && session.state.queue.is_empty());
    assert!(
        session
            .schedule
            .keys()
            .all(|key| !key.starts_with("deadline"))
    );
}
