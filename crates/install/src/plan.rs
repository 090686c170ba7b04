//! A checked installation. In: the merged spec. Out: the settings as the renderers ask for them.

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use serde_json::{Value, json};

use crate::merge::merge;
use crate::path;

/// Where the image is and which, unless a file says otherwise. One image holds every part.
const HUB: &str = "lateen-mesh";
const TAG: &str = env!("CARGO_PKG_VERSION");
const IMAGE: &str = "lateen";

/// What shall be installed: every setting has been checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The IstioOperator that this comes from; its name marks what belongs to the installation.
    pub operator: ObjectRef,
    /// What its author should know: fields that have moved, or do nothing here.
    pub issues: Vec<Issue>,
    spec: Value,
}

impl Plan {
    pub(crate) fn new(operator: ObjectRef, spec: Value, issues: Vec<Issue>) -> Self {
        Self { operator, issues, spec }
    }

    /// The merged spec.
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    /// Works out what follows from several settings, and refuses what does not go together.
    pub(crate) fn complete(&mut self) -> Result<(), Vec<Issue>> {
        self.replace_istios_hub();
        self.tell_of_other_targets();
        let mut errors = Vec::new();
        let names = [("spec.revision", self.revision()), ("spec.namespace", self.namespace())];
        for (path, name) in names {
            if !name.is_empty() && !is_label(name) {
                let message =
                    format!("{name:?} is no name: use at most 63 of a-z, 0-9 and hyphens");
                let code = Code::SCHEMA_VALIDATION_ERROR;
                errors.push(Issue::error(self.operator.clone(), path, code, message));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Istio's own registries hold no image of Lateen.
    fn replace_istios_hub(&mut self) {
        for prefix in ["", "values.global.", "values.pilot."] {
            let (hub, tag) = (format!("{prefix}hub"), format!("{prefix}tag"));
            let Some(named) = self.text(&hub).filter(|hub| is_istios(hub)).map(str::to_owned)
            else {
                continue;
            };
            path::take(&mut self.spec, &hub);
            let old = path::take(&mut self.spec, &tag);
            let old = old.map_or_else(String::new, |tag| format!(":{}", scalar(&tag)));
            let message = format!(
                "{named}{old} is Istio's image and not Lateen's, {HUB}/{IMAGE}:{TAG} is taken; \
                 name the registry that holds yours"
            );
            self.issues.push(Issue {
                object: self.operator.clone(),
                path: format!("spec.{hub}"),
                code: Code::DEPRECATED,
                severity: Severity::Warning,
                message,
            });
        }
    }

    /// An autoscaler scales the Deployment that it is rendered for, whichever its file names.
    fn tell_of_other_targets(&mut self) {
        let mut told = Vec::new();
        let mut look = |path: String, name: &str, k8s: &Value| {
            let target = &k8s["hpaSpec"]["scaleTargetRef"]["name"];
            if let Some(other) = target.as_str().filter(|other| *other != name) {
                let message = format!("{other} is not scaled by this, {name} is");
                told.push((format!("spec.{path}.k8s.hpaSpec.scaleTargetRef.name"), message));
            }
        };
        let pilot = "components.pilot".to_owned();
        look(pilot, &self.revised("istiod"), &self.object("components.pilot.k8s"));
        for list in ["ingressGateways", "egressGateways"] {
            for (at, gateway) in self.list(&format!("components.{list}")).iter().enumerate() {
                let name = gateway["name"].as_str().unwrap_or_default();
                look(format!("components.{list}[{at}]"), name, &gateway["k8s"]);
            }
        }
        let issue = |(path, message): (String, String)| {
            Issue::warning(self.operator.clone(), path, Code::SCHEMA_WARNING, message)
        };
        let told: Vec<Issue> = told.into_iter().map(issue).collect();
        self.issues.extend(told);
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        path::get(&self.spec, path)
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        self.get(path) == Some(&Value::Bool(true))
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.get(path).cloned().unwrap_or_else(|| json!({}))
    }

    pub(crate) fn list(&self, path: &str) -> &[Value] {
        self.get(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The namespace of the control plane.
    pub fn namespace(&self) -> &str {
        let own = self.text("namespace").or_else(|| self.text("values.global.istioNamespace"));
        own.unwrap_or("istio-system")
    }

    /// The revision's name; empty for the default one.
    pub fn revision(&self) -> &str {
        self.text("revision").filter(|revision| *revision != "default").unwrap_or_default()
    }

    /// The revision as `istio.io/rev` names it.
    pub(crate) fn revision_label(&self) -> &str {
        Some(self.revision()).filter(|revision| !revision.is_empty()).unwrap_or("default")
    }

    /// `base`, or `base-REVISION`.
    pub(crate) fn revised(&self, base: &str) -> String {
        match self.revision() {
            "" => base.to_owned(),
            revision => format!("{base}-{revision}"),
        }
    }

    /// What marks the objects of this installation.
    pub fn owner(&self) -> String {
        self.revised(&self.operator.name)
    }

    /// The image of a part, whose own hub, tag and image are below `part`.
    pub(crate) fn image(&self, part: &str) -> String {
        let whole = self.text(&format!("{part}.image")).filter(|image| image.contains('/'));
        if let Some(whole) =
            whole.filter(|image| !image.contains("/proxyv2") && !image.contains("/pilot"))
        {
            return whole.to_owned();
        }
        self.image_of(self.get(&format!("{part}.hub")), self.get(&format!("{part}.tag")))
    }

    /// The image with a hub and a tag, or those of the whole installation.
    pub(crate) fn image_of(&self, hub: Option<&Value>, tag: Option<&Value>) -> String {
        let whole = |field: &str| {
            let own = self.get(&format!("values.global.{field}"));
            own.or_else(|| self.get(field)).map(scalar).filter(|text| !text.is_empty())
        };
        let own = |value: Option<&Value>| value.map(scalar).filter(|text| !text.is_empty());
        let hub = own(hub).or_else(|| whole("hub")).unwrap_or_else(|| HUB.to_owned());
        let tag = own(tag).or_else(|| whole("tag")).unwrap_or_else(|| TAG.to_owned());
        format!("{hub}/{IMAGE}:{tag}")
    }

    /// The mesh's settings: defaults that follow from the installation, and the file's on top.
    pub(crate) fn mesh_config(&self) -> Value {
        let namespace = self.namespace();
        let discovery = format!("{}.{namespace}.svc:15012", self.revised("istiod"));
        let mut mesh = json!({
            "defaultConfig": { "discoveryAddress": discovery },
            "defaultProviders": { "metrics": ["prometheus"] },
            "rootNamespace": namespace,
        });
        merge(&mut mesh, self.object("meshConfig"));
        mesh
    }
}

/// A text or a number as text.
pub fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_istios(hub: &str) -> bool {
    let (host, last) = hub.rsplit_once('/').unwrap_or(("", hub));
    let public = host.is_empty() || host.starts_with("docker.") || host.ends_with(".docker.io");
    last == "istio" && public
        || matches!(last, "istio-release" | "istio-testing")
        || hub.split('/').any(|part| part.ends_with("istio.io"))
}

/// Why a text is no RFC 1123 label.
pub fn no_label(name: &str) -> String {
    format!("{name:?} is no name: use at most 63 of a-z, 0-9 and hyphens")
}

/// An RFC 1123 label.
pub fn is_label(name: &str) -> bool {
    let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-')
}
