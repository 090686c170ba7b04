//! The server as a whole, over loopback, with scripted mesh names and a scripted host resolver.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use lateen_testkit::fuzz::{self, fuzz};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::answer::{self, End};
use super::{Dns, LARGEST_UDP, Limit, Meaning, Resolver, Upstream, Zone, tcp};

const LONG: Duration = Duration::from_secs(10);

struct Names(HashMap<&'static str, Meaning>);

impl Resolver for Names {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Meaning> {
        Box::pin(async move { self.0.get(name).cloned().unwrap_or(Meaning::Absent) })
    }
}

/// A mesh with an IPv4 name, one with both families, one with very many addresses, aliases of names
/// inside and outside, a circle of two, and a name that the control plane did not tell.
fn names() -> Arc<Names> {
    let many = (0..200).map(|last| IpAddr::from([10, 0, 0, last])).collect();
    let ips = |all: &[&str]| Meaning::Addresses(all.iter().map(|ip| ip.parse().unwrap()).collect());
    let alias = |name: &str| Meaning::Alias(name.to_owned());
    Arc::new(Names(HashMap::from([
        ("echo.default.svc.cluster.local", ips(&["10.96.0.7"])),
        ("both.default.svc.cluster.local", ips(&["10.96.0.8", "fd00::8"])),
        ("many.default.svc.cluster.local", Meaning::Addresses(many)),
        ("api.entry.example", ips(&["240.240.0.1"])),
        ("inside.default.svc.cluster.local", alias("inner.default.svc.cluster.local")),
        ("inner.default.svc.cluster.local", alias("echo.default.svc.cluster.local")),
        ("outside.default.svc.cluster.local", alias("www.example.com")),
        ("lost.default.svc.cluster.local", alias("nobody.default.svc.cluster.local")),
        ("a.default.svc.cluster.local", alias("b.default.svc.cluster.local")),
        ("b.default.svc.cluster.local", alias("a.default.svc.cluster.local")),
        ("late.default.svc.cluster.local", Meaning::Unknown),
    ])))
}

struct Running {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

async fn start(upstream: Upstream, idle: Duration) -> Running {
    start_in(Zone::default(), upstream, idle).await
}

async fn start_in(zone: Zone, upstream: Upstream, idle: Duration) -> Running {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = std::net::UdpSocket::bind(address).unwrap();
    let mut dns = Dns::new(udp, tcp, names(), upstream, zone).unwrap();
    Arc::get_mut(&mut dns.shared).unwrap().tcp_idle = idle;
    let mut tasks = JoinSet::new();
    tasks.spawn(async { panic!("the server ended: {}", dns.serve().await) });
    Running { address, _tasks: tasks }
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn ask(server: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = vec![0; 65535];
    let (length, _) =
        tokio::time::timeout(LONG, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, query.metadata.id);
    answer
}

async fn ask_tcp(server: SocketAddr, query: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    tcp::write(&mut stream, &query.to_vec().unwrap()).await.unwrap();
    Message::from_vec(&tcp::read(&mut stream, 65535).await.unwrap()).unwrap()
}

fn soa_owner(answer: &Message) -> String {
    let [only] = answer.authorities.as_slice() else { panic!("{:?}", answer.authorities) };
    assert_eq!(only.data.record_type(), RecordType::SOA);
    assert!(answer.metadata.authoritative);
    only.name.to_string()
}

fn addresses(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

/// A host resolver that does with each question what `script` says, over UDP and TCP.
async fn host_resolver(
    script: fn(Message, bool) -> Message,
) -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = vec![0; 65535];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = script(Message::from_vec(&buffer[..length]).unwrap(), false);
            udp.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let query = tcp::read(&mut stream, 65535).await.unwrap();
            let answer = script(Message::from_vec(&query).unwrap(), true);
            tcp::write(&mut stream, &answer.to_vec().unwrap()).await.unwrap();
        }
    });
    (address, asked, tasks)
}

