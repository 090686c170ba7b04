//! A node's files. In: the node's root folder and paths on the node. Out: texts; and new texts in their
//! place, atomically, with the old one beside it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::Flock;
use rustix::fs::XattrFlags;

use crate::output::note;
use crate::{bounded, lock};

/// Files with more bytes than this are not settings.
const MOST: u64 = 4 << 20;

/// What stands in a backup's name before and behind its time.
const BACKUP: &str = ".lateen-";
const BACKUP_END: &str = ".bak";
/// As many of a file are kept, and the first one, and the last one that is an original.
pub const KEPT: usize = 10;
/// Linux has no longer values of attributes, and no longer lists of their names.
const ATTRIBUTES: usize = 64 << 10;
/// So many links may be on the way to a file, as in Linux.
const LINKS: u32 = 40;
/// How long a run waits for another one.
const LOCKED: Duration = Duration::from_secs(30);

/// The root folder under which a node's files are.
#[derive(Debug)]
pub struct Root(PathBuf);

/// What a file is to become.
#[derive(Debug)]
pub struct Edit {
    /// The path on the node.
    pub path: String,
    pub before: Option<String>,
    /// Without it the file is removed, and its folder if nothing else is in it.
    pub after: Option<String>,
    /// Of a new file.
    pub mode: u32,
    /// Contents that are not to be shown, and not to be left in a backup when they are taken back.
    pub secret: bool,
    /// Whether all that a file had was of an addition, so that no backup need be left when it is removed.
    pub is_ours: bool,
}

impl Root {
    pub fn open(path: &Path) -> Result<Root> {
        let path = fs::canonicalize(path)
            .with_context(|| format!("cannot open {}: check --root", path.display()))?;
        ensure!(path.is_dir(), "{} is not a folder: check --root", path.display());
        Ok(Root(path))
    }

    /// Whether this is the machine that we run on, and not an image of one.
    pub fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    pub fn display(&self) -> std::path::Display<'_> {
        self.0.display()
    }

    /// The path here of a path on the node.
    pub fn join(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|place| place.exists())
    }

    /// The text of a file, if it is there.
    pub fn read(&self, path: &str) -> Result<Option<String>> {
        let place = self.resolve(path)?;
        match fs::metadata(&place) {
            // Opening a pipe would wait for its other end.
            Ok(metadata) => ensure!(metadata.is_file(), "{path} is not a file: move it away"),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
        let file = File::open(&place).with_context(|| format!("cannot read {path}"))?;
        read_text(file).with_context(|| path.to_owned()).map(Some)
    }

    /// The names in a folder, sorted; of a folder that is not there none.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.resolve(folder).and_then(|folder| Ok(fs::read_dir(folder)?));
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// What a file was before this command changed it, the newest first.
    pub fn backups(&self, path: &str) -> impl Iterator<Item = String> {
        self.backup_files(path).into_iter().filter_map(|file| text_of(&file))
    }

    /// Removes backups of a file that nobody needs any more: all but the newest ones, the first one, and the newest one
    /// that is an original, to which a file may be given back.
    pub fn prune(&self, path: &str, is_original: impl Fn(&str) -> bool) {
        let files = self.backup_files(path);
        let Some(old) = files.get(KEPT..).and_then(|old| old.split_last()).map(|(_, old)| old)
        else {
            return;
        };
        let original =
            files.iter().find(|file| text_of(file).is_some_and(|text| is_original(&text)));
        for file in old.iter().filter(|file| Some(*file) != original) {
            // The next run tries again.
            let _ = fs::remove_file(file);
        }
    }

    /// They are beside the file itself, behind links.
    fn backup_files(&self, path: &str) -> Vec<PathBuf> {
        let Ok(place) = self.resolve(path) else { return Vec::new() };
        let (Some(folder), Ok(name)) = (place.parent(), file_name(&place)) else {
            return Vec::new();
        };
        let start = format!("{name}{BACKUP}");
        let is_backup = |name: &str| name.starts_with(&start) && name.ends_with(BACKUP_END);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_backup))
            .map(|entry| entry.path())
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        files
    }

    /// One run at a time changes a node's files.
    pub fn lock(&self) -> Result<Flock<File>> {
        let folder = self.resolve("/run")?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join("lateen-registry.lock");
        let begun = Instant::now();
        let mut told = false;
        loop {
            if let Some(lock) = lock::take(&path)? {
                return Ok(lock);
            }
            ensure!(
                begun.elapsed() < LOCKED,
                "another lateen node registry is at work here: try again when it has ended"
            );
            if !told && begun.elapsed() > Duration::from_secs(1) {
                note("waiting for another lateen node registry to end");
                told = true;
            }
        }
    }

    /// The file itself, behind links. They lead where they would lead on the node: what they name begins at the root,
    /// and nothing leads out of it.
    fn resolve(&self, path: &str) -> Result<PathBuf> {
        ensure!(
            !Path::new(path).components().any(|part| part == Component::ParentDir),
            "{path} leads out of its folder: write it without .."
        );
        self.follow(self.0.clone(), Path::new(path), &mut { LINKS })
            .with_context(|| format!("cannot open {path}"))
    }

    /// Where a path leads from a folder; `left` is how many more links may be on the way.
    fn follow(&self, from: PathBuf, path: &Path, left: &mut u32) -> Result<PathBuf> {
        let mut place = from;
        for part in path.components() {
            match part {
                Component::RootDir => place.clone_from(&self.0),
                Component::ParentDir if place != self.0 => drop(place.pop()),
                Component::Normal(name) => {
                    let next = place.join(name);
                    if !next.is_symlink() {
                        place = next;
                        continue;
                    }
                    *left = left.checked_sub(1).context("there are too many links")?;
                    place = self.follow(place, &fs::read_link(&next)?, left)?;
                    ensure!(
                        place.exists(),
                        "{} is a link to what is not there, {}",
                        next.display(),
                        place.display()
                    );
                }
                _ => {}
            }
        }
        Ok(place)
    }

    /// Makes an edit true, if the file is still what it was when the edit was made.
    pub fn write(&self, edit: &Edit, stamp: &str) -> Result<Option<PathBuf>> {
        if self.read(&edit.path)? != edit.before {
            bail!("{} was changed by somebody else just now: try again", edit.path);
        }
        let place = self.resolve(&edit.path)?;
        let folder = place.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder of {}", edit.path))?;
        let owner = File::open(&place).ok();
        // Always of one name, so that the next run finds what one that was killed has left.
        let scratch = place.with_file_name(format!(".{}.lateen-new", file_name(&place)?));
        let needs_none = edit.secret || (edit.is_ours && edit.after.is_none());
        let backup = match (&edit.before, needs_none) {
            (Some(before), false) => {
                let name = format!("{}{BACKUP}{stamp}{BACKUP_END}", file_name(&place)?);
                let backup = place.with_file_name(name);
                put(&backup, &scratch, before, owner.as_ref(), edit.mode)
                    .with_context(|| format!("cannot write {}", backup.display()))?;
                Some(backup)
            }
            _ => None,
        };
        let written = match &edit.after {
            Some(after) => put(&place, &scratch, after, owner.as_ref(), edit.mode),
            None => fs::remove_file(&place).map_err(Into::into),
        };
        if written.is_err() {
            // Nothing was changed that it would be the state before.
            backup.as_ref().map(fs::remove_file);
        }
        let verb = if edit.after.is_some() { "write" } else { "remove" };
        written.with_context(|| format!("cannot {verb} {}", edit.path))?;
        if edit.after.is_none() {
            // A folder with other files in it stays.
            let _ = fs::remove_dir(folder);
        }
        Ok(backup)
    }
}

