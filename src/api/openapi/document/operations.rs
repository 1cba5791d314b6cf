//! What each route takes and answers, by what it is about. A new route is one entry there.

mod account;
mod files;
mod forge;
mod repositories;
mod runners;
mod sessions;

use serde_json::{Value, json};

use super::Schemas;
use super::operation::Operation;

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = account::sign_in();
    all.extend(account::account(schemas));
    all.extend(repositories::repositories(schemas));
    all.extend(sessions::sessions(schemas));
    all.extend(sessions::lists(schemas));
    all.extend(sessions::queue(schemas));
    all.extend(files::artifacts(schemas));
    all.extend(files::views(schemas));
    all.extend(forge::forge(schemas));
    all.extend(runners::runners(schemas));
    all.extend(super::slack::all());
    all
}

/// What counts bytes, events or milliseconds: as large as a double is exact.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 })
}
