//! What a sandbox cannot see or do.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sandbox_runner::sandbox::namespaces::Tool;
use sandbox_runner::sandbox::{SandboxBackend, doctor};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_this_machine() {
    let fixture = Fixture::new();
    doctor::check(&fixture.backend).await.unwrap();
    assert!(fixture.backend.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tool_that_is_closed_to_others_on_the_host_can_be_run_and_not_changed() {
    let closed = tempfile::tempdir().unwrap();
    fs::create_dir(closed.path().join("bin")).unwrap();
    let program = closed.path().join("bin/tool");
    fs::write(&program, "#!/bin/sh\necho used\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let sources = vec![closed.path().to_owned()];
    let fixture = Fixture::with_tools(vec![Tool {
        name: "given".to_owned(),
        sources,
    }]);
    let id = fixture.create(&[]).await.id;
    assert_eq!(
        fixture.text(&id, "tool; which tool").await,
        "used\n/opt/given/bin/tool"
    );
    assert!(
        !fixture
            .run(&id, "echo x > /opt/given/bin/tool")
            .await
            .exit
            .success()
    );
}

#[tokio::test]
async fn programs_run_as_an_ordinary_user_inside_and_outside() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    assert_eq!(
        fixture.text(&id, "id").await,
        "uid=1000(agent) gid=1000(agent) groups=1000(agent)"
    );
    fixture.text(&id, "echo x > \"$HOME/file\"").await;
    let owner = fs::metadata(fixture.directory(&id).join("upper/file"))
        .unwrap()
        .uid();
    let runner = rustix::process::getuid();
    let expected = if runner.is_root() {
        1000
    } else {
        runner.as_raw()
    };
    assert_eq!(owner, expected);
}

#[tokio::test]
async fn no_two_sandboxes_run_as_the_same_user_of_the_host() {
    if !rustix::process::getuid().is_root() {
        // Sandboxes run as the runner itself.
        return;
    }
    let fixture = Fixture::new();
    let mut users = BTreeSet::new();
    for _ in 0..2 {
        let id = fixture.create(&[]).await.id;
        let first = format!("/proc/{}/status", fixture.init(&id).await);
        let status = fs::read_to_string(first).unwrap();
        users.extend(
            status
                .lines()
                .find(|line| line.starts_with("Uid:"))
                .map(str::to_owned),
        );
    }
    let first = fixture.first_user;
    let expected = [first, first + 1].map(|user| format!("Uid:\t{user}\t{user}\t{user}\t{user}"));
    assert_eq!(users, BTreeSet::from(expected));
}

#[tokio::test]
async fn no_process_of_a_sandbox_has_a_capability_or_can_gain_one() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let status = fixture.text(&id, "cat /proc/self/status").await;
    let first = format!("/proc/{}/status", fixture.init(&id).await);
    let status = fs::read_to_string(first).unwrap() + &status;
    let capabilities: Vec<_> = status
        .lines()
        .filter(|line| line.starts_with("Cap"))
        .collect();
    assert_eq!(capabilities.len(), 10);
    assert!(
        capabilities
            .iter()
            .all(|line| line.ends_with("\t0000000000000000")),
        "{status}"
    );
    assert_eq!(status.matches("NoNewPrivs:\t1").count(), 2);
    assert!(
        !fixture
            .run(&id, "unshare --user --map-root-user true")
            .await
            .exit
            .success()
    );
}

#[tokio::test]
async fn the_hosts_files_and_other_sandboxes_are_not_there() {
    let fixture = Fixture::new();
    let (id, other) = (fixture.create(&[]).await.id, fixture.create(&[]).await.id);
    fixture
        .text(&other, "echo private > \"$HOME/marker\"")
        .await;
    let hidden = [
        "/root",
        "/etc/shadow",
        "/sys",
        "/var/log",
        "/proc/1",
        "/work",
        "/boot",
        "/dev/vda",
        "/dev/kvm",
    ];
    for path in hidden {
        assert!(
            !fixture
                .run(&id, &format!("ls -d {path}"))
                .await
                .exit
                .success(),
            "{path}"
        );
    }
    let state = fixture.path().display();
    assert!(
        !fixture
            .run(&id, &format!("ls -d {state}"))
            .await
            .exit
            .success()
    );
    assert_eq!(
        fixture.text(&id, "ls -A /home /home/agent /tmp").await,
        "/home:\nagent\n\n/home/agent:\n\n/tmp:"
    );
    assert_eq!(fixture.text(&id, "grep -c . /etc/passwd").await, "3");
}

#[tokio::test]
async fn the_system_cannot_be_written() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    for path in [
        "/x",
        "/usr/x",
        "/etc/x",
        "/bin/x",
        "/opt/x",
        "/var/x",
        "/var/lib/x",
        "/proc/sys/kernel/hostname",
        "/dev/x",
    ] {
        let output = fixture.run(&id, &format!("echo x > {path}")).await;
        assert!(!output.exit.success(), "{path}");
    }
}

#[tokio::test]
async fn the_network_is_a_loopback_of_its_own() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let devices = fixture
        .text(&id, "tail -n +3 /proc/net/dev | cut -d: -f1")
        .await;
    assert_eq!(devices, "lo");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    assert!(
        !fixture
            .run(&id, &format!("bash -c '{script}'"))
            .await
            .exit
            .success()
    );
}

#[tokio::test]
async fn processes_of_the_host_and_of_other_sandboxes_are_not_there() {
    let fixture = Fixture::new();
    let (id, other) = (fixture.create(&[]).await.id, fixture.create(&[]).await.id);
    fixture.detach(&other, "sleep 1000").await;
    assert_eq!(fixture.text(&id, "cat /proc/[0-9]*/comm").await, "sh");
}

#[tokio::test]
async fn no_descriptor_of_the_runner_reaches_a_program() {
    let fixture = Fixture::new();
    let leaking = fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leaking, rustix::io::FdFlags::empty()).unwrap();
    let id = fixture.create(&[]).await.id;
    drop(leaking);
    let descriptors = fixture
        .text(
            &id,
            "for fd in /proc/$$/fd/*; do readlink $fd || true; done",
        )
        .await;
    let kinds: Vec<_> = descriptors
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(kinds, ["/dev/null", "pipe", "pipe"]);
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_of_the_runners() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let names = fixture.text(&id, "env | cut -d= -f1 | sort | xargs").await;
    assert_eq!(names, "GIVEN HOME LANG LOGNAME PATH PWD SHELL USER");
}

#[tokio::test]
async fn the_sockets_between_runner_and_init_are_not_to_be_seen_inside() {
    let fixture = Fixture::new();
    let id = fixture.create(&[]).await.id;
    let sockets =
        "find / -xdev -type s 2> /dev/null; find /run /tmp /var -type s; tail -n +2 /proc/net/unix";
    assert_eq!(fixture.text(&id, sockets).await, "");
}
