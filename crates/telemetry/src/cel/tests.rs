//! Expressions and what they are worth to one connection.

use std::sync::Arc;
use std::time::Duration;

use lateen_testkit::fuzz::{bytes, fuzz};

use super::{Attributes, CelError, Expression, Value};

/// A refused connection to port 3306 from 10.0.0.7.
struct Refused;

impl Attributes for Refused {
    fn attribute(&self, group: &str, name: &str) -> Option<Value> {
        match (group, name) {
            ("connection", "mtls") => Some(Value::Bool(false)),
            ("source", "address") => Some(Value::text("10.0.0.7:41000")),
            ("destination", "port") => Some(Value::Int(3306)),
            ("response", "flags") => Some(Value::Int(0x20)),
            ("request", "duration") => Some(Value::Duration(Duration::from_millis(700))),
            ("node", "metadata") => {
                let members = [("CLUSTER_ID".into(), Value::text("west"))].into();
                Some(Value::Map(Arc::new(members)))
            }
            _ => None,
        }
    }
}

fn value(text: &str) -> Option<Value> {
    Expression::parse(text).unwrap().value(&Refused)
}

#[track_caller]
fn check(text: &str, expected: bool) {
    assert_eq!(value(text), Some(Value::Bool(expected)), "{text}");
}

#[test]
fn operators_bind_as_in_cel() {
    check("1 + 2 * 3 == 7 && 7 % 4 == 3", true);
    check("!(1 < 2) || 2.5 >= 2", true);
    check("'a' + \"b\" == 'ab' && 'b' in ['a', 'b']", true);
    check("-3 < 2u && 0x10 == 16", true);
    check("false ? 1 == 1 : true ? false : true", false);
    check("'CLUSTER_ID' in node.metadata", true);
    check("r'\\d' == '\\\\d' && size('\\u00e9') == 1 // that is all", true);
}

#[test]
fn functions_are_called_both_ways() {
    check("source.address.startsWith('10.0.') && source.address.contains('0.7')", true);
    check("startsWith(source['address'], '11.')", false);
    check("source.address.matches('^10[.].*:[0-9]+$')", true);
    check("string(destination.port) == '3306' && int('7') + 1 == 8", true);
    check("request.duration > duration('500ms') && request.duration < duration('1m')", true);
    check("node.metadata['CLUSTER_ID'] == 'west' && node.metadata.CLUSTER_ID.size() == 4", true);
}

#[test]
fn what_is_absent_fails_unless_the_other_side_decides() {
    assert_eq!(value("response.code >= 400"), None);
    check("response.code >= 400 || response.flags != 0", true);
    check("response.flags != 0 || response.code >= 400", true);
    check("response.code >= 400 && connection.mtls", false);
    assert_eq!(value("response.code >= 400 && !connection.mtls"), None);
    check("has(response.code) || has(node.metadata.NAME)", false);
    check("has(response.flags) && has(node.metadata['CLUSTER_ID'])", true);
    assert_eq!(value("1 / 0"), None);
    assert_eq!(value("9223372036854775807 + 1"), None);
    assert_eq!(value("'a' < 1"), None);
    check("'a' == 1", false);
    assert!(!Expression::parse("response.code >= 400").unwrap().is_true(&Refused));
}

#[test]
fn what_could_only_fail_is_refused_with_the_reason() {
    let error = |text: &str| Expression::parse(text).err();
    assert_eq!(error(" "), Some(CelError::Empty));
    assert_eq!(error("response.code >="), Some(CelError::End));
    assert_eq!(error("'a"), Some(CelError::End));
    assert_eq!(error("1 2"), Some(CelError::Unexpected("2".into())));
    assert_eq!(error("lower('a')"), Some(CelError::Function("lower".into())));
    assert_eq!(error("'a'.contains()"), Some(CelError::Arguments("contains")));
    assert_eq!(error("'a'.matches('(')"), Some(CelError::Pattern("(".into())));
    assert_eq!(error("[1].exists(x, x > 0)"), Some(CelError::Lacking("exists".into())));
    assert_eq!(error(&"1".repeat(5000)), Some(CelError::TooLong));
    assert_eq!(error(&("1".to_owned() + &"+1".repeat(300))), Some(CelError::TooLong));
}

