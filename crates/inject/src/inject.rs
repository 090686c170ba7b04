//! Injection itself. In: a pod and the settings. Out: the pod with its proxy, or every reason why it is
//! refused. The steps: take an earlier injection out, read the annotations, add containers and volumes,
//! merge templates and the pod's own `istio-proxy`, rewrite probes, label, order, and write the status.

mod assemble;
mod end;
mod finish;
mod remarks;
mod surroundings;
mod unusable;

use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::owner::Owner;
use serde_json::{Map, Value, json};

use crate::annotation::{self as names, Annotations};
use crate::decide::{INJECT, meaningless_wish};
use crate::owner;
use crate::settings::{Settings, injector_config, is_istio_image};
use crate::strip::strip;
use crate::template::{self, BuiltIn};
use crate::{INVALID_ANNOTATION, Injected, LIMITED, NO_EFFECT, Subject, TEMPLATE, pod};

/// What all parts of an injection read.
pub struct Context<'a> {
    pub settings: &'a Settings,
    pub namespace: &'a str,
    pub owner: &'a Owner,
    /// The pod before injection.
    pub base: &'a Value,
    pub annotations: Annotations<'a>,
    /// ProxyConfig, the mesh's with the pod's over it.
    pub config: Value,
    pub image: String,
    /// `REDIRECT`, `TPROXY` or `NONE`.
    pub mode: String,
    /// 0 for none.
    pub status_port: u16,
    pub native: bool,
    /// The application starts after the proxy.
    pub hold: bool,
    /// The proxy has to end by itself when the application has ended: the value of [`crate::END_WITH`].
    pub ends_with: Option<&'static str>,
}

/// What issues point to: the pod, or the workload that holds its template.
#[derive(Debug, Clone)]
pub struct Target {
    pub object: ObjectRef,
    /// The path of the pod in the object, with a final dot; empty for a pod.
    pub prefix: String,
}

impl Target {
    pub fn of_pod(subject: &Subject) -> Self {
        let metadata = &subject.pod["metadata"];
        let name = metadata["name"].as_str().filter(|name| !name.is_empty());
        let generated = metadata["generateName"].as_str().unwrap_or_default();
        let name = name.map_or_else(|| format!("{generated}*"), str::to_owned);
        Target { object: ObjectRef::new("", "Pod", subject.namespace, name), prefix: String::new() }
    }

    pub fn error(&self, path: &str, code: Code, message: impl Into<String>) -> Issue {
        Issue::error(self.object.clone(), format!("{}{path}", self.prefix), code, message)
    }

    pub fn warning(&self, path: &str, code: Code, message: impl Into<String>) -> Issue {
        Issue::warning(self.object.clone(), format!("{}{path}", self.prefix), code, message)
    }

    fn annotation(&self, name: &str) -> String {
        format!("metadata.annotations[{name:?}]")
    }
}

/// The pod with its proxy. An injected pod comes out as it came in; whether a pod is to be injected is
/// [`crate::decide`]'s question.
pub fn inject(subject: &Subject, settings: &Settings) -> Result<Injected, Vec<Issue>> {
    inject_into(subject, settings, &owner::of_pod(subject.pod), &Target::of_pod(subject))
}

fn refuse_shape(target: &Target, problems: Vec<(String, String)>) -> Vec<Issue> {
    let code = Code::SCHEMA_VALIDATION_ERROR;
    problems.into_iter().map(|(path, message)| target.error(&path, code, message)).collect()
}

/// The same for a pod whose workload is known.
pub fn inject_into(
    subject: &Subject,
    settings: &Settings,
    owner: &Owner,
    target: &Target,
) -> Result<Injected, Vec<Issue>> {
    let shape = pod::problems(subject.pod);
    if !shape.is_empty() {
        return Err(refuse_shape(target, shape));
    }
    if subject.pod["spec"]["hostNetwork"] == true {
        let message = "a pod in the host's network cannot be injected: its rules would take the node's traffic";
        return Err(vec![target.error("spec.hostNetwork", LIMITED, message)]);
    }
    if subject.pod["spec"]["os"]["name"] == "windows" {
        let message = "the proxy and its rules are for Linux: set the label sidecar.istio.io/inject to \
                       \"false\" on Windows pods";
        return Err(vec![target.error("spec.os.name", LIMITED, message)]);
    }
    let base = strip(subject.pod, settings);
    let mut issues = meaningless(subject, target);
    let path = format!("{}metadata.annotations", target.prefix);
    let annotations = Annotations::read(subject.pod, &target.object, &path, &mut issues);
    let templates = template::select(annotations.get(names::TEMPLATES), settings)
        .map_err(|message| issues.push(no_template(&annotations, target, message)))
        .unwrap_or_default();
    if issues.iter().any(Issue::is_error) {
        return Err(issues);
    }
    let subject = Subject { pod: &base, ..*subject };
    let mut context = context(&subject, settings, owner, annotations);
    issues.extend(image(&mut context, target));
    if templates.built_in.is_some() {
        issues.extend(unusable::of_config(&context, target));
        issues.extend(remarks::of_proxy(&context, target));
    }
    if templates.built_in == Some(BuiltIn::Sidecar) {
        issues.extend(unusable::of_names(&context, target));
        issues.extend(remarks::of_sidecar(&context, target));
        issues.extend(end::with_application(&mut context, target));
    }
    let mut pod = assemble::assemble(&context, &templates);
    finish::finish(&mut pod, &context, &templates, target, &mut issues);
    issues.extend(unusable::of_resources(&pod, &context, target));
    issues.extend(unusable::of_mounts(&pod, &context, target));
    if issues.iter().any(Issue::is_error) {
        return Err(issues);
    }
    Ok(Injected { pod, issues })
}