fn reply(query: &Message, records: impl IntoIterator<Item = RData>) -> Message {
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    let name = query.queries[0].name().clone();
    reply.add_query(query.queries[0].clone());
    for data in records {
        reply.add_answer(Record::from_rdata(name.clone(), 60, data));
    }
    reply
}

#[tokio::test]
async fn a_mesh_name_is_answered_over_udp_and_tcp_whatever_its_case() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let question = query("Echo.Default.svc.cluster.local.", RecordType::A);
    for answer in [ask(dns.address, &question).await, ask_tcp(dns.address, &question).await] {
        assert_eq!(addresses(&answer), ["10.96.0.7"]);
        assert_eq!(answer.answers[0].ttl, 30);
        assert_eq!(answer.queries, question.queries);
    }
}

#[tokio::test]
async fn a_family_that_the_name_lacks_is_no_data_and_not_a_missing_name() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    for kind in [RecordType::AAAA, RecordType::HTTPS] {
        let answer = ask(dns.address, &query("echo.default.svc.cluster.local.", kind)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.answers.is_empty());
        assert_eq!(soa_owner(&answer), "cluster.local.");
    }
    let answer = ask(dns.address, &query("api.entry.example.", RecordType::AAAA)).await;
    assert_eq!(soa_owner(&answer), "api.entry.example.");
    let answer =
        ask(dns.address, &query("both.default.svc.cluster.local.", RecordType::AAAA)).await;
    assert_eq!(addresses(&answer), ["fd00::8"]);
}

#[tokio::test]
async fn an_answer_too_long_for_the_asker_sends_it_to_tcp() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let mut question = query("many.default.svc.cluster.local.", RecordType::A);
    assert!(ask(dns.address, &question).await.metadata.truncation);
    let mut edns = Edns::new();
    edns.set_max_payload(65000);
    question.set_edns(edns);
    assert!(ask(dns.address, &question).await.metadata.truncation, "1232 bytes at most over UDP");
    assert_eq!(ask_tcp(dns.address, &question).await.answers.len(), 200);
}

