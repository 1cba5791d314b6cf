//! Everything between a prompt and a merged pull request, on the whole stack: two people prompt, a
//! third approves; a review and a failed check wake the session; the statistics count it.

use std::time::Duration;

use protocol::api::{Blame, CreateSession, CreatedPrompt, Statistics};
use protocol::event::{
    Fact, Opener, Outcome as PromptOutcome, PullRequestState, Repository, Source,
};
use protocol::{PromptId, Seq, SessionId};
use reqwest::Method;
use serde_json::{Value, json};
use support::client::{Client, Viewer};
use support::forge::ORGANIZATION;
use support::stack::{ModelChoice, Stack};

use crate::stage::{ALICE, BOB, Failure, Outcome, write_source};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        two_people_prompt_a_third_approves_and_it_is_merged,
        branches_beside_the_work_branch_become_stacked_pull_requests,
    );
}

/// Works at the organization, and never prompts.
const DANA: &str = "dana";
const NAME: &str = "loop";
const CHECK: &str = "independent-review";

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(60);

struct Scene {
    stack: Stack,
    alice: Client,
    bob: Client,
}

impl Scene {
    async fn start(name: &str) -> Result<Self, Failure> {
        let stack = Stack::start(name, ModelChoice::Scripted).await?;
        let source = stack.directory().join("source");
        write_source(&source);
        stack
            .forge
            .create_repository(ORGANIZATION, NAME, &source)
            .await?;
        let alice = Client::sign_in(&stack.url(), &stack.forge, ALICE).await?;
        let bob = Client::sign_in(&stack.url(), &stack.forge, BOB).await?;
        Ok(Self { stack, alice, bob })
    }

    fn wanted(&self, prompt: &str) -> CreateSession {
        CreateSession {
            repository: Repository::new(ORGANIZATION, NAME).expect("a repository's name"),
            branch: None,
            prompt: Some(prompt.to_owned()),
            model: None,
            environment: None,
            client_request_id: None,
            attachments: Vec::new(),
        }
    }

