//! Whether those who are there still reach what they did. GitHub is asked with each one's own
//! token before its last word expires, and when it tells of a change. Whoever took back what they
//! had allowed is cut off.

use futures_util::StreamExt as _;
use protocol::{Millis, UserId};

use super::store::Look;
use super::{Core, Turn};
use crate::auth::reach;
use crate::database::users::ACCESS_MS;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;

/// So much earlier than its word expires GitHub is asked again, so that nobody misses anything.
const EARLY_MS: i64 = 2 * 60_000;

/// After GitHub could not be asked.
const AGAIN_MS: i64 = 60_000;

/// People who are asked about at once.
const AT_ONCE: usize = 6;

impl Core {
    /// Looks at the access of all for whom that is due.
    pub(super) async fn look_due(&self) {
        let Some(_turn) = Turn::take(&self.looking) else {
            return;
        };
        loop {
            let looks = self
                .store()
                .and_then(|store| Ok(store.take_looks(clock::now())?));
            match looks {
                Ok(looks) if looks.is_empty() => break,
                Ok(looks) => {
                    let each = futures_util::stream::iter(looks);
                    each.for_each_concurrent(AT_ONCE, async |look| {
                        if let Err(error) = self.look_at(look).await {
                            error.log();
                        }
                    })
                    .await;
                }
                Err(error) => {
                    error.log();
                    break;
                }
            }
        }
    }

    async fn look_at(&self, look: Look) -> Result<(), Error> {
        let (store, user) = (self.store()?, look.user);
        if !self.is_there(user) {
            return Ok(store.left(user)?);
        }
        let next = match self.ask_about(user).await {
            Ok(next) => next,
            Err(Error::LinkBroken) => {
                self.expel(user);
                return Ok(store.left(user)?);
            }
            Err(error) => {
                error.log();
                clock::now().plus(AGAIN_MS)
            }
        };
        Ok(store.looked(look, next)?)
    }

    /// Sees to it that GitHub's word on a user is recent; answers when it has to be asked again.
    async fn ask_about(&self, user: UserId) -> Result<Millis, Error> {
        let database = Database::new(&self.env)?;
        let next = |listed_at: Millis| listed_at.plus(ACCESS_MS - EARLY_MS);
        let listed_at = database::reach::listed_at(&database, user).await?;
        if let Some(known) = listed_at.map(next).filter(|next| *next > clock::now()) {
            return Ok(known);
        }
        reach::ask(&database, &Github::new(&self.env)?, user).await?;
        Ok(next(clock::now()))
    }
}
