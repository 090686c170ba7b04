//! Failed connections, each once. In: what proxies told of them. Out: the graph API's failures; where both ends told of
//! the same connection, the server's view with the client's beside it: the server is nearer to the cause.

use std::collections::HashMap;

use lateen_control::known::Known;
use lateen_telemetry::labels::Reporter;
use serde::Serialize;

use crate::connection::Connection;
use crate::failure::{Failure, failure};
use crate::key::Key;

/// Milliseconds between the ends of one connection at its two proxies; after that its port may be another's.
const APART: u64 = 10_000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    #[serde(flatten)]
    failure: Failure,
    /// The same connection, as the client's proxy tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_client: Option<Box<Failure>>,
}

/// The same where the client's proxy does not tell from which port it dialled: the connection was reset while it was
/// being made.
const CLOSE: u64 = 1_000;

/// A connection between two proxies: from where it was dialled, and what.
type Ends<'c> = (&'c str, &'c str);

/// In the order that they came in; of two the place of the newer.
pub fn both_views(failed: &[(&Key, &Connection)], known: &Known) -> Vec<Told> {
    // Of one that was used again the newest counts.
    let servers: HashMap<Ends<'_>, usize> = (0..failed.len())
        .rev()
        .filter_map(|at| Some((accepted(failed[at].0, failed[at].1)?, at)))
        .collect();
    let server_of = |client: usize| {
        let (key, one) = failed[client];
        let server = *servers.get(&dialled(key, one)?)?;
        (failed[server].1.time.abs_diff(one.time) <= APART).then_some(server)
    };
    let mut clients: HashMap<usize, usize> =
        (0..failed.len()).rev().filter_map(|at| Some((server_of(at)?, at))).collect();
    for at in 0..failed.len() {
        if let Some(server) = nearest(failed, at, &clients) {
            clients.insert(server, at);
        }
    }
    let paired: HashMap<usize, usize> =
        clients.iter().map(|(server, client)| (*client, *server)).collect();
    let told = |at: usize| {
        let (client, server) = match (paired.get(&at), clients.get(&at)) {
            (Some(server), _) => (Some(at), *server),
            (_, Some(client)) => (Some(*client), at),
            _ => (None, at),
        };
        if client.is_some_and(|client| at > client.min(server)) {
            return None;
        }
        let read = |at: usize| failure(failed[at].0, failed[at].1, known);
        Some(Told { failure: read(server)?, by_client: client.and_then(read).map(Box::new) })
    };
    (0..failed.len()).filter_map(told).collect()
}

/// The server's view of a connection of which the client's proxy does not know its own port: from the same host to the
/// same place, at nearly the same time, and no other one's.
fn nearest(
    failed: &[(&Key, &Connection)],
    client: usize,
    taken: &HashMap<usize, usize>,
) -> Option<usize> {
    let (key, one) = failed[client];
    if key.reporter != Reporter::Source || !one.local.is_empty() {
        return None;
    }
    let ends = (host(&one.client)?, &*one.endpoint);
    let apart = |server: &usize| failed[*server].1.time.abs_diff(one.time);
    let fits = |server: &usize| {
        let accepted = accepted(failed[*server].0, failed[*server].1);
        let accepted = accepted.and_then(|(from, to)| Some((host(from)?, to)));
        accepted == Some(ends) && apart(server) <= CLOSE && !taken.contains_key(server)
    };
    (0..failed.len()).filter(fits).min_by_key(apart)
}

fn host(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(host, _)| host)
}

fn dialled<'c>(key: &Key, one: &'c Connection) -> Option<Ends<'c>> {
    let is_client = key.reporter == Reporter::Source && !one.local.is_empty();
    is_client.then_some((&*one.local, &*one.endpoint))
}

fn accepted<'c>(key: &Key, one: &'c Connection) -> Option<Ends<'c>> {
    let is_server = key.reporter == Reporter::Destination && !one.client.is_empty();
    is_server.then_some((&*one.client, &*one.destination))
}

#[cfg(test)]
mod tests {
    use lateen_telemetry::Flag;
    use serde_json::Value;

