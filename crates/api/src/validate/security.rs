//! AuthorizationPolicies, PeerAuthentications and RequestAuthentications.
//!
//! In: a spec. Out: findings in the report.

use serde_json::Value;

use super::shared::{check_selected, check_targets};
use super::{Report, names};
use crate::istio::security::{
    AuthorizationAction, AuthorizationPolicySpec, Condition, JwtRule, Operation,
    PeerAuthenticationSpec, RequestAuthenticationSpec, Rule, Source,
};

pub(super) fn check_authorization(report: &mut Report, spec: &AuthorizationPolicySpec) {
    let custom = spec.action == Some(AuthorizationAction::Custom);
    let provider = spec.provider.as_ref().is_some_and(|provider| !provider.name.is_empty());
    if custom && !provider {
        report.error("spec.provider.name", "action CUSTOM needs the name of a provider, add it");
    } else if !custom && spec.provider.is_some() {
        report.error("spec.provider", "only action CUSTOM has a provider, remove it");
    }
    check_targets(report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
    let denies = spec.action == Some(AuthorizationAction::Deny);
    if spec.rules.is_empty() && (denies || custom) {
        let message = "without a rule the policy is never used, add one, {} for every request";
        report.error("spec.rules", message);
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        check_rule(report, &path, rule);
        if custom {
            check_custom(report, &path, rule);
        }
        if denies && is_http_alone(rule) {
            let message = "it denies all connections to ports that are not HTTP, as these have nothing of what it asks for, add the ports to to.operation";
            report.warning(path, message);
        }
    }
}

/// Whether nothing in a rule can be asked of a TCP connection.
fn is_http_alone(rule: &Rule) -> bool {
    let sources = || rule.from.iter().filter_map(|from| from.source.as_ref());
    let operations = || rule.to.iter().filter_map(|to| to.operation.as_ref());
    let requests = |source: &Source| {
        let of_requests = Source {
            request_principals: source.request_principals.clone(),
            not_request_principals: source.not_request_principals.clone(),
            ..Source::default()
        };
        *source == of_requests
    };
    match operations().next() {
        Some(_) => operations().all(|to| to.ports.is_empty() && to.not_ports.is_empty()),
        None => sources().next().is_some() && sources().all(requests),
    }
}

/// What an external authorizer is not asked by.
fn check_custom(report: &mut Report, path: &str, rule: &Rule) {
    let message = "action CUSTOM does not ask for it, remove it";
    for (index, from) in rule.from.iter().enumerate() {
        let Some(source) = &from.source else { continue };
        for (name, list) in [
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ] {
            if !list.is_empty() {
                report.error(format!("{path}.from[{index}].source.{name}"), message);
            }
        }
    }
    for (index, condition) in rule.when.iter().enumerate() {
        let key = condition.key.as_str();
        if matches!(key, "source.namespace" | "source.principal")
            || key.starts_with("request.auth.")
        {
            report.error(format!("{path}.when[{index}].key"), message);
        }
    }
}

fn check_rule(report: &mut Report, path: &str, rule: &Rule) {
    for (index, from) in rule.from.iter().enumerate() {
        let at = format!("{path}.from[{index}].source");
        match &from.source {
            None => report.error(at, "the source is missing, add it or remove the entry"),
            Some(source) if *source == Source::default() => {
                report.error(at, "the source says nothing, set a field of it");
            }
            Some(source) => check_source(report, &at, source),
        }
    }
    for (index, to) in rule.to.iter().enumerate() {
        let at = format!("{path}.to[{index}].operation");
        match &to.operation {
            None => report.error(at, "the operation is missing, add it or remove the entry"),
            Some(operation) if *operation == Operation::default() => {
                report.error(at, "the operation says nothing, set a field of it");
            }
            Some(operation) => check_operation(report, &at, operation),
        }
    }
    for (index, condition) in rule.when.iter().enumerate() {
        check_condition(report, &format!("{path}.when[{index}]"), condition);
    }
}

fn check_operation(report: &mut Report, path: &str, operation: &Operation) {
    for (name, list) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
        check_each(report, &format!("{path}.{name}"), list, is_port);
    }
    for (name, list) in [
        ("hosts", &operation.hosts),
        ("notHosts", &operation.not_hosts),
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
    ] {
        check_each(report, &format!("{path}.{name}"), list, says_something);
    }
    for (name, list) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
        check_each(report, &format!("{path}.{name}"), list, is_path);
    }
}

