//! Until when people have looked at sessions.

use protocol::{Millis, SessionId, UserId};

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

pub(super) const NOTE: &str = "
    INSERT INTO seen (user, session, seen_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (user, session) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)";

/// Notes that somebody has seen all that happened in a session up to `at`.
pub async fn note(
    database: &Database,
    user: UserId,
    session: &SessionId,
    at: Millis,
) -> Result<(), DatabaseError> {
    let parameters = [Number(user.0), Text(session.as_str()), Number(at.0)];
    database.run(NOTE, &parameters).await
}
