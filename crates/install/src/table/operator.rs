//! The fields of IstioOperator itself: `spec`, its components and their Kubernetes settings.

use super::Entry as F;
use super::Form;
use super::Meaning::{Gone, Moved, Refused, Used};
use super::Type::{
    Annotations, Any, Autoscaler, Bool, Int, Labels, List, Object, OneOf, Schema, Schemas, Tag,
    Text, Word,
};

const CHARTS: &str = "the manifests are built in, there are no charts to point at";
const EVERY_NODE: &str = "the agent has one pod on each node";
const NO_SERVICE: &str = "the agent serves its own node, over a Unix socket";
const GALLEY: &str = "the control plane validates and serves configuration itself";

pub const FIELDS: &[F] = &[
    F("profile", Text, Used),
    F("hub", Word(Form::Hub), Used),
    F("tag", Tag, Used),
    F("revision", Text, Used),
    F("namespace", Word(Form::Label), Used),
    F("defaultNamespace", Word(Form::Label), Moved("namespace")),
    F("meshConfig", Schema("io.istio.mesh.MeshConfig"), Used),
    F("unvalidatedValues", Object, Used),
    F("installPackagePath", Text, Gone(CHARTS)),
    F("resourceSuffix", Text, Gone("name the installation with spec.revision")),
    F("platform", Text, Gone("the manifests are the same on every platform")),
    F("defaultRevision", Bool, Gone("use: lateen tag set default --revision REVISION")),
    F("compatibilityVersion", Text, Gone("there is one set of defaults, that of this version")),
    F("components.base.enabled", Bool, Used),
    F("components.base.namespace", Text, Gone("the custom resource definitions have no namespace")),
    F("components.pilot.enabled", Bool, Used),
    F(
        "components.pilot.namespace",
        Text,
        Gone("the control plane is installed into spec.namespace"),
    ),
    F("components.pilot.hub", Word(Form::Hub), Moved("values.pilot.hub")),
    F("components.pilot.tag", Tag, Moved("values.pilot.tag")),
    F("components.pilot.label", Labels, Used),
    F("components.pilot.spec", Any, Gone("it is an output of Istio's operator, leave it out")),
    F("components.proxy.enabled", Bool, Gone("proxies are injected where namespaces ask for them")),
    F("components.proxy.k8s", Object, Gone("sidecars are set by values.global.proxy")),
    F(
        "components.sidecarInjector.enabled",
        Bool,
        Gone("istiod injects, see values.sidecarInjectorWebhook"),
    ),
    F("components.sidecarInjector.k8s", Object, Gone("istiod injects, set components.pilot.k8s")),
    F(
        "components.policy",
        Object,
        Gone("there is no Mixer any more, AuthorizationPolicy and EnvoyFilter take its place"),
    ),
    F(
        "components.telemetry",
        Object,
        Gone("there is no Mixer any more, proxies count by themselves, see the Telemetry kind"),
    ),
    F("components.citadel", Object, Gone("istiod is the certificate authority")),
    F("components.nodeAgent", Object, Gone("every proxy fetches its certificates from istiod")),
    F("components.certManager", Object, Gone("istiod is the certificate authority")),
    F("components.galley", Object, Gone(GALLEY)),
    F(
        "components.coreDNS",
        Object,
        Gone(
            "every proxy answers DNS, set ISTIO_META_DNS_CAPTURE in meshConfig.defaultConfig.proxyMetadata",
        ),
    ),
    F("components.cni.enabled", Bool, Used),
    F("components.cni.namespace", Word(Form::Label), Used),
    F("components.cni.hub", Word(Form::Hub), Moved("values.cni.hub")),
    F("components.cni.tag", Tag, Moved("values.cni.tag")),
    F("components.cni.label", Labels, Moved("values.cni.daemonSetLabels")),
    F("components.cni.spec", Any, Gone("it is an output of Istio's operator, leave it out")),
    F("components.cni.k8s.affinity", Schema("io.k8s.api.core.v1.Affinity"), Used),
    F("components.cni.k8s.env", Schemas("io.k8s.api.core.v1.EnvVar"), Used),
    F("components.cni.k8s.imagePullPolicy", OneOf(&["", "Always", "IfNotPresent", "Never"]), Used),
    F("components.cni.k8s.nodeSelector", Labels, Used),
    F("components.cni.k8s.podAnnotations", Annotations, Used),
    F("components.cni.k8s.priorityClassName", Word(Form::Name), Used),
    F("components.cni.k8s.readinessProbe", Schema("io.k8s.api.core.v1.Probe"), Used),
    F("components.cni.k8s.resources", Schema("io.k8s.api.core.v1.ResourceRequirements"), Used),
    F("components.cni.k8s.securityContext", Schema("io.k8s.api.core.v1.PodSecurityContext"), Used),
    F("components.cni.k8s.tolerations", Schemas("io.k8s.api.core.v1.Toleration"), Used),
    F("components.cni.k8s.volumeMounts", Schemas("io.k8s.api.core.v1.VolumeMount"), Used),
    F("components.cni.k8s.volumes", Schemas("io.k8s.api.core.v1.Volume"), Used),
    F("components.cni.k8s.replicaCount", Int, Gone(EVERY_NODE)),
    F("components.cni.k8s.hpaSpec", Object, Gone(EVERY_NODE)),
    F("components.cni.k8s.podDisruptionBudget", Object, Gone(EVERY_NODE)),
    F("components.cni.k8s.strategy", Object, Gone("set values.cni.updateStrategy")),
    F("components.cni.k8s.service", Object, Gone(NO_SERVICE)),
    F("components.cni.k8s.serviceAnnotations", Annotations, Gone(NO_SERVICE)),
    F(
        "components.istiodRemote.enabled",
        Bool,
        Refused("a control plane outside of the cluster is not offered, leave the component out"),
    ),
    F(
        "components.istiodRemote.k8s",
        Object,
        Gone("a control plane outside of the cluster is not offered"),
    ),
    F(
        "components.ztunnel.enabled",
        Bool,
        Refused(
            "ambient mode is not offered: label namespaces with istio-injection=enabled for sidecars",
        ),
    ),
    F("components.ztunnel.namespace", Text, Gone("ambient mode is not offered")),
    F("components.ztunnel.k8s", Object, Gone("ambient mode is not offered")),
    F(
        "addonComponents.kiali",
        Object,
        Gone(
            "the mesh has a graph of its own here, a Kiali that you install reads the same metrics",
        ),
    ),
    F(
        "addonComponents.grafana",
        Object,
        Gone("install Grafana by its own means, metrics have Istio's names"),
    ),
    F(
        "addonComponents.prometheus",
        Object,
        Gone("install Prometheus by its own means, pods carry its scrape annotations"),
    ),
    F(
        "addonComponents.tracing",
        Object,
        Gone(
            "install a tracing backend by its own means and name it in meshConfig.extensionProviders",
        ),
    ),
    F(
        "addonComponents.istiocoredns",
        Object,
        Gone(
            "every proxy answers DNS, set ISTIO_META_DNS_CAPTURE in meshConfig.defaultConfig.proxyMetadata",
        ),
    ),
    F("addonComponents.*", Object, Gone("add-ons are not part of the installation")),
];

