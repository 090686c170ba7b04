//! Paths: in, an HTTP method, path and query; out, what the request is about.

use std::collections::BTreeMap;

use http::Method;
use lateen_api::kinds::Kind;

use crate::catalog;
use crate::selector::FieldSelector;

/// What a request for an object or a list is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub kind: &'static Kind,
    /// The version of the path.
    pub version: &'static str,
    /// The namespace of the path, "" for none.
    pub namespace: String,
    /// The object's name, "" for the whole collection.
    pub name: String,
    /// `status`, `scale`, `token`, `log`, …, or "".
    pub subresource: String,
    /// The old `/watch/` form of the path.
    pub watch: bool,
}

impl Target {
    /// The `apiVersion` that answers carry.
    pub fn api_version(&self) -> String {
        self.kind.api_version(self.version)
    }

    /// The key of the object named.
    pub fn key(&self) -> crate::store::Key {
        catalog::key(self.kind, &self.namespace, &self.name)
    }

    /// The same for authorization: a list or watch of one name is about that object, so that a rule with
    /// `resourceNames` allows it.
    pub fn pinned_by(&self, query: &Query) -> Self {
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default()).ok();
        let name = fields.as_ref().and_then(|fields| fields.pinned("metadata.name"));
        match name.filter(|_| self.name.is_empty()) {
            Some(name) => Self { name: name.to_owned(), ..self.clone() },
            None => self.clone(),
        }
    }

    /// The verb that authorization and webhooks know.
    pub fn verb(&self, method: &Method, query: &Query) -> &'static str {
        let one = !self.name.is_empty();
        match *method {
            Method::GET if self.watch || query.flag("watch") => "watch",
            Method::GET if one => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "",
        }
    }
}

/// Query parameters; of repeated ones the first counts.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Parses what stands after the question mark.
    pub fn parse(query: Option<&str>) -> Self {
        let mut map = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            map.entry(key.into_owned()).or_insert(value.into_owned());
        }
        Self(map)
    }

    /// A parameter, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that is on: `1`, `true`, or present without a value.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| matches!(value.as_str(), "" | "1" | "true" | "True"))
    }
}

/// The object or list that a path names, if it names one.
pub fn target(path: &str) -> Option<Target> {
    let segments: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        // A namespace's own subresource has the shape of something inside it.
        ["namespaces", _, "status"] => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return None,
    };
    let (kind, version) = catalog::find(group, version, plural)?;
    let in_scope = if namespace.is_empty() {
        // Across all namespaces one can list and watch, but not name one object.
        !kind.namespaced || name.is_empty()
    } else {
        kind.namespaced
    };
    in_scope.then(|| Target {
        kind,
        version,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
        watch,
    })
}

/// Undoes percent-encoding; nothing on malformed escapes.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    // A NUL would reach into the store's composed keys.
    String::from_utf8(bytes).ok().filter(|text| !text.contains(['\0', '/']))
}

#[cfg(test)]
mod tests {
    use super::{Query, target};

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let found = target(path).map_or_else(
            || "none".to_owned(),
            |t| {
                format!(
                    "{}|{}|{}|{}|{}",
                    t.kind.kind, t.version, t.namespace, t.name, t.subresource
                )
            },
        );
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn paths_name_objects_lists_and_subresources() {
        check("/api/v1/services", "Service|v1|||");
        check("/api/v1/namespaces/default/services/a", "Service|v1|default|a|");
        check("/api/v1/namespaces/default", "Namespace|v1||default|");
        check("/api/v1/namespaces/default/status", "Namespace|v1||default|status");
        check("/apis/apps/v1/namespaces/x/deployments/d/scale", "Deployment|v1|x|d|scale");
        check(
            "/apis/networking.istio.io/v1alpha3/namespaces/x/gateways/g",
            "Gateway|v1alpha3|x|g|",
        );
        check("/apis/events.k8s.io/v1/namespaces/x/events", "Event|v1|x||");
    }

    #[test]
    fn paths_to_nothing_are_told_apart() {
        check("/api/v1/services/a", "none");
        check("/api/v2/services", "none");
        check("/api/v1/namespaces/x/namespaces/y", "none");
        check("/api/v1/namespaces/x/finalize", "none");
        check("/api/v1/namespaces/x/services/%00", "none");
        check("/api/v1/namespaces/x/services/%zz", "none");
    }

    #[test]
    fn a_flag_without_a_value_is_on() {
        let query = Query::parse(Some("watch&a=%20b&c=0"));
        assert!(query.flag("watch") && !query.flag("c"));
        assert_eq!(query.get("a"), Some(" b"));
    }
}
