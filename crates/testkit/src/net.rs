//! Small TCP questions. In: an address and bytes. Out: the answer, how a connection ended, whether
//! a port is open. Every call is bounded in time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// The bound of every single wait on a socket.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No connection was accepted.
    Refused,
    /// The peer sent FIN.
    Closed,
    /// The peer sent RST.
    Reset,
}

pub fn connect(address: &str) -> Result<TcpStream> {
    let parsed: SocketAddr = address.parse().with_context(|| format!("address {address}"))?;
    let stream = TcpStream::connect_timeout(&parsed, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends `request`, half-closes, and returns all that comes back until the peer closes.
pub fn ask(address: &str, request: &str) -> Result<String> {
    let mut stream = connect(address)?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).with_context(|| format!("reading from {address}"))?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// One HTTP request over a Unix socket; the answer with its head.
pub fn http_get(socket: &Path, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Insists on a particular answer.
pub fn expect_answer(address: &str, request: &str, expected: &str) -> Result<()> {
    let reply = ask(address, request)?;
    if reply != expected {
        bail!("{address} answered {reply:?}, not {expected:?}");
    }
    Ok(())
}

/// Reads `stream` to its end and says how it ended; bytes or silence are an error.
pub fn how_it_ends(stream: &mut TcpStream) -> Result<End> {
    let mut buffer = [0; 256];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(End::Closed),
        Ok(count) => bail!("unexpected answer {:?}", String::from_utf8_lossy(&buffer[..count])),
        Err(error) => end_of(&error).with_context(|| format!("still open: {error}")),
    }
}

/// Connects, sends `request`, and says how the connection was refused, closed or reset.
pub fn refusal(address: &str, request: &[u8]) -> Result<End> {
    let mut stream = match connect(address) {
        Ok(stream) => stream,
        Err(error) if io_kind(&error) == Some(ErrorKind::ConnectionRefused) => {
            return Ok(End::Refused);
        }
        Err(error) if is_reset(&error) => return Ok(End::Reset),
        Err(error) => return Err(error),
    };
    match stream.write_all(request) {
        Ok(()) => how_it_ends(&mut stream),
        Err(error) => end_of(&error).with_context(|| format!("writing: {error}")),
    }
}

/// Whether something listens on `address`, even if it resets what it has accepted: a socket may be reset
/// before the first call on it, which then fails with that, or as invalid.
pub fn is_listening(address: &str) -> bool {
    match connect(address) {
        Ok(_) => true,
        Err(error) => is_reset(&error),
    }
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Gives the loopback interface of this network namespace another address, which stands for a
/// machine outside the mesh.
pub fn add_address(address: &str) -> Result<()> {
    let mut command = std::process::Command::new("ip");
    command.args(["address", "add", &format!("{address}/32"), "dev", "lo"]);
    Process::spawn("ip address add", &mut command)?.success(PATIENCE)?;
    Ok(())
}

fn end_of(error: &io::Error) -> Option<End> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Some(End::Reset),
        _ => None,
    }
}

fn is_reset(error: &anyhow::Error) -> bool {
    matches!(io_kind(error), Some(ErrorKind::ConnectionReset | ErrorKind::InvalidInput))
}

fn io_kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::{End, ask, connect, free_port, how_it_ends, is_listening, refusal};
    use crate::echo::{Manner, start};
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    #[test]
    fn asks_an_echo_server() {
        let address = start("127.0.0.1:0", Manner::default()).unwrap().to_string();
        assert_eq!(ask(&address, "hello").unwrap(), "hello");
        assert!(is_listening(&address));
    }

    #[test]
    fn tells_refused_closed_and_answered_apart() {
        let nobody = format!("127.0.0.1:{}", free_port().unwrap());
        assert_eq!(refusal(&nobody, b"").unwrap(), End::Refused);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || drop(listener.accept()));
        assert_eq!(refusal(&address, b"").unwrap(), End::Closed);
        let echo = start("127.0.0.1:0", Manner::default()).unwrap().to_string();
        assert!(refusal(&echo, b"x").is_err());
    }

    #[test]
    fn sees_the_half_close_of_the_peer() {
        let echo = start("127.0.0.1:0", Manner::default()).unwrap().to_string();
        let mut stream = connect(&echo).unwrap();
        stream.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(how_it_ends(&mut stream).unwrap(), End::Closed);
    }
}
