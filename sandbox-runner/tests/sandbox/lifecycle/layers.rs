//! What a sandbox leaves as a layer, and what those have that are made on it.

use super::*;

#[tokio::test]
async fn what_snapshots_froze_counts_towards_the_limit() {
    let fixture = Fixture::new();
    let limits = Limits {
        files: 100,
        ..Limits::default()
    };
    let first = fixture
        .backend
        .create(&SandboxSpec {
            limits,
            ..spec(&[])
        })
        .await
        .unwrap();
    fixture
        .text(&first.id, "for file in $(seq 60); do : > $file; done")
        .await;
    let layer = fixture.backend.snapshot(&first.id).await.unwrap();
    let layers = [layer];
    let next = fixture
        .backend
        .create(&SandboxSpec {
            limits,
            ..spec(&layers)
        })
        .await
        .unwrap();
    for id in [first.id, next.id] {
        let script = "for file in $(seq 60); do : > more$file; done; sleep 15";
        let exec = ExecSpec::new(["/bin/sh", "-c", script], LIMIT);
        let running = fixture.backend.exec(&id, &exec).await.unwrap();
        let ended = running.output().await;
        assert!(matches!(ended, Err(ChannelError::Receive(_))), "{ended:?}");
        let excess = fixture.backend.stats(&id).await.unwrap().disk_excess;
        assert!(excess.unwrap().usage.files > 100);
        fixture.backend.destroy(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_sandbox_on_a_frozen_one_sees_its_files_and_leaves_them_as_they_are() {
    let fixture = Fixture::new();
    let first = fixture.create(&[]).await.id;
    fixture
        .text(
            &first,
            "echo one > kept; echo one > changed; echo one > removed",
        )
        .await;
    let lower = fixture.backend.freeze(&first).await.unwrap();

    let second = fixture.create(std::slice::from_ref(&lower)).await.id;
    fixture
        .text(&second, "echo two > changed; rm removed")
        .await;
    let upper = fixture.backend.freeze(&second).await.unwrap();

    let third = fixture.create(&[lower.clone(), upper]).await.id;
    assert_eq!(
        fixture.text(&third, "cat kept changed; ls").await,
        "one\ntwo\nchanged\nkept"
    );
    let again = fixture.create(&[lower]).await.id;
    assert_eq!(
        fixture.text(&again, "cat kept changed removed").await,
        "one\none\none"
    );
}

#[tokio::test]
async fn a_frozen_sandbox_is_gone_and_freezing_it_again_gives_the_same_layer() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let layer = fixture.backend.freeze(&id).await.unwrap();
    assert!(fixture.backend.list().await.unwrap().is_empty());
    assert_eq!(fixture.backend.freeze(&id).await.unwrap(), layer);
}

#[tokio::test]
async fn packages_of_a_workshop_lie_over_the_system_of_later_sandboxes() {
    let fixture = Fixture::new();
    let workshop = SandboxSpec {
        workshop: true,
        ..spec(&[])
    };
    let id = fixture.backend.create(&workshop).await.unwrap().id;
    let unpack = "mkdir -p /opt/system/usr/bin && cd /opt/system/usr/bin \
                  && printf '#!/bin/sh\\necho installed\\n' > packaged && chmod +x packaged";
    fixture.text(&id, unpack).await;
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(&[layer]).await.id;
    assert_eq!(
        fixture.text(&next, "packaged; which env").await,
        "installed\n/usr/bin/env"
    );
    let written = fixture.run(&next, "echo x > /usr/bin/packaged").await;
    assert!(!written.exit.success());
    assert!(!fixture.run(&next, "ls /opt/system").await.exit.success());
}

#[tokio::test]
async fn the_agents_own_state_is_in_the_layer_and_not_in_the_home() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    fixture
        .text(
            &id,
            "mkdir /var/lib/agent/data && echo mine > /var/lib/agent/data/file",
        )
        .await;
    let layer = fixture.backend.freeze(&id).await.unwrap();
    let next = fixture.create(std::slice::from_ref(&layer)).await.id;
    let script = "cat /var/lib/agent/data/file; ls -A; echo other > /var/lib/agent/data/file";
    assert_eq!(fixture.text(&next, script).await, "mine");
    let again = fixture.create(&[layer]).await.id;
    assert_eq!(
        fixture.text(&again, "cat /var/lib/agent/data/file").await,
        "mine"
    );
}
