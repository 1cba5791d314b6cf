//! What a sandbox does not have, may not do and is not made of.

use support::stack::MODEL_KEY;

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        no_secret_is_inside_a_sandbox,
        a_push_to_another_branch_is_refused,
        what_is_only_a_pull_requests_is_never_checked_out,
    );
}

async fn no_secret_is_inside_a_sandbox(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    let app = stage.stack.forge.app();
    let key_line = app
        .private_key_pem
        .lines()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let secrets = [
        MODEL_KEY.to_owned(),
        stage
            .stack
            .runner_keys()
            .trim_start_matches("whsec_")
            .to_owned(),
        app.client_secret.clone(),
        app.webhook_secret.clone(),
        key_line,
        // Whatever the forge gives out begins with one of these.
        "ghs_".to_owned(),
        "ghu_".to_owned(),
        "gho_".to_owned(),
        // The control: this one is there, and the search has to find it.
        "agent:x:1000".to_owned(),
    ];
    // The push makes the gateway use a token, so that there is one that could have leaked.
    ask(&mut viewer, r#"[[write path="A.md" content="a"]]"#).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, 1).await?,
        PromptOutcome::Completed
    );
    // The words are put together inside, since the prompt itself is in the agent's own files.
    for (number, secret) in secrets.iter().enumerate() {
        let (head, tail) = secret.split_at(secret.len() / 2);
        let places =
            "/home /run /etc /tmp /opt/agent/config /proc/[0-9]*/environ /proc/[0-9]*/cmdline";
        let command = format!(
            "printf '%s%s' {head} {tail} | grep -arlF -f - {places} 2>/dev/null | grep . \
             && echo FOUND || echo CLEAN"
        );
        ask(&mut viewer, &format!("[[bash command=\"{command}\"]]")).await?;
        assert_eq!(
            end_of_prompt(&mut viewer, number + 2).await?,
            PromptOutcome::Completed
        );
        let outputs: Vec<_> = viewer.finished.values().cloned().collect();
        let output = outputs
            .iter()
            .rev()
            .find(|text| text.contains("CLEAN") || text.contains("FOUND"));
        let output = output.cloned().unwrap_or_default();
        let is_control = number == secrets.len() - 1;
        assert_eq!(
            output.contains("FOUND"),
            is_control,
            "secret {number}: {output}"
        );
    }
    client.archive(&id).await?;
    Ok(())
}

async fn a_push_to_another_branch_is_refused(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let (id, mut viewer) = warm(client, stage).await?;
    let main = stage
        .stack
        .forge
        .branch("acme", stage.project.name, "main")
        .await?;
    let command = "git commit -q --allow-empty -m x; \
        git push http://127.0.0.1:3129/git/acme/shlex.git HEAD:refs/heads/main 2>&1; echo DONE";
    ask(&mut viewer, &format!("[[bash command=\"{command}\"]]")).await?;
    end_of_prompt(&mut viewer, 1).await?;
    assert!(viewer.finished.values().any(|text| text.contains("DONE")));
    let after = stage
        .stack
        .forge
        .branch("acme", stage.project.name, "main")
        .await?;
    assert_eq!(main, after);
    client.archive(&id).await?;
    Ok(())
}

/// A forge shows what is in a fork under `refs/pull`, and a session has its repository's secrets.
async fn what_is_only_a_pull_requests_is_never_checked_out(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let bare = stage
        .stack
        .forge
        .bare_repository("acme", stage.project.name);
    let status = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(&bare)
        .args(["update-ref", "refs/pull/900/head", "HEAD"])
        .status()?;
    assert!(status.success());
    for branch in ["pull/900/head", "refs/pull/900/head"] {
        let mut wanted = stage.wanted(Some("Look around"));
        wanted.branch = Some(branch.to_owned());
        let id = client.create_session(&wanted).await?.id;
        let mut viewer = client.watch(&id, Seq(0)).await?;
        let outcome = end_of_prompt(&mut viewer, 1).await?;
        let failed = matches!(outcome, PromptOutcome::Failed { .. });
        assert!(failed, "{branch}: {outcome:?}");
        let facts = viewer.events.iter().map(|event| &event.fact);
        let mut ready = facts.filter(|fact| matches!(fact, Fact::SandboxReady { .. }));
        assert_eq!(ready.next(), None, "{branch}");
        client.archive(&id).await?;
    }
    Ok(())
}
