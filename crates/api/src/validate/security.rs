//! AuthorizationPolicies, PeerAuthentications and RequestAuthentications.
//!
//! In: a spec. Out: findings in the report.

use super::{Report, names};
use crate::istio::security::{
    AuthorizationAction, AuthorizationPolicySpec, JwtRule, PeerAuthenticationSpec,
    RequestAuthenticationSpec, Rule, Source,
};

pub(super) fn check_authorization(report: &mut Report, spec: &AuthorizationPolicySpec) {
    let custom = spec.action == Some(AuthorizationAction::Custom);
    let provider = spec.provider.as_ref().is_some_and(|provider| !provider.name.is_empty());
    if custom && !provider {
        report.error("spec.provider.name", "action CUSTOM needs the name of a provider, add it");
    } else if !custom && spec.provider.is_some() {
        report.error("spec.provider", "only action CUSTOM has a provider, remove it");
    }
    if spec.selector.is_some() && !spec.target_refs.is_empty() {
        let message = "selector and targetRefs exclude each other, keep one of them";
        report.error("spec.selector", message);
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        check_rule(report, &format!("spec.rules[{index}]"), rule);
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
            Some(operation) => {
                let ports = [("ports", &operation.ports), ("notPorts", &operation.not_ports)];
                for (name, list) in ports {
                    for (position, port) in list.iter().enumerate() {
                        let number = port.parse().unwrap_or_default();
                        let result = names::port(number)
                            .map_err(|_| format!("{port:?} is not a port, use 1 to 65535"));
                        report.expect(format!("{at}.{name}[{position}]"), result);
                    }
                }
            }
        }
    }
    for (index, condition) in rule.when.iter().enumerate() {
        let at = format!("{path}.when[{index}]");
        if condition.key.is_empty() {
            report.error(format!("{at}.key"), "the condition has no key, for example source.ip");
        }
        if condition.values.is_empty() && condition.not_values.is_empty() {
            report.error(at, "the condition has nothing to compare with, set values or notValues");
        }
    }
}

fn check_source(report: &mut Report, path: &str, source: &Source) {
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
    for (name, list) in [("principals", &source.principals), ("namespaces", &source.namespaces)] {
        for (index, text) in list.iter().enumerate().filter(|(_, text)| text.is_empty()) {
            let message = format!("{text:?} matches nothing, write a name or *");
            report.error(format!("{path}.{name}[{index}]"), message);
        }
    }
}

pub(super) fn check_peer(report: &mut Report, spec: &PeerAuthenticationSpec) {
    let selects = spec.selector.as_ref().is_some_and(|s| !s.match_labels.is_empty());
    if !spec.port_level_mtls.is_empty() && !selects {
        let message = "settings per port need a selector, add matchLabels to it";
        report.error("spec.portLevelMtls", message);
    }
    for number in spec.port_level_mtls.keys() {
        report.expect(format!("spec.portLevelMtls.{number}"), names::port(*number));
    }
}

pub(super) fn check_request(report: &mut Report, spec: &RequestAuthenticationSpec) {
    for (index, rule) in spec.jwt_rules.iter().enumerate() {
        check_jwt_rule(report, &format!("spec.jwtRules[{index}]"), rule);
    }
}

fn check_jwt_rule(report: &mut Report, path: &str, rule: &JwtRule) {
    if rule.issuer.is_empty() {
        report.error(format!("{path}.issuer"), "the rule has no issuer, write it");
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
}
