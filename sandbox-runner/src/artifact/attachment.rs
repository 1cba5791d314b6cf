//! What a prompt comes with: fetched from the Worker, checked, and put into the sandbox's home, beside the
//! workspace so that no commit has it. Doing it twice changes nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::SandboxId;
use protocol::command::Attachment;
use protocol::event::Artifact;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use crate::agent::{Enclosure, Picture};
use crate::callback::sender::backoff;
use crate::clock;
use crate::init::wire::{ExecSpec, Exit};
use crate::sandbox::channel::ChannelError;
use crate::sandbox::{SandboxBackend, SandboxError};
use crate::worker::{Worker, WorkerError};

/// Where they are inside a sandbox. A snapshot of the home has them.
const DIRECTORY: &str = "/home/agent/attachments";
/// How long all of a prompt's attachments may take: somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(60);
const WRITING: Duration = Duration::from_secs(30);
/// What is sent into a sandbox at once. As base64 it has to fit into one request.
const CHUNK: usize = 6 << 20;
/// The largest picture that a model is shown: providers take 5 MB, counted as base64. The agent gets a
/// larger one as a file only.
const LARGEST_SHOWN: usize = 3_750_000;
/// How much of an identifier tells two files of one name apart.
const MARK: usize = 6;

/// A piece of a file on standard input, as base64, goes to the end of `$1/.$2.part`.
const APPEND: &str = r#"set -e; mkdir -p "$1"; base64 -d >> "$1/.$2.part""#;
const BEGIN: &str = r#"set -e; mkdir -p "$1"; : > "$1/.$2.part""#;
const END: &str = r#"mv -f "$1/.$2.part" "$1/$2""#;

#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    #[error("failed to fetch {name}")]
    Fetch {
        name: String,
        #[source]
        source: WorkerError,
    },
    #[error("{name} did not arrive as it was sent")]
    Changed { name: String },
    #[error("failed to put {name} into the sandbox")]
    Put {
        name: String,
        #[source]
        source: SandboxError,
    },
    #[error("failed to follow how {name} is put into the sandbox")]
    Follow {
        name: String,
        #[source]
        source: ChannelError,
    },
    #[error("{name} could not be written in the sandbox: {complaint}")]
    Write { name: String, complaint: String },
}

/// Fetches and places all of them; returns what the agent is given beside the prompt's text.
pub async fn enclose(
    worker: &Worker,
    backend: &dyn SandboxBackend,
    place: &SandboxId,
    attachments: &[Attachment],
) -> Result<Enclosure, AttachmentError> {
    let mut enclosure = Enclosure::default();
    if attachments.is_empty() {
        return Ok(enclosure);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut lines = vec!["Files that came with this prompt are in the sandbox:".to_owned()];
    for attachment in attachments {
        let artifact = &attachment.artifact;
        let bytes = fetch(worker, attachment, deadline).await?;
        let name = file_name(artifact);
        put(backend, place, &name, &bytes).await?;
        lines.push(format!(
            "- {DIRECTORY}/{name} ({}, {} bytes)",
            artifact.media_type, artifact.bytes
        ));
        if artifact.is_picture() && bytes.len() <= LARGEST_SHOWN {
            enclosure.pictures.push(Picture {
                name: artifact.name.clone(),
                media_type: artifact.media_type.clone(),
                bytes,
            });
        }
    }
    enclosure.note = Some(lines.join("\n"));
    Ok(enclosure)
}

async fn fetch(
    worker: &Worker,
    attachment: &Attachment,
    deadline: Instant,
) -> Result<Vec<u8>, AttachmentError> {
    let Artifact { name, bytes, .. } = &attachment.artifact;
    let most = usize::try_from(*bytes).unwrap_or(usize::MAX);
    let mut failures = 0;
    loop {
        let fetched = worker.get(&attachment.url, most).await;
        let source = match fetched {
            Ok(answer) if answer.status.is_success() => {
                let digest = hex(&Sha256::digest(&answer.body));
                let is_whole = answer.body.len() as u64 == *bytes
                    && attachment
                        .sha256
                        .as_ref()
                        .is_none_or(|known| *known == digest);
                return match is_whole {
                    true => Ok(answer.body),
                    false => Err(AttachmentError::Changed { name: name.clone() }),
                };
            }
            Ok(answer) => answer.refusal(),
            Err(error) => error,
        };
        let is_final =
            matches!(&source, WorkerError::Refused { status, .. } if status.is_client_error());
        let wait = backoff(failures, clock::random());
        if is_final || Instant::now() + wait >= deadline {
            let name = name.clone();
            return Err(AttachmentError::Fetch { name, source });
        }
        failures += 1;
        sleep(wait).await;
    }
}

async fn put(
    backend: &dyn SandboxBackend,
    place: &SandboxId,
    name: &str,
    bytes: &[u8],
) -> Result<(), AttachmentError> {
    let run = async |script: &str, input: Option<&[u8]>| {
        let mut spec = ExecSpec::new(["sh", "-c", script, "sh", DIRECTORY, name], WRITING);
        if let Some(input) = input {
            spec = spec.stdin(&STANDARD.encode(input));
        }
        let running = backend.exec(place, &spec).await;
        let running = running.map_err(|source| AttachmentError::Put {
            name: name.to_owned(),
            source,
        })?;
        let output = running.output().await;
        let output = output.map_err(|source| AttachmentError::Follow {
            name: name.to_owned(),
            source,
        })?;
        match output.exit {
            Exit::Code(0) => Ok(()),
            _ => Err(AttachmentError::Write {
                name: name.to_owned(),
                complaint: String::from_utf8_lossy(&output.stderr)
                    .trim()
                    .chars()
                    .take(300)
                    .collect(),
            }),
        }
    };
    run(BEGIN, None).await?;
    for piece in bytes.chunks(CHUNK) {
        run(APPEND, Some(piece)).await?;
    }
    run(END, None).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name that is a plain argument of any program, and no other attachment's.
fn file_name(artifact: &Artifact) -> String {
    let id = artifact.id.as_str();
    let mark = id.get(id.len().saturating_sub(MARK)..).unwrap_or(id);
    let plain: String = artifact
        .name
        .chars()
        .map(|letter| match letter {
            letter if letter.is_alphanumeric() || "._-".contains(letter) => letter,
            _ => '-',
        })
        .take(80)
        .collect();
    format!("{mark}-{plain}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::ArtifactId;

    use super::*;

    #[test]
    fn a_name_is_one_plain_word_in_one_folder() {
        let named = |name: &str| {
            file_name(&Artifact {
                id: ArtifactId::parse("art_000000abcdef").unwrap(),
                name: name.to_owned(),
                media_type: "image/png".to_owned(),
                bytes: 1,
                caption: None,
            })
        };
        assert_eq!(named("shot.png"), "abcdef-shot.png");
        assert_eq!(named("../a b/$(x).png"), "abcdef-..-a-b---x-.png");
        assert_eq!(named("größe.png"), "abcdef-größe.png");
    }
}
