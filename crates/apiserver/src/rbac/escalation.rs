//! Who may grant what: in, a user and the Role or binding to be written; out, consent, or the refusal
//! that Kubernetes gives. One may grant what one has. Who may `escalate` roles may put anything into
//! them, and who may `bind` a role may bind it.

use std::collections::{BTreeMap, BTreeSet};

use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use super::{Action, GROUP, allowed, path_matches, resource_matches, role_rules, rules};
use crate::auth::User;
use crate::error::ApiError;
use crate::object;
use crate::route::Target;
use crate::store::Store;

/// So many rights are compared one by one; short rules can name far more.
const MAX_RIGHTS: usize = 10_000;

/// Whether `user` may write `new` at `target` in place of `old`, as far as it grants something.
pub fn check(
    store: &Store,
    user: &User,
    target: &Target,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), ApiError> {
    let grants_as_before = old.is_some_and(|old| without_ownership(old) == without_ownership(new));
    if target.kind.group != GROUP || user.is_master() || grants_as_before {
        return Ok(());
    }
    let guard = Guard { store, user, target, name: object::meta(new, "name") };
    match target.kind.kind {
        "Role" | "ClusterRole" => guard.role(old, new),
        "RoleBinding" | "ClusterRoleBinding" => guard.binding(&new["roleRef"]),
        _ => Ok(()),
    }
}

/// What garbage collection and bookkeeping change grants nothing.
fn without_ownership(value: &Value) -> Value {
    let mut bare = value.clone();
    let metadata = object::meta_mut(&mut bare);
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        metadata.shift_remove(field);
    }
    bare
}

struct Guard<'a> {
    store: &'a Store,
    user: &'a User,
    target: &'a Target,
    /// Of the object to be written.
    name: &'a str,
}

impl Guard<'_> {
    fn role(&self, old: Option<&Value>, new: &Value) -> Result<(), ApiError> {
        if self.may("escalate", GROUP, self.target.kind.plural, &self.target.name) {
            return Ok(());
        }
        let rules = new["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.holds(rules)?;
        // What an aggregated role gathers is not known yet, so it takes everything.
        let aggregates = |role: &Value| {
            let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
            selectors.is_some_and(|list| !list.is_empty())
        };
        let everything = [
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ];
        if (aggregates(new) || old.is_some_and(aggregates)) && self.holds(&everything).is_err() {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(ApiError::forbidden(self.target.kind, self.name, why));
        }
        Ok(())
    }

    fn binding(&self, role: &Value) -> Result<(), ApiError> {
        let (name, word) = (object::text(role, &["name"]), object::text(role, &["kind"]));
        let kind = by_kind(GROUP, word).filter(|kind| matches!(kind.kind, "Role" | "ClusterRole"));
        let unknown = || ApiError::internal(format!("unsupported role reference kind: {word:?}"));
        let kind = kind.ok_or_else(unknown)?;
        let group = Some(object::text(role, &["apiGroup"])).filter(|group| !group.is_empty());
        if self.may("bind", group.unwrap_or(GROUP), kind.plural, name) {
            return Ok(());
        }
        let rules = role_rules(self.store, role, &self.target.namespace);
        self.holds(&rules.ok_or_else(|| ApiError::not_found(kind, name))?)
    }

    fn may(&self, verb: &str, group: &str, plural: &str, name: &str) -> bool {
        let resource = plural.to_owned();
        let namespace = &self.target.namespace;
        let action = Action { verb, group, resource, namespace, name, path: "" };
        allowed(self.store, self.user, &action)
    }

    /// Whether the user has everything that `granted` would give.
    fn holds(&self, granted: &[Value]) -> Result<(), ApiError> {
        let refusal = |why: &str| ApiError::forbidden(self.target.kind, self.name, why);
        if granted.iter().map(count).fold(0, usize::saturating_add) > MAX_RIGHTS {
            let why = format!("the rules grant more than {MAX_RIGHTS} rights: shorten their lists");
            return Err(refusal(&why));
        }
        let held = rules(self.store, self.user, &self.target.namespace);
        let missing = missing(&held, granted);
        if missing.is_empty() {
            return Ok(());
        }
        let why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            list(self.user.groups.iter().map(String::as_str)),
            Vec::from_iter(missing).join("\n")
        );
        Err(refusal(&why))
    }
}

