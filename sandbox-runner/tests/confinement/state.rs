//! What a confined process is, and which files it reaches.

use libtest_mimic::{Failed, Trial};

use super::{Workspace, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("all_capability_sets_are_empty", || {
            let status = status()?;
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                expect(&status, &format!("{set}:\t0000000000000000\n"))?;
            }
            Ok(())
        }),
        trial("the_user_is_the_agent_in_every_way", || {
            let status = status()?;
            expect(&status, "Uid:\t1000\t1000\t1000\t1000\n")?;
            expect(&status, "Gid:\t1000\t1000\t1000\t1000\n")?;
            expect(&status, "Groups:\t \n")
        }),
        trial("root_of_a_namespace_alone_is_confined_as_well", || {
            // Without the host's root, groups cannot be given up.
            let workspace = Workspace::new();
            let program = workspace.0.path().join("program");
            std::fs::copy(std::env::current_exe()?, &program)?;
            open_to_all(&program)?;
            open_to_all(workspace.0.path())?;
            let output = std::process::Command::new("setpriv")
                .args(["--reuid=20001", "--regid=20001", "--groups=20001,20002"])
                .args(["unshare", "--user", "--map-user=1000", "--map-group=1000"])
                .arg("--keep-caps")
                .arg(&program)
                .args(["confine", "cat", "/proc/self/status"])
                .output()?;
            let status = String::from_utf8(output.stdout)?;
            expect(&status, "Uid:\t1000\t1000\t1000\t1000\n")?;
            expect(&status, "CapBnd:\t0000000000000000\n")?;
            expect(&status, "CapEff:\t0000000000000000\n")?;
            expect(&status, "Seccomp:\t2\n")
        }),
        trial("new_privileges_are_ruled_out", || {
            expect(&status()?, "NoNewPrivs:\t1\n")
        }),
        trial("one_filter_is_installed", || {
            let status = status()?;
            expect(&status, "Seccomp:\t2\n")?;
            expect(&status, "Seccomp_filters:\t1\n")
        }),
        trial("resource_limits_are_hard", || {
            // The host's own limit holds where it is lower.
            let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
            let files = files.unwrap_or(u64::MAX).min(65_536);
            let limits = Workspace::new().succeed("cat", &["/proc/self/limits"])?;
            for (name, value) in [
                ("Max open files", files),
                ("Max file size", 16 << 30),
                ("Max core file size", 0),
                ("Max locked memory", 8 << 20),
                ("Max processes", 1024),
                ("Max realtime priority", 0),
            ] {
                let line = limits.lines().find_map(|line| line.strip_prefix(name));
                let fields: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
                let value = value.to_string();
                if fields.get(..2) != Some(&[value.as_str(), &value]) {
                    return Err(format!("{name}: {line:?}").into());
                }
            }
            Ok(())
        }),
        trial("a_place_outside_the_view_cannot_be_read", || {
            // Everybody may, says its mode.
            let place = tempfile::tempdir_in("/work").or_else(|_| tempfile::tempdir_in("/mnt"))?;
            let file = place.path().join("file");
            std::fs::write(&file, "text")?;
            open_to_all(place.path())?;
            open_to_all(&file)?;
            fails("cat", &[file.as_os_str()], "Permission denied")
        }),
        trial("the_system_cannot_be_written", || {
            let file = tempfile::NamedTempFile::new_in("/usr/share")?;
            open_to_all(file.path())?;
            let script = format!("echo changed > {}", file.path().display());
            fails("bash", &["-c", &script], "Permission denied")
        }),
        trial("the_root_can_be_listed", || {
            expect(&Workspace::new().succeed("ls", &["/"])?, "usr\n")
        }),
        trial("a_program_of_another_architecture_is_killed", || {
            // The 32-bit way to call: exit(0), if it were let.
            let source =
                "int main(void){__asm__ volatile(\"int $0x80\"::\"a\"(1),\"b\"(0));return 1;}";
            let script = format!("echo '{source}' > a.c && gcc -o a a.c && ./a; echo $?");
            expect(
                &Workspace::new().succeed("bash", &["-c", &script])?,
                "159\n",
            )
        }),
        trial("a_process_outside_cannot_be_signalled", || {
            // Of the same user, so only the scope of the domain stands between them.
            let mut other = std::os::unix::process::CommandExt::uid(
                &mut std::process::Command::new("sleep"),
                1000,
            )
            .arg("60")
            .spawn()?;
            let killed = fails("kill", &[other.id().to_string()], "not permitted");
            other.kill()?;
            other.wait()?;
            killed
        }),
        trial("an_abstract_socket_outside_cannot_be_reached", || {
            use std::os::linux::net::SocketAddrExt;
            let name = format!("confinement-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name)?;
            let _listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
            let script =
                format!("import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')");
            fails("/usr/bin/python3", &["-c", &script], "PermissionError")
        }),
    ]
}

fn status() -> Result<String, Failed> {
    Workspace::new().succeed("cat", &["/proc/self/status"])
}

fn expect(text: &str, part: &str) -> Result<(), Failed> {
    if text.contains(part) {
        return Ok(());
    }
    Err(format!("{part:?} is not in {text}").into())
}

fn fails(
    program: &str,
    arguments: &[impl AsRef<std::ffi::OsStr>],
    message: &str,
) -> Result<(), Failed> {
    let output = Workspace::new().run(program, arguments);
    if output.status.success() {
        return Err(format!("{program} succeeded: {output:?}").into());
    }
    expect(&String::from_utf8_lossy(&output.stderr), message)
}

fn open_to_all(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
