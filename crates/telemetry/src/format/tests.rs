//! Formats and the lines that they write.

use std::time::UNIX_EPOCH;

use serde_json::json;

use super::{Format, FormatError};
use crate::record::AccessRecord;
use crate::sample;

fn record() -> AccessRecord {
    AccessRecord {
        start: UNIX_EPOCH,
        workload: Some("{\"workload\":\"echo\"}".into()),
        downstream_remote: "127.0.0.1:5".parse().unwrap(),
        downstream_local: "127.0.0.1:31400".parse().unwrap(),
        listener: "0.0.0.0_31400".into(),
        attempts: 1,
        close_reason: "".into(),
        ..sample::record()
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
    let members = json!({"bytes": "%BYTES_SENT%", "who": "%REQ(X)%", "mix": "a%%%DURATION%"});
    let mut line = String::new();
    Format::json(&members).unwrap().write(&record(), &mut line);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value, serde_json::json!({"bytes": 7, "who": null, "mix": "a%12"}));
}

#[test]
fn an_unclosed_operator_is_refused() {
    assert_eq!(Format::text("a%DURATION"), Err(FormatError::Unclosed("a".into())));
}

#[test]
fn an_unknown_operator_gives_a_dash_and_a_note() {
    for format in [Format::text("<%NOPE(x)%>"), Format::json(&json!({"a": "%NOPE(x)%"}))] {
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

#[test]
fn json_is_nested_and_fixed_numbers_stay() {
    let format = json!({
        "to": {"cluster": "%UPSTREAM_CLUSTER%", "port": "%UPSTREAM_REMOTE_PORT%"},
        "flags": ["%RESPONSE_FLAGS%", "%RESPONSE_FLAGS_LONG%"],
        "version": 2,
    });
    let mut line = String::new();
    let connected = AccessRecord { upstream_local: "10.0.0.9:5".parse().ok(), ..record() };
    Format::json(&format).unwrap().write(&connected, &mut line);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let cluster = "outbound|8020||echo.default.svc.cluster.local";
    let long = "UpstreamConnectionFailure,UpstreamRetryLimitExceeded";
    let expected = json!({
        "to": {"cluster": cluster, "port": 8020}, "flags": ["UF,URX", long], "version": 2,
    });
    assert_eq!(value, expected);
    for wrong in [json!({"a": true}), json!({"a": null}), json!(["%DURATION%"])] {
        let error = Format::json(&wrong).unwrap_err();
        assert!(matches!(error, FormatError::Kind(_)), "{error}");
    }
}

#[test]
fn empty_values_are_left_out_where_that_is_asked_for() {
    let mut line = String::new();
    let format = Format::text("<%REQ(X)%|%RESPONSE_FLAGS%>").unwrap().omitting_empty(true);
    format.write(&AccessRecord { flags: &[], ..record() }, &mut line);
    assert_eq!(line, "<|->\n", "no flags are a dash, as in Envoy");
    line.clear();
    let format = json!({"who": "%REQ(X)%", "in": {"who": "%REQ(X)%", "bytes": "%BYTES_SENT%"}});
    Format::json(&format).unwrap().omitting_empty(true).write(&record(), &mut line);
    assert_eq!(line, "{\"in\":{\"bytes\":7}}\n");
}

#[test]
fn expressions_and_metadata_are_written() {
    let mut line = String::new();
    let format = "%CEL(destination.port)% %CEL(request.host)% %CEL(upstream.address == '10.0.0.2:8020')% \
                  %UPSTREAM_METADATA(istio:workload)% %METADATA(UPSTREAM_HOST:istio:workload)% \
                  %CLUSTER_METADATA(istio:x)% %ACCESS_LOG_TYPE%";
    let format = Format::text(format).unwrap();
    assert_eq!(format.notes().count(), 0);
    format.write(&record(), &mut line);
    assert_eq!(line, "31400 - true echo echo - TcpConnectionEnd\n");
    assert_eq!(Format::text("%CEL(1 +)%").unwrap().notes().count(), 1);
}

#[test]
fn an_endpoint_that_was_never_reached_has_no_remote_address() {
    let mut line = String::new();
    let format = Format::text("%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%");
    format.unwrap().write(&record(), &mut line);
    assert_eq!(line, "10.0.0.2:8020 - -\n");
}

#[test]
fn a_value_without_end_is_cut_and_marked_in_lines_of_text_and_of_json() {
    let long = "ü".repeat(50_000);
    let record = AccessRecord {
        server_name: Some(long.as_str().into()),
        workload: Some(json!({ "workload": long }).to_string().into()),
        ..record()
    };
    let text = "%REQUESTED_SERVER_NAME% %UPSTREAM_METADATA(istio:workload)% end";
    for format in [Format::text(text), Format::json(&json!({ "all": text }))] {
        let mut line = String::new();
        format.unwrap().write(&record, &mut line);
        assert!(line.len() < 3 * 4096 && line.matches("ü… ").count() == 2, "{}", line.len());
        assert!(line.contains(" end"), "what follows is there");
    }
}
