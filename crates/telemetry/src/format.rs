//! Envoy's access-log format language, for TCP. In: a format string or a JSON template. Out: a
//! compiled [`Format`] that writes one line for a record, or what Envoy would refuse it for. Operators that need an HTTP
//! request are accepted and give `-` (text) or null (JSON), as in Envoy on a TCP connection.

mod operator;
mod table;
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
        "%{0}% in the access log format is no operator: write %NAME%, %NAME(ARGUMENT)% or %NAME(ARGUMENT):LENGTH%, \
         and %% for a percent sign"
    )]
    Shape(String),
    #[error("operator %{text}% in the access log format {reason}")]
    Operator { text: String, reason: String },
    #[error("{0} is no JSON access log format: write an object")]
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
    /// A number, true, false or null.
    Fixed(Value),
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

    /// From an object whose texts are formats, with objects, lists and fixed values in it.
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
            Value::Object(members) => {
                let parsed = members.iter().map(|(key, one)| Ok((key.clone(), Self::parse(one)?)));
                Self::Object(parsed.collect::<Result<_, FormatError>>()?)
            }
            Value::Array(all) => Self::List(all.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Fixed(format.clone()),
        })
    }

    fn value(&self, record: &AccessRecord, omits_empty: bool) -> Value {
        match self {
            Self::Text(template) => template.value(record),
            Self::Fixed(value) => value.clone(),
            Self::Object(members) => Value::Object(object(members, record, omits_empty)),
            Self::List(members) => {
                let values = members.iter().map(|member| member.value(record, omits_empty));
                values.filter(|value| !(omits_empty && value.is_null())).collect()
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