/// The contents of a file of settings, which a device without an end is not.
pub fn read_bytes(file: impl Read) -> Result<Vec<u8>> {
    bounded::bytes(file, MOST)
}

/// Of a file among others, which may be no text.
fn text_of(file: &Path) -> Option<String> {
    let is_file = fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| File::open(file).ok())?.and_then(|file| read_text(file).ok())
}

/// The same as text.
pub fn read_text(file: impl Read) -> Result<String> {
    bounded::text(file, MOST)
}

/// Whether a name is that of a backup.
pub fn is_backup(name: &str) -> bool {
    name.contains(BACKUP) && name.ends_with(BACKUP_END)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a file has a name")
}

/// Writes a file that is there as a whole or not at all, with the owner, the mode and the extended
/// attributes of `like`. `scratch` is beside it; one run has it for itself.
pub fn put(path: &Path, scratch: &Path, text: &str, like: Option<&File>, mode: u32) -> Result<()> {
    // Of a run that was killed.
    let _ = fs::remove_file(scratch);
    let written = fill(scratch, text, like, mode).and_then(|()| Ok(fs::rename(scratch, path)?));
    if written.is_err() {
        let _ = fs::remove_file(scratch);
    }
    written?;
    let folder = path.parent().context("a file is in a folder")?;
    Ok(File::open(folder)?.sync_all()?)
}

fn fill(path: &Path, text: &str, like: Option<&File>, mode: u32) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let metadata = like.map(File::metadata).transpose()?;
    if let Some(like) = &metadata {
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    let mode = metadata.map_or(mode, |like| like.mode() & 0o7777);
    file.set_permissions(Permissions::from_mode(mode))?;
    // Lists of who may read a file go by its mode. What a file system does not take, it would not have either.
    if let Some(like) = like {
        let _ = copy_attributes(like, &file);
    }
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// Copies extended attributes (xattr(7)): labels of SELinux, lists of who may read, and users' own.
fn copy_attributes(from: &File, to: &File) -> Result<()> {
    let mut names = vec![0; ATTRIBUTES];
    let length = rustix::fs::flistxattr(from, &mut names)?;
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; ATTRIBUTES];
        let length = rustix::fs::fgetxattr(from, name, &mut value)?;
        // One that this process may not set does not keep others from being set.
        let _ = rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty());
    }
    Ok(())
}

impl Edit {
    pub fn changes(&self) -> bool {
        self.before != self.after
    }

    /// In one word.
    pub fn word(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "created",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        }
    }
}

#[cfg(test)]
mod tests;
