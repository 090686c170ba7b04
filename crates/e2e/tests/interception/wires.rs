//! A pod's namespace (the test's own) and a neighbour to whom all of its traffic goes. In: addresses to
//! dial. Out: whether the connection reached the sidecar's listener or went its way. In the neighbour every
//! TCP port and every question leads to one socket, so that each dial arrives somewhere and none is waited for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lateen_testkit::process::Process;
use lateen_testkit::tools::lateen;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::{IpTransparent, Mark, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Captured,
    Direct,
}

const SET_UP: &str = "
ip netns add peer
ip link add eth0 type veth peer name eth0 netns peer
ip link add eth1 type veth peer name eth1 netns peer
ip addr add 10.77.0.2/24 dev eth0
ip -6 addr add fd00:77::2/64 dev eth0 nodad
ip addr add 10.78.0.2/24 dev eth1
ip -n peer addr add 10.77.0.1/24 dev eth0
ip -n peer -6 addr add fd00:77::1/64 dev eth0 nodad
ip -n peer addr add 10.78.0.1/24 dev eth1
ip link set eth0 up
ip link set eth1 up
ip -n peer link set lo up
ip -n peer link set eth0 up
ip -n peer link set eth1 up
ip route add default via 10.77.0.1
ip -6 route add default via fd00:77::1
ip route add 192.0.2.0/24 via 10.78.0.1
ip netns exec peer nft 'table inet t { chain p { type nat hook prerouting priority -100; \
  meta l4proto tcp redirect to :9999; meta l4proto udp redirect to :9953; }; }'
";

pub struct Wires {
    folder: TempDir,
    outbound: Option<TcpListener>,
    inbound: Option<TcpListener>,
    /// A name server's answer leaves by the address that it was asked at.
    dns: Option<[UdpSocket; 2]>,
    peer: TcpListener,
    peer_dns: UdpSocket,
}

impl Wires {
    pub fn new() -> Result<Wires> {
        let mut wires = Wires::without_listeners()?;
        wires.outbound = Some(listener("[::]:15001")?);
        wires.inbound = Some(listener("[::]:15006")?);
        let bound = |address: &str| as_user(1337, || UdpSocket::bind(address));
        wires.dns = Some([bound("127.0.0.1:15053")??, bound("[::1]:15053")??]);
        Ok(wires)
    }

    /// With a sidecar that takes connections to whatever address.
    pub fn transparent() -> Result<Wires> {
        let wires = Wires::new()?;
        let inbound = wires.inbound.as_ref().context("there is no sidecar")?;
        setsockopt(inbound, IpTransparent, &true)?;
        Ok(wires)
    }