/// What a verb applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Over<'a> {
    Resource { group: &'a str, resource: &'a str, name: Option<&'a str> },
    Path(&'a str),
}

/// The rights that `granted` gives and `held` does not, as Kubernetes writes them.
fn missing(held: &[Value], granted: &[Value]) -> BTreeSet<String> {
    let mut verbs: BTreeMap<Over<'_>, Vec<&str>> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for (over, verb) in granted.iter().flat_map(rights) {
        match over {
            _ if held.iter().any(|rule| covers(rule, over, verb)) => {}
            Over::Path(path) => {
                let (paths, verbs) = (list([path]), list([verb]));
                missing.insert(format!("{{NonResourceURLs:{paths}, Verbs:{verbs}}}"));
            }
            Over::Resource { .. } => verbs.entry(over).or_default().push(verb),
        }
    }
    for (over, verbs) in verbs {
        let Over::Resource { group, resource, name } = over else { continue };
        let name = name.map(|name| format!(", ResourceNames:{}", list([name])));
        missing.insert(format!(
            "{{APIGroups:{}, Resources:{}{}, Verbs:{}}}",
            list([group]),
            list([resource]),
            name.unwrap_or_default(),
            list(verbs)
        ));
    }
    missing
}

/// As Go prints a list of strings with `%q`.
fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

fn words<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// How many rights a rule gives.
fn count(rule: &Value) -> usize {
    let length = |field: &str| words(rule, field).len();
    let resources = [length("apiGroups"), length("resources"), length("resourceNames").max(1)];
    let places = resources.into_iter().fold(1, usize::saturating_mul);
    places.saturating_add(length("nonResourceURLs")).saturating_mul(length("verbs"))
}

/// A rule's rights one by one.
fn rights(rule: &Value) -> Vec<(Over<'_>, &str)> {
    let names = words(rule, "resourceNames");
    let names: Vec<Option<&str>> =
        if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
    let mut places: Vec<Over<'_>> = Vec::new();
    for group in words(rule, "apiGroups") {
        for resource in words(rule, "resources") {
            places.extend(names.iter().map(|name| Over::Resource { group, resource, name: *name }));
        }
    }
    places.extend(words(rule, "nonResourceURLs").into_iter().map(Over::Path));
    let verbs = words(rule, "verbs");
    places.into_iter().flat_map(|over| verbs.iter().map(move |verb| (over, *verb))).collect()
}

/// Whether a rule that somebody has gives a right.
fn covers(rule: &Value, over: Over<'_>, verb: &str) -> bool {
    let has = |field: &str, wanted: &str| {
        words(rule, field).into_iter().any(|one| one == "*" || one == wanted)
    };
    has("verbs", verb)
        && match over {
            Over::Path(path) => path_matches(rule, path),
            Over::Resource { group, resource, name } => {
                let names = words(rule, "resourceNames");
                has("apiGroups", group)
                    && resource_matches(rule, resource)
                    && (names.is_empty() || name.is_some_and(|name| names.contains(&name)))
            }
        }
}

#[cfg(test)]
mod tests {
    use super::{MAX_RIGHTS, count, missing};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(held: &Value, granted: &Value, expected: &[&str]) {
        let granted = std::slice::from_ref(granted);
        let found = missing(std::slice::from_ref(held), granted);
        assert_eq!(Vec::from_iter(&found), expected, "{held} {granted:?}");
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Value {
        json!({"verbs": verbs, "apiGroups": groups, "resources": resources})
    }

    #[test]
    fn what_is_held_covers_what_is_granted_and_the_rest_is_named() {
        let held = rule(&["get", "list"], &["", "apps"], &["pods", "*/scale"]);
        check(&held, &rule(&["list"], &["apps"], &["pods"]), &[]);
        check(&held, &rule(&["get"], &["apps"], &["deployments/scale"]), &[]);
        check(
            &held,
            &rule(&["get", "create", "delete"], &[""], &["pods", "secrets"]),
            &[
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "create" "delete"]}"#,
            ],
        );
        let all = rule(&["*"], &["*"], &["*"]);
        check(&all, &rule(&["x"], &["y"], &["z"]), &[]);
        check(&held, &all, &[r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#]);
    }

    #[test]
    fn names_and_paths_are_not_widened() {
        let mut named = rule(&["get"], &[""], &["pods"]);
        named["resourceNames"] = json!(["a"]);
        let every = rule(&["get"], &[""], &["pods"]);
        check(&every, &named, &[]);
        check(&named, &every, &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#]);
        let mut other = named.clone();
        other["resourceNames"] = json!(["a", "b"]);
        let left = r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#;
        check(&named, &other, &[left]);
        let paths = |path: &str| json!({"verbs": ["get"], "nonResourceURLs": [path]});
        check(&paths("/a/*"), &paths("/a/b*"), &[]);
        check(&paths("/a"), &paths("/a/b"), &[r#"{NonResourceURLs:["/a/b"], Verbs:["get"]}"#]);
        check(&every, &paths("/a"), &[r#"{NonResourceURLs:["/a"], Verbs:["get"]}"#]);
    }

    #[test]
    fn a_short_rule_that_names_too_much_is_counted_and_not_spelt_out() {
        let many = vec!["x"; 100_000];
        let mut rule = rule(&many, &many, &many);
        rule["resourceNames"] = json!(many);
        assert!(count(&rule) > MAX_RIGHTS);
    }
}
