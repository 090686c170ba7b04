//! Envoy's access-log format language, for TCP. In: a format string or a JSON template. Out: a
//! compiled [`Format`] that writes one line for a record. Operators that need an HTTP request are
//! accepted and give `-` (text) or null (JSON), as in Envoy on a TCP connection. So do operators that
//! are not known: a log line is no reason to refuse traffic, and [`Format::notes`] tells of them.

mod operator;
mod template;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::record::AccessRecord;
use template::Template;

/// The line that Istio's proxies write by default (Istio's "Envoy Access Logs" page).
pub const ISTIO_DEFAULT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ",
    "%CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" ",
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ",
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" ",
    "\"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("unclosed % in the access log format after {0:?}: write %% for a percent sign")]
    Unclosed(String),
    #[error(
        "{0} in the JSON access log format is neither text, a number, an object nor a list: write one of them"
    )]
    Kind(String),
}

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    shape: Shape,
    omits_empty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Text(Template),
    /// One JSON object per line.
    Json(Vec<(String, Member)>),
}

/// What is in a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    Text(Template),
    Number(Value),
    Object(Vec<(String, Member)>),
    List(Vec<Member>),
}

impl Format {
    pub fn istio_default() -> Self {
        Self::text(ISTIO_DEFAULT).expect("the default format is well formed")
    }

    pub fn text(format: &str) -> Result<Self, FormatError> {
        Ok(Self { shape: Shape::Text(Template::parse(format)?), omits_empty: false })
    }

    /// From an object whose texts are formats, with objects, lists and numbers in it.
    pub fn json(format: &Value) -> Result<Self, FormatError> {
        match Member::parse(format)? {
            Member::Object(members) => Ok(Self { shape: Shape::Json(members), omits_empty: false }),
            _ => Err(FormatError::Kind(format.to_string())),
        }
    }

    /// Whether what has no value is left out, instead of `-` or null.
    #[must_use]
    pub fn omitting_empty(self, omits_empty: bool) -> Self {
        Self { omits_empty, ..self }
    }

    /// What is not written as it was asked for.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let mut all = Vec::new();
        match &self.shape {
            Shape::Text(template) => all.push(template),
            Shape::Json(members) => {
                members.iter().for_each(|(_, member)| member.templates(&mut all));
            }
        }
        all.into_iter().flat_map(Template::notes)
    }

    /// Appends one line, its newline included.
    pub fn write(&self, record: &AccessRecord, out: &mut String) {
        self.write_bare(record, out);
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }

    /// Appends what the format says and nothing else.
    pub fn write_bare(&self, record: &AccessRecord, out: &mut String) {
        match &self.shape {
            Shape::Text(template) => template.write(record, self.omits_empty, out),
            Shape::Json(members) => {
                let object = object(members, record, self.omits_empty);
                out.push_str(&Value::Object(object).to_string());
            }
        }
    }
}

impl Member {
    fn parse(format: &Value) -> Result<Self, FormatError> {
        Ok(match format {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Number(_) => Self::Number(format.clone()),
            Value::Object(members) => {
                let parsed = members.iter().map(|(key, one)| Ok((key.clone(), Self::parse(one)?)));
                Self::Object(parsed.collect::<Result<_, FormatError>>()?)
            }
            Value::Array(all) => Self::List(all.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Null | Value::Bool(_) => return Err(FormatError::Kind(format.to_string())),
        })
    }

    fn templates<'a>(&'a self, all: &mut Vec<&'a Template>) {
        match self {
            Self::Text(template) => all.push(template),
            Self::Number(_) => {}
            Self::Object(members) => members.iter().for_each(|(_, member)| member.templates(all)),
            Self::List(members) => members.iter().for_each(|member| member.templates(all)),
        }
    }

    fn value(&self, record: &AccessRecord, omits_empty: bool) -> Value {
        match self {
            Self::Text(template) => template.value(record),
            Self::Number(value) => value.clone(),
            Self::Object(members) => Value::Object(object(members, record, omits_empty)),
            Self::List(members) => {
                members.iter().map(|member| member.value(record, omits_empty)).collect()
            }
        }
    }
}

fn object(
    members: &[(String, Member)],
    record: &AccessRecord,
    omits_empty: bool,
) -> Map<String, Value> {
    let members = members.iter();
    let values = members.map(|(key, member)| (key.clone(), member.value(record, omits_empty)));
    values.filter(|(_, value)| !(omits_empty && value.is_null())).collect()
}
