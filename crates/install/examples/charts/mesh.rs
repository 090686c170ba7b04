//! What the mesh's settings must be beyond their types, as JSON schemas. In: the name of one of Istio's messages and its
//! schema. Out: the schema with what the control plane, or the injector, would refuse, too.

use lateen_api::istio::mesh::{FLAGS, OF_POD, SERVICES};
use lateen_api::schema::definitions;
use lateen_api::words::{self, Check};
use lateen_install::{Form, Type};
use serde_json::{Value, json};

use super::{of_type, patterns, snake_case, texts};

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Names of proxies' variables.
pub const VARIABLES: &str = "^[A-Za-z_.-][A-Za-z0-9_.-]*$";

/// Adds to the schema of a message of the mesh's settings.
pub fn add(name: &str, schema: &mut Value) {
    let Some(name) = name.strip_prefix("io.istio.mesh.") else { return };
    let mut set = |field: &str, own: Value| {
        for spelling in [field.to_owned(), snake_case(field)] {
            schema["properties"][&spelling] = own.clone();
        }
    };
    let text = |form: Form| of_type(Type::Word(form));
    match name {
        "MeshConfig" => {
            set("proxyListenPort", port(words::port));
            set("proxyInboundListenPort", port(words::port));
            set("trustDomain", text(Form::TrustDomain));
            set("rootNamespace", text(Form::Label));
        }
        "ProxyConfig" => {
            set("statusPort", port(words::status_port));
            set("proxyAdminPort", port(words::admin_port));
            set("discoveryAddress", text(Form::Address));
            set(
                "concurrency",
                json!({
                    "type": ["integer", "string", "null"], "minimum": 0, "pattern": "^[0-9]+$",
                }),
            );
            set("proxyMetadata", variables());
        }
        "LabelSelector" => set("matchLabels", of_type(Type::Labels)),
        "LabelSelectorRequirement" => {
            set("key", texts(&["string"], patterns::of_item(Form::Key)));
            set("operator", json!({ "enum": OPERATORS }));
            set(
                "values",
                json!({
                    "type": ["array", "null"], "items": texts(&["string"], patterns::of(Form::Value)),
                }),
            );
            schema["required"] = json!(["key", "operator"]);
            schema["allOf"] = values_of_operators();
        }
        "ExtensionProvider" => {
            set("name", json!({ "type": "string", "minLength": 1 }));
            schema["required"] = json!(["name"]);
            schema["minProperties"] = json!(2);
            schema["maxProperties"] = json!(2);
        }
        provider if is_of_service(provider) => {
            set("service", json!({ "type": "string", "minLength": 1 }));
            set("port", json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX }));
            schema["required"] = json!(["service", "port"]);
        }
        _ => {}
    }
}

/// Whether a message says where a service is.
fn is_of_service(message: &str) -> bool {
    let providers = &definitions()["io.istio.mesh.ExtensionProvider"]["properties"];
    let messages = SERVICES.iter().filter_map(|name| providers[*name]["$ref"].as_str());
    messages.filter_map(|path| path.rsplit('.').next()).any(|known| known == message)
}

fn values_of_operators() -> Value {
    let of = |operators: &[&str], values: Value, required: &[&str]| {
        json!({
            "if": { "properties": { "operator": { "enum": operators } } },
            "then": { "properties": { "values": values }, "required": required },
        })
    };
    json!([
        of(&OPERATORS[..2], json!({ "type": "array", "minItems": 1 }), &["values"]),
        of(&OPERATORS[2..], json!({ "maxItems": 0 }), &[]),
    ])
}

/// A port, as a number or as a text, but for those that a check refuses.
fn port(check: Check) -> Value {
    let taken: Vec<u16> = (0..=u16::MAX).filter(|port| check(&port.to_string()).is_err()).collect();
    let texts = taken.iter().map(|port| json!(port.to_string()));
    let all: Vec<Value> = taken.iter().map(|port| json!(port)).chain(texts).collect();
    let mut schema = json!({
        "type": ["integer", "string", "null"], "minimum": 0, "maximum": u16::MAX, "pattern": patterns::port(),
    });
    if !all.is_empty() {
        schema["not"] = json!({ "enum": all });
    }
    schema
}

/// Variables of proxies: those that have a form, and none of those that each pod has its own of.
fn variables() -> Value {
    let mut known = json!({});
    let mut all = |names: &[&str], own: &Value| {
        for name in names {
            known[*name] = texts(&["string", "null"], own.clone());
        }
    };
    let ports =
        ["ENVOY_PORT", "INBOUND_CAPTURE_PORT", "INBOUND_TUNNEL_PORT", "IPTABLES_PROBE_PORT"];
    all(&ports, &json!({ "pattern": patterns::port() }));
    all(
        &["PROXY_UID", "PROXY_GID"],
        &json!({ "pattern": "^[\\s,]*([0-9]{1,10}\\s*(,[\\s,]*|$))*$" }),
    );
    let ids = ["ISTIO_INBOUND_TPROXY_MARK", "ISTIO_INBOUND_TPROXY_ROUTE_TABLE"];
    all(&ids, &json!({ "pattern": "^\\s*0*[1-9][0-9]{0,9}\\s*$" }));
    all(&["ISTIO_META_INTERCEPTION_MODE"], &json!({ "enum": ["REDIRECT", "TPROXY", "NONE"] }));
    let modes = "^([rR][eE][dD][iI][rR][eE][cC][tT]|[tT][pP][rR][oO][xX][yY]|[nN][oO][nN][eE])$";
    all(&["ISTIO_INBOUND_INTERCEPTION_MODE"], &json!({ "pattern": modes }));
    all(&["ISTIO_INBOUND_PORTS", "ISTIO_OUTBOUND_PORTS"], &patterns::of(Form::PortsOrAll));
    let ports = ["ISTIO_LOCAL_EXCLUDE_PORTS", "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"];
    all(&ports, &patterns::of(Form::Ports));
    all(&["ISTIO_SERVICE_CIDR"], &patterns::of(Form::RangesOrAll));
    let ranges = ["ISTIO_SERVICE_EXCLUDE_CIDR", "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"];
    all(&ranges, &patterns::of(Form::Ranges));
    let interfaces = ["ISTIO_EXCLUDE_INTERFACES", "KUBE_VIRT_INTERFACES"];
    all(&interfaces, &json!({ "pattern": "^[\\s,]*([^\\s,/\"]{1,15}\\s*(,[\\s,]*|$))*$" }));
    all(
        &FLAGS,
        &json!({
            "enum": ["", "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"],
        }),
    );
    all(&["PROBE_TIMEOUT"], &patterns::of_item(Form::Span));
    all(&["MINIMUM_DRAIN_DURATION"], &patterns::of(Form::Span));
    all(&["XDS_ROOT_CA"], &json!({ "not": { "const": "SYSTEM" } }));
    for name in OF_POD {
        known[name] = json!(false);
    }
    json!({
        "type": ["object", "null"],
        "properties": known,
        "patternProperties": { VARIABLES: { "type": ["string", "null"] } },
        "additionalProperties": false,
    })
}
