//! Real programs, which have to work as on any machine.

use libtest_mimic::{Failed, Trial};

use super::{Workspace, trial};

const SHELL: &str = r#"
    set -euo pipefail
    test "$(printf 'b\na\n' | sort | tr -d '\n')" = ab
    test "$(cat <(echo one) <(echo two) | wc -l)" = 2
    echo three > >(cat > three); wait $!; test "$(cat three)" = three
    test "$(cat <<< four)" = four
    mkfifo pipe; echo five > pipe & test "$(cat pipe)" = five; wait
    (sleep 60 & kill $!; wait $! || test $? = 143)
    mkdir -p a/b; echo x > a/b/f; mv a/b/f a/f; ln a/f g; ln -s a/f h; cp -a a c; rm -r a; chmod 600 g
    echo agent > /proc/self/comm; echo > /dev/null; head -c 4 /dev/urandom > random
    tar -c c | gzip | tar -tz > /dev/null
    script -qec 'test -t 0 && stty size' /dev/null > /dev/null
    timeout 10 true; nice true; find / -maxdepth 1 > /dev/null
    echo done
"#;

const GIT: &str = r#"
    set -euo pipefail
    git init -q -b main repository; cd repository
    git config user.name agent; git config user.email agent@example.com
    for i in 1 2 3; do echo $i > file; git add file; git commit -qm "commit $i"; done
    git gc -q; git worktree add -q ../tree -b side
    cd ..; git clone -q repository copy; git clone -q "file://$PWD/repository" other
    git -C copy log --oneline | wc -l
"#;

const PYTHON: &str = r#"
import asyncio, ctypes, ctypes.util, fcntl, mmap, multiprocessing, os, pty, select, signal, socket, sqlite3
import subprocess, tempfile, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory

def square(x): return x * x

if __name__ == "__main__":
    with ThreadPoolExecutor(8) as pool: assert sum(pool.map(square, range(10))) == 285
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool: assert sum(pool.map(square, range(10))) == 285
    queue = multiprocessing.Queue(); queue.put(1); assert queue.get() == 1
    with multiprocessing.Manager() as manager: assert list(manager.list([1])) == [1]
    memory = shared_memory.SharedMemory(create=True, size=64); memory.close(); memory.unlink()
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    assert os.posix_spawn("/bin/true", ["true"], {}) > 0 and os.wait()[1] == 0

    async def echo():
        async def serve(reader, writer):
            writer.write(await reader.read(4)); await writer.drain(); writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping"); assert await reader.read(4) == b"ping"
        process = await asyncio.create_subprocess_exec("true"); assert await process.wait() == 0
    asyncio.run(echo())
    left, right = socket.socketpair(); left.send(b"x"); assert right.recv(1) == b"x"
    assert socket.if_nameindex() and socket.getaddrinfo("127.0.0.1", 80)
    database = sqlite3.connect("file.db"); database.execute("pragma journal_mode=wal")
    database.execute("create table t(x)"); database.commit()
    child, terminal = pty.fork()
    if child == 0: os._exit(0 if os.isatty(0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    descriptor = os.memfd_create("m"); os.ftruncate(descriptor, 4096)
    mmap.mmap(descriptor, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0: time.sleep(60)
    assert libc.ptrace(16, child, 0, 0) == 0, ctypes.get_errno()
    os.waitpid(child, 0); os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
    print("done")
"#;

const NODE: &str = r#"
const assert = require('node:assert');
const { Worker } = require('node:worker_threads');
const { once } = require('node:events');
const child = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
(async () => {
  const worker = new Worker("require('node:worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
  assert.deepEqual(await once(worker, 'message'), [42]);
  fs.mkdirSync('watched');
  const watcher = fs.watch('watched');
  const change = once(watcher, 'change');
  fs.writeFileSync('watched/file', 'x');
  assert.equal((await change)[1], 'file');
  watcher.close();
  assert.equal(child.execFileSync('sh', ['-c', 'echo hi']).toString(), 'hi\n');
  fs.writeFileSync('child.js', "process.send('up')");
  const forked = child.fork('child.js');
  assert.deepEqual((await once(forked, 'message'))[0], 'up');
  const server = http.createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const response = await fetch(`http://127.0.0.1:${server.address().port}`);
  assert.equal(await response.text(), 'ok');
  server.close(); server.closeAllConnections();
  require('node:os').networkInterfaces(); require('node:crypto').randomBytes(8);
  console.log('done');
})();
"#;

const CARGO: &str = r#"
    set -euo pipefail
    export CARGO_TERM_COLOR=never
    cargo new -q --vcs none hello; cd hello
    echo 'use std::thread; fn main() { thread::scope(|s| { s.spawn(|| println!("hello")); }); }
          #[test] fn works() { assert!(std::process::Command::new("true").status().unwrap().success()); }' > src/main.rs
    cargo test -q --offline >&2
    cargo run -q --offline
"#;

const C: &str = r#"
    set -euo pipefail
    echo '#include <stdio.h>
    int main(void) { puts("hello"); return 0; }' > hello.c
    printf 'hello: hello.c\n\tgcc -fsanitize=thread -o $@ $<\n' > Makefile
    make -s -j2 hello; ./hello
"#;

pub fn trials() -> Vec<Trial> {
    [
        ("a_shell_works", "bash", "-c", SHELL, "done\n"),
        ("git_works", "bash", "-c", GIT, "3\n"),
        ("python_works", "/usr/bin/python3", "", PYTHON, "done\n"),
        ("node_works", "node", "-e", NODE, "done\n"),
        ("cargo_works", "bash", "-c", CARGO, "hello\n"),
        (
            "a_compiler_with_a_sanitizer_works",
            "bash",
            "-c",
            C,
            "hello\n",
        ),
    ]
    .into_iter()
    .map(|(name, program, option, text, output)| {
        trial(name, move || check(program, option, text, output))
    })
    .collect()
}

fn check(program: &str, option: &str, text: &str, expected: &str) -> Result<(), Failed> {
    let workspace = Workspace::new();
    let output = if option.is_empty() {
        // From a file: processes that are spawned read it again.
        let file = workspace.0.path().join("program");
        std::fs::write(&file, text)?;
        workspace.succeed(program, &[file.as_os_str()])?
    } else {
        workspace.succeed(program, &[option, text])?
    };
    if output != expected {
        return Err(format!("{program} wrote {output:?}").into());
    }
    Ok(())
}
