//! A network namespace of its own for every test. In: the body of a test. Out: its verdict; on
//! failure the journal is printed. Namespaces belong to threads, and child processes inherit them,
//! so tests of one process run side by side with the same ports.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::journal::Journal;
use crate::process::Process;

/// A test that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs `body` in a new network and mount namespace. Without the privileges it says so loudly and
/// returns; with `CI=true` in the environment that is a failure.
pub fn isolated(body: impl FnOnce() -> Result<()> + Send + 'static) {
    isolated_for(LIMIT, body);
}

/// The same for a test that takes long.
pub fn isolated_for(limit: Duration, body: impl FnOnce() -> Result<()> + Send + 'static) {
    if require_root_or_skip() {
        supervise(limit, || enter().and_then(|()| body()));
    }
}

/// Whether this process may make network namespaces.
pub fn require_root_or_skip() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let message = "needs root: network namespaces, nftables";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "this test {message}");
    eprintln!("SKIPPED: this test {message}");
    false
}

/// Runs `body` on a thread of its own with its own journal, and gives up on it after `limit`.
fn supervise(limit: Duration, body: impl FnOnce() -> Result<()> + Send + 'static) {
    let journal = Journal::default();
    let (verdict_in, verdict) = channel();
    let inner = journal.clone();
    let thread = std::thread::spawn(move || {
        inner.enter();
        let result = body();
        // The receiver is gone only after the limit, when nobody wants the verdict any more.
        let _ = verdict_in.send(result);
    });
    let problem = match verdict.recv_timeout(limit) {
        Ok(Ok(())) => {
            thread.join().expect("a test that has passed does not panic");
            return;
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(RecvTimeoutError::Timeout) => format!("still running after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => panic_text(panic.as_ref()),
            Ok(()) => "ended without a verdict".to_owned(),
        },
    };
    panic!("{problem}\n{}", journal.text());
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}

fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("unshare")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("private mounts")?;
    // Named namespaces of other tests, and their interfaces in /sys, are none of this one's.
    std::fs::create_dir_all("/run/netns")?;
    mount(Some("tmpfs"), "/run/netns", Some("tmpfs"), MsFlags::empty(), none).context("tmpfs")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).context("sysfs")?;
    let mut command = Command::new("ip");
    command.args(["link", "set", "lo", "up"]);
    Process::spawn("ip link", &mut command)?.success(Duration::from_secs(5))?;
    Ok(())
}

/// Makes `text` the `/etc/resolv.conf` of this test and of the processes that it starts.
pub fn replace_resolv_conf(folder: &Path, text: &str) -> Result<()> {
    let file = folder.join("resolv.conf");
    std::fs::write(&file, text)?;
    let none: Option<&str> = None;
    mount(Some(&file), "/etc/resolv.conf", none, MsFlags::MS_BIND, none)
        .context("binding /etc/resolv.conf")
}

#[cfg(test)]
mod tests {
    use super::{isolated, supervise};
    use crate::echo::{Manner, start};
    use crate::net::ask;
    use crate::process::Process;
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn two_tests_may_use_one_port() {
        let serve = || {
            start("127.0.0.1:31400", Manner::default())?;
            assert_eq!(ask("127.0.0.1:31400", "x")?, "x");
            Ok(())
        };
        isolated(serve);
        isolated(serve);
    }

    #[test]
    fn children_share_the_namespace_of_their_test() {
        isolated(|| {
            let address = start("127.0.0.1:31400", Manner::default())?;
            let script = format!("printf hello | nc -q1 127.0.0.1 {}", address.port());
            let mut nc = Process::spawn("nc", Command::new("sh").args(["-c", &script]))?;
            assert_eq!(nc.success(Duration::from_secs(5))?, "hello");
            Ok(())
        });
    }

    #[test]
    #[should_panic(expected = "the reason")]
    fn a_failure_is_a_failure() {
        supervise(Duration::from_secs(5), || anyhow::bail!("the reason"));
    }

    #[test]
    #[should_panic(expected = "still running")]
    fn a_hang_is_a_failure() {
        supervise(Duration::from_millis(10), || {
            std::thread::park();
            Ok(())
        });
    }
}
