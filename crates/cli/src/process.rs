//! The end of a process. In: its tasks, or its work. Out: when a signal asks for it or an essential task has ended, an
//! orderly stop, after a drain where others still come; of work that was broken off, what is left.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lateen_runtime::readiness::Readiness;
use lateen_runtime::signal::Termination;
use lateen_runtime::tasks::Supervisor;

/// Runs until SIGTERM or SIGINT, or until a task ends that must not, which is the error.
pub async fn until_ended(mut supervisor: Supervisor, stop_within: Duration) -> Result<()> {
    let exit = tokio::select! {
        exit = supervisor.first_exit() => Some(exit),
        signal = lateen_runtime::signal::terminated() => {
            tracing::info!(signal = signal.context("cannot listen for signals")?, "stopping");
            None
        }
    };
    supervisor.stop(stop_within).await;
    exit.map_or(Ok(()), |exit| Err(exit.into()))
}

/// Does work that a signal breaks off, which is told with what that leaves.
pub async fn unless_broken_off<T>(
    work: impl Future<Output = Result<T>>,
    leaves: &str,
) -> Result<T> {
    let mut signals = Termination::listen().context("cannot listen for signals")?;
    tokio::select! {
        done = work => done,
        signal = signals.next() => bail!("broken off by {signal}: {leaves}"),
    }
}

/// As [`until_ended`], but whoever still comes is served for `drain` after the signal, while `readiness` already says
/// no. A second signal cuts that short.
pub async fn until_drained(
    mut supervisor: Supervisor,
    readiness: &Readiness,
    drain: Duration,
    stop_within: Duration,
) -> Result<()> {
    let mut signals = Termination::listen().context("cannot listen for signals")?;
    let mut ended = tokio::select! {
        exit = supervisor.first_exit() => Some(exit),
        signal = signals.next() => {
            tracing::info!(signal, seconds = drain.as_secs(), "draining");
            None
        }
    };
    let _no_more = readiness.guard("the end of this process");
    if ended.is_none() {
        supervisor.drain();
        ended = tokio::select! {
            exit = supervisor.first_exit() => Some(exit),
            () = tokio::time::sleep(drain) => None,
            _ = signals.next() => None,
        };
        tracing::info!("stopping");
    }
    supervisor.stop(stop_within).await;
    ended.map_or(Ok(()), |exit| Err(exit.into()))
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::unless_broken_off;

    #[tokio::test]
    async fn work_that_is_broken_off_says_what_it_leaves() {
        let done = unless_broken_off(async { Ok(5) }, "nothing").await;
        assert_eq!(done.unwrap(), 5);
        let work = async {
            raise(Signal::SIGTERM)?;
            std::future::pending::<anyhow::Result<()>>().await
        };
        let why = unless_broken_off(work, "a part is there").await.unwrap_err();
        assert_eq!(why.to_string(), "broken off by SIGTERM: a part is there");
    }
}
