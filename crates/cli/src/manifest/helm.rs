//! Objects that Helm installed. In: a cluster and objects of it. Out: the releases that have them, what to say of that,
//! and objects without Helm's marks.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use lateen_kube::Client;
use serde_json::{Value, json};

use super::cluster::{kind_of, kubectl_delete, live, place, title};
use crate::output::{causes, note, say};

pub const NAME: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// So many objects of a release are named.
const NAMED: usize = 2;

/// Objects by their release's namespace and name.
#[derive(Debug, Default)]
pub struct Releases(BTreeMap<(String, String), Vec<Value>>);

impl Releases {
    /// Those that are still there: some objects outlive their release, marks and all.
    pub async fn of(client: &Client, objects: &[Value]) -> Result<Releases> {
        let mut found = Releases::default();
        for object in objects {
            if let Some(release) = release(object) {
                found.0.entry(release).or_default().push(object.clone());
            }
        }
        let all: Vec<_> = found.0.keys().cloned().collect();
        for release in all {
            if !is_there(client, &release).await? {
                found.0.remove(&release);
            }
        }
        Ok(found)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what an installation would take away from Helm.
    pub fn warn(&self) {
        self.told().iter().for_each(note);
    }

    /// A line for each release, with objects that it has.
    pub fn told(&self) -> Vec<String> {
        let line = |((namespace, name), objects): (&(String, String), &Vec<Value>)| {
            let named: Vec<String> = objects.iter().take(NAMED).map(title).collect();
            let more = match objects.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("Helm's release {namespace}/{name} has {}{more}", named.join(", "))
        };
        self.0.iter().map(line).collect()
    }

    /// Two that install the same objects would undo each other's changes for ever.
    pub fn refuse_install(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.warn();
        bail!(
            "nothing was done: change such objects by helm upgrade, remove them first by {}, or take them away from Helm by \
             --take-over",
            self.uninstall()
        )
    }

    pub fn refuse_uninstall(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.warn();
        bail!("nothing was removed: {} removes what Helm installed", self.uninstall())
    }

    /// The commands that remove them.
    pub fn uninstall(&self) -> String {
        let command =
            |(namespace, name): &(String, String)| format!("helm uninstall {name} -n {namespace}");
        self.0.keys().map(command).collect::<Vec<_>>().join("; ")
    }

    /// Removes Helm's marks, by which it would take the objects for its own. `known` are those that were applied or
    /// removed.
    pub async fn take_over(&self, client: &Client, known: &[Value]) -> Result<()> {
        let annotations = json!({ NAME: null, NAMESPACE: null });
        let patch =
            json!({ "metadata": { "annotations": annotations, "labels": { MANAGED_BY: null } } });
        for object in self.0.values().flatten() {
            let (namespace, name) = place(object);
            match client.patch(kind_of(object)?, namespace, name, &patch).await {
                // It was not wanted any more.
                Err(error) if error.is_not_found() => {}
                patched => patched?,
            }
        }
        self.tell_of_rest(client, known).await;
        for (namespace, name) in self.0.keys() {
            say(format_args!(
                "taken over from Helm's release {namespace}/{name}: make Helm forget it, helm uninstall would remove what is \
                 installed now: kubectl delete secret -n {namespace} -l owner=helm,name={name}"
            ));
        }
        Ok(())
    }

    /// Names what else the releases have: nobody looks after it when Helm has forgotten them. `known` objects are
    /// applied or removed by the installation.
    pub async fn tell_of_rest(&self, client: &Client, known: &[Value]) {
        let known: BTreeSet<String> = known.iter().map(title).collect();
        for (namespace, name) in self.0.keys() {
            let release = format!("Helm's release {namespace}/{name}");
            let objects = match record::objects(client, namespace, name).await {
                Ok(objects) => objects,
                Err(error) => {
                    note(format_args!(
                        "what else {release} has is not known ({}): helm get manifest {name} -n {namespace} has it, and it \
                         would be nobody's when Helm has forgotten the release",
                        causes(&error)
                    ));
                    continue;
                }
            };
            for object in objects.iter().filter(|object| !known.contains(&title(object))) {
                // What cannot be looked at may be there.
                if !matches!(live(client, object).await, Ok(None)) {
                    note(format_args!(
                        "{} is {release}'s too, and these settings do not have it: it stays, and is nobody's when Helm \
                         has forgotten the release: remove it by {}, or go on without it being looked after",
                        title(object),
                        kubectl_delete(object)
                    ));
                }
            }
        }
    }
}

/// The release that an object says it is of.
fn release(object: &Value) -> Option<(String, String)> {
    let text = |key: &str| object["metadata"]["annotations"][key].as_str().map(str::to_owned);
    let namespace = text(NAMESPACE).or_else(|| place(object).0.map(str::to_owned));
    Some((namespace.unwrap_or_else(|| "default".to_owned()), text(NAME)?))
}

/// Whether Helm knows a release. Who may not look has to believe the mark.
async fn is_there(client: &Client, (namespace, name): &(String, String)) -> Result<bool> {
    match record::all(client, namespace, name).await {
        Ok(records) => Ok(!records.is_empty()),
        Err(error) if error.code() == Some(403) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Releases, release};

    fn object(name: &str, annotations: Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "namespace": "istio-system", "name": name, "annotations": annotations },
        })
    }

    #[test]
    fn an_object_of_a_release_is_known_by_its_marks() {
        let marks =
            json!({ "meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n" });
        assert_eq!(release(&object("a", marks)), Some(("n".to_owned(), "r".to_owned())));
        assert_eq!(release(&object("a", json!({ "meta.helm.sh/release-namespace": "n" }))), None);
        assert_eq!(release(&object("a", Value::Null)), None);
    }

    #[test]
    fn each_release_is_named_with_its_objects_and_what_to_do() {
        let objects = ["a", "b", "c"].map(|name| object(name, Value::Null)).to_vec();
        let found = Releases(BTreeMap::from([(("n".to_owned(), "r".to_owned()), objects)]));
        let told =
            "Helm's release n/r has ConfigMap istio-system/a, ConfigMap istio-system/b and 1 more";
        assert_eq!(found.told(), [told]);
        let error = found.refuse_install().unwrap_err().to_string();
        assert!(
            error.contains("helm uninstall r -n n") && error.contains("--take-over"),
            "{error}"
        );
        let error = found.refuse_uninstall().unwrap_err().to_string();
        assert!(error.contains("helm uninstall r -n n"), "{error}");
        assert!(Releases::default().refuse_install().is_ok());
    }
}
