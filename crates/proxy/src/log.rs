//! Writing access logs. In: lines and where they go. Out: files, written by a thread of its own so
//! that a slow disk holds no traffic; lines that find no room or cannot be written are counted and dropped.
//!
//! Waking a thread for every connection would cost more than all else that is done for its line: lines are
//! gathered for a moment, and written at once.
//!
//! Files that a configuration names are their owner's to keep small, by moving them away (logrotate); the
//! one that stands in for standard output is kept small here.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lateen_routing::Sink;
use lateen_runtime::rotated::{LIMIT, Rotated};
use libc::{O_NOCTTY, O_NONBLOCK};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::stat::{SFlag, fstat};

/// Bytes that may wait to be written, and how many are written at once without waiting for more.
const ROOM: usize = 4 << 20;
const BATCH: usize = 256 << 10;
/// How long lines are gathered.
const MOMENT: Duration = Duration::from_millis(50);
/// What a pipe takes as a whole or not at all.
const PIECE: usize = 4096;
/// How long a pipe that was read from so far may take none, in milliseconds, and how long all may take. Meanwhile
/// nothing else is written.
const PATIENCE: u16 = 200;
const LONGEST: Duration = Duration::from_secs(1);
/// How often a named file is looked for under its name.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct LogWriter {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Told of the first line, of a full batch, of a flush and of the end.
    news: Condvar,
    /// Lines that found no room or could not be written.
    dropped: AtomicU64,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Waiting {
    /// A text for each of the few sinks that there are, and how many lines it has.
    texts: Vec<(Sink, String, u64)>,
    bytes: usize,
    /// To be answered when everything before is written.
    flushes: Vec<SyncSender<()>>,
    ended: bool,
}

impl LogWriter {
    /// `stand_in` takes the lines for standard output and error.
    pub fn start(stand_in: Option<PathBuf>) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (mut files, own) = (Files::new(stand_in), queue.clone());
        let writer = std::thread::Builder::new().name("access-log".into());
        writer.spawn(move || files.write_all(&own))?;
        Ok(Self { queue })
    }

    pub fn line(&self, sink: &Sink, line: &str) {
        let mut waiting = self.queue.lock();
        let before = waiting.bytes;
        if before + line.len() > ROOM {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.add(sink, line);
        let is_news = before == 0 || (before < BATCH && waiting.bytes >= BATCH);
        drop(waiting);
        if is_news {
            self.queue.news.notify_one();
        }
    }

    /// Waits until the lines so far are written, as long as it takes at most.
    pub fn flush(&self, within: Duration) {
        let (done, written) = sync_channel(1);
        self.queue.lock().flushes.push(done);
        self.queue.news.notify_one();
        // What takes longer is lost, as what finds no room.
        let _ = written.recv_timeout(within);
    }

    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.news.notify_one();
    }
}

impl Queue {
    /// What has been gathered, once there is any; nothing at the end.
    fn next(&self) -> Option<Waiting> {
        let intact = "nothing panics while holding it";
        let waiting = self.lock();
        let waiting = self.news.wait_while(waiting, |all| all.bytes == 0 && !all.is_urgent());
        let waiting = waiting.expect(intact);
        let more = |all: &mut Waiting| all.bytes < BATCH && !all.is_urgent();
        let (mut waiting, _) = self.news.wait_timeout_while(waiting, MOMENT, more).expect(intact);
        let ended = waiting.ended;
        let all = std::mem::replace(&mut *waiting, Waiting { ended, ..Waiting::default() });
        let is_something = all.bytes > 0 || !all.flushes.is_empty();
        is_something.then_some(all)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while holding it")
    }
}

impl Waiting {
    fn add(&mut self, sink: &Sink, line: &str) {
        self.bytes += line.len();
        match self.texts.iter_mut().find(|(known, ..)| known == sink) {
            Some((_, text, lines)) => {
                text.push_str(line);
                *lines += 1;
            }
            None => self.texts.push((sink.clone(), line.to_owned(), 1)),
        }
    }

    /// Whether somebody waits.
    fn is_urgent(&self) -> bool {
        self.ended || !self.flushes.is_empty()
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

    /// Writes until nobody is there who could add lines; what was gathered goes out in one write per sink.
    fn write_all(&mut self, queue: &Queue) {
        while let Some(all) = queue.next() {
            for (sink, text, lines) in all.texts {
                let mut rest = text.as_str();
                let written = self.write(&sink, &mut rest, Instant::now());
                if written.is_err() {
                    let lost = rest.bytes().filter(|byte| *byte == b'\n').count() as u64;
                    queue.dropped.fetch_add(lost.min(lines), Ordering::Relaxed);
                }
                if let Some(error) = self.news(sink.clone(), written) {
                    tracing::warn!(?sink, %error, "cannot write the access log: check path, space and reader");
                }
            }
            for done in all.flushes {
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

    /// Takes from the text what is written.
    fn write(&mut self, sink: &Sink, text: &mut &str, now: Instant) -> io::Result<()> {
        let patience = if self.failing.contains(sink) { 0 } else { PATIENCE };
        match (sink, &mut self.stand_in) {
            (Sink::Stdout | Sink::Stderr, Some(file)) => file.append(text.as_bytes()),
            (Sink::Stdout, None) => put(io::stdout().lock(), text, patience),
            (Sink::Stderr, None) => put(io::stderr().lock(), text, patience),
            (Sink::File(path), _) => self.append(path, text, now, patience),
        }
    }

    fn append(
        &mut self,
        path: &Path,
        text: &mut &str,
        now: Instant,
        patience: u16,
    ) -> io::Result<()> {
        let has_name = self.named.get_mut(path).is_some_and(|named| named.has_name(path, now));
        if !has_name {
            // A pipe that nobody reads from is refused at once.
            let flags = O_NONBLOCK | O_NOCTTY;
            let file =
                OpenOptions::new().create(true).append(true).custom_flags(flags).open(path)?;
            self.named.insert(path.to_owned(), Named { file, looked: now });
        }
        let named = self.named.get_mut(path).expect("inserted above");
        put(&named.file, text, patience)
    }
}

/// Writes a file at once, and all else in pieces of whole lines as long as it takes them.
fn put(mut out: impl Write + AsFd, text: &mut &str, mut patience: u16) -> io::Result<()> {
    if SFlag::from_bits_truncate(fstat(&out)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG {
        return out.write_all(text.as_bytes());
    }
    let began = Instant::now();
    while !text.is_empty() {
        let mut ready = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
        let polled = poll(&mut ready, patience);
        if polled == Ok(0) || began.elapsed() > LONGEST {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match polled {
            // A signal came: nothing is known yet.
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        let (piece, rest) = text.split_at(piece(text));
        out.write_all(piece.as_bytes())?;
        out.flush()?;
        *text = rest;
        patience = PATIENCE;
    }
    Ok(())
}

/// Bytes of as many whole lines as fit into a piece; of one that does not fit, a part.
fn piece(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let fits = &text[..text.floor_char_boundary(PIECE)];
    fits.rfind('\n').map_or(fits.len(), |end| end + 1)
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
