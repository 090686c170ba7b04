//! Whose the workloads of an installation are. In: a plan and the objects that are in its place. Out: those of them that
//! an IstioOperator of another name installed, or Istio.

use anyhow::{Result, bail};
use lateen_install::{Plan, labels};
use serde_json::Value;

use super::cluster::{Comparison, title};
use super::managers;

/// Owners that stand for none: of tags, and of what was rendered for others to apply.
const NOBODYS: [&str; 2] = [labels::NOBODY, "unknown"];

/// So many fields of an object are named.
const NAMED: usize = 4;

/// A line for each workload of another installation. What revisions share is whose it was applied last, and a
/// gateway goes from one revision to the next with its IstioOperator.
pub fn foreign(plan: &Plan, live: &[Value]) -> Vec<String> {
    let own = (plan.operator.name.as_str(), plan.namespace());
    let is_workload =
        |object: &&Value| matches!(object["kind"].as_str(), Some("Deployment" | "DaemonSet"));
    let of_other = |object: &Value| {
        if let Some(by) = not_ours(object) {
            return Some(format!("{} was installed by {by}", title(object)));
        }
        let owner = owner(object).filter(|_| object["kind"] == "Deployment")?;
        (owner != own).then(|| {
            let (name, namespace) = owner;
            format!(
                "{} was installed by the IstioOperator {name} of namespace {namespace}, and this one is {} of {}",
                title(object),
                own.0,
                own.1
            )
        })
    };
    live.iter().filter(is_workload).filter_map(of_other).collect()
}

/// Who installed what this program did not; a Helm release is told of as such. Istio's installers leave their name, or, where their manifests were
/// rendered for others to apply, no mark of an installation; this program's manifests have that mark.
fn not_ours(object: &Value) -> Option<String> {
    let has_release = object["metadata"]["annotations"][super::helm::NAME].is_string();
    if managers::is_ours(object) || has_release {
        return None;
    }
    let is_marked = object["metadata"]["labels"][labels::MANAGED] == "Reconcile";
    match managers::of_istio(object) {
        Some(manager) => Some(format!("Istio ({manager})")),
        None => (!is_marked).then(|| "somebody else, as by Istio's manifests".to_owned()),
    }
}

/// A line for each object with fields that its former installer alone has, and that go with it.
pub fn left(found: &Comparison) -> Vec<String> {
    let line = |object: &Value| {
        let named = title(object);
        let applied = found.applied.iter().find(|applied| title(applied) == named)?;
        let left = managers::left(object, applied);
        let more = match left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let fields = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        (!left.is_empty())
            .then(|| format!("{named} loses what these settings do not have: {fields}{more}"))
    };
    found.live.iter().filter_map(line).collect()
}

pub fn refuse(foreign: &[String]) -> Result<()> {
    if foreign.is_empty() {
        return Ok(());
    }
    bail!(
        "nothing was done: to change such an installation, give the file its metadata.name (without a file it is \
         installed-state) and spec.namespace; to install beside it, give a --revision; to take these objects away from \
         it, use --take-over (with --dry-run it says what they lose)"
    )
}

/// The IstioOperator's name, without a revision, and the control plane's namespace.
fn owner(object: &Value) -> Option<(&str, &str)> {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    let (owner, namespace) = (label(labels::OWNER)?, label(labels::OWNER_NAMESPACE)?);
    let revision = label(labels::REVISION).unwrap_or_default();
    let name = owner.strip_suffix(revision).and_then(|rest| rest.strip_suffix('-'));
    let name = name.unwrap_or(owner);
    (!NOBODYS.contains(&name)).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{not_ours, owner};

    #[test]
    fn what_istio_installed_is_known_without_an_owners_name() {
        let with = |manager: &str, managed: Value| {
            json!({ "metadata": {
                "labels": { "operator.istio.io/managed": managed },
                "managedFields": [{ "manager": manager, "operation": "Apply" }],
            } })
        };
        let said = |manager: &str, managed: Value| not_ours(&with(manager, managed));
        assert_eq!(said("lateen-install", Value::Null), None);
        assert_eq!(said("kubectl", json!("Reconcile")), None, "manifests of this program");
        let istios = said("istio-operator", json!("Reconcile")).unwrap();
        assert_eq!(istios, "Istio (istio-operator)");
        assert!(said("kubectl", Value::Null).is_some());
    }

    fn object(owner: Value, revision: &str) -> Value {
        json!({ "metadata": { "labels": {
            "install.operator.istio.io/owning-resource": owner, "istio.io/rev": revision,
            "install.operator.istio.io/owning-resource-namespace": "n",
        } } })
    }

    #[test]
    fn an_owner_is_the_same_in_all_its_revisions() {
        assert_eq!(owner(&object(json!("mesh"), "default")), Some(("mesh", "n")));
        assert_eq!(owner(&object(json!("mesh-1-1"), "1-1")), Some(("mesh", "n")));
        assert_eq!(owner(&object(json!("mesh-1-1"), "1-0")), Some(("mesh-1-1", "n")));
        for nobody in [json!("none"), json!("unknown-1-1"), Value::Null] {
            assert_eq!(owner(&object(nobody.clone(), "1-1")), None, "{nobody}");
        }
    }
}
