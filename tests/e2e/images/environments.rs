//! What images hold: a repository's settings and its environments.

use std::time::Duration;

use protocol::Seq;
use protocol::api::{
    CreateSession, Environment, EnvironmentList, EnvironmentStatus, ImageState, RepositoryDetail,
    Settings,
};
use protocol::event::Fact;
use protocol::image::EnvironmentName;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::bench::{self, Bench, refused_with};
use crate::stage::{BOB, Failure, Outcome, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn tests(group: &mut Group<'_>) {
    tests!(group;
        settings_that_make_no_sense_are_refused_and_change_nothing,
        another_specification_in_the_settings_is_built,
        another_policy_in_the_settings_is_told_to_runners_at_once,
        an_environment_is_asked_for_by_specification_and_tells_its_versions,
        an_environment_that_cannot_be_built_says_why_and_can_be_asked_for_again,
        an_environment_is_there_for_its_members_alone,
        a_member_that_github_does_not_know_is_named,
        a_session_of_an_environment_has_the_versions_that_its_status_names,
    );
}

async fn settings_that_make_no_sense_are_refused_and_change_nothing(world: &World) -> Outcome {
    let bench = Bench::new(world, "settings").await?;
    for (body, code, named) in [
        (
            json!({ "specification": { "runtime": { "cobol": "1" } } }),
            "bad_specification",
            "cobol",
        ),
        (
            json!({ "specification": { "runtime": { "go": "; rm" } } }),
            "bad_specification",
            "; rm",
        ),
        (
            json!({ "specification": { "packages": ["A b"] } }),
            "bad_specification",
            "A b",
        ),
        (
            json!({ "specification": { "setup": "x".repeat(16 * 1024 + 1) } }),
            "bad_specification",
            "16384",
        ),
        (
            json!({ "egress": { "allow": ["10.0.0.1"] } }),
            "malformed",
            "an address is not a host name",
        ),
        (json!({ "surprise": 1 }), "malformed", "surprise"),
    ] {
        let message = refused_with(bench.put::<Settings>("settings", &body).await, 400, code);
        assert!(message.contains(named), "{message}");
    }
    let detail: RepositoryDetail = bench.get("").await?;
    assert_eq!(detail.settings, Settings::default());
    assert_eq!(
        (detail.default_branch.as_str(), detail.image),
        ("main", None)
    );
    let body = json!({ "egress": { "allow": ["*.example.com"], "defaults": false } });
    let set: Settings = bench.put("settings", &body).await?;
    let detail: RepositoryDetail = bench.get("").await?;
    assert_eq!(detail.settings, set);
    assert!(!set.egress.defaults);
    assert_eq!(detail.image, None, "nothing changed for images");
    Ok(())
}

async fn another_specification_in_the_settings_is_built(world: &World) -> Outcome {
    let bench = Bench::new(world, "specified").await?;
    bench.puppet.register().await?;
    let body = json!({ "specification": { "runtime": { "python": "3.11" } } });
    let set: Settings = bench.put("settings", &body).await?;
    let build = bench.build().await?;
    assert_eq!(build.specification, set.specification);
    // While it is built another one is set: the build that runs does not have it.
    let body = json!({ "specification": { "runtime": { "python": "3.12" } } });
    let set: Settings = bench.put("settings", &body).await?;
    bench.finish(&build.image, bench::ready("a")).await?;
    let build = bench.build().await?;
    assert_eq!(build.specification, set.specification);
    let detail: RepositoryDetail = bench.get("").await?;
    let image = detail.image.ok_or("no image")?;
    assert_eq!(
        (image.id, image.state),
        (build.image.clone(), ImageState::Building)
    );
    assert_eq!(image.reason, "the specification changed");
    bench.finish(&build.image, bench::ready("a")).await
}

async fn another_policy_in_the_settings_is_told_to_runners_at_once(world: &World) -> Outcome {
    let bench = Bench::new(world, "bounded").await?;
    let told = async || {
        let registered = bench.puppet.registered(|register| {
            register.repositories = vec![bench.repository.clone()];
        });
        let egress = registered.await?.egress;
        let policy = egress
            .into_iter()
            .find(|told| told.repository == bench.repository);
        Ok::<_, Failure>(policy.ok_or("it is not told")?.policy)
    };
    assert_eq!(told().await?, Settings::default().egress);
    let body = json!({ "egress": { "allow": ["*.example.com"], "defaults": false } });
    let set: Settings = bench.put("settings", &body).await?;
    bench.puppet.refreshed(&bench.repository).await?;
    assert_eq!(told().await?, set.egress);
    // A secret as well is used from now on.
    let body = json!({ "value": "quiet", "scope": { "kind": "sandbox" } });
    bench.put::<Value>("secrets/TOKEN", &body).await?;
    bench.puppet.refreshed(&bench.repository).await?;
    let path = bench.path("secrets/TOKEN");
    let removed = bench
        .alice
        .send::<Value>(Method::DELETE, &path, None::<&()>);
    removed.await?;
    bench.puppet.refreshed(&bench.repository).await?;
    // Other tests have the same runner.
    bench
        .puppet
        .offer(|register| register.repositories.clear())
        .await?;
    Ok(())
}

fn legacy() -> Value {
    json!({
        "name": "legacy",
        "runtime": { "python": "3.11" },
        "packages": ["jq"],
        "setup": "make deps",
        "members": [],
    })
}

async fn an_environment_is_asked_for_by_specification_and_tells_its_versions(
    world: &World,
) -> Outcome {
    let bench = Bench::new(world, "environment").await?;
    bench.puppet.register().await?;
    let path = format!("/api/repositories/{}/environments", bench.repository);
    let request = bench.alice.request(Method::POST, &path).json(&legacy());
    let answer = request.send().await?;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers().get("location").cloned();
    let asked: Environment = answer.json().await?;
    assert_eq!(asked.status, EnvironmentStatus::Building);
    assert_eq!(location.ok_or("no location")?.to_str()?, asked.url);
    assert_eq!(
        asked.url,
        format!("{}{path}/legacy", bench.stack.stack.url())
    );

    let build = bench.build().await?;
    assert_eq!(
        build.base.environment,
        Some(EnvironmentName::parse("legacy")?)
    );
    assert_eq!(build.specification, Some(asked.specification.clone()));
    let again: Environment = bench.post("environments", &legacy()).await?;
    assert_eq!(
        (again.image, again.status),
        (Some(build.image.clone()), EnvironmentStatus::Building)
    );
    bench.finish(&build.image, bench::ready("a")).await?;
    let ready: Environment = bench.get("environments/legacy").await?;
    assert_eq!(ready.status, EnvironmentStatus::Ready);
    assert_eq!(
        ready.runtime.get("python").map(String::as_str),
        Some("3.11.2")
    );
    let again: Environment = bench.post("environments", &legacy()).await?;
    assert_eq!(again, ready);
    assert_eq!(bench.images().await?.len(), 1);

    let mut other = legacy();
    *other.pointer_mut("/runtime/python").ok_or("no python")? = json!("3.12");
    let other: Environment = bench.post("environments", &other).await?;
    assert_eq!(other.status, EnvironmentStatus::Building);
    let build = bench.build().await?;
    bench.finish(&build.image, bench::ready("a")).await?;

    let answer = bench
        .alice
        .request(Method::DELETE, &format!("{path}/legacy"))
        .send()
        .await?;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    refused_with(
        bench.get::<Environment>("environments/legacy").await,
        404,
        "not_found",
    );
    assert_eq!(bench.images().await?, []);
    Ok(())
}

async fn an_environment_that_cannot_be_built_says_why_and_can_be_asked_for_again(
    world: &World,
) -> Outcome {
    let bench = Bench::new(world, "impossible").await?;
    bench.puppet.register().await?;
    bench.post::<Environment>("environments", &legacy()).await?;
    let build = bench.build().await?;
    let message = "there is no python 3.11: 3.12 and 3.13 can be had";
    bench.finish(&build.image, bench::failed(message)).await?;
    let failed: Environment = bench.get("environments/legacy").await?;
    assert_eq!(failed.status, EnvironmentStatus::Failed);
    assert_eq!(failed.message.as_deref(), Some(message));
    let again: Environment = bench.post("environments", &legacy()).await?;
    assert_eq!(again.status, EnvironmentStatus::Building);
    let build = bench.build().await?;
    bench.finish(&build.image, bench::ready("a")).await?;
    let ready: Environment = bench.get("environments/legacy").await?;
    assert_eq!(
        (ready.status, ready.message),
        (EnvironmentStatus::Ready, None)
    );
    Ok(())
}

async fn an_environment_is_there_for_its_members_alone(world: &World) -> Outcome {
    let bench = Bench::new(world, "members").await?;
    bench.puppet.register().await?;
    let mut body = legacy();
    *body.pointer_mut("/members").ok_or("no members")? = json!(["alice"]);
    bench.post::<Environment>("environments", &body).await?;
    let build = bench.build().await?;
    bench.finish(&build.image, bench::ready("a")).await?;
    let bob = bench.stack.client(BOB).await?;
    let path = format!("/api/repositories/{}", bench.repository);
    let listed: EnvironmentList = bob
        .send(Method::GET, &format!("{path}/environments"), None::<&()>)
        .await?;
    assert_eq!(listed.environments, []);
    let session = CreateSession {
        repository: bench.repository.clone(),
        environment: Some(EnvironmentName::parse("legacy")?),
        ..wanted(None)
    };
    let image = build.image;
    for (method, path, body) in [
        (
            Method::GET,
            format!("{path}/environments/legacy"),
            json!({}),
        ),
        (
            Method::DELETE,
            format!("{path}/environments/legacy"),
            json!({}),
        ),
        (Method::GET, format!("{path}/images/{image}"), json!({})),
        (
            Method::POST,
            format!("{path}/images"),
            json!({ "environment": "legacy" }),
        ),
        (
            Method::POST,
            "/api/sessions".to_owned(),
            serde_json::to_value(&session)?,
        ),
    ] {
        let answer: Result<Value, _> = bob.send(method, &path, Some(&body)).await;
        refused_with(answer, 404, "not_found");
    }
    let answer: Result<Value, _> = bob
        .send(
            Method::POST,
            &format!("{path}/environments"),
            Some(&legacy()),
        )
        .await;
    refused_with(answer, 400, "bad_environment");

    *body.pointer_mut("/members").ok_or("no members")? = json!(["bob"]);
    bench.post::<Environment>("environments", &body).await?;
    let shown: Environment = bob
        .send(
            Method::GET,
            &format!("{path}/environments/legacy"),
            None::<&()>,
        )
        .await?;
    assert_eq!(
        (shown.status, shown.members),
        (EnvironmentStatus::Ready, vec!["bob".to_owned()])
    );
    bob.create_session(&session).await?;
    Ok(())
}

async fn a_member_that_github_does_not_know_is_named(world: &World) -> Outcome {
    let bench = Bench::new(world, "unknown").await?;
    let mut body = legacy();
    *body.pointer_mut("/members").ok_or("no members")? = json!(["bob", "nobody-at-all"]);
    let answer = bench.post::<Environment>("environments", &body).await;
    let message = refused_with(answer, 400, "unknown_member");
    assert!(message.contains("nobody-at-all"), "{message}");
    let listed: EnvironmentList = bench.get("environments").await?;
    assert_eq!(listed.environments, []);
    Ok(())
}

async fn a_session_of_an_environment_has_the_versions_that_its_status_names(
    world: &World,
) -> Outcome {
    // An image is built and a release of Go downloaded.
    const BUILT: Duration = Duration::from_secs(240);
    let (stage, client) = world.whole().await;
    let repository = stage.wanted(None).repository;
    let path = format!("/api/repositories/{repository}/environments");
    let body = json!({ "name": "go", "runtime": { "go": "1.23" } });
    let asked: Environment = client.send(Method::POST, &path, Some(&body)).await?;
    assert_eq!(asked.status, EnvironmentStatus::Building);
    let path = format!("{path}/go");
    let made = timeout(BUILT, async {
        loop {
            let shown: Environment = client.send(Method::GET, &path, None::<&()>).await?;
            if shown.status != EnvironmentStatus::Building {
                return Ok::<_, Failure>(shown);
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
    let made = made.await??;
    assert_eq!(made.status, EnvironmentStatus::Ready, "{:?}", made.message);
    let version = made.runtime.get("go").ok_or("no Go")?;
    assert!(version.starts_with("1.23."), "{version}");

    let session = CreateSession {
        environment: Some(EnvironmentName::parse("go")?),
        ..stage.wanted(Some("[[bash command=\"go version\"]]"))
    };
    let id = client.create_session(&session).await?.id;
    let mut viewer = client.watch(&id, Seq(0)).await?;
    viewer
        .wait_for_fact("the prompt's end", BUILT, |fact| {
            matches!(fact, Fact::PromptFinished { .. }).then_some(())
        })
        .await?;
    let outputs: Vec<_> = viewer.finished.values().collect();
    let said = format!("go version go{version} ");
    assert!(
        outputs.iter().any(|text| text.contains(&said)),
        "{outputs:?}"
    );
    client.archive(&id).await?;
    Ok(())
}
