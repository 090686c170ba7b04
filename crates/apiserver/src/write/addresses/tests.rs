//! Addresses and node ports as functions of what is taken.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Addresses;

fn addresses() -> Addresses {
    Addresses { range: "10.9.0.0/30".parse().unwrap(), taken: Arc::default() }
}

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "a", "name": name}, "spec": spec})
}

fn node_ports(name: &str, ports: Value) -> Value {
    service(name, json!({"type": "NodePort", "clusterIP": "None", "ports": ports}))
}

fn refusals(addresses: &Addresses, service: &mut Value) -> Vec<String> {
    let refused = addresses.assign(service, None).err().unwrap();
    refused.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

#[test]
fn every_service_gets_another_address_until_none_is_left() {
    let addresses = addresses();
    let (mut one, mut two, mut three) =
        (service("1", json!({})), service("2", json!({})), service("3", json!({})));
    addresses.assign(&mut one, None).unwrap().keep();
    addresses.assign(&mut two, None).unwrap().keep();
    assert_ne!(one["spec"]["clusterIP"], two["spec"]["clusterIP"]);
    assert!(addresses.assign(&mut three, None).is_err());
    addresses.release(&one);
    addresses.assign(&mut three, None).unwrap().keep();
    assert_eq!(three["spec"]["clusterIP"], one["spec"]["clusterIP"]);
}

#[test]
fn an_address_asked_for_must_be_free_and_in_range() {
    let addresses = addresses();
    let mut one = service("1", json!({"clusterIP": "10.9.0.2"}));
    addresses.assign(&mut one, None).unwrap().keep();
    let refused = |address: &str| {
        refusals(&addresses, &mut service("2", json!({"clusterIP": address}))).concat()
    };
    assert!(refused("10.9.0.2").contains("provided IP is already allocated to a/1"));
    assert!(refused("10.8.0.2").contains("The range of valid IPs is 10.9.0.0/30"));
    assert!(refused("x").contains("valid IPv4"));
}

#[test]
fn a_reservation_that_is_not_kept_is_given_back() {
    let addresses = addresses();
    let mut one = service("1", json!({"clusterIP": "10.9.0.2"}));
    drop(addresses.assign(&mut one, None).unwrap());
    addresses.assign(&mut one, None).unwrap().keep();
}

#[test]
fn a_headless_service_has_none_and_an_address_does_not_change() {
    let addresses = addresses();
    let mut headless = service("1", json!({"clusterIP": "None"}));
    addresses.assign(&mut headless, None).unwrap().keep();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let mut old = service("2", json!({}));
    addresses.assign(&mut old, None).unwrap().keep();
    let mut new = service("2", json!({}));
    addresses.assign(&mut new, Some(&old)).unwrap().keep();
    assert_eq!(new["spec"], old["spec"]);
    let mut moved = service("2", json!({"clusterIP": "None"}));
    let refused = addresses.assign(&mut moved, Some(&old)).err().unwrap();
    assert_eq!(refused[0].message, r#"Invalid value: ["None"]: may not change once set"#);
}

#[test]
fn node_ports_are_given_kept_and_given_back() {
    let addresses = addresses();
    let port = |port: u16| json!({"port": port, "protocol": "TCP"});
    let mut old = node_ports("1", json!([port(80), port(81)]));
    addresses.assign(&mut old, None).unwrap().keep();
    let given: Vec<u16> = super::ports::of(&old).collect();
    assert!(given.len() == 2 && given[0] != given[1], "{given:?}");
    assert!(given.iter().all(|port| (30000..=32767).contains(port)), "{given:?}");
    let mut new = node_ports("1", json!([port(81)]));
    addresses.assign(&mut new, Some(&old)).unwrap().keep();
    assert_eq!(super::ports::of(&new).collect::<Vec<_>>(), given[1..]);
    let mut other = node_ports("2", json!([{"port": 1, "nodePort": given[0]}]));
    let taken = format!("Invalid value: {}: provided port is already allocated", given[0]);
    assert_eq!(refusals(&addresses, &mut other), [format!("spec.ports[0].nodePort: {taken}")]);
    addresses.settle(&old, &new);
    assert!(addresses.assign(&mut other, None).is_ok());
}

#[test]
fn a_node_port_out_of_range_is_refused_and_takes_nothing() {
    let addresses = addresses();
    let mut bad =
        node_ports("1", json!([{"port": 1, "nodePort": 30080}, {"port": 2, "nodePort": 80}]));
    let text = "spec.ports[1].nodePort: Invalid value: 80: provided port is not in the valid range. \
                The range of valid ports is 30000-32767";
    assert_eq!(refusals(&addresses, &mut bad), [text]);
    let mut good = node_ports("2", json!([{"port": 1, "nodePort": 30080}]));
    assert!(addresses.assign(&mut good, None).is_ok());
}
