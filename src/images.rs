//! The registry of images: who asks for one, which runner makes it, how that goes.
//!
//! D1 holds the truth, and each step is one statement of it ([`crate::database::images`]), so any
//! Worker may take the next step at any time and none has to live on. Requests that wait are given
//! out by [`dispatch`]: after each request and each end of a build, whenever a runner registers,
//! and by the cron, which also gives up builds that nobody works on ([`refresh`]).

pub mod checks;
pub mod decision;
pub mod refresh;

use std::time::Duration;

use protocol::callback::{ImageReport, MAX_LOG, MAX_LOG_CHUNK, Register};
use protocol::command::{BuildImage, Command};
use protocol::image::{Base, ImageOutcome, Specification};
use protocol::{ImageId, Millis};
use worker::Env;

use self::decision::Piece;
use crate::database::images::{Row, Wish};
use crate::database::{self, Database, DatabaseError};
use crate::error::Error;
use crate::github::event::Push;
use crate::platform::{clock, http, random};
use crate::session::machine::Refusal;
use crate::{config, fleet};

/// Builds that one runner has at a time.
pub const BUILDS_PER_RUNNER: u32 = 2;

const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// A build that a runner did not accept is offered again after this, at most so often.
const OFFER_AGAIN_MS: i64 = 15_000;
const MAX_OFFERS: i64 = 5;

/// Requests that are given out in one go.
const DISPATCHED_AT_ONCE: i64 = 8;

/// Longest reason and message that are kept.
const MAX_MESSAGE: usize = 8 * 1024;

/// Notes a wish; answers the image that will fulfil it, which may be under way already.
pub async fn request(database: &Database, wish: &Wish<'_>) -> Result<ImageId, Error> {
    let fresh = ImageId::from_random(random::bytes()?);
    Ok(database::images::request(database, &fresh, wish, clock::now()).await?)
}

/// Gives requests that are due to runners that have room, and tells about failures in the log
/// only: whoever causes a dispatch has done their own part.
pub async fn dispatch(env: &Env, database: &Database) {
    if let Err(error) = try_dispatch(env, database).await {
        error.log();
    }
}

async fn try_dispatch(env: &Env, database: &Database) -> Result<(), Error> {
    let due = database::images::due(database, clock::now(), DISPATCHED_AT_ONCE).await?;
    for row in due {
        let running = database::images::running(database).await?;
        let Some(runner) = fleet::place_build(env, &row.base(), running).await? else {
            return Ok(());
        };
        let now = clock::now();
        let most = BUILDS_PER_RUNNER;
        if !database::images::claim(database, &row.id, &runner.runner, most, now).await? {
            continue;
        }
        if let Err(error) = offer(env, database, &row, &runner).await {
            take_back(database, &row, row.attempts + 1, &error.to_string()).await?;
            return Err(error);
        }
    }
    Ok(())
}

/// Sends a claimed build to its runner.
async fn offer(env: &Env, database: &Database, row: &Row, runner: &Register) -> Result<(), Error> {
    let base = row.base();
    // Read after the claim: a specification that is set from now on gets a build of its own.
    let settings = database::repositories::settings(database, &base.repository).await?;
    let Some(specification) = specification_of(database, &base).await? else {
        let message = "the environment was deleted".to_owned();
        return fail(database, &row.id, message).await;
    };
    let command = Command::BuildImage(BuildImage {
        callback_url: format!("{}/runner/images/{}", config::public_url(env)?, row.id),
        image: row.id.clone(),
        base,
        specification,
        egress: Some(settings.egress),
        force: row.forced != 0,
    });
    let keys = config::runner_keys(env)?;
    let answer =
        http::post_signed(&keys, &runner.url, "/commands", &command, COMMAND_DEADLINE).await;
    let reason = match answer {
        Ok(answer) if answer.status == 202 => return Ok(()),
        Ok(answer) => format!("{} answered {}", runner.url, answer.status),
        Err(error) => error.to_string(),
    };
    worker::console_warn!("a build was not accepted: image={} reason={reason}", row.id);
    take_back(database, row, row.attempts + 1, &reason).await
}

/// Lets a build that no runner works on wait for another offer, unless it was offered often enough.
async fn take_back(database: &Database, row: &Row, offers: i64, reason: &str) -> Result<(), Error> {
    let again = clock::now().plus(OFFER_AGAIN_MS);
    if offers < MAX_OFFERS && database::images::release(database, &row.id, again).await? {
        return Ok(());
    }
    let known = database::images::find(database, &row.id).await?;
    if known.is_some_and(|known| known.log_bytes > 0) {
        // It was accepted after all.
        return Ok(());
    }
    let message = format!("no runner accepted the build ({reason}): ask for the image again");
    fail(database, &row.id, message).await
}

async fn fail(database: &Database, image: &ImageId, message: String) -> Result<(), Error> {
    let outcome = ImageOutcome::Failed { message };
    Ok(database::images::finish(database, image, &outcome, clock::now()).await?)
}

