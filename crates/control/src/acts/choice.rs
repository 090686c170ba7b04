//! Which objects choose a workload. In: the objects with their reach. Out: those that choose one workload, found
//! without looking at all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lateen_api::resource::Key;
use lateen_model::Snapshot;
use lateen_model::workload::{Workload, matches};

use super::reach::{Reach, Scope, Selector};

/// The objects by how they choose workloads.
pub struct Choice<'a> {
    reaches: &'a [(Key, Arc<Reach>)],
    root: &'a str,
    /// Those that choose in one namespace alone, by that, and all others.
    at_home: HashMap<&'a str, Vec<(usize, &'a Selector)>>,
    anywhere: Vec<(usize, &'a Selector)>,
    /// Sidecars and WorkloadEntries.
    named: HashMap<(&'static str, &'a str, &'a str), usize>,
    by_gateway: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Choice<'a> {
    pub fn new(reaches: &'a [(Key, Arc<Reach>)], root: &'a str) -> Self {
        let mut choice = Self {
            reaches,
            root,
            at_home: HashMap::new(),
            anywhere: Vec::new(),
            named: HashMap::new(),
            by_gateway: HashMap::new(),
        };
        for (index, (key, reach)) in reaches.iter().enumerate() {
            if let Some(selector) = &reach.workloads {
                let all = match selector.scope == Scope::Anywhere || key.namespace == root {
                    true => &mut choice.anywhere,
                    false => choice.at_home.entry(&key.namespace).or_default(),
                };
                all.push((index, selector));
            }
            if matches!(key.kind.kind, "Sidecar" | "WorkloadEntry") {
                choice.named.insert((key.kind.kind, &key.namespace, &key.name), index);
            }
            for gateway in &reach.gateways {
                choice.by_gateway.entry(gateway).or_default().push(index);
            }
        }
        choice
    }

    /// The objects that choose a workload.
    pub fn of(
        &self,
        snapshot: &Snapshot,
        workload: &Workload,
        is_gateway: bool,
    ) -> BTreeSet<usize> {
        let (namespace, root) = (&*workload.meta.namespace, self.root);
        let sidecar = snapshot.routes().sidecar(namespace, root, &workload.labels);
        let sidecar = sidecar.filter(|_| !is_gateway).map(|sidecar| &sidecar.meta.object);
        let named = sidecar.into_iter().chain([&workload.meta.object]).filter_map(|object| {
            let kind =
                ["Sidecar", "WorkloadEntry"].into_iter().find(|kind| *kind == object.kind)?;
            self.named.get(&(kind, &object.namespace, &object.name)).copied()
        });
        let mut own: BTreeSet<usize> = named.collect();
        let at_home = self.at_home.get(namespace).into_iter().flatten();
        for (index, selector) in self.anywhere.iter().chain(at_home) {
            let key = &self.reaches[*index].0;
            if !selector.chooses(&key.namespace, workload, root, is_gateway) {
                continue;
            }
            own.insert(*index);
            if key.kind.kind == "Gateway" {
                let gateway = format!("{}/{}", key.namespace, key.name);
                own.extend(self.by_gateway.get(&*gateway).into_iter().flatten());
            }
        }
        own
    }
}

impl Selector {
    fn chooses(&self, own: &str, workload: &Workload, root: &str, is_gateway: bool) -> bool {
        let at_home = workload.meta.namespace == own;
        let in_scope = match self.scope {
            Scope::Own => at_home,
            Scope::OwnOrDefault => at_home || (own == root && self.labels.is_none()),
            Scope::OwnOrRoot => at_home || own == root,
            // One that selects nothing in particular selects every gateway.
            Scope::Anywhere => self.labels.is_some() || is_gateway,
        };
        in_scope && self.labels.as_ref().is_none_or(|labels| matches(labels, &workload.labels))
    }
}
