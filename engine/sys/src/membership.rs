//! A flow's place on the network, held beside the capture thread: where its socket has joined, and joining anew.
//!
//! Owns: a second descriptor of the flow's socket, by which memberships, and what is told beside datagrams, are changed while
//! the capture thread reads it; and the kernel's list of what is joined. Never: receives, or takes a socket away from whoever reads it.
//!
//! The kernel keeps a membership while a link is down or an address goes, and forgets it silently with the interface (also
//! where IP is taken off it for a moment, by an MTU below 68). What a *switch* knows, it forgets with the link, and learns
//! again from a report only: from its querier's next question, minutes later, or from a new join. So a flow joins anew
//! after each break. What waits in the socket stays there meanwhile.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{InterfaceIndexOrAddress, Socket};

use crate::interfaces::{InterfaceInfo, InterfaceRef};
use crate::socket::{join, join_failed, routed, tell_marks};
use crate::{FlowSocketConfig, SysError};

/// A flow's place on the network. While it lives the socket does, so it goes with the flow.
#[derive(Debug)]
pub struct Membership {
    socket: Socket,
    config: FlowSocketConfig,
    local: SocketAddr,
    /// Where it joined; 0 where routing said nothing, or for unicast without an interface.
    index: u32,
}

/// What came of joining anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoined {
    /// The same socket hears the flow again.
    Same,
    /// This socket cannot: open another one and read on there.
    NeedsAnother,
}

impl Membership {
    pub(crate) fn new(socket: Socket, config: FlowSocketConfig, local: SocketAddr, index: u32) -> Self {
        Self { socket, config, local, index }
    }

    /// The number of the interface where it joined; 0 if none was named or found.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether the flow is a multicast group.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.config.address.is_multicast()
    }

    /// The interface that the flow belongs to, among those of now: the one that is named; or the one where it joined, and when that
    /// has gone, the one to which routing sends the group now.
    #[must_use]
    pub fn interface<'a>(&self, all: &'a [InterfaceInfo]) -> Option<&'a InterfaceInfo> {
        match &self.config.interface {
            Some(named) => InterfaceRef::among(named, all),
            None => {
                let numbered = |index: u32| all.iter().find(|info| info.index == index);
                numbered(self.index)
                    .or_else(|| self.is_group().then(|| numbered(routed(self.config.address)))?)
            }
        }
    }

    /// Whether the kernel's list has the membership; true for unicast, which has none, and where its interface isn't known.
    #[must_use]
    pub fn is_in(&self, joined: &Memberships) -> bool {
        self.index == 0 || !self.is_group() || joined.0.contains(&(self.index, self.config.address))
    }

    /// Joins anew on `interface`, so that the network hears of it, or says that it takes another socket. A flow that is
    /// received loses what comes between leaving and joining, some tens of microseconds.
    ///
    /// # Errors
    /// [`SysError`] as for [`crate::FlowSocket::open`]; nothing is joined then, and it can be tried again.
    pub fn rejoin(&mut self, interface: &InterfaceInfo) -> Result<Rejoined, SysError> {
        let family = self.config.address;
        let Some(own) = interface.address_like(family) else {
            let family = if family.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(SysError::NoInterfaceAddress { interface: interface.name.clone(), family });
        };
        if !self.is_group() {
            self.index = interface.index;
            // An address that went and came back still is the socket's.
            let kept = !family.is_unspecified() || self.local.ip().is_unspecified() || self.local.ip() == own;
            return Ok(if kept { Rejoined::Same } else { Rejoined::NeedsAnother });
        }
        if self.local.is_ipv6() && self.index != interface.index {
            // It is held to the interface that was, and may be let go by CAP_NET_RAW alone.
            return Ok(Rejoined::NeedsAnother);
        }
        // What isn't joined any more need not be left.
        let _ = self.leave();
        self.index = interface.index;
        match join(&self.socket, &self.config, self.index) {
            Ok(()) => Ok(Rejoined::Same),
            Err(error) => Err(join_failed(&self.config, Some(interface), error)),
        }
    }

    /// Has what the IP header said (TTL, traffic class) told with each datagram that is received from now on, or not. It costs
    /// two control messages a datagram, a tenth of what it takes to receive one.
    ///
    /// # Errors
    /// What the kernel says; it took the same when the socket was opened.
    pub fn tell_marks(&self, tell: bool) -> io::Result<()> {
        tell_marks(&self.socket, self.config.address, tell)
    }

    /// Leaves the group, with all its sources, also where the interface has gone.
    fn leave(&self) -> io::Result<()> {
        match self.config.address {
            IpAddr::V4(group) => {
                self.socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(self.index))
            }
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, self.index),
        }
    }
}

impl AsFd for Membership {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The groups that are joined on this machine, each on its interface, by whomever.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Memberships(HashSet<(u32, IpAddr)>);

impl Memberships {
    /// Reads them. They stand in `/proc/self/net`, which stays visible where the sandbox hides the rest of `/proc`
    /// (`ProcSubset=pid`).
    ///
    /// # Errors
    /// What the file system says, for IPv4; a kernel without IPv6 has no list of its groups.
    pub fn read() -> io::Result<Self> {
        let v4 = std::fs::read_to_string("/proc/self/net/igmp")?;
        let v6 = std::fs::read_to_string("/proc/self/net/igmp6").unwrap_or_default();
        Ok(Self(igmp(&v4).chain(igmp6(&v6)).collect()))
    }
}

/// Lines of an interface begin with its number; those of its groups are indented, and begin with the address in hexadecimal,
/// as the machine's words have it.
fn igmp(text: &str) -> impl Iterator<Item = (u32, IpAddr)> + '_ {
    let mut index = 0;
    text.lines().skip(1).filter_map(move |line| {
        let first = line.split_whitespace().next()?;
        if line.starts_with(char::is_whitespace) {
            let word = u32::from_str_radix(first, 16).ok()?;
            return Some((index, Ipv4Addr::from(word.to_ne_bytes()).into()));
        }
        index = first.parse().unwrap_or(0);
        None
    })
}

/// A line a group: number, interface, address in hexadecimal.
fn igmp6(text: &str) -> impl Iterator<Item = (u32, IpAddr)> + '_ {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let index = words.next()?.parse().ok()?;
        let address = u128::from_str_radix(words.nth(1)?, 16).ok()?;
        Some((index, Ipv6Addr::from(address).into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_lists_are_read() {
        let ours = |address: &str| u32::from_ne_bytes(address.parse::<Ipv4Addr>().unwrap().octets());
        let text = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\t\t\t\t{:08X}     1 \
             0:00000000\t\t0\n7\taudio:3  :     2      V3\n\t\t\t\t{:08X}     1 0:00000000\t\t0\n\t\t\t\t{:08X}     3 \
             0:00000000\t\t1\n",
            ours("224.0.0.1"),
            ours("239.69.1.2"),
            ours("224.0.0.251"),
        );
        let at = |index: u32, address: &str| (index, address.parse::<IpAddr>().unwrap());
        assert_eq!(
            igmp(&text).collect::<Vec<_>>(),
            [at(1, "224.0.0.1"), at(7, "239.69.1.2"), at(7, "224.0.0.251")]
        );
        let text = "2    eth0            ff0500000000000000000000000d0001     1 00000004 0\nrubbish\n";
        assert_eq!(igmp6(text).collect::<Vec<_>>(), [at(2, "ff05::d:1")]);
    }
}
