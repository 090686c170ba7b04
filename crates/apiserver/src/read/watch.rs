//! Watches: in, a filter and a resource version; out, an endless body of one JSON line per event,
//! read from the store's log at the client's own pace.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Filter, form, served, shaped};
use crate::error::ApiError;
use crate::object;
use crate::reply::{Body, Form};
use crate::route::{Query, Target};
use crate::server::Server;
use crate::store::{Event, Key, Since, Stored};

/// Bookmarks keep a quiet watch's resource version young enough to resume from.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The last one comes this long before the watch ends, as in Kubernetes.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// A watch without `timeoutSeconds` ends after this.
const LONGEST: Duration = Duration::from_secs(3600);
/// Lines are sent in pieces of about this size.
const PIECE: usize = 64 << 10;

struct Watch {
    server: Arc<Server>,
    target: Target,
    query: Query,
    filter: Filter,
    form: Form,
    initial: std::vec::IntoIter<(Key, Stored)>,
    /// Set until the end of the initial events is marked.
    mark_end: bool,
    bookmarks: bool,
    rv: u64,
    changes: tokio::sync::watch::Receiver<u64>,
    stopping: tokio::sync::watch::Receiver<bool>,
    deadline: Instant,
    next_bookmark: Instant,
    done: bool,
}

/// Answers a watch.
pub fn watch(
    server: &Arc<Server>,
    target: Target,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let watch = Watch::new(server, target, query, headers)?;
    let lines = futures::stream::unfold(watch, |mut watch| async move {
        let piece = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), watch))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media);
    Ok(response)
}

impl Watch {
    fn new(
        server: &Arc<Server>,
        target: Target,
        query: Query,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let filter = Filter::new(&target, &query)?;
        let form = form(headers)?;
        let send_initial = query.flag("sendInitialEvents");
        let from = match query.get("resourceVersion") {
            None | Some("0") => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| {
                ApiError::bad_request(format!("invalid resource version: {text:?}"))
            })?),
        };
        let changes = server.store.changes();
        let (initial, rv) = match from {
            Some(rv) if !send_initial => (Vec::new(), rv),
            _ => {
                let all =
                    server.store.list(filter.resource(), filter.namespace(), None, usize::MAX);
                (all.items, all.rv)
            }
        };
        if matches!(server.store.since(rv), Since::Expired) {
            return Err(ApiError::expired());
        }
        let seconds = query.get("timeoutSeconds").and_then(|text| text.parse().ok());
        let length = seconds.map_or(LONGEST, Duration::from_secs).clamp(Duration::ZERO, LONGEST);
        let now = Instant::now();
        Ok(Self {
            server: Arc::clone(server),
            bookmarks: query.flag("allowWatchBookmarks"),
            mark_end: send_initial && query.flag("allowWatchBookmarks"),
            target,
            query,
            filter,
            form,
            initial: initial.into_iter(),
            rv,
            changes,
            stopping: server.stopping(),
            deadline: now + length,
            next_bookmark: next_bookmark(now, now + length),
            done: false,
        })
    }

    /// The next lines; nothing at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut piece = Vec::new();
            self.initial_lines(&mut piece);
            if piece.is_empty() {
                self.event_lines(&mut piece);
            }
            if !piece.is_empty() {
                return Some(Bytes::from(piece));
            }
            if self.done || *self.stopping.borrow() || Instant::now() >= self.deadline {
                return None;
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { return None },
                _ = self.stopping.changed() => {}
                () = tokio::time::sleep_until(self.deadline) => {}
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    let mut piece = Vec::new();
                    self.bookmark(&mut piece, false);
                    return Some(Bytes::from(piece));
                }
            }
        }
    }

    fn initial_lines(&mut self, piece: &mut Vec<u8>) {
        while piece.len() < PIECE {
            let Some((key, stored)) = self.initial.next() else { break };
            if self.filter.covers(&key) && self.filter.matches(&stored.bytes) {
                self.line(piece, "ADDED", &stored.bytes, None);
            }
        }
        if self.mark_end && self.initial.len() == 0 {
            self.mark_end = false;
            self.bookmark(piece, true);
        }
    }

    /// Appends what happened since; if nothing of it matters, only moves on.
    fn event_lines(&mut self, piece: &mut Vec<u8>) {
        while piece.len() < PIECE && !self.done {
            self.changes.borrow_and_update();
            match self.server.store.since(self.rv) {
                Since::Expired => {
                    self.done = true;
                    let error = json!({"type": "ERROR", "object": ApiError::expired().status()});
                    push(piece, &error);
                }
                Since::Events(events, _) if events.is_empty() => return,
                Since::Events(events, reached) => {
                    for event in &events {
                        self.event(piece, event);
                    }
                    self.rv = reached;
                }
            }
        }
    }

    fn event(&self, piece: &mut Vec<u8>, event: &Event) {
        if !self.filter.covers(&event.key) {
            return;
        }
        let before = event.before.as_deref().filter(|bytes| self.filter.matches(bytes));
        let after = event.after.as_deref().filter(|bytes| self.filter.matches(bytes));
        match (before, after) {
            (None, Some(now)) => self.line(piece, "ADDED", now, None),
            (Some(_), Some(now)) => self.line(piece, "MODIFIED", now, None),
            (Some(last), None) => self.line(piece, "DELETED", last, Some(event.rv)),
            (None, None) => {}
        }
    }

    /// One line; `rv` replaces the resource version of an object that left.
    fn line(&self, piece: &mut Vec<u8>, name: &str, stored: &[u8], rv: Option<u64>) {
        let plain = self.form == Form::Object && self.target.kind.stored_as.is_none();
        if plain && rv.is_none() {
            piece.extend_from_slice(format!("{{\"type\":\"{name}\",\"object\":").as_bytes());
            object::write_as(piece, stored, &self.target.api_version());
            piece.extend_from_slice(b"}\n");
            return;
        }
        let mut value = object::parse_stored(stored);
        if let Some(rv) = rv {
            object::set_resource_version(&mut value, rv);
        }
        let value = served(self.target.kind, self.target.version, value);
        let shown = shaped(&self.server, &self.target, &self.query, self.form, value);
        push(piece, &json!({"type": name, "object": shown}));
    }

    fn bookmark(&mut self, piece: &mut Vec<u8>, end_of_initial: bool) {
        self.next_bookmark = next_bookmark(Instant::now(), self.deadline);
        let mut metadata =
            json!({"resourceVersion": self.rv.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (api_version, kind) = match self.form {
            Form::Table => ("meta.k8s.io/v1".to_owned(), "Table"),
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
            Form::Object | Form::Discovery(_) => (self.target.api_version(), self.target.kind.kind),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        push(piece, &json!({"type": "BOOKMARK", "object": object}));
    }
}

fn next_bookmark(now: Instant, deadline: Instant) -> Instant {
    let regular = now + BOOKMARK_EVERY;
    match deadline.checked_sub(LAST_BOOKMARK) {
        Some(last) if now < last => regular.min(last),
        _ => regular,
    }
}

fn push(piece: &mut Vec<u8>, line: &Value) {
    piece.extend_from_slice(line.to_string().as_bytes());
    piece.push(b'\n');
}
