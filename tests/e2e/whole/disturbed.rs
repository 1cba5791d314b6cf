//! A part of the whole is killed in the middle of an answer, and nothing is lost.

use support::stack::{ModelChoice, Stack};

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_runner_killed_in_the_middle_loses_nothing,
        a_prompt_goes_on_when_its_runner_is_killed_with_its_sandboxes,
        a_worker_restarted_in_the_middle_loses_nothing,
    );
}

/// Starts a prompt, disturbs the stack once `early` of its text is there, and watches it to its
/// end with a viewer that begins anew: it checks numbers, deltas and lengths of all that it sees.
async fn disturbed(
    name: &str,
    prompt: &str,
    early: &str,
    disturb: impl AsyncFnOnce(&mut Stack) -> Outcome,
) -> Result<Viewer, Failure> {
    let mut stage = Stage::set(Stack::start(name, ModelChoice::Scripted).await?).await?;
    let client = Client::sign_in(&stage.stack.url(), &stage.stack.forge, LOGIN).await?;
    let (id, mut viewer) = warm(&client, &stage).await?;
    ask(&mut viewer, prompt).await?;
    viewer
        .wait_for("the beginning of the answer", READY, |viewer, _| {
            viewer
                .texts
                .values()
                .any(|text| text.contains(early))
                .then_some(())
        })
        .await?;
    drop(viewer);
    disturb(&mut stage.stack).await?;
    let mut viewer = client.watch(&id, Seq(0)).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 1).await?,
        PromptOutcome::Completed
    );
    Ok(viewer)
}

async fn a_runner_killed_in_the_middle_loses_nothing(_: &World) -> Outcome {
    // The command goes on in its sandbox while nobody reports.
    let prompt = r#"[[bash command="for n in 1 2 3 4 5 6 7 8; do echo line-$n; sleep 1; done"]]"#;
    let viewer = disturbed("e2e-runner-killed", prompt, "line-2", async |stack| {
        stack.kill_runner().await;
        Ok(stack.start_runner().await?)
    })
    .await?;
    let lines = (1..=8)
        .map(|number| format!("line-{number}\n"))
        .collect::<String>();
    let outputs: Vec<_> = viewer
        .finished
        .values()
        .filter(|text| text.contains("line-"))
        .collect();
    assert_eq!(
        outputs,
        [&lines],
        "one command, reported once, with all its output"
    );
    Ok(())
}

async fn a_prompt_goes_on_when_its_runner_is_killed_with_its_sandboxes(_: &World) -> Outcome {
    // It ends only where the file is that it wrote the first time.
    let prompt = r#"[[bash command="test -e kept.txt && echo again || { echo kept > kept.txt; echo begun; sleep 600; }"]] [[say text="Done."]]"#;
    let viewer = disturbed("e2e-all-killed", prompt, "begun", async |stack| {
        stack.kill_runner().await;
        stack.kill_sandboxes()?;
        Ok(stack.start_runner().await?)
    })
    .await?;
    let texts: Vec<_> = viewer.finished.values().map(String::as_str).collect();
    assert_eq!(texts.last(), Some(&"Done."), "{texts:?}");
    assert!(texts.contains(&"again\n"), "{texts:?}");
    let count = |fits: fn(&Fact) -> bool| {
        let facts = viewer.events.iter().map(|event| &event.fact);
        facts.filter(|fact| fits(fact)).count()
    };
    let counted = [
        count(|fact| matches!(fact, Fact::SandboxLost { .. })),
        count(|fact| matches!(fact, Fact::PromptStarted { .. })),
        count(|fact| matches!(fact, Fact::PromptResumed { .. })),
        count(|fact| matches!(fact, Fact::Pushed { .. })),
        count(|fact| matches!(fact, Fact::PromptFinished { .. })),
    ];
    assert_eq!(counted, [1; 5], "lost, started, resumed, pushed, finished");
    Ok(())
}

async fn a_worker_restarted_in_the_middle_loses_nothing(_: &World) -> Outcome {
    let prompt = "[[stream tokens=1200 rate=100]]";
    let answer = support::model::prose(1200);
    let early: String = answer.chars().take(600).collect();
    let viewer = disturbed("e2e-worker-killed", prompt, &early, async |stack| {
        stack.kill_worker().await;
        Ok(stack.start_worker().await?)
    })
    .await?;
    let texts: Vec<_> = viewer.finished.values().collect();
    assert_eq!(texts, [&answer], "one answer, reported once, whole");
    Ok(())
}
