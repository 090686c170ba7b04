//! The smallest DNS server: a resolver outside the mesh. In: one name and its address. Out: that A
//! record for that name, and NXDOMAIN for any other. (RFC 1035, section 4.)

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// Answers on UDP `address` in a thread of its own, for as long as the test process lives.
pub fn start(address: &str, name: &'static str, value: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((count, peer)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..count], name, value) {
                // A client that is gone asks again or does not care.
                let _ = socket.send_to(&answer, peer);
            }
        }
    });
    Ok(())
}

fn answer(query: &[u8], name: &str, value: Ipv4Addr) -> Option<Vec<u8>> {
    let (asked, end) = question(query)?;
    let kind = query.get(end..end + 2)?;
    let known = asked.eq_ignore_ascii_case(name);
    let found = known && kind == [0, 1];
    let mut reply = query[..2].to_vec();
    // QR, RD and RA; the code is 3 (no such name) for other names.
    reply.extend_from_slice(&[0x81, if known { 0x80 } else { 0x83 }]);
    reply.extend_from_slice(&[0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    reply.extend_from_slice(query.get(12..end + 4)?);
    if found {
        // A pointer to the name in the question, type A, class IN, 5 s, four bytes.
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        reply.extend_from_slice(&value.octets());
    }
    Some(reply)
}

/// The name asked for, without the final dot, and where its type begins.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::answer;
    use std::net::Ipv4Addr;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07outside\x04test\0\0\x01\0\x01";

    #[test]
    fn answers_the_one_name() {
        let reply = answer(QUERY, "outside.test", Ipv4Addr::new(192, 0, 2, 9)).unwrap();
        assert_eq!(reply[3] & 0xf, 0);
        assert_eq!(reply[reply.len() - 4..], [192, 0, 2, 9]);
    }

    #[test]
    fn denies_every_other_name_and_ignores_rubbish() {
        let reply = answer(QUERY, "else.test", Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!((reply[3] & 0xf, reply[7]), (3, 0));
        assert!(answer(b"short", "else.test", Ipv4Addr::LOCALHOST).is_none());
    }
}
