//! The only wait of the suites: bounded, and it says what it awaited and what it saw instead.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks every 10 ms until `look` finds something, at most for `bound`; a look that hangs counts too. `look` answers
/// `Err` with what it saw instead.
///
/// # Panics
/// When nothing was found in time: with the caller's place, what was awaited, and what was seen last.
#[track_caller]
pub fn wait_until<T, S: Debug, F>(
    what: &str,
    bound: Duration,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T>
where
    F: Future<Output = Result<T, S>>,
{
    let asked_at = Location::caller();
    async move {
        let (deadline, mut seen) = (Instant::now() + bound, None);
        loop {
            match timeout_at(deadline, look()).await {
                Ok(Ok(found)) => return found,
                Ok(Err(other)) if Instant::now() < deadline => seen = Some(other),
                Ok(Err(other)) => panic!("{asked_at}: no {what} in {bound:?}; saw {other:?}"),
                Err(_) => {
                    panic!("{asked_at}: no {what} in {bound:?}; the last look hung; before it, saw {seen:?}")
                }
            }
            sleep(PAUSE).await;
        }
    }
}
