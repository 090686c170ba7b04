//! The pages of the agent. In: requests. Out: health, the application's probes, metrics, the admin pages, and
//! the end of the agent for a program of the pod that asks for it.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use lateen_runtime::admin::Handler;
use lateen_telemetry::exposition::{Exposition, Format, Kind};

use super::paced::Paced;
use super::server::{Asked, Reply, Routes, text, typed, with_type};
use super::{State, merge, probe};

/// Port 15021.
pub fn health(state: &Arc<State>) -> Routes {
    routes(state, async |state, asked| match asked.parts.uri.path() {
        "/healthz/ready" => ready(&state),
        path => missing(path),
    })
}

/// Port 15020.
pub fn all(state: &Arc<State>) -> Routes {
    routes(state, async |state, asked| match asked.parts.uri.path() {
        "/healthz/ready" => ready(&state),
        "/stats/prometheus" => merge::answer(&state, &asked.parts.headers).await,
        "/quitquitquit" => quit(&state, &asked),
        path if path.starts_with("/app-health/") || path.starts_with("/app-lifecycle/") => {
            probe::answer(&state, &asked.parts).await
        }
        path => missing(path),
    })
}

/// Port 15090.
pub fn metrics(state: &Arc<State>) -> Routes {
    routes(state, async |state, asked| match asked.parts.uri.path() {
        "/stats/prometheus" => page(&state, Exposition::new(wanted(&asked.parts.headers))),
        path => missing(path),
    })
}

/// Port 15000, on the loopback interface.
pub fn admin(state: &Arc<State>) -> Routes {
    let pages = state.view.admin();
    routes(state, move |state, asked| {
        let reply = administer(&state, &asked, &pages);
        async move { reply }
    })
}

fn administer(state: &State, asked: &Asked, pages: &Handler) -> Reply {
    let uri = &asked.parts.uri;
    if uri.path() == "/quitquitquit" {
        return quit(state, asked);
    }
    if asked.parts.method != Method::GET && asked.parts.method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "the admin pages are read with GET\n");
    }
    match pages(uri.path(), uri.query().unwrap_or_default()) {
        Some(page) => {
            let status = StatusCode::from_u16(page.status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            typed(status, page.content_type, page.body)
        }
        None => missing(uri.path()),
    }
}

/// The format in which a scrape wants its page.
pub fn wanted(headers: &HeaderMap) -> Format {
    Format::negotiate(headers.get(ACCEPT).and_then(|text| text.to_str().ok()))
}

/// A whole page of the proxy's metrics after what it has already.
pub fn page(state: &State, page: Exposition) -> Reply {
    let content_type = page.format().content_type();
    let mut pieces = state.view.metrics(page, false);
    let first = pieces.next().unwrap_or_default();
    if pieces.is_written() {
        return typed(StatusCode::OK, content_type, first);
    }
    with_type(content_type, Paced::new(iter::once(first).chain(pieces)).boxed_unsync())
}

/// The agent's own metrics.
pub fn own(state: &State, out: &mut Exposition) {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let scrapes = count(&state.scrapes);
    let help = "The total number of scrapes.";
    out.single("istio_agent_scrapes_total", Kind::Counter, help, scrapes);
    let name = "istio_agent_scrape_failures_total";
    out.family(name, Kind::Counter, "The total number of failed scrapes.");
    out.sample(name, &[("type", "application")], count(&state.failed_scrapes));
    let startup = count(&state.startup);
    if startup > 0 {
        let seconds = startup as f64 / 1000.0;
        let help = "The time from the process starting to being marked ready.";
        out.single("istio_agent_startup_duration_seconds", Kind::Gauge, help, seconds);
    }
    let usage = lateen_runtime::process::usage();
    let help = "Total user and system CPU time spent in seconds.";
    out.single("istio_agent_process_cpu_seconds_total", Kind::Counter, help, usage.cpu_seconds);
    let help = "Resident memory size in bytes.";
    let resident = usage.resident_bytes;
    out.single("istio_agent_process_resident_memory_bytes", Kind::Gauge, help, resident);
    let help = "Number of open file descriptors.";
    out.single("istio_agent_process_open_fds", Kind::Gauge, help, usage.open_descriptors);
}

fn routes<F>(
    state: &Arc<State>,
    answer: impl Fn(Arc<State>, Asked) -> F + Send + Sync + 'static,
) -> Routes
where
    F: Future<Output = Reply> + Send + 'static,
{
    let state = state.clone();
    Arc::new(move |asked| Box::pin(answer(state.clone(), asked)))
}

fn ready(state: &State) -> Reply {
    match state.unready() {
        None => text(StatusCode::OK, ""),
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Only for the programs of the pod, as in Istio.
fn quit(state: &State, asked: &Asked) -> Reply {
    if !asked.near {
        return text(StatusCode::FORBIDDEN, "only requests from localhost are allowed\n");
    }
    if asked.parts.method != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed: use POST\n");
    }
    tracing::info!("asked to end by a program of the pod");
    state.quit.notify_one();
    text(StatusCode::OK, "OK")
}

fn missing(path: &str) -> Reply {
    text(StatusCode::NOT_FOUND, format!("no page {path}\n"))
}
