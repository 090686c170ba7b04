//! One connection to the API and what can be done to one object. In: kinds, names and JSON. Out: JSON,
//! or an [`Error`] that tells a refusal from a silence.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Api, Config};
use lateen_api::kinds::{Kind, by_kind, split_api_version};
use lateen_api::resource::object_ref;
use serde_json::Value;

/// Who writes, as server-side apply and managed fields name it.
const FIELD_MANAGER: &str = "lateen";
/// How long the API may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the kubeconfig {path}: {source}")]
    Kubeconfig { path: PathBuf, source: Box<kube::config::KubeconfigError> },
    #[error("no kubeconfig was given and this is not a pod: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("cannot make a client for the Kubernetes API: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error("the Kubernetes API refused to {action}: {code} {reason}: {message}")]
    Refused { action: String, code: u16, reason: String, message: String },
    #[error("the Kubernetes API did not {action}: {source}")]
    Unanswered { action: String, source: Box<kube::Error> },
    #[error("{kind} in {api_version} is no kind that is known: check apiVersion and kind")]
    UnknownKind { api_version: String, kind: String },
    #[error("cannot {action}: the object is not one: {source}")]
    NotAnObject { action: String, source: serde_json::Error },
}

impl Error {
    /// The HTTP status of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The object exists already, or has changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Asking again may help: nothing answered, or the answer was about load.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unanswered { .. } => true,
            Error::Refused { code, .. } => matches!(code, 409 | 429 | 500..=599),
            _ => false,
        }
    }

    fn from_kube(action: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Error::Refused {
                action,
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => Error::Unanswered { action, source: Box::new(other) },
        }
    }
}

/// A connection to one API; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
}

/// Where the address and the credentials of the API are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Kubeconfig(PathBuf),
    /// The service account of the pod that this process runs in.
    InCluster,
}

impl Client {
    /// Reads the source. Nothing is asked of the API yet: it need not answer.
    pub async fn connect(source: Source) -> Result<Self, Error> {
        let mut config = match source {
            Source::InCluster => Config::incluster()?,
            Source::Kubeconfig(path) => {
                let failed =
                    |source| Error::Kubeconfig { path: path.clone(), source: Box::new(source) };
                let file = Kubeconfig::read_from(&path).map_err(failed)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(file, &options).await.map_err(failed)?
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let inner =
            kube::Client::try_from(config).map_err(|error| Error::Client(Box::new(error)))?;
        Ok(Self { inner })
    }

    /// Applies an object of any kind in the table, server-side; fields that `manager` applied before
    /// and that are missing now are removed, and conflicts are decided for `manager`.
    pub async fn apply(&self, object: &Value, manager: &str) -> Result<(), Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind_name) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = split_api_version(&api_version);
        let unknown =
            || Error::UnknownKind { api_version: api_version.clone(), kind: kind_name.clone() };
        let kind = by_kind(group, &kind_name).filter(|kind| kind.serves(version));
        let kind = kind.ok_or_else(unknown)?;
        let named = object_ref(kind, object);
        let namespace = match named.namespace.as_str() {
            "" if kind.namespaced => self.inner.default_namespace(),
            namespace => namespace,
        };
        let mut resource = api_resource(kind);
        resource.version = version.to_owned();
        resource.api_version.clone_from(&api_version);
        let api: Api<DynamicObject> = match kind.namespaced {
            true => Api::namespaced_with(self.inner.clone(), namespace, &resource),
            false => Api::all_with(self.inner.clone(), &resource),
        };
        let params = PatchParams::apply(manager).force();
        let applied = api.patch(&named.name, &params, &Patch::Apply(object)).await;
        let action = || describe("apply", kind, Some(namespace), &named.name);
        applied.map(|_| ()).map_err(|error| Error::from_kube(action(), error))
    }

