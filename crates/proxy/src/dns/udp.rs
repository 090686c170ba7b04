//! DNS over UDP: one datagram, one question.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::{Limit, Shared};

/// Longer datagrams are cut by the kernel, and a question that was cut is not one.
const LARGEST_QUESTION: usize = 4096;

/// The questions' tasks live in the set and end with it.
pub(super) async fn serve(socket: UdpSocket, shared: Arc<Shared>) -> io::Error {
    let socket = Arc::new(socket);
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; LARGEST_QUESTION];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    let Ok(permit) = shared.questions.clone().try_acquire_owned() else { continue };
                    let (socket, shared) = (socket.clone(), shared.clone());
                    let query = buffer[..length].to_vec();
                    tasks.spawn(async move {
                        reply(&socket, &shared, &query, from).await;
                        drop(permit);
                    });
                }
                Err(error) if is_about_a_peer(&error) => {}
                Err(error) => return error,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn reply(socket: &UdpSocket, shared: &Shared, query: &[u8], from: SocketAddr) {
    if let Some(answer) = shared.answer(query, Limit::Udp).await
        && let Err(error) = socket.send_to(&answer, from).await
    {
        tracing::debug!(%from, %error, "a DNS answer could not be sent");
    }
}

/// An ICMP error about an earlier answer is reported at the next receive; it says nothing of the socket.
fn is_about_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable
    )
}
