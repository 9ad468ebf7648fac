//! The one bounded wait. Under a paused clock it costs no real time.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Looks until `look` finds something, for at most five seconds.
#[track_caller]
pub(crate) fn wait_until<T, S: Debug>(
    what: &str,
    mut look: impl FnMut() -> Result<T, S>,
) -> impl Future<Output = T> {
    let asked_at = Location::caller();
    async move {
        let mut seen = None;
        let looking = async {
            loop {
                match look() {
                    Ok(found) => return found,
                    Err(other) => seen = Some(other),
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let found = timeout(Duration::from_secs(5), looking).await;
        found.unwrap_or_else(|_| panic!("{asked_at}: no {what} in 5 s; saw {seen:?}"))
    }
}