#[tokio::test]
async fn other_names_and_other_types_go_to_the_host() {
    let (host, asked, _tasks) = host_resolver(|query, _| match query.queries[0].query_type() {
        RecordType::PTR => {
            reply(&query, [RData::PTR(PTR(Name::from_ascii("host.example.").unwrap()))])
        }
        _ => reply(&query, [RData::A(A::new(192, 0, 2, 1))]),
    })
    .await;
    let dns = start(Upstream::fixed(vec![host]), LONG).await;
    let answer = ask(dns.address, &query("www.example.com.", RecordType::A)).await;
    assert_eq!(addresses(&answer), ["192.0.2.1"]);
    let answer = ask(dns.address, &query("1.2.0.192.in-addr.arpa.", RecordType::PTR)).await;
    assert_eq!(addresses(&answer), ["host.example."]);
    ask(dns.address, &query("echo.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a mesh name stays here");
}

#[tokio::test]
async fn a_truncated_answer_of_the_host_is_fetched_over_tcp() {
    let (host, _, _tasks) = host_resolver(|query, over_tcp| {
        let mut answer = reply(&query, over_tcp.then_some(RData::A(A::new(192, 0, 2, 2))));
        answer.metadata.truncation = !over_tcp;
        answer
    })
    .await;
    let dns = start(Upstream::fixed(vec![host]), LONG).await;
    let answer = ask(dns.address, &query("big.example.com.", RecordType::A)).await;
    assert_eq!(addresses(&answer), ["192.0.2.2"]);
}

#[tokio::test]
async fn a_host_resolver_that_fails_is_passed_over() {
    let (broken, _, _broken_tasks) = host_resolver(|query, _| {
        let mut answer = reply(&query, []);
        answer.metadata.response_code = ResponseCode::ServFail;
        answer
    })
    .await;
    let (good, _, _good_tasks) =
        host_resolver(|query, _| reply(&query, [RData::A(A::new(192, 0, 2, 3))])).await;
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = vec![silent.local_addr().unwrap(), broken, good];
    let dns = start(Upstream::fixed(servers), LONG).await;
    let answer = ask(dns.address, &query("www.example.com.", RecordType::A)).await;
    assert_eq!(addresses(&answer), ["192.0.2.3"]);
}

#[tokio::test]
async fn when_no_host_resolver_answers_the_asker_hears_of_it() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let answer = ask(dns.address, &query("www.example.com.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn an_answer_to_another_question_is_not_taken() {
    let (liar, _, _tasks) = host_resolver(|query, _| {
        let mut other = self::query("other.example.com.", RecordType::A);
        other.metadata.id = query.metadata.id;
        reply(&other, [RData::A(A::new(192, 0, 2, 66))])
    })
    .await;
    let dns = start(Upstream::fixed(vec![liar]), LONG).await;
    let answer = ask(dns.address, &query("www.example.com.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn garbage_is_dropped_and_the_next_question_answered() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&[0xff; 900], dns.address).await.unwrap();
    socket.send_to(b"", dns.address).await.unwrap();
    let mut stream = TcpStream::connect(dns.address).await.unwrap();
    stream.write_all(&[0xff; 5000]).await.unwrap();
    let closed = tokio::time::timeout(LONG, stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    let answer = ask(dns.address, &query("echo.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(addresses(&answer), ["10.96.0.7"]);
}

#[tokio::test]
async fn an_idle_tcp_connection_is_closed() {
    let dns = start(Upstream::fixed(vec![]), Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(dns.address).await.unwrap();
    let read = tokio::time::timeout(LONG, stream.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn the_hosts_file_is_read_again_when_it_changes() {
    let path = std::env::temp_dir().join(format!("lateen-resolv-{}", std::process::id()));
    let upstream = Upstream::of_file(&path, "10.201.0.1".parse().unwrap());
    assert_eq!(upstream.servers(), ["127.0.0.1:53".parse().unwrap()], "no file: the local machine");
    std::fs::write(&path, "nameserver 10.201.0.1\nnameserver 192.0.2.53\n").unwrap();
    assert_eq!(
        upstream.servers(),
        ["192.0.2.53:53".parse().unwrap()],
        "never the workload's way to us"
    );
    std::fs::write(&path, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n nameserver ::1").unwrap();
    assert_eq!(upstream.servers().len(), 3);
    std::fs::remove_file(&path).unwrap();
}

/// A host resolver that takes everything for its own.
async fn greedy() -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    host_resolver(|query, _| reply(&query, [RData::A(A::new(192, 0, 2, 1))])).await
}

#[tokio::test]
async fn an_unknown_name_of_the_cluster_is_denied_here_and_told_to_nobody() {
    let (host, asked, _tasks) = greedy().await;
    let dns = start(Upstream::fixed(vec![host]), LONG).await;
    let names = [
        "nobody.default.svc.cluster.local.",
        "www.example.com.svc.cluster.local.",
        "x.cluster.local.",
    ];
    for (name, kind) in
        names.into_iter().flat_map(|name| [(name, RecordType::A), (name, RecordType::TXT)])
    {
        let answer = ask(dns.address, &query(name, kind)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}");
        assert_eq!(soa_owner(&answer), "cluster.local.");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn in_a_cluster_its_own_dns_is_asked_for_what_the_mesh_does_not_know() {
    let (cluster, asked, _tasks) = greedy().await;
    let zone = Zone::shared("cluster.local");
    let dns = start_in(zone, Upstream::fixed(vec![cluster]), LONG).await;
    ask(dns.address, &query("echo.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the mesh knows it");
    for (name, kind) in [
        ("left-out.default.svc.cluster.local.", RecordType::A),
        ("_tcp._tcp.echo.default.svc.cluster.local.", RecordType::SRV),
        ("late.default.svc.cluster.local.", RecordType::A),
    ] {
        let answer = ask(dns.address, &query(name, kind)).await;
        assert_eq!(addresses(&answer), ["192.0.2.1"], "{name}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_namespace_and_other_types_of_a_known_name_are_no_data() {
    let (host, asked, _tasks) = greedy().await;
    let dns = start(Upstream::fixed(vec![host]), LONG).await;
    let questions = [
        ("default.svc.cluster.local.", RecordType::A),
        ("cluster.local.", RecordType::NS),
        ("echo.default.svc.cluster.local.", RecordType::MX),
        ("echo.default.svc.cluster.local.", RecordType::SRV),
    ];
    for (name, kind) in questions {
        let answer = ask(dns.address, &query(name, kind)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{name}");
        assert!(answer.answers.is_empty());
        assert_eq!(soa_owner(&answer), "cluster.local.");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_the_control_plane_did_not_tell_is_a_failure_and_not_denied() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let answer = ask(dns.address, &query("late.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn an_alias_is_answered_with_its_chain_and_the_addresses_at_its_end() {
    let (host, asked, _tasks) = greedy().await;
    let dns = start(Upstream::fixed(vec![host]), LONG).await;
    let answer = ask(dns.address, &query("inside.default.svc.cluster.local.", RecordType::A)).await;
    let inner =
        ["inner.default.svc.cluster.local.", "echo.default.svc.cluster.local.", "10.96.0.7"];
    assert_eq!(addresses(&answer), inner);
    assert_eq!(answer.answers[1].name.to_string(), inner[0]);
    assert_eq!(answer.answers[2].name.to_string(), inner[1]);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let answer =
        ask(dns.address, &query("outside.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(addresses(&answer), ["www.example.com.", "192.0.2.1"]);
    assert_eq!(answer.answers[1].name.to_string(), "www.example.com.");
    assert_eq!(answer.queries[0].name().to_string(), "outside.default.svc.cluster.local.");
    let only =
        ask(dns.address, &query("outside.default.svc.cluster.local.", RecordType::CNAME)).await;
    assert_eq!(addresses(&only), ["www.example.com."]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_alias_of_nothing_is_denied_and_a_circle_fails() {
    let dns = start(Upstream::fixed(vec![]), LONG).await;
    let answer = ask(dns.address, &query("lost.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(addresses(&answer), ["nobody.default.svc.cluster.local."]);
    for name in ["a.default.svc.cluster.local.", "outside.default.svc.cluster.local."] {
        let answer = ask(dns.address, &query(name, RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}");
    }
}

#[test]
fn whatever_comes_as_a_question_or_an_answer_is_read_without_harm() {
    let mut answered = query("db.example.com.", RecordType::A);
    answered.metadata.message_type = MessageType::Response;
    let address = RData::A(A::new(192, 0, 2, 1));
    let name = Name::from_ascii("db.example.com.").unwrap();
    answered.add_answer(Record::from_rdata(name, 30, address));
    let samples = [
        query("echo.default.svc.cluster.local.", RecordType::A),
        query("_tcp._x.echo.", RecordType::SRV),
        answered,
    ];
    let samples = samples.map(|message| message.to_vec().unwrap()).to_vec();
    fuzz(4000, fuzz::bytes(samples), |bytes| {
        let seen = answer::received(&bytes);
        let Some(question) = answer::parse(&bytes) else { return };
        let chain = ["a.example.com".to_owned(), "..".to_owned()];
        let ends = [seen, Some(End::NoSuchName), Some(End::Empty), Some(End::Chain)];
        for end in ends.into_iter().flatten() {
            let bytes = answer::mesh(&question, &chain[..1], &end, &Zone::default(), Limit::Udp);
            assert!(bytes.len() <= usize::from(LARGEST_UDP), "{} bytes", bytes.len());
            let _ = answer::mesh(&question, &chain, &end, &Zone::default(), Limit::Tcp);
        }
    });
}
