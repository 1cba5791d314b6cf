//! The process that is made ready for the next start.

use sandbox_runner::sandbox::cgroup::Driver;

use super::*;

/// What the control group of a sandbox is called.
async fn group(fixture: &Fixture, id: &SandboxId) -> String {
    let records = fixture.backend.list().await.unwrap();
    let record = records.into_iter().find(|record| &record.id == id);
    record.unwrap().group.unwrap()
}

/// The control group of the process that waits for the next start, once there is one beside those
/// of these sandboxes.
async fn spare(fixture: &Fixture, sandboxes: &[&SandboxId]) -> String {
    let mut known = Vec::new();
    for id in sandboxes {
        known.push(group(fixture, id).await);
    }
    let groups = Driver::detect(fixture.path());
    let listed = || groups.list().unwrap().into_iter();
    let spare = async {
        loop {
            if let Some(spare) = listed().find(|name| !known.contains(name)) {
                return spare;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, spare).await.unwrap()
}

#[tokio::test]
async fn a_start_takes_the_process_that_was_made_ready() {
    let fixture = Fixture::new();
    let first = fixture.create(&[]).await.id;
    // One that has its group may still be in the making.
    let taken = async {
        loop {
            let ready = spare(&fixture, &[&first]).await;
            let second = fixture.create(&[]).await.id;
            if group(&fixture, &second).await == ready {
                return (ready, second);
            }
            fixture.backend.destroy(&second).await.unwrap();
        }
    };
    let (ready, second) = tokio::time::timeout(LIMIT, taken).await.unwrap();
    assert_eq!(fixture.text(&second, "echo $GIVEN").await, "to the sandbox");

    let fixture = fixture.restart();
    fixture.backend.adopt(&second).await.unwrap();
    let stats = fixture.backend.stats(&second).await.unwrap();
    assert!(stats.processes.is_some(), "{stats:?}");
    fixture.backend.destroy(&second).await.unwrap();
    let groups = Driver::detect(fixture.path());
    assert!(!groups.list().unwrap().contains(&ready));
}

#[tokio::test]
async fn a_start_does_without_the_process_that_was_made_ready_if_that_has_ended() {
    let fixture = Fixture::new();
    let first = fixture.create(&[]).await.id;
    let ready = spare(&fixture, &[&first]).await;
    let groups = Driver::detect(fixture.path());
    groups.open(&ready).unwrap().unwrap().kill().unwrap();
    let second = fixture.create(&[]).await.id;
    assert_ne!(group(&fixture, &second).await, ready);
    assert_eq!(fixture.text(&second, "echo alive").await, "alive");
}

#[tokio::test]
async fn a_start_with_other_limits_does_without_the_process_that_was_made_ready() {
    let fixture = Fixture::new();
    let first = fixture.create(&[]).await.id;
    let ready = spare(&fixture, &[&first]).await;
    let limits = Limits {
        processes: 50,
        ..Limits::default()
    };
    let other = SandboxSpec {
        limits,
        ..spec(&[])
    };
    let second = fixture.backend.create(&other).await.unwrap().id;
    assert_ne!(group(&fixture, &second).await, ready);
}
