//! Reading: in, a target and query; out, one object, a list, or a watch, in the form asked for.

pub mod events;
mod filter;
mod list;
mod watch;

use http::{HeaderMap, Response, StatusCode};
use lateen_api::kinds::Kind;
use serde_json::{Value, json};

pub use filter::Filter;
pub use list::list;
pub use watch::watch;

use crate::error::ApiError;
use crate::object;
use crate::reply::{self, Body, Form};
use crate::route::{Query, Target};
use crate::server::Server;
use crate::table;

/// The forms in which objects are served.
pub fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    reply::negotiate(headers, |form| !matches!(form, Form::Discovery(_)))
}

/// GET of one object, or of a subresource that shows the whole object.
pub fn get(
    server: &Server,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let form = form(headers)?;
    let stored = server.store.get(&target.key());
    let stored = stored.ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
    if form == Form::Object && target.kind.stored_as.is_none() {
        let mut body = Vec::with_capacity(stored.bytes.len() + 16);
        object::write_as(&mut body, &stored.bytes, &target.api_version());
        return Ok(reply::bytes(StatusCode::OK, "application/json", body));
    }
    let value = served(target.kind, target.version, object::parse_stored(&stored.bytes));
    Ok(reply::ok(&shaped(server, target, query, form, value)))
}

/// A stored object as the version of the path shows it.
pub fn served(kind: &Kind, version: &str, mut stored: Value) -> Value {
    stored["apiVersion"] = json!(kind.api_version(version));
    if kind.stored_as.is_some() { events::from_core(stored) } else { stored }
}

/// One object in the form asked for.
pub fn shaped(server: &Server, target: &Target, query: &Query, form: Form, value: Value) -> Value {
    match form {
        Form::Table => {
            let rv = object::meta(&value, "resourceVersion").to_owned();
            let options = table_options(query, json!({"resourceVersion": rv}));
            table::render(target.kind, std::slice::from_ref(&value), server.now(), &options)
        }
        Form::Metadata => partial(&value),
        Form::Object | Form::Discovery(_) => value,
    }
}

/// `meta.k8s.io` PartialObjectMetadata.
pub fn partial(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"],
    })
}

/// How rows carry their objects, from `includeObject`.
pub fn table_options(query: &Query, metadata: Value) -> table::Options {
    let include = table::IncludeObject::parse(query.get("includeObject").unwrap_or_default());
    table::Options { include: include.unwrap_or_default(), metadata, ..table::Options::default() }
}
