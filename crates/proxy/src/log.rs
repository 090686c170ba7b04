//! Writing access logs. In: lines and where they go. Out: files, written by a thread of its own so
//! that a slow disk holds no traffic; lines that find the queue full are counted and dropped.
//!
//! Files that a configuration names are their owner's to keep small; the one that stands in for
//! standard output is kept small here.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lateen_routing::Sink;
use lateen_runtime::rotated::{LIMIT, Rotated};

const QUEUE: usize = 8192;

#[derive(Debug)]
pub struct LogWriter {
    lines: SyncSender<(Sink, String)>,
    dropped: AtomicU64,
}

impl LogWriter {
    /// `stand_in` takes the lines for standard output and error.
    pub fn start(stand_in: Option<PathBuf>) -> io::Result<Self> {
        let (lines, receiver) = sync_channel(QUEUE);
        let mut files = Files {
            stand_in: stand_in.map(|path| Rotated::new(path, LIMIT)),
            named: HashMap::new(),
        };
        let writer = std::thread::Builder::new().name("access-log".into());
        writer.spawn(move || files.write_all(&receiver))?;
        Ok(Self { lines, dropped: AtomicU64::new(0) })
    }

    pub fn line(&self, sink: &Sink, line: String) {
        if self.lines.try_send((sink.clone(), line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Files {
    stand_in: Option<Rotated>,
    named: HashMap<PathBuf, File>,
}

impl Files {
    /// Writes until the senders are gone; what has queued up goes out in one write per sink.
    fn write_all(&mut self, lines: &Receiver<(Sink, String)>) {
        while let Ok((sink, text)) = lines.recv() {
            let mut batch = HashMap::from([(sink, text)]);
            while let Ok((sink, text)) = lines.try_recv() {
                batch.entry(sink).or_default().push_str(&text);
            }
            for (sink, text) in batch {
                if let Err(error) = self.write(&sink, &text) {
                    tracing::warn!(?sink, %error, "cannot write the access log: check path and space");
                }
            }
        }
    }

    fn write(&mut self, sink: &Sink, text: &str) -> io::Result<()> {
        match (sink, &mut self.stand_in) {
            (Sink::Stdout | Sink::Stderr, Some(file)) => file.append(text.as_bytes()),
            (Sink::Stdout, None) => io::stdout().lock().write_all(text.as_bytes()),
            (Sink::Stderr, None) => io::stderr().lock().write_all(text.as_bytes()),
            (Sink::File(path), _) => self.append(path, text),
        }
    }

    fn append(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if !self.named.contains_key(path) {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.named.insert(path.to_owned(), file);
        }
        self.named.get_mut(path).expect("inserted above").write_all(text.as_bytes())
    }
}
