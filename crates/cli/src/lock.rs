//! Lock files: who holds one is alive. In: a path. Out: the lock, or whether somebody has it. The kernel
//! frees the lock of a process that ends, however it ends. Who holds it may remove the file.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// [`is_held`] takes the lock for an instant, in which nobody else can have it: whoever wants it
/// tries again before it believes that it is taken.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock at `path`; `None` while another process has it.
pub fn take(path: &Path) -> Result<Option<Flock<File>>> {
    take_with(path, || std::thread::sleep(PAUSE))
}

fn take_with(path: &Path, mut pause: impl FnMut()) -> Result<Option<Flock<File>>> {
    for _ in 0..TRIES {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // Not that of a file which its last holder has removed meanwhile.
            Ok(lock) if is_at(&lock, path) => return Ok(Some(lock)),
            Ok(_) => continue,
            Err((_, Errno::EWOULDBLOCK)) => pause(),
            Err((_, error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    Ok(None)
}

fn is_at(file: &File, path: &Path) -> bool {
    let place = |of: std::io::Result<std::fs::Metadata>| of.ok().map(|of| (of.dev(), of.ino()));
    place(file.metadata()) == place(path.metadata())
}

/// Whether a process has the lock. A file that is not there nobody has.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use nix::fcntl::{Flock, FlockArg};

    use super::{TRIES, is_held, take, take_with};

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lateen-lock-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let path = scratch("held");
        assert!(!is_held(&path), "there is no file");
        let lock = take(&path).unwrap();
        assert!(lock.is_some() && is_held(&path));
        let mut pauses = 0;
        assert!(take_with(&path, || pauses += 1).unwrap().is_none());
        assert_eq!(pauses, TRIES);
        drop(lock);
        assert!(!is_held(&path));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_lock_of_a_removed_file_is_not_taken_for_the_new_ones() {
        let path = scratch("removed");
        let old = take(&path).unwrap();
        let mut old = Some(old);
        let taken = take_with(&path, || {
            // The last holder goes, and another one is there at once.
            if old.take().is_some() {
                std::fs::remove_file(&path).unwrap();
            }
        });
        assert!(taken.unwrap().is_some() && path.exists());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_who_only_looks_keeps_nobody_out() {
        let path = scratch("look");
        let look = Flock::lock(File::create(&path).unwrap(), FlockArg::LockSharedNonblock).unwrap();
        let mut look = Some(look);
        assert!(take_with(&path, || drop(look.take())).unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
}
