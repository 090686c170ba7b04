//! What has to change in a node's files. In: a node, a host and what is wanted of it. Out: edits, none of
//! them made yet: a file that is not valid stops all of them.

use anyhow::{Context, Result};
use lateen_registry::auth::{self, Credentials};
use lateen_registry::containerd::{Config, FOLDER, Registries};
use lateen_registry::{AUTHORITY_FILE, Host, Trust, crio, docker, hosts};

use super::files::{self, Edit, Root};
use super::runtime::{
    CRIO_DROP_INS, CRIO_FOLDERS, CRIO_SETTINGS, Containerd, DOCKER_FOLDERS, DOCKER_SETTINGS,
    KUBELET_CREDENTIALS, Runtime, host_folder,
};

/// What is wanted of a registry.
#[derive(Debug)]
pub enum Wish {
    Add {
        /// Without it, what there is of trust stays.
        trust: Option<Trust>,
        /// The authority's certificate.
        authority: Option<String>,
        credentials: Option<Credentials>,
    },
    Remove,
}

impl Wish {
    pub fn trust(&self) -> Option<Trust> {
        match self {
            Wish::Add { trust, .. } => *trust,
            Wish::Remove => Some(Trust::System),
        }
    }

    fn authority(&self) -> Option<&str> {
        match self {
            Wish::Add { authority, .. } => authority.as_deref(),
            Wish::Remove => None,
        }
    }
}

/// The edits that make a wish true for the runtimes, in the order in which they are to be made.
pub fn edits(root: &Root, host: &Host, wish: &Wish, runtimes: &[Runtime]) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    if let Some(trust) = wish.trust() {
        for runtime in runtimes {
            let planner = Planner { root, host, trust, authority: wish.authority() };
            edits.extend(match runtime {
                Runtime::Docker => planner.docker()?,
                Runtime::Containerd => planner.containerd()?,
                Runtime::Crio => planner.crio()?,
            });
        }
    }
    edits.extend(credentials(root, host, wish)?);
    edits.retain(Edit::changes);
    Ok(edits)
}

/// What is left of additions when the registry has gone and the runtimes know it: the files' original texts, where
/// backups have them and nothing else has come since.
pub fn leftovers(root: &Root, host: &Host, runtimes: &[Runtime]) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    if runtimes.contains(&Runtime::Docker) {
        let is_left = |now: &str, original: &str| docker::is_left_of(now, original, host);
        let is_made = |now: &str, backup: &str| docker::is_left_of_nothing(now, backup, host);
        edits.extend(original(root, DOCKER_SETTINGS, is_left, is_made)?);
    }
    // Another registry's folder needs the setting that leads to it.
    if runtimes.contains(&Runtime::Containerd) && !needs_folder(root, host)? {
        let (path, _) = Containerd::read(root)?.deciding();
        let is_left = |now: &str, original: &str| {
            let original = Config::parse(original);
            original.is_ok_and(|original| {
                original.registries() == Registries::Unset
                    && original.with_folder(FOLDER).is_ok_and(|text| text == now)
            })
        };
        let left = original(root, &path, is_left, |_, _| false)?;
        edits.extend(left.map_or_else(|| made(root, &path), |left| Ok(Some(left)))?);
    }
    Ok(edits)
}

/// The edit that removes a configuration of containerd that an addition has made and nobody has changed since.
fn made(root: &Root, path: &str) -> Result<Option<Edit>> {
    let made = Config::parse("").and_then(|config| config.with_folder(FOLDER))?;
    let before = root.read(path)?.filter(|now| *now == made);
    // Of one that was there before, there is a backup.
    let is_new = root.backups(path).next().is_none();
    Ok(before.filter(|_| is_new).map(|before| removal(path, before)))
}

fn removal(path: &str, before: String) -> Edit {
    let path = path.to_owned();
    Edit { path, before: Some(before), after: None, mode: 0o644, secret: false, is_ours: true }
}

/// Whether there is something for containerd in a registry's folder. What was there without the setting, and has been
/// given back, needs it as little as backups do.
fn needs_folder(root: &Root, host: &Host) -> Result<bool> {
    let given_back = format!("{FOLDER}/{host}/hosts.toml");
    let is_given_back = match root.read(&given_back)? {
        Some(now) => root.backups(&given_back).any(|backup| backup == now),
        None => false,
    };
    Ok(root.names(FOLDER).into_iter().any(|name| {
        let files = root.names(&format!("{FOLDER}/{name}")).into_iter();
        let mut files = files.filter(|file| !files::is_backup(file));
        let is_own = is_given_back && name == host.as_str();
        files.any(|file| !(is_own && file == "hosts.toml"))
    }))
}

