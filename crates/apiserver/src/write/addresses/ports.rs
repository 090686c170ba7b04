//! Node ports: in, a Service of a type that has them; out, the same with every port's `nodePort` set.
//! Nothing here listens on them: they are kept because tools that read Services expect them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::spread;
use crate::error::Cause;

const RANGE: RangeInclusive<u16> = 30000..=32767;

/// The node ports that a Service has.
pub fn of(service: &Value) -> impl Iterator<Item = u16> {
    let ports = service["spec"]["ports"].as_array();
    ports.into_iter().flatten().filter_map(|port| u16::try_from(number(port)?).ok())
}

/// Sets the node ports that are missing; returns those newly taken, and what was refused.
pub fn assign(
    taken: &mut HashMap<u16, String>,
    service: &mut Value,
    old: Option<&Value>,
    owner: &str,
) -> (Vec<u16>, Vec<Cause>) {
    let (mut reserved, mut causes) = (Vec::new(), Vec::new());
    let spec = &service["spec"];
    if !matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return (reserved, causes);
    }
    let fill = spec["type"] == "NodePort" || spec["allocateLoadBalancerNodePorts"] != false;
    let Some(ports) = service["spec"]["ports"].as_array_mut() else { return (reserved, causes) };
    for port in ports.iter_mut().filter(|port| fill && number(port).is_none()) {
        if let Some(kept) = old.and_then(|old| same_port(old, port)) {
            port["nodePort"] = json!(kept);
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let Some(wanted) = number(port) else { continue };
        let refuse = |problem: &str| {
            Cause::invalid(&format!("spec.ports[{index}].nodePort"), &json!(wanted), problem)
        };
        match u16::try_from(wanted).ok().filter(|wanted| RANGE.contains(wanted)) {
            None => causes.push(refuse(&format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                RANGE.start(),
                RANGE.end()
            ))),
            Some(wanted) => match taken.get(&wanted) {
                Some(have) if have == owner => {}
                Some(_) => causes.push(refuse("provided port is already allocated")),
                None => {
                    taken.insert(wanted, owner.to_owned());
                    reserved.push(wanted);
                }
            },
        }
    }
    for (index, port) in ports.iter_mut().enumerate() {
        if !fill || number(port).is_some() {
            continue;
        }
        match free(taken, owner) {
            Some(found) => {
                taken.insert(found, owner.to_owned());
                reserved.push(found);
                port["nodePort"] = json!(found);
            }
            None => {
                let field = format!("spec.ports[{index}].nodePort");
                causes.push(Cause::invalid(&field, &json!(0), "range is full"));
            }
        }
    }
    (reserved, causes)
}

fn number(port: &Value) -> Option<i64> {
    port["nodePort"].as_i64().filter(|number| *number != 0)
}

/// The node port that the same port had.
fn same_port(old: &Value, port: &Value) -> Option<i64> {
    let ports = old["spec"]["ports"].as_array()?;
    let same = |have: &&Value| have["port"] == port["port"] && have["protocol"] == port["protocol"];
    ports.iter().find(same).and_then(number)
}

fn free(taken: &HashMap<u16, String>, owner: &str) -> Option<u16> {
    let count = u32::from(RANGE.end() - RANGE.start()) + 1;
    let start = spread(owner) % count;
    (0..count)
        .map(|step| RANGE.start() + ((start + step) % count) as u16)
        .find(|port| !taken.contains_key(port))
}
