//! Envoy's access-log format language, for TCP. In: a format string or a JSON template. Out: a
//! compiled [`Format`] that writes one line for a record. Operators that need an HTTP request are
//! accepted and give `-` (text) or null (JSON), as in Envoy on a TCP connection. So do operators that
//! are not known: a log line is no reason to refuse traffic, and [`Format::notes`] tells of them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value};

use crate::record::AccessRecord;
use crate::timestamp;

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
}

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Text(Template),
    /// One JSON object per line, members in this order.
    Json(Vec<(String, Template)>),
}

/// Literal text and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Operator(Operator),
    /// The start in a format of its own.
    Time(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    StartTime,
    Duration,
    BytesReceived,
    BytesSent,
    ResponseFlags,
    ResponseCode,
    TerminationDetails,
    UpstreamFailure,
    UpstreamHost,
    UpstreamCluster,
    UpstreamLocal,
    UpstreamAttempts,
    DownstreamLocal {
        port: bool,
    },
    DownstreamLocalPort,
    DownstreamRemote {
        port: bool,
    },
    DownstreamRemotePort,
    FilterChain,
    ServerName,
    /// Has no value on a TCP connection.
    Absent,
}

impl Format {
    pub fn istio_default() -> Self {
        Self::text(ISTIO_DEFAULT).expect("the default format is well formed")
    }

    pub fn text(format: &str) -> Result<Self, FormatError> {
        Ok(Self::Text(Template::parse(format)?))
    }

    pub fn json(members: impl IntoIterator<Item = (String, String)>) -> Result<Self, FormatError> {
        let parsed = members.into_iter().map(|(key, text)| Ok((key, Template::parse(&text)?)));
        Ok(Self::Json(parsed.collect::<Result<_, FormatError>>()?))
    }

    /// What is not written as it was asked for.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let (text, members) = match self {
            Self::Text(template) => (Some(template), [].as_slice()),
            Self::Json(members) => (None, members.as_slice()),
        };
        let templates = text.into_iter().chain(members.iter().map(|(_, template)| template));
        templates.flat_map(|template| &template.notes).map(String::as_str)
    }

    /// Appends one line, its newline included.
    pub fn write(&self, record: &AccessRecord, out: &mut String) {
        match self {
            Self::Text(template) => template.write(record, out),
            Self::Json(members) => {
                let object: Map<String, Value> = members
                    .iter()
                    .map(|(key, template)| (key.clone(), template.value(record)))
                    .collect();
                out.push_str(&Value::Object(object).to_string());
            }
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
}

impl Template {
    fn parse(format: &str) -> Result<Self, FormatError> {
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
        let mut literal = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(escaped) = after.strip_prefix('%') {
                literal.push('%');
                rest = escaped;
                continue;
            }
            let end = operator_end(after).ok_or_else(|| FormatError::Unclosed(literal.clone()))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part(&after[..end], &mut notes));
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts, notes })
    }

    fn write(&self, record: &AccessRecord, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Operator(operator) => operator.write(record, out),
                Part::Time(pattern) => {
                    timestamp::write_as(out, record.start, pattern)
                        .expect("the pattern was tried when it was parsed");
                }
            }
        }
    }

    /// A lone operator keeps its type: numbers are numbers and nothing is null.
    fn value(&self, record: &AccessRecord) -> Value {
        let mut text = String::new();
        self.write(record, &mut text);
        match self.parts.as_slice() {
            [Part::Operator(_)] if text == "-" => Value::Null,
            [Part::Operator(operator)] if operator.is_number() => {
                text.parse::<u64>().map_or(Value::Null, Value::from)
            }
            _ => Value::String(text),
        }
    }
}

impl Operator {
    fn is_number(self) -> bool {
        matches!(
            self,
            Self::Duration
                | Self::BytesReceived
                | Self::BytesSent
                | Self::ResponseCode
                | Self::UpstreamAttempts
                | Self::DownstreamLocalPort
                | Self::DownstreamRemotePort
        )
    }