/// Whether [`leftovers`] may give a file this text again: one that says nothing of registries.
pub fn is_original(path: &str, text: &str) -> bool {
    match path == DOCKER_SETTINGS {
        true => !docker::has_list(text),
        false => Config::parse(text).is_ok_and(|it| it.registries() == Registries::Unset),
    }
}

/// The edit that gives a file the text that it had, if `is_left` says of the present one that it came of that, or
/// removes it, if `is_made` says of it and a backup that there was none.
fn original(
    root: &Root,
    path: &str,
    is_left: impl Fn(&str, &str) -> bool,
    is_made: impl Fn(&str, &str) -> bool,
) -> Result<Option<Edit>> {
    let Some(before) = root.read(path)? else { return Ok(None) };
    let found = root.backups(path).find(|backup| is_left(&before, backup));
    // What it was before is no work of an addition.
    let is_given_back = || root.backups(path).any(|backup| backup == before);
    let is_made = || root.backups(path).any(|backup| is_made(&before, &backup));
    let is_made = found.is_none() && is_made() && !is_given_back();
    let is_left = is_made || found.is_some();
    Ok(is_left.then(|| Edit { after: found, ..removal(path, before) }))
}

fn credentials(root: &Root, host: &Host, wish: &Wish) -> Result<Option<Edit>> {
    let before = root.read(KUBELET_CREDENTIALS)?;
    let text = before.as_deref().unwrap_or_default();
    let after = match wish {
        Wish::Add { credentials: None, .. } => return Ok(None),
        Wish::Add { credentials: Some(credentials), .. } => auth::set(text, host, credentials),
        Wish::Remove => auth::unset(text, host),
    };
    let after = after.with_context(|| KUBELET_CREDENTIALS.to_owned())?;
    let after = Some(after).filter(|after| before.is_some() || !after.is_empty());
    Ok(Some(Edit {
        path: KUBELET_CREDENTIALS.to_owned(),
        before,
        after,
        mode: 0o600,
        secret: true,
        is_ours: false,
    }))
}

struct Planner<'a> {
    root: &'a Root,
    host: &'a Host,
    trust: Trust,
    authority: Option<&'a str>,
}

