//! The kernel's nf_tables, spoken to directly over a netlink socket.
//!
//! In: a [`Ruleset`]. Out: the same rules in the network namespace of the calling thread, put there
//! or taken away as one transaction. The message layout is that of the kernel's
//! `include/uapi/linux/netfilter/nf_tables.h`: a batch (begin, table, chains, rules, end), each
//! message a netlink header, an `nfgenmsg` and attributes. No `nft` program is needed.

mod encode;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::rules::Ruleset;
use encode::Batch;

/// How long the kernel may take to answer before the transaction counts as lost.
const ANSWER_SECONDS: i64 = 5;

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    #[error("cannot open a netfilter netlink socket; check that the kernel has nf_tables: {0}")]
    Socket(#[source] io::Error),
    #[error(
        "the kernel did not take {what} of nftables table {table}; check CAP_NET_ADMIN and the kernel modules nf_tables, nft_redir, nft_masq and, for TPROXY, nft_tproxy: {source}"
    )]
    Refused { table: String, what: String, source: io::Error },
    #[error("the kernel did not answer about nftables table {0}")]
    Silent(String),
}

/// Puts `ruleset` in place of any table of the same name, in one transaction.
pub fn apply(ruleset: &Ruleset) -> Result<(), NftError> {
    transact(&ruleset.table, &encode::replace(ruleset))
}

/// Removes the table `name`; that it does not exist is fine.
pub fn remove(name: &str) -> Result<(), NftError> {
    transact(name, &encode::remove(name))
}

fn transact(table: &str, batch: &Batch) -> Result<(), NftError> {
    let socket = open().map_err(NftError::Socket)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), batch.bytes(), &kernel, MsgFlags::empty())
        .map_err(|error| NftError::Socket(error.into()))?;
    let mut waiting = batch.acknowledged();
    let mut buffer = vec![0; 16 * 1024];
    while waiting > 0 {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(nix::Error::EINTR) => continue,
            Err(_) => return Err(NftError::Silent(table.into())),
        };
        for (sequence, code) in wire::answers(&buffer[..length]) {
            if code != 0 {
                let source = io::Error::from_raw_os_error(-code);
                return Err(NftError::Refused {
                    table: table.into(),
                    what: batch.describe(sequence),
                    source,
                });
            }
            waiting -= 1;
        }
    }
    Ok(())
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(ANSWER_SECONDS, 0))?;
    Ok(socket)
}
