//! GET of a collection: in, a target, selectors, limit and continue token; out, one page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::{Filter, form, partial, served, table_options};
use crate::error::ApiError;
use crate::object;
use crate::reply::{self, Body, Form};
use crate::route::{Query, Target};
use crate::server::Server;
use crate::store::{Key, Stored};
use crate::table;

struct Found {
    items: Vec<(Key, Stored)>,
    /// The list's metadata.
    meta: Value,
}

/// Answers a list.
pub fn list(
    server: &Server,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let form = form(headers)?;
    let filter = Filter::new(target, query)?;
    check_version(server, query)?;
    let found = find(server, &filter, query)?;
    if form == Form::Object && target.kind.stored_as.is_none() {
        let body = raw_list(target, &found);
        return Ok(reply::bytes(StatusCode::OK, "application/json", body));
    }
    let items = found.items.iter();
    let values: Vec<Value> = items
        .map(|(_, stored)| object::parse_stored(&stored.bytes))
        .map(|value| served(target.kind, target.version, value))
        .collect();
    let list = match form {
        Form::Table => {
            let options = table_options(query, found.meta);
            table::render(target.kind, &values, server.now(), &options)
        }
        Form::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": found.meta,
            "items": values.iter().map(partial).collect::<Vec<_>>(),
        }),
        Form::Object | Form::Discovery(_) => json!({
            "kind": format!("{}List", target.kind.kind),
            "apiVersion": target.api_version(),
            "metadata": found.meta,
            "items": values,
        }),
    };
    Ok(reply::ok(&list))
}

/// Joins stored objects to a list without parsing them.
fn raw_list(target: &Target, found: &Found) -> Vec<u8> {
    let api_version = target.api_version();
    let size: usize = found.items.iter().map(|(_, stored)| stored.bytes.len() + 32).sum();
    let mut body = Vec::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
        target.kind.kind, found.meta
    );
    body.extend_from_slice(head.as_bytes());
    for (index, (_, stored)) in found.items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        object::write_as(&mut body, &stored.bytes, &api_version);
    }
    body.extend_from_slice(b"]}");
    body
}

/// One page of what the filter lets through, gathered over as many pages of the store as it takes.
fn find(server: &Server, filter: &Filter, query: &Query) -> Result<Found, ApiError> {
    let limit = match query.get("limit").map(str::parse::<usize>) {
        None | Some(Ok(0)) => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(ApiError::bad_request("limit must be a number of objects")),
    };
    let (first_rv, mut after) = match query.get("continue") {
        Some(token) => {
            let (rv, key) = decode(filter, token)?;
            (Some(rv), Some(key))
        }
        None => (None, None),
    };
    let mut items = Vec::new();
    loop {
        let wanted = limit - items.len();
        let page = server.store.list(filter.resource(), filter.namespace(), after.as_ref(), wanted);
        let matching = page.items.into_iter();
        items.extend(
            matching.filter(|(key, stored)| filter.covers(key) && filter.matches(&stored.bytes)),
        );
        let rv = first_rv.unwrap_or(page.rv);
        if items.len() < limit && page.more.is_some() {
            after = page.more;
            continue;
        }
        let mut meta = json!({"resourceVersion": rv.to_string()});
        if let Some(key) = &page.more {
            meta["continue"] = json!(encode(rv, key));
            if !filter.selects() {
                meta["remainingItemCount"] = json!(page.remaining);
            }
        }
        return Ok(Found { items, meta });
    }
}

/// Every list is answered from the latest state; a client that insists on another is told so.
fn check_version(server: &Server, query: &Query) -> Result<(), ApiError> {
    let Some(text) = query.get("resourceVersion") else { return Ok(()) };
    let wanted: u64 = text
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid resource version: {text:?}")))?;
    let current = server.store.revision();
    if wanted > current {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        return Err(ApiError::new(504, "Timeout", message));
    }
    if query.get("resourceVersionMatch") == Some("Exact") && wanted != current {
        return Err(ApiError::expired());
    }
    Ok(())
}

fn encode(rv: u64, key: &Key) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": rv, "ns": key.namespace, "name": key.name});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode(filter: &Filter, token: &str) -> Result<(u64, Key), ApiError> {
    let parse = || -> Option<(u64, Key)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let namespace = value["ns"].as_str()?.to_owned();
        // A token moved to another namespace must not show that namespace's neighbours.
        if filter.namespace().is_some_and(|wanted| wanted != namespace) {
            return None;
        }
        let name = value["name"].as_str()?.to_owned();
        Some((value["rv"].as_u64()?, Key { resource: filter.resource(), namespace, name }))
    };
    parse().ok_or_else(|| ApiError::bad_request("continue key is not valid: it is not one of ours"))
}
