//! The first bytes of a connection, as Envoy's TLS inspector reads them (RFC 8446, sections 4.1.2 and
//! 5.1; RFC 6066, section 3; RFC 7301, section 3.1). In: what has arrived so far. Out: whether it is
//! TLS, and the name and protocols that the client asks for. Any bytes are taken: what is no
//! well-formed ClientHello is plain bytes.

#[cfg(test)]
mod tests;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const PROTOCOLS: u16 = 16;

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    Plain,
    Tls(ClientHello),
}

/// What a TLS client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// SNI, lower case.
    pub server_name: Option<String>,
    /// ALPN, in the client's order.
    pub application_protocols: Vec<String>,
}

/// How far reading has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It may be a ClientHello, but is not whole.
    More,
    Done(FirstBytes),
}

/// Reads what has arrived, from its first byte.
pub fn read(bytes: &[u8]) -> Progress {
    let message = match handshake(bytes) {
        Ok(message) => message,
        Err(progress) => return progress,
    };
    let hello = client_hello(&message);
    Progress::Done(hello.map_or(FirstBytes::Plain, FirstBytes::Tls))
}

/// The body of the ClientHello, put together from the records that carry it.
fn handshake(bytes: &[u8]) -> Result<Vec<u8>, Progress> {
    let plain = || Progress::Done(FirstBytes::Plain);
    let mut rest = bytes;
    let mut message = Vec::new();
    loop {
        // Each header byte is checked as soon as it is there, so that a client of another protocol
        // is not kept waiting for the rest.
        match rest {
            [kind, ..] if *kind != HANDSHAKE => return Err(plain()),
            [_, major, ..] if *major != 3 => return Err(plain()),
            _ => {}
        }
        let [_, _, _, high, low, after @ ..] = rest else { return Err(Progress::More) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 {
            return Err(plain());
        }
        let part = &after[..length.min(after.len())];
        message.extend_from_slice(part);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(plain());
        }
        if let [_, a, b, c, body @ ..] = message.as_slice() {
            let whole = usize::try_from(u32::from_be_bytes([0, *a, *b, *c]));
            let whole = whole.expect("invariant: a 24-bit number fits");
            if body.len() >= whole {
                return Ok(body[..whole].to_vec());
            }
        }
        if part.len() < length {
            return Err(Progress::More);
        }
        rest = &after[length..];
    }
}

/// `None` if a length in it does not fit.
fn client_hello(body: &[u8]) -> Option<ClientHello> {
    // Version and random, session id, cipher suites, compression methods.
    let mut rest = Reader(body.get(34..)?);
    rest.short_vector()?;
    rest.vector()?;
    rest.short_vector()?;
    let mut hello = ClientHello::default();
    if rest.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(rest.vector()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let data = Reader(extensions.vector()?);
        match kind {
            SERVER_NAME => hello.server_name = server_name(data)?,
            PROTOCOLS => hello.application_protocols = protocols(data)?,
            _ => {}
        }
    }
    Some(hello)
}

/// The first host name of the list. One that no host can have is none: it matches nothing, and it is
/// written to logs and terminals.
fn server_name(mut data: Reader<'_>) -> Option<Option<String>> {
    let mut names = Reader(data.vector()?);
    while let Some(kind) = names.byte() {
        let name = names.vector()?;
        if kind == HOST_NAME {
            let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
            let text = std::str::from_utf8(name).ok();
            let text = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| fits(&byte)));
            return Some(text.map(str::to_ascii_lowercase));
        }
    }
    Some(None)
}

fn protocols(mut data: Reader<'_>) -> Option<Vec<String>> {
    let mut names = Reader(data.vector()?);
    let mut found = Vec::new();
    while !names.0.is_empty() {
        found.push(String::from_utf8_lossy(names.short_vector()?).into_owned());
    }
    Some(found)
}

/// Takes numbers and vectors off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, back) = self.0.split_at_checked(count)?;
        self.0 = back;
        Some(front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with a length of one byte.
    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// A vector with a length of two bytes.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}
