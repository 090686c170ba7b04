//! The webhook's own answer: is this pod injected? In: the pod, its namespace, the settings. Out: yes or
//! no with the reason. The order of the rules is Istio's: host network, system namespaces, the pod's own
//! wish (the label before the annotation), the never and always selectors, the policy.

use std::fmt;

use crate::pod;
use crate::settings::{Policy, Settings};
use crate::{Subject, selector::Selector};

/// The label and, deprecated, the annotation by which a pod speaks for itself.
pub const INJECT: &str = "sidecar.istio.io/inject";

/// Namespaces in which nothing is ever injected.
pub const SYSTEM_NAMESPACES: &[&str] =
    &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Whether a pod is injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Inject { reason: Reason },
    Skip { reason: Reason },
}

/// Where a pod says what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Label,
    Annotation,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    HostNetwork,
    SystemNamespace,
    Asked(Wish),
    Declined(Wish),
    NeverSelector,
    AlwaysSelector,
    PolicyEnabled,
    PolicyDisabled,
}

impl Decision {
    pub fn is_inject(&self) -> bool {
        matches!(self, Decision::Inject { .. })
    }

    pub fn reason(&self) -> Reason {
        match self {
            Decision::Inject { reason } | Decision::Skip { reason } => *reason,
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wish::Label => "label",
            Wish::Annotation => "annotation",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::HostNetwork => f.write_str(
                "it uses the host's network, in which interception would take the node's traffic",
            ),
            Reason::SystemNamespace => f.write_str("nothing is injected in a system namespace"),
            Reason::Asked(wish) => write!(f, "its {wish} {INJECT} is \"true\""),
            Reason::Declined(wish) => write!(f, "its {wish} {INJECT} is \"false\""),
            Reason::NeverSelector => f.write_str("its labels match neverInjectSelector"),
            Reason::AlwaysSelector => f.write_str("its labels match alwaysInjectSelector"),
            Reason::PolicyEnabled => f.write_str("injection is enabled by default"),
            Reason::PolicyDisabled => write!(
                f,
                "global.proxy.autoInject is disabled and the pod does not ask with the label {INJECT}"
            ),
        }
    }
}

/// The webhook's answer for a pod that was sent to it.
pub fn decide(subject: &Subject, settings: &Settings) -> Decision {
    if subject.pod["spec"]["hostNetwork"] == true {
        return Decision::Skip { reason: Reason::HostNetwork };
    }
    if SYSTEM_NAMESPACES.contains(&subject.namespace) {
        return Decision::Skip { reason: Reason::SystemNamespace };
    }
    let (wish, value) = wish(subject);
    match value {
        "true" => return Decision::Inject { reason: Reason::Asked(wish) },
        "false" => return Decision::Skip { reason: Reason::Declined(wish) },
        _ => {}
    }
    let matches = |selectors: &[Selector]| {
        selectors.iter().any(|one| one.matches(|key| pod::label(subject.pod, key)))
    };
    if matches(&settings.never) {
        return Decision::Skip { reason: Reason::NeverSelector };
    }
    if matches(&settings.always) {
        return Decision::Inject { reason: Reason::AlwaysSelector };
    }
    match settings.policy {
        Policy::Enabled => Decision::Inject { reason: Reason::PolicyEnabled },
        Policy::Disabled => Decision::Skip { reason: Reason::PolicyDisabled },
    }
}

/// A value of `sidecar.istio.io/inject` that means nothing, which Istio passes over, and where it is.
pub fn meaningless_wish<'a>(subject: &Subject<'a>) -> Option<(Wish, &'a str)> {
    let (wish, value) = wish(subject);
    (!matches!(value, "" | "true" | "false")).then_some((wish, value))
}

fn wish<'a>(subject: &Subject<'a>) -> (Wish, &'a str) {
    match pod::label(subject.pod, INJECT) {
        Some(value) => (Wish::Label, value),
        None => (Wish::Annotation, pod::annotation(subject.pod, INJECT).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