    /// With no sidecar in the pod.
    pub fn without_listeners() -> Result<Wires> {
        shell(SET_UP)?;
        Ok(Wires {
            folder: TempDir::new()?,
            outbound: None,
            inbound: None,
            dns: None,
            peer: in_peer(|| listener("[::]:9999"))??,
            peer_dns: in_peer(|| UdpSocket::bind("[::]:9953"))??,
        })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn outbound(&self, address: &str) -> Result<Way> {
        self.outbound_as(0, address)
    }

    pub fn outbound_as(&self, uid: u32, address: &str) -> Result<Way> {
        let _stream = as_user(uid, || dial(None, address))??;
        race(self.outbound.as_ref(), &self.peer)
    }

    /// From the neighbour.
    pub fn inbound(&self, address: &str) -> Result<Way> {
        self.enter(self.inbound.as_ref(), address)
    }

    /// A neighbour who dials a program for a moment does not get to it.
    pub fn is_unreachable(&self, address: &str) -> Result<bool> {
        let program = listener(address)?;
        let target: SocketAddr = address.parse()?;
        let dialled = in_peer(|| TcpStream::connect_timeout(&target, MOMENT))?;
        let reached = program.accept().is_ok();
        Ok(dialled.is_err() && !reached)
    }

    /// From the neighbour, to the listener for what goes out.
    pub fn inbound_as_outbound(&self, address: &str) -> Result<Way> {
        self.enter(self.outbound.as_ref(), address)
    }

    fn enter(&self, sidecar: Option<&TcpListener>, address: &str) -> Result<Way> {
        let program = listener(address)?;
        let _stream = in_peer(|| dial(None, address))??;
        race(sidecar, &program)
    }

    /// Inside the pod, by its own addresses.
    pub fn to_itself(&self, uid: u32, source: Option<&str>, address: &str) -> Result<Way> {
        let program = listener(address)?;
        let _stream = as_user(uid, || dial(source, address))??;
        race(self.inbound.as_ref(), &program)
    }

    /// Inside the pod, from a process of this group.
    pub fn to_itself_as_group(&self, gid: u32, source: Option<&str>, address: &str) -> Result<Way> {
        let program = listener(address)?;
        let _stream = as_group(gid, || dial(source, address))??;
        race(self.inbound.as_ref(), &program)
    }

    /// From a neighbour's address to the sidecar, and from there to the program: each of the three knows the
    /// neighbour by it, and bytes go both ways.
    pub fn passes_on(&self, client: &str, address: &str) -> Result<()> {
        let program = listener(address)?;
        let stream = in_peer(|| dial(Some(client), address))??;
        let (accepted, from) = accept(self.inbound.as_ref().context("there is no sidecar")?)?;
        let local = accepted.local_addr()?;
        ensure!(local.ip().to_canonical() == address.parse::<SocketAddr>()?.ip(), "{local}");
        ensure!(from == stream.local_addr()?, "the sidecar sees {from}");
        let onward = as_group(1337, || dial_for(client, address))??;
        let (reached, from) = accept(&program)?;
        ensure!(from == onward.local_addr()?, "the program sees {from}");
        ensure!(from.ip().to_string() == client, "the program sees {from}");
        through([&stream, &accepted], [&onward, &reached], b"question")?;
        through([&reached, &onward], [&accepted, &stream], b"answer")
    }

    pub fn question(&self, uid: u32, port: Option<u16>, server: &str) -> Result<Way> {
        let any = if server.starts_with('[') { "[::]" } else { "0.0.0.0" };
        let bound = as_user(uid, || UdpSocket::bind(format!("{any}:{}", port.unwrap_or(0))))?;
        let socket = bound.context("binding the asking socket")?;
        socket.send_to(b"question", server)?;
        let [v4, v6] = self.dns.as_ref().context("nobody answers questions in the pod")?;
        let dns = if server.starts_with('[') { v6 } else { v4 };
        let first = first([dns.as_fd(), self.peer_dns.as_fd()])?;
        let (asked, way) = [(dns, Way::Captured), (&self.peer_dns, Way::Direct)][first];
        let mut buffer = [0; 64];
        let (length, from) = asked.recv_from(&mut buffer)?;
        // As the sidecar does it, by its own user.
        asked.send_to(&buffer[..length], from)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let (_, answered) = socket.recv_from(&mut buffer).context("no answer")?;
        ensure!(answered.to_string() == server, "asked {server}, answered by {answered}");
        Ok(way)
    }
}

/// An injected pod's init container.
pub struct Init {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Init {
    pub fn of(annotations: &[(&str, &str)]) -> Result<Init> {
        let mut pod: Value = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "annotations": {}},
            "spec": {"containers": [{"name": "web", "image": "app"}]},
        });
        for (name, value) in annotations {
            pod["metadata"]["annotations"][*name] = Value::from(*value);
        }
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(pod.to_string().as_bytes())?;
        let mut command = Command::new(lateen()?);
        command.args(["inject", "-o", "json", "-f"]).arg(file.path());
        let injected: Value =
            serde_json::from_str(&Process::spawn("inject", &mut command)?.success(PATIENCE)?)?;
        let pod = if injected["kind"] == "List" { &injected["items"][0] } else { &injected };
        let containers = pod["spec"]["initContainers"].as_array().context("no init containers")?;
        let init = containers.iter().find(|one| one["name"] == "istio-init");
        let init = init.context("no istio-init")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |name: &str| init[name].as_array().cloned().unwrap_or_default();
        Ok(Init {
            arguments: list("args").iter().map(text).collect(),
            variables: list("env")
                .iter()
                .map(|one| (text(&one["name"]), text(&one["value"])))
                .collect(),
        })
    }

    /// By iptables of this kind, or by nftables.
    pub fn run(&self, iptables: Option<&str>) -> Result<()> {
        let more: Vec<String> =
            iptables.map(|kind| format!("--iptables={kind}")).into_iter().collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let (code, said) = self.with(&more)?;
        ensure!(code == 0, "exit code {code}: {said}");
        Ok(())
    }

    /// With more arguments: the exit code, and all that was said.
    pub fn with(&self, more: &[&str]) -> Result<(i32, String)> {
        let own = self.arguments.iter().map(String::as_str);
        self.call(&own.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// With these arguments instead of its own.
    pub fn only(&self, arguments: &[&str]) -> Result<(i32, String)> {
        self.call(&[&["interception"], arguments].concat())
    }

    fn call(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(lateen()?);
        let output = command.args(arguments).envs(self.variables.clone()).output()?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("ended by a signal")?;
        Ok((code, String::from_utf8(said)?))
    }
}

fn shell(script: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-ec", script]);
    Process::spawn("set up", &mut command)?.success(PATIENCE)?;
    Ok(())
}

/// Sockets made there stay there.
fn in_peer<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let file = File::open("/run/netns/peer")?;
    apart(|| {
        setns(&file, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    })
}

/// Sockets made so belong to the user.
fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> Result<T> {
    apart(|| {
        setfsuid(Uid::from_raw(uid));
        Ok(work())
    })
}

/// Sockets made so belong to the group.
fn as_group<T: Send>(gid: u32, work: impl FnOnce() -> T + Send) -> Result<T> {
    apart(|| {
        setfsgid(Gid::from_raw(gid));
        Ok(work())
    })
}

/// On a thread that ends with the work, and takes what was changed with it.
fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn listener(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn dial(source: Option<&str>, address: &str) -> Result<TcpStream> {
    let target: SocketAddr = address.parse()?;
    let Some(source) = source else { return Ok(TcpStream::connect_timeout(&target, PATIENCE)?) };
    let source = SocketAddr::new(source.parse::<IpAddr>()?, 0);
    let family = if target.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(source)).context("binding the source")?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(target))?;
    Ok(fd.into())
}

