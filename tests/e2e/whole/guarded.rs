//! What a sandbox does not have, may not do and is not made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::stack::MODEL_KEY;

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        no_secret_is_inside_a_sandbox,
        a_push_to_another_branch_is_refused,
        what_is_only_a_pull_requests_is_never_checked_out,
    );
}

/// Says which of the words, given in halves, are in the memory of any process that may be read. What begins
/// like a token counts only if it goes on like one: programs know such beginnings. The last word is
/// also in a process that this starts, so that a search which finds nothing is noticed.
const SEARCH_MEMORY: &str = r#"
import os, re, subprocess, sys
halves = sys.argv[1:]
words = [(head + tail).encode() for head, tail in zip(halves[::2], halves[1::2])]
searches = [re.compile(re.escape(word) + (b"[0-9A-Za-z]{10}" if word.endswith(b"_") else b"")).search
            for word in words]
holder = "import sys; word = sys.argv[1] + sys.argv[2]; print(1, flush=True); sys.stdin.read()"
control = subprocess.Popen([sys.executable, "-c", holder, *halves[-2:]],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
control.stdout.readline()
page, pages, longest = os.sysconf("SC_PAGE_SIZE"), 256, 4096
found, read = set(), []
for process in filter(str.isdigit, os.listdir("/proc")):
    if int(process) == os.getpid():
        continue
    try:
        regions = open(f"/proc/{process}/maps").read().splitlines()
        memory = os.open(f"/proc/{process}/mem", os.O_RDONLY)
        present = os.open(f"/proc/{process}/pagemap", os.O_RDONLY)
    except OSError:
        continue
    total = 0
    for region in regions:
        place, mode, _, _, inode = region.split()[:5]
        start, end = (int(edge, 16) for edge in place.split("-"))
        # What is as in its file is not memory, and much is reserved that is not there.
        if mode[0] != "r" or inode != "0" and mode[1] != "w" or end >= 1 << 63:
            continue
        tail = b""
        for at in range(start, end, pages * page):
            text, tail = tail, b""
            try:
                flags = os.pread(present, 8 * min(pages, (end - at) // page), at // page * 8)
                if max(flags[7::8], default=0) < 0x40:
                    continue
                text += os.pread(memory, min(pages * page, end - at), at)
            except OSError:
                continue
            total += len(text)
            tail = text[-longest:]
            found.update(number for number, search in enumerate(searches) if search(text))
    read.append((open(f"/proc/{process}/comm").read().strip(), total >> 20))
control.kill()
print("MEMORY", sorted(found), "in", read)
"#;

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
        let places = "/home /run /etc /tmp /dev/shm /var/lib/agent /opt/agent/config \
            /proc/[0-9]*/environ /proc/[0-9]*/cmdline";
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
    // In the memory of all processes at once, since the agent's takes a while to read.
    let halves = secrets.iter().map(|secret| {
        let (head, tail) = secret.split_at(secret.len() / 2);
        format!("{head} {tail}")
    });
    let command = format!(
        "echo {} | base64 -d > /tmp/memory.py; python3 /tmp/memory.py {}",
        STANDARD.encode(SEARCH_MEMORY),
        halves.collect::<Vec<_>>().join(" ")
    );
    ask(&mut viewer, &format!("[[bash command=\"{command}\"]]")).await?;
    assert_eq!(
        end_of_prompt(&mut viewer, secrets.len() + 2).await?,
        PromptOutcome::Completed
    );
    let control = secrets.len() - 1;
    let expected = format!("MEMORY [{control}]");
    let outputs: Vec<_> = viewer.finished.values().collect();
    assert!(
        outputs.iter().any(|text| text.contains(&expected)),
        "{:?}",
        outputs.last()
    );
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