/// The components with Kubernetes settings.
pub const K8S_OF: &[&str] = &[
    "components.pilot.k8s",
    "components.ingressGateways.[].k8s",
    "components.egressGateways.[].k8s",
];

pub const K8S: &[F] = &[
    F("affinity", Schema("io.k8s.api.core.v1.Affinity"), Used),
    F("env", Schemas("io.k8s.api.core.v1.EnvVar"), Used),
    F("hpaSpec", Autoscaler, Used),
    F("imagePullPolicy", OneOf(&["", "Always", "IfNotPresent", "Never"]), Used),
    F("nodeSelector", Labels, Used),
    F("podAnnotations", Annotations, Used),
    F("podDisruptionBudget", Schema("io.k8s.api.policy.v1.PodDisruptionBudgetSpec"), Used),
    F("priorityClassName", Word(Form::Name), Used),
    F("readinessProbe", Schema("io.k8s.api.core.v1.Probe"), Used),
    F("replicaCount", Int, Used),
    F("resources", Schema("io.k8s.api.core.v1.ResourceRequirements"), Used),
    F("securityContext", Schema("io.k8s.api.core.v1.PodSecurityContext"), Used),
    F("service", Schema("io.k8s.api.core.v1.ServiceSpec"), Used),
    F("serviceAnnotations", Annotations, Used),
    F("strategy", Schema("io.k8s.api.apps.v1.DeploymentStrategy"), Used),
    F("tolerations", Schemas("io.k8s.api.core.v1.Toleration"), Used),
    F("volumeMounts", Schemas("io.k8s.api.core.v1.VolumeMount"), Used),
    F("volumes", Schemas("io.k8s.api.core.v1.Volume"), Used),
];

pub const GATEWAYS_OF: &[&str] = &["components.ingressGateways.[]", "components.egressGateways.[]"];

pub const GATEWAY: &[F] = &[
    F("name", Text, Used),
    F("namespace", Text, Used),
    F("enabled", Bool, Used),
    F("label", Labels, Used),
    F("hub", Word(Form::Hub), Used),
    F("tag", Tag, Used),
    F("spec", List, Gone("it is an output of Istio's operator, leave it out")),
];

/// The components whose objects can be patched.
pub const OVERLAYS_OF: &[&str] = &[
    "components.base.k8s",
    "components.pilot.k8s",
    "components.cni.k8s",
    "components.ingressGateways.[].k8s",
    "components.egressGateways.[].k8s",
];

pub const OVERLAYS: &[F] = &[
    F("overlays.[].apiVersion", Text, Used),
    F("overlays.[].kind", Text, Used),
    F("overlays.[].name", Text, Used),
    F("overlays.[].patches.[].path", Text, Used),
    F("overlays.[].patches.[].value", Any, Used),
];
