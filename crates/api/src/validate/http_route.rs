//! A VirtualService's HTTP routes: what they match, where they lead, and what is done on the way.
//!
//! In: a route. Out: findings in the report.

use std::collections::BTreeMap;

use super::shared::check_labels;
use super::virtual_service::{check_destination, check_l4, check_weighted};
use super::{Report, names, re2};
use crate::istio::networking::{
    CorsPolicy, FaultAbort, FaultDelay, HttpDirectResponse, HttpMatchRequest, HttpRedirect,
    HttpRetry, HttpRewrite, HttpRoute, Percent, StringMatch,
};

const CLAIMS: &str = "@request.auth.claims";
/// Istio's limit of a direct response's body.
const MOST_BODY: usize = 1 << 20;

/// In which VirtualService a route is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// For gateways alone, where tokens have been read.
    pub at_gateways: bool,
    /// Without hosts.
    pub is_delegate: bool,
}

pub(super) fn check(report: &mut Report, path: &str, route: &HttpRoute, place: Place) {
    check_action(report, path, route, place);
    for (index, matcher) in route.r#match.iter().enumerate() {
        check_match(report, &format!("{path}.match[{index}]"), matcher, place);
    }
    if let Some(response) = &route.direct_response {
        check_response(report, &format!("{path}.directResponse"), response);
    }
    if let Some(redirect) = &route.redirect {
        check_redirect(report, &format!("{path}.redirect"), redirect);
    }
    if let Some(rewrite) = &route.rewrite {
        check_rewrite(report, &format!("{path}.rewrite"), rewrite);
    }
    if let Some(retries) = &route.retries {
        check_retries(report, &format!("{path}.retries"), retries);
    }
    if let Some(timeout) = &route.timeout {
        report.expect(format!("{path}.timeout"), names::lasting(timeout));
    }
    if let Some(fault) = &route.fault {
        let path = format!("{path}.fault");
        if fault.delay.is_none() && fault.abort.is_none() {
            report.error(&path, "the fault does nothing, set delay or abort");
        }
        fault.delay.iter().for_each(|delay| check_delay(report, &format!("{path}.delay"), delay));
        fault.abort.iter().for_each(|abort| check_abort(report, &format!("{path}.abort"), abort));
    }
    if let Some(policy) = &route.cors_policy {
        check_cors(report, &format!("{path}.corsPolicy"), policy);
    }
    check_mirrors(report, path, route);
    super::headers::check_route(report, path, route);
    let weighted = route.route.iter().map(|r| (r.destination.as_ref(), r.weight));
    check_weighted(report, path, weighted.collect());
}

fn check_action(report: &mut Report, path: &str, route: &HttpRoute, place: Place) {
    let actions = [
        ("redirect", route.redirect.is_some()),
        ("directResponse", route.direct_response.is_some()),
        ("delegate", route.delegate.is_some()),
        ("route", !route.route.is_empty()),
    ];
    let set: Vec<&str> = actions.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    match set.as_slice() {
        [] => {
            report.error(path, "it leads nowhere, add route, redirect, directResponse or delegate");
        }
        [action @ ("redirect" | "directResponse")] => {
            for (name, set) in
                [("fault", route.fault.is_some()), ("rewrite", route.rewrite.is_some())]
            {
                if set {
                    let message = format!("a route with {action} has none, remove it");
                    report.error(format!("{path}.{name}"), message);
                }
            }
        }
        [_] => {}
        [first, ..] => {
            let message = format!("{} exclude each other, keep {first} alone", set.join(" and "));
            report.error(path, message);
        }
    }
    if place.is_delegate && route.delegate.is_some() {
        let message = "a delegate (without hosts) does not delegate, add route";
        report.error(format!("{path}.delegate"), message);
    }
}

fn check_match(report: &mut Report, path: &str, matcher: &HttpMatchRequest, place: Place) {
    for (name, text) in [
        ("uri", &matcher.uri),
        ("scheme", &matcher.scheme),
        ("method", &matcher.method),
        ("authority", &matcher.authority),
    ] {
        let path = format!("{path}.{name}");
        text.iter().for_each(|text| check_text(report, &path, text, name == "uri"));
    }
    check_headers(report, &format!("{path}.headers"), &matcher.headers, place);
    // A regex of * asks whether a header is there.
    let mut without = matcher.without_headers.clone();
    without.values_mut().filter(|text| text.regex.as_deref() == Some("*")).for_each(|text| {
        *text = StringMatch { regex: Some(".*".into()), ..StringMatch::default() };
    });
    check_headers(report, &format!("{path}.withoutHeaders"), &without, place);
    for (name, text) in &matcher.query_params {
        check_text(report, &format!("{path}.queryParams.{name}"), text, false);
    }
    check_labels(report, &format!("{path}.sourceLabels"), &matcher.source_labels);
    if !matcher.source_namespace.is_empty() {
        let result = names::label(&matcher.source_namespace);
        report.expect(format!("{path}.sourceNamespace"), result);
    }
    check_l4(report, path, &[], matcher.port, &matcher.gateways);
}

