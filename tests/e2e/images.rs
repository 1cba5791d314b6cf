//! The registry of images: the test plays the runner that builds them.

pub mod bench;
mod environments;
mod news;

use protocol::api::{Image, ImageAge, ImageLog, ImageState, RepositoryList, RequestedImage};
use protocol::callback::ImageReport;
use protocol::image::ImageOutcome;
use protocol::{ImageId, RunnerId};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::client::ClientError;
use support::puppet::PuppetError;

use self::bench::Bench;
use crate::stage::{CAROL, Failure, LIMIT, Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        an_image_is_asked_for_built_followed_and_listed,
        a_second_request_joins_the_build_that_is_under_way,
        a_failed_build_keeps_the_last_good_image,
        a_log_that_is_repeated_is_kept_once_and_a_gap_is_refused,
        an_interrupted_build_begins_its_log_anew,
        a_log_is_followed_as_a_stream_until_its_build_ends,
        reports_of_a_runner_that_does_not_build_it_are_void,
        images_of_a_closed_repository_are_not_there,
        a_branch_that_cannot_be_is_refused,
    );
    news::tests(group);
    environments::tests(group);
}

async fn an_image_is_asked_for_built_followed_and_listed(world: &World) -> Outcome {
    let bench = Bench::new(world, "listed").await?;
    let requested = bench.request(json!({})).await?;
    let build = bench.build().await?;
    assert_eq!(build.image, requested.id);
    assert_eq!(build.base.branch, "main");
    let expected = format!("{}/runner/images/{}", bench.stack.stack.url(), build.image);
    assert_eq!(build.callback_url, expected);

    bench
        .puppet
        .report_image(&build.image, 0, "cloning\n", None)
        .await?;
    let image: Image = bench.get(&format!("images/{}", build.image)).await?;
    assert_eq!(image.state, ImageState::Building);
    assert_eq!(image.reason, "alice asked for it");
    assert_eq!(image.requested_by.as_deref(), Some("alice"));
    let log: ImageLog = bench.get(&format!("images/{}/log", build.image)).await?;
    assert_eq!((log.text.as_str(), log.complete), ("cloning\n", false));

    let outcome = bench::ready("c0ffee");
    let held = bench
        .puppet
        .report_image(&build.image, 8, "tested\n", Some(outcome))
        .await?;
    assert_eq!(held, 15);
    let path = format!("images/{}/log?offset={}", build.image, log.next_offset);
    let log: ImageLog = bench.get(&path).await?;
    assert_eq!((log.text.as_str(), log.complete), ("tested\n", true));

    let images = bench.images().await?;
    let [image] = images.as_slice() else {
        panic!("{images:?}");
    };
    assert_eq!((image.state, image.current), (ImageState::Ready, true));
    assert_eq!(image.commit.as_deref(), Some("c0ffee"));
    assert_eq!(image.reason, "no image yet");
    assert_eq!(
        image.steps.first().map(|step| step.name.as_str()),
        Some("cargo test")
    );
    assert_eq!((image.bytes, image.log_bytes), (1234, 15));
    assert!(image.finished_at >= image.started_at);
    Ok(())
}

async fn a_second_request_joins_the_build_that_is_under_way(world: &World) -> Outcome {
    let bench = Bench::new(world, "joined").await?;
    let first = bench.request(json!({})).await?;
    let second = bench.request(json!({ "force": true })).await?;
    assert_eq!(first, second);
    let build = bench.build().await?;
    assert_eq!(bench.request(json!({})).await?, first);
    bench.finish(&build.image, bench::ready("a")).await?;
    assert_ne!(bench.request(json!({})).await?, first);
    let build = bench.build().await?;
    bench
        .finish(
            &build.image,
            ImageOutcome::Unchanged {
                commit: "a".to_owned(),
            },
        )
        .await?;
    let states: Vec<_> = bench
        .images()
        .await?
        .iter()
        .map(|image| image.state)
        .collect();
    assert_eq!(states, [ImageState::Unchanged, ImageState::Ready]);
    Ok(())
}

