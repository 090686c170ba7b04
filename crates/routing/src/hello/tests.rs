//! A ClientHello of OpenSSL for `one.example.com` with `h2` and `http/1.1`, whole and in pieces.

use lateen_testkit::fuzz::{self, fuzz};

use super::{ClientHello, FirstBytes, Progress, read};

fn openssl() -> Vec<u8> {
    let text: String = include_str!("../../testdata/client_hello.hex").split_whitespace().collect();
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn expected() -> Progress {
    Progress::Done(FirstBytes::Tls(ClientHello {
        server_name: Some("one.example.com".to_owned()),
        application_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }))
}

#[test]
fn the_name_and_the_protocols_of_a_real_client_are_read() {
    assert_eq!(read(&openssl()), expected());
    let mut more = openssl();
    more.extend(b"early data");
    assert_eq!(read(&more), expected());
}

#[test]
fn every_part_of_it_waits_for_the_rest() {
    let hello = openssl();
    for length in 0..hello.len() {
        assert_eq!(read(&hello[..length]), Progress::More, "{length} bytes");
    }
}

#[test]
fn a_hello_in_many_records_is_put_together() {
    let hello = openssl();
    let mut records = Vec::new();
    for part in hello[5..].chunks(100) {
        records.extend([22, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
        records.extend(part);
    }
    assert_eq!(read(&records), expected());
    assert_eq!(read(&records[..300]), Progress::More);
}

#[test]
fn other_protocols_are_plain_from_their_first_bytes() {
    let plain = Progress::Done(FirstBytes::Plain);
    assert_eq!(read(b""), Progress::More);
    for bytes in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"\x16\x02", b"\x16\x03\x01\0\x01\x02", b"\0"] {
        assert_eq!(read(bytes), plain, "{bytes:?}");
    }
    assert_eq!(read(b"\x16\x03\x01\0\0"), plain, "an empty record");
}

#[test]
fn a_client_without_extensions_asks_for_no_name() {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let mut bytes = vec![22, 3, 1, 0, u8::try_from(body.len() + 4).unwrap(), 1, 0, 0];
    bytes.push(u8::try_from(body.len()).unwrap());
    bytes.extend(body);
    assert_eq!(read(&bytes), Progress::Done(FirstBytes::Tls(ClientHello::default())));
}

#[test]
fn a_broken_hello_is_read_without_harm() {
    fuzz(4000, fuzz::bytes(vec![openssl()]), |bytes| {
        let _ = read(&bytes);
    });
}

#[test]
fn a_name_that_no_host_can_have_is_none() {
    let hello = openssl();
    let at = hello.windows(3).position(|bytes| bytes == b"one").unwrap();
    for byte in [b'\n', 0x1b, b' ', b'%', 0xc3] {
        let mut odd = hello.clone();
        odd[at] = byte;
        let Progress::Done(FirstBytes::Tls(seen)) = read(&odd) else { panic!("{byte}") };
        assert_eq!(seen.server_name, None, "{byte}");
    }
}
