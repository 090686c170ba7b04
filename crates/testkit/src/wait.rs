//! Waiting for a state of the world. In: a check and a deadline. Out: what the check found, or the
//! last reason why not. A check is repeated because the thing waited for has no notification.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

const PAUSE: Duration = Duration::from_millis(20);

/// Repeats `check` until it succeeds; after `within` fails with its last error.
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match check() {
            Ok(found) => return Ok(found),
            Err(error) if start.elapsed() >= within => {
                return Err(error).context(format!("waited {within:?} for {what}"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Checks repeatedly that `check` holds for the whole of `during`.
pub fn holds_for(
    what: &str,
    during: Duration,
    mut check: impl FnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < during {
        check().with_context(|| format!("{what} did not hold after {:?}", start.elapsed()))?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// `Ok` if `truth`, else an error that says `otherwise`.
pub fn ensure(truth: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if truth { Ok(()) } else { Err(anyhow!(otherwise())) }
}

#[cfg(test)]
mod tests {
    use super::{ensure, holds_for, wait_until};
    use std::time::Duration;

    #[test]
    fn returns_what_the_check_found() {
        let mut left = 3;
        let found = wait_until("a countdown", Duration::from_secs(5), || {
            left -= 1;
            ensure(left == 0, || format!("{left} left"))?;
            Ok("done")
        });
        assert_eq!(found.unwrap(), "done");
    }

    #[test]
    fn reports_the_last_reason_at_the_deadline() {
        let error = wait_until::<()>("nothing", Duration::ZERO, || anyhow::bail!("not yet"));
        assert_eq!(format!("{:#}", error.unwrap_err()), "waited 0ns for nothing: not yet");
    }

    #[test]
    fn a_state_that_breaks_is_noticed() {
        let mut calls = 0;
        let held = holds_for("few calls", Duration::from_secs(5), || {
            calls += 1;
            ensure(calls < 3, || "too many".to_owned())
        });
        assert!(held.is_err());
    }
}
