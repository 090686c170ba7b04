//! DestinationRules -> the settings of one service for one proxy.

use std::collections::HashSet;
use std::sync::Arc;

use lateen_model::routing::{DestinationRule, Subset, TcpPool, TrafficPolicy};
use lateen_model::service::Service;
use lateen_model::workload::matches;

use crate::context::Context;

/// The merged rules for one service.
#[derive(Debug, Default)]
pub struct Policy<'a> {
    /// The rules, the oldest first.
    pub rules: Vec<&'a Arc<DestinationRule>>,
    pub subsets: Vec<&'a Subset>,
    pub base: TrafficPolicy,
    /// The mesh's connection pool, for what no rule has one for.
    pub default_pool: Option<&'a TcpPool>,
}

impl<'a> Policy<'a> {
    /// Finds the rules as Istio does: in the client's namespace, then the service's, then the root
    /// namespace; the most specific host there. Rules for one host are merged: the first traffic
    /// policy and every subset count. A rule that selects the client's workload goes before. For a
    /// client in the root namespace, that namespace's rules come first only if they are its alone:
    /// the others are defaults for the whole mesh, which a service's own rules replace.
    pub fn find(context: &Context<'a>, service: &'a Service) -> Self {
        let default_pool = context.snapshot.mesh().pool.as_ref();
        Self { default_pool, ..Self::merge(Self::rules(context, service)) }
    }

    fn rules(context: &Context<'a>, service: &'a Service) -> Vec<&'a Arc<DestinationRule>> {
        let snapshot = context.snapshot;
        let client = context.proxy.namespace.as_str();
        let root = snapshot.root_namespace();
        for (step, namespace) in [client, service.namespace(), root].into_iter().enumerate() {
            for group in snapshot.routes().rules_for(&service.hostname) {
                let fits = |rule: &&Arc<DestinationRule>| {
                    rule.meta.namespace == namespace
                        && match step {
                            0 => client != root || snapshot.rule_is_private(rule),
                            _ => snapshot.rule_visible(rule, client),
                        }
                };
                let found = choose(group.iter().filter(fits), context);
                if !found.is_empty() {
                    return found;
                }
            }
        }
        Vec::new()
    }

    fn merge(rules: Vec<&'a Arc<DestinationRule>>) -> Self {
        let base = rules.iter().find_map(|rule| rule.policy.clone()).unwrap_or_default();
        let mut known = HashSet::new();
        let subsets = rules.iter().flat_map(|rule| &rule.subsets);
        let subsets = subsets.filter(|subset| known.insert(subset.name.as_str())).collect();
        Self { rules, subsets, base, default_pool: None }
    }

    /// The subset of a name.
    pub fn subset(&self, name: &str) -> Option<&'a Subset> {
        self.subsets.iter().copied().find(|subset| subset.name == name)
    }

    /// The settings of one port, of one subset if there is one. A pool is the rules' or the mesh's, and
    /// never mixed of both.
    pub fn settings(&self, subset: Option<&Subset>, port: u16) -> TrafficPolicy {
        let over = subset.and_then(|subset| subset.policy.as_ref());
        let settings = self.base.overlaid(over).for_port(port);
        TrafficPolicy { pool: settings.pool.or_else(|| self.default_pool.cloned()), ..settings }
    }

    /// The mesh's pool, unless the rules have one of their own for some port.
    pub fn inherited_pool(&self) -> Option<&'a TcpPool> {
        let mut ports = self.base.ports.iter().map(|(_, policy)| policy);
        let own = self.base.pool.is_some() || ports.any(|policy| policy.pool.is_some());
        self.default_pool.filter(|_| !own)
    }
}

fn choose<'a>(
    rules: impl Iterator<Item = &'a Arc<DestinationRule>>,
    context: &Context<'_>,
) -> Vec<&'a Arc<DestinationRule>> {
    let (selecting, plain): (Vec<_>, Vec<_>) =
        rules.partition(|rule| rule.workload_selector.is_some());
    let own = selecting.into_iter().find(|rule| {
        let selector = rule.workload_selector.as_ref();
        selector.is_some_and(|selector| matches(selector, &context.proxy.labels))
    });
    own.map_or(plain, |own| vec![own])
}
