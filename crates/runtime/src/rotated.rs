//! A file that cannot grow without bound: before it would pass its limit it becomes `NAME.1`, in place of
//! an older one, and a new one begins. In: lines. Out: at most two files, for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The limit for what one process of a mesh writes.
pub const LIMIT: u64 = 16 << 20;

#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    limit: u64,
    open: Option<(File, u64)>,
}

impl Rotated {
    /// The file is made, or continued, by the first line.
    pub fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, open: None }
    }

    /// Opens the file now, so that a wrong path is noticed at once.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        let mut file = Self::new(path, limit);
        file.open = Some(file.reopen()?);
        Ok(file)
    }

    /// # Errors
    /// What the system says; the next line tries again.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        if size > 0 && size + bytes.len() as u64 > self.limit {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
            (file, size) = self.reopen()?;
        }
        file.write_all(bytes)?;
        self.open = Some((file, size + bytes.len() as u64));
        Ok(())
    }

    fn reopen(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::Rotated;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("lateen-rotated-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_full_file_is_moved_away_and_only_one_older_is_kept() {
        let folder = Folder::new("full");
        let path = folder.0.join("a.log");
        let mut file = Rotated::new(path.clone(), 10);
        for line in ["one..\n", "two..\n", "three\n"] {
            file.append(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::read_to_string(folder.0.join("a.log.1")).unwrap(), "two..\n");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_exists_is_continued() {
        let folder = Folder::new("continued");
        let path = folder.0.join("a.log");
        Rotated::new(path.clone(), 10).append(b"first\n").unwrap();
        Rotated::open(path.clone(), 10).unwrap().append(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next\n", "the size is taken over");
    }

    #[test]
    fn a_path_that_cannot_be_opened_is_an_error_at_once() {
        assert!(Rotated::open("/nonexistent/a.log".into(), 10).is_err());
    }
}
