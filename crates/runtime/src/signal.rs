//! The signals that end a process in order: SIGTERM, the terminal's Ctrl-C, and its going away. A SIGHUP
//! that was ignored at the start (nohup) stays ignored.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves with the name of the first SIGTERM, SIGINT or SIGHUP.
pub async fn terminated() -> std::io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = match is_ignored(libc::SIGHUP)? {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let hung_up = async {
        match &mut hup {
            Some(hup) => hup.recv().await,
            None => std::future::pending().await,
        }
    };
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        _ = hung_up => "SIGHUP",
    })
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
