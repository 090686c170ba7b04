//! What `lateen inject` writes must be read as it was meant, by YAML readers of either version.

use serde_json::{Value, json};

use lateen_control::cluster::webhook::NativeSidecars;

use super::given::Given;
use super::source::native;
use super::{Format, InjectCommand, Objects, Run, Settings, foreign, read_objects, render};

#[test]
fn texts_that_look_like_something_else_are_quoted() {
    let texts =
        "yes y Y n on off no True true null ~ 0644 1e3 0x1F 0b1 0o17 1_000 1.10 .5 .inf 8020 -";
    let mut plain = Vec::new();
    for text in texts.split(' ').chain([""]) {
        let object = json!({"data": {"x": text}});
        let yaml = render(std::slice::from_ref(&object), Format::Yaml).unwrap();
        let line = yaml.lines().find(|line| line.trim_start().starts_with("x:")).unwrap();
        if !line.ends_with(['"', '\'']) {
            plain.push(text);
        }
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), object);
    }
    assert!(plain.is_empty(), "{plain:?} are not quoted");
}

#[test]
fn long_and_many_lined_texts_survive() {
    let long = "word ".repeat(100) + "\n  indented\n\ttab # no comment\n\n";
    let object = json!({"data": {"x": long, "y": "a: b\n", "z": "line one\nline two"}});
    let yaml = render(std::slice::from_ref(&object), Format::Yaml).unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), object);
}

#[test]
fn several_objects_are_documents_or_one_list() {
    let objects = [json!({"kind": "A"}), json!({"kind": "B"})];
    let yaml = render(&objects, Format::Yaml).unwrap();
    assert_eq!(serde_saphyr::from_multiple::<Value>(&yaml).unwrap(), objects);
    let list: Value = serde_json::from_str(&render(&objects, Format::Json).unwrap()).unwrap();
    assert_eq!(list["items"], json!(objects));
    let one: Value = serde_json::from_str(&render(&objects[..1], Format::Json).unwrap()).unwrap();
    assert_eq!(one, objects[0]);
    assert_eq!(render(&[], Format::Yaml).unwrap(), "");
}

#[test]
fn a_document_that_is_no_object_is_counted_and_told_what_it_lacks() {
    let pod = "apiVersion: v1\nkind: Pod\n";
    assert_eq!(read_objects("a.yaml", &format!("{pod}---\n---\n{pod}")).unwrap().len(), 2);
    for (text, lacks) in [
        ("a: b", "apiVersion"),
        ("text", "apiVersion"),
        ("- 1", "apiVersion"),
        ("apiVersion: v1", "kind"),
    ] {
        let error = read_objects("a.yaml", &format!("{pod}---\n{text}\n")).unwrap_err().to_string();
        let expected = format!("document 2 of a.yaml is no Kubernetes object: it has no {lacks}");
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn a_slip_in_a_kind_is_told_from_a_kind_of_others() {
    for (api_version, kind, told) in [
        ("apps/v1", "deployment", "did you mean Deployment of apps/v1?"),
        ("extensions/v1beta1", "Deployment", "did you mean Deployment of apps/v1?"),
        ("batch/v1", "job", "did you mean Job of batch/v1?"),
        ("argoproj.io/v1alpha1", "Rollout", "a pod template of this kind is left to the webhook"),
        ("v1", "PodTemplate", "a pod template of this kind is left to the webhook"),
    ] {
        assert_eq!(foreign(&json!({"apiVersion": api_version, "kind": kind})), told);
    }
}

#[test]
fn a_file_without_objects_is_refused() {
    for text in ["", "# a comment\n", "---\n---\n"] {
        let error = read_objects("a.yaml", text).unwrap_err().to_string();
        assert_eq!(error, "a.yaml is empty: it must have Kubernetes objects", "{text:?}");
    }
}

#[test]
fn names_are_checked_where_they_are_given() {
    #[derive(clap::Parser, Debug)]
    struct Line {
        #[command(flatten)]
        command: InjectCommand,
    }
    let parsed = |option: &str, value: &str| {
        <Line as clap::Parser>::try_parse_from(["inject", "-f", "-", option, value])
    };
    for option in ["-n", "-r", "-i"] {
        let error = parsed(option, "A B").unwrap_err().to_string();
        assert!(error.contains("\"A B\" is not a name"), "{option}: {error}");
    }
    for (revision, suffix) in [("", ""), ("default", ""), ("1-2", "-1-2")] {
        assert_eq!(parsed("-r", revision).unwrap().command.suffix(), suffix);
    }
}

#[test]
fn proxy_configs_among_the_objects_count_over_those_of_the_api() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        command: InjectCommand,
    }
    let line = <Line as clap::Parser>::parse_from(["inject", "-f", "-", "-n", "shop"]);
    let (given, settings) = (Given::default(), Settings::default());
    let run = Run { command: &line.command, given, settings, nodes: None, failed: false };
    let object = |name: &str, threads: i32| {
        json!({
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "ProxyConfig",
            "metadata": {"name": name},
            "spec": {"concurrency": threads},
        })
    };
    let mut found = Objects::new();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [object("a", 1)]});
    let others = [
        json!({"apiVersion": "v1", "kind": "ProxyConfig", "metadata": {"name": "c"}}),
        json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig", "metadata": "d"}),
        json!(null),
    ];
    for object in [&list, &object("b", 2), &object("a", 3)].into_iter().chain(&others) {
        run.proxy_configs(object, &mut found);
    }
    let found: Vec<_> = found
        .iter()
        .map(|(object, value)| (object.to_string(), value["spec"]["concurrency"].as_i64()))
        .collect();
    let expected = [("ProxyConfig shop/a", 3), ("ProxyConfig shop/b", 2)];
    assert_eq!(found, expected.map(|(object, threads)| (object.to_owned(), Some(threads))));
}

#[test]
fn a_clusters_nodes_and_its_variable_tell_whether_sidecars_are_native() {
    for (values, expected) in [
        ("", NativeSidecars::Stable),
        ("{}", NativeSidecars::Stable),
        ("{\"pilot\": {\"env\": {\"ENABLE_NATIVE_SIDECARS\": \"true\"}}}", NativeSidecars::Wanted),
        ("{\"pilot\": {\"env\": {\"ENABLE_NATIVE_SIDECARS\": false}}}", NativeSidecars::Never),
    ] {
        assert_eq!(native(values), expected, "{values}");
    }
}
