//! The cluster that an installation goes into. In: the options that name it. Out: a connection, what
//! it has of an installation, and a person's consent.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lateen_api::kinds::{KINDS, Kind, by_kind, split_api_version};
use lateen_install::{Change, Plan, labels, rank};
use lateen_kube::{Client, DryRun, Error};
use serde_json::{Value, json};

use super::{managers, validators};
use crate::output::text;

/// Who applies, as managed fields name it.
pub const MANAGER: &str = "lateen-install";

/// How often an object is applied before an API is believed that it cannot just now.
pub const ATTEMPTS: u32 = 4;
/// Before the second attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(250);

/// A namespace that every cluster has.
const EVERYWHERE: &str = "default";

/// The options that name a cluster.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// The kubeconfig file [default: as kubectl finds it]
    #[arg(long, short = 'c', value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: the current one]
    #[arg(long)]
    context: Option<String>,
}

impl ClusterArgs {
    /// Whether a cluster was named.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Whether there is a kubeconfig where kubectl looks for one that is not named.
    pub fn has_default() -> bool {
        match std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
            // A file that is named and not there is told of when it is read; /dev/null is how to name none.
            Some(paths) => std::env::split_paths(&paths).any(|path| path != Path::new("/dev/null")),
            None => std::env::home_dir().is_some_and(|home| home.join(".kube/config").exists()),
        }
    }

    pub async fn connect(&self) -> Result<Client> {
        let file = self.kubeconfig.as_deref();
        Ok(Client::connect_like_kubectl(file, self.context.as_deref()).await?)
    }
}

/// The table's kind of an object.
pub fn kind_of(object: &Value) -> Result<&'static Kind> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, _) = split_api_version(text("apiVersion"));
    by_kind(group, text("kind")).with_context(|| format!("the kind of {}", title(object)))
}

/// As in `Deployment istio-system/istiod`.
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let metadata = &object["metadata"];
    let name = match metadata["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{}", text(&metadata["name"])),
        None => text(&metadata["name"]),
    };
    format!("{} {name}", text(&object["kind"]))
}

/// The cluster's object of the same kind and name.
pub async fn live(client: &Client, object: &Value) -> Result<Option<Value>> {
    let kind = kind_of(object)?;
    let (namespace, name) = place(object);
    Ok(client.get(kind, namespace, name).await?)
}

pub fn is_control_plane(object: &Value) -> bool {
    object["kind"] == "Deployment" && object["metadata"]["labels"]["app"] == "istiod"
}

/// An object's namespace and name.
pub fn place(object: &Value) -> (Option<&str>, &str) {
    let metadata = &object["metadata"];
    (metadata["namespace"].as_str(), metadata["name"].as_str().unwrap_or_default())
}

/// Applies an object; again where the API answers that asking again may help, as when others change
/// the object at the same time. Applying twice does no more than applying once.
pub async fn apply(client: &Client, object: &Value, dry_run: DryRun) -> Result<Value, Error> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match apply_once(client, object, dry_run).await {
            Err(error) if error.code().is_some() && error.is_transient() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    apply_once(client, object, dry_run).await
}

/// A validator is looked at before each attempt.
async fn apply_once(client: &Client, object: &Value, dry_run: DryRun) -> Result<Value, Error> {
    if validators::is_one(object) {
        let kept = validators::kept(client, object).await?;
        return client.apply_object(&kept, MANAGER, dry_run).await;
    }
    client.apply_object(object, MANAGER, dry_run).await
}

/// What an installation would do.
pub struct Comparison {
    pub changes: Vec<Change>,
    /// The objects that are there now.
    pub live: Vec<Value>,
    /// What they would be, managed fields and all.
    pub applied: Vec<Value>,
}

