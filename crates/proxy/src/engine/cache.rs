//! The resources that are held, in a file that outlives the process. In: each resource kept or
//! forgotten. Out: a journal of delta responses, one per change, each with its length before it, that
//! is written anew when most of it is history; and at a start what it amounts to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use lateen_api::xds::ResourceType;
use prost::Message;

/// A journal that is shorter than this is never written anew for its length.
const SHORT: usize = 64 * 1024;

type Held = BTreeMap<ResourceType, BTreeMap<String, Resource>>;

#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    held: Held,
    /// Changes that are not in the file yet.
    pending: Vec<u8>,
    /// `None` before the first write and after one that failed, which may have left half a change.
    journal: Option<Journal>,
    failing: bool,
}

#[derive(Debug)]
struct Journal {
    file: File,
    /// Bytes of the file when it was written anew, and since then.
    first: usize,
    appended: usize,
}

impl Cache {
    /// Holds nothing yet: what [`load`] found is held when it is kept again.
    pub fn new(path: PathBuf) -> Self {
        Self { path, held: Held::new(), pending: Vec::new(), journal: None, failing: false }
    }

    pub fn keep(&mut self, kind: ResourceType, resource: &Resource) {
        let change = DeltaDiscoveryResponse {
            type_url: kind.type_url().into(),
            resources: vec![resource.clone()],
            ..Default::default()
        };
        self.note(&change);
        self.held.entry(kind).or_default().insert(resource.name.clone(), resource.clone());
    }

    pub fn forget(&mut self, kind: ResourceType, name: &str) {
        if self.held.get_mut(&kind).and_then(|held| held.remove(name)).is_none() {
            return;
        }
        self.note(&DeltaDiscoveryResponse {
            type_url: kind.type_url().into(),
            removed_resources: vec![name.to_owned()],
            ..Default::default()
        });
    }

    fn note(&mut self, change: &DeltaDiscoveryResponse) {
        change.encode_length_delimited(&mut self.pending).expect("a vector grows");
    }

    /// Writes what changed. Called before a configuration takes effect, so that a killed process
    /// comes back with no less than it served by. Not synced to disk: it has to outlive the process,
    /// not the machine.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        match self.write(&pending) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.journal = None;
                // The next change tries again, and is not worth another line.
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(path = %self.path.display(), %error, "cannot write the cache");
                }
            }
        }
    }

    fn write(&mut self, pending: &[u8]) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) if journal.has_room_for(pending.len()) => {
                journal.file.write_all(pending)?;
                journal.appended += pending.len();
            }
            _ => self.journal = Some(anew(&self.path, &self.held)?),
        }
        Ok(())
    }
}

impl Journal {
    fn has_room_for(&self, more: usize) -> bool {
        self.appended + more <= self.first.max(SHORT)
    }
}

/// A new file with all that is held, which then takes the old one's place.
fn anew(path: &Path, held: &Held) -> io::Result<Journal> {
    let mut bytes = Vec::new();
    for response in responses(held.clone()) {
        response.encode_length_delimited(&mut bytes).expect("a vector grows");
    }
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&bytes)?;
    fs::rename(&new, path)?;
    Ok(Journal { file, first: bytes.len(), appended: 0 })
}

/// What the file amounts to, one response per type. Nothing if it cannot be read, and nothing after
/// the first damage: the control plane will send what is missing.
pub fn load(path: &Path) -> Vec<DeltaDiscoveryResponse> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read the cache");
            return Vec::new();
        }
    };
    let mut held = Held::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match DeltaDiscoveryResponse::decode_length_delimited(&mut rest) {
            Ok(change) => fold(&mut held, change),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the cache is damaged, its rest is ignored");
                break;
            }
        }
    }
    responses(held)
}

fn fold(held: &mut Held, change: DeltaDiscoveryResponse) {
    // A type that this version does not know was written by another one.
    let Some(kind) = ResourceType::from_type_url(&change.type_url) else { return };
    let held = held.entry(kind).or_default();
    for resource in change.resources {
        held.insert(resource.name.clone(), resource);
    }
    for name in change.removed_resources {
        held.remove(&name);
    }
}

fn responses(held: Held) -> Vec<DeltaDiscoveryResponse> {
    let kinds = held.into_iter().map(|(kind, resources)| DeltaDiscoveryResponse {
        type_url: kind.type_url().into(),
        resources: resources.into_values().collect(),
        ..Default::default()
    });
    let mut responses: Vec<_> = kinds.collect();
    // Listeners first: they make the client ask for the rest, which it otherwise refuses.
    responses.sort_by_key(|response| response.type_url != ResourceType::Listener.type_url());
    responses
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use envoy_types::pb::envoy::service::discovery::v3::Resource;
    use lateen_api::xds::ResourceType;

    use super::{Cache, SHORT, load};

    fn resource(name: &str, version: &str) -> Resource {
        Resource { name: name.into(), version: version.into(), ..Default::default() }
    }

    fn loaded(path: &Path) -> Vec<String> {
        let resources = load(path).into_iter().flat_map(|response| response.resources);
        resources.map(|resource| format!("{} {}", resource.name, resource.version)).collect()
    }

    #[test]
    fn every_flushed_change_is_found_again_listeners_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut cache = Cache::new(path.clone());
        cache.keep(ResourceType::Cluster, &resource("c", "1"));
        cache.keep(ResourceType::Listener, &resource("gone", "1"));
        cache.flush();
        cache.keep(ResourceType::Listener, &resource("l", "1"));
        cache.forget(ResourceType::Listener, "gone");
        cache.keep(ResourceType::Cluster, &resource("c", "2"));
        cache.flush();
        assert_eq!(loaded(&path), ["l 1", "c 2"]);
    }

    #[test]
    fn half_a_change_at_the_end_loses_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut cache = Cache::new(path.clone());
        cache.keep(ResourceType::Cluster, &resource("first", "1"));
        cache.flush();
        cache.keep(ResourceType::Cluster, &resource("second", "1"));
        cache.flush();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(loaded(&path), ["first 1"]);
    }

    #[test]
    fn the_file_stays_in_proportion_to_what_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut cache = Cache::new(path.clone());
        let long = "v".repeat(1000);
        for round in 0..500 {
            cache.keep(ResourceType::Cluster, &resource("c", &format!("{long}{round}")));
            cache.flush();
        }
        assert!(fs::metadata(&path).unwrap().len() <= 2 * SHORT as u64);
        assert_eq!(loaded(&path), [format!("c {long}499")]);
    }

    #[test]
    fn what_could_not_be_written_is_written_with_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/cache");
        let mut cache = Cache::new(path.clone());
        cache.keep(ResourceType::Cluster, &resource("first", "1"));
        cache.flush();
        fs::create_dir(path.parent().unwrap()).unwrap();
        cache.keep(ResourceType::Cluster, &resource("second", "1"));
        cache.flush();
        assert_eq!(loaded(&path), ["first 1", "second 1"]);
    }
}
