//! One request: in, its head and body; out, its answer. Authentication, authorization and dispatch
//! to the modules that do the work.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use jiff::Timestamp;
use serde_json::json;

use crate::auth::{Authenticator, User};
use crate::error::ApiError;
use crate::owned::Owned;
use crate::rbac::{self, Action};
use crate::reply::{self, Body, Form};
use crate::route::{self, Query, Target};
use crate::serve::Visit;
use crate::store::Store;
use crate::write::{Addresses, Writer, body};
use crate::{Foresee, containers, discovery, openapi, read, reviews};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything that answering takes.
pub struct Server {
    pub(crate) store: Store,
    pub(crate) auth: Authenticator,
    pub(crate) addresses: Addresses,
    pub(crate) ca_pem: String,
    pub(crate) public_url: String,
    /// Where the API listens.
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) owned: Owned,
    pub(crate) foresee: Arc<OnceLock<Foresee>>,
    pub(crate) stop: tokio::sync::watch::Sender<bool>,
}

impl Server {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Turns true when the server shall end.
    pub(crate) fn stopping(&self) -> tokio::sync::watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Answers one request.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let head = request.method() == Method::HEAD;
        let mut response = match self.route(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(code = error.code, message = error.message, "request refused");
                reply::error(&error)
            }
        };
        if head {
            *response.body_mut() = reply::full(Bytes::new());
        }
        response
    }

    async fn route<B>(self: &Arc<Self>, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_end_matches('/');
        if parts.headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
            let message = "this API knows no impersonation: leave out --as and --as-group";
            return Err(ApiError::new(403, "Forbidden", message));
        }
        let query = Query::parse(parts.uri.query());
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        let header = parts.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let now = self.now().as_second();
        let user = self.auth.user(header, &self.store, now).ok_or_else(ApiError::unauthorized)?;
        let visit = parts.extensions.get::<Arc<Visit>>();
        if !user.is_anonymous() && visit.is_some_and(|visit| !visit.admit()) {
            return Err(ApiError::too_many_connections());
        }
        if let Some(response) = open_path(&method, path) {
            return response;
        }
        if user.is_anonymous() {
            return Err(ApiError::unauthorized());
        }
        if let Some(target) = route::target(path) {
            let named = target.pinned_by(&query);
            self.authorize(&user, &named, target.verb(&method, &query))?;
            return self.resource(&user, target, &query, &method, &parts.headers, body).await;
        }
        if let Some(review) = reviews::find(path) {
            let action = Action {
                verb: "create",
                group: review.group(),
                resource: review.plural().to_owned(),
                ..Action::default()
            };
            self.permit(&user, &action)?;
            if method != Method::POST {
                return Err(ApiError::method_not_allowed());
            }
            let received = body::receive(&parts.headers, body).await?;
            let answer = reviews::answer(self, &user, review, received.object()?)?;
            return Ok(reply::json(StatusCode::CREATED, &answer));
        }
        let action = Action { verb: "get", path, ..Action::default() };
        self.permit(&user, &action)?;
        self.documents(&method, path, &parts.headers)
    }

    /// Refuses what `user` may not do at `target`.
    pub(crate) fn authorize(
        &self,
        user: &User,
        target: &Target,
        verb: &str,
    ) -> Result<(), ApiError> {
        // As in Kubernetes a namespace is in itself, so that a Role in it may speak of it.
        let namespace = match target.kind.kind {
            "Namespace" => &target.name,
            _ => &target.namespace,
        };
        let slash = if target.subresource.is_empty() { "" } else { "/" };
        let action = Action {
            verb,
            group: target.kind.group,
            resource: format!("{}{slash}{}", target.kind.plural, target.subresource),
            namespace,
            name: &target.name,
            path: "",
        };
        if rbac::allowed(&self.store, user, &action) {
            return Ok(());
        }
        Err(ApiError::forbidden(target.kind, &target.name, &action.denial(user)))
    }

    fn permit(&self, user: &User, action: &Action<'_>) -> Result<(), ApiError> {
        if rbac::allowed(&self.store, user, action) {
            return Ok(());
        }
        let message = format!("forbidden: {}", action.denial(user));
        Err(ApiError::new(403, "Forbidden", message))
    }

    async fn resource<B>(
        self: &Arc<Self>,
        user: &User,
        target: Target,
        query: &Query,
        method: &Method,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let verb = target.verb(method, query);
        if let Err(error) = containers::expected(self, &target, verb, query, headers) {
            // An older kubectl does not read the refusal of a watch, but it shows warnings.
            let shown = Vec::from_iter((verb == "watch").then(|| error.message.clone()));
            let mut response = reply::error(&error);
            reply::warn(&mut response, &shown);
            return Ok(response);
        }
        match verb {
            "watch" => return read::watch(self, target, query.clone(), headers),
            "list" => return read::list(self, &target, query, headers),
            _ => {}
        }
        let received = if *method == Method::GET {
            body::Received { media: String::new(), bytes: Bytes::new() }
        } else {
            body::receive(headers, body).await?
        };
        let writer = Writer { server: self, user, target: &target, query, headers };
        let one = !target.name.is_empty();
        match (target.subresource.as_str(), method, one) {
            ("", &Method::GET, true) => read::get(self, &target, query, headers),
            ("", &Method::POST, false) => writer.create(&received).await,
            ("", &Method::PUT, true) => writer.update(&received).await,
            ("", &Method::PATCH, true) => writer.patch(&received).await,
            ("", &Method::DELETE, true) => writer.delete(&received).await,
            ("", &Method::DELETE, false) => writer.delete_collection(&received).await,
            ("status", _, true) if target.kind.status => match *method {
                Method::GET => read::get(self, &target, query, headers),
                Method::PUT => writer.update(&received).await,
                Method::PATCH => writer.patch(&received).await,
                _ => Err(ApiError::method_not_allowed()),
            },
            ("scale", _, true) if discovery::scales(target.kind) => match *method {
                Method::GET => writer.get_scale(),
                Method::PUT => writer.update_scale(&received).await,
                Method::PATCH => writer.patch_scale(&received).await,
                _ => Err(ApiError::method_not_allowed()),
            },
            ("token", &Method::POST, true) if target.kind.kind == "ServiceAccount" => {
                let token = reviews::token(self, &target, &received.object()?)?;
                Ok(reply::json(StatusCode::CREATED, &token))
            }
            ("log" | "exec" | "attach" | "portforward", _, true) if target.kind.kind == "Pod" => {
                Err(ApiError::no_containers(&target.namespace))
            }
            ("", _, _) => Err(ApiError::method_not_allowed()),
            _ => Err(ApiError::no_such_path()),
        }
    }

    /// Discovery and OpenAPI.
    fn documents(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        if *method != Method::GET {
            // Beyond a group's version there are only resources, and this one is not served.
            let resource = segments.first() == Some(&"apis") && segments.len() > 3;
            let unknown = resource || segments.first() == Some(&"api") && segments.len() > 2;
            let error = if unknown { ApiError::no_such_path } else { ApiError::method_not_allowed };
            return Err(error());
        }
        let form = || {
            let offered = |form| matches!(form, Form::Discovery(_) | Form::Object);
            reply::negotiate(headers, offered)
        };
        let found = match segments.as_slice() {
            ["api"] => match form()? {
                Form::Discovery(version) => return Ok(discovery_reply(true, version)),
                _ => Some(discovery::core_versions(&self.public_url)),
            },
            ["apis"] => match form()? {
                Form::Discovery(version) => return Ok(discovery_reply(false, version)),
                _ => Some(discovery::group_list()),
            },
            ["apis", group] => discovery::one_group(group),
            ["api", version] => discovery::resource_list("", version),
            ["apis", group, version] => discovery::resource_list(group, version),
            ["openapi", "v2"] => return Ok(openapi_v2(headers)),
            ["openapi", "v3"] => return Ok(json_document(openapi::v3_index())),
            ["openapi", "v3", group @ ..] => {
                let document = openapi::v3_group(&group.join("/"));
                return document.map(json_document).ok_or_else(ApiError::no_such_path);
            }
            [""] | [] => Some(json!({"paths": ["/api", "/apis", "/openapi/v2", "/openapi/v3"]})),
            _ => None,
        };
        found.map(|value| reply::ok(&value)).ok_or_else(ApiError::no_such_path)
    }
}

/// What needs no token.
fn open_path(method: &Method, path: &str) -> Option<Result<Response<Body>, ApiError>> {
    let known = match path {
        "/version" => reply::ok(&discovery::version()),
        _ if ["/healthz", "/livez", "/readyz"].iter().any(|open| {
            path.strip_prefix(open).is_some_and(|p| p.is_empty() || p.starts_with('/'))
        }) =>
        {
            reply::bytes(StatusCode::OK, "text/plain; charset=utf-8", "ok")
        }
        _ => return None,
    };
    Some(if *method == Method::GET { Ok(known) } else { Err(ApiError::method_not_allowed()) })
}

fn discovery_reply(core: bool, version: &'static str) -> Response<Body> {
    let media = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    reply::bytes(StatusCode::OK, media, discovery::aggregated(core, version).to_string())
}

fn json_document(document: Bytes) -> Response<Body> {
    reply::bytes(StatusCode::OK, "application/json", document)
}

/// kubectl wants protobuf here; other clients take JSON.
fn openapi_v2(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("proto-openapi")) {
        return reply::bytes(StatusCode::OK, openapi::V2_PROTO_TYPE, openapi::v2_proto());
    }
    json_document(openapi::v2_json())
}

#[cfg(test)]
mod tests;
