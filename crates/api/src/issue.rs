//! Findings about users' objects.
//!
//! In: what a parser, a validator, the index or translation found. Out: one value that feeds an
//! object's status, `analyze`, the log and a NACK's text alike.

use std::fmt;

/// The object that an issue is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// API group; empty for Kubernetes' core group.
    pub group: String,
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl ObjectRef {
    pub fn new(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        ObjectRef {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    /// As in `VirtualService default/tcp-echo`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// How bad it is; `Error` sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The field or the object has no effect.
    Error,
    Warning,
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        })
    }
}

/// One of Istio's analysis message codes, for example `IST0106`; where Istio has none for a finding,
/// crates define their own constants with another prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl Code {
    pub const INTERNAL_ERROR: Code = Code("IST0001");
    pub const DEPRECATED: Code = Code("IST0002");
    pub const REFERENCED_RESOURCE_NOT_FOUND: Code = Code("IST0101");
    pub const SCHEMA_VALIDATION_ERROR: Code = Code("IST0106");
    pub const CONFLICTING_MESH_GATEWAY_VIRTUAL_SERVICE_HOSTS: Code = Code("IST0109");
    pub const CONFLICTING_SIDECAR_WORKLOAD_SELECTORS: Code = Code("IST0110");
    pub const VIRTUAL_SERVICE_DESTINATION_PORT_SELECTOR_REQUIRED: Code = Code("IST0112");
    pub const PORT_NAME_IS_NOT_UNDER_NAMING_CONVENTION: Code = Code("IST0118");
    pub const NO_MATCHING_WORKLOADS_FOUND: Code = Code("IST0127");
    pub const VIRTUAL_SERVICE_UNREACHABLE_RULE: Code = Code("IST0130");
    pub const VIRTUAL_SERVICE_INEFFECTIVE_MATCH: Code = Code("IST0131");
    pub const VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY: Code = Code("IST0132");
    pub const SCHEMA_WARNING: Code = Code("IST0133");
    pub const SERVICE_ENTRY_ADDRESSES_REQUIRED: Code = Code("IST0134");
    pub const CONFLICTING_GATEWAYS: Code = Code("IST0145");
    pub const CONFLICTING_TELEMETRY_WORKLOAD_SELECTORS: Code = Code("IST0159");
    pub const MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS: Code = Code("IST0160");
    pub const INVALID_GATEWAY_CREDENTIAL: Code = Code("IST0161");
    pub const GATEWAY_PORT_NOT_DEFINED_ON_SERVICE: Code = Code("IST0162");
    pub const INEFFECTIVE_POLICY: Code = Code("IST0167");
    pub const DESTINATION_RULE_SUBSET_NOT_SELECT_PODS: Code = Code("IST0173");
    pub const UNKNOWN_DESTINATION_RULE_HOST: Code = Code("IST0174");
    pub const CONFLICTING_SERVICE_ENTRY_PROTOCOL: Code = Code("IST0177");
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issue {
    pub object: ObjectRef,
    /// The field, as in `spec.servers[0].port.number`; empty for the whole object.
    pub path: String,
    pub code: Code,
    pub severity: Severity,
    /// Lower case, no full stop, says what to change.
    pub message: String,
}

impl Issue {
    pub fn error(
        object: ObjectRef,
        path: impl Into<String>,
        code: Code,
        message: impl Into<String>,
    ) -> Self {
        Issue {
            object,
            path: path.into(),
            code,
            severity: Severity::Error,
            message: message.into(),
        }
    }

    pub fn warning(
        object: ObjectRef,
        path: impl Into<String>,
        code: Code,
        message: impl Into<String>,
    ) -> Self {
        Issue { severity: Severity::Warning, ..Issue::error(object, path, code, message) }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Issue {
    /// As in `error IST0106 Gateway default/g: spec.servers[0].hosts: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: ", self.severity, self.code, self.object)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Issue, ObjectRef};

    #[test]
    fn an_issue_names_object_field_and_reason() {
        let object = ObjectRef::new("networking.istio.io", "VirtualService", "default", "tcp-echo");
        let issue = Issue::error(object, "spec.hosts", Code::SCHEMA_VALIDATION_ERROR, "is empty");
        assert_eq!(
            issue.to_string(),
            "error IST0106 VirtualService default/tcp-echo: spec.hosts: is empty"
        );
    }

    #[test]
    fn a_cluster_scoped_object_has_no_slash() {
        assert_eq!(ObjectRef::new("", "Node", "", "n1").to_string(), "Node n1");
    }
}
