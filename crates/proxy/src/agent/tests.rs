//! The agent's pages, in front of applications of the test.

mod application;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use lateen_telemetry::exposition::Format;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::merge::AT_ONCE;
use super::server::{Asked, Routes};
use super::{Application, Options, Probers, State, server, status};
use crate::{Handle, Proxy, Role, Source, StaticResources};
use application::{Answer, Application as App};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const KUBELET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

struct Rig {
    state: Arc<State>,
    _proxy: Handle,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Rig {
    async fn start(source: Source, probers: &Value, application: Option<Application>) -> Self {
        let options = crate::Options {
            workers: 1,
            ..crate::Options::new(Default::default(), Role::Gateway, source)
        };
        let proxy = Proxy::start(options).await.unwrap();
        let options = Options {
            address: None,
            status_port: 15020,
            admin_port: 15000,
            pod: LOCAL,
            probers: Probers::parse(&probers.to_string()).unwrap(),
            application,
            netns: None,
        };
        let state = State::new(options, proxy.view());
        Self { state: Arc::new(state), _proxy: proxy }
    }

    async fn with(probers: Value) -> Self {
        Self::start(fixed(), &probers, None).await
    }

    async fn scraping(port: u16) -> Self {
        Self::scraping_of(&json!({"port": port.to_string(), "path": "/own"})).await
    }

    async fn scraping_of(annotations: &Value) -> Self {
        let application = Application::parse(&annotations.to_string(), 15020).unwrap();
        Self::start(fixed(), &json!({}), application).await
    }

    async fn get(&self, path: &str) -> Got {
        let request = Request::get(path).header("host", "10.0.0.7:15020");
        self.ask(request.header("user-agent", "kube-probe/1.34"), KUBELET).await
    }

    async fn ask(&self, request: http::request::Builder, peer: IpAddr) -> Got {
        ask(&status::all(&self.state), request, peer).await
    }
}

fn fixed() -> Source {
    Source::Static(Box::<StaticResources>::default())
}

async fn ask(routes: &Routes, request: http::request::Builder, peer: IpAddr) -> Got {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let (head, body) = routes(Asked { parts, near: peer.is_loopback() }).await.into_parts();
    let read = read(body).await.unwrap();
    let body = String::from_utf8_lossy(&read).into_owned();
    Got { status: head.status.as_u16(), headers: head.headers, body }
}

/// As a connection does: a piece is let go of before the next one is asked for.
async fn read(mut body: server::Body) -> Result<Vec<u8>, server::Error> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        all.extend(frame?.into_data().unwrap_or_default());
    }
    Ok(all)
}

fn ready(action: &str, call: Value) -> Value {
    json!({"/app-health/web/readyz": {action: call}})
}

const PROBE: &str = "/app-health/web/readyz";

#[tokio::test]
async fn an_http_probe_is_asked_as_the_kubelet_would() {
    let app = App::http(|_| Answer::new(418, "short and stout")).await;
    let headers = json!([{"name": "X-Probe", "value": "own"}, {"name": "x-probe", "value": "too"}]);
    let call = json!({"path": "/healthy?a=b", "port": app.port, "httpHeaders": headers});
    let got = Rig::with(ready("httpGet", call)).await.get(PROBE).await;
    assert_eq!((got.status, got.body.as_str()), (418, "short and stout"));
    let asked = app.asked();
    assert_eq!(asked[0].uri, "/healthy?a=b");
    let values = |name: &str| asked[0].headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("host"), [format!("10.0.0.7:{}", app.port).as_str()]);
    assert_eq!(values("user-agent"), ["kube-probe/1.34"]);
    assert_eq!(values("x-probe"), ["own", "too"]);
}

#[tokio::test]
async fn an_https_probe_takes_any_certificate_and_its_own_host() {
    let app = App::https(|_| Answer::new(200, "ok")).await;
    let headers = json!([{"name": "Host", "value": "web.example"}]);
    let call = json!({"port": app.port, "scheme": "HTTPS", "httpHeaders": headers});
    assert_eq!(Rig::with(ready("httpGet", call)).await.get(PROBE).await.status, 200);
    let asked = &app.asked()[0];
    assert_eq!((&*asked.uri, asked.headers["host"].as_bytes()), ("/", &b"web.example"[..]));
}

