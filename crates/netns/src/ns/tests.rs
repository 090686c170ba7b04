//! Real packets through real rules, in namespaces of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::{Attachment, Namespace, gateway};
use crate::links::on_links;
use crate::rules::Intercept;
use crate::scratch;

const BRIDGE: &str = "ltntest";
const SUBNET: &str = "10.201.250.0/24";

/// A namespace that plays the host, with a bridge, and a workload in it.
struct Mesh {
    host: Namespace,
    workload: Namespace,
    attachment: Attachment,
}

impl Mesh {
    fn new() -> Option<Mesh> {
        let host = scratch::namespace()?;
        let workload = Namespace::create().unwrap();
        let subnet = SUBNET.parse().unwrap();
        let address = "10.201.250.9".parse().unwrap();
        let attachment = Attachment { bridge: BRIDGE.into(), subnet, address };
        host.run(|| {
            on_links(async |links| {
                let bridge = links.ensure_bridge(BRIDGE, "10.201.250.1".parse().unwrap()).await?;
                links.ensure_address(bridge, "10.201.250.1/24".parse::<Ipv4Net>().unwrap()).await?;
                links.up(bridge).await
            })
            .unwrap();
            workload.attach(&attachment).unwrap();
        })
        .unwrap();
        workload.intercept(&Intercept::default()).unwrap();
        Some(Mesh { host, workload, attachment })
    }

    fn listen(&self, address: &str) -> TcpListener {
        self.workload.run(|| TcpListener::bind(address).unwrap()).unwrap()
    }

    fn dial(&self, address: &str) -> TcpStream {
        connect(&self.workload, address)
    }
}

fn connect(namespace: &Namespace, address: &str) -> TcpStream {
    let address: SocketAddr = address.parse().unwrap();
    namespace.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap()).unwrap()
}

/// Connects as the sidecar does.
fn connect_marked(namespace: &Namespace, source: Ipv4Addr, address: &str) -> TcpStream {
    let address: SocketAddrV4 = address.parse().unwrap();
    namespace
        .run(|| {
            use nix::sys::socket::{
                AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket,
            };
            let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
                .unwrap();
            setsockopt(&fd, sockopt::Mark, &1337).unwrap();
            use std::os::fd::AsRawFd;
            bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0))).unwrap();
            connect(fd.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
            TcpStream::from(fd)
        })
        .unwrap()
}

/// Accepts one connection; answers where its client meant to go.
fn original_destination(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().unwrap();
    let raw = getsockopt(&stream, sockopt::OriginalDst).unwrap();
    let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).to_string()
}

#[test]
fn a_dial_to_anywhere_reaches_the_outbound_listener_with_its_destination() {
    let Some(mesh) = Mesh::new() else { return };
    let outbound = mesh.listen("0.0.0.0:15001");
    let _stream = mesh.dial("198.51.100.7:8020");
    assert_eq!(original_destination(&outbound), "198.51.100.7:8020");
}

#[test]
fn a_call_from_outside_reaches_the_inbound_listener_except_on_the_sidecars_ports() {
    let Some(mesh) = Mesh::new() else { return };
    let inbound = mesh.listen("0.0.0.0:15006");
    let health = mesh.listen("0.0.0.0:15021");
    let _stream = connect(&mesh.host, "10.201.250.9:22");
    assert_eq!(original_destination(&inbound), "10.201.250.9:22");
    let mut direct = connect(&mesh.host, "10.201.250.9:15021");
    direct.write_all(b"x").unwrap();
    let (mut accepted, _) = health.accept().unwrap();
    accepted.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_proxys_own_traffic_is_left_alone() {
    let Some(mesh) = Mesh::new() else { return };
    let program = mesh.listen("10.201.250.9:8020");
    let _inward = connect_marked(&mesh.workload, Ipv4Addr::new(127, 0, 0, 6), "10.201.250.9:8020");
    let (_, from) = program.accept().unwrap();
    assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 6));
    let peer = mesh.host.run(|| TcpListener::bind("10.201.250.1:9000").unwrap()).unwrap();
    let _outward = connect_marked(&mesh.workload, Ipv4Addr::UNSPECIFIED, "10.201.250.1:9000");
    let (_, from) = peer.accept().unwrap();
    assert_eq!(from.ip(), Ipv4Addr::new(10, 201, 250, 9));
}

