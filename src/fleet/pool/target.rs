//! How many warm sandboxes there should be, and which runner is to hold them: pure.
//!
//! Enough for what is asked for while another one is made, twice over; at least one for what was
//! asked for lately; never more than a runner has room for with one place left for a session, than its
//! memory budget allows, and than the deployment's budget of money pays for.

use std::collections::BTreeMap;

use protocol::callback::{PoolTarget, Register};
use protocol::command::Model;
use protocol::image::Base;
use protocol::{Millis, RunnerId};

use crate::fleet::runners;

/// About what it takes to make a pool entry: mount, start the agent, pay for its first prompt.
/// On a busy machine, since it is a busy time when the pool matters.
const MAKING_MS: u64 = 15_000;

/// The rate is taken over this time.
const HOUR_MS: u64 = 3_600_000;

/// What nobody asked for in this time needs no warm sandbox.
const RECENT_MS: u64 = 30 * 60_000;

/// An entry holds about 400 MB; more than these for one base would be idle most of the time.
const MOST: u64 = 5;

/// How much was asked for in the last hour.
pub struct Demand {
    pub base: Base,
    pub model: Model,
    pub claims: u64,
    pub last: Millis,
}

impl Demand {
    fn size(&self, now: Millis) -> u64 {
        if now.since(self.last) > RECENT_MS {
            return 0;
        }
        (self.claims * MAKING_MS * 2)
            .div_ceil(HOUR_MS)
            .clamp(1, MOST)
    }
}

/// A runner that is present.
pub struct Host {
    register: Register,
    /// Entries that it may still be given.
    budget: i64,
    targets: Vec<PoolTarget>,
}

impl Host {
    pub fn new(register: Register, room: i64) -> Self {
        let most = register.pool_room.map_or(i64::MAX, i64::from);
        Self {
            register,
            budget: most.min(room - 1),
            targets: Vec::new(),
        }
    }

    fn given(&self, demand: &Demand) -> u32 {
        self.targets
            .iter()
            .find(|target| target.base == demand.base && target.model == demand.model)
            .map_or(0, |target| target.size)
    }

    fn has(&self, demand: &Demand) -> u32 {
        let has = self.register.warm.iter();
        let count = has
            .filter(|warm| warm.base == demand.base && warm.model == demand.model)
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn give(&mut self, demand: &Demand) {
        self.budget -= 1;
        let known = self
            .targets
            .iter_mut()
            .find(|target| target.base == demand.base && target.model == demand.model);
        match known {
            Some(target) => target.size += 1,
            None => self.targets.push(PoolTarget {
                base: demand.base.clone(),
                model: demand.model.clone(),
                size: 1,
            }),
        }
    }
}

/// Gives every demand its first entry, then its second and so on, the greatest demand first, each
/// to a runner that has it already, else to one that has its image, else to the one with most room; no
/// more than `most` all together.
pub fn spread(
    demands: &[Demand],
    mut hosts: Vec<Host>,
    most: Option<u64>,
    now: Millis,
) -> BTreeMap<RunnerId, Vec<PoolTarget>> {
    let mut left = most.unwrap_or(u64::MAX);
    for round in 0..MOST {
        for demand in demands.iter().filter(|demand| demand.size(now) > round) {
            let registers = hosts.iter().map(|host| &host.register);
            let newest =
                runners::newest_image(registers, &demand.base).map(|held| held.image.clone());
            let holds = |host: &Host| {
                host.register
                    .images
                    .iter()
                    .any(|held| Some(&held.image) == newest.as_ref())
            };
            let best = hosts
                .iter_mut()
                .filter(|host| host.budget > 0)
                .max_by_key(|host| {
                    (
                        host.has(demand) > host.given(demand),
                        holds(host),
                        host.budget,
                        std::cmp::Reverse(host.register.runner.clone()),
                    )
                });
            if let Some(host) = best.filter(|_| left > 0) {
                left -= 1;
                host.give(demand);
            }
        }
    }
    hosts
        .into_iter()
        .map(|host| (host.register.runner, host.targets))
        .collect()
}
