//! Formats and the lines that they write.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::{Format, FormatError};
use crate::record::{AccessRecord, Flag, ProxyFacts};
use crate::sample;

fn record() -> AccessRecord {
    AccessRecord {
        start: UNIX_EPOCH,
        workload: Some("{\"workload\":\"echo\"}".into()),
        far: None,
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
        "[1970-01-01T00:00:00.000Z] \"- - -\" 0 UF,URX - - \"delayed_connect_error:_Connection_refused\" 5 7 12 - \
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

/// The line of a text format.
fn line(format: &str, record: &AccessRecord) -> String {
    let mut line = String::new();
    Format::text(format).unwrap().write_bare(record, &mut line);
    line
}

#[test]
fn what_envoy_refuses_is_refused_with_the_operator_and_the_remedy() {
    for (format, said) in [
        ("<%NOPE(x)%>", "operator %NOPE(x)% in the access log format is not known: use one"),
        ("%NOPE:3%", "is not known"),
        ("%nope%", "%nope% in the access log format is no operator: write %NAME%"),
        ("50% of 100%", "% of 100% in the access log format is no operator"),
        ("%DURATION %", "is no operator"),
        ("%REQ(X)more%", "is no operator"),
        ("%REQ(X):x%", "is no operator"),
        ("%REQ(X):99999999999999999999%", "is no operator"),
        ("%DURATION(a)%", "takes neither an argument nor a length"),
        ("%HOSTNAME:3%", "takes neither an argument nor a length"),
        ("%START_TIME(%s):5%", "takes no length"),
        ("%UPSTREAM_METADATA(istio:workload):3%", "takes no length"),
        ("%START_TIME(%n)%", "must not have %n"),
        ("%REQ()%", "needs an argument"),
        ("%ENVIRONMENT%", "needs an argument"),
        ("%CLUSTER_METADATA%", "needs an argument"),
        ("%REQ(X?Y?Z)%", "more than one alternative"),
        ("%REQ(a b)%", "has a space"),
        ("%METADATA(FOO:istio)%", "knows no metadata \"FOO\""),
        ("%FILTER_STATE(a:WHAT)%", "takes KEY, KEY:PLAIN"),
        ("%COMMON_DURATION(a)%", "takes FROM:TO"),
        ("%COMMON_DURATION(a:b:s)%", "knows no unit \"s\""),
        ("%GRPC_STATUS(X)%", "takes CAMEL_STRING, SNAKE_STRING, NUMBER, and not \"X\""),
        ("%QUERY_PARAMS(RAW)%", "takes ORIG, DECODED"),
        ("%PATH(X)%", "takes WQ, NQ"),
        ("%REQUESTED_SERVER_NAME(SNI_FIRST:X)%", "takes SNI_ONLY"),
        ("%CEL(1 +)%", "has no usable CEL expression: it ends too early"),
        ("%TYPED_CEL(request.host.exists(x, x))%", "has no usable CEL expression"),
        ("%COALESCE(a)%", "takes {\"operators\""),
        ("%COALESCE({\"operators\":[]})%", "takes {\"operators\""),
        ("%COALESCE({\"operators\":[\"NOPE\"]})%", "has NOPE, which is not known"),
    ] {
        let error = Format::text(format).unwrap_err();
        assert!(error.to_string().contains(said), "{format}: {error}");
        let in_json = Format::json(&json!({"a": {"b": [format]}}));
        assert_eq!(in_json, Err(error));
    }
}

#[test]
fn the_start_and_the_end_are_written_in_the_format_that_is_asked_for() {
    let record = AccessRecord { duration: Duration::from_millis(61_005), ..record() };
    assert_eq!(
        line("%START_TIME(%Y/%m/%dT%H:%M:%S.%3f %s)%|%START_TIME()%|%START_TIME(%Q)%", &record),
        "1970/01/01T00:00:00.000 0|1970-01-01T00:00:00.000Z|%Q"
    );
    assert_eq!(
        line("%EMIT_TIME%|%EMIT_TIME(%s)%|%START_TIME_LOCAL%|%EMIT_TIME_LOCAL(%H)%", &record),
        "1970-01-01T00:01:01.005Z|61|1970-01-01T00:00:00.000+0000|00"
    );
}

#[test]
fn values_are_as_long_as_they_may_be() {
    let record = AccessRecord {
        workload: Some("{\"workload\":\"wüst\",\"number\":1234}".into()),
        ..record()
    };
    let text = "%METADATA(UPSTREAM_HOST:istio:workload):2% %ENVIRONMENT(HOME):3% %REQ(X):9% %CEL(1 < 2):2%";
    assert_eq!(line(text, &record), "wü - - tr");
    let format = json!({
        "text": "%METADATA(UPSTREAM_HOST:istio:workload):2%", "number": "%METADATA(UPSTREAM_HOST:istio:number):2%",
    });
    let mut line = String::new();
    Format::json(&format).unwrap().write_bare(&record, &mut line);
    assert_eq!(line, "{\"text\":\"wü\",\"number\":1234}", "as Envoy: a number is not cut");
}

#[test]
fn what_is_known_of_a_proxy_and_a_connection_is_written() {
    let proxy = ProxyFacts {
        hostname: "pod-7".into(),
        environment: [("HOME".to_owned(), "/root".to_owned())].into(),
        seed: 1,
        ..ProxyFacts::default()
    };
    let failed = AccessRecord { proxy: proxy.into(), upstream_id: Some(9), ..record() };
    for (format, written) in [
        (
            "%HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(HOME):3% %ENVIRONMENT(NOPE)%",
            "pod-7 /root /ro -",
        ),
        ("%CONNECTION_ID% %UPSTREAM_CONNECTION_ID% %UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "7 9 9"),
        (
            "%LISTENER_NAME% %FILTER_CHAIN_NAME% %ACCESS_LOG_TYPE%",
            "0.0.0.0_31400 - TcpConnectionEnd",
        ),
        ("%UPSTREAM_HOSTS_ATTEMPTED%", "10.0.0.2:8020,10.0.0.2:8020,10.0.0.2:8020"),
        ("%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%", "10.0.0.2,10.0.0.2,10.0.0.2"),
        (
            "%UPSTREAM_CONNECTION_POOL_READY_DURATION% %COMMON_DURATION(DS_CX_BEG:DS_CX_END:us)%",
            "12 12000",
        ),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "delayed_connect_error:_Connection_refused"),
        (
            "%DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON%",
            "tcp_initializion_failure:0 -",
        ),
        ("%CONNECTION_TERMINATION_DETAILS% %RESPONSE_CODE_DETAILS% %RESPONSE_CODE%", "- - 0"),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(33)%",
            "127.0.0.0/8 127.0.0.1/32",
        ),
        ("<%CUSTOM_FLAGS%|%DOWNSTREAM_CX_RTT%|%TRACE_ID%>", "<|0|->"),
        (
            "%COALESCE({\"operators\":[\"PROTOCOL\",{\"command\":\"REQ\",\"param\":\"X\"},\"BYTES_SENT\"]})%",
            "7",
        ),
        ("%COALESCE({\"operators\":[\"PROTOCOL\"]})%", "-"),
    ] {
        assert_eq!(line(format, &failed), written, "{format}");
    }
    let ids = |record: &AccessRecord| line("%STREAM_ID%|%UNIQUE_ID%", record);
    let other = AccessRecord { id: 8, ..failed.clone() };
    let all = [ids(&failed), ids(&other)].join("|");
    let mut all: Vec<&str> = all.split('|').collect();
    assert!(all.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'), "{all:?}");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn ends_are_told_in_envoys_words() {
    let told = |flags: &'static [Flag], failure: Option<&str>| {
        let record = AccessRecord { flags, upstream_failure: failure.map(Arc::from), ..record() };
        line(
            "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %CEL(response.flags)% %RESPONSE_CODE_DETAILS% %ACCESS_LOG_TYPE% \
             %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% %DOWNSTREAM_LOCAL_CLOSE_REASON% \
             %UPSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_TRANSPORT_FAILURE_REASON%",
            &record,
        )
    };
    let (end, normal) = ("TcpConnectionEnd", "Normal Normal");
    let idle = "tcp_session_idle_timeout";
    let longest = "max_connection_duration_reached";
    for (flags, expected) in [
        (&[][..], format!("- - 0 - {end} {normal} - - -")),
        (&[Flag::StreamIdleTimeout], format!("- - 0 - {end} {normal} {idle} {idle} -")),
        (
            &[Flag::DurationTimeout],
            format!("DT DurationTimeout 4194304 - {end} {normal} {longest} {longest} -"),
        ),
        (&[Flag::DownstreamTermination], format!("- - 0 - {end} RemoteReset Normal - - -")),
        (
            &[Flag::UpstreamReset],
            format!("UR UpstreamRemoteReset 16 - {end} LocalReset RemoteReset - - -"),
        ),
        (
            &[Flag::NoRouteFound],
            "NR NoRouteFound 256 filter_chain_not_found NotSet Normal - - - -".to_owned(),
        ),
        (
            &[Flag::UpstreamOverflow],
            format!("UO UpstreamOverflow 128 - {end} {normal} tcp_initializion_failure:2 - -"),
        ),
    ] {
        assert_eq!(told(flags, None), expected);
    }
    let reason = |failure| told(&[Flag::NoHealthyUpstream], Some(failure));
    assert!(reason("no connection within 500ms").ends_with("tcp_initializion_failure:1 - -"));
    let unreachable = reason("no route to host (os error 113)");
    assert!(unreachable.ends_with(" delayed_connect_error:_No_route_to_host"), "{unreachable}");
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
        "fixed": [true, null],
    });
    let mut line = String::new();
    let connected = AccessRecord { upstream_local: "10.0.0.9:5".parse().ok(), ..record() };
    Format::json(&format).unwrap().write(&connected, &mut line);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let cluster = "outbound|8020||echo.default.svc.cluster.local";
    let long = "UpstreamConnectionFailure,UpstreamRetryLimitExceeded";
    let expected = json!({
        "to": {"cluster": cluster, "port": 8020}, "flags": ["UF,URX", long], "version": 2, "fixed": [true, null],
    });
    assert_eq!(value, expected);
    for wrong in [json!("%DURATION%"), json!(null), json!(["%DURATION%"])] {
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
    let format = json!({
        "who": "%REQ(X)%", "in": {"who": "%REQ(X)%", "bytes": ["%BYTES_SENT%", "%REQ(X)%"]}, "null": null,
    });
    Format::json(&format).unwrap().omitting_empty(true).write(&record(), &mut line);
    assert_eq!(line, "{\"in\":{\"bytes\":[7]}}\n");
}

