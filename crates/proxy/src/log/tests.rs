//! Files that are moved away, and sinks that cannot be written to.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lateen_routing::Sink;

use super::{BATCH, Files, LOOK_EVERY, LogWriter, Queue, ROOM};

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = std::env::temp_dir().join(format!("lateen-access-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (path, moved) = (folder.join("a.log"), folder.join("a.log.1"));
    let (mut files, sink) = (Files::new(None), Sink::File(path.clone()));
    let begin = Instant::now();
    files.write(&sink, "one\n", begin).unwrap();
    fs::rename(&path, &moved).unwrap();
    files.write(&sink, "two\n", begin + LOOK_EVERY / 2).unwrap();
    files.write(&sink, "three\n", begin + LOOK_EVERY).unwrap();
    files.write(&sink, "four\n", begin + 3 * LOOK_EVERY).unwrap();
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
    assert_eq!((all.texts, all.bytes), (vec![(out, "13".into()), (err, "2".into())], 3));
    queue.lock().add(&Sink::Stdout, "4");
    queue.lock().ended = true;
    assert_eq!(queue.next().map(|all| all.bytes), Some(1));
    assert!(queue.next().is_none());
}

#[test]
fn what_finds_no_room_is_counted() {
    // A pipe that nobody reads from holds the writer.
    let path = std::env::temp_dir().join(format!("lateen-pipe-{}", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let log = LogWriter::start(None).unwrap();
    let (sink, line) = (Sink::File(path.clone()), "x".repeat(BATCH));
    let fits = ROOM / BATCH;
    for _ in 0..=2 * fits {
        log.line(&sink, &line);
    }
    assert!(log.dropped() >= 1 && log.dropped() <= 1 + fits as u64, "{}", log.dropped());
    drop(fs::File::open(&path).unwrap());
    log.flush(Duration::from_secs(20));
    fs::remove_file(path).unwrap();
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