    /// What the check says of the pull request's head, once `wanted` is what it says.
    async fn until_check(&self, number: u64, wanted: &str) -> Outcome {
        let forge = &self.stack.forge;
        let mut last = None;
        let deadline = tokio::time::Instant::now() + SOON;
        while tokio::time::Instant::now() < deadline {
            let pulls = forge.pull_requests(ORGANIZATION, NAME).await?;
            let pull = pulls.iter().find(|pull| pull.number == number);
            let head = pull
                .map(|pull| pull.head_commit.clone())
                .unwrap_or_default();
            last = forge.check(ORGANIZATION, NAME, &head, CHECK).await?;
            if last
                .as_ref()
                .is_some_and(|(_, title)| title.contains(wanted))
            {
                let passes = wanted.starts_with("Approved by");
                let conclusion = if passes { "success" } else { "failure" };
                assert_eq!(
                    last.map(|(conclusion, _)| conclusion).as_deref(),
                    Some(conclusion)
                );
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("the check never said {wanted:?}, but {last:?}").into())
    }

    async fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = tokio::process::Command::new("git")
            .arg("--git-dir")
            .arg(self.stack.forge.bare_repository(ORGANIZATION, NAME))
            .args(arguments)
            .output()
            .await?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

async fn prompt(client: &Client, id: &SessionId, text: &str) -> Result<PromptId, Failure> {
    let path = format!("/api/sessions/{id}/prompts");
    let body = json!({ "text": text });
    let created: CreatedPrompt = client.send(Method::POST, &path, Some(&body)).await?;
    Ok(created.id)
}

/// Looks at what was told, then at what comes, until `find` finds something.
async fn until<T>(
    viewer: &mut Viewer,
    wanted: &str,
    find: impl Fn(&Fact) -> Option<T>,
) -> Result<T, Failure> {
    if let Some(found) = viewer.events.iter().find_map(|event| find(&event.fact)) {
        return Ok(found);
    }
    Ok(viewer.wait_for_fact(wanted, READY, find).await?)
}

async fn completed(viewer: &mut Viewer, prompt: &PromptId) -> Outcome {
    let outcome = until(viewer, "the prompt's end", |fact| match fact {
        Fact::PromptFinished {
            prompt: ended,
            outcome,
        } if ended == prompt => Some(outcome.clone()),
        _ => None,
    })
    .await?;
    assert_eq!(outcome, PromptOutcome::Completed);
    Ok(())
}

/// The commit that a prompt's work is.
async fn pushed(viewer: &mut Viewer, prompt: &PromptId) -> Result<String, Failure> {
    until(viewer, "a push", |fact| match fact {
        Fact::Pushed {
            prompt: of, commit, ..
        } if of == prompt => Some(commit.clone()),
        _ => None,
    })
    .await
}

/// The prompt that came from the forge and has `words` in it: its identifier and its author.
async fn woken(viewer: &mut Viewer, words: &str) -> Result<(PromptId, String), Failure> {
    until(viewer, "a prompt from the forge", |fact| match fact {
        Fact::PromptQueued { prompt }
            if prompt.source == Source::Github && prompt.text.contains(words) =>
        {
            Some((prompt.id.clone(), prompt.author.login.clone()))
        }
        _ => None,
    })
    .await
}

async fn two_people_prompt_a_third_approves_and_it_is_merged(_: &World) -> Outcome {
    let scene = Scene::start("e2e-loop").await?;
    let (alice, forge) = (&scene.alice, &scene.stack.forge);
    let first = r#"[[write path="NOTES.md" content="one"]]"#;
    let id = alice.create_session(&scene.wanted(first)).await?.id;
    let mut viewer = alice.watch(&id, Seq(0)).await?;
    let (number, by) = until(&mut viewer, "a pull request", |fact| match fact {
        Fact::PullRequestOpened { number, by, .. } => Some((*number, by.clone())),
        _ => None,
    })
    .await?;
    assert!(matches!(by, Opener::User { person } if person.login == ALICE));
    scene.until_check(number, "Nobody has approved").await?;

    // Alice says something that changes nothing, then Bob has the file written: he is the author,
    // and she took part.
    let talk = prompt(alice, &id, "what do you think of a second file?").await?;
    completed(&mut viewer, &talk).await?;
    let second = r#"[[write path="MORE.md" content="two"]] [[bash command="git add -A; git commit -qm by-hand"]]"#;
    let second = prompt(&scene.bob, &id, second).await?;
    let commit = pushed(&mut viewer, &second).await?;
    let shown = scene
        .git(&["show", "--no-patch", "--format=%s|%ae|%ce|%B", &commit])
        .await?;
    let bot = format!("+{}@users.noreply.github.com", forge.app().bot_login);
    for part in [
        "by-hand|",
        "+bob@users.noreply.github.com|",
        &bot,
        &format!("\nSession-Id: {id}\n"),
        &format!("\nPrompt-Id: {second}\n"),
        "\nModel: openai/scripted-1\n",
        "\nCo-authored-by: Alice Martin <",
    ] {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }

    // Bob took part, so that his approval is one of his own work.
    forge
        .review(ORGANIZATION, NAME, number, BOB, "APPROVE", "fine")
        .await?;
    scene
        .until_check(number, "Only people who took part")
        .await?;

    // He asks for changes, and the session makes them.
    let body = r#"Say it louder: [[write path="MORE.md" content="TWO"]]"#;
    forge
        .review(ORGANIZATION, NAME, number, BOB, "REQUEST_CHANGES", body)
        .await?;
    let (revision, by) = woken(&mut viewer, "asked for changes").await?;
    assert_eq!(by, BOB);
    let commit = pushed(&mut viewer, &revision).await?;
    completed(&mut viewer, &revision).await?;

    // A check fails on it: the session is told why, as whoever prompted last.
    let failure = json!({
        "name": "ci", "head_sha": commit, "status": "completed", "conclusion": "failure",
        "output": { "title": "1 failed", "summary": r#"[[write path="CI.md" content="three"]]"# },
    });
    let checks = format!("/repos/{ORGANIZATION}/{NAME}/check-runs");
    forge.act(Method::POST, &checks, ALICE, &failure).await?;
    let (repair, by) = woken(&mut viewer, "1 failed").await?;
    assert_eq!(by, BOB);
    pushed(&mut viewer, &repair).await?;
    completed(&mut viewer, &repair).await?;

    // Dana never prompted.
    forge
        .review(ORGANIZATION, NAME, number, DANA, "APPROVE", "good")
        .await?;
    scene.until_check(number, "Approved by @dana").await?;
    forge.merge(ORGANIZATION, NAME, number, ALICE).await?;
    until(&mut viewer, "the merge", |fact| match fact {
        Fact::PullRequestChanged {
            number: of, state, ..
        } if *of == number => (*state == PullRequestState::Merged).then_some(()),
        _ => None,
    })
    .await?;
    let statistics: Statistics = alice
        .send(Method::GET, "/api/statistics?days=7", None::<&()>)
        .await?;
    assert_eq!((statistics.merged, statistics.opened), (1, 1));

    // Who asked for a line, and why, is a lookup.
    let path = format!("/api/repositories/{ORGANIZATION}/{NAME}/blame?path=CI.md&line=1");
    let blame: Blame = alice.send(Method::GET, &path, None::<&()>).await?;
    assert_eq!(
        (blame.session, blame.prompt),
        (Some(id.clone()), Some(repair))
    );
    assert!(
        blame
            .prompt_text
            .is_some_and(|text| text.contains("1 failed"))
    );
    assert!(blame.author.contains("bob"), "{}", blame.author);

    // One comment of ours, which says how it went.
    let path = format!("/repos/{ORGANIZATION}/{NAME}/issues/{number}/comments");
    let comments = forge.act(Method::GET, &path, ALICE, &Value::Null).await?;
    let ours: Vec<_> = comments
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|comment| comment.get("body")?.as_str())
        .filter(|body| body.contains("hosted-agents:status"))
        .collect();
    let [ours] = ours.as_slice() else {
        panic!("{} comments", ours.len())
    };
    assert!(ours.contains(id.as_str()), "{ours}");
    alice.archive(&id).await?;
    Ok(())
}

async fn branches_beside_the_work_branch_become_stacked_pull_requests(_: &World) -> Outcome {
    let scene = Scene::start("e2e-stacked").await?;
    let command = "git add -A; git commit -qm one; git switch -qc $(git branch --show-current)-docs; \
                   echo two > docs.md; git add -A; git commit -qm two; git switch -q -";
    let text = format!(r#"[[write path="NOTES.md" content="one"]] [[bash command="{command}"]]"#);
    let id = scene.alice.create_session(&scene.wanted(&text)).await?.id;
    let mut viewer = scene.alice.watch(&id, Seq(0)).await?;
    let work = format!("agent/{id}");
    for branch in [work.clone(), format!("{work}-docs")] {
        until(&mut viewer, "a push of each branch", |fact| match fact {
            Fact::Pushed { branch: of, .. } if *of == branch => Some(()),
            _ => None,
        })
        .await?;
    }
    let opened = |viewer: &Viewer| {
        let facts = viewer.events.iter();
        facts
            .filter(|event| matches!(event.fact, Fact::PullRequestOpened { .. }))
            .count()
    };
    if opened(&viewer) < 2 {
        viewer
            .wait_for("two pull requests", READY, |viewer, _| {
                (opened(viewer) == 2).then_some(())
            })
            .await?;
    }
    let pulls = scene.stack.forge.pull_requests(ORGANIZATION, NAME).await?;
    let mut pairs: Vec<_> = pulls
        .iter()
        .map(|pull| (pull.head_branch.as_str(), pull.base_branch.as_str()))
        .collect();
    pairs.sort_unstable();
    let docs = format!("{work}-docs");
    assert_eq!(
        pairs,
        [(work.as_str(), "main"), (docs.as_str(), work.as_str())]
    );

    // A person makes one a draft, and ready again, and what they wrote around our text stays.
    let number = pulls
        .iter()
        .find(|pull| pull.head_branch == work)
        .map(|pull| pull.number)
        .expect("it was found above");
    let path = format!("/api/sessions/{id}/pull-requests/{number}");
    for (draft, expected) in [(true, "draft"), (false, "open")] {
        let change = json!({ "draft": draft, "title": "A note" });
        let changed: Value = scene
            .alice
            .send(Method::PATCH, &path, Some(&change))
            .await?;
        assert_eq!(
            (&changed["state"], &changed["title"]),
            (&json!(expected), &json!("A note"))
        );
    }
    scene.alice.archive(&id).await?;
    Ok(())
}
