//! One connection to the API and what can be done to one object. In: kinds, names and JSON. Out: JSON,
//! or an [`Error`] that tells a refusal from a silence.

mod apply;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Api, Config};
use lateen_api::kinds::Kind;
use lateen_api::resource::object_ref;
use serde_json::Value;

use crate::credentials::Others;
pub use apply::DryRun;

/// Who writes, as server-side apply and managed fields name it.
const FIELD_MANAGER: &str = "lateen";
/// How long the API may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to answer about one object. Watches have bounds of their own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the kubeconfig {path}: {source}")]
    Kubeconfig { path: PathBuf, source: Box<kube::config::KubeconfigError> },
    #[error("no kubeconfig was given and this is not a pod: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("cannot make a client for the Kubernetes API: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error("cannot get the kubeconfig's token: {0}")]
    Credentials(String),
    #[error("the Kubernetes API refused to {action}: {code} {reason}: {message}")]
    Refused { action: String, code: u16, reason: String, message: String },
    #[error("the Kubernetes API at {address} did not {action}: {source}")]
    Unanswered { address: String, action: String, source: Box<kube::Error> },
    #[error("the Kubernetes API at {address} did not {action} within {} s", .limit.as_secs_f32())]
    Silent { address: String, action: String, limit: Duration },
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
            Error::Unanswered { .. } | Error::Silent { .. } => true,
            Error::Refused { code, .. } => matches!(code, 409 | 429 | 500..=599),
            _ => false,
        }
    }

    fn from_kube(address: &str, action: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Error::Refused {
                action,
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => {
                let address = address.to_owned();
                Error::Unanswered { address, action, source: Box::new(other) }
            }
        }
    }
}

/// A connection to one API; cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: kube::Client,
    /// By which it was made, credentials and all.
    pub(crate) config: Arc<Config>,
    /// The API's, for people.
    address: String,
    pub(crate) answer_timeout: Duration,
    /// The same API for others.
    pub(crate) others: Arc<Others>,
}

/// Where the address and the credentials of the API are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Kubeconfig(PathBuf),
    /// The ServiceAccount of the pod that this process runs in.
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
        Self::new(config, ANSWER_TIMEOUT)
    }

    pub(crate) fn new(config: Config, answer_timeout: Duration) -> Result<Self, Error> {
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let inner = kube::Client::try_from(config.clone())
            .map_err(|error| Error::Client(Box::new(error)))?;
        let (config, others) = (Arc::new(config), Arc::default());
        Ok(Self { inner, config, address, answer_timeout, others })
    }

    /// Applies an object of any kind in the table, server-side; fields that `manager` applied before
    /// and that are missing now are removed, and conflicts are decided for `manager`.
    pub async fn apply(&self, object: &Value, manager: &str) -> Result<(), Error> {
        self.apply_object(object, manager, DryRun::No).await.map(|_| ())
    }

    /// `None` if there is no such object.
    pub async fn get(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let action = describe("get", kind, namespace, name);
        let api = self.api(kind, namespace);
        let object = self.bounded(&action, api.get_opt(name)).await?;
        object.map(|object| to_value(&action, kind, object)).transpose()
    }

    /// Creates an object; its name and namespace are in its metadata.
    pub async fn create(&self, kind: &Kind, object: Value) -> Result<Value, Error> {
        self.create_or_try(kind, object, DryRun::No).await
    }

    /// As [`Client::create`]; in a dry run the API's webhooks are asked and nothing is stored.
    pub async fn create_or_try(
        &self,
        kind: &Kind,
        object: Value,
        dry_run: DryRun,
    ) -> Result<Value, Error> {
        let named = object_ref(kind, &object);
        let namespace = Some(named.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let verb = if dry_run == DryRun::Yes { "try to create" } else { "create" };
        let action = describe(verb, kind, namespace, &named.name);
        let not_an_object = |source| Error::NotAnObject { action: action.clone(), source };
        let object: DynamicObject = serde_json::from_value(object).map_err(not_an_object)?;
        let api = self.api(kind, namespace);
        let params = PostParams { dry_run: dry_run == DryRun::Yes, field_manager: None };
        let created = self.bounded(&action, api.create(&params, &object)).await?;
        to_value(&action, kind, created)
    }

    /// Puts an object in the place of the one that it names. With a resource version in its metadata only
    /// in the place of that version; another one is a conflict.
    pub async fn replace(&self, kind: &Kind, object: Value) -> Result<Value, Error> {
        self.update(kind, object, DryRun::No).await
    }

    /// As [`Client::replace`]; returns the object as it is afterwards, or as it would be.
    pub async fn update(
        &self,
        kind: &Kind,
        object: Value,
        dry_run: DryRun,
    ) -> Result<Value, Error> {
        let named = object_ref(kind, &object);
        let namespace = Some(named.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let action = describe("replace", kind, namespace, &named.name);
        let not_an_object = |source| Error::NotAnObject { action: action.clone(), source };
        let object: DynamicObject = serde_json::from_value(object).map_err(not_an_object)?;
        let api = self.api(kind, namespace);
        let params = PostParams { dry_run: dry_run == DryRun::Yes, field_manager: None };
        let replaced = self.bounded(&action, api.replace(&named.name, &params, &object)).await?;
        to_value(&action, kind, replaced)
    }

    /// Creates an object unless it exists; true if it was created.
    pub async fn ensure(&self, kind: &Kind, object: Value) -> Result<bool, Error> {
        match self.create(kind, object).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object of this UID and no other; false if it is gone already, another of its name
    /// being there or not.
    pub async fn delete_exact(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        uid: &str,
    ) -> Result<bool, Error> {
        let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        let action = describe("delete", kind, namespace, name);
        let api = self.api(kind, namespace);
        match self.bounded(&action, api.delete(name, &params)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
            Err(error) => Err(error),
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
        let action = describe("patch", kind, namespace, name);
        let patch = Patch::Merge(patch);
        self.bounded(&action, api.patch(name, &params, &patch)).await.map(|_| ())
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
        let action = describe("patch the status of", kind, namespace, name);
        let patch = Patch::Merge(patch);
        self.bounded(&action, api.patch_status(name, &params, &patch)).await.map(|_| ())
    }

    /// The answer to one request, if it comes in time.
    pub(crate) async fn bounded<T>(
        &self,
        action: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let limit = self.answer_timeout;
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => {
                answer.map_err(|error| Error::from_kube(&self.address, action.to_owned(), error))
            }
            Err(_) => {
                let address = self.address.clone();
                Err(Error::Silent { address, action: action.to_owned(), limit })
            }
        }
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
