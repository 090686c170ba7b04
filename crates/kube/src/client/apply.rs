//! What an installation does to an API: connect as kubectl does, apply server-side, list by label,
//! delete. In: objects and names. Out: the objects as the API has them.

use std::path::Path;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Config};
use lateen_api::kinds::{Kind, by_kind, split_api_version};
use lateen_api::resource::object_ref;
use serde_json::Value;

use super::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, Client, Error, api_resource, describe, to_value};

/// Whether the API only says what would come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    Yes,
    No,
}

impl Client {
    /// Reads the kubeconfig that kubectl would: the named file, those of `KUBECONFIG`, or
    /// `~/.kube/config`; in the named context or the current one. Nothing is asked of the API yet.
    pub async fn connect_like_kubectl(
        file: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, Error> {
        let path = file.map_or_else(|| "of KUBECONFIG or ~/.kube/config".into(), Path::to_path_buf);
        let failed = |source| Error::Kubeconfig { path: path.clone(), source: Box::new(source) };
        let file = match file {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(file.map_err(failed)?, &options).await;
        let mut config = config.map_err(failed)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Self::new(config, ANSWER_TIMEOUT)
    }

    /// The API's address, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The context that kubectl would take where none is named.
    pub fn current_context() -> Option<String> {
        Kubeconfig::read().ok()?.current_context
    }

    /// As [`Client::apply`]; returns the object as it is afterwards, or as it would be.
    pub async fn apply_object(
        &self,
        object: &Value,
        manager: &str,
        dry_run: DryRun,
    ) -> Result<Value, Error> {
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
        let mut params = PatchParams::apply(manager).force().validation_strict();
        params.dry_run = dry_run == DryRun::Yes;
        let action = describe("apply", kind, Some(namespace), &named.name);
        let patch = Patch::Apply(object);
        let applied = self.bounded(&action, api.patch(&named.name, &params, &patch)).await?;
        to_value(&action, kind, applied)
    }

    /// Whether the API would take a new object, its webhooks having been asked; nothing is stored.
    pub async fn try_create(&self, kind: &Kind, object: Value) -> Result<(), Error> {
        self.create_or_try(kind, object, DryRun::Yes).await.map(drop)
    }

    /// The objects of a kind in all namespaces that a label selector chooses; `limit` of them.
    pub async fn list(
        &self,
        kind: &Kind,
        selector: &str,
        limit: Option<u32>,
    ) -> Result<Vec<Value>, Error> {
        let mut params = ListParams::default().labels(selector);
        params.limit = limit;
        let action = describe("list", kind, None, "");
        let api = self.api(kind, None);
        let list = self.bounded(&action, api.list(&params)).await?;
        list.items.into_iter().map(|object| to_value(&action, kind, object)).collect()
    }

    /// The objects of a kind in one namespace that a label selector chooses.
    pub async fn list_in(
        &self,
        kind: &Kind,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let params = ListParams::default().labels(selector);
        let action = describe("list", kind, Some(namespace), "");
        let api = self.api(kind, Some(namespace));
        let list = self.bounded(&action, api.list(&params)).await?;
        list.items.into_iter().map(|object| to_value(&action, kind, object)).collect()
    }

    /// Deletes an object; false if there is none.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<bool, Error> {
        let action = describe("delete", kind, namespace, name);
        let api = self.api(kind, namespace);
        match self.bounded(&action, api.delete(name, &DeleteParams::background())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