#[tokio::test]
async fn redirects_are_followed_on_the_pod_and_not_elsewhere() {
    let app = App::http(|uri| match uri {
        "/a" => Answer::to("/b"),
        "/b" => Answer::new(200, "here"),
        "/away" => Answer::to("http://elsewhere.example/"),
        _ => Answer::to("/round"),
    })
    .await;
    let call = |path: &str| ready("httpGet", json!({"path": path, "port": app.port}));
    assert_eq!(Rig::with(call("/a")).await.get(PROBE).await.body, "here");
    assert_eq!(Rig::with(call("/away")).await.get(PROBE).await.status, 302);
    let got = Rig::with(call("/round")).await.get(PROBE).await;
    assert_eq!((got.status, got.body.contains("redirects")), (500, true));
}

#[tokio::test]
async fn an_answer_is_cut_where_the_kubelet_cuts_it() {
    let app = App::http(|_| Answer::new(200, &"x".repeat(100_000))).await;
    let got = Rig::with(ready("httpGet", json!({"port": app.port}))).await.get(PROBE).await;
    assert_eq!((got.status, got.body.len()), (200, 10 << 10));
}

#[tokio::test]
async fn a_tcp_probe_tells_whether_somebody_listens() {
    let app = App::http(|_| Answer::new(200, "")).await;
    let rig = Rig::with(ready("tcpSocket", json!({"port": app.port}))).await;
    assert_eq!(rig.get(PROBE).await.status, 200);
    app.stop().await;
    let got = rig.get(PROBE).await;
    assert_eq!((got.status, got.body.contains("refused")), (500, true), "{}", got.body);
}

#[tokio::test]
async fn a_grpc_probe_tells_whether_the_service_serves() {
    let app = App::grpc().await;
    let asked = async |service: &str| {
        let call = json!({"port": app.port, "service": service});
        Rig::with(ready("grpc", call)).await.get(PROBE).await
    };
    assert_eq!(asked("serving").await.status, 200);
    let got = asked("stopped").await;
    assert_eq!((got.status, got.body.as_str()), (500, "the service's status is 2\n"));
    let got = asked("unknown").await;
    assert_eq!((got.status, got.body.contains("gRPC status 5")), (500, true), "{}", got.body);
    let health = &app.asked()[0];
    assert_eq!(health.uri, "/grpc.health.v1.Health/Check");
    assert_eq!(health.headers["user-agent"], "kube-probe/1.34");
}

#[tokio::test]
async fn a_silent_application_fails_in_the_probes_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let rig = Rig::with(ready("httpGet", json!({"port": port}))).await;
    let begin = std::time::Instant::now();
    let got = rig.get(PROBE).await;
    assert_eq!((got.status, got.body.as_str()), (500, "no answer in time\n"));
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(rig.get("/app-health/other/readyz").await.status, 400);
}

#[tokio::test]
async fn the_applications_metrics_come_last_and_as_they_are() {
    let app = App::http(|_| Answer::new(200, "own_metric 1\n")).await;
    let rig = Rig::scraping(app.port).await;
    let request = Request::get("/stats/prometheus").header("accept", "text/plain");
    let got = rig.ask(request.header("accept-encoding", "gzip"), KUBELET).await;
    assert!(got.body.contains("# TYPE istio_agent_scrapes_total counter\n"), "{}", got.body);
    assert!(got.body.contains("\nistio_agent_scrapes_total 1\n"), "{}", got.body);
    assert!(got.body.contains("\nenvoy_server_live 1\n"), "{}", got.body);
    assert!(got.body.ends_with("\nown_metric 1\n"), "{}", got.body);
    assert_eq!(got.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let asked = app.asked();
    let accept = asked[0].headers["accept"].as_bytes();
    assert_eq!((&*asked[0].uri, accept), ("/own", &b"text/plain"[..]));
    assert!(!asked[0].headers.contains_key("accept-encoding"), "it must not be compressed");
}

#[tokio::test]
async fn the_pages_of_several_targets_come_in_their_order_and_a_missing_one_is_counted() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let first =
        App::http(move |_| Answer { content_type: open, ..Answer::new(200, "first 1\n# EOF\n") });
    let (first, none) = (first.await, App::http(|_| Answer::new(500, "broken")).await);
    let last = App::http(|_| Answer::new(200, "last 1")).await;
    let targets = [&first, &none, &last].map(|app| json!({"port": app.port.to_string()}));
    let rig = Rig::scraping_of(&json!({ "targets": targets })).await;
    let got = rig.get("/stats/prometheus").await;
    assert_eq!(got.headers["content-type"], Format::Text.content_type());
    assert!(got.body.ends_with("\nfirst 1\nlast 1\n"), "{}", got.body);
    let failed = "\nistio_agent_scrape_failures_total{type=\"application\"} 1\n";
    assert!(got.body.contains(failed) && !got.body.contains("broken"), "{}", got.body);
    assert_eq!(last.asked()[0].uri, "/metrics");
    assert_eq!(last.asked()[0].headers["accept"], Format::Text.content_type());
}