fn check_condition(report: &mut Report, path: &str, condition: &Condition) {
    let key = condition.key.as_str();
    if key.is_empty() {
        report.error(format!("{path}.key"), "the condition has no key, for example source.ip");
    }
    if condition.values.is_empty() && condition.not_values.is_empty() {
        report.error(path, "the condition has nothing to compare with, set values or notValues");
    }
    let inner = key.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
    let is_of = |name: &str| key.starts_with(name);
    let check = match key {
        "source.ip" | "remote.ip" | "destination.ip" => names::subnet,
        "destination.port" => is_port,
        "source.trustDomain" => is_trust_domain,
        "source.namespace"
        | "source.principal"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "connection.sni"
        | "" => says_something,
        "source.serviceAccount" => {
            check_accounts(report, &format!("{path}.values"), &condition.values);
            return check_accounts(report, &format!("{path}.notValues"), &condition.not_values);
        }
        _ if is_of("request.headers")
            || is_of("request.experimental.inline.headers")
            || is_of("request.auth.claims")
            || is_of("experimental.envoy.filters.") =>
        {
            if inner.is_none_or(str::is_empty) {
                let message =
                    format!("{key:?} lacks a name in brackets, as in request.headers[x-token]");
                report.error(format!("{path}.key"), message);
            }
            says_something
        }
        _ => {
            let message = format!(
                "{key:?} is no attribute, write one such as source.ip, source.namespace, destination.port, connection.sni or request.headers[x-token]"
            );
            return report.error(format!("{path}.key"), message);
        }
    };
    check_each(report, &format!("{path}.values"), &condition.values, check);
    check_each(report, &format!("{path}.notValues"), &condition.not_values, check);
}

fn check_each(
    report: &mut Report,
    path: &str,
    list: &[String],
    check: fn(&str) -> Result<(), String>,
) {
    for (index, text) in list.iter().enumerate() {
        report.expect(format!("{path}[{index}]"), check(text));
    }
}

fn says_something(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err(format!("{text:?} matches nothing, write a name or *"))
    } else {
        Ok(())
    }
}

fn check_accounts(report: &mut Report, path: &str, list: &[String]) {
    // Istio's limit.
    if list.len() > 16 {
        report.error(path, "it takes 16 service accounts at most, split the rule");
    }
    check_each(report, path, list, is_account);
}

/// A name, maybe behind its namespace.
fn is_account(text: &str) -> Result<(), String> {
    let (namespace, name) = text.split_once('/').unwrap_or((".", text));
    let is_odd = namespace.is_empty() || name.is_empty() || name.contains('/');
    if is_odd || text.contains('*') || text.len() > 320 {
        return Err(format!(
            "{text:?} is no service account, write NAME or NAMESPACE/NAME, without *, in 320 characters"
        ));
    }
    Ok(())
}

/// 0 is nobody's, and yet taken.
fn is_port(text: &str) -> Result<(), String> {
    match text.parse::<u16>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is not a port, use 1 to 65535")),
    }
}

/// A path, whose template has `{*}` for a part and, as the last of these, `{**}` for several, and no other wildcard then.
fn is_path(text: &str) -> Result<(), String> {
    let is_template = text.contains("{*}") || text.contains("{**}");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()+,;:@=".contains(c);
    let mut is_open = true;
    let fits = text.trim_matches('/').split('/').all(|part| match part {
        "{*}" => is_open,
        "{**}" => std::mem::take(&mut is_open),
        _ if is_template => !part.is_empty() && part.chars().all(is_plain),
        _ => !part.contains(['{', '}']),
    });
    if !fits {
        return Err(format!(
            "{text:?} is no path, write {{*}} for one part and {{**}}, after all others, for several"
        ));
    }
    says_something(text)
}

