//! Limits of a user that hold for the whole deployment: their object has the buckets.
//!
//! A change asks it first. A look waits for nobody: it takes from a bucket of this isolate, and what
//! was taken here is settled with the object behind it, some at a time. Once the object says that
//! there is nothing left, nobody looks here until there is. So an isolate lets through at most
//! [`TAB`] looks more than it should.

use std::cell::RefCell;
use std::collections::HashMap;

use protocol::{Millis, UserId};
use serde::{Deserialize, Serialize};
use worker::{Context, Env};

use super::{Rate, Wait, take_here};
use crate::error::Error;
use crate::platform::clock;
use crate::user;

/// How many looks are settled at once.
const TAB: u32 = 20;

/// Users whose looks are kept track of here; beyond them, those with nothing of note are forgotten.
const MANY: usize = 10_000;

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Look,
    Change,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Change => "change",
        }
    }
}

/// Lets a user change something, or says how long to wait.
pub async fn change(env: &Env, user: UserId, rate: Rate) -> Result<(), Error> {
    here(Kind::Change, user, rate)?;
    match user::spend(env, user, Kind::Change, 1, rate).await {
        Ok(None) => Ok(()),
        Ok(Some(seconds)) => Err(Error::RateLimited(Wait { seconds })),
        Err(error) => {
            // The limit of this isolate holds, and work does not wait for a count.
            error.log();
            Ok(())
        }
    }
}

/// Lets a user look, or says how long to wait. `background` outlives the answer.
pub fn look(
    env: &Env,
    background: Option<&Context>,
    user: UserId,
    rate: Rate,
) -> Result<(), Error> {
    here(Kind::Look, user, rate)?;
    let taken = TABS.with_borrow_mut(|tabs| tabs.take(user, clock::now()));
    let due = taken.map_err(Error::RateLimited)?;
    if let (Some(count), Some(background)) = (due, background) {
        let env = env.clone();
        background.wait_until(async move {
            match user::spend(&env, user, Kind::Look, count, rate).await {
                Ok(None) => {}
                Ok(Some(seconds)) => {
                    let until = clock::now().plus(i64::try_from(seconds).unwrap_or(0) * 1000);
                    TABS.with_borrow_mut(|tabs| tabs.bar(user, until));
                }
                Err(error) => error.log(),
            }
        });
    }
    Ok(())
}

fn here(kind: Kind, user: UserId, rate: Rate) -> Result<(), Error> {
    take_here(&format!("{} {user}", kind.name()), rate, clock::now()).map_err(Error::RateLimited)
}

thread_local! {
    static TABS: RefCell<Tabs> = RefCell::default();
}

/// What users took here.
#[derive(Debug, Default)]
struct Tabs {
    all: HashMap<i64, Tab>,
}

#[derive(Debug)]
struct Tab {
    /// Not settled.
    taken: u32,
    /// Until then, nothing is left.
    barred_until: Millis,
}

impl Tabs {
    /// Takes one; answers how many are to be settled now, if any.
    fn take(&mut self, user: UserId, now: Millis) -> Result<Option<u32>, Wait> {
        if self.all.len() >= MANY && !self.all.contains_key(&user.0) {
            self.all.retain(|_, tab| tab.barred_until > now);
        }
        let tab = self.of(user);
        if tab.barred_until > now {
            let seconds = tab.barred_until.since(now).div_ceil(1000);
            return Err(Wait { seconds });
        }
        tab.taken += 1;
        if tab.taken < TAB {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut tab.taken)))
    }

    fn bar(&mut self, user: UserId, until: Millis) {
        self.of(user).barred_until = until;
    }

    fn of(&mut self, user: UserId) -> &mut Tab {
        self.all.entry(user.0).or_insert(Tab {
            taken: 0,
            barred_until: Millis(0),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const USER: UserId = UserId(7);

    #[test]
    fn looks_are_settled_some_at_a_time() {
        let mut tabs = Tabs::default();
        let settled: Vec<_> = (0..2 * TAB)
            .filter_map(|_| tabs.take(USER, Millis(0)).unwrap())
            .collect();
        assert_eq!(settled, [TAB, TAB]);
    }

    #[test]
    fn nobody_looks_until_there_is_something_left() {
        let mut tabs = Tabs::default();
        tabs.bar(USER, Millis(5_500));
        assert_eq!(tabs.take(USER, Millis(1_000)), Err(Wait { seconds: 5 }));
        assert_eq!(tabs.take(UserId(8), Millis(1_000)), Ok(None));
        assert_eq!(tabs.take(USER, Millis(5_500)), Ok(None));
    }
}