#[tokio::test]
async fn openmetrics_stays_openmetrics() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let app =
        App::http(move |_| Answer { content_type: open, ..Answer::new(200, "# EOF\n") }).await;
    let got = Rig::scraping(app.port).await.get("/stats/prometheus").await;
    assert_eq!(got.headers["content-type"], open);
    assert!(got.body.contains("# TYPE istio_agent_scrapes counter\n"), "{}", got.body);
    assert!(got.body.ends_with("# EOF\n"), "{}", got.body);
}

#[tokio::test]
async fn protobuf_of_the_application_makes_the_page_protobuf() {
    // One family of one counter, by hand: field 1 is the name.
    let theirs = "\u{c}\n\nown_metric";
    let app = App::http(move |_| Answer {
        content_type: Format::Protobuf.content_type(),
        ..Answer::new(200, theirs)
    })
    .await;
    let got = Rig::scraping(app.port).await.get("/stats/prometheus").await;
    assert_eq!(got.headers["content-type"], Format::Protobuf.content_type());
    // Messages follow one another, each after its length; a text has comments.
    assert!(got.body.contains("\n\u{19}istio_agent_scrapes_total"), "{:?}", got.body);
    assert!(got.body.ends_with(theirs) && !got.body.contains("# TYPE"), "{:?}", got.body);
}

#[tokio::test]
async fn protobuf_that_cannot_follow_other_messages_takes_nothing_from_the_proxys() {
    let content_type = "application/vnd.google.protobuf; \
                        proto=io.prometheus.client.MetricFamily; encoding=text";
    let app =
        App::http(move |_| Answer { content_type, ..Answer::new(200, "name: \"own\"") }).await;
    let got = Rig::scraping(app.port).await.get("/stats/prometheus").await;
    assert_eq!(got.headers["content-type"], Format::Text.content_type());
    let failed = "\nistio_agent_scrape_failures_total{type=\"application\"} 1\n";
    assert!(got.body.contains(failed) && !got.body.contains("name:"), "{}", got.body);
}

#[tokio::test]
async fn an_application_without_metrics_takes_nothing_from_the_proxys() {
    let app = App::http(|_| Answer::new(404, "no such page")).await;
    let rig = Rig::scraping(app.port).await;
    let failures = "istio_agent_scrape_failures_total{type=\"application\"}";
    let got = rig.get("/stats/prometheus").await;
    assert!(got.status == 200 && got.body.contains(&format!("\n{failures} 1\n")), "{}", got.body);
    assert!(!got.body.contains("no such page"));
    app.stop().await;
    let got = rig.get("/stats/prometheus").await;
    assert!(got.status == 200 && got.body.contains(&format!("\n{failures} 2\n")), "{}", got.body);
}

#[tokio::test]
async fn an_application_that_dies_in_the_middle_of_its_page_leaves_none_that_looks_whole() {
    let listener = tokio::net::TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dying = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(format!("{head}own_metric 1\nown_met").as_bytes()).await.unwrap();
    });
    let rig = Rig::scraping(port).await;
    let (parts, ()) = Request::get("/stats/prometheus").body(()).unwrap().into_parts();
    let reply = status::all(&rig.state)(Asked { parts, near: false }).await;
    assert!(read(reply.into_body()).await.is_err(), "half a page is not all of it");
    dying.await.unwrap();
    // The next one has what the proxy itself counts.
    let got = rig.get("/stats/prometheus").await;
    assert!(got.status == 200 && got.body.contains("\nenvoy_server_live 1\n"), "{}", got.body);
    assert!(!got.body.contains("own_metric"), "{}", got.body);
}

#[tokio::test]
async fn a_crowd_of_scrapers_is_no_crowd_for_the_application() {
    let listener = tokio::net::TcpListener::bind((LOCAL, 0)).await.unwrap();
    let rig = Arc::new(Rig::scraping(listener.local_addr().unwrap().port()).await);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE + 1 {
        let rig = rig.clone();
        crowd.spawn(async move { rig.get("/stats/prometheus").await.body });
    }
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        waiting.push(listener.accept().await.unwrap().0);
    }
    let more = tokio::time::timeout(Duration::from_millis(100), listener.accept());
    assert!(more.await.is_err(), "the others wait");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nown 1\n";
    waiting[0].write_all(answer).await.unwrap();
    waiting.push(listener.accept().await.unwrap().0);
    for stream in &mut waiting[1..] {
        stream.write_all(answer).await.unwrap();
    }
    assert!(crowd.join_all().await.iter().all(|page| page.ends_with("own 1\n")));
}

