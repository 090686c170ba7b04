//! Real processes in real namespaces: who is ended, and who is not.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use lateen_runtime::process::ProcessId;

use super::{Identity, Record, Swept, count, end, parse, sweep};
use crate::ns::Namespace;
use crate::scratch;

const SHORT: Duration = Duration::from_millis(100);

fn start(namespace: &Namespace, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).process_group(0);
    namespace.run(|| command.spawn().unwrap()).unwrap()
}

/// Waits until the shell has become, or started, another program: then its traps are set.
fn await_file(path: &std::path::Path) {
    while !path.exists() {
        std::thread::yield_now();
    }
    fs::remove_file(path).unwrap();
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("lateen-remains-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Makes the record of `namespace` a killed owner's.
    fn orphan(&self, namespace: &Namespace) -> bool {
        let Some(record) = Record::write(&self.0, "w.default.a", "default/a", namespace).unwrap()
        else {
            eprintln!("SKIPPED: this kernel gives namespaces no cookie");
            return false;
        };
        let text = fs::read_to_string(&record.path).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        fs::write(&record.path, format!("1 1\n{rest}")).unwrap();
        std::mem::forget(record);
        true
    }

    fn records(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn what_is_inside_is_told_first_and_made_to_after_the_grace_and_others_are_spared() {
    let (Some(inside), Some(outside)) = (scratch::namespace(), scratch::namespace()) else {
        return;
    };
    let folder = Folder::new("end");
    let ready = folder.0.join("ready");
    let mut polite = start(&inside, "exec sleep 600");
    let script = format!("trap '' TERM; : > {}; while :; do sleep 600; done", ready.display());
    let mut deaf = start(&inside, &script);
    let mut sidecar = start(&inside, "exec sleep 600");
    let mut other = start(&outside, "exec sleep 600");
    await_file(&ready);
    assert!(count(&inside, &[sidecar.id()]) >= 2);
    assert!(end(&inside, &[sidecar.id()], SHORT));
    assert_eq!(polite.wait().unwrap().signal(), Some(15));
    assert_eq!(deaf.wait().unwrap().signal(), Some(9));
    assert_eq!(count(&inside, &[sidecar.id()]), 0);
    for spared in [&mut sidecar, &mut other] {
        assert_eq!(spared.try_wait().unwrap(), None);
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}

#[test]
fn a_killed_owners_namespace_is_swept_and_a_living_ones_is_not() {
    let (Some(dead), Some(living)) = (scratch::namespace(), scratch::namespace()) else { return };
    let folder = Folder::new("sweep");
    let mut orphan = start(&dead, "exec sleep 600");
    let mut child = start(&living, "exec sleep 600");
    if folder.orphan(&dead) {
        let record = Record::write(&folder.0, "w.default.b", "default/b", &living).unwrap();
        // The child of a test is a zombie until it is waited for: the sweep must see it as ended.
        let swept = Swept { workload: "default/a".into(), processes: 1, complete: true };
        assert_eq!(sweep(&folder.0, SHORT), [swept]);
        assert_eq!(orphan.wait().unwrap().signal(), Some(15));
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(folder.records(), 1, "the living one's record stays");
        drop(record);
        assert_eq!(folder.records(), 0);
    }
    for mut left in [orphan, child] {
        // One of them has ended.
        let _ = left.kill();
        left.wait().unwrap();
    }
}

#[test]
fn two_namespaces_never_have_one_identity() {
    let Some(first) = scratch::namespace() else { return };
    let Some(identity) = Identity::of(&first) else { return };
    assert_eq!(Identity::of(&first), Some(identity.clone()));
    drop(first);
    let second = Namespace::create().unwrap();
    assert_ne!(Identity::of(&second), Some(identity));
}

#[test]
fn a_record_that_cannot_be_read_ends_nobody() {
    for text in ["", "12\n", "12 x\nid\nname\n", "12 13\nid\n"] {
        assert!(parse(text).is_none(), "{text:?}");
    }
    let (owner, _, workload) = parse("12 13\nboot 7\ndefault/a\n").unwrap();
    assert_eq!((owner, workload.as_str()), (ProcessId { pid: 12, start: 13 }, "default/a"));
}