/// What applying `wanted` and removing `unwanted` would change; an error if an object is refused.
pub async fn compare(client: &Client, wanted: &[Value], unwanted: &[Value]) -> Result<Comparison> {
    let (mut before, mut after) = (unwanted.to_vec(), Vec::new());
    for object in wanted {
        let found = live(client, object).await?;
        // Asked before anything is done, so that an object that the API refuses stops the others too.
        match apply(client, object, DryRun::Yes).await {
            Ok(applied) => after.push(applied),
            // Its namespace is made before it.
            Err(error) if error.is_not_found() && found.is_none() => {
                ask_elsewhere(client, object).await?;
                after.push(object.clone());
            }
            Err(error) => {
                let is_others = found.is_some_and(|found| !managers::is_ours(&found));
                let remedy = remedy(object, &error.to_string(), is_others);
                let error = anyhow::Error::from(error);
                return Err(match remedy {
                    Some(remedy) => error.context(remedy),
                    None => error,
                });
            }
        }
        before.extend(found);
    }
    let changes = lateen_install::diff(&before, &after);
    Ok(Comparison { changes, live: before, applied: after })
}

/// Those of the objects that are there, as they are.
pub async fn all_live(client: &Client, wanted: &[Value]) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for object in wanted {
        found.extend(live(client, object).await?);
    }
    Ok(found)
}

/// What to do about an object that cannot become what is wanted, such as a Deployment with another selector.
fn remedy(object: &Value, refusal: &str, is_others: bool) -> Option<String> {
    let (what, instead) = match refusal.contains("field is immutable") {
        true => ("can be made with this field but not changed to it", "Leave the field as it was"),
        false if is_others => (
            "is refused with what others have in it",
            "Mend that (an unnamed port beside others has to be named)",
        ),
        false => return None,
    };
    Some(format!(
        "nothing was done: {} {what}. {instead}, or remove the object ({}; what it runs ends), and the same command \
         makes it anew",
        title(object),
        kubectl_delete(object)
    ))
}

/// The command that removes an object.
pub fn kubectl_delete(object: &Value) -> String {
    let (namespace, name) = place(object);
    let namespace = namespace.map(|name| format!("-n {name} ")).unwrap_or_default();
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let mut kind = text("kind").to_lowercase();
    // Two groups have a Gateway.
    let (group, _) = split_api_version(text("apiVersion"));
    if group.contains('.') {
        kind = format!("{kind}.{group}");
    }
    format!("kubectl delete {namespace}{kind} {name}")
}

/// Whether the API takes an object whose namespace is not there yet, asked in one that always is.
async fn ask_elsewhere(client: &Client, object: &Value) -> Result<()> {
    let mut elsewhere = object.clone();
    elsewhere["metadata"]["namespace"] = json!(EVERYWHERE);
    // Somebody's object of the same name would answer for itself.
    if place(object).0.is_none() || live(client, &elsewhere).await?.is_some() {
        return Ok(());
    }
    match apply(client, &elsewhere, DryRun::Yes).await {
        Err(error) if !error.is_not_found() => Err(error).with_context(|| {
            format!("{} would be refused (asked in namespace {EVERYWHERE})", title(object))
        }),
        _ => Ok(()),
    }
}

/// Objects that an earlier version of this installation had and this one has not. Definitions stay:
/// users' objects would go with them.
pub async fn unwanted(client: &Client, plan: &Plan, wanted: &[Value]) -> Result<Vec<Value>> {
    let selector = format!(
        "{}={},{}={}",
        labels::OWNER,
        plan.owner(),
        labels::OWNER_NAMESPACE,
        plan.namespace()
    );
    let names: BTreeSet<String> = wanted.iter().map(title).collect();
    let mut found = installed(client, &selector).await?;
    found.retain(|object| !names.contains(&title(object)));
    Ok(found)
}