#[tokio::test]
async fn only_a_program_of_the_pod_can_end_the_agent_and_only_by_post() {
    let rig = Rig::with(json!({})).await;
    let quit = async |method: Method, peer: IpAddr| {
        let request = Request::builder().method(method).uri("/quitquitquit");
        rig.ask(request, peer).await.status
    };
    assert_eq!(quit(Method::POST, KUBELET).await, 403);
    assert_eq!(quit(Method::GET, LOCAL).await, 405);
    let asked = super::Agent(rig.state.clone());
    let asked = tokio::spawn(async move { asked.asked_to_quit().await });
    tokio::task::yield_now().await;
    assert!(!asked.is_finished());
    assert_eq!(quit(Method::POST, LOCAL).await, 200);
    asked.await.unwrap();
}

#[tokio::test]
async fn it_is_ready_with_the_proxy_until_it_drains() {
    let rig = Rig::with(json!({})).await;
    assert_eq!(rig.get("/healthz/ready").await.status, 200);
    let agent = super::Agent(rig.state.clone());
    agent.drain();
    let got = rig.get("/healthz/ready").await;
    assert_eq!((got.status, got.body.as_str()), (503, "the proxy is draining\n"));
}

#[tokio::test]
async fn without_a_control_plane_the_reason_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let address = lateen_xds::client::AdsAddress::Unix(folder.path().join("nobody"));
    let rig = Rig::start(Source::Ads(address), &json!({}), None).await;
    while rig.state.view.trouble().is_none() {
        tokio::task::yield_now().await;
    }
    let got = rig.get("/healthz/ready").await;
    let expected = "no configuration yet: control plane: no such file or directory\n";
    assert_eq!((got.status, got.body.as_str()), (503, expected));
}

#[tokio::test]
async fn the_admin_pages_are_read_only() {
    let rig = Rig::with(json!({})).await;
    let routes = status::admin(&rig.state);
    assert_eq!(ask(&routes, Request::get("/ready"), LOCAL).await.body, "LIVE\n");
    let got = ask(&routes, Request::get("/stats/prometheus"), LOCAL).await;
    assert!(got.body.contains("\nenvoy_server_live 1\n"), "{}", got.body);
    assert_eq!(ask(&routes, Request::post("/ready"), LOCAL).await.status, 405);
    assert_eq!(ask(&routes, Request::get("/nothing"), LOCAL).await.status, 404);
}

#[tokio::test]
async fn pages_are_served_over_http() {
    let rig = Rig::with(json!({})).await;
    let listener = server::listen(Some(LOCAL), 0).unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(server::serve(listener, status::health(&rig.state)));
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = "GET /healthz/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    server.abort();
}

#[tokio::test]
async fn a_scrape_of_a_proxy_that_ends_is_whole_or_its_length_says_that_it_is_not() {
    let Rig { state, _proxy: proxy } = Rig::with(json!({})).await;
    let listener = server::listen(Some(LOCAL), 0).unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(server::serve(listener, status::all(&state)));
    let scrape = async || {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = "GET /stats/prometheus HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = format!("\r\ncontent-length: {}\r\n", page.len());
        assert!(format!("{head}\r\n").contains(&length), "{head}");
        assert!(page.contains("\nlateen_metrics_series 0\n") && page.ends_with('\n'), "{page}");
    };
    scrape().await;
    assert!(proxy.drain_and_stop(None).await);
    scrape().await;
    server.abort();
}

/// Pieces without end, and whether anybody still has them.
struct Endless(#[expect(dead_code, reason = "its end is told")] tokio::sync::oneshot::Sender<()>);

impl Iterator for Endless {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(vec![b'a'; crate::metrics::PIECE])
    }
}

#[tokio::test]
async fn a_page_whose_reader_takes_nothing_is_given_up_with_its_connection() {
    let (held, gone) = tokio::sync::oneshot::channel();
    let page = std::sync::Mutex::new(Some(Endless(held)));
    let routes: Routes = Arc::new(move |_| {
        let pieces = page.lock().unwrap().take().expect("it is asked once");
        let body = super::paced::Paced::new(pieces).boxed_unsync();
        Box::pin(async { server::with_type("text/plain", body) })
    });
    let listener = server::listen(Some(LOCAL), 0).unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(server::serve(listener, routes));
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_secs(60), gone).await;
    assert!(given_up.is_ok(), "it is kept");
    let mut answer = Vec::new();
    // It ends or breaks off: there is no end of the page.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && !answer.ends_with(b"0\r\n\r\n"));
    server.abort();
}
