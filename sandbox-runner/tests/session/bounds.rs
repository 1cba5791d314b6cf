//! What a sandbox that runs may reach, as its repository's settings change.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::callback::RepositoryEgress;
use protocol::command::Refresh;
use protocol::egress::{EgressPolicy, HostPattern};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{LIMIT, Screen, Stage};

/// Half of the time between two registrations: what holds by then was not waited for.
const SOON: Duration = Duration::from_secs(10);

async fn sees(screen: &mut Screen, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        if let Message::Binary(bytes) = screen.next().await.unwrap().unwrap() {
            seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_holds_for_a_running_sandbox_within_seconds() {
    let stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    let repository = start.repository.clone();
    // Asked for by whoever serves the sandbox, as long as it is there.
    stage
        .worker
        .until_registered(|register| register.repositories == [repository.clone()])
        .await;
    let mut screen = stage.terminal(&start).await;
    // The name's end, with what is before it said by the shell alone.
    let look = "while sleep 0.1; do getent hosts api.example.com > /dev/null && echo is-$((40 + 2)) || echo no-$((40 + 2)); done\n";
    screen.send(Message::binary(look.as_bytes())).await.unwrap();
    timeout(LIMIT, sees(&mut screen, "no-42")).await.unwrap();
    for (allow, wanted) in [(vec!["api.example.com"], "is-42"), (vec![], "no-42")] {
        let allow = allow
            .into_iter()
            .map(|host| HostPattern::parse(host).unwrap());
        let told = RepositoryEgress {
            repository: repository.clone(),
            policy: EgressPolicy {
                allow: allow.collect(),
                defaults: true,
            },
        };
        stage.worker.with(|worker| worker.egress = vec![told]);
        let hint = Refresh {
            repository: repository.clone(),
        };
        assert_eq!(stage.ask("/refresh", &hint).await.0, 204);
        timeout(SOON, sees(&mut screen, wanted)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_runner_asks_what_its_sandboxes_may_reach() {
    let mut stage = Stage::start().await;
    let start = stage.open(1).await;
    stage.ready(&start).await;
    stage.kill_runner().await;
    let told = RepositoryEgress {
        repository: start.repository.clone(),
        policy: EgressPolicy {
            allow: vec![HostPattern::parse("api.example.com").unwrap()],
            defaults: true,
        },
    };
    stage.worker.with(|worker| {
        worker.egress = vec![told];
        worker.registered.clear();
    });
    stage.start_runner().await;
    let repositories = [start.repository.clone()];
    let asked = stage
        .worker
        .until_registered(|register| register.repositories == repositories);
    timeout(SOON, asked).await.unwrap();
    let mut screen = stage.terminal(&start).await;
    let look =
        "until getent hosts api.example.com > /dev/null; do sleep 0.1; done; echo is-$((40 + 2))\n";
    screen.send(Message::binary(look.as_bytes())).await.unwrap();
    timeout(LIMIT, sees(&mut screen, "is-42")).await.unwrap();
}
