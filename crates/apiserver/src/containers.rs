//! Commands that look for containers, of which there are none: in, a request for Pods; out, for a
//! `kubectl logs` and its like that would find no Pod, the refusal that says where to look instead.
//! Without it kubectl waits for a Pod that nobody starts.

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

use crate::error::ApiError;
use crate::read::Filter;
use crate::route::{Query, Target};
use crate::server::Server;

/// The commands, as newer kubectl names them in a header.
const COMMANDS: [&str; 6] = ["attach", "cp", "debug", "exec", "logs", "port-forward"];
/// From this minor version on kubectl names its commands.
const NAMED_SINCE: u32 = 22;

/// Refuses a read of Pods that a command for containers would wait on, or make nothing of.
pub fn expected(
    server: &Server,
    target: &Target,
    verb: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let pods =
        (target.kind.group, target.kind.kind) == ("", "Pod") && target.subresource.is_empty();
    let reads = matches!(verb, "get" | "list" | "watch");
    if !(pods && reads && (named(headers) || awaits_first_pod(verb, query, headers))) {
        return Ok(());
    }
    let refusal = ApiError::no_containers(&target.namespace);
    if verb == "get" {
        if server.store.get(&target.key()).is_some() {
            return Ok(());
        }
        let missing = ApiError::not_found(target.kind, &target.name);
        let message = format!("{}: {}", missing.message, refusal.message);
        return Err(ApiError { message, ..missing });
    }
    let filter = Filter::new(target, query)?;
    let pods = server.store.all(filter.resource(), filter.namespace());
    let found = pods.iter().any(|(key, pod)| filter.covers(key) && filter.matches(&pod.bytes));
    if found { Ok(()) } else { Err(refusal) }
}

/// `Kubectl-Command: kubectl logs`.
fn named(headers: &HeaderMap) -> bool {
    let command = headers.get("kubectl-command").and_then(|value| value.to_str().ok());
    let command = command.and_then(|command| command.strip_prefix("kubectl "));
    command.is_some_and(|command| COMMANDS.contains(&command))
}

/// An older kubectl, which names no command, asks in this way when a workload has no Pod yet. Its
/// `kubectl get --watch` accepts other media types.
fn awaits_first_pod(verb: &str, query: &Query, headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let agent =
        header(USER_AGENT).split_once("/v1.").filter(|(name, _)| name.starts_with("kubectl"));
    let minor = agent.and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    verb == "watch"
        && minor.is_some_and(|minor| minor < NAMED_SINCE)
        && header(ACCEPT) == "application/json, */*"
        && query.get("labelSelector").is_some()
        && query.get("fieldSelector").is_none()
        && query.get("timeoutSeconds").is_none()
}
