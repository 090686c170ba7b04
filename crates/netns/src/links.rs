//! Interfaces, addresses and routes, over rtnetlink.
//!
//! In: names and addresses. Out: kernel state in the network namespace of the calling thread. The
//! library wants an async runtime; each call brings its own in a short-lived thread, which inherits
//! the caller's namespace, so callers inside and outside of tokio use it alike.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::thread;

use futures::TryStreamExt;
use ipnet::{IpNet, Ipv4Net};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    new_connection,
};

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot open a routing netlink socket: {0}")]
    Socket(#[source] io::Error),
    #[error("cannot {what}; check CAP_NET_ADMIN: {source}")]
    Refused { what: String, source: rtnetlink::Error },
    #[error("there is no interface {0}")]
    Missing(String),
}

/// A way to the kernel's tables of one namespace.
pub(crate) struct Links(Handle);

/// A bridge, with what its owner noted on it (`ip link` shows it as its alias).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
}

/// What an IPv4 route or an address covers, and through which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) net: Ipv4Net,
    pub(crate) interface: u32,
}

/// Runs `work` in the calling thread's network namespace.
pub(crate) fn on_links<T, F>(work: impl FnOnce(Links) -> F + Send) -> Result<T, LinkError>
where
    T: Send,
    F: Future<Output = Result<T, LinkError>>,
{
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(LinkError::Socket)?;
        runtime.block_on(async {
            let (connection, handle, _) = new_connection().map_err(LinkError::Socket)?;
            // Ends with the runtime, a few lines below.
            let connection = tokio::spawn(connection);
            let result = work(Links(handle)).await;
            connection.abort();
            result
        })
    };
    thread::scope(|scope| scope.spawn(run).join().expect("the netlink thread does not panic"))
}

/// The hardware address that belongs to an IP address: whoever has it next is found at once by neighbours
/// that remember the last one. Locally administered (IEEE 802, the second lowest bit of the first byte).
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    [&[0x02, 0x4c], address.octets().as_slice()].concat()
}

impl Links {
    pub(crate) async fn index(&self, name: &str) -> Result<Option<u32>, LinkError> {
        let mut found = self.0.link().get().match_name(name.into()).execute();
        match found.try_next().await {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(error) if is(&error, libc::ENODEV) => Ok(None),
            Err(error) => Err(refused(format!("look up interface {name}"))(error)),
        }
    }

    pub(crate) async fn required(&self, name: &str) -> Result<u32, LinkError> {
        self.index(name).await?.ok_or_else(|| LinkError::Missing(name.into()))
    }

    /// Creates the bridge unless it exists. `address` is what it will have: a bridge that is not told its
    /// hardware address takes another one with each interface that is plugged in.
    pub(crate) async fn ensure_bridge(
        &self,
        name: &str,
        address: Ipv4Addr,
    ) -> Result<u32, LinkError> {
        if let Some(index) = self.index(name).await? {
            return Ok(index);
        }
        let bridge = LinkBridge::new(name).address(hardware_address(address)).build();
        match self.0.link().add(bridge).execute().await {
            Ok(()) => {}
            Err(error) if is(&error, libc::EEXIST) => {}
            Err(error) => return Err(refused(format!("create bridge {name}"))(error)),
        }
        self.required(name).await
    }

