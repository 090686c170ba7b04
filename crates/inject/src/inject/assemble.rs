//! Puts the injected parts into the pod. In: the context and the templates. Out: the pod with containers,
//! volumes and pull secrets, the templates' overlays and the pod's own `istio-proxy` merged in.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Context, object, remarks, surroundings};
use crate::annotation::OVERRIDES;
use crate::pod::INJECTED;
use crate::template::{self, BuiltIn, Templates};
use crate::{
    INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER, interception, merge, pod, proxy,
};

/// A container of the pod that is merged over the injected one of its name.
struct Override {
    field: &'static str,
    container: Value,
}

pub fn assemble(context: &Context, templates: &Templates) -> Value {
    let mut pod = context.base.clone();
    let Some(built_in) = templates.built_in else {
        templates.overlays.iter().for_each(|overlay| template::apply(&mut pod, overlay));
        return pod;
    };
    let mut containers = Vec::new();
    if built_in == BuiltIn::Sidecar {
        containers.extend(interception::container(context).map(|one| ("initContainers", one)));
    }
    let native = context.native && built_in == BuiltIn::Sidecar;
    let field = if native { "initContainers" } else { "containers" };
    containers.push((field, proxy::container(context, built_in)));
    let injected: Vec<String> =
        containers.iter().map(|(_, container)| pod::name(container).to_owned()).collect();
    let overrides = take_overrides(&mut pod, &injected);
    for (field, container) in containers {
        pod::list_mut(&mut pod, field).push(container);
    }
    add_volumes(&mut pod, context);
    templates.overlays.iter().for_each(|overlay| template::apply(&mut pod, overlay));
    let tproxy = context.mode == "TPROXY" && built_in == BuiltIn::Sidecar;
    apply_overrides(&mut pod, &overrides, tproxy);
    match built_in {
        BuiltIn::Sidecar => surroundings::of_sidecar(&mut pod, context),
        BuiltIn::Gateway => surroundings::of_gateway(&mut pod, context),
    }
    pod
}

fn take_overrides(pod: &mut Value, injected: &[String]) -> Vec<Override> {
    let mut overrides = Vec::new();
    for field in ["containers", "initContainers"] {
        let Some(containers) = pod["spec"].get_mut(field).and_then(Value::as_array_mut) else {
            continue;
        };
        let own = |container: &Value| {
            let name = pod::name(container);
            INJECTED.contains(&name) && injected.iter().any(|one| one == name)
        };
        let (taken, rest): (Vec<Value>, Vec<Value>) = containers.drain(..).partition(own);
        *containers = rest;
        overrides.extend(taken.into_iter().map(|container| Override { field, container }));
    }
    overrides
}

fn apply_overrides(pod: &mut Value, overrides: &[Override], tproxy: bool) {
    for one in overrides {
        let overlay = authored(&one.container);
        let name = pod::name(&one.container);
        if let Some(container) = pod::container_mut(pod, name) {
            merge::merge(container, &overlay);
            say_pull_policy(container, &one.container);
            if name == PROXY_CONTAINER && tproxy {
                pod::object_at(container, "securityContext")["runAsUser"] = json!(0);
            }
        }
        if name == PROXY_CONTAINER {
            for init in [INIT_CONTAINER, VALIDATION_CONTAINER] {
                if let Some(init) = pod::container_mut(pod, init) {
                    interception::follow_user(init, &one.container, tproxy);
                }
            }
        }
    }
    if overrides.is_empty() {
        return;
    }
    // With these an injection can be taken out again.
    let of = |field: &str| -> Value {
        overrides.iter().filter(|one| one.field == field).map(|one| one.container.clone()).collect()
    };
    let fields = ["containers", "initContainers"].into_iter().map(|field| (field, of(field)));
    let kept = fields.filter(|(_, list)| *list != json!([]));
    let kept = object(kept.map(|(field, list)| (field.to_owned(), list)));
    pod::metadata_mut(pod, "annotations").insert(OVERRIDES.to_owned(), json!(kept.to_string()));
}

/// What of a pod's own container its author said: `image: auto` asks for the injected one, and the API
/// server, which sees a name without a tag, has made the policy `Always` of it before any webhook is asked.
fn authored(container: &Value) -> Value {
    let mut authored = container.clone();
    let image = container["image"].as_str();
    if let Some(fields) = authored.as_object_mut()
        && !remarks::wants_image(container)
    {
        fields.shift_remove("image");
        if image == Some("auto") && container["imagePullPolicy"] == "Always" {
            fields.shift_remove("imagePullPolicy");
        }
    }
    authored
}

/// In place of a policy that was left out of a container: what the API server makes of the image's real name.
fn say_pull_policy(container: &mut Value, own: &Value) {
    if own["imagePullPolicy"].is_null() || !container["imagePullPolicy"].is_null() {
        return;
    }
    let image = container["image"].as_str().unwrap_or_default();
    let (path, digest) = image.split_once('@').unwrap_or((image, ""));
    let name = path.rsplit('/').next().unwrap_or(path);
    let tag = name.split_once(':').map_or("", |(_, tag)| tag);
    let fixed = !digest.is_empty() || !matches!(tag, "" | "latest");
    container["imagePullPolicy"] = json!(if fixed { "IfNotPresent" } else { "Always" });
}

/// A volume of the pod that has the name of an injected one gives way, as in Istio; so does an injected
/// one to a later of its name.
fn add_volumes(pod: &mut Value, context: &Context) {
    let mut injected = proxy::volumes(context);
    let mut names = HashSet::new();
    injected.reverse();
    injected.retain(|volume| names.insert(pod::name(volume).to_owned()));
    injected.reverse();
    let volumes = pod::list_mut(pod, "volumes");
    volumes.retain(|old| !names.contains(pod::name(old)));
    volumes.extend(injected);
    let own = pod::list(pod, "imagePullSecrets").iter().map(pod::name);
    let mut names: HashSet<String> = own.map(str::to_owned).collect();
    for secret in &context.settings.image.pull_secrets {
        if names.insert(secret.clone()) {
            pod::list_mut(pod, "imagePullSecrets").push(json!({"name": secret}));
        }
    }
}
