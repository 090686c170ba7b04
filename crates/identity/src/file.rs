//! Files that only their owner may read: in, a path and bytes; out, a file of mode 0600 that is
//! either whole or absent, in a directory of mode 0700.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// Makes `dir` with mode 0700, or narrows an existing one to it.
pub fn private_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o700)))
        .map_err(|source| at(dir, source))
}

/// Writes `bytes` to `path` with mode 0600; a crash leaves the old file or the new one, never half.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&temporary);
        write_new(&temporary, bytes)?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    write().map_err(|source| at(path, source))
}

/// Writes a file of mode 0600 that is not there yet.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads the secret at `path`; the first time, stores what `make` returns.
pub fn read_or_create_secret(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let bytes = make()?;
            create_private(path, &bytes)
                .and_then(|()| fs::read(path))
                .map_err(|source| at(path, source))
        }
        Err(source) => Err(at(path, source)),
    }
}

/// The same as [`write_private`], if nothing is there: of several who do it at once the first one's bytes stay.
fn create_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", random_token()));
    let linked = write_new(&temporary, bytes).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => removed,
        linked => linked.and(removed).and_then(|()| sync_parent(path)),
    }
}

/// 32 random bytes as text.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The same, kept in a file.
pub fn read_or_create_token(path: &Path) -> Result<String, Error> {
    let bytes = read_or_create_secret(path, || Ok(random_token().into_bytes()))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn at(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::{private_dir, read_or_create_secret};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/b");
        private_dir(&dir).unwrap();
        let path = dir.join("token");
        let first = read_or_create_secret(&path, || Ok(b"one".to_vec())).unwrap();
        let second = read_or_create_secret(&path, || Ok(b"two".to_vec())).unwrap();
        assert_eq!((first.as_slice(), second.as_slice()), (&b"one"[..], &b"one"[..]));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// As `lateen up` and its control plane do.
    #[test]
    fn those_who_make_a_secret_at_once_have_the_same() {
        let home = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = home.path().join(format!("token-{round}"));
            let barrier = std::sync::Barrier::new(4);
            let make = |own: u8| {
                barrier.wait();
                read_or_create_secret(&path, || Ok(vec![own])).unwrap()
            };
            let all = std::thread::scope(|scope| {
                let threads = [0, 1, 2, 3].map(|own| scope.spawn(move || make(own)));
                threads.map(|thread| thread.join().unwrap())
            });
            assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        }
        assert_eq!(home.path().read_dir().unwrap().count(), 50, "nothing else is left");
    }
}
