//! Probes as the injector writes them, and almost so.

use lateen_testkit::fuzz::{fuzz, objects};
use serde_json::{Value, json};

use super::{Call, Probers};

fn sample() -> Value {
    json!({
        "/app-health/web/readyz": {
            "httpGet": {
                "path": "healthy", "port": 8080, "scheme": "HTTPS",
                "httpHeaders": [{"name": "Host", "value": "web"}, {"name": "X-Probe", "value": "1"}],
            },
            "timeoutSeconds": 3,
        },
        "/app-health/web/livez": {"tcpSocket": {"port": "9090"}},
        "/app-health/web/startupz": {"grpc": {"port": 50051, "service": "web"}},
    })
}

#[test]
fn every_kind_of_probe_is_read() {
    let probers = Probers::parse(&sample().to_string()).unwrap().0;
    let ready = &probers["/app-health/web/readyz"];
    assert_eq!(ready.timeout.as_secs(), 3);
    let Call::Http(http) = &ready.call else { panic!("{ready:?}") };
    assert!(http.tls && http.port == 8080 && http.path == "/healthy");
    assert_eq!((http.host.as_ref().unwrap().as_bytes(), http.headers.len()), (&b"web"[..], 1));
    let live = &probers["/app-health/web/livez"];
    assert!(matches!(live.call, Call::Tcp(9090)) && live.timeout.as_secs() == 1);
    let start = &probers["/app-health/web/startupz"].call;
    assert!(matches!(start, Call::Grpc { port: 50051, service } if service == "web"));
}

#[test]
fn a_probe_that_cannot_be_asked_is_named() {
    let refused = |probe: Value| {
        let json = json!({"/app-health/a/livez": probe}).to_string();
        Probers::parse(&json).unwrap_err().to_string()
    };
    assert!(refused(json!({"exec": {}})).contains("/app-health/a/livez: neither httpGet"));
    assert!(refused(json!({"tcpSocket": {"port": "http"}})).contains("is not a port"));
    assert!(refused(json!({"httpGet": {"port": 0}})).contains("0 is not a port"));
    assert!(refused(json!({"httpGet": {"port": 1, "path": "a b"}})).contains("\"/a b\""));
    let header = json!([{"name": "a b", "value": ""}]);
    assert!(refused(json!({"httpGet": {"port": 1, "httpHeaders": header}})).contains("\"a b\""));
}

#[test]
fn no_probes_make_it_panic() {
    fuzz(300, objects(vec![sample()]), |probes| {
        let _ = Probers::parse(&probes.to_string());
    });
}
