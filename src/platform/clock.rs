//! The wall clock. `std::time` panics on this platform.

use protocol::Millis;

/// Milliseconds since 1970. Stands still while a handler computes, as the runtime wants it.
pub fn now() -> Millis {
    Millis(i64::try_from(worker::Date::now().as_millis()).unwrap_or(i64::MAX))
}
