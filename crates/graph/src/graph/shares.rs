//! Shares of splits. In: what went over each edge to a service. Out: which part of the whole that is, and of what.
//!
//! A split decides for each connection when it is opened, so that those opened in this time show it as it is
//! configured now; connections that were opened under an older one may stay for days. Where nothing was opened,
//! what is open is all there is.

use rustc_hash::FxHashMap;

use crate::key::Protocol;
use crate::store::Sum;
use crate::view::ShareOf;

/// What was led to one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    requests: u64,
    opened: u64,
    /// Less those that ended under another key, so that a part of it may be below nothing.
    open: i64,
}

#[derive(Debug, PartialEq)]
pub struct Share {
    pub part: f64,
    pub of: ShareOf,
}

/// All that a node sent to a service: requests of each protocol, and connections.
#[derive(Default)]
pub struct Wholes<'s>(FxHashMap<(usize, bool, Option<&'s str>), Load>);

impl Load {
    pub fn of(sum: &Sum) -> Self {
        Self { requests: sum.points.requests, opened: sum.points.opened, open: sum.open }
    }

    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.opened = self.opened.saturating_add(other.opened);
        self.open = self.open.saturating_add(other.open);
    }
}

impl<'s> Wholes<'s> {
    pub fn add(&mut self, from: usize, protocol: Protocol, service: Option<&'s str>, load: Load) {
        self.0.entry((from, protocol == Protocol::Tcp, service)).or_default().add(load);
    }

    /// `None` if nothing went there.
    pub fn share(
        &self,
        from: usize,
        protocol: Protocol,
        service: Option<&str>,
        load: Load,
    ) -> Option<Share> {
        let whole = self.0.get(&(from, protocol == Protocol::Tcp, service))?;
        let (of, part, whole) = match (protocol, whole.opened) {
            (Protocol::Http | Protocol::Grpc, _) => {
                (ShareOf::Requests, load.requests, whole.requests)
            }
            (Protocol::Tcp, 0) => (ShareOf::Open, positive(load.open), positive(whole.open)),
            (Protocol::Tcp, opened) => (ShareOf::Opened, load.opened, opened),
        };
        (whole > 0).then(|| Share { part: part as f64 / whole as f64, of })
    }
}

fn positive(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Load, Protocol, Share, ShareOf, Wholes};

    /// The shares of two versions of a service.
    fn split(protocol: Protocol, loads: [Load; 2]) -> [Option<Share>; 2] {
        let mut wholes = Wholes::default();
        loads.iter().for_each(|load| wholes.add(7, protocol, Some("echo"), *load));
        wholes.add(7, protocol, Some("other"), loads[0]);
        loads.map(|load| wholes.share(7, protocol, Some("echo"), load))
    }

    fn tcp(opened: u64, open: i64) -> Load {
        Load { opened, open, requests: 0 }
    }

    fn shares(of: ShareOf, parts: [f64; 2]) -> [Option<Share>; 2] {
        parts.map(|part| Some(Share { part, of }))
    }

    #[test]
    fn a_split_is_told_by_what_was_opened_and_not_by_what_stayed_open() {
        assert_eq!(
            split(Protocol::Tcp, [tcp(90, 5), tcp(10, 500)]),
            shares(ShareOf::Opened, [0.9, 0.1])
        );
    }

    #[test]
    fn without_new_connections_those_that_are_open_are_told() {
        assert_eq!(
            split(Protocol::Tcp, [tcp(0, 18), tcp(0, 2)]),
            shares(ShareOf::Open, [0.9, 0.1])
        );
        assert_eq!(split(Protocol::Tcp, [tcp(0, 0), tcp(0, 0)]), [None, None]);
    }

    #[test]
    fn those_that_ended_under_another_key_are_not_open() {
        let mut first = tcp(0, 100);
        first.add(tcp(0, -90));
        assert_eq!(split(Protocol::Tcp, [first, tcp(0, 30)]), shares(ShareOf::Open, [0.25, 0.75]));
    }

    #[test]
    fn requests_are_not_added_to_connections() {
        let http = |requests| Load { requests, ..Load::default() };
        assert_eq!(
            split(Protocol::Http, [http(3), http(1)]),
            shares(ShareOf::Requests, [0.75, 0.25])
        );
        let mut wholes = Wholes::default();
        wholes.add(1, Protocol::Tcp, None, tcp(4, 0));
        wholes.add(1, Protocol::Http, None, http(4));
        let only = wholes.share(1, Protocol::Http, None, http(4));
        assert_eq!(only, Some(Share { part: 1.0, of: ShareOf::Requests }));
    }
}
