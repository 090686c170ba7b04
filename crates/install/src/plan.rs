//! A checked installation. In: the merged spec. Out: the settings as the renderers ask for them.

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use lateen_api::labels::{is_label, is_label_value, no_label};
use lateen_inject::{Image, is_istio_hub, is_istio_image};
use serde_json::{Value, json};

use crate::check::is_empty;
use crate::input::{self, Input};
use crate::merge::merge;
use crate::{exposure, mesh, node_agent, path, replicas, variables};

/// What shall be installed: every setting has been checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The IstioOperator that this comes from; its name marks what belongs to the installation.
    pub operator: ObjectRef,
    /// What its author should know: fields that have moved, or do nothing here.
    pub issues: Vec<Issue>,
    /// What the spec was made of.
    pub(crate) input: Input,
    spec: Value,
}

impl Plan {
    /// The spec may have settings of the command line that had no place in it, which is told by who assembles it.
    pub(crate) fn new(operator: ObjectRef, input: Input, mut spec: Value) -> Self {
        input::unchecked_values(&mut spec);
        Self { operator, issues: Vec::new(), input, spec }
    }

    /// The plan that would come of another input, whatever is wrong with it.
    pub(crate) fn with(&self, input: Input) -> Self {
        let (spec, _) = input.assemble();
        let mut plan = Self::new(self.operator.clone(), input, spec);
        let _ = plan.complete();
        plan
    }

