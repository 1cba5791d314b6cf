//! Where a sandbox goes: to its snapshot, or to a runner that can get it from the depot; without one
//! to a warm one, else to its image, else to the most room. A sandbox stays where it was placed, so
//! that asking twice never starts it twice.

use std::cmp::Reverse;

use protocol::api::MissReason;
use protocol::callback::Register;
use protocol::command::Model;
use protocol::image::Base;
use protocol::{Millis, RunnerId, SandboxId};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::pool::{self, FIGURES_DAYS, Free};
use super::runners;
use crate::platform::sql::{Sql, Value};
use crate::session::machine::Kept;
use crate::session::store::StoreError;

/// What a session wants of its sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub base: Base,
    pub model: Model,
    /// The session goes on from it; a warm sandbox would be without its files.
    pub snapshot: Option<Kept>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    pub runner: RunnerId,
    pub url: String,
    /// The entry of the runner's pool that was leased.
    pub warm: Option<SandboxId>,
    /// Why here and how, for people.
    pub reason: String,
}

/// How a placement came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Warm,
    Miss(MissReason),
    Woken,
    SnapshotAway,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Miss(MissReason::PoolEmpty) => "pool_empty",
            Self::Miss(MissReason::BudgetSpent) => "budget_spent",
            Self::Miss(MissReason::OlderImage) => "older_image",
            Self::Miss(MissReason::OtherModel) => "other_model",
            Self::Miss(MissReason::NoImage) => "no_image",
            Self::Woken => "woken",
            Self::SnapshotAway => "snapshot_away",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let misses = [
            MissReason::PoolEmpty,
            MissReason::BudgetSpent,
            MissReason::OlderImage,
            MissReason::OtherModel,
            MissReason::NoImage,
        ];
        [Self::Warm, Self::Woken, Self::SnapshotAway]
            .into_iter()
            .chain(misses.map(Self::Miss))
            .find(|kind| kind.as_str() == text)
    }
}

/// A runner with room.
struct Candidate {
    register: Register,
    room: i64,
}

/// What the pools have for a base.
struct Stock {
    free: Vec<Free>,
    /// Nothing, for want of money.
    is_spent: bool,
}

struct Choice {
    runner: RunnerId,
    warm: Option<SandboxId>,
    kind: Kind,
    reason: String,
}

/// The runner that `sandbox` is to be started by; `None` while no runner has room.
pub fn place(
    sql: &impl Sql,
    sandbox: &SandboxId,
    wish: &Wish,
    budget: &Budget,
    now: Millis,
) -> Result<Option<Placement>, StoreError> {
    let present = runners::present(sql, now)?;
    let rows = sql.run(
        "SELECT runner, warm, reason FROM placements WHERE sandbox = ?",
        &[sandbox.as_str().into()],
    )?;
    if let Some(row) = rows.first() {
        let warm = row.text(1).ok();
        let known = present
            .into_iter()
            .find(|known| row.text(0).is_ok_and(|id| id == known.runner.as_str()));
        return Ok(match known {
            Some(known) => Some(Placement {
                runner: known.runner,
                url: known.url,
                warm: warm.and_then(|warm| SandboxId::parse(warm).ok()),
                reason: row.text(2)?.to_owned(),
            }),
            None => None,
        });
    }
    let mut candidates = Vec::new();
    for register in &present {
        let room = runners::room(sql, register, now)?;
        if room > 0 {
            let register = register.clone();
            candidates.push(Candidate { register, room });
        }
    }
    let mut free = pool::free(sql, &wish.base)?;
    free.retain(|entry| present.iter().any(|known| known.runner == entry.runner));
    let stock = Stock {
        is_spent: free.is_empty() && pool::is_spent(sql, budget, now)?,
        free,
    };
    let Some(choice) = choose(&present, &candidates, &stock, wish, now)? else {
        return Ok(None);
    };
    record(sql, sandbox, wish, &choice, now)?;
    let url = present
        .into_iter()
        .find(|known| known.runner == choice.runner)
        .map(|known| known.url);
    Ok(url.map(|url| Placement {
        runner: choice.runner,
        url,
        warm: choice.warm,
        reason: choice.reason,
    }))
}

/// The address of the runner that has `sandbox`, if it was placed.
pub fn find(sql: &impl Sql, sandbox: &SandboxId) -> Result<Option<String>, StoreError> {
    let rows = sql.run(
        "SELECT runners.json FROM placements JOIN runners ON runners.id = placements.runner
         WHERE placements.sandbox = ?",
        &[sandbox.as_str().into()],
    )?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let register: Register = serde_json::from_str(row.text(0)?)?;
    Ok(Some(register.url))
}