    /// A veth pair: `outside` here, on the bridge; `inside` in the namespace `netns`, for `address`.
    pub(crate) async fn add_veth(
        &self,
        outside: &str,
        (inside, address): (&str, Ipv4Addr),
        netns: BorrowedFd<'_>,
        bridge: u32,
    ) -> Result<(), LinkError> {
        let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name(inside.into()).build();
        peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        peer.attributes.push(LinkAttribute::Address(hardware_address(address)));
        let pair = LinkVeth::new(outside, inside)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .controller(bridge)
            .up()
            .build();
        let what = || format!("create the interface pair {outside} and {inside}");
        self.0.link().add(pair).execute().await.map_err(|error| refused(what())(error))
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), LinkError> {
        let Some(index) = self.index(name).await? else { return Ok(()) };
        match self.0.link().del(index).execute().await {
            Err(error) if !is(&error, libc::ENODEV) => {
                Err(refused(format!("remove interface {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn up(&self, index: u32) -> Result<(), LinkError> {
        let up = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
        let what = format!("set interface {index} up");
        self.0.link().change(up).execute().await.map_err(refused(what))
    }

    /// Adds the address; that the interface has it already is fine.
    pub(crate) async fn ensure_address(
        &self,
        index: u32,
        address: impl Into<IpNet>,
    ) -> Result<(), LinkError> {
        let address = address.into();
        let request = self.0.address().add(index, address.addr(), address.prefix_len());
        match request.execute().await {
            Err(error) if !is(&error, libc::EEXIST) => {
                Err(refused(format!("add address {address} to interface {index}"))(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn add_default_route(&self, gateway: Ipv4Addr) -> Result<(), LinkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        let what = format!("add the default route through {gateway}");
        self.0.route().add(route).execute().await.map_err(refused(what))
    }

    /// Keeps packets with `mark` here, whatever their destination: they are routed by `table`, in which all
    /// is local. That it is so already is fine.
    pub(crate) async fn ensure_marked_stay(
        &self,
        family: AddressFamily,
        (mark, table): (u32, u32),
    ) -> Result<(), LinkError> {
        let loopback = self.required("lo").await?;
        let mut rule = self.0.rule().add();
        *rule.message_mut() = marked(family, (mark, table));
        let what = || format!("route what has the mark {mark} by table {table}");
        fine_if(libc::EEXIST, rule.execute().await, what)?;
        let route = self.0.route().add(all_local(family, table, loopback));
        let what = || format!("make all local in the routing table {table}");
        fine_if(libc::EEXIST, route.execute().await, what)
    }

    /// Undoes [`Links::ensure_marked_stay`]; that there is nothing to undo is fine.
    pub(crate) async fn let_marked_go(
        &self,
        family: AddressFamily,
        (mark, table): (u32, u32),
    ) -> Result<(), LinkError> {
        let loopback = self.required("lo").await?;
        let rule = self.0.rule().del(marked(family, (mark, table)));
        let what = || format!("route what has the mark {mark} as all else");
        fine_if(libc::ENOENT, rule.execute().await, what)?;
        let route = self.0.route().del(all_local(family, table, loopback));
        fine_if(libc::ESRCH, route.execute().await, || format!("empty the routing table {table}"))
    }

    /// Every IPv4 route of the main table.
    pub(crate) async fn routes(&self) -> Result<Vec<Network>, LinkError> {
        let all: Vec<RouteMessage> = self
            .0
            .route()
            .get(RouteMessageBuilder::<Ipv4Addr>::new().build())
            .execute()
            .try_collect()
            .await
            .map_err(refused("list routes".into()))?;
        let main = all.iter().filter(|route| route.header.table == RouteHeader::RT_TABLE_MAIN);
        Ok(main.filter_map(network).collect())
    }

    /// Every IPv4 address with the network it is in.
    pub(crate) async fn addresses(&self) -> Result<Vec<Network>, LinkError> {
        let all: Vec<_> = self
            .0
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("list addresses".into()))?;
        let found = all.iter().filter_map(|message| {
            let address = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(IpAddr::V4(address)) => Some(*address),
                _ => None,
            })?;
            let net = Ipv4Net::new(address, message.header.prefix_len).ok()?;
            Some(Network { net, interface: message.header.index })
        });
        Ok(found.collect())
    }

    /// Every interface whose name begins with `prefix`.
    pub(crate) async fn bridges(&self, prefix: &str) -> Result<Vec<Bridge>, LinkError> {
        let all: Vec<_> = self
            .0
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("list interfaces".into()))?;
        let found = all.iter().map(|link| {
            let index = link.header.index;
            let mut bridge = Bridge { index, name: String::new(), alias: String::new() };
            for attribute in &link.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => bridge.name.clone_from(name),
                    LinkAttribute::IfAlias(alias) => bridge.alias.clone_from(alias),
                    _ => {}
                }
            }
            bridge
        });
        Ok(found.filter(|bridge| bridge.name.starts_with(prefix)).collect())
    }

    pub(crate) async fn set_alias(&self, index: u32, alias: &str) -> Result<(), LinkError> {
        let mut noted = LinkMessageBuilder::<LinkUnspec>::new().index(index).build();
        noted.attributes.push(LinkAttribute::IfAlias(alias.into()));
        let what = format!("note what is forwarded on interface {index}");
        self.0.link().change(noted).execute().await.map_err(refused(what))
    }

    /// Whether any interface is plugged into the bridge.
    pub(crate) async fn has_members(&self, bridge: u32) -> Result<bool, LinkError> {
        let all: Vec<_> = self
            .0
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("list interfaces".into()))?;
        let mut attributes = all.iter().flat_map(|link| &link.attributes);
        Ok(attributes.any(|attribute| *attribute == LinkAttribute::Controller(bridge)))
    }

    /// The interface's name, of an index from [`Links::routes`].
    pub(crate) async fn name(&self, index: u32) -> Result<Option<String>, LinkError> {
        let found = self.0.link().get().match_index(index).execute().try_next().await;
        let link = found.map_err(refused(format!("look up interface {index}")))?;
        Ok(link.and_then(|link| {
            link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            })
        }))
    }
}

/// As `ip rule add` chooses it beside the kernel's own rules. With another one at each call, the same rule
/// would be added again.
const RULE_PRIORITY: u32 = 32765;

fn marked(family: AddressFamily, (mark, table): (u32, u32)) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family;
    rule.header.action = RuleAction::ToTable;
    rule.attributes.extend([
        RuleAttribute::Priority(RULE_PRIORITY),
        RuleAttribute::FwMark(mark),
        RuleAttribute::Table(table),
    ]);
    rule
}

fn all_local(family: AddressFamily, table: u32, loopback: u32) -> RouteMessage {
    let mut route = match family {
        AddressFamily::Inet6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        _ => RouteMessageBuilder::<Ipv4Addr>::new().build(),
    };
    route.header.kind = RouteType::Local;
    route.header.scope = RouteScope::Host;
    route.header.table = RouteHeader::RT_TABLE_UNSPEC;
    route.attributes.extend([RouteAttribute::Oif(loopback), RouteAttribute::Table(table)]);
    route
}

fn fine_if(
    code: i32,
    result: Result<(), rtnetlink::Error>,
    what: impl FnOnce() -> String,
) -> Result<(), LinkError> {
    match result {
        Err(error) if !is(&error, code) => Err(refused(what())(error)),
        _ => Ok(()),
    }
}

fn network(route: &RouteMessage) -> Option<Network> {
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    let interface = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })?;
    let address = destination.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let net = Ipv4Net::new(address, route.header.destination_prefix_length).ok()?;
    Some(Network { net, interface })
}

fn refused(what: String) -> impl FnOnce(rtnetlink::Error) -> LinkError {
    move |source| LinkError::Refused { what, source }
}

fn is(error: &rtnetlink::Error, code: i32) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message) if message.raw_code() == -code)
}