    fn write(self, record: &AccessRecord, out: &mut String) {
        match self {
            Self::StartTime => timestamp::write(out, record.start),
            Self::Duration => number(out, record.duration.as_millis() as u64),
            Self::BytesReceived => number(out, record.bytes_received),
            Self::BytesSent => number(out, record.bytes_sent),
            Self::ResponseFlags => out.push_str(&record.flags_text()),
            Self::ResponseCode => out.push('0'),
            // One word, and only when something went wrong, so that lines stay splittable.
            Self::TerminationDetails if record.flags.is_empty() => out.push('-'),
            Self::TerminationDetails => text(out, Some(&record.close_reason.replace(' ', "_"))),
            Self::UpstreamFailure => text(out, record.upstream_failure.as_deref()),
            Self::UpstreamHost => address(out, record.upstream_remote),
            Self::UpstreamCluster => text(out, record.cluster.as_deref()),
            Self::UpstreamLocal => address(out, record.upstream_local),
            Self::UpstreamAttempts => number(out, u64::from(record.attempts)),
            Self::DownstreamLocal { port } => endpoint(out, record.downstream_local, port),
            Self::DownstreamRemote { port } => endpoint(out, record.downstream_remote, port),
            Self::DownstreamLocalPort => number(out, u64::from(record.downstream_local.port())),
            Self::DownstreamRemotePort => number(out, u64::from(record.downstream_remote.port())),
            Self::FilterChain => text(out, Some(&record.filter_chain)),
            Self::ServerName => text(out, record.server_name.as_deref()),
            Self::Absent => out.push('-'),
        }
    }
}

/// The closing percent sign; those inside parentheses belong to the argument.
fn operator_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'%' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// One operator, from between its percent signs.
fn part(text: &str, notes: &mut Vec<String>) -> Part {
    let name = text.split(['(', ':']).next().unwrap_or(text);
    let argument = text[name.len()..].trim_start_matches('(').trim_end_matches(')');
    if name == "START_TIME" && !argument.is_empty() {
        let Err(unknown) = timestamp::write_as(&mut String::new(), UNIX_EPOCH, argument) else {
            return Part::Time(argument.to_owned());
        };
        notes.push(format!("%{text}% is written as RFC 3339: {unknown} is not supported"));
    }
    let operator = operator(name).unwrap_or_else(|| {
        notes.push(format!("operator %{text}% is not known and gives -"));
        Operator::Absent
    });
    Part::Operator(operator)
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "START_TIME" => Operator::StartTime,
        "DURATION" => Operator::Duration,
        "BYTES_RECEIVED" => Operator::BytesReceived,
        "BYTES_SENT" => Operator::BytesSent,
        "RESPONSE_FLAGS" => Operator::ResponseFlags,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "CONNECTION_TERMINATION_DETAILS" => Operator::TerminationDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamFailure,
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => Operator::UpstreamHost,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
        "UPSTREAM_LOCAL_ADDRESS" => Operator::UpstreamLocal,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamAttempts,
        "DOWNSTREAM_LOCAL_ADDRESS" => Operator::DownstreamLocal { port: true },
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Operator::DownstreamLocal { port: false },
        "DOWNSTREAM_LOCAL_PORT" => Operator::DownstreamLocalPort,
        "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => {
            Operator::DownstreamRemote { port: true }
        }
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
        | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            Operator::DownstreamRemote { port: false }
        }
        "DOWNSTREAM_REMOTE_PORT" => Operator::DownstreamRemotePort,
        "FILTER_CHAIN_NAME" => Operator::FilterChain,
        "REQUESTED_SERVER_NAME" => Operator::ServerName,
        "REQ"
        | "RESP"
        | "TRAILER"
        | "PROTOCOL"
        | "RESPONSE_CODE_DETAILS"
        | "ROUTE_NAME"
        | "DYNAMIC_METADATA"
        | "FILTER_STATE"
        | "METADATA"
        | "DOWNSTREAM_PEER_URI_SAN"
        | "UPSTREAM_PEER_URI_SAN"
        | "GRPC_STATUS"
        | "GRPC_STATUS_NUMBER"
        | "REQUEST_DURATION"
        | "RESPONSE_DURATION"
        | "VIRTUAL_CLUSTER_NAME"
        | "CONNECTION_ID"
        | "STREAM_ID"
        | "REQ_WITHOUT_QUERY" => Operator::Absent,
        _ => return None,
    })
}

fn number(out: &mut String, value: u64) {
    write!(out, "{value}").expect("writing to a string cannot fail");
}