fn check_headers(
    report: &mut Report,
    path: &str,
    headers: &BTreeMap<String, StringMatch>,
    place: Place,
) {
    for (name, text) in headers {
        let path = format!("{path}.{name}");
        let claim = is_claim(name);
        if claim && !place.at_gateways {
            report.error(&path, "only gateways route by a token's claims, name one in gateways");
        } else if !claim {
            report.expect(&path, names::header(name));
        }
        if *text != StringMatch::default() {
            check_text(report, &path, text, false);
        }
    }
}

/// `@request.auth.claims.NAME`, or NAME in brackets; a claim within another one follows in the same way.
fn is_claim(name: &str) -> bool {
    let (prefix, rest) = name.split_at_checked(CLAIMS.len()).unwrap_or_default();
    let is_named = match rest.as_bytes() {
        [b'.', _, ..] => true,
        [b'[', within @ .., b']'] => !within.is_empty(),
        _ => false,
    };
    is_named && prefix.eq_ignore_ascii_case(CLAIMS)
}

/// An empty prefix of a path is every path's.
fn check_text(report: &mut Report, path: &str, text: &StringMatch, empty: bool) {
    if *text == StringMatch::default() {
        report.warning(path, "an empty matcher matches everything, remove it or set exact");
    } else if text.prefix.as_deref() == Some("") && !empty {
        report.error(path, "the text to match is empty, write it");
    } else if let Some(regex) = &text.regex {
        report.expect(format!("{path}.regex"), re2::pattern(regex));
    }
}

fn check_response(report: &mut Report, path: &str, response: &HttpDirectResponse) {
    if !(200..=599).contains(&response.status.unwrap_or_default()) {
        report.error(format!("{path}.status"), "use a status from 200 to 599");
    }
    let length = response.body.as_ref().map_or(0, |body| match (&body.string, &body.bytes) {
        (Some(text), _) => text.len(),
        // They are written in base64.
        (None, Some(bytes)) => bytes.trim_end_matches('=').len() * 3 / 4,
        (None, None) => 0,
    });
    if length > MOST_BODY {
        report.error(format!("{path}.body"), "it is longer than 1 MiB, shorten it");
    }
}

fn check_redirect(report: &mut Report, path: &str, redirect: &HttpRedirect) {
    let says = [&redirect.uri, &redirect.authority, &redirect.scheme, &redirect.prefix_rewrite];
    let port = redirect.port.is_some() || redirect.derive_port.is_some();
    if says.iter().all(|text| text.is_empty()) && !port {
        report.error(path, "it leads to the same place, set uri, authority, scheme or port");
    }
    if !matches!(redirect.redirect_code.unwrap_or_default(), 0 | 300..=399) {
        report.error(format!("{path}.redirectCode"), "use a status from 300 to 399");
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        report.error(format!("{path}.scheme"), "write http or https");
    }
    if let Some(port) = redirect.port.filter(|port| *port != 0) {
        report.expect(format!("{path}.port"), names::port(port));
    }
}

fn check_rewrite(report: &mut Report, path: &str, rewrite: &HttpRewrite) {
    match &rewrite.uri_regex_rewrite {
        Some(_) if !rewrite.uri.is_empty() => {
            report.error(path, "uri and uriRegexRewrite exclude each other, keep one of them");
        }
        Some(regex) if regex.r#match.is_empty() || regex.rewrite.is_empty() => {
            report.error(format!("{path}.uriRegexRewrite"), "it needs both match and rewrite");
        }
        Some(regex) => {
            let result = re2::pattern(&regex.r#match);
            report.expect(format!("{path}.uriRegexRewrite.match"), result);
        }
        None if rewrite.uri.is_empty() && rewrite.authority.is_empty() => {
            report.error(path, "it rewrites nothing, set uri, uriRegexRewrite or authority");
        }
        None => {}
    }
}

fn check_retries(report: &mut Report, path: &str, retries: &HttpRetry) {
    let attempts = retries.attempts.unwrap_or_default();
    let says = retries.per_try_timeout.is_some()
        || retries.retry_remote_localities.is_some()
        || !retries.retry_on.is_empty();
    if attempts < 0 {
        report.error(format!("{path}.attempts"), "it is negative, use 0 or more");
    } else if attempts == 0 && says {
        let message = "0 attempts are no retries, use 1 or more or remove the rest";
        report.error(format!("{path}.attempts"), message);
    }
    for (name, duration) in
        [("perTryTimeout", &retries.per_try_timeout), ("backoff", &retries.backoff)]
    {
        let result = duration.as_ref().map_or(Ok(()), names::lasting);
        report.expect(format!("{path}.{name}"), result);
    }
    for word in retries.retry_on.split(',').filter(|_| !retries.retry_on.is_empty()) {
        if !is_retry(word) {
            let message = format!(
                "{word:?} is no reason to retry: use Envoy's, such as 5xx or connect-failure, or a status, between commas without spaces"
            );
            report.error(format!("{path}.retryOn"), message);
        }
    }
}

