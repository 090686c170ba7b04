//! Resources that were refused, and why. In: what each response brought and what of it was refused.
//! Out: the reason by name; a refused resource is as good as answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_api::xds::ResourceType;

#[derive(Debug, Default)]
pub struct Refused(BTreeMap<ResourceType, BTreeMap<String, Arc<str>>>);

impl Refused {
    /// Takes note of a response: what is in it and not refused has nothing against it any more.
    pub fn note<'a>(
        &mut self,
        kind: ResourceType,
        spoken_of: impl Iterator<Item = &'a String>,
        rejected: &[(String, String)],
    ) {
        let reasons = self.0.entry(kind).or_default();
        for name in spoken_of {
            reasons.remove(name);
        }
        for (name, reason) in rejected {
            reasons.insert(name.clone(), reason.as_str().into());
        }
    }

    pub fn forget(&mut self, kind: ResourceType, name: &str) {
        if let Some(reasons) = self.0.get_mut(&kind) {
            reasons.remove(name);
        }
    }

    pub fn reason(&self, kind: ResourceType, name: &str) -> Option<&Arc<str>> {
        self.0.get(&kind)?.get(name)
    }

    pub fn all(&self, kind: ResourceType) -> impl Iterator<Item = (&String, &Arc<str>)> {
        self.0.get(&kind).into_iter().flatten()
    }
}
