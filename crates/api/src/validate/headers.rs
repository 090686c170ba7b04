//! What an HTTP route does to headers.
//!
//! In: a route. Out: findings in the report.

use super::Report;
use crate::istio::networking::{Headers, HttpRoute};

pub(super) fn check_route(report: &mut Report, path: &str, route: &HttpRoute) {
    let mut authorities = Vec::new();
    if let Some(rewrite) = route.rewrite.as_ref().filter(|rewrite| !rewrite.authority.is_empty()) {
        authorities.push(rewrite.authority.as_str());
    }
    if let Some(headers) = &route.headers {
        check_headers(report, &format!("{path}.headers"), headers);
        if let Some(request) = &headers.request {
            let both = request.set.iter().chain(&request.add);
            authorities.extend(both.filter(|(n, _)| is_authority(n)).map(|(_, v)| v.as_str()));
        }
    }
    if authorities.len() > 1 {
        let message = format!("the authority is set twice, keep one of {}", authorities.join(", "));
        report.error(format!("{path}.headers.request"), message);
    }
    for (index, destination) in route.route.iter().enumerate() {
        if let Some(headers) = &destination.headers {
            check_headers(report, &format!("{path}.route[{index}].headers"), headers);
        }
    }
}

fn check_headers(report: &mut Report, path: &str, headers: &Headers) {
    let sides = [("request", &headers.request), ("response", &headers.response)];
    for (side, operations) in sides {
        let Some(operations) = operations else { continue };
        for (field, map) in [("set", &operations.set), ("add", &operations.add)] {
            for (name, value) in map {
                let path = format!("{path}.{side}.{field}.{name}");
                report.expect(&path, operation(name, side == "request"));
                report.expect(path, value_of(value));
            }
        }
        for (index, name) in operations.remove.iter().enumerate() {
            report.expect(format!("{path}.{side}.remove[{index}]"), operation(name, false));
        }
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// A header that may be changed; the authority only by writing another one into requests.
fn operation(name: &str, authority: bool) -> Result<(), String> {
    if name.is_empty() {
        return Err("the header has no name, write it".into());
    }
    match name.starts_with(':') || is_authority(name) {
        true if !(authority && is_authority(name)) => {
            Err(format!("{name:?} cannot be changed here, remove it"))
        }
        _ => Ok(()),
    }
}

/// A header's value, in which `%` begins and ends one of Envoy's commands, and `%%` is a percent sign.
fn value_of(text: &str) -> Result<(), String> {
    if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err("it has a control character, remove it".into());
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.strip_prefix('%') {
            Some(after) => after,
            None => command(after).ok_or("a % stands alone, write %% or a command as %NAME%")?,
        };
    }
    Ok(())
}

/// What follows a command, whose first `%` has been read.
fn command(text: &str) -> Option<&str> {
    let end = text.find(['%', '('])?;
    let after = &text[end + 1..];
    if text[end..].starts_with('%') {
        return Some(after);
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let close = after.find(|c| {
        let is_end = c == ')' && !is_quoted && !is_escaped;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    after[close + 1..].trim_start_matches(' ').strip_prefix('%')
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn commands_are_whole() {
        for good in ["", "a", "100%%", "%A%", "x %REQ(a)% y", "%D([\"a)\", \"b\"]) %", "%A%%B%"] {
            assert_eq!(value_of(good), Ok(()), "{good}");
        }
        for bad in ["%", "abc%12", "%A(b%", "%A(b)x%", "%A%%", "a\nb"] {
            assert!(value_of(bad).is_err(), "{bad}");
        }
    }
}
