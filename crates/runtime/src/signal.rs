//! The signals that end a process in order: SIGTERM, the terminal's Ctrl-C, and its going away. A SIGHUP
//! that was ignored at the start (nohup) stays ignored.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves with the name of the first SIGTERM, SIGINT or SIGHUP.
pub async fn terminated() -> std::io::Result<&'static str> {
    Ok(Termination::listen()?.next().await)
}

/// The same signals, caught from now on and one after the other.
#[derive(Debug)]
pub struct Termination {
    term: Signal,
    int: Signal,
    hup: Option<Signal>,
}

impl Termination {
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: match is_ignored(libc::SIGHUP)? {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        let hung_up = async {
            match &mut self.hup {
                Some(hup) => hup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
            _ = hung_up => "SIGHUP",
        }
    }
}

fn is_ignored(number: libc::c_int) -> std::io::Result<bool> {
    let mut present = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction(2) only writes the present one to the place given.
    let done = unsafe { libc::sigaction(number, std::ptr::null(), present.as_mut_ptr()) };
    if done != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded and filled it.
    Ok(unsafe { present.assume_init() }.sa_sigaction == libc::SIG_IGN)
}
