//! Probes over real sockets, while somebody opens connections as fast as they are closed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const LIMITS: Limits = Limits { connections: 256, lasting: Some(Duration::from_secs(60)) };
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
const ATTACKS: usize = 1000;
const PROBES: usize = 20;
/// As kubelet has it, unless it is told otherwise.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

const GET: &[u8] = b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n";

/// More than a socket takes that nobody reads.
static LARGE: [u8; 16 << 20] = [b'x'; 16 << 20];

/// What an attacker sends on a connection of its own.
#[derive(Clone, Copy)]
enum Attack {
    Nothing,
    /// A head that never ends, a byte each second.
    Slowly,
    /// Whole requests for a page that takes longer than anybody waits.
    Requests,
    /// Requests one behind the other without an end, as fast as they are answered.
    Pipelined,
}

/// In a process's place.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn served() -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = runtime();
    let listen = async { crate::socket::listen((Ipv4Addr::LOCALHOST, 0).into()) };
    let listener = runtime.block_on(listen).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve(listener, LIMITS, |request, _| async move {
        match request.uri().path() {
            "/slow" => sleep(Duration::from_secs(30)).await,
            "/large" => return Response::new(Full::new(Bytes::from_static(&LARGE))),
            _ => {}
        }
        response(Page::text("ready\n"))
    }));
    (runtime, address)
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 << 10)?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Until the connection is closed.
async fn attack(attack: Attack, stream: &mut TcpStream) -> io::Result<()> {
    match attack {
        Attack::Nothing => {}
        Attack::Slowly => {
            for byte in b"GET /ready HTTP/1.1\r\nhost: somewhere\r\n" {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Attack::Pipelined => {
            let requests = GET.repeat(1000);
            let (mut answers, mut writer) = stream.split();
            let ask = async {
                loop {
                    writer.write_all(&requests).await?;
                }
            };
            let mut nowhere = tokio::io::sink();
            return tokio::select! {
                ended = ask => ended,
                ended = tokio::io::copy(&mut answers, &mut nowhere) => ended.map(drop),
            };
        }
        Attack::Requests => stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await?,
    }
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

async fn again_and_again(kind: Attack, to: SocketAddr) {
    loop {
        if let Ok(mut stream) = connect(ATTACKER, to).await {
            // Only that it is over counts.
            let _ = attack(kind, &mut stream).await;
        }
        tokio::task::yield_now().await;
    }
}

async fn probe(from: Ipv4Addr, to: SocketAddr) -> io::Result<String> {
    let mut stream = connect(from, to).await?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// All probes are answered in time, from the attacker's address and from another one.
fn check(kind: Attack) {
    let (server, address) = served();
    let attackers = runtime();
    for _ in 0..ATTACKS {
        attackers.spawn(again_and_again(kind, address));
    }
    let prober = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    prober.block_on(async {
        // Every place is taken before the first probe comes.
        sleep(Duration::from_secs(1)).await;
        for at in 0..PROBES {
            for from in [OTHER, ATTACKER] {
                let answer = timeout(PROBE_TIMEOUT, probe(from, address)).await;
                let answer = answer.unwrap_or_else(|_| panic!("probe {at} from {from} is late"));
                let answer = answer.unwrap_or_else(|why| panic!("probe {at} from {from}: {why}"));
                assert!(answer.starts_with("HTTP/1.1 200"), "probe {at} from {from}: {answer}");
            }
        }
    });
    attackers.shutdown_background();
    server.shutdown_background();
}

#[test]
fn connections_on_which_nothing_is_sent_keep_nobody_out() {
    check(Attack::Nothing);
}

#[test]
fn heads_that_come_slowly_keep_nobody_out() {
    check(Attack::Slowly);
}

#[test]
fn requests_that_take_long_keep_nobody_out() {
    check(Attack::Requests);
}

#[test]
fn requests_one_behind_the_other_keep_nobody_out() {
    check(Attack::Pipelined);
}

#[tokio::test]
async fn who_asks_on_without_reading_is_not_read_any_more() {
    const PAGE: usize = 64 << 10;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let server = tokio::spawn(serve(listener, LIMITS, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Response::new(Full::new(Bytes::from_static(&LARGE[..PAGE]))) }
    }));
    let mut stream = connect(ATTACKER, address).await.unwrap();
    let requests = GET.repeat(1000);
    // Until nothing more is taken: its end is not known by anything else.
    let mut take = async || timeout(Duration::from_secs(1), stream.write_all(&requests)).await;
    let ended = loop {
        match take().await {
            Ok(Ok(())) => {}
            ended => break ended,
        }
    };
    assert!(ended.is_err(), "it was closed: {ended:?}");
    // What the sockets take, one that is being sent, and no more: the kernel gives a sender 4 MiB at most.
    let answered = answered.load(Ordering::Relaxed);
    assert!((1..100).contains(&answered), "{answered}");
    server.abort();
}

#[test]
fn of_answers_that_nobody_reads_a_peer_has_a_bounded_number() {
    let (server, address) = served();
    let bound = LIMITS.connections / 4;
    let whole = runtime().block_on(async {
        let mut unread = Vec::new();
        for _ in 0..bound + 10 {
            let mut stream = connect(ATTACKER, address).await.unwrap();
            let request = b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            unread.push(stream);
        }
        let mut whole = 0;
        for mut stream in unread {
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer).await;
            whole += usize::from(ended.is_ok() && answer.len() > LARGE.len());
        }
        whole
    });
    assert_eq!(whole, bound);
    server.shutdown_background();
}

#[tokio::test]
async fn a_connection_without_a_request_ends_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        tokio::spawn(serve(listener, LIMITS, |_, _| async { response(Page::text("ready\n")) }));
    let mut stream = connect(OTHER, address).await.unwrap();
    let began = Instant::now();
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost").await.unwrap();
    let mut answer = Vec::new();
    timeout(HEADER_TIMEOUT * 2, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(began.elapsed() >= HEADER_TIMEOUT && answer.is_empty(), "{answer:?}");
    server.abort();
}
