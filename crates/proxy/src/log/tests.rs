//! Files that are moved away, and sinks that cannot be written to.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::thread::JoinHandleExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lateen_routing::Sink;
use libc::O_NONBLOCK;
use nix::fcntl::OFlag;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::{BATCH, Files, LOOK_EVERY, LogWriter, PATIENCE, Queue, ROOM, put};

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = std::env::temp_dir().join(format!("lateen-access-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (path, moved) = (folder.join("a.log"), folder.join("a.log.1"));
    let (mut files, sink) = (Files::new(None), Sink::File(path.clone()));
    let begin = Instant::now();
    files.write(&sink, &mut "one\n", begin).unwrap();
    fs::rename(&path, &moved).unwrap();
    files.write(&sink, &mut "two\n", begin + LOOK_EVERY / 2).unwrap();
    files.write(&sink, &mut "three\n", begin + LOOK_EVERY).unwrap();
    files.write(&sink, &mut "four\n", begin + 3 * LOOK_EVERY).unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\nfour\n");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_was_logged_before_a_flush_is_written_after_it() {
    let path = std::env::temp_dir().join(format!("lateen-flush-{}", std::process::id()));
    let log = LogWriter::start(None).unwrap();
    for _ in 0..1000 {
        log.line(&Sink::File(path.clone()), "a line\n");
    }
    log.flush(Duration::from_secs(20));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1000);
    fs::remove_file(path).unwrap();
}

#[test]
fn lines_are_gathered_in_the_order_of_each_sink_and_none_is_lost_at_the_end() {
    let queue = Queue::default();
    let (out, err) = (Sink::Stdout, Sink::Stderr);
    for (sink, line) in [(&out, "1"), (&err, "2"), (&out, "3")] {
        queue.lock().add(sink, line);
    }
    let all = queue.next().unwrap();
    assert_eq!((all.texts, all.bytes), (vec![(out, "13".into(), 2), (err, "2".into(), 1)], 3));
    queue.lock().add(&Sink::Stdout, "4");
    queue.lock().ended = true;
    assert_eq!(queue.next().map(|all| all.bytes), Some(1));
    assert!(queue.next().is_none());
}

#[test]
fn what_finds_no_room_is_counted() {
    let queue = Arc::new(Queue::default());
    let log = LogWriter { queue: queue.clone() };
    let line = "x".repeat(BATCH);
    for _ in 0..=ROOM / BATCH {
        log.line(&Sink::Stdout, &line);
    }
    assert_eq!((log.dropped(), queue.lock().bytes), (1, ROOM));
}

#[test]
fn a_pipe_that_nobody_reads_from_holds_no_other_sink() {
    let folder = std::env::temp_dir().join(format!("lateen-pipes-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let pipe = |name: &str| {
        let path = folder.join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    };
    let (unread, slow, good) = (pipe("unread"), pipe("slow"), folder.join("a.log"));
    // Holds it open, and reads when all has been written.
    let mut reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&slow).unwrap();
    let log = LogWriter::start(None).unwrap();
    let line = format!("{}\n", "x".repeat(99));
    for _ in 0..1000 {
        for path in [&unread, &slow, &good] {
            log.line(&Sink::File(path.clone()), &line);
        }
    }
    log.flush(Duration::from_secs(20));
    assert_eq!(fs::read_to_string(&good).unwrap(), line.repeat(1000));
    let mut text = String::new();
    // It is not over: the pipe is still open.
    reader.read_to_string(&mut text).unwrap_err();
    let taken = text.lines().count();
    assert_eq!(text, line.repeat(taken), "whole lines");
    assert!(taken > 500, "{taken}");
    assert_eq!(log.dropped(), 1000 + 1000 - taken as u64);
    log.line(&Sink::File(slow.clone()), "more\n");
    log.flush(Duration::from_secs(20));
    assert_eq!(log.dropped(), 2000 - taken as u64, "it takes more when it was read");
    // Far more than a pipe holds, to a sink that has failed: somebody reads it now.
    let (mut files, sink, text) = (Files::new(None), Sink::File(slow.clone()), line.repeat(40_000));
    let mut pipe = fs::File::open(slow).unwrap();
    let reads = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    let (mut rest, mut parts, begin) = (text.as_str(), 0, Instant::now());
    while !rest.is_empty() && begin.elapsed() < Duration::from_secs(20) {
        let before = rest.len();
        files.failing.insert(sink.clone());
        let _ = files.write(&sink, &mut rest, Instant::now());
        parts += u32::from(rest.len() < before);
    }
    drop((files, reader, log));
    assert!(reads.join().unwrap().ends_with(&text), "{} bytes left", rest.len());
    assert!(parts < 20, "{parts}: who begins to take lines is waited for again");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_signal_does_not_end_the_wait_for_a_pipe() {
    static SIGNALS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_: libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::SeqCst);
    }
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: adding to an atomic is all that it does, and no other test uses this signal.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
    let (mut reader, mut writer) = (fs::File::from(reader), fs::File::from(writer));
    while writer.write_all(&[b'x'; 4096]).is_ok() {}
    let writes = std::thread::spawn(move || put(writer, &mut "a line\n", 10 * PATIENCE));
    // The first ones may come before it waits.
    for sent in 1..=5 {
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(writes.as_pthread_t(), libc::SIGUSR2) };
        while SIGNALS.load(Ordering::SeqCst) < sent && !writes.is_finished() {
            std::thread::yield_now();
        }
    }
    let mut text = Vec::new();
    // It is not over, and then it is.
    let _ = reader.read_to_end(&mut text);
    writes.join().unwrap().unwrap();
    reader.read_to_end(&mut text).unwrap();
    assert!(text.ends_with(b"xa line\n"));
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let log = LogWriter::start(None).unwrap();
    for _ in 0..3 {
        log.line(&Sink::File(PathBuf::from("/no/such/folder/a.log")), "a line\n");
    }
    log.flush(Duration::from_secs(20));
    assert_eq!(log.dropped(), 3);
}

#[test]
fn a_sink_that_goes_on_failing_is_told_of_once() {
    let mut files = Files::new(None);
    let sink = |name: &str| Sink::File(PathBuf::from(name));
    let mut fails = |name: &str| files.news(sink(name), Err(io::ErrorKind::StorageFull.into()));
    assert!(fails("a").is_some());
    assert!(fails("a").is_none());
    assert!(fails("b").is_some());
    assert!(files.news(sink("a"), Ok(())).is_none());
    assert!(files.news(sink("a"), Err(io::ErrorKind::StorageFull.into())).is_some());
}
