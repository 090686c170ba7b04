//! The shared echo server and client. In: TCP connections, or a host and port to dial. Out: what
//! came in, streamed back, optionally after a greeting and with a prefix before every line, so that
//! a test can tell server-first protocols and versions apart.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How a server answers.
#[derive(Clone, Default)]
pub struct Manner {
    /// Sent, with a newline, before anything has been read.
    pub greeting: Option<String>,
    /// Put before every line of the reply.
    pub reply_prefix: Option<String>,
}

/// What a client does with its one connection.
pub struct Conversation {
    pub host: String,
    pub port: u16,
    pub interval: Duration,
    /// How many lines to send; without it, lines are sent until an error.
    pub count: Option<u64>,
    /// Reads a greeting line before it sends anything.
    pub server_first: bool,
}

/// Serves `listener` until accepting fails; a thread per connection.
pub fn serve(listener: &TcpListener, manner: &Manner) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let manner = manner.clone();
        std::thread::spawn(move || {
            // A peer that goes away ends its connection and nothing else.
            let _ = answer(&stream, &manner);
        });
    }
}

/// A server on `address` in a thread of its own, for as long as the test process lives. Port 0
/// takes a free one. The thread is in the network namespace of the caller.
pub fn start(address: &str, manner: Manner) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    std::thread::spawn(move || serve(&listener, &manner));
    Ok(bound)
}

/// Dials once and talks; every reply goes to `out` as a line `reply: …`.
pub fn converse(conversation: &Conversation, out: &mut impl Write) -> io::Result<()> {
    let stream = TcpStream::connect((conversation.host.as_str(), conversation.port))?;
    stream.set_nodelay(true)?;
    let mut replies = BufReader::new(&stream);
    if conversation.server_first {
        write!(out, "greeting: {}", read_line(&mut replies)?)?;
        out.flush()?;
    }
    let mut sent = 0;
    loop {
        sent += 1;
        (&stream).write_all(format!("message {sent}\n").as_bytes())?;
        write!(out, "reply: {}", read_line(&mut replies)?)?;
        out.flush()?;
        if conversation.count.is_some_and(|count| sent >= count) {
            return Ok(());
        }
        std::thread::sleep(conversation.interval);
    }
}

/// Streams one connection back, and its end too: a client's half-close is answered by one.
fn answer(mut stream: &TcpStream, manner: &Manner) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(greeting) = &manner.greeting {
        stream.write_all(format!("{greeting}\n").as_bytes())?;
    }
    let prefix = manner.reply_prefix.as_deref().unwrap_or_default().as_bytes();
    let mut buffer = vec![0; 64 * 1024];
    let mut at_line_start = true;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        if prefix.is_empty() {
            stream.write_all(&buffer[..count])?;
        } else {
            stream.write_all(&prefixed(&buffer[..count], prefix, &mut at_line_start))?;
        }
    }
}

fn prefixed(bytes: &[u8], prefix: &[u8], at_line_start: &mut bool) -> Vec<u8> {
    let mut reply = Vec::with_capacity(bytes.len() + prefix.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if *at_line_start {
            reply.extend_from_slice(prefix);
        }
        reply.extend_from_slice(line);
        *at_line_start = line.ends_with(b"\n");
    }
    reply
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::{Conversation, Manner, converse, prefixed, start};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

    fn talk(manner: Manner, server_first: bool) -> String {
        let address = start("127.0.0.1:0", manner).unwrap();
        let mut printed = Vec::new();
        let conversation = Conversation {
            host: "127.0.0.1".to_owned(),
            port: address.port(),
            interval: Duration::ZERO,
            count: Some(2),
            server_first,
        };
        converse(&conversation, &mut printed).unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn the_pair_talks() {
        assert_eq!(talk(Manner::default(), false), "reply: message 1\nreply: message 2\n");
    }

    #[test]
    fn a_greeting_comes_before_the_client_speaks() {
        let manner = Manner { greeting: Some("welcome".into()), reply_prefix: Some("v2 ".into()) };
        assert_eq!(
            talk(manner, true),
            "greeting: welcome\nreply: v2 message 1\nreply: v2 message 2\n"
        );
    }

    #[test]
    fn a_half_close_is_answered_after_all_bytes() {
        let address = start("127.0.0.1:0", Manner::default()).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"no newline").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "no newline");
    }

    #[test]
    fn prefixes_each_line_once_across_reads() {
        let mut start = true;
        assert_eq!(prefixed(b"a\nb", b"> ", &mut start), b"> a\n> b");
        assert_eq!(prefixed(b"c\n", b"> ", &mut start), b"c\n");
        assert!(start);
    }

    #[test]
    fn a_client_without_a_server_fails() {
        let conversation = Conversation {
            host: "127.0.0.1".to_owned(),
            port: 1,
            interval: Duration::ZERO,
            count: Some(1),
            server_first: false,
        };
        assert!(converse(&conversation, &mut Vec::new()).is_err());
    }
}