/// A trust domain, or the beginning or end of one.
fn is_trust_domain(text: &str) -> Result<(), String> {
    if text.contains('/') {
        return Err(format!("{text:?} is no trust domain, write what is before the first /"));
    }
    says_something(text)
}

fn check_source(report: &mut Report, path: &str, source: &Source) {
    for (name, list) in
        [("trustDomains", &source.trust_domains), ("notTrustDomains", &source.not_trust_domains)]
    {
        check_each(report, &format!("{path}.{name}"), list, is_trust_domain);
    }
    for (name, list) in [
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
    ] {
        for (index, block) in list.iter().enumerate() {
            report.expect(format!("{path}.{name}[{index}]"), names::subnet(block));
        }
    }
    for (name, list) in [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
    ] {
        check_each(report, &format!("{path}.{name}"), list, says_something);
    }
    let accounts = [&source.service_accounts, &source.not_service_accounts];
    let others =
        [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
    let is_set = |lists: &[&Vec<String>]| lists.iter().any(|list| !list.is_empty());
    if is_set(&accounts) && is_set(&others) {
        let message = "service accounts exclude principals and namespaces, keep one of them";
        report.error(format!("{path}.serviceAccounts"), message);
    }
    for (name, list) in [
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
    ] {
        check_accounts(report, &format!("{path}.{name}"), list);
    }
}

pub(super) fn check_peer(report: &mut Report, spec: &PeerAuthenticationSpec) {
    let selects = spec.selector.as_ref().is_some_and(|s| !s.match_labels.is_empty());
    if !spec.port_level_mtls.is_empty() && !selects {
        let message = "settings per port need a selector, add matchLabels to it";
        report.error("spec.portLevelMtls", message);
    }
    if let Some(selector) = &spec.selector {
        check_selected(report, "spec.selector.matchLabels", &selector.match_labels);
    }
    for number in spec.port_level_mtls.keys() {
        report.expect(format!("spec.portLevelMtls.{number}"), names::port(*number));
    }
}

pub(super) fn check_request(report: &mut Report, spec: &RequestAuthenticationSpec) {
    check_targets(report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
    for (index, rule) in spec.jwt_rules.iter().enumerate() {
        check_jwt_rule(report, &format!("spec.jwtRules[{index}]"), rule);
    }
}

fn check_jwt_rule(report: &mut Report, path: &str, rule: &JwtRule) {
    if rule.issuer.is_empty() && rule.jwks_uri.is_empty() {
        let message = "the rule has no issuer, write it, or a jwksUri for tokens of any";
        report.error(format!("{path}.issuer"), message);
    }
    if !rule.jwks.is_empty() && !rule.jwks_uri.is_empty() {
        let message = "jwks and jwksUri exclude each other, keep one of them";
        report.error(format!("{path}.jwks"), message);
    }
    let web = rule.jwks_uri.starts_with("http://") || rule.jwks_uri.starts_with("https://");
    if !rule.jwks_uri.is_empty() && !web {
        report.error(format!("{path}.jwksUri"), "it is not a URL, start it with https://");
    }
    for (index, header) in rule.from_headers.iter().enumerate() {
        if header.name.is_empty() {
            report.error(format!("{path}.fromHeaders[{index}].name"), "the header has no name");
        }
    }
    if !rule.jwks.is_empty()
        && !serde_json::from_str(&rule.jwks).is_ok_and(|keys: Value| keys.is_object())
    {
        report.error(format!("{path}.jwks"), "it is no JSON Web Key Set, write {\"keys\": [...]}");
    }
    for (name, list) in [
        ("audiences", &rule.audiences),
        ("fromParams", &rule.from_params),
        ("fromCookies", &rule.from_cookies),
    ] {
        check_each(report, &format!("{path}.{name}"), list, says_something);
    }
    for (index, copy) in rule.output_claim_to_headers.iter().enumerate() {
        let path = format!("{path}.outputClaimToHeaders[{index}]");
        report.expect(format!("{path}.header"), names::header(&copy.header));
        report.expect(format!("{path}.claim"), says_something(&copy.claim));
    }
    if let Some(timeout) = &rule.timeout {
        report.expect(format!("{path}.timeout"), names::lasting(timeout));
    }
}
