//! The ConfigMaps that the control plane reads. In: a plan. Out: `istio` (the mesh's settings) and
//! `istio-sidecar-injector` (the injector's).

use serde_json::{Value, json};

use crate::merge::merge;
use crate::path;
use crate::plan::Plan;
use crate::render::rbac::metadata;
use crate::yaml;

/// Values that the injector reads.
const INJECTED: &[&str] = &[
    "global",
    "sidecarInjectorWebhook",
    "pilot.cni",
    "pilot.env",
    "gateways.securityContext",
    "gateways.seccompProfile",
    "revisionTags",
];

/// The variable of the control plane that says which sidecars are init containers.
const NATIVE_SIDECARS: &str = "ENABLE_NATIVE_SIDECARS";

/// Both, or those that the file does not leave out.
pub fn render(plan: &Plan) -> Vec<Value> {
    let mut maps = Vec::new();
    if plan.flag("values.pilot.configMap") {
        maps.push(mesh(plan));
    }
    if !plan.flag("values.global.omitSidecarInjectorConfigMap") {
        maps.push(injector(plan));
    }
    maps
}

fn mesh(plan: &Plan) -> Value {
    let networks = json!({ "networks": plan.object("values.global.meshNetworks") });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(plan, "istio"),
        "data": {
            "mesh": yaml::text(&plan.mesh_config()),
            "meshNetworks": yaml::text(&networks),
        },
    })
}

fn injector(plan: &Plan) -> Value {
    let hook = "values.sidecarInjectorWebhook";
    let list = |field: &str| json!(plan.list(&format!("{hook}.{field}")));
    let policy = plan.text("values.global.proxy.autoInject").unwrap_or("enabled");
    let config = json!({
        "policy": policy,
        "alwaysInjectSelector": list("alwaysInjectSelector"),
        "neverInjectSelector": list("neverInjectSelector"),
        "injectedAnnotations": plan.object(&format!("{hook}.injectedAnnotations")),
        "defaultTemplates": match plan.list(&format!("{hook}.defaultTemplates")) {
            [] => json!(["sidecar"]),
            own => json!(own),
        },
        "templates": plan.object(&format!("{hook}.templates")),
    });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(plan, "istio-sidecar-injector"),
        "data": { "config": yaml::text(&config), "values": sorted(values(plan)) },
    })
}

/// The same text as Helm's templates make of the same values: keys in order, and escaped what means something in HTML.
fn sorted(mut values: Value) -> String {
    values.sort_all_objects();
    let text =
        serde_json::to_string_pretty(&values).expect("invariant: a JSON value can be written");
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    escapes.into_iter().fold(text, |text, (letter, escape)| text.replace(letter, escape))
}

/// The values of the injector: what Istio picks of them, and the tags. The image and the namespace are
/// written out.
pub fn values(plan: &Plan) -> Value {
    let mut values = json!({});
    for part in INJECTED {
        if let Some(found) = plan.get(&format!("values.{part}")) {
            path::put(&mut values, part, found.clone());
        }
    }
    if let Some(word) = native_sidecars(plan) {
        path::put(&mut values, &format!("pilot.env.{NATIVE_SIDECARS}"), word);
    }
    let image = plan.image("values.global.proxy");
    let init = plan.whole_image("values.global.proxy_init").unwrap_or(&image);
    merge(
        &mut values,
        json!({
            "revision": plan.revision(),
            "global": {
                "hub": plan.hub(),
                "tag": plan.tag(),
                "istioNamespace": plan.namespace(),
                "proxy": { "image": image },
                "proxy_init": { "image": init },
            },
        }),
    );
    values
}

/// What the control plane's own variable says, where its container has that: `lateen inject` reads the values alone.
fn native_sidecars(plan: &Plan) -> Option<Value> {
    let k8s = plan.object("components.pilot.k8s");
    let own = k8s["env"].as_array()?.iter().rfind(|own| own["name"] == NATIVE_SIDECARS)?;
    own.get("value").cloned()
}

fn meta(plan: &Plan, name: &str) -> Value {
    metadata(&plan.revised(name), Some(plan.namespace()), &json!({ "release": "istio" }))
}
