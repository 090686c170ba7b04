//! Whose the workloads of an installation are. In: a plan and the objects that are in its place. Out: those of them that
//! an IstioOperator of another name installed.

use anyhow::{Result, bail};
use lateen_install::{Plan, labels};
use serde_json::Value;

use super::cluster::title;

/// Owners that stand for none: of tags, and of what was rendered for others to apply.
const NOBODYS: [&str; 2] = [labels::NOBODY, "unknown"];

/// A line for each Deployment of another installation. What revisions share is whose it was applied last, and a
/// gateway goes from one revision to the next with its IstioOperator.
pub fn foreign(plan: &Plan, live: &[Value]) -> Vec<String> {
    let own = (plan.operator.name.as_str(), plan.namespace());
    let of_other = |object: &Value| {
        let owner = owner(object)?;
        (object["kind"] == "Deployment" && owner != own).then(|| {
            let (name, namespace) = owner;
            format!(
                "{} was installed by the IstioOperator {name} of namespace {namespace}, and this one is {} of {}",
                title(object),
                own.0,
                own.1
            )
        })
    };
    live.iter().filter_map(of_other).collect()
}

pub fn refuse(foreign: &[String]) -> Result<()> {
    if foreign.is_empty() {
        return Ok(());
    }
    bail!(
        "nothing was done: to change such an installation, give the file its metadata.name (without a file it is \
         installed-state) and spec.namespace; to take these objects away from it, use --take-over"
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

    use super::owner;

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