    /// The merged spec.
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    /// Works out what follows from several settings, and refuses what does not go together.
    pub(crate) fn complete(&mut self) -> Result<(), Vec<Issue>> {
        self.replace_istios_hub();
        self.tell_of_other_targets();
        self.tell_of_other_ports();
        self.use_node_agent();
        self.tell_of_no_node_agent();
        let (mut errors, told): (Vec<Issue>, Vec<Issue>) =
            replicas::check(self).into_iter().partition(Issue::is_error);
        self.issues.extend(told);
        self.issues.extend(exposure::check(self));
        self.issues.extend(variables::check(self));
        errors.extend(self.misnamed());
        errors.extend(node_agent::check(self));
        errors.extend(mesh::networks(self));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// An agent that is installed is used, unless the file says otherwise.
    fn use_node_agent(&mut self) {
        if self.flag("components.cni.enabled") && self.get("values.pilot.cni.enabled").is_none() {
            path::put(&mut self.spec, "values.pilot.cni.enabled", json!(true));
        }
    }

    /// As in Istio, it is taken for somebody else's then.
    fn tell_of_no_node_agent(&mut self) {
        let wanted = self.flag("components.pilot.enabled") && self.flag("values.pilot.cni.enabled");
        if wanted && !self.flag("components.cni.enabled") {
            let message = "pods are injected for a node agent, and this installs none: unless another \
                           installation has one on every node, their istio-validation fails: set \
                           components.cni.enabled to true";
            let (operator, path) = (self.operator.clone(), "spec.values.pilot.cni.enabled");
            self.issues.push(Issue::warning(operator, path, Code::SCHEMA_WARNING, message));
        }
    }

    /// Names that objects are made of.
    fn misnamed(&self) -> Vec<Issue> {
        let mut errors = Vec::new();
        let mut error = |path: &str, message: String| {
            let code = Code::SCHEMA_VALIDATION_ERROR;
            errors.push(Issue::error(self.operator.clone(), path, code, message));
        };
        let (revision, namespace) = (self.revision(), self.namespace());
        let service = self.revised("istiod");
        if !revision.is_empty() && !is_label(revision) {
            error("spec.revision", no_label(revision));
        } else if !is_label(&service) {
            let message = format!(
                "{revision:?} is too long: the Service would be {service}, and a name has at most 63 \
                 letters"
            );
            error("spec.revision", message);
        }
        if !is_label(namespace) {
            error("spec.namespace", no_label(namespace));
        }
        if !is_label(self.cni_namespace()) {
            error("spec.components.cni.namespace", no_label(self.cni_namespace()));
        }
        let owner = self.owner();
        // An installation without a name of its own has the revision's, of which it is told already.
        let is_told = !revision.is_empty() && owner.ends_with(revision) && !is_label(&service);
        let most = 62_usize.saturating_sub(self.operator.name.len());
        if !is_told && most > 0 && revision.len() > most {
            let message = format!(
                "{owner:?} marks what is installed as a label, which has at most 63 letters: use at most {most} \
                 letters, or give the file a shorter metadata.name"
            );
            error("spec.revision", message);
        } else if !is_label_value(&owner) && !is_told {
            let message = format!(
                "{owner:?} marks what is installed as a label, which has at most 63 letters, digits, \
                 '-', '_' and '.'"
            );
            error("metadata.name", message);
        }
        errors
    }

    /// Istio's own registries hold no image of Lateen.
    fn replace_istios_hub(&mut self) {
        for prefix in ["", "values.global.", "values.pilot."] {
            let (hub, tag) = (format!("{prefix}hub"), format!("{prefix}tag"));
            let Some(named) = self.text(&hub).filter(|hub| is_istio_hub(hub)).map(str::to_owned)
            else {
                continue;
            };
            path::take(&mut self.spec, &hub);
            let old = path::take(&mut self.spec, &tag);
            let old = old.map_or_else(String::new, |tag| format!(":{}", scalar(&tag)));
            let own = Image::default().reference();
            let message = format!(
                "{named}{old} is Istio's image and not Lateen's, {own} is taken; name the registry that holds yours \
                 as hub, and its tag"
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
                told.push((format!("{path}.k8s.hpaSpec.scaleTargetRef.name"), message));
            }
        };
        let pilot = "spec.components.pilot".to_owned();
        look(pilot, &self.revised("istiod"), &self.object("components.pilot.k8s"));
        for list in ["ingressGateways", "egressGateways"] {
            for (at, gateway) in self.list(&format!("components.{list}")).iter().enumerate() {
                let name = gateway["name"].as_str().unwrap_or_default();
                look(self.input.gateway(list, at, gateway), name, &gateway["k8s"]);
            }
        }
        self.warn(told);
    }

    /// Gateways with ports of their own have no others.
    fn tell_of_other_ports(&mut self) {
        let mut told = Vec::new();
        for list in ["ingressGateways", "egressGateways"] {
            let all = self.list(&format!("components.{list}")).iter();
            let mut enabled = all.filter(|gateway| gateway["enabled"] == json!(true)).peekable();
            let own = |one: &Value| !is_empty(&one["k8s"]["service"]["ports"]);
            if enabled.peek().is_none() || !enabled.all(own) {
                continue;
            }
            let name = list.to_lowercase();
            for field in ["ports", "ingressPorts"] {
                let path = format!("values.gateways.istio-{}.{field}", name.trim_end_matches('s'));
                if self.get(&path) != path::get(&self.input.profile, &path) {
                    let message = format!(
                        "it has no effect beside k8s.service.ports of components.{list}: add them there"
                    );
                    told.push((format!("spec.{path}"), message));
                }
            }
        }
        self.warn(told);
    }

    fn warn(&mut self, told: Vec<(String, String)>) {
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

    /// The namespace of the node agent.
    pub(crate) fn cni_namespace(&self) -> &str {
        self.text("components.cni.namespace").unwrap_or_else(|| self.namespace())
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
        if let Some(whole) = self.whole_image(part) {
            return whole.to_owned();
        }
        self.image_of(self.get(&format!("{part}.hub")), self.get(&format!("{part}.tag")))
    }

    /// The image that a part names in full, if it is none of Istio's.
    pub(crate) fn whole_image(&self, part: &str) -> Option<&str> {
        let whole = self.text(&format!("{part}.image")).filter(|image| image.contains('/'));
        whole.filter(|image| !is_istio_image(image))
    }

    /// The image with a hub and a tag, or those of the whole installation.
    pub(crate) fn image_of(&self, hub: Option<&Value>, tag: Option<&Value>) -> String {
        let own = |value: Option<&Value>| value.map(scalar).filter(|text| !text.is_empty());
        let hub = own(hub).unwrap_or_else(|| self.hub());
        let tag = own(tag).unwrap_or_else(|| self.tag());
        Image { hub, tag, ..Image::default() }.reference()
    }

    /// Where the installation's images are.
    pub(crate) fn hub(&self) -> String {
        self.of_all("hub").unwrap_or_else(|| Image::default().hub)
    }

    /// The version of the installation's images.
    pub(crate) fn tag(&self) -> String {
        self.of_all("tag").unwrap_or_else(|| Image::default().tag)
    }

    fn of_all(&self, field: &str) -> Option<String> {
        let own = self.get(&format!("values.global.{field}"));
        own.or_else(|| self.get(field)).map(scalar).filter(|text| !text.is_empty())
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
