//! Files that are moved away, and sinks that cannot be written to.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lateen_routing::Sink;

use super::{Files, LOOK_EVERY, LogWriter};

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
        log.line(&Sink::File(path.clone()), "a line\n".into());
    }
    log.flush(Duration::from_secs(20));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1000);
    fs::remove_file(path).unwrap();
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let log = LogWriter::start(None).unwrap();
    for _ in 0..3 {
        log.line(&Sink::File(PathBuf::from("/no/such/folder/a.log")), "a line\n".into());
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
