//! What a user may do: in, a user and an action; out, allowed or the reason why not. Masters may do
//! everything; others what the stored Roles and bindings grant.

pub mod escalation;

use lateen_api::kinds::{Kind, by_kind};
use serde_json::{Value, json};

use crate::auth::User;
use crate::catalog;
use crate::object;
use crate::store::Store;

const GROUP: &str = "rbac.authorization.k8s.io";
/// What every authenticated user may ask.
const REVIEWS: [&str; 3] =
    ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];
/// Where every authenticated user may look.
const PATHS: [&str; 4] = ["/api", "/apis", "/openapi", "/version"];

/// One action to be judged.
#[derive(Clone, Debug, Default)]
pub struct Action<'a> {
    /// `get`, `list`, …
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The plural, with `/subresource` if there is one; "" for a plain path.
    pub resource: String,
    /// "" for the whole cluster.
    pub namespace: &'a str,
    /// "" for the collection.
    pub name: &'a str,
    /// A path that is not a resource's.
    pub path: &'a str,
}

impl Action<'_> {
    /// The sentence that kubectl users know.
    pub fn denial(&self, user: &User) -> String {
        let Self { verb, group, resource, namespace, path, .. } = self;
        if resource.is_empty() {
            return format!("User \"{}\" cannot {verb} path \"{path}\"", user.name);
        }
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let user = &user.name;
        format!(
            "User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}"
        )
    }
}

/// Whether `user` may do `action`.
pub fn allowed(store: &Store, user: &User, action: &Action<'_>) -> bool {
    user.is_master()
        || everyone(user, action)
        || granted(store, user, action, "ClusterRoleBinding", "")
        || (!action.namespace.is_empty()
            && granted(store, user, action, "RoleBinding", action.namespace))
}

/// What Kubernetes' default roles grant to every authenticated user.
fn everyone(user: &User, action: &Action<'_>) -> bool {
    if user.is_anonymous() {
        return false;
    }
    if action.resource.is_empty() {
        return PATHS.iter().any(|path| {
            action.path == *path
                || action.path.strip_prefix(path).is_some_and(|p| p.starts_with('/'))
        });
    }
    REVIEWS.contains(&action.resource.as_str())
}

fn granted(
    store: &Store,
    user: &User,
    action: &Action<'_>,
    binding: &str,
    namespace: &str,
) -> bool {
    let Some(kind) = by_kind(GROUP, binding) else { return false };
    let scope = (!namespace.is_empty()).then_some(namespace);
    let bindings = store.all(catalog::resource_id(kind), scope);
    bindings.iter().any(|(_, stored)| {
        let binding = object::parse_stored(&stored.bytes);
        names(&binding, user) && role_allows(store, &binding["roleRef"], namespace, action)
    })
}

