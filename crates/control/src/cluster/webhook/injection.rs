//! The answer to `/inject`. In: the question, the injector's settings, the path's variables. Out: the
//! pod's patch, a refusal with every reason, or consent to the pod as it is.

use std::collections::BTreeMap;

use lateen_inject::{
    Decision, Settings, Subject, decide, inject, left_out, patch, set_proxy_variables,
};

use super::counters::Outcome;
use super::review::{self, Answer, Question};

/// What becomes of a new pod. What is not a new pod is left alone. `sees` says whether `discoverySelectors` let
/// the mesh see a namespace.
pub fn answer(
    question: &Question,
    settings: &Settings,
    sees: impl Fn(&str) -> bool,
    variables: &[(String, String)],
) -> (Answer, Outcome) {
    let is_pod = question.group.is_empty() && question.kind == "Pod";
    if !is_pod || question.operation != "CREATE" || !question.subresource.is_empty() {
        return (Answer::allow(), Outcome::Skipped);
    }
    // The API has chosen this pod by its namespace's labels; they play no further part.
    let no_labels = BTreeMap::new();
    let subject = Subject {
        namespace: &question.namespace,
        namespace_labels: &no_labels,
        pod: &question.object,
    };
    if let Decision::Skip { reason } = decide(&subject, settings) {
        tracing::debug!(namespace = question.namespace, %reason, "a pod is not injected");
        return (Answer::allow(), Outcome::Skipped);
    }
    match inject(&subject, settings) {
        Ok(mut injected) => {
            set_proxy_variables(&mut injected.pod, variables);
            let operations = patch(&question.object, &injected.pod);
            let unchanged = operations.as_array().is_some_and(Vec::is_empty);
            if !sees(subject.namespace) {
                injected.issues.extend(left_out(&subject, &injected.pod, settings));
            }
            let warnings = review::warnings(&injected.issues);
            let patch = Some(operations).filter(|_| !unchanged);
            (Answer::Allow { patch, warnings }, Outcome::Injected)
        }
        Err(issues) => {
            let message = review::errors(&issues);
            tracing::info!(namespace = question.namespace, message, "a pod is refused");
            let warnings = review::warnings(&issues);
            (Answer::Deny { message, warnings }, Outcome::NotInjected)
        }
    }
}

#[cfg(test)]
mod tests;