/// Installed objects that a selector chooses, in the order in which they are removed.
pub async fn installed(client: &Client, selector: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for kind in KINDS.iter().filter(|kind| is_removed(kind)) {
        match client.list(kind, selector, None).await {
            Ok(objects) => found.extend(objects),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_by_key(|object| std::cmp::Reverse(rank(object)));
    Ok(found)
}

/// Kinds that an installation renders and an uninstallation removes.
fn is_removed(kind: &Kind) -> bool {
    let object = json!({ "kind": kind.kind });
    let rendered =
        rank(&object) != rank(&json!({})) || kind.kind == "ValidatingWebhookConfiguration";
    rendered && !matches!(kind.kind, "Namespace" | "CustomResourceDefinition")
}

/// Asks, and takes nothing but a yes for one; a script that nobody answers has to say so itself.
pub fn confirm(question: &str, skip: bool) -> Result<()> {
    if skip {
        return Ok(());
    }
    text(&format!("{question} (y/N) "));
    agreed(&mut std::io::stdin().lock())
}

fn agreed(answers: &mut impl BufRead) -> Result<()> {
    let mut answer = String::new();
    let length = answers.read_line(&mut answer).context("cannot read the answer")?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ if length == 0 => {
            bail!("nothing was done: nobody answered, --skip-confirmation asks nobody")
        }
        _ => bail!("nothing was done"),
    }
}

#[cfg(test)]
mod tests {
    use lateen_kube::DryRun;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::super::scripted;
    use super::{ATTEMPTS, agreed, apply, remedy};

    #[test]
    fn only_a_yes_is_one() {
        let said = |mut answers: &[u8]| agreed(&mut answers).map_err(|error| error.to_string());
        assert_eq!((said(b"y\n"), said(b" YES \n")), (Ok(()), Ok(())));
        assert_eq!(said(b"n\ny\n"), Err("nothing was done".to_owned()));
        assert_eq!(said(b"\n"), Err("nothing was done".to_owned()));
        assert!(said(b"").unwrap_err().contains("--skip-confirmation"));
    }

    #[test]
    fn what_cannot_be_changed_is_told_with_what_to_do() {
        let object = json!({
            "kind": "Deployment", "metadata": {"namespace": "istio-system", "name": "istiod"},
        });
        for (refusal, is_others, what) in [
            ("spec.selector: Invalid value: {}: field is immutable", false, "Leave the field"),
            ("spec.ports[0].name: Required value", true, "what others have in it"),
        ] {
            let told = remedy(&object, refusal, is_others).unwrap();
            assert!(told.contains("kubectl delete -n istio-system deployment istiod;"), "{told}");
            assert!(told.contains(what), "{told}");
        }
        assert_eq!(remedy(&object, "spec.replicas: Invalid value: -1", false), None);
    }

    async fn applied(codes: &[u16]) -> Result<(), Option<u16>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = scripted::client(&listener).await;
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "a"},
        });
        let answers = codes.iter().map(|code| match code {
            200 => (200, object.clone()),
            code => (*code, json!("m")),
        });
        let (applied, _) = tokio::join!(
            apply(&client, &object, DryRun::No),
            scripted::answer(listener, answers.collect())
        );
        applied.map(drop).map_err(|error| error.code())
    }

    #[tokio::test]
    async fn a_validator_that_closes_before_it_is_applied_is_not_opened() {
        let validator = |policy: &str, version: &str, bundle: &str| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "v", "resourceVersion": version},
                "webhooks": [{"name": "a", "failurePolicy": policy, "clientConfig":
                    {"service": {"name": "istiod", "namespace": "n"}, "caBundle": bundle}}],
            })
        };
        let (open, closed) = (validator("Ignore", "7", ""), validator("Fail", "8", "Q0E="));
        let mut wanted = open.clone();
        wanted["metadata"].as_object_mut().unwrap().shift_remove("resourceVersion");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = scripted::client(&listener).await;
        let answers =
            vec![(200, open), (409, json!("modified")), (200, closed.clone()), (200, closed)];
        let (applied, requests) =
            tokio::join!(apply(&client, &wanted, DryRun::No), scripted::answer(listener, answers));
        applied.unwrap();
        let says = |request: &str, policy: &str, version: &str| {
            request.starts_with("PATCH ")
                && request.contains(&format!(r#""failurePolicy":"{policy}""#))
                && request.contains(&format!(r#""resourceVersion":"{version}""#))
        };
        assert!(says(&requests[1], "Ignore", "7"), "{}", requests[1]);
        assert!(says(&requests[3], "Fail", "8"), "{}", requests[3]);
    }

    #[tokio::test]
    async fn an_object_that_others_change_too_is_applied_again_and_a_refused_one_is_not() {
        assert_eq!(applied(&[409, 503, 200]).await, Ok(()));
        assert_eq!(applied(&[403]).await, Err(Some(403)));
        assert_eq!(applied(&vec![409; ATTEMPTS as usize]).await, Err(Some(409)));
    }
}
