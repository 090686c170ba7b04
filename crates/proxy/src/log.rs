//! Writing access logs. In: lines and where they go. Out: files, written by a thread of its own so
//! that a slow disk holds no traffic; lines that find the queue full or cannot be written are counted and dropped.
//!
//! Files that a configuration names are their owner's to keep small, by moving them away (logrotate); the
//! one that stands in for standard output is kept small here.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use lateen_routing::Sink;
use lateen_runtime::rotated::{LIMIT, Rotated};

const QUEUE: usize = 8192;
/// How often a named file is looked for under its name.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct LogWriter {
    orders: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

enum Order {
    Line(Sink, String),
    /// To be answered when everything before it is written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// `stand_in` takes the lines for standard output and error.
    pub fn start(stand_in: Option<PathBuf>) -> io::Result<Self> {
        let (orders, receiver) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut files, lost) = (Files::new(stand_in), dropped.clone());
        let writer = std::thread::Builder::new().name("access-log".into());
        writer.spawn(move || files.write_all(&receiver, &lost))?;
        Ok(Self { orders, dropped })
    }

    pub fn line(&self, sink: &Sink, line: String) {
        if self.orders.try_send(Order::Line(sink.clone(), line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the lines so far are written, as long as it takes at most.
    pub fn flush(&self, within: Duration) {
        let (done, written) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            // What takes longer is lost, as what finds the queue full.
            let _ = written.recv_timeout(within);
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Files {
    stand_in: Option<Rotated>,
    named: HashMap<PathBuf, Named>,
    failing: HashSet<Sink>,
}

struct Named {
    file: File,
    /// When its name was last found to be its own.
    looked: Instant,
}

impl Files {
    fn new(stand_in: Option<PathBuf>) -> Self {
        let stand_in = stand_in.map(|path| Rotated::new(path, LIMIT));
        Self { stand_in, named: HashMap::new(), failing: HashSet::new() }
    }

    /// Writes until the senders are gone; what has queued up goes out in one write per sink.
    fn write_all(&mut self, orders: &Receiver<Order>, dropped: &AtomicU64) {
        while let Ok(first) = orders.recv() {
            let mut batch: HashMap<Sink, (String, u64)> = HashMap::new();
            let mut waiting = Vec::new();
            for order in std::iter::once(first).chain(orders.try_iter()) {
                match order {
                    Order::Line(sink, text) => {
                        let (all, lines) = batch.entry(sink).or_default();
                        all.push_str(&text);
                        *lines += 1;
                    }
                    Order::Flush(done) => waiting.push(done),
                }
            }
            for (sink, (text, lines)) in batch {
                let written = self.write(&sink, &text, Instant::now());
                if written.is_err() {
                    dropped.fetch_add(lines, Ordering::Relaxed);
                }
                if let Some(error) = self.news(sink.clone(), written) {
                    tracing::warn!(?sink, %error, "cannot write the access log: check path and space");
                }
            }
            for done in waiting {
                // Whoever asked may have given up.
                let _ = done.send(());
            }
        }
    }

    /// An error that is worth a line: the first one since the sink could last be written to.
    fn news(&mut self, sink: Sink, written: io::Result<()>) -> Option<io::Error> {
        match written {
            Ok(()) => {
                self.failing.remove(&sink);
                None
            }
            Err(error) => self.failing.insert(sink).then_some(error),
        }
    }

    fn write(&mut self, sink: &Sink, text: &str, now: Instant) -> io::Result<()> {
        match (sink, &mut self.stand_in) {
            (Sink::Stdout | Sink::Stderr, Some(file)) => file.append(text.as_bytes()),
            (Sink::Stdout, None) => io::stdout().lock().write_all(text.as_bytes()),
            (Sink::Stderr, None) => io::stderr().lock().write_all(text.as_bytes()),
            (Sink::File(path), _) => self.append(path, text, now),
        }
    }

    fn append(&mut self, path: &Path, text: &str, now: Instant) -> io::Result<()> {
        let has_name = self.named.get_mut(path).is_some_and(|named| named.has_name(path, now));
        if !has_name {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.named.insert(path.to_owned(), Named { file, looked: now });
        }
        let named = self.named.get_mut(path).expect("inserted above");
        named.file.write_all(text.as_bytes())
    }
}

impl Named {
    /// Whether the file still is what `path` names, as of a moment ago.
    fn has_name(&mut self, path: &Path, now: Instant) -> bool {
        if now.saturating_duration_since(self.looked) < LOOK_EVERY {
            return true;
        }
        self.looked = now;
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(own), Ok(found)) => (own.dev(), own.ino()) == (found.dev(), found.ino()),
            _ => false,
        }
    }
}