fn choose(
    present: &[Register],
    candidates: &[Candidate],
    stock: &Stock,
    wish: &Wish,
    now: Millis,
) -> Result<Option<Choice>, serde_json::Error> {
    let newest = runners::newest_image(present, &wish.base);
    let image = newest.map(|held| &held.image);
    let holds = |candidate: &Candidate| {
        let images = &candidate.register.images;
        image.is_some() && images.iter().any(|held| Some(&held.image) == image)
    };
    let best = candidates
        .iter()
        .max_by_key(|candidate| (holds(candidate), candidate.room));
    let Some(best) = best else {
        return Ok(None);
    };
    let cold = |kind, reason| Choice {
        runner: best.register.runner.clone(),
        warm: None,
        kind,
        reason,
    };
    if let Some(kept) = &wish.snapshot {
        let is_its = |runner: &RunnerId| kept.runner.as_ref() == Some(runner);
        let its = candidates
            .iter()
            .find(|candidate| is_its(&candidate.register.runner));
        return Ok(Some(match its {
            Some(candidate) => Choice {
                runner: candidate.register.runner.clone(),
                warm: None,
                kind: Kind::Woken,
                reason: "woken from its snapshot".to_owned(),
            },
            None => {
                let there = present.iter().any(|known| is_its(&known.runner));
                let trouble = if there { "full" } else { "gone" };
                let shared = candidates
                    .iter()
                    .filter(|candidate| candidate.register.depot)
                    .max_by_key(|candidate| (holds(candidate), candidate.room));
                match shared {
                    Some(candidate) => Choice {
                        runner: candidate.register.runner.clone(),
                        warm: None,
                        kind: Kind::SnapshotAway,
                        reason: format!("its runner is {trouble}: from the depot"),
                    },
                    None => {
                        let reason = format!(
                            "its runner, which has its snapshot, is {trouble}, and there is no depot"
                        );
                        cold(Kind::SnapshotAway, reason)
                    }
                }
            }
        }));
    }
    let model = serde_json::to_string(&wish.model)?;
    let room = |runner: &RunnerId| {
        let mut hosts = candidates.iter();
        hosts
            .find(|host| host.register.runner == *runner)
            .map(|host| host.room)
    };
    let free = &stock.free;
    let of_model = || free.iter().filter(|entry| entry.model == model);
    let is_newest = |entry: &&Free| image.is_none_or(|image| entry.image == image.as_str());
    let usable = of_model().filter(is_newest);
    let best = usable
        .filter_map(|entry| Some((room(&entry.runner)?, entry)))
        .max_by_key(|(room, entry)| (*room, Reverse(entry.sandbox.clone())));
    if let Some((_, entry)) = best {
        return Ok(Some(Choice {
            runner: entry.runner.clone(),
            warm: Some(entry.sandbox.clone()),
            kind: Kind::Warm,
            reason: "warm".to_owned(),
        }));
    }
    let Some(newest) = newest else {
        let reason = "no image yet: from a fresh clone".to_owned();
        return Ok(Some(cold(Kind::Miss(MissReason::NoImage), reason)));
    };
    let (kind, why) = if stock.is_spent {
        (
            MissReason::BudgetSpent,
            "the pool's budget of today is spent",
        )
    } else if free.is_empty() || of_model().any(|entry| is_newest(&entry)) {
        (MissReason::PoolEmpty, "pool empty")
    } else if of_model().next().is_some() {
        (MissReason::OlderImage, "the pool's image is outdated")
    } else {
        (MissReason::OtherModel, "another model than the pool's")
    };
    let age = ago(now.since(newest.built_at));
    let reason = format!("{why}: from the image of {age} ago");
    Ok(Some(cold(Kind::Miss(kind), reason)))
}

/// The lease and the placement that it is for, both or neither.
fn record(
    sql: &impl Sql,
    sandbox: &SandboxId,
    wish: &Wish,
    choice: &Choice,
    now: Millis,
) -> Result<(), StoreError> {
    let base = serde_json::to_string(&wish.base)?;
    let model = serde_json::to_string(&wish.model)?;
    sql.transaction(&mut || {
        if let Some(warm) = &choice.warm {
            pool::lease(sql, warm, sandbox)?;
        }
        sql.run(
            "DELETE FROM placements WHERE placed_at < ?",
            &[now.plus(-FIGURES_DAYS * 86_400_000).0.into()],
        )?;
        sql.run(
            "INSERT INTO placements (sandbox, runner, placed_at, warm, kind, reason, base, model)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                sandbox.as_str().into(),
                choice.runner.as_str().into(),
                now.0.into(),
                choice
                    .warm
                    .as_ref()
                    .map_or(Value::Null, |warm| warm.as_str().into()),
                choice.kind.as_str().into(),
                choice.reason.as_str().into(),
                base.as_str().into(),
                model.as_str().into(),
            ],
        )?;
        Ok(())
    })?;
    Ok(())
}

/// A length of time in the one unit that tells enough.
fn ago(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