    /// `None` if there is no such object.
    pub async fn get(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let action = describe("get", kind, namespace, name);
        match self.api(kind, namespace).get_opt(name).await {
            Ok(object) => object.map(|object| to_value(&action, kind, object)).transpose(),
            Err(error) => Err(Error::from_kube(action, error)),
        }
    }

    /// All objects of the namespace, or of all namespaces.
    pub async fn list(&self, kind: &Kind, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
        let action = describe("list", kind, namespace, "");
        let list = self.api(kind, namespace).list(&ListParams::default()).await;
        let list = list.map_err(|error| Error::from_kube(action.clone(), error))?;
        list.items.into_iter().map(|object| to_value(&action, kind, object)).collect()
    }

    /// Creates an object; its name and namespace are in its metadata.
    pub async fn create(&self, kind: &Kind, object: Value) -> Result<Value, Error> {
        let named = object_ref(kind, &object);
        let namespace = Some(named.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let action = describe("create", kind, namespace, &named.name);
        let not_an_object = |source| Error::NotAnObject { action: action.clone(), source };
        let object: DynamicObject = serde_json::from_value(object).map_err(not_an_object)?;
        let api = self.api(kind, namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(created) => to_value(&action, kind, created),
            Err(error) => Err(Error::from_kube(action, error)),
        }
    }

    /// Creates an object unless it exists; true if it was created.
    pub async fn ensure(&self, kind: &Kind, object: Value) -> Result<bool, Error> {
        match self.create(kind, object).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// True if there was such an object.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<bool, Error> {
        let api = self.api(kind, namespace);
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(Error::from_kube(describe("delete", kind, namespace, name), error)),
        }
    }

    /// A JSON merge patch of the object.
    pub async fn patch(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<(), Error> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let api = self.api(kind, namespace);
        let patched = api.patch(name, &params, &Patch::Merge(patch)).await;
        let failed = |error| Error::from_kube(describe("patch", kind, namespace, name), error);
        patched.map(|_| ()).map_err(failed)
    }

    /// A JSON merge patch of the object's `status` subresource; `patch` holds the key `status`.
    pub async fn patch_status(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<(), Error> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let api = self.api(kind, namespace);
        let patched = api.patch_status(name, &params, &Patch::Merge(patch)).await;
        let action = || describe("patch the status of", kind, namespace, name);
        patched.map(|_| ()).map_err(|error| Error::from_kube(action(), error))
    }

    /// The API of one kind, in one namespace or in all.
    pub(crate) fn api(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = api_resource(kind);
        match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => Api::namespaced_with(self.inner.clone(), namespace, &resource),
            None => Api::all_with(self.inner.clone(), &resource),
        }
    }
}

fn api_resource(kind: &Kind) -> ApiResource {
    let version = kind.storage_version();
    ApiResource {
        group: kind.group.to_owned(),
        version: version.to_owned(),
        api_version: kind.api_version(version),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// The object as JSON, with the type that items of a list lack.
pub(crate) fn object_value(kind: &Kind, object: DynamicObject) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(object)?;
    if let Some(fields) = value.as_object_mut() {
        let api_version = kind.api_version(kind.storage_version());
        fields.entry("apiVersion").or_insert(Value::String(api_version));
        fields.entry("kind").or_insert(Value::String(kind.kind.to_owned()));
    }
    Ok(value)
}

fn to_value(action: &str, kind: &Kind, object: DynamicObject) -> Result<Value, Error> {
    let not_an_object = |source| Error::NotAnObject { action: action.to_owned(), source };
    object_value(kind, object).map_err(not_an_object)
}

fn describe(verb: &str, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    match (namespace.filter(|_| kind.namespaced), name) {
        (None, "") => format!("{verb} {}", kind.plural),
        (Some(namespace), "") => format!("{verb} {} of {namespace}", kind.plural),
        (None, name) => format!("{verb} {} {name}", kind.kind),
        (Some(namespace), name) => format!("{verb} {} {namespace}/{name}", kind.kind),
    }
}