#[test]
fn what_cel_has_and_this_does_not_is_told_from_what_is_wrong() {
    for (text, lacking) in [
        ("request.time.getHours() < 6", "getHours"),
        ("request.time < timestamp('2026-01-01T00:00:00Z')", "timestamp"),
        ("{'a': 1}['a'] == 1", "a literal of a map"),
        ("b'a' == bytes('a')", "a literal of bytes"),
        ("source.address.matches(node.id)", "a pattern that is no literal"),
        ("[1, 2].map(x, x + 1)[0] == 2", "map"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(error, CelError::Lacking(lacking.to_owned()), "{text}");
    }
}

#[test]
fn what_logs_alone_have_is_known() {
    let text = "has(request.size) ? request.size : response['size'] + request.duration";
    let expression = Expression::parse(text).unwrap();
    assert_eq!(expression.logged(), ["response.size", "request.duration"]);
    assert_eq!(expression.strange(), [""; 0]);
    let expression = Expression::parse("xds.cluster_name + upstream.address").unwrap();
    assert_eq!(expression.logged(), [""; 0]);
}

#[test]
fn what_is_no_attribute_is_absent_and_known() {
    let expression = Expression::parse("has(requst.host) ? connection : plugin['a'].b").unwrap();
    assert_eq!(expression.strange(), ["requst", "connection", "plugin"]);
    assert_eq!(expression.value(&Refused), None);
    check("has(requst.host)", false);
    let text = "has(xds.cluster_metadata) || xds.node.id == '' || upstream_peer['labels'].app == source.prot";
    let strange = ["xds.cluster_metadata", "upstream_peer.labels", "source.prot"];
    assert_eq!(Expression::parse(text).unwrap().strange(), strange);
    let text =
        "response.code >= 400 || filter_state.io == metadata.filter_metadata || connection.mtls";
    let strange = ["response.code", "filter_state.io", "metadata.filter_metadata"];
    assert_eq!(Expression::parse(text).unwrap().strange(), strange);
    let text = "has(request.host) ? request.host : has(request.headers.a) && request.headers.a == xds.route_name && has(xds.route_name)";
    assert_eq!(Expression::parse(text).unwrap().strange(), [""; 0]);
    let text = "filter_state.downstream_peer.nosuch == filter_state['upstream_peer'].labels.app \
                && filter_state.downstream_peer.app == ''";
    let strange = ["filter_state.downstream_peer.nosuch", "filter_state.upstream_peer.labels"];
    assert_eq!(Expression::parse(text).unwrap().strange(), strange);
    let text = "has(request.hots) ? request.hots : response.code";
    let strange = ["request.hots", "request.hots", "response.code"];
    assert_eq!(Expression::parse(text).unwrap().strange(), strange);
}

#[test]
fn nesting_of_every_kind_has_a_limit() {
    for (open, close) in [("(", ")"), ("!", ""), ("-", ""), ("[", "]"), ("1?1:", "")] {
        let text = format!("{}1{}", open.repeat(100), close.repeat(100));
        assert_eq!(Expression::parse(&text).err(), Some(CelError::TooDeep), "{open}");
    }
    let text = format!("node.metadata{}", ".a".repeat(100));
    assert_eq!(Expression::parse(&text).err(), Some(CelError::TooDeep));
}

#[test]
fn a_label_is_written_as_envoy_writes_it() {
    let print = |text: &str| value(text).unwrap().print().to_string();
    let printed = ["1", "2u", "1.5", "true", "'a b'", "null", "[1]", "duration('1.5s')"].map(print);
    assert_eq!(printed, ["1", "2", "1.5", "true", "a b", "NULL", "list value", "1.5s"]);
}

#[test]
fn the_attributes_that_it_names_are_known() {
    let expression = Expression::parse("has(source.port) ? [source.address][0] : 'x'").unwrap();
    assert!(expression.names("source", "port") && expression.names("source", "address"));
    assert!(!expression.names("destination", "port"));
}

#[test]
fn no_text_makes_it_panic() {
    let samples = [
        "has(request.host) ? request.host : \"unknown\"",
        "node.metadata['CLUSTER_ID'].matches(r'^w.*t$') && -1 in [1, 2u, 3.5e2] || !false",
        "duration('1h2m') > request.duration ? 'é\\x41' + '\\U0001F600' : string(0x7f)",
    ];
    let samples = samples.map(|sample| sample.as_bytes().to_vec()).to_vec();
    fuzz(2000, bytes(samples), |bytes| {
        if let Ok(expression) = Expression::parse(&String::from_utf8_lossy(&bytes)) {
            drop(expression.value(&Refused));
        }
    });
}

#[test]
fn what_is_no_condition_is_never_true() {
    for text in
        ["response.code + 1", "'yes'", "false", "[true]", "size('a')", "1 < 2 ? 'a' : 'b'", "-1"]
    {
        assert!(Expression::parse(text).unwrap().is_never_true(), "{text}");
    }
    for text in ["source.port", "response.flags", "filter_state.downstream_peer.workload"] {
        assert!(Expression::parse(text).unwrap().is_never_true(), "{text}");
    }
    for text in ["true", "response.code >= 400", "connection.mtls", "node.metadata['a']", "!false"]
    {
        assert!(!Expression::parse(text).unwrap().is_never_true(), "{text}");
    }
    for text in ["bool('true')", "'a'.contains('b')", "has(request.host) || 1", "true ? true : 1"] {
        assert!(!Expression::parse(text).unwrap().is_never_true(), "{text}");
    }
}
