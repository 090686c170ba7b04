//! What kubectl asks first: in, the path; out, the groups, versions and resources served.

use lateen_api::kinds::Kind;
use serde_json::{Value, json};

use crate::catalog::{self, Version};

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A resource that only takes `create`: its objects are questions.
struct Review {
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
}

const REVIEWS: &[Review] = &[
    review("authentication.k8s.io", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview"),
    review("authentication.k8s.io", "tokenreviews", "tokenreview", "TokenReview"),
    review(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
    ),
    review(
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
    ),
    review(
        "authorization.k8s.io",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
    ),
];

const fn review(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
) -> Review {
    Review { group, plural, singular, kind }
}

/// Kinds with a `scale` subresource.
pub fn scales(kind: &Kind) -> bool {
    kind.group == "apps" && matches!(kind.kind, "Deployment" | "ReplicaSet" | "StatefulSet")
}

/// `/version`.
pub fn version() -> Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": "v1.32.0+lateen",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`.
pub fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub fn group_list() -> Value {
    let groups: Vec<Value> = all().iter().filter(|(name, _)| !name.is_empty()).map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub fn one_group(name: &str) -> Option<Value> {
    let mut found =
        all().iter().find(|(group, _)| *group == name && !name.is_empty()).map(group)?;
    found["kind"] = json!("APIGroup");
    found["apiVersion"] = json!("v1");
    Some(found)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub fn resource_list(group: &str, version: &str) -> Option<Value> {
    let groups = all();
    let (_, versions) = groups.iter().find(|(name, _)| *name == group)?;
    let (_, kinds) = versions.iter().find(|(name, _)| *name == version)?;
    let mut resources: Vec<Value> = Vec::new();
    for kind in kinds {
        resources.push(resource(kind));
        resources.extend(subresources(kind).into_iter().map(|sub| {
            json!({
                "name": format!("{}/{}", kind.plural, sub.name),
                "singularName": "",
                "namespaced": kind.namespaced,
                "group": sub.group,
                "version": sub.version,
                "kind": sub.kind,
                "verbs": sub.verbs,
            })
        }));
    }
    for review in reviews(group) {
        resources.push(json!({
            "name": review.plural, "singularName": review.singular, "namespaced": false,
            "kind": review.kind, "verbs": ["create"],
        }));
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

/// Aggregated discovery of `/api` (the core group) or `/apis` (all others).
pub fn aggregated(core: bool, version: &str) -> Value {
    let items: Vec<Value> = all()
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            let versions: Vec<Value> =
                versions.iter().map(|one| aggregated_version(name, one)).collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_version(group: &str, (version, kinds): &Version) -> Value {
    let mut resources: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let subresources: Vec<Value> = subresources(kind)
                .into_iter()
                .map(|sub| {
                    json!({
                        "subresource": sub.name,
                        "responseKind":
                            {"group": sub.group, "version": sub.version, "kind": sub.kind},
                        "verbs": sub.verbs,
                    })
                })
                .collect();
            let mut found = json!({
                "resource": kind.plural,
                "responseKind": {"group": kind.group, "version": version, "kind": kind.kind},
                "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": kind.singular,
                "verbs": VERBS,
            });
            for (field, list) in [("shortNames", kind.short_names), ("categories", kind.categories)]
            {
                if !list.is_empty() {
                    found[field] = json!(list);
                }
            }
            if !subresources.is_empty() {
                found["subresources"] = json!(subresources);
            }
            found
        })
        .collect();
    resources.extend(reviews(group).map(|review| {
        json!({
            "resource": review.plural,
            "responseKind": {"group": group, "version": version, "kind": review.kind},
            "scope": "Cluster",
            "singularResource": review.singular,
            "verbs": ["create"],
        })
    }));
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

struct Subresource {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
}

fn subresources(kind: &'static Kind) -> Vec<Subresource> {
    const CHANGE: &[&str] = &["get", "patch", "update"];
    let mut found = Vec::new();
    if kind.status {
        let version = kind.storage_version();
        found.push(Subresource {
            name: "status",
            group: kind.group,
            version,
            kind: kind.kind,
            verbs: CHANGE,
        });
    }
    if scales(kind) {
        found.push(Subresource {
            name: "scale",
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            verbs: CHANGE,
        });
    }
    if (kind.group, kind.kind) == ("", "ServiceAccount") {
        found.push(Subresource {
            name: "token",
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest",
            verbs: &["create"],
        });
    }
    found
}

fn resource(kind: &Kind) -> Value {
    let mut found = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    });
    for (field, list) in [("shortNames", kind.short_names), ("categories", kind.categories)] {
        if !list.is_empty() {
            found[field] = json!(list);
        }
    }
    found
}

fn group((name, versions): &(&'static str, Vec<Version>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(
            |(version, _)| json!({"groupVersion": format!("{name}/{version}"), "version": version}),
        )
        .collect();
    json!({"name": name, "preferredVersion": versions[0], "versions": versions})
}

fn reviews(group: &str) -> impl Iterator<Item = &'static Review> + '_ {
    REVIEWS.iter().filter(move |review| review.group == group)
}

/// The table's groups and those of the reviews.
fn all() -> Vec<(&'static str, Vec<Version>)> {
    let mut groups = catalog::groups();
    for review in REVIEWS {
        if !groups.iter().any(|(name, _)| *name == review.group) {
            groups.push((review.group, vec![("v1", Vec::new())]));
        }
    }
    groups
}
