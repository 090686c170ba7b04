//! Writing access logs. In: lines and where they go. Out: files, written by a thread of its own so
//! that a slow disk holds no traffic; lines that find the queue full are counted and dropped.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lateen_routing::Sink;

const QUEUE: usize = 8192;

#[derive(Debug)]
pub struct LogWriter {
    lines: SyncSender<(Sink, String)>,
    dropped: AtomicU64,
}

impl LogWriter {
    pub fn start() -> io::Result<Self> {
        let (lines, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&receiver))?;
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

/// Writes until the senders are gone; what has queued up meanwhile goes out in one write per sink.
fn write(lines: &Receiver<(Sink, String)>) {
    let mut files = HashMap::new();
    while let Ok((sink, text)) = lines.recv() {
        let mut batch = HashMap::from([(sink, text)]);
        while let Ok((sink, text)) = lines.try_recv() {
            batch.entry(sink).or_default().push_str(&text);
        }
        for (sink, text) in batch {
            let result = match &sink {
                Sink::Stdout => io::stdout().lock().write_all(text.as_bytes()),
                Sink::File(path) => append(&mut files, path, &text),
            };
            if let Err(error) = result {
                tracing::warn!(?sink, %error, "cannot write the access log: check path and space");
            }
        }
    }
}

fn append(files: &mut HashMap<PathBuf, File>, path: &PathBuf, text: &str) -> io::Result<()> {
    if !files.contains_key(path) {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        files.insert(path.clone(), file);
    }
    files.get_mut(path).expect("inserted above").write_all(text.as_bytes())
}