#[test]
fn a_proxy_that_dials_its_own_workload_enters_by_the_inbound_listener() {
    let Some(mesh) = Mesh::new() else { return };
    let inbound = mesh.listen("0.0.0.0:15006");
    let _stream = connect_marked(&mesh.workload, Ipv4Addr::UNSPECIFIED, "10.201.250.9:8020");
    assert_eq!(original_destination(&inbound), "10.201.250.9:8020");
}

#[test]
fn a_program_that_calls_itself_is_not_captured() {
    let Some(mesh) = Mesh::new() else { return };
    for address in ["127.0.0.1:8020", "10.201.250.9:8021", "[::1]:8022"] {
        let program = mesh.listen(address);
        let _stream = mesh.dial(address);
        program.accept().unwrap();
    }
}

#[test]
fn ipv6_is_captured_too() {
    let Some(mesh) = Mesh::new() else { return };
    let commands: [&[&str]; 2] = [
        &["-6", "addr", "add", "fd00:77::9/64", "dev", "eth0", "nodad"],
        &["-6", "route", "add", "default", "dev", "eth0"],
    ];
    for arguments in commands {
        scratch::output(&mesh.workload, "ip", arguments);
    }
    let outbound = mesh.listen("[::]:15001");
    let _stream = mesh.dial("[2001:db8::7]:8020");
    let (stream, _) = outbound.accept().unwrap();
    let raw = getsockopt(&stream, sockopt::Ip6tOriginalDst).unwrap();
    assert_eq!(std::net::Ipv6Addr::from(raw.sin6_addr.s6_addr).to_string(), "2001:db8::7");
    assert_eq!(u16::from_be(raw.sin6_port), 8020);
}

#[test]
fn dns_is_redirected_whichever_server_is_asked() {
    let Some(mesh) = Mesh::new() else { return };
    let server = mesh.workload.run(|| UdpSocket::bind("127.0.0.1:15053").unwrap()).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for asked in ["8.8.8.8:53", "127.0.0.53:53", "10.201.250.1:53"] {
        let client = mesh.workload.run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(b"question", asked).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        server.send_to(b"answer", from).unwrap();
        let (_, answered) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(answered.to_string(), asked);
    }
    let tcp = mesh.listen("127.0.0.1:15053");
    let _stream = mesh.dial("8.8.8.8:53");
    assert_eq!(original_destination(&tcp), "8.8.8.8:53");
}

#[test]
fn attaching_again_takes_over_what_a_killed_owner_left() {
    let Some(mesh) = Mesh::new() else { return };
    let next = Namespace::create().unwrap();
    mesh.host.run(|| next.attach(&mesh.attachment).unwrap()).unwrap();
    let addresses = scratch::output(&next, "ip", &["-4", "-o", "addr", "show", "dev", "eth0"]);
    assert!(addresses.contains("10.201.250.9/24"), "{addresses}");
    assert!(mesh.attachment.interface().len() <= 15);
}

#[test]
fn a_dropped_namespace_takes_its_interfaces_with_it() {
    let Some(Mesh { host, workload, attachment }) = Mesh::new() else { return };
    drop(workload);
    let gone = || {
        let links = scratch::output(&host, "ip", &["-o", "link"]);
        !links.contains(&attachment.interface())
    };
    // The kernel cleans up on its own time; a namespace that is held goes on for ever.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !gone() {
        assert!(std::time::Instant::now() < deadline, "the interface is still there");
        std::thread::yield_now();
    }
}

#[test]
fn the_bridge_has_the_first_address() {
    assert_eq!(gateway(SUBNET.parse().unwrap()).to_string(), "10.201.250.1");
}

/// Neighbours remember hardware addresses for half a minute.
#[test]
fn the_next_owner_of_an_address_is_reached_at_once() {
    let Some(mut mesh) = Mesh::new() else { return };
    let address: SocketAddr = "10.201.250.9:15006".parse().unwrap();
    for _ in 0..3 {
        let _listener = mesh.listen("0.0.0.0:15006");
        let patience = Duration::from_secs(2);
        let dialled = mesh.host.run(|| TcpStream::connect_timeout(&address, patience)).unwrap();
        dialled.unwrap();
        mesh.workload = Namespace::create().unwrap();
        mesh.host.run(|| mesh.workload.attach(&mesh.attachment).unwrap()).unwrap();
    }
}