    use super::{Connection, Key, Known, Reporter, both_views};
    use crate::sample;

    fn key(reporter: Reporter, flags: &str) -> Key {
        let by = if reporter == Reporter::Source { "source" } else { "destination" };
        let label = |name: &str| match name {
            "reporter" => Some(by),
            "request_protocol" => Some("tcp"),
            "source_workload" => Some("client"),
            "destination_workload" => Some("server"),
            "response_flags" => Some(flags),
            _ => None,
        };
        Key::read(label, &mut Default::default()).unwrap()
    }

    fn connection(flag: Flag, port: u16, time: u64) -> Connection {
        Connection {
            flags: vec![flag],
            local: format!("10.0.0.1:{port}"),
            endpoint: "10.0.0.2:8080".into(),
            client: "10.0.0.1:999".into(),
            time,
            ..Connection::read(
                lateen_telemetry::entry::full_entry(&sample::record()),
                "sidecar~10.0.0.1~client.shop~",
                time,
            )
        }
    }

    /// The same connection at the server's proxy.
    fn accepted(flag: Flag, port: u16, time: u64) -> Connection {
        let client = connection(flag, port, time);
        Connection {
            client: client.local.clone(),
            destination: client.endpoint.clone(),
            local: "127.0.0.6:1".into(),
            endpoint: "127.0.0.1:8080".into(),
            proxy: "server.shop".into(),
            ..client
        }
    }

    /// Each failure's flags, and those of the client's view of it.
    fn told(all: &[(Key, Connection)]) -> Vec<(String, Option<String>)> {
        let all: Vec<_> = all.iter().map(|(key, one)| (key, one)).collect();
        let views = serde_json::to_value(both_views(&all, &Known::default())).unwrap();
        let flags = |one: &Value| one["flags"].as_str().map(str::to_owned);
        let told = |one: &Value| (flags(one).unwrap(), flags(&one["byClient"]));
        views.as_array().unwrap().iter().map(told).collect()
    }

    #[test]
    fn a_refused_connection_that_both_ends_tell_of_is_one_with_two_views() {
        let client =
            |port, time| (key(Reporter::Source, "UR"), connection(Flag::UpstreamReset, port, time));
        let server = |port, time| {
            let flag = Flag::UpstreamConnectionFailure;
            (key(Reporter::Destination, "UF"), accepted(flag, port, time))
        };
        let both = [("UF".to_owned(), Some("UR".to_owned()))];
        assert_eq!(told(&[client(1, 5), server(1, 5)]), both);
        assert_eq!(told(&[server(1, 5), client(1, 4)]), both);
        let [alone, other] = ["UR", "UF"].map(|flags| (flags.to_owned(), None));
        assert_eq!(told(&[client(1, 5), server(2, 5)]), [alone.clone(), other.clone()]);
        let later = [other.clone(), alone.clone()];
        assert_eq!(told(&[server(1, 20_000), client(1, 5)]), later, "its port is another's now");
        let [first, second] = [both[0].clone(), both[0].clone()];
        assert_eq!(
            told(&[client(1, 9), client(2, 8), server(2, 8), server(1, 7), client(3, 6)]),
            [first, second, alone]
        );
    }

    #[test]
    fn a_connection_that_was_reset_while_it_was_made_is_told_once_too() {
        let client = |time| {
            let one = connection(Flag::UpstreamConnectionFailure, 1, time);
            let one = Connection { local: String::new(), ..one };
            (key(Reporter::Source, "UF,URX"), one)
        };
        let server = |port, time| {
            let flag = Flag::UpstreamConnectionFailure;
            (key(Reporter::Destination, "UF"), accepted(flag, port, time))
        };
        let both = ("UF".to_owned(), Some("UF".to_owned()));
        let twice = [client(900), server(8, 890), client(5), server(7, 5)];
        assert_eq!(told(&twice[2..]), std::slice::from_ref(&both));
        assert_eq!(told(&twice), [both.clone(), both]);
        assert_eq!(told(&[client(5000), server(7, 5)]).len(), 2, "too long ago");
    }
}
