//! The time of day, as the storm counts it: in milliseconds since 1970.

use std::time::Duration;

/// What time it is.
pub fn now_ms() -> i64 {
    e2e::clock::now().as_millisecond()
}

/// Sleeps until a time of day.
pub async fn sleep_until(ms: i64) {
    let left = u64::try_from(ms.saturating_sub(now_ms())).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}