async fn a_failed_build_keeps_the_last_good_image(world: &World) -> Outcome {
    let bench = Bench::new(world, "failed").await?;
    bench.request(json!({})).await?;
    let good = bench.build().await?;
    bench.finish(&good.image, bench::ready("a")).await?;
    bench.request(json!({ "force": true })).await?;
    let bad = bench.build().await?;
    assert!(bad.force);
    bench
        .finish(&bad.image, bench::failed("python 2.1 cannot be had"))
        .await?;
    // Whatever comes late changes nothing.
    bench.finish(&bad.image, bench::ready("b")).await?;

    let images = bench.images().await?;
    let [newest, older] = images.as_slice() else {
        panic!("{images:?}");
    };
    assert_eq!((newest.state, newest.current), (ImageState::Failed, false));
    assert_eq!(newest.message.as_deref(), Some("python 2.1 cannot be had"));
    assert_eq!((older.id.clone(), older.current), (good.image, true));
    Ok(())
}

async fn a_log_that_is_repeated_is_kept_once_and_a_gap_is_refused(world: &World) -> Outcome {
    let bench = Bench::new(world, "repeated").await?;
    bench.request(json!({})).await?;
    let image = bench.build().await?.image;
    let report = |offset, text| bench.puppet.report_image(&image, offset, text, None);
    assert_eq!(report(0, "one ").await?, 4);
    assert_eq!(report(4, "zwölf ").await?, 11);
    assert_eq!(report(4, "zwölf ").await?, 11);
    assert_eq!(report(4, "zwölf three").await?, 16);
    let refused = report(20, "lost").await;
    let Err(PuppetError::Refused { status: 409, body }) = refused else {
        panic!("a gap was answered {refused:?}");
    };
    assert_eq!(body, r#"{"received":16}"#);
    let log: ImageLog = bench.get(&format!("images/{image}/log")).await?;
    assert_eq!(log.text, "one zwölf three");
    bench.finish(&image, bench::ready("a")).await?;
    Ok(())
}

async fn an_interrupted_build_begins_its_log_anew(world: &World) -> Outcome {
    let bench = Bench::new(world, "anew").await?;
    bench.request(json!({})).await?;
    let image = bench.build().await?.image;
    bench
        .puppet
        .report_image(&image, 0, "the first attempt", None)
        .await?;
    bench.puppet.report_image(&image, 0, "again", None).await?;
    let log: ImageLog = bench.get(&format!("images/{image}/log?offset=17")).await?;
    assert_eq!((log.text.as_str(), log.next_offset), ("", 0));
    let log: ImageLog = bench.get(&format!("images/{image}/log")).await?;
    assert_eq!(log.text, "again");
    bench.finish(&image, bench::ready("a")).await?;
    Ok(())
}

async fn a_log_is_followed_as_a_stream_until_its_build_ends(world: &World) -> Outcome {
    let bench = Bench::new(world, "streamed").await?;
    bench.request(json!({})).await?;
    let image = bench.build().await?.image;
    let follow = async |last: Option<u64>| {
        let mut request = bench
            .alice
            .request(Method::GET, &bench.path(&format!("images/{image}/log")))
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        request.send().await
    };
    let mut stream = follow(None).await?.error_for_status()?;
    let kind = stream.headers().get("content-type");
    assert_eq!(
        kind.and_then(|kind| kind.to_str().ok()),
        Some("text/event-stream")
    );
    let puppet = bench.puppet;
    puppet.report_image(&image, 0, "one\n", None).await?;
    let mut told = String::new();
    let mut read_until = async |wanted: &str| {
        while !told.contains(wanted) {
            let chunk = tokio::time::timeout(LIMIT, stream.chunk()).await??;
            told.push_str(std::str::from_utf8(&chunk.ok_or("it ended")?)?);
        }
        Ok::<_, Failure>(told.clone())
    };
    read_until(r#""text":"one\n""#).await?;
    let outcome = bench::ready("c0ffee");
    puppet
        .report_image(&image, 4, "zwölf\n", Some(outcome))
        .await?;
    let told = read_until(r#""complete":true"#).await?;
    assert!(told.contains("id: 11\ndata: "), "{told}");
    let texts: String = told
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<ImageLog>(data).map(|log| log.text))
        .collect::<Result<_, _>>()?;
    assert_eq!(texts, "one\nzwölf\n");
    assert_eq!(stream.chunk().await?, None, "nothing will follow");
    let rest = follow(Some(4)).await?.text().await?;
    assert!(rest.contains(r#""text":"zwölf\n""#), "{rest}");
    assert_eq!(follow(Some(11)).await?.status(), StatusCode::NO_CONTENT);
    assert_eq!(follow(Some(7)).await?.status(), StatusCode::BAD_REQUEST);

    // The list may be one from before the repository was there.
    let listed = eventually("the repository is listed", || async {
        let path = "/api/repositories";
        let list: RepositoryList = bench.alice.send(Method::GET, path, None::<&()>).await?;
        let mut listed = list.repositories.into_iter();
        Ok(listed.find(|one| one.repository == bench.repository))
    })
    .await?;
    let built_at = bench.images().await?.first().and_then(|it| it.finished_at);
    let state = ImageState::Ready;
    assert_eq!(listed.image, Some(ImageAge { state, built_at }));
    Ok(())
}

async fn reports_of_a_runner_that_does_not_build_it_are_void(world: &World) -> Outcome {
    let bench = Bench::new(world, "void").await?;
    bench.request(json!({})).await?;
    let image = bench.build().await?.image;
    let report = ImageReport {
        runner: RunnerId::from_random([9; 16]),
        base: None,
        log_offset: 0,
        log: "not mine".to_owned(),
        outcome: Some(bench::ready("a")),
    };
    let answer = bench
        .puppet
        .post(&format!("/runner/images/{image}"), &report)
        .await;
    assert!(matches!(
        answer,
        Err(PuppetError::Refused { status: 410, .. })
    ));
    let unknown = ImageId::from_random([9; 16]);
    let answer = bench.puppet.report_image(&unknown, 0, "", None).await;
    assert!(matches!(
        answer,
        Err(PuppetError::Refused { status: 404, .. })
    ));
    let shown: Image = bench.get(&format!("images/{image}")).await?;
    assert_eq!((shown.state, shown.log_bytes), (ImageState::Building, 0));
    bench.finish(&image, bench::ready("a")).await?;
    Ok(())
}

async fn images_of_a_closed_repository_are_not_there(world: &World) -> Outcome {
    let bench = Bench::new(world, "closed").await?;
    let RequestedImage { id, .. } = bench.request(json!({})).await?;
    let carol = bench.stack.client(CAROL).await?;
    for (method, path) in [
        (Method::GET, String::new()),
        (Method::PUT, "/settings".to_owned()),
        (Method::GET, "/images".to_owned()),
        (Method::POST, "/images".to_owned()),
        (Method::GET, format!("/images/{id}")),
        (Method::GET, format!("/images/{id}/log")),
        (Method::GET, "/environments".to_owned()),
        (Method::POST, "/environments".to_owned()),
        (Method::GET, "/environments/any".to_owned()),
        (Method::DELETE, "/environments/any".to_owned()),
    ] {
        let path = format!("/api/repositories/{}{path}", bench.repository);
        let body = match path.ends_with("/environments") {
            true => json!({ "name": "any" }),
            false => json!({}),
        };
        let answer = carol
            .request(method.clone(), &path)
            .json(&body)
            .send()
            .await?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
    }
    // An image is found in its own repository alone.
    let other = Bench::new(world, "closed-neighbour").await?;
    let answer: Result<Image, _> = other.get(&format!("images/{id}")).await;
    assert!(matches!(
        answer,
        Err(ClientError::Refused {
            status: StatusCode::NOT_FOUND,
            ..
        })
    ));
    let build = bench.build().await?;
    bench.finish(&build.image, bench::ready("a")).await?;
    Ok(())
}

async fn a_branch_that_cannot_be_is_refused(world: &World) -> Outcome {
    let bench = Bench::new(world, "branch").await?;
    for (body, code) in [
        (json!({ "branch": "--upload-pack=x" }), "bad_branch"),
        (json!({ "environment": "../etc" }), "malformed"),
        (json!({ "surprise": 1 }), "malformed"),
    ] {
        bench::refused_with(
            bench.post::<RequestedImage>("images", &body).await,
            400,
            code,
        );
    }
    let body = json!({ "environment": "unknown" });
    bench::refused_with(
        bench.post::<RequestedImage>("images", &body).await,
        404,
        "not_found",
    );
    assert_eq!(bench.images().await?, []);
    Ok(())
}
