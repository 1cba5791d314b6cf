//! How long a start takes; prints, and judges nothing.

use std::time::{Duration, Instant};

use sandbox_runner::sandbox::SandboxBackend;

use crate::fixture::Fixture;

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
