//! The data path on loopback, with fixed resources.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::time::Duration;

use lateen_proxy::{Handle, Options, Proxy, Role, Source, StaticResources};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod common;

/// A proxy in front of a server, and the address to dial.
struct Rig {
    proxy: Handle,
    at: SocketAddr,
    home: TempDir,
}

async fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    probe.local_addr().unwrap()
}

async fn rig(upstream: SocketAddr) -> Rig {
    let home = tempfile::tempdir().unwrap();
    let at = free_address().await;
    let source = Source::Static(Box::new(StaticResources {
        listeners: vec![common::listener("front", at, "back")],
        clusters: vec![common::cluster("back", &[upstream])],
        endpoints: Vec::new(),
    }));
    let proxy = Proxy::start(Options {
        workers: 2,
        admin_socket: Some(home.path().join("admin.sock")),
        ..Options::new(Default::default(), Role::Gateway, source)
    });
    let proxy = proxy.await.unwrap();
    proxy.ready().await;
    Rig { proxy, at, home }
}

impl Rig {
    /// The records, once there are as many.
    async fn records(&self, count: usize) -> Vec<Value> {
        let socket = self.home.path().join("admin.sock");
        for _ in 0..500 {
            if let Ok(page) = lateen_runtime::admin::get(&socket, "/records").await {
                let records: Vec<Value> = serde_json::from_slice(&page).unwrap();
                if records.len() >= count {
                    return records;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there never were {count} records");
    }
}

#[tokio::test]
async fn the_clients_end_is_passed_on_and_the_answer_still_comes() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    accepted.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    accepted.write_all(b"answer").await.unwrap();
    drop(accepted);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    let record = &rig.records(1).await[0];
    assert_eq!((&record["bytes_received"], &record["bytes_sent"]), (&8.into(), &6.into()));
    assert_eq!(record["flags"], serde_json::json!([]));
    assert_eq!(record["cluster"], "back");
}

#[tokio::test]
async fn a_server_may_speak_first_and_end_first() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    accepted.write_all(b"220 hello").await.unwrap();
    accepted.shutdown().await.unwrap();
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).await.unwrap();
    assert_eq!(greeting, "220 hello");
    client.write_all(b"late").await.unwrap();
    client.shutdown().await.unwrap();
    let mut late = String::new();
    accepted.read_to_string(&mut late).await.unwrap();
    assert_eq!(late, "late");
}

#[tokio::test]
async fn a_refusing_upstream_is_a_reset_and_a_record() {
    // Bound and not listening: nobody else gets the port, and it refuses.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let rig = rig(closed.local_addr().unwrap()).await;
    // The reset may come before the client looked at its own connect.
    let read = async { TcpStream::connect(rig.at).await?.read_u8().await };
    let error = read.await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let record = &rig.records(1).await[0];
    assert_eq!(record["flags"], serde_json::json!(["UF", "URX"]));
    assert_eq!(record["upstream_failure"], "connection refused");
}

#[tokio::test]
async fn a_client_that_resets_is_not_connected_for_any_longer() {
    // Its queue is full, so that the kernel leaves further connections unanswered.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let _queued = TcpStream::connect(full.local_addr().unwrap()).await.unwrap();
    let rig = rig(full.local_addr().unwrap()).await;
    let client = TcpStream::connect(rig.at).await.unwrap();
    client.set_zero_linger().unwrap();
    drop(client);
    let record = &rig.records(1).await[0];
    assert_eq!(record["flags"], serde_json::json!(["DC"]));
    let reason = "connection reset by the client before it was connected";
    assert_eq!(record["close_reason"], reason);
}

#[tokio::test]
async fn an_upstream_reset_reaches_the_client_as_one() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    // A reset before the proxy looked at its connect would be a failed connect.
    client.write_all(b"a").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'a');
    accepted.set_zero_linger().unwrap();
    drop(accepted);
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(rig.records(1).await[0]["flags"], serde_json::json!(["UR"]));
}

#[tokio::test]
async fn a_hundred_mebibytes_arrive_whole_both_ways() {
    const SIZE: usize = 100 << 20;
    let byte = |at: usize| (at ^ (at >> 9) ^ (at >> 17)) as u8;
    let data: std::sync::Arc<[u8]> = (0..SIZE).map(byte).collect();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let client = TcpStream::connect(rig.at).await.unwrap();
    let (accepted, _) = server.accept().await.unwrap();
    let exchange = |stream: TcpStream| {
        let data = data.clone();
        async move {
            let (mut reader, mut writer) = stream.into_split();
            let send = async {
                writer.write_all(&data).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let receive = async {
                let mut received = Vec::with_capacity(SIZE);
                reader.read_to_end(&mut received).await.unwrap();
                received
            };
            let ((), received) = tokio::join!(send, receive);
            assert!(received == *data, "the bytes differ");
        }
    };
    tokio::join!(exchange(client), exchange(accepted));
    let record = &rig.records(1).await[0];
    assert_eq!(record["bytes_received"], SIZE);
    assert_eq!(record["bytes_sent"], SIZE);
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_back_and_loses_nothing() {
    const SIZE: usize = 24 << 20;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    let sender = tokio::spawn(async move {
        let data = vec![7u8; SIZE];
        client.write_all(&data).await.unwrap();
        client.shutdown().await.unwrap();
        client
    });
    let mut total = 0;
    let mut buffer = vec![0u8; 5000];
    loop {
        let size = accepted.read(&mut buffer).await.unwrap();
        if size == 0 {
            break;
        }
        total += size;
        tokio::task::yield_now().await;
    }
    assert_eq!(total, SIZE);
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn a_drain_waits_for_connections_and_accepts_no_more() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    client.write_all(b"a").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'a');
    // Connections made before the drain has begun are refused upstream and do not linger.
    drop(server);
    let at = rig.at;
    let drain = tokio::spawn(rig.proxy.drain_and_stop(Some(Duration::from_secs(20))));
    while TcpStream::connect(at).await.is_ok() {
        tokio::task::yield_now().await;
    }
    client.write_all(b"b").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'b');
    drop((client, accepted));
    assert!(drain.await.unwrap(), "the connection ended before the deadline");
}

#[tokio::test]
async fn a_drain_deadline_cuts_what_is_left() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(rig.at).await.unwrap();
    let (_accepted, _) = server.accept().await.unwrap();
    assert!(!rig.proxy.drain_and_stop(Some(Duration::from_millis(50))).await);
    assert!(matches!(client.read(&mut [0]).await, Ok(0) | Err(_)));
}
