//! What the processes of one test have printed. In: lines, as they arrive. Out: one readable text
//! that is shown when the test fails. A test's journal belongs to its thread.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// How much of each process's output a failure shows.
const TAIL: usize = 6000;

/// The captured output of one stream of one process.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn push(&self, text: &str) {
        lock(&self.0).push_str(text);
    }

    pub fn text(&self) -> String {
        lock(&self.0).clone()
    }
}

/// All captured output of one test, and the folders with log files to show beside it.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    logs: Vec<(String, Log)>,
    folders: Vec<PathBuf>,
    /// Log files of folders that are gone, as they were.
    kept: Vec<(String, String)>,
}

thread_local! {
    static CURRENT: RefCell<Journal> = RefCell::new(Journal::default());
}

impl Journal {
    /// The journal of this thread's test.
    pub fn current() -> Journal {
        CURRENT.with_borrow(Journal::clone)
    }

    /// Makes `self` the journal of this thread.
    pub fn enter(&self) {
        CURRENT.set(self.clone());
    }

    /// A new log under `name`.
    pub fn log(&self, name: &str) -> Log {
        let log = Log::default();
        lock(&self.0).logs.push((name.to_owned(), log.clone()));
        log
    }

    /// Shows the files of `folder` too, if the test fails.
    pub fn watch_folder(&self, folder: &Path) {
        lock(&self.0).folders.push(folder.to_owned());
    }

    /// Reads the watched folder now, because it is about to be removed.
    pub fn keep_folder(&self, folder: &Path) {
        let files = read_folder(folder);
        let mut entries = lock(&self.0);
        entries.folders.retain(|watched| watched != folder);
        entries.kept.extend(files);
    }

    /// The ends of all logs.
    pub fn text(&self) -> String {
        let entries = lock(&self.0);
        let logs = entries.logs.iter().map(|(name, log)| (name.clone(), log.text()));
        let files = entries.folders.iter().flat_map(|folder| read_folder(folder));
        logs.chain(files)
            .chain(entries.kept.iter().cloned())
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("---- {name}\n{}\n", tail(&text)))
            .collect()
    }
}

/// The files directly in `folder`, as (path, text), in order of their names.
pub fn read_folder(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).ok()?;
        Some((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()))
    };
    paths.into_iter().filter_map(read).collect()
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(TAIL);
    let from = (from..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[from..]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a journal's lock is never held across a panic")
}

#[cfg(test)]
mod tests {
    use super::{Journal, tail};

    #[test]
    fn shows_every_log_that_has_text() {
        let journal = Journal::default();
        journal.log("up").push("ready\n");
        journal.log("silent");
        assert_eq!(journal.text(), "---- up\nready\n\n");
    }

    #[test]
    fn cuts_long_text_between_characters() {
        let text = "é".repeat(5000);
        assert!(tail(&text).len() <= super::TAIL);
    }
}