/// What a base is to hold. `None` if its environment is no more.
pub async fn specification_of(
    database: &Database,
    base: &Base,
) -> Result<Option<Option<Specification>>, DatabaseError> {
    let repository = &base.repository;
    let Some(name) = &base.environment else {
        let settings = database::repositories::settings(database, repository).await?;
        return Ok(Some(settings.specification));
    };
    let found = database::environments::find(database, repository, name).await?;
    Ok(found.map(|environment| Some(environment.specification)))
}

/// What becomes of a runner's report.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The log is held up to here; nothing more is expected after an outcome.
    Received(u64),
    /// The report leaves a gap: the log is held up to here.
    Gap(u64),
}

/// Takes a runner's report. Each can be taken twice.
pub async fn report(
    env: &Env,
    database: &Database,
    image: &ImageId,
    report: ImageReport,
) -> Result<Taken, Error> {
    if report.log.len() > MAX_LOG_CHUNK {
        let message = format!("a piece of a log has at most {MAX_LOG_CHUNK} bytes");
        return Err(Error::invalid("body_too_large", message));
    }
    let end = report.log_offset.saturating_add(report.log.len() as u64);
    if end > (MAX_LOG + MAX_LOG_CHUNK) as u64 {
        let message = format!("a log has at most {MAX_LOG} bytes");
        return Err(Error::invalid("body_too_large", message));
    }
    let row = match (found(database, image).await, &report.base) {
        // One that a session needed before anybody asked.
        (Err(Error::NotFound(_)), Some(base)) => {
            let (runner, now) = (&report.runner, clock::now());
            database::images::admit(database, image, base, runner, now).await?;
            found(database, image).await.map_err(|_| Refusal::Void)?
        }
        (row, _) => row?,
    };
    if row.is_finished() {
        return Ok(Taken::Received(end));
    }
    let now = clock::now();
    if row.runner.as_ref() != Some(&report.runner) {
        // The build was taken back because no answer came, but the runner has it.
        let is_free = row.runner.is_none();
        let runner = &report.runner;
        if !is_free || !database::images::claim(database, image, runner, u32::MAX, now).await? {
            return Err(Refusal::Void.into());
        }
    }
    let held = u64::try_from(row.log_bytes).unwrap_or(0);
    match decision::piece(held, &report) {
        Piece::Gap => return Ok(Taken::Gap(held)),
        Piece::Anew(text) => database::image_logs::begin_anew(database, image, text, now).await?,
        Piece::Next(text) => {
            database::image_logs::append(database, image, held, text, now).await?;
        }
        Piece::Repeated => database::images::touch(database, image, now).await?,
    }
    let held = u64::try_from(found(database, image).await?.log_bytes).unwrap_or(0);
    if held < end {
        return Ok(Taken::Gap(held));
    }
    if let Some(outcome) = report.outcome {
        database::images::finish(database, image, &shortened(outcome), now).await?;
        dispatch(env, database).await;
    }
    Ok(Taken::Received(held))
}

async fn found(database: &Database, image: &ImageId) -> Result<Row, Error> {
    let row = database::images::find(database, image).await?;
    row.ok_or(Error::NotFound("image"))
}

fn shortened(outcome: ImageOutcome) -> ImageOutcome {
    match outcome {
        ImageOutcome::Ready(mut built) => {
            shorten(&mut built.reason);
            ImageOutcome::Ready(built)
        }
        ImageOutcome::Failed { mut message } => {
            shorten(&mut message);
            ImageOutcome::Failed { message }
        }
        unchanged @ ImageOutcome::Unchanged { .. } => unchanged,
    }
}

fn shorten(text: &mut String) {
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        text.push('…');
    }
}

/// Asks for images of what a push moved. A runner's next registration has them built: many pushes
/// until then are one build, and GitHub is answered at once.
pub async fn pushed(database: &Database, push: &Push) -> Result<(), Error> {
    let Push {
        repository,
        branch,
        head,
        ..
    } = push;
    let bases = database::bases::of_branch(database, repository, branch).await?;
    if bases.is_empty() {
        return Ok(());
    }
    let now = clock::now();
    for base in &bases {
        let rows = database::images::of_base(database, base).await?;
        let not_before = decision::not_before(&rows, now);
        // What a push does not change is the cron's to find out.
        want(database, base, head, &rows, false, not_before).await?;
    }
    Ok(database::bases::checked(database, repository, branch, Some(head), now).await?)
}

/// Asks for an image of a base whose branch is at `head`, if it needs one: see
/// [`decision::why_build`].
async fn want(
    database: &Database,
    base: &Base,
    head: &str,
    rows: &[Row],
    is_stale: bool,
    not_before: Millis,
) -> Result<(), Error> {
    if let Some(reason) = decision::why_build(&base.branch, head, rows, is_stale, clock::now()) {
        let wish = Wish {
            base,
            reason: &reason,
            forced: false,
            head: Some(head),
            requested_by: None,
            not_before,
            behind: true,
        };
        request(database, &wish).await?;
    }
    Ok(())
}

/// A person's wish.
pub fn wish<'a>(base: &'a Base, reason: &'a str, by: &'a str, now: Millis) -> Wish<'a> {
    Wish {
        base,
        reason,
        forced: false,
        head: None,
        requested_by: Some(by),
        not_before: now,
        behind: false,
    }
}
