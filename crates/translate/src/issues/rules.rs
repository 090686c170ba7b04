//! DestinationRules and the subsets that VirtualServices name: what they refer to and is not there.
//!
//! Only what is certain is said. A wildcard host may be a default for services to come, a service
//! without endpoints says nothing about its subsets, and the labels of an endpoint may be unknown.

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue};
use lateen_model::Snapshot;
use lateen_model::host;
use lateen_model::index::services::ServiceId;
use lateen_model::routing::{Destination, DestinationRule, Subset, VirtualService};
use lateen_model::service::Registry;
use lateen_model::workload::matches;

/// What the rules refer to.
pub fn rules(snapshot: &Snapshot, found: &mut BTreeSet<Issue>) {
    let exact = snapshot.routes().destination_rules();
    for rule in exact.filter(|rule| !host::is_wildcard(&rule.host)) {
        let services = snapshot.services();
        let ids = services.by_host(&rule.host);
        if ids.is_empty() && services.by_wildcard(&rule.host).is_empty() {
            let message = unknown(snapshot, rule);
            let code = Code::UNKNOWN_DESTINATION_RULE_HOST;
            found.insert(Issue::warning(rule.meta.object.clone(), "spec.host", code, message));
        }
        for (i, subset) in rule.subsets.iter().enumerate() {
            if selects_nothing(snapshot, ids, subset) {
                let labels: Vec<String> =
                    subset.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let message = format!(
                    "no endpoint of {} has the labels {}: connections to subset {:?} fail; check the \
                     labels, or start a workload that has them",
                    rule.host,
                    labels.join(","),
                    subset.name
                );
                let path = format!("spec.subsets[{i}].labels");
                let code = Code::DESTINATION_RULE_SUBSET_NOT_SELECT_PODS;
                found.insert(Issue::error(rule.meta.object.clone(), path, code, message));
            }
        }
    }
}

fn unknown(snapshot: &Snapshot, rule: &DestinationRule) -> String {
    let longer = snapshot.domain().candidates(&rule.host, &rule.meta.namespace);
    let meant = longer.iter().find(|name| !snapshot.services().by_host(name).is_empty());
    let fix = match meant {
        Some(name) => format!("write {name}"),
        None => "check the name and its namespace".to_owned(),
    };
    format!("no service is called {:?}: this rule has no effect; {fix}", &*rule.host)
}

/// Whether a subset is certainly empty.
fn selects_nothing(snapshot: &Snapshot, ids: &[ServiceId], subset: &Subset) -> bool {
    let registry = |id: &ServiceId| snapshot.services().get(*id).registry;
    // A Service of Kubernetes comes first, and ServiceEntries of the same name have no effect.
    let kubernetes = ids.first().is_some_and(|id| registry(id) == Registry::Kubernetes);
    let mut any = false;
    for id in ids.iter().filter(|id| !kubernetes || registry(id) == Registry::Kubernetes) {
        for endpoint in snapshot.endpoints(*id).all() {
            let workload = &endpoint.workload;
            let unknown = kubernetes && workload.synthetic;
            if unknown || matches(&subset.labels, &workload.labels) {
                return false;
            }
            any = true;
        }
    }
    any
}

/// A VirtualService's destination in a subset that no rule of any namespace defines.
pub fn subset(
    snapshot: &Snapshot,
    vs: &VirtualService,
    destination: &Destination,
    found: &mut BTreeSet<Issue>,
) {
    let services = snapshot.services();
    let known = destination.hosts.iter().find_map(|host| services.by_host(host).first());
    let Some(service) =
        known.map(|id| services.get(*id)).filter(|_| !destination.subset.is_empty())
    else {
        return;
    };
    let mut rules = snapshot.routes().rules_for(&service.hostname).flatten();
    let defined = rules.any(|rule| rule.subsets.iter().any(|s| s.name == destination.subset));
    // What an alias stands for, and so whose rules count, may differ between clients.
    if !defined && service.external_name.is_none() {
        let message = super::unknown_subset(&destination.subset, &service.hostname);
        let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
        let object = vs.meta.object.clone();
        found.insert(Issue::error(object, &destination.path, code, message));
    }
}