/// Where the templates are named that cannot be had: by the pod, or by the injector's values.
fn no_template(annotations: &Annotations, target: &Target, message: String) -> Issue {
    if annotations.has(names::TEMPLATES) {
        return target.error(&target.annotation(names::TEMPLATES), INVALID_ANNOTATION, message);
    }
    let path = "sidecarInjectorWebhook.defaultTemplates";
    Issue::error(injector_config(), path, TEMPLATE, message)
}

fn meaningless(subject: &Subject, target: &Target) -> Vec<Issue> {
    let Some((wish, value)) = meaningless_wish(subject) else { return Vec::new() };
    let path = format!("metadata.{wish}s[{INJECT:?}]");
    let message = format!(
        "{value:?} is neither \"true\" nor \"false\": the {wish} is passed over for the default"
    );
    vec![target.warning(&path, INVALID_ANNOTATION, message)]
}

fn context<'a>(
    subject: &Subject<'a>,
    settings: &'a Settings,
    owner: &'a Owner,
    annotations: Annotations<'a>,
) -> Context<'a> {
    let mut config = proxy_config(subject, settings, &annotations);
    let of_config = config["statusPort"].as_u64().and_then(|port| u16::try_from(port).ok());
    let status_port = annotations
        .number(names::STATUS_PORT)
        .and_then(|port| u16::try_from(port).ok())
        .or(of_config)
        .unwrap_or(settings.status_port);
    let of_config = config["interceptionMode"].as_str().unwrap_or("REDIRECT");
    let mode = annotations.or(names::MODE, of_config).to_owned();
    let native = annotations.flag(names::NATIVE).unwrap_or(settings.native_sidecar);
    // A native sidecar is ready before the application by itself.
    let wanted = config["holdApplicationUntilProxyStarts"].as_bool();
    let hold = !native && wanted.unwrap_or(settings.hold_application);
    complete(&mut config, settings, &annotations, status_port);
    if hold {
        config["holdApplicationUntilProxyStarts"] = json!(true);
    }
    Context {
        settings,
        namespace: subject.namespace,
        owner,
        base: subject.pod,
        native,
        annotations,
        config,
        image: settings.image.reference(),
        mode,
        status_port,
        hold,
        ends_with: None,
    }
}

/// The mesh's settings with those of its objects and of the pod over them.
fn proxy_config(subject: &Subject, settings: &Settings, annotations: &Annotations) -> Value {
    let (objects, namespace) = (&settings.proxy_configs, subject.namespace);
    let mut config = settings.proxy_config.clone();
    objects.of_namespaces(settings.root_namespace(), namespace, &mut config);
    overlay(&mut config, &annotations.proxy_config);
    objects.of_pod(namespace, subject.pod, &mut config);
    config
}

/// Puts in what the agent could not know otherwise.
fn complete(config: &mut Value, settings: &Settings, annotations: &Annotations, status_port: u16) {
    if status_port != 15020 {
        config["statusPort"] = json!(status_port);
    }
    let control_plane = settings.control_plane();
    if let Some(address) = annotations.get(names::DISCOVERY_ADDRESS) {
        config["discoveryAddress"] = json!(address);
    } else if config["discoveryAddress"].is_null()
        && control_plane != Settings::default().control_plane()
    {
        config["discoveryAddress"] = json!(control_plane);
    }
}

/// Message fields merge, everything else is replaced, as protobuf's JSON does over a message that has
/// values already.
pub fn overlay(base: &mut Value, over: &Value) {
    let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) else { return };
    for (field, value) in over {
        match base.get_mut(field) {
            Some(old) if old.is_object() && value.is_object() => overlay(old, value),
            _ => {
                base.insert(field.clone(), value.clone());
            }
        }
    }
}

/// The annotation's image, unless it is one of Istio's own.
fn image(context: &mut Context, target: &Target) -> Option<Issue> {
    let wanted = context.annotations.get(names::PROXY_IMAGE)?;
    let path = target.annotation(names::PROXY_IMAGE);
    if is_istio_image(wanted) {
        let message = format!("{wanted:?} is Istio's image: {} is used", context.image);
        return Some(target.warning(&path, NO_EFFECT, message));
    }
    if !wanted.contains('/') {
        let message = format!("{wanted:?} names no repository: write it as in hub/lateen:tag");
        return Some(target.warning(&path, NO_EFFECT, message));
    }
    context.image = wanted.to_owned();
    None
}

/// An object of what is there, for statuses and overrides.
fn object(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests;
