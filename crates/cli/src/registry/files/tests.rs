//! Writing a node's files: whole, with backups, with their owners and modes, and never outside the root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::fs::XattrFlags;

use super::{Edit, Root, read_text};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("lateen-files-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("etc")).unwrap();
        Scratch(path)
    }

    fn root(&self) -> Root {
        Root::open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn edit(path: &str, before: Option<&str>, after: Option<&str>) -> Edit {
    let text = |text: &str| text.to_owned();
    Edit {
        path: path.to_owned(),
        before: before.map(text),
        after: after.map(text),
        mode: 0o644,
        secret: false,
        is_ours: true,
    }
}

#[test]
fn a_changed_file_keeps_its_mode_and_leaves_a_backup() {
    let scratch = Scratch::new("backup");
    let file = scratch.0.join("etc/a.json");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let backup = scratch.root().write(&edit("/etc/a.json", Some("old"), Some("new")), "T").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    let backup = backup.unwrap();
    assert!(backup.ends_with("etc/a.json.lateen-T.bak"), "{}", backup.display());
    assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
    for path in [&file, &backup] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    }
    assert_eq!(scratch.root().names("/etc").len(), 2, "no scratch file is left");
}

#[test]
fn a_changed_file_keeps_its_extended_attributes_where_there_are_such() {
    let scratch = Scratch::new("attributes");
    let path = scratch.0.join("etc/a.json");
    fs::write(&path, "old").unwrap();
    let (name, value) = ("user.ours", b"1".as_slice());
    let file = fs::File::open(&path).unwrap();
    if rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty()).is_err() {
        // Some file systems have none.
        return;
    }
    let backup = scratch.root().write(&edit("/etc/a.json", Some("old"), Some("new")), "T").unwrap();
    for path in [path, backup.unwrap()] {
        let mut found = vec![0; 8];
        let length = rustix::fs::getxattr(&path, name, &mut found).unwrap();
        assert_eq!(&found[..length], value, "{}", path.display());
    }
}

#[test]
fn backups_are_few_and_the_originals_are_among_them() {
    let scratch = Scratch::new("prune");
    let (root, mut before) = (scratch.root(), "first".to_owned());
    fs::create_dir(scratch.0.join("own")).unwrap();
    fs::write(scratch.0.join("own/a"), &before).unwrap();
    // Backups are beside the file, not beside a link to it.
    symlink("/own/a", scratch.0.join("etc/a")).unwrap();
    for at in 0..30 {
        let after = if at == 7 { "original".to_owned() } else { format!("text {at}") };
        root.write(&edit("/etc/a", Some(&before), Some(&after)), &format!("{at:02}")).unwrap();
        root.prune("/etc/a", |text| text == "original");
        before = after;
    }
    let mut expected: Vec<String> = (19..29).rev().map(|at| format!("text {at}")).collect();
    expected.extend(["original".to_owned(), "first".to_owned()]);
    assert_eq!(root.backups("/etc/a").collect::<Vec<_>>(), expected);
}

#[test]
fn a_new_file_has_its_folder_made_and_removed_with_it() {
    let scratch = Scratch::new("new");
    let (root, path) = (scratch.root(), "/etc/certs.d/r:5000/hosts.toml");
    assert_eq!(root.read(path).unwrap(), None);
    assert_eq!(root.write(&edit(path, None, Some("x")), "T").unwrap(), None);
    assert_eq!(root.read(path).unwrap().as_deref(), Some("x"));
    root.write(&edit(path, Some("x"), None), "T").unwrap();
    assert!(!root.exists("/etc/certs.d/r:5000"));
    assert!(root.exists("/etc/certs.d"));
}

#[test]
fn what_a_killed_run_left_is_gone_after_the_next_one() {
    let scratch = Scratch::new("killed");
    fs::write(scratch.0.join("etc/a"), "old").unwrap();
    fs::write(scratch.0.join("etc/.a.lateen-new"), "ne").unwrap();
    scratch.root().write(&edit("/etc/a", Some("old"), Some("new")), "T").unwrap();
    assert_eq!(scratch.root().names("/etc"), ["a", "a.lateen-T.bak"]);
}

#[test]
fn what_somebody_else_wrote_in_between_is_not_lost() {
    let scratch = Scratch::new("race");
    fs::write(scratch.0.join("etc/a"), "theirs").unwrap();
    let error = scratch.root().write(&edit("/etc/a", Some("old"), Some("new")), "T").unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
    assert_eq!(fs::read_to_string(scratch.0.join("etc/a")).unwrap(), "theirs");
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let scratch = Scratch::new("links");
    fs::write(scratch.0.join("etc/real"), "old").unwrap();
    symlink("real", scratch.0.join("etc/link")).unwrap();
    scratch.root().write(&edit("/etc/link", Some("old"), Some("new")), "T").unwrap();
    assert!(scratch.0.join("etc/link").is_symlink());
    assert_eq!(fs::read_to_string(scratch.0.join("etc/real")).unwrap(), "new");
    for (name, target) in [("absolute", "/etc/real"), ("up", "../../../../../../etc/real")] {
        symlink(target, scratch.0.join("etc").join(name)).unwrap();
        let path = format!("/etc/{name}");
        assert_eq!(scratch.root().read(&path).unwrap().as_deref(), Some("new"), "{target}");
    }
    symlink("/etc", scratch.0.join("folder")).unwrap();
    assert!(scratch.root().exists("/folder/real") && !scratch.root().exists("/folder/hostname"));
    assert!(scratch.root().names("/folder").contains(&"real".to_owned()));
    symlink("/etc/round", scratch.0.join("etc/round")).unwrap();
    let round = format!("{:#}", scratch.root().read("/etc/round").unwrap_err());
    assert!(round.contains("too many links"), "{round}");
    symlink("/nowhere/at/all", scratch.0.join("etc/dangling")).unwrap();
    assert!(scratch.root().read("/etc/dangling").is_err());
    assert!(scratch.root().read("/etc/../../x").is_err());
}

#[test]
fn what_is_no_file_of_settings_is_not_read() {
    let scratch = Scratch::new("kinds");
    let at = |name: &str| scratch.0.join("etc").join(name);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("bytes"), b"{\"a\": \"\xff\"}").unwrap();
    fs::File::create(at("huge")).unwrap().set_len(5 << 20).unwrap();
    for (name, reason) in [
        ("pipe", "is not a file"),
        ("folder", "is not a file"),
        ("bytes", "not text in UTF-8 from byte 7 on"),
        ("huge", "it has more than 4 MiB"),
    ] {
        let error = scratch.root().read(&format!("/etc/{name}")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(reason) && text.contains(&format!("/etc/{name}")), "{text}");
    }
    let endless = read_text(fs::File::open("/dev/zero").unwrap()).unwrap_err().to_string();
    assert!(endless.contains("it has more than 4 MiB"), "{endless}");
}

#[test]
fn one_run_at_a_time() {
    let scratch = Scratch::new("lock");
    let held = scratch.root().lock().unwrap();
    assert!(scratch.root().lock().unwrap_err().to_string().contains("another"));
    drop(held);
    scratch.root().lock().unwrap();
}
