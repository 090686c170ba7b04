//! Failed connections, each once. In: what proxies told of them. Out: the graph API's failures; where both ends told of
//! the same connection, the server's view with the client's beside it: the server is nearer to the cause.

use std::collections::{BTreeSet, HashMap};

use lateen_telemetry::labels::Reporter;
use serde::Serialize;

use crate::failure::Failure;
use crate::recent::Row;

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

/// In the order that they came in; of two the place of the newer. Each is explained when it is asked for.
pub fn both_views<'c>(
    failed: &'c [Row],
    mut explain: impl FnMut(&Row) -> Option<Failure> + 'c,
) -> impl Iterator<Item = Told> + 'c {
    let clients = pairs(failed);
    let paired: HashMap<usize, usize> =
        clients.iter().map(|(server, client)| (*client, *server)).collect();
    (0..failed.len()).filter_map(move |at| {
        let (client, server) = match (paired.get(&at), clients.get(&at)) {
            (Some(server), _) => (Some(at), *server),
            (_, Some(client)) => (Some(*client), at),
            _ => (None, at),
        };
        if client.is_some_and(|client| at > client.min(server)) {
            return None;
        }
        let mut read = |at: usize| explain(&failed[at]);
        Some(Told { failure: read(server)?, by_client: client.and_then(read).map(Box::new) })
    })
}

/// The client's view of each server's that has one.
fn pairs(failed: &[Row]) -> HashMap<usize, usize> {
    // Of one that was used again the newest counts.
    let servers: HashMap<Ends<'_>, usize> =
        (0..failed.len()).rev().filter_map(|at| Some((accepted(&failed[at])?, at))).collect();
    let server_of = |client: usize| {
        let server = *servers.get(&dialled(&failed[client])?)?;
        let apart = failed[server].1.time.abs_diff(failed[client].1.time);
        (apart <= APART).then_some(server)
    };
    let mut clients: HashMap<usize, usize> =
        (0..failed.len()).rev().filter_map(|at| Some((server_of(at)?, at))).collect();
    let mut lone = lone(failed, &clients);
    for (at, row) in failed.iter().enumerate() {
        let near = resets(row).and_then(|ends| lone.get_mut(&ends));
        if let Some(server) = near.and_then(|servers| take_nearest(servers, row.1.time)) {
            clients.insert(server, at);
        }
    }
    clients
}

/// Servers' views without a client's: by host and place, in the order of time.
fn lone<'c>(
    failed: &'c [Row],
    taken: &HashMap<usize, usize>,
) -> HashMap<Ends<'c>, BTreeSet<(u64, usize)>> {
    let mut all: HashMap<Ends<'_>, BTreeSet<_>> = HashMap::new();
    for (at, row) in failed.iter().enumerate().filter(|(at, _)| !taken.contains_key(at)) {
        let ends = accepted(row).and_then(|(from, to)| Some((host(from)?, to)));
        if let Some(ends) = ends {
            all.entry(ends).or_default().insert((row.1.time, at));
        }
    }
    all
}

/// A connection of which the client's proxy does not know its own port: from a host to a place.
fn resets((key, one): &Row) -> Option<Ends<'_>> {
    let is_reset = key.reporter == Reporter::Source && one.local.is_empty();
    is_reset.then_some((host(&one.client)?, &*one.endpoint))
}

/// The one of nearly the same time, which is no other connection's then.
fn take_nearest(servers: &mut BTreeSet<(u64, usize)>, time: u64) -> Option<usize> {
    let later = servers.range((time, 0)..).next();
    let both = [servers.range(..(time, 0)).next_back(), later];
    let apart = |one: &&(u64, usize)| one.0.abs_diff(time);
    let nearest = *both.into_iter().flatten().min_by_key(apart)?;
    (apart(&&nearest) <= CLOSE && servers.remove(&nearest)).then_some(nearest.1)
}

fn host(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(host, _)| host)
}

fn dialled((key, one): &Row) -> Option<Ends<'_>> {
    let is_client = key.reporter == Reporter::Source && !one.local.is_empty();
    is_client.then_some((&*one.local, &*one.endpoint))
}

fn accepted((key, one): &Row) -> Option<Ends<'_>> {
    let is_server = key.reporter == Reporter::Destination && !one.client.is_empty();
    is_server.then_some((&*one.client, &*one.destination))
}

#[cfg(test)]
mod tests {
    use lateen_control::known::Known;
    use lateen_telemetry::Flag;
    use serde_json::Value;

    use super::{Reporter, Row, both_views};
    use crate::connection::Connection;
    use crate::failure::failure;
    use crate::key::Key;
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

    fn rows(all: &[(Key, Connection)]) -> Vec<Row> {
        all.iter().map(|(key, one)| (key.clone().into(), one.clone().into())).collect()
    }

    #[test]
    fn what_is_not_asked_for_is_not_explained() {
        let one = |port| {
            (key(Reporter::Source, "UF"), connection(Flag::UpstreamConnectionFailure, port, 5))
        };
        let (all, known) = (rows(&[1, 2, 3, 4].map(one)), Known::default());
        let explained = std::cell::Cell::new(0);
        let views = both_views(&all, |(key, one)| {
            explained.set(explained.get() + 1);
            failure(key, one, &known)
        });
        assert_eq!((views.take(2).count(), explained.get()), (2, 2));
    }

    /// Each failure's flags, and those of the client's view of it.
    fn told(all: &[(Key, Connection)]) -> Vec<(String, Option<String>)> {
        let (all, known) = (rows(all), Known::default());
        let views = both_views(&all, |(key, one)| failure(key, one, &known));
        let views = serde_json::to_value(views.collect::<Vec<_>>()).unwrap();
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
