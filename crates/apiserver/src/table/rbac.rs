//! Printers of roles, bindings and certificate requests. In: an object. Out: its cells.

use jiff::Timestamp;
use serde_json::Value;

use super::column::{
    AGE, CREATED_AT, Col, NAME, Printer, created, items, name, number, string, string_or, text,
    wide,
};
use super::duration::human;
use super::text::NONE;

const GROUP: &str = "rbac.authorization.k8s.io";
const ROLE: &[Col] = &[NAME, CREATED_AT];
const BINDING: &[Col] = &[
    NAME,
    text("Role", "roleRef"),
    AGE,
    wide("Users", "users in subjects"),
    wide("Groups", "groups in subjects"),
    wide("ServiceAccounts", "service accounts in subjects"),
];

pub static PRINTERS: &[Printer] = &[
    Printer { group: GROUP, kind: "Role", columns: ROLE, cells: role },
    Printer { group: GROUP, kind: "ClusterRole", columns: &[NAME, CREATED_AT], cells: role },
    Printer { group: GROUP, kind: "RoleBinding", columns: BINDING, cells: binding },
    Printer { group: GROUP, kind: "ClusterRoleBinding", columns: BINDING, cells: binding },
    Printer {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        columns: &[
            NAME,
            AGE,
            text("SignerName", "spec.signerName"),
            text("Requestor", "spec.username"),
            text("RequestedDuration", "spec.expirationSeconds"),
            text("Condition", "the request's state, from its conditions"),
        ],
        cells: signing_request,
    },
];

fn role(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), string(&object["metadata"]["creationTimestamp"]).into()]
}

fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let subjects = |kind: &str| {
        let names: Vec<String> = items(&object["subjects"])
            .iter()
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| match (kind, string(&subject["namespace"])) {
                ("ServiceAccount", namespace) if !namespace.is_empty() => {
                    format!("{namespace}/{}", string(&subject["name"]))
                }
                _ => string(&subject["name"]).to_owned(),
            })
            .collect();
        Value::from(names.join(", "))
    };
    vec![
        name(object),
        format!("{}/{}", string(&role["kind"]), string(&role["name"])).into(),
        created(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let is = |wanted: &str| {
        items(&object["status"]["conditions"]).iter().any(|condition| condition["type"] == wanted)
    };
    let mut state = if is("Denied") {
        "Denied"
    } else if is("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if is("Failed") {
        state.push_str(",Failed");
    }
    if !string(&object["status"]["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    let duration = match number(&spec["expirationSeconds"]) {
        0 => NONE.to_owned(),
        seconds => human(seconds),
    };
    vec![
        name(object),
        created(object, now),
        string_or(&spec["signerName"], NONE).into(),
        string(&spec["username"]).into(),
        duration.into(),
        state.into(),
    ]
}