impl Planner<'_> {
    /// An edit of a text file in which the registry is trusted as `set` writes it. Where that `undoes`
    /// additions, what they alone have changed becomes what it was before them.
    fn trusting(
        &self,
        path: &str,
        undoes: bool,
        set: impl Fn(&str, Trust) -> Result<Option<String>, lateen_registry::Error>,
        is_original: impl Fn(&str) -> bool,
    ) -> Result<Edit> {
        let mut edit = self.edit(path, |text| set(text, self.trust))?;
        if undoes && let Some(now) = &edit.before {
            let came = |backup: &String| is_original(backup) && came_of(backup, now, &set);
            edit.after = self.root.backups(path).find(came).or(edit.after);
            edit.is_ours = came_of("", now, &set);
        }
        Ok(edit)
    }

    /// An edit of a text file by a function of its text.
    fn edit(
        &self,
        path: &str,
        change: impl FnOnce(&str) -> Result<Option<String>, lateen_registry::Error>,
    ) -> Result<Edit> {
        let before = self.root.read(path)?;
        let after = change(before.as_deref().unwrap_or_default());
        let after = after.with_context(|| path.to_owned())?;
        // An empty file that was not there need not be made.
        let after = after.filter(|after| before.is_some() || !after.is_empty());
        Ok(Edit { path: path.to_owned(), before, after, mode: 0o644, secret: false, is_ours: true })
    }

    /// The authority's file in a folder of the host.
    fn authority_file(&self, folder: &str) -> Result<Edit> {
        let path = format!("{folder}/{AUTHORITY_FILE}");
        self.edit(&path, |_| Ok(self.authority.map(str::to_owned)))
    }

    fn docker(&self) -> Result<Vec<Edit>> {
        let authority = self.authority_file(&format!("{DOCKER_FOLDERS}/{}", self.host))?;
        let set = |text: &str, trust| docker::set(text, self.host, trust).map(Some);
        // Docker forgets a registry by a list alone: where there was none, it is taken back later.
        let is_original = |text: &str| {
            let listed = docker::insecure(text).unwrap_or_default();
            docker::has_list(text) && !listed.iter().any(|host| host == self.host.as_str())
        };
        Ok(vec![
            authority,
            self.trusting(DOCKER_SETTINGS, self.trust != Trust::Insecure, set, is_original)?,
        ])
    }

    fn containerd(&self) -> Result<Vec<Edit>> {
        let (path, config) = Containerd::read(self.root)?.deciding();
        let registries = config.registries();
        let folder = host_folder(self.root, &registries, self.host);
        let authority = self.authority_file(&folder)?;
        if registries == Registries::Inline {
            let file = format!("{folder}/{AUTHORITY_FILE}");
            let set = |text: &str, trust| {
                Config::parse(text)?.with_inline(self.host, trust, &file).map(Some)
            };
            let is_original =
                |text: &str| Config::parse(text).is_ok_and(|it| !it.is_added(self.host, &file));
            return Ok(vec![authority, self.giving_back(&path, set, is_original)?]);
        }
        let set = |text: &str, trust| hosts::set(text, self.host, trust);
        let hosts = self.hosts(&format!("{folder}/hosts.toml"), set)?;
        // What is removed goes in the other order, so that no file names one that is gone.
        let mut edits = match self.trust {
            Trust::System => vec![hosts, authority],
            Trust::Authority | Trust::Insecure => vec![authority, hosts],
        };
        if registries == Registries::Unset && self.trust != Trust::System {
            let change = |text: &str| Config::parse(text)?.with_folder(FOLDER).map(Some);
            edits.push(self.edit(&path, change)?);
        }
        Ok(edits)
    }

    /// The file is this registry's alone: what additions have not made is its user's.
    fn hosts(
        &self,
        path: &str,
        set: impl Fn(&str, Trust) -> Result<Option<String>, lateen_registry::Error>,
    ) -> Result<Edit> {
        let backups: Vec<String> = self.root.backups(path).collect();
        let is_original = |text: &str| {
            let mut older = backups.iter().map(String::as_str).chain([""]);
            !older.any(|older| older != text && came_of(older, text, &set))
        };
        self.giving_back(path, &set, is_original)
    }

    /// What was there of the registry before additions is its user's, trusting or not, and given back. What they have not
    /// made is trusting no more, with a backup of what it was.
    fn giving_back(
        &self,
        path: &str,
        set: impl Fn(&str, Trust) -> Result<Option<String>, lateen_registry::Error>,
        is_original: impl Fn(&str) -> bool,
    ) -> Result<Edit> {
        let undoes = self.trust == Trust::System;
        let mut edit = self.trusting(path, undoes, set, &is_original)?;
        let is_given_back =
            |now: &String| is_original(now) && self.root.backups(path).any(|it| it == *now);
        if undoes && edit.before.as_ref().is_some_and(is_given_back) {
            edit.after.clone_from(&edit.before);
        }
        Ok(edit)
    }

    fn crio(&self) -> Result<Vec<Edit>> {
        let authority = self.authority_file(&format!("{CRIO_FOLDERS}/{}", self.host))?;
        let set = |text: &str, trust| crio::set(text, self.host, trust == Trust::Insecure);
        let is_original = |text: &str| {
            let entries = crio::entries(text).unwrap_or_default();
            !entries.iter().any(|(name, insecure)| *insecure && name == self.host.as_str())
        };
        let entry =
            self.trusting(&self.crio_file()?, self.trust != Trust::Insecure, set, is_original)?;
        Ok(vec![authority, entry])
    }

    /// The file with the registry's entry that counts, which is the last one, or the registry's own.
    fn crio_file(&self) -> Result<String> {
        let drop_ins = crio_drop_ins(self.root);
        for path in drop_ins.iter().rev().map(String::as_str).chain([CRIO_SETTINGS]) {
            let text = self.root.read(path)?.unwrap_or_default();
            if crio::names(&text, self.host).with_context(|| path.to_owned())? {
                return Ok(path.to_owned());
            }
        }
        Ok(format!("{CRIO_DROP_INS}/{}", crio::file_name(self.host)))
    }
}

/// Whether additions of the registry make one text of another one.
fn came_of(
    original: &str,
    now: &str,
    set: &impl Fn(&str, Trust) -> Result<Option<String>, lateen_registry::Error>,
) -> bool {
    use Trust::{Authority, Insecure};
    let additions = [&[Insecure][..], &[Authority], &[Insecure, Authority], &[Authority, Insecure]];
    additions.iter().any(|additions| {
        let mut text = Some(original.to_owned());
        for trust in *additions {
            text = text.and_then(|text| set(&text, *trust).ok().flatten());
        }
        text.is_some_and(|text| text == now)
    })
}

/// CRI-O's further files, in the order in which they count.
pub fn crio_drop_ins(root: &Root) -> Vec<String> {
    let names = root.names(CRIO_DROP_INS).into_iter();
    let names = names.filter(|name| name.ends_with(".conf"));
    names.map(|name| format!("{CRIO_DROP_INS}/{name}")).collect()
}

#[cfg(test)]
mod tests;