fn names(binding: &Value, user: &User) -> bool {
    let subjects = binding["subjects"].as_array();
    subjects.into_iter().flatten().any(|subject| {
        let name = object::text(subject, &["name"]);
        match object::text(subject, &["kind"]) {
            "User" => name == user.name,
            "Group" => user.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let namespace = object::text(subject, &["namespace"]);
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

fn role_allows(store: &Store, role: &Value, namespace: &str, action: &Action<'_>) -> bool {
    let rules = role_rules(store, role, namespace).unwrap_or_default();
    rules.iter().any(|rule| rule_allows(rule, action))
}

/// The rules of the role that a binding refers to; nothing if there is no such role.
fn role_rules(store: &Store, role: &Value, namespace: &str) -> Option<Vec<Value>> {
    let kind: &'static Kind = by_kind(GROUP, object::text(role, &["kind"]))?;
    let name = object::text(role, &["name"]);
    let stored = store.get(&catalog::key(kind, namespace, name))?;
    Some(match object::parse_stored(&stored.bytes)["rules"].take() {
        Value::Array(rules) => rules,
        _ => Vec::new(),
    })
}

/// Every rule by which [`allowed`] decides for a user in a namespace.
pub fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    if user.is_master() {
        return vec![
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ];
    }
    let paths: Vec<String> =
        PATHS.iter().flat_map(|path| [(*path).to_owned(), format!("{path}/*")]).collect();
    let mut rules = vec![
        json!({
            "verbs": ["create"],
            "apiGroups": ["authentication.k8s.io", "authorization.k8s.io"],
            "resources": REVIEWS,
        }),
        json!({
            "verbs": ["get"],
            "nonResourceURLs": paths,
        }),
    ];
    for (binding, namespace) in [("ClusterRoleBinding", ""), ("RoleBinding", namespace)] {
        let Some(kind) = by_kind(GROUP, binding) else { continue };
        let scope = (!namespace.is_empty()).then_some(namespace);
        if scope.is_none() && binding == "RoleBinding" {
            continue;
        }
        for (_, stored) in store.all(catalog::resource_id(kind), scope) {
            let binding = object::parse_stored(&stored.bytes);
            if names(&binding, user) {
                let granted = role_rules(store, &binding["roleRef"], namespace);
                rules.extend(granted.unwrap_or_default());
            }
        }
    }
    rules
}

fn rule_allows(rule: &Value, action: &Action<'_>) -> bool {
    let has = |field: &str, wanted: &str| {
        let list = rule[field].as_array();
        list.into_iter().flatten().any(|one| one == "*" || one == wanted)
    };
    if !has("verbs", action.verb) {
        return false;
    }
    if action.resource.is_empty() {
        return path_matches(rule, action.path);
    }
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("apiGroups", action.group)
        && resource_matches(rule, &action.resource)
        && names.is_none_or(|names| names.iter().any(|name| name == action.name))
}

/// Whether a rule speaks of a path that is not a resource's.
fn path_matches(rule: &Value, path: &str) -> bool {
    let list = rule["nonResourceURLs"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).any(|pattern| {
        pattern == path || pattern.strip_suffix('*').is_some_and(|start| path.starts_with(start))
    })
}

/// Whether a rule speaks of a resource: `pods`, `pods/log`; `*/log` is that part of every resource.
fn resource_matches(rule: &Value, resource: &str) -> bool {
    let part = resource.split_once('/').map(|(_, part)| part);
    let list = rule["resources"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).any(|one| {
        one == "*"
            || one == resource
            || part.is_some_and(|part| one.strip_prefix("*/") == Some(part))
    })
}

#[cfg(test)]
mod tests {
    use super::{Action, rule_allows};
    use serde_json::json;

    fn action() -> Action<'static> {
        Action {
            verb: "get",
            resource: "services".to_owned(),
            namespace: "a",
            name: "web",
            ..Action::default()
        }
    }

    #[test]
    fn a_rule_grants_only_its_verbs_groups_resources_and_names() {
        let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["services"]});
        assert!(rule_allows(&rule, &action()));
        assert!(!rule_allows(&rule, &Action { verb: "delete", ..action() }));
        assert!(!rule_allows(&rule, &Action { group: "apps", ..action() }));
        assert!(!rule_allows(&rule, &Action { resource: "secrets".to_owned(), ..action() }));
        let mut named = rule.clone();
        named["resourceNames"] = json!(["other"]);
        assert!(!rule_allows(&named, &action()));
        let parts = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/status"]});
        let part = Action { resource: "services/status".to_owned(), ..action() };
        assert!(rule_allows(&parts, &part) && !rule_allows(&parts, &action()));
    }

    #[test]
    fn a_path_rule_grants_its_prefix() {
        let rule = json!({"verbs": ["*"], "nonResourceURLs": ["/metrics*"]});
        let at = |path| Action { verb: "get", path, ..Action::default() };
        assert!(rule_allows(&rule, &at("/metrics/x")));
        assert!(!rule_allows(&rule, &at("/healthz")));
    }
}
