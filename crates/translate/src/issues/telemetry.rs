//! Telemetry objects and extension providers: what they refer to and is not there, and which of two counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::validate::{KnownProvider, why_unusable};
use lateen_model::Snapshot;
use lateen_model::convert::CONFLICT;
use lateen_model::telemetry::{GATEWAY_NAME, Provider, Telemetry};
use lateen_model::workload::Workload;

use crate::reporting::{FIRST, find, nothing_sent, unreachable};

/// A kind of telemetry, as it is called.
struct Use {
    field: &'static str,
    fits: fn(&Provider) -> bool,
}

const METRICS: Use = Use { field: "metrics", fits: Provider::takes_metrics };
const LOGGING: Use = Use { field: "accessLogging", fits: Provider::takes_logs };
const TRACING: Use = Use { field: "tracing", fits: Provider::takes_traces };

/// All findings.
pub fn telemetry(snapshot: &Snapshot, found: &mut BTreeSet<Issue>) {
    let index = snapshot.telemetry();
    for (loser, winner) in index.shadowed() {
        let message = format!(
            "{} {FIRST} and is for the whole namespace too: only that one has an effect; merge the two",
            winner.meta.object
        );
        let code = Code::MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS;
        found.insert(Issue::error(loser.meta.object.clone(), "spec", code, message));
    }
    for (object, target) in index.without_gateway() {
        let namespace = &object.meta.namespace;
        let serves = |workload: &Workload| {
            workload.meta.namespace == *namespace
                && workload.labels.get(GATEWAY_NAME) == Some(&target.name)
        };
        if !snapshot.endpoint_index().workloads().any(|workload| serves(workload)) {
            let message = format!(
                "there is no Gateway {namespace}/{} of gateway.networking.k8s.io: check the name, or create it here",
                target.name
            );
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            let path = format!("{}.name", target.path);
            found.insert(Issue::error(object.meta.object.clone(), path, code, message));
        }
    }
    let mut used: Vec<Arc<Provider>> = Vec::new();
    for object in index.all() {
        for (i, item) in object.metrics.iter().enumerate() {
            named(snapshot, object, i, &item.providers, &METRICS, &mut used, found);
            let path = format!("spec.metrics[{i}].providers");
            found.extend(one_sink(snapshot, &object.meta.object, path, &item.providers));
        }
        for (i, item) in object.logging.iter().enumerate() {
            named(snapshot, object, i, &item.providers, &LOGGING, &mut used, found);
        }
        for (i, item) in object.tracing.iter().enumerate() {
            named(snapshot, object, i, &item.providers, &TRACING, &mut used, found);
        }
    }
    let defaults = &snapshot.mesh().default_providers;
    by_default(snapshot, &defaults.metrics, &METRICS, &mut used, found);
    if let Some(object) = &snapshot.mesh().object {
        let path = "data.mesh.defaultProviders.metrics".to_owned();
        found.extend(one_sink(snapshot, object, path, &defaults.metrics));
    }
    by_default(snapshot, &defaults.logging, &LOGGING, &mut used, found);
    by_default(snapshot, &defaults.tracing, &TRACING, &mut used, found);
    for provider in used {
        if let Some(Err(reason)) = provider.backend().map(|backend| find(snapshot, backend)) {
            found.extend(unreachable(snapshot, &provider, &reason));
        }
    }
    found.extend(access_log_service(snapshot));
}

/// That several providers of metrics are one page, which counts everything once.
fn one_sink(
    snapshot: &Snapshot,
    object: &ObjectRef,
    path: String,
    names: &[String],
) -> Option<Issue> {
    let takes = |name: &&str| snapshot.mesh().provider(name).is_some_and(|one| (METRICS.fits)(one));
    let names: BTreeSet<&str> = names.iter().map(String::as_str).filter(takes).collect();
    let mut others = names.into_iter();
    let (first, others) = (others.next()?, others.collect::<Vec<_>>());
    if others.is_empty() {
        return None;
    }
    let message = format!(
        "a proxy has one page of metrics for all providers of kind prometheus: what is said of {first} counts, \
         and what is said of {} does not; name one of them",
        others.join(" and of ")
    );
    Some(Issue::warning(object.clone(), path, CONFLICT, message))
}

/// What keeps entries from the service that MeshConfig switches on.
fn access_log_service(snapshot: &Snapshot) -> Option<Issue> {
    let mesh = snapshot.mesh();
    let reason = match mesh.access_log_service.as_ref()? {
        Err(reason) => reason.clone(),
        Ok(provider) => find(snapshot, provider.backend()?).err()?,
    };
    let path = "data.mesh.defaultConfig.envoyAccessLogService.address";
    let message = format!("nothing is sent to Envoy's access log service: {reason}");
    let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
    Some(Issue::error(mesh.object.clone()?, path, code, message))
}

/// A provider by its name, if it can take what is sent to it; else why not.
fn fitting(snapshot: &Snapshot, name: &str, what: &Use) -> Result<Arc<Provider>, String> {
    let all = &snapshot.mesh().providers;
    match snapshot.mesh().provider(name) {
        Some(provider) if (what.fits)(provider) => Ok(Arc::clone(provider)),
        // Istio's own provider of that name is for several kinds, and has no effect here.
        Some(_) | None => {
            let known =
                |one: &Arc<Provider>| KnownProvider { name: one.name.clone(), kind: one.field() };
            let known: Vec<KnownProvider> = all.iter().map(known).collect();
            Err(why_unusable(name, what.field, &known))
        }
    }
}

fn keep(used: &mut Vec<Arc<Provider>>, provider: Arc<Provider>) {
    if !used.iter().any(|known| Arc::ptr_eq(known, &provider)) {
        used.push(provider);
    }
}

fn named(
    snapshot: &Snapshot,
    object: &Telemetry,
    at: usize,
    names: &[String],
    what: &Use,
    used: &mut Vec<Arc<Provider>>,
    found: &mut BTreeSet<Issue>,
) {
    for (i, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let provider = fitting(snapshot, name, what);
        let lost = provider.as_ref().map(|one| {
            let reason = one.backend().and_then(|backend| find(snapshot, backend).err());
            reason.map(|reason| nothing_sent(one, &reason))
        });
        if let Some(message) = lost.unwrap_or_else(|message| Some(message.clone())) {
            let path = format!("spec.{}[{at}].providers[{i}].name", what.field);
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            found.insert(Issue::error(object.meta.object.clone(), path, code, message));
        }
        provider.into_iter().for_each(|provider| keep(used, provider));
    }
}

fn by_default(
    snapshot: &Snapshot,
    names: &[String],
    what: &Use,
    used: &mut Vec<Arc<Provider>>,
    found: &mut BTreeSet<Issue>,
) {
    for (i, name) in names.iter().enumerate() {
        match fitting(snapshot, name, what) {
            Ok(provider) => keep(used, provider),
            Err(message) => found.extend(snapshot.mesh().object.clone().map(|object| {
                let path = format!("data.mesh.defaultProviders.{}[{i}]", what.field);
                Issue::error(object, path, Code::REFERENCED_RESOURCE_NOT_FOUND, message)
            })),
        }
    }
}
