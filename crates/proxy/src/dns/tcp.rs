//! DNS over TCP: messages with a two-byte length before each (RFC 1035, 4.2.2).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Limit, Shared};

/// How long to wait after the machine ran out of descriptors or memory.
const PRESSURE_PAUSE: Duration = Duration::from_millis(100);
/// A question has one name of at most 255 bytes and some options; more is not a question.
const LARGEST_QUESTION: usize = 4096;

/// The connections' tasks live in the set and end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Error {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // One more than allowed is closed at once.
                    let Ok(permit) = shared.connections.clone().try_acquire_owned() else { continue };
                    let shared = shared.clone();
                    tasks.spawn(async move {
                        connection(stream, &shared).await;
                        drop(permit);
                    });
                }
                Err(error) if is_permanent(&error) => return error,
                Err(_) => tokio::time::sleep(PRESSURE_PAUSE).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// Serves until the peer closes, is idle for too long, or sends what is not a question.
async fn connection(mut stream: TcpStream, shared: &Shared) {
    while let Ok(Ok(query)) = timeout(shared.tcp_idle, read(&mut stream, LARGEST_QUESTION)).await {
        let Some(answer) = shared.answer(&query, Limit::Tcp).await else { return };
        match timeout(shared.tcp_idle, write(&mut stream, &answer)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

/// One message of at most `largest` bytes.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    largest: usize,
) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > largest {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// One message with its length, in one write.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).await
}

fn is_permanent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP)
    )
}