/// Envoy's reasons for HTTP and gRPC, and the statuses that have a name.
fn is_retry(word: &str) -> bool {
    const REASONS: &[&str] = &[
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ];
    REASONS.contains(&word)
        || matches!(
            word.parse().unwrap_or(0),
            100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429
                | 431 | 451 | 500..=508 | 510 | 511
        )
}

fn check_delay(report: &mut Report, path: &str, delay: &FaultDelay) {
    check_share(report, path, delay.percentage.as_ref());
    if let Some(fixed) = &delay.fixed_delay {
        report.expect(format!("{path}.fixedDelay"), names::lasting(fixed));
    }
    if delay.exponential_delay.is_some() {
        report.error(format!("{path}.exponentialDelay"), "no proxy has it, use fixedDelay");
    }
}

fn check_abort(report: &mut Report, path: &str, abort: &FaultAbort) {
    const GRPC: &str = "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED";
    check_share(report, path, abort.percentage.as_ref());
    match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
        (Some(status), ..) if !(200..=599).contains(&status) => {
            report.error(format!("{path}.httpStatus"), "use a status from 200 to 599");
        }
        (Some(_), ..) => {}
        (_, Some(status), _) if !GRPC.split(' ').any(|known| known == status) => {
            let message = format!("{status:?} is no status of gRPC, write one such as NOT_FOUND");
            report.error(format!("{path}.grpcStatus"), message);
        }
        (_, Some(_), _) => {}
        (.., Some(_)) => {
            report.error(format!("{path}.http2Error"), "no proxy has it, use httpStatus");
        }
        (None, None, None) => {
            report.warning(path, "it aborts nothing, set httpStatus or grpcStatus")
        }
    }
}

/// Of faults; Envoy counts in millionths.
fn check_share(report: &mut Report, path: &str, share: Option<&Percent>) {
    let value = share.and_then(|share| share.value).unwrap_or_default();
    if value != 0.0 && !(0.0001..=100.0).contains(&value) {
        let message = "it is a percentage, use 0, or 0.0001 to 100";
        report.error(format!("{path}.percentage.value"), message);
    }
}

fn check_cors(report: &mut Report, path: &str, policy: &CorsPolicy) {
    const METHODS: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let path = format!("{path}.allowOrigins[{index}]");
        let texts = [&origin.exact, &origin.prefix, &origin.regex];
        match texts.iter().any(|text| text.as_deref().is_some_and(|text| !text.is_empty())) {
            true => check_text(report, &path, origin, false),
            false => report.error(path, "the origin is empty, write exact, prefix or regex"),
        }
    }
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            let message = format!("{method:?} is no method, use one of {}", METHODS.join(", "));
            report.error(format!("{path}.allowMethods[{index}]"), message);
        }
    }
    for (field, list) in
        [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        for (index, name) in list.iter().enumerate().filter(|(_, name)| *name != "*") {
            report.expect(format!("{path}.{field}[{index}]"), names::header(name));
        }
    }
    if let Some(age) = &policy.max_age {
        let path = format!("{path}.maxAge");
        match age.as_nanos() % 1_000_000_000 {
            0 => report.expect(path, names::lasting(age)),
            _ => report.error(path, "it counts whole seconds, write for example 60s"),
        }
    }
}

fn check_mirrors(report: &mut Report, path: &str, route: &HttpRoute) {
    if let Some(mirror) = &route.mirror {
        check_destination(report, &format!("{path}.mirror"), Some(mirror));
        if !route.mirrors.is_empty() {
            report.error(format!("{path}.mirrors"), "mirror and mirrors exclude each other");
        }
    }
    let percent = |value: Option<f64>| (0.0..=100.0).contains(&value.unwrap_or_default());
    let message = "it is a percentage, use 0 to 100";
    if route.mirror_percent.is_some_and(|value| value > 100) {
        report.error(format!("{path}.mirrorPercent"), message);
    }
    if !percent(route.mirror_percentage.as_ref().and_then(|share| share.value)) {
        report.error(format!("{path}.mirrorPercentage.value"), message);
    }
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let path = format!("{path}.mirrors[{index}]");
        let destination = mirror.destination.as_ref();
        check_destination(report, &format!("{path}.destination"), destination);
        if !percent(mirror.percentage.as_ref().and_then(|share| share.value)) {
            report.error(format!("{path}.percentage.value"), message);
        }
    }
}
