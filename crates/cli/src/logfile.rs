//! A log file that cannot grow without bound: at its limit it becomes `NAME.1` and a new one begins.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Two files of this size are kept at most.
const MAX_SIZE: u64 = 16 << 20;

pub struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = append(path).with_context(|| format!("cannot open {}", path.display()))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        Ok(Self { path: path.into(), file, size })
    }

    /// A full disk loses log lines, never the process.
    pub fn write(&mut self, line: &[u8]) {
        if self.size >= MAX_SIZE {
            self.rotate();
        }
        if self.file.write_all(line).is_ok() {
            self.size += line.len() as u64;
        }
    }

    fn rotate(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        if std::fs::rename(&self.path, old).is_err() {
            return;
        }
        if let Ok(file) = append(&self.path) {
            self.file = file;
            self.size = 0;
        }
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_its_limit_the_file_becomes_the_old_one() {
        let path = std::env::temp_dir().join(format!("lateen-log-{}", std::process::id()));
        let mut log = LogFile::open(&path).unwrap();
        log.size = MAX_SIZE;
        log.write(b"new\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        let old = path.with_extension("1");
        assert!(old.exists());
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(old).unwrap();
    }
}
