//! Webhook deliveries that were acted on. GitHub's signature has no time in it, so the delivery's
//! identifier is what tells a repetition.

use protocol::Millis;
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

#[derive(Deserialize)]
struct Row {}

pub async fn is_known(database: &Database, id: &str) -> Result<bool, DatabaseError> {
    let row: Option<Row> = database
        .first("SELECT 1 FROM deliveries WHERE id = ?", &[Text(id)])
        .await?;
    Ok(row.is_some())
}

/// Written after the work: a delivery that failed is wanted again.
pub async fn remember(database: &Database, id: &str, now: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO deliveries (id, received_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
            &[Text(id), Number(now.0)],
        )
        .await
}

pub async fn expire(database: &Database, before: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM deliveries WHERE received_at < ?",
            &[Number(before.0)],
        )
        .await
}
