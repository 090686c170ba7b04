//! What listens on this machine. In: `/proc`. Out: the sockets, each with the process that has it, as far as that may be
//! seen (proc_pid_net(5)).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::claims::Protocol;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub process: Option<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    pub pid: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// The kernel's tables, and the state that listening sockets have there (include/net/tcp_states.h): a UDP socket without a
/// peer is closed.
const TABLES: [(&str, Protocol, &str); 4] = [
    ("tcp", Protocol::Tcp, "0A"),
    ("tcp6", Protocol::Tcp, "0A"),
    ("udp", Protocol::Udp, "07"),
    ("udp6", Protocol::Udp, "07"),
];

/// Of the network namespace that this process is in.
pub fn listening() -> Result<Vec<Socket>> {
    let mut found = Vec::new();
    for (table, protocol, state) in TABLES {
        let path = format!("/proc/self/net/{table}");
        // Without IPv6 there are no such tables.
        match fs::read_to_string(&path) {
            Ok(text) => found.extend(listening_in(&text, protocol, state)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(path),
        }
    }
    let mut owners = owners();
    let socket = |(mut socket, inode): (Socket, u64)| {
        socket.process = owners.remove(&inode);
        socket
    };
    Ok(found.into_iter().map(socket).collect())
}

/// Sockets in a state, with their inodes.
fn listening_in(text: &str, protocol: Protocol, wanted: &str) -> Vec<(Socket, u64)> {
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = words[..] else { return None };
        let address = address(local).filter(|_| state == wanted)?;
        Some((Socket { protocol, address, process: None }, inode.parse().ok()?))
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Words of 32 bits, each in the machine's own order, a colon and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let mut octets = Vec::new();
    for at in (0..host.len()).step_by(8) {
        let word = u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?;
        octets.extend(word.to_ne_bytes());
    }
    let host = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(octets) => IpAddr::from(Ipv4Addr::from(octets)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
    };
    Some(SocketAddr::new(host.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

/// Which process has a socket, by the socket's inode: of several, the oldest.
fn owners() -> BTreeMap<u64, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut found = BTreeMap::new();
    for pid in pids {
        let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) else { continue };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for target in files.filter_map(|file| fs::read_link(file.path()).ok()) {
            if let Some(inode) = inode(&target.to_string_lossy()) {
                let process = || Process { name: name.trim_end().to_owned(), pid };
                found.entry(inode).or_insert_with(process);
            }
        }
    }
    found
}

fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::{Protocol, address, listening, listening_in};

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:0036 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_tables_are_read() {
        let found = listening_in(TABLE, Protocol::Tcp, "0A");
        let found: Vec<_> =
            found.iter().map(|(it, inode)| (it.address.to_string(), *inode)).collect();
        assert_eq!(found, [("127.0.0.1:53".to_owned(), 4711)]);
        let of = |text| address(text).map(|address| address.to_string());
        let loopback = "00000000000000000000000001000000:01BB";
        assert_eq!(of(loopback).as_deref(), Some("[::1]:443"));
        let mapped = "0000000000000000FFFF00000100007F:01BB";
        assert_eq!(of(mapped).as_deref(), Some("127.0.0.1:443"));
        for wrong in ["0100007F", "01:1", "0100007F:x", "0100007F0100007F:0035", "x\u{e9}00007F:1"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_listener_is_found_with_its_process() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::]:0").or_else(|error| match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => UdpSocket::bind("0.0.0.0:0"),
            _ => Err(error),
        });
        let udp = udp.unwrap();
        let found = listening().unwrap();
        for (protocol, address) in
            [(Protocol::Tcp, tcp.local_addr()), (Protocol::Udp, udp.local_addr())]
        {
            let address = address.unwrap();
            let own = found.iter().find(|it| it.protocol == protocol && it.address == address);
            let process = own.unwrap().process.as_ref().unwrap();
            assert_eq!(process.pid, std::process::id());
        }
    }
}
