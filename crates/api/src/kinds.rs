//! The one table of kinds: what is served, watched, decoded, validated and printed.
//!
//! In: a group, version and plural from a URL, or a group and kind from a manifest. Out: the `Kind`.

mod columns;
mod table;

use std::fmt;
use std::hash::{Hash, Hasher};

pub use columns::{Column, ColumnType};
pub use table::KINDS;

/// Whose API a kind belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Kubernetes,
    GatewayApi,
    Istio,
}

/// One kind of object. Two are equal if group and kind are.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Empty for Kubernetes' core group.
    pub group: &'static str,
    /// Served versions, the storage version first. All versions of a kind have the same fields.
    pub versions: &'static [&'static str],
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    /// Printer columns after `Name`; empty for the kinds of Kubernetes itself, whose columns are computed.
    pub columns: &'static [Column],
    /// Whether `/status` is a subresource.
    pub status: bool,
    pub source: Source,
    /// Group and plural of the kind in whose storage these objects live, if not their own
    /// (`events.k8s.io` and core events are one set of objects).
    pub stored_as: Option<(&'static str, &'static str)>,
}

impl Kind {
    pub fn storage_version(&self) -> &'static str {
        self.versions[0]
    }

    /// The version that Kubernetes prefers, and kubectl shows: the newest stable one, or else of beta, or else of alpha.
    pub fn preferred_version(&self) -> &'static str {
        let newest = self.versions.iter().max_by_key(|version| priority(version));
        newest.unwrap_or(&self.versions[0])
    }

    pub fn serves(&self, version: &str) -> bool {
        self.versions.contains(&version)
    }

    /// `v1` or `networking.istio.io/v1alpha3`.
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// `gateways.networking.istio.io`, or `services` in the core group.
    pub fn full_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// How a version such as `v1`, `v1beta1` or `v1alpha3` compares with others.
pub fn priority(version: &str) -> (u8, u32, u32) {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let unstable = ["alpha", "beta"].into_iter().zip(0..).find_map(|(stage, rank)| {
        let (major, minor) = numbers.split_once(stage)?;
        Some((rank, major, minor))
    });
    let (stage, major, minor) = unstable.unwrap_or((2, numbers, ""));
    (stage, major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        (self.group, self.kind) == (other.group, other.kind)
    }
}

impl Eq for Kind {}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.group, self.kind).cmp(&(other.group, other.kind))
    }
}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.group, self.kind).hash(state);
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// The kind that is served at `/apis/{group}/{version}/…/{plural}`.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.group == group && k.plural == plural && k.serves(version))
}

/// The kind of a manifest.
pub fn by_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.group == group && k.kind == kind)
}

/// Splits `apiVersion` into group and version; the group of `v1` is empty.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests;