fn text(out: &mut String, value: Option<&str>) {
    match value {
        // Some of it is a peer's own words: they must not end a line or steer a terminal.
        Some(value) if value.contains(char::is_control) => {
            for letter in value.chars() {
                match letter.is_control() {
                    true => out.extend(letter.escape_default()),
                    false => out.push(letter),
                }
            }
        }
        Some(value) if !value.is_empty() => out.push_str(value),
        _ => out.push('-'),
    }
}

fn address(out: &mut String, value: Option<SocketAddr>) {
    match value {
        Some(value) => endpoint(out, value, true),
        None => out.push('-'),
    }
}

fn endpoint(out: &mut String, value: SocketAddr, port: bool) {
    let written = if port { write!(out, "{value}") } else { write!(out, "{}", value.ip()) };
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Format, FormatError};
    use crate::record::{AccessRecord, Flag};

    fn record() -> AccessRecord {
        AccessRecord {
            start: UNIX_EPOCH,
            duration: Duration::from_millis(12),
            listener: "0.0.0.0_31400".into(),
            filter_chain: "".into(),
            origin: None,
            cluster: Some("outbound|8020||echo.default.svc.cluster.local".into()),
            cluster_origin: None,
            workload: Some("{\"workload\":\"echo\"}".into()),
            downstream_remote: "127.0.0.1:5".parse().unwrap(),
            downstream_local: "127.0.0.1:31400".parse().unwrap(),
            original_destination: None,
            upstream_remote: Some("10.0.0.2:8020".parse().unwrap()),
            upstream_local: None,
            server_name: None,
            bytes_received: 5,
            bytes_sent: 7,
            attempts: 1,
            flags: &[Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded],
            close_reason: "".into(),
            upstream_failure: Some("connection refused".into()),
        }
    }

    #[test]
    fn the_default_line_is_istios() {
        let mut line = String::new();
        Format::istio_default().write(&record(), &mut line);
        assert_eq!(
            line,
            "[1970-01-01T00:00:00.000Z] \"- - -\" 0 UF,URX - - \"connection refused\" 5 7 12 - \
             \"-\" \"-\" \"-\" \"-\" \"10.0.0.2:8020\" \
             outbound|8020||echo.default.svc.cluster.local - 127.0.0.1:31400 127.0.0.1:5 - -\n"
        );
    }

    #[test]
    fn json_members_keep_their_types() {
        let members = [("bytes", "%BYTES_SENT%"), ("who", "%REQ(X)%"), ("mix", "a%%%DURATION%")];
        let members = members.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut line = String::new();
        Format::json(members).unwrap().write(&record(), &mut line);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value, serde_json::json!({"bytes": 7, "who": null, "mix": "a%12"}));
    }

    #[test]
    fn an_unclosed_operator_is_refused() {
        assert_eq!(Format::text("a%DURATION"), Err(FormatError::Unclosed("a".into())));
    }

    #[test]
    fn an_unknown_operator_gives_a_dash_and_a_note() {
        for format in
            [Format::text("<%NOPE(x)%>"), Format::json([("a".into(), "%NOPE(x)%".into())])]
        {
            let format = format.unwrap();
            let notes: Vec<_> = format.notes().collect();
            assert_eq!(notes, ["operator %NOPE(x)% is not known and gives -"]);
            let mut line = String::new();
            format.write(&record(), &mut line);
            assert!(["<->\n", "{\"a\":null}\n"].contains(&line.as_str()), "{line}");
        }
        assert_eq!(Format::istio_default().notes().count(), 0);
    }

    #[test]
    fn the_start_is_written_in_the_format_that_is_asked_for() {
        let mut line = String::new();
        let format = Format::text("%START_TIME(%Y/%m/%dT%H:%M:%S.%3f %s)%").unwrap();
        format.write(&record(), &mut line);
        assert_eq!(line, "1970/01/01T00:00:00.000 0\n");
        let format = Format::text("%START_TIME(%Q)%").unwrap();
        assert_eq!(format.notes().count(), 1);
        line.clear();
        format.write(&record(), &mut line);
        assert_eq!(line, "1970-01-01T00:00:00.000Z\n", "the default form instead");
    }

    #[test]
    fn the_json_view_embeds_metadata_as_objects() {
        assert_eq!(record().to_json()["workload"]["workload"], "echo");
    }
}