/// As a sidecar dials its program for a client.
fn dial_for(client: &str, address: &str) -> Result<TcpStream> {
    let target: SocketAddr = address.parse()?;
    let source = SocketAddr::new(client.parse::<IpAddr>()?, 0);
    let family = if target.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, IpTransparent, &true)?;
    setsockopt(&fd, Mark, &1337)?;
    setsockopt(&fd, SendTimeout, &TimeVal::new(PATIENCE.as_secs().try_into()?, 0))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(source)).context("binding the client's address")?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(target)).context("connecting for the client")?;
    Ok(fd.into())
}

fn accept(listener: &TcpListener) -> Result<(TcpStream, SocketAddr)> {
    let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::try_from(PATIENCE)?)?;
    let (stream, from) = listener.accept().context("nothing arrived")?;
    Ok((stream, plain(from)))
}

/// An IPv4 address as such, whatever the socket's family is.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Sends bytes over one connection, and what arrives over another.
fn through(first: [&TcpStream; 2], second: [&TcpStream; 2], bytes: &[u8]) -> Result<()> {
    for [mut from, mut to] in [first, second] {
        from.write_all(bytes)?;
        to.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = vec![0; bytes.len()];
        to.read_exact(&mut buffer).context("nothing came through")?;
        ensure!(buffer == bytes);
    }
    Ok(())
}

/// Who has the connection that was just made.
fn race(sidecar: Option<&TcpListener>, other: &TcpListener) -> Result<Way> {
    let sidecar = sidecar.context("there is no sidecar")?;
    let first = first([sidecar.as_fd(), other.as_fd()])?;
    let (listener, way) = [(sidecar, Way::Captured), (other, Way::Direct)][first];
    listener.accept()?;
    Ok(way)
}

fn first(fds: [BorrowedFd<'_>; 2]) -> Result<usize> {
    let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    poll(&mut polled, PollTimeout::try_from(PATIENCE)?)?;
    let ready: Vec<usize> = (0..2).filter(|at| polled[*at].any() == Some(true)).collect();
    match ready.as_slice() {
        [one] => Ok(*one),
        other => bail!("{} of two sockets have something", other.len()),
    }
}
