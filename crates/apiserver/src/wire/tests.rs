//! Against Go's own encoders: every sample, broken samples, and the table itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_testkit::fuzz::{self, fuzz};
use serde_json::{Value, json};

use super::table::{self, Message, Type};
use super::{MAGIC, WireError, decode};

const SAMPLES: &str = include_str!("samples.txt");

fn samples() -> impl Iterator<Item = (Vec<u8>, Value)> {
    SAMPLES.lines().map(|line| {
        let (envelope, object) = line.split_once(' ').unwrap();
        (STANDARD.decode(envelope).unwrap(), serde_json::from_str(object).unwrap())
    })
}

#[test]
fn every_sample_is_read_as_go_reads_it() {
    let mut number = 0;
    for (envelope, object) in samples() {
        let read = decode(&envelope).unwrap();
        assert_eq!(read, object, "{}", object["kind"]);
        number += 1;
    }
    assert!(number > 100, "{number} samples");
}

#[test]
fn every_builtin_kind_can_be_sent() {
    for kind in lateen_api::kinds::KINDS {
        let ours = kind.source == lateen_api::kinds::Source::Kubernetes
            && kind.kind != "CustomResourceDefinition";
        let name = format!("{}.{}", kind.api_version(kind.versions[0]), kind.kind);
        assert_eq!(table::message(&name).is_some(), ours, "{name}");
    }
}

#[test]
fn no_message_lacks_or_contains_itself() {
    fn visit(message: &Message, depth: usize) {
        assert!(depth < 16, "{} is too deep", message.name);
        for field in &message.fields {
            if let Type::Message(name) = field.of {
                visit(table::message(name).unwrap_or_else(|| panic!("no {name}")), depth + 1);
            }
        }
    }
    table::all().for_each(|message| visit(message, 0));
}

#[test]
fn broken_bodies_are_refused_or_read_but_never_a_panic() {
    fuzz(4000, fuzz::bytes(samples().map(|(envelope, _)| envelope).collect()), |bytes| {
        let _ = decode(&bytes);
    });
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let chunk = |number: u8, bytes: &[u8]| {
        let mut chunk = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length > 0x7f {
            chunk.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        chunk.push(u8::try_from(length).unwrap());
        [&chunk[..], bytes].concat()
    };
    let meta = [chunk(1, api_version.as_bytes()), chunk(2, kind.as_bytes())].concat();
    [MAGIC, &chunk(1, &meta), &chunk(2, raw)].concat()
}

#[test]
fn what_is_no_object_of_ours_is_refused_with_the_reason() {
    assert_eq!(decode(b"{}"), Err(WireError::NoEnvelope));
    let unknown = decode(&envelope("networking.istio.io/v1", "Gateway", b""));
    let message = "Gateway of networking.istio.io/v1 cannot be read as protobuf";
    assert_eq!(unknown.unwrap_err().to_string(), message);
    let cut = decode(&envelope("v1", "ConfigMap", &[0x0a, 0x05]));
    assert_eq!(cut, Err(WireError::Malformed("v1.ConfigMap")));
    let number = decode(&envelope("v1", "ConfigMap", &[0x08, 0x05]));
    assert_eq!(number, Err(WireError::Malformed("v1.ConfigMap")));
}

#[test]
fn options_are_known_under_the_version_of_what_they_are_for() {
    let read = decode(&envelope("apps/v1", "DeleteOptions", &[0x08, 30]));
    let expected =
        json!({"kind": "DeleteOptions", "apiVersion": "apps/v1", "gracePeriodSeconds": 30});
    assert_eq!(read, Ok(expected));
}

#[test]
fn a_body_of_nothing_but_empty_messages_is_bounded() {
    // Each pair of bytes is one empty subset of an Endpoints.
    let body = envelope("v1", "Endpoints", &[0x12, 0x00].repeat(1_000_000));
    assert!(matches!(decode(&body), Err(WireError::TooMany(_))));
}
