//! How often somebody may ask: token buckets, with the time as an argument.

pub mod shared;

use std::cell::RefCell;
use std::collections::HashMap;

use protocol::Millis;
use serde::{Deserialize, Serialize};

/// So many at once, and from then on so many a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub burst: u32,
    pub per_minute: u32,
}

/// Prompts in one session, by whomever.
pub const PROMPTS: Rate = Rate {
    burst: 60,
    per_minute: 60,
};

/// Changes of one user by HTTP, unless `CHANGES_PER_MINUTE` says otherwise. So many in one go, too.
pub const CHANGES_PER_MINUTE: u32 = 60;

/// What is only looked at costs less: so many times as much of it is allowed.
const LOOKS_PER_CHANGE: u32 = 10;

pub fn changes(per_minute: u32) -> Rate {
    Rate {
        burst: per_minute,
        per_minute,
    }
}

pub fn looks(changes_per_minute: u32) -> Rate {
    changes(changes_per_minute.saturating_mul(LOOKS_PER_CHANGE))
}

/// Too soon: what is asked for is there again after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub seconds: u64,
}

/// A bucket, kept as the moment (in microseconds) at which it will be full again: an empty one is
/// full after `burst` times what one token takes to come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: i64,
}

impl Bucket {
    /// One that was kept as its moment, see [`moment`](Self::moment).
    pub fn full_at(full_at: i64) -> Self {
        Self { full_at }
    }

    /// When it is full again, in microseconds.
    pub fn moment(self) -> i64 {
        self.full_at
    }

    pub fn take(&mut self, rate: Rate, now: Millis) -> Result<(), Wait> {
        let now = now.0.saturating_mul(1000);
        let cost = 60_000_000 / i64::from(rate.per_minute.max(1));
        let whole = cost.saturating_mul(i64::from(rate.burst.max(1)));
        // A clock that was set back must not lock anybody out.
        let full_at = self.full_at.clamp(now, now.saturating_add(whole));
        let after = full_at.saturating_add(cost);
        let excess = after.saturating_sub(now).saturating_sub(whole);
        if excess > 0 {
            self.full_at = full_at;
            let seconds = u64::try_from(excess).unwrap_or(0).div_ceil(1_000_000);
            return Err(Wait { seconds });
        }
        self.full_at = after;
        Ok(())
    }

    fn is_full(&self, now: Millis) -> bool {
        self.full_at <= now.0.saturating_mul(1000)
    }
}

/// Buckets by what they are for. Those that are full again are forgotten once there are many.
#[derive(Debug, Default)]
pub struct Buckets {
    all: HashMap<String, Bucket>,
}

const MANY: usize = 10_000;

impl Buckets {
    pub fn take(&mut self, key: &str, rate: Rate, now: Millis) -> Result<(), Wait> {
        if self.all.len() >= MANY && !self.all.contains_key(key) {
            self.all.retain(|_, bucket| !bucket.is_full(now));
        }
        match self.all.get_mut(key) {
            Some(bucket) => bucket.take(rate, now),
            None => {
                let mut bucket = Bucket::default();
                let taken = bucket.take(rate, now);
                self.all.insert(key.to_owned(), bucket);
                taken
            }
        }
    }
}

thread_local! {
    static HERE: RefCell<Buckets> = RefCell::default();
}

/// Takes from a bucket of this isolate: there is one in each. See [`shared`] for what holds beyond.
pub fn take_here(key: &str, rate: Rate, now: Millis) -> Result<(), Wait> {
    HERE.with_borrow_mut(|buckets| buckets.take(key, rate, now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        per_minute: 60,
    };

    #[test]
    fn a_burst_is_let_through_and_then_one_for_each_interval() {
        let mut bucket = Bucket::default();
        let now = Millis(1_790_000_000_000);
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, now), Ok(()));
        }
        assert_eq!(bucket.take(RATE, now), Err(Wait { seconds: 1 }));
        assert_eq!(bucket.take(RATE, now.plus(999)), Err(Wait { seconds: 1 }));
        assert_eq!(bucket.take(RATE, now.plus(1000)), Ok(()));
        assert!(bucket.take(RATE, now.plus(1000)).is_err());
    }

    #[test]
    fn each_key_has_its_own_bucket() {
        let mut buckets = Buckets::default();
        let now = Millis(0);
        for _ in 0..3 {
            assert!(buckets.take("a", RATE, now).is_ok());
        }
        assert!(buckets.take("a", RATE, now).is_err());
        assert!(buckets.take("b", RATE, now).is_ok());
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let mut buckets = Buckets::default();
        for number in 0..MANY {
            assert!(buckets.take(&number.to_string(), RATE, Millis(0)).is_ok());
        }
        assert!(buckets.take("one more", RATE, Millis(60_000)).is_ok());
        assert_eq!(buckets.all.len(), 1);
    }

    proptest! {
        #[test]
        fn no_window_lets_through_more_than_the_burst_and_what_came_back(
            waits in prop::collection::vec(0_i64..3000, 1..200),
            burst in 1_u32..20,
            per_minute in 1_u32..600,
        ) {
            let rate = Rate { burst, per_minute };
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (Millis(0), Vec::new());
            for wait in waits {
                now = now.plus(wait);
                if bucket.take(rate, now).is_ok() {
                    taken.push(now.0);
                }
            }
            for (at, first) in taken.iter().enumerate() {
                for (last_at, last) in taken.iter().enumerate().skip(at) {
                    let count = (last_at - at + 1) as i64;
                    let back = (last - first) * i64::from(per_minute) / 60_000;
                    // Rounding of what one token costs gives away less than one in a window.
                    prop_assert!(count <= i64::from(burst) + back + 1);
                }
            }
        }

        #[test]
        fn whoever_waits_as_long_as_they_are_told_is_let_through(
            burst in 1_u32..20,
            per_minute in 1_u32..600,
            asked in 1_usize..50,
        ) {
            let rate = Rate { burst, per_minute };
            let mut bucket = Bucket::default();
            let mut now = Millis(5_000_000);
            for _ in 0..asked {
                if let Err(Wait { seconds }) = bucket.take(rate, now) {
                    now = now.plus(seconds as i64 * 1000);
                    prop_assert_eq!(bucket.take(rate, now), Ok(()));
                }
            }
        }

        #[test]
        fn a_clock_that_is_set_back_locks_nobody_out(back in 0_i64..1_000_000_000) {
            let mut bucket = Bucket::default();
            let now = Millis(2_000_000_000);
            for _ in 0..RATE.burst {
                let _ = bucket.take(RATE, now);
            }
            let earlier = now.plus(-back);
            let _ = bucket.take(RATE, earlier);
            prop_assert!(bucket.take(RATE, earlier.plus(1000)).is_ok());
        }
    }
}
