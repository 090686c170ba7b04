//! Rules and what they say of values.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lateen_api::schema::definitions;
use lateen_testkit::fuzz::{fuzz, objects};
use lateen_testkit::limits::cases;
use serde_json::{Value, json};

use super::holds;
use crate::object::MAX_DEPTH;

#[track_caller]
fn check(rule: &str, this: &Value, expected: bool) {
    assert_eq!(holds(rule, this), expected, "{rule} of {this}");
}

#[test]
fn what_fails_is_dropped_only_by_the_side_that_decides() {
    let this = json!({ "a": 1 });
    check("self.b == 1 || self.a == 1", &this, true);
    check("self.b == 1 && self.a == 1", &this, false);
    check("!(self.b == 1)", &this, false);
    check("has(self.b) ? self.b == 1 : true", &this, true);
    check("self.a == 1 ? true : self.b", &this, true);
}

#[test]
fn lists_and_keys_of_maps_are_gone_through() {
    let ports = json!([{ "number": 80 }, { "number": 80 }, { "number": 81 }]);
    check("self.all(a, self.exists_one(b, a.number == b.number))", &ports, false);
    check("self.exists(a, a.number == 81) && size(self) == 3", &ports, true);
    check("self.all(a, a.number == 1) && [].size() < 1", &json!([]), true);
    check("self.all(key, 0 < int(key) && int(key) <= 65535)", &json!({ "80": 1 }), true);
    check("self.all(key, 0 < int(key) && int(key) <= 65535)", &json!({ "x": 1 }), false);
}

#[test]
fn durations_urls_and_texts_have_their_functions() {
    check("duration(self) >= duration('1ms')", &json!("1.5s"), true);
    check("duration(self) >= duration('1ms')", &json!("0s"), false);
    check("duration(self) >= duration('1ms')", &json!("soon"), false);
    check("url(self).getScheme() in ['http', \"https\"]", &json!("https://a.b/c"), true);
    check("url(self).getScheme() in ['http', 'https']", &json!("a.b/c"), false);
    check("isURL(self)", &json!("https://user:pw@a.b/jwks"), true);
    check("isURL(self)", &json!("https://user@a.b:port/jwks"), false);
    check("isURL(self) || isURL('http://' + self)", &json!("ghcr.io/a/b:1"), true);
    check("isURL(self) || isURL('http://' + self)", &json!("a b"), false);
    check("self.substring(1, 2) == 'b'", &json!("abc"), true);
    check("self.substring(2, 4) == 'c'", &json!("abc"), false);
}

#[test]
fn a_rule_that_is_not_understood_does_not_hold() {
    for rule in ["", "true true", "(true", "self.frob()", "self.all(a true)", "'open"] {
        check(rule, &json!([1]), false);
    }
}

/// Every value in a value, itself too.
fn within(value: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match value {
        Value::Array(items) => items.iter().flat_map(within).collect(),
        Value::Object(map) => map.values().flat_map(within).collect(),
        _ => Vec::new(),
    };
    [value].into_iter().chain(below).collect()
}

fn rules() -> BTreeSet<&'static str> {
    let places = definitions().values().flat_map(within);
    let rules = places.filter_map(|place| place.get("x-kubernetes-validations")?.as_array());
    rules.flatten().map(|rule| rule["rule"].as_str().unwrap()).collect()
}

#[test]
fn no_value_makes_a_rule_panic() {
    let rules = rules();
    assert!(rules.len() > 20, "{rules:?}");
    let cases = cases().unwrap();
    let given = cases.iter().flat_map(|case| [&case.accepted, &case.refused]);
    let samples: Vec<Value> = given.flat_map(within).cloned().collect();
    fuzz(2000, objects(samples), |value| {
        for rule in &rules {
            holds(rule, &value);
        }
    });
}

#[test]
fn large_values_take_no_rule_long() {
    let nested = |in_list: bool| {
        (0..MAX_DEPTH).fold(json!("x"), |inner, _| match in_list {
            true => json!([inner]),
            false => json!({ "selector": inner, "number": 1 }),
        })
    };
    let keys = |count: u32| (0..count).map(|number| (number.to_string(), json!("*"))).collect();
    let texts = ["http://é:", "unix://", "a", "1", "*"].map(|text| json!(text.repeat(100_000)));
    // As many as a list has at most whose items are compared with each other.
    let items = (0..256).map(|number| json!({ "number": number })).collect();
    let values = [items, nested(true), nested(false), Value::Object(keys(256))];
    let all = rules();
    let single = all.iter().filter(|rule| !rule.contains("exists_one"));
    let many = Value::Object(keys(10_000));
    let pairs =
        values.iter().chain(&texts).flat_map(|value| all.iter().map(move |rule| (rule, value)));
    for (rule, value) in pairs.chain(single.map(|rule| (rule, &many))) {
        let begin = Instant::now();
        holds(rule, value);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(60), "{rule} took {took:?}");
    }
}
