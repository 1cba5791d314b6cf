//! How long a start takes; prints, and judges nothing.

use std::time::{Duration, Instant};

use sandbox_runner::sandbox::{Adoption, SandboxBackend};

use crate::fixture::{Fixture, spec};

const STARTS: usize = 50;

#[tokio::test]
#[ignore = "prints figures"]
async fn from_create_to_the_first_result() {
    let fixture = Fixture::new();
    let (mut created, mut answered, mut destroyed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let started = Instant::now();
        let id = fixture.create(&[]).await.id;
        created.push(started.elapsed());
        fixture.text(&id, "true").await;
        answered.push(started.elapsed());
        let started = Instant::now();
        fixture.backend.destroy(&id).await.unwrap();
        destroyed.push(started.elapsed());
    }
    for (name, mut times) in [
        ("create", created),
        ("create and exec", answered),
        ("destroy", destroyed),
    ] {
        times.sort();
        let at =
            |percent: usize| -> Duration { times.get(STARTS * percent / 100).copied().unwrap() };
        println!("{name}: p50 {:?}, p95 {:?}", at(50), at(95));
    }
}

#[tokio::test]
#[ignore = "prints figures"]
async fn from_a_restart_to_all_sandboxes_adopted() {
    let fixture = Fixture::new();
    let mut sandboxes = Vec::new();
    for _ in 0..STARTS {
        sandboxes.push(fixture.create(&[]).await.id);
    }
    let started = Instant::now();
    let fixture = fixture.restart();
    let adopted = sandboxes.iter().map(|id| fixture.backend.adopt(id));
    let adopted = futures_util::future::join_all(adopted).await;
    println!("{STARTS} adopted in {:?}", started.elapsed());
    assert!(
        adopted
            .into_iter()
            .all(|adopted| matches!(adopted, Ok(Adoption::Alive(_))))
    );
}

#[tokio::test]
#[ignore = "prints figures"]
async fn from_nothing_to_many() {
    let fixture = Fixture::new();
    let started = Instant::now();
    let specs: Vec<_> = (0..STARTS).map(|_| spec(&[])).collect();
    let created = specs.iter().map(|spec| fixture.backend.create(spec));
    let created = futures_util::future::join_all(created).await;
    println!("{STARTS} created at once in {:?}", started.elapsed());
    assert!(created.into_iter().all(|created| created.is_ok()));
}