#[test]
fn expressions_and_metadata_are_written() {
    let mut line = String::new();
    let format = "%CEL(destination.port)% %CEL(request.host)% %CEL(upstream.address == '10.0.0.2:8020')% \
                  %UPSTREAM_METADATA(istio:workload)% %METADATA(UPSTREAM_HOST:istio:workload)% \
                  %CLUSTER_METADATA(istio:x)% %ACCESS_LOG_TYPE%";
    Format::text(format).unwrap().write(&record(), &mut line);
    assert_eq!(line, "31400 - true echo echo - TcpConnectionEnd\n");
}

#[test]
fn metadata_and_expressions_have_their_types_in_json() {
    let record = AccessRecord {
        workload: Some("{\"workload\":\"w\",\"list\":[1,\"x\"],\"in\":{\"x\":true}}".into()),
        origin: Some("{\"config\":\"/a\"}".into()),
        ..record()
    };
    let texts = [
        "%METADATA(UPSTREAM_HOST:istio:list)%",
        "%METADATA(UPSTREAM_HOST:istio:in:x)%",
        "%METADATA(UPSTREAM_HOST:other)%",
        "%METADATA(LISTENER_FILTER_CHAIN:istio:config)%",
        "%TYPED_CEL(destination.port)%",
        "%TYPED_CEL(connection.mtls)%",
        "%CEL(connection.mtls)%",
        "%TYPED_CEL(request.host)%",
        "%METADATA(UPSTREAM_HOST:istio)%",
    ];
    let mut written = String::new();
    Format::json(&json!({ "all": texts })).unwrap().write(&record, &mut written);
    let value: serde_json::Value = serde_json::from_str(&written).unwrap();
    let whole = json!({"workload": "w", "list": [1, "x"], "in": {"x": true}});
    let expected = json!([[1, "x"], true, null, "/a", 31400, false, "false", null, whole]);
    assert_eq!(value, json!({ "all": expected }));
    assert_eq!(
        line(&texts.join(" "), &record),
        format!("[1,\"x\"] true - /a 31400 false false - {whole}")
    );
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

#[test]
fn a_clients_words_end_no_line() {
    let record = AccessRecord { server_name: Some("a\n[forged]\u{1b}[2J".into()), ..record() };
    for format in ["%REQUESTED_SERVER_NAME%", "%CEL(connection.requested_server_name)%"] {
        assert_eq!(line(format, &record), "a\\n[forged]\\u{1b}[2J", "{format}");
    }
}
