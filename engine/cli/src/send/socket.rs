//! The way to the network: one UDP socket, and the interface that it sends from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use super::error::SendError;

/// A socket that sends to one place.
#[derive(Debug)]
pub(super) struct Line {
    socket: UdpSocket,
    to: SocketAddr,
    local: IpAddr,
}

impl Line {
    /// Opens it: from `interface`, if given; packets to a group also reach receivers on this machine.
    pub(super) fn open(
        to: SocketAddr,
        interface: Option<&str>,
        ttl: u8,
        dscp: u8,
    ) -> Result<Self, SendError> {
        let from = interface.map(|name| Interface::find(name, to.ip())).transpose()?;
        let refused = |error: io::Error| SendError::network(to, &error);
        let socket = Self::configure(to, from.as_ref(), ttl, dscp).map_err(refused)?;
        let local = socket.local_addr().map_err(refused)?.ip();
        Ok(Self { socket, to, local })
    }

    fn configure(to: SocketAddr, from: Option<&Interface>, ttl: u8, dscp: u8) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        let (hops, class) = (u32::from(ttl), u32::from(dscp) << 2); // RFC 2474 §3: the upper six bits
        match to.ip() {
            IpAddr::V4(_) => {
                socket.set_tos_v4(class)?;
                socket.set_ttl_v4(hops)?;
                socket.set_multicast_ttl_v4(hops)?;
                socket.set_multicast_loop_v4(true)?;
                if let Some(Interface { address: IpAddr::V4(address), .. }) = from {
                    socket.set_multicast_if_v4(address)?;
                }
            }
            IpAddr::V6(_) => {
                socket.set_tclass_v6(class)?;
                socket.set_unicast_hops_v6(hops)?;
                socket.set_multicast_hops_v6(hops)?;
                socket.set_multicast_loop_v6(true)?;
                if let Some(interface) = from {
                    socket.set_multicast_if_v6(interface.index)?;
                }
            }
        }
        let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut bound = SocketAddr::new(from.map_or(any, |interface| interface.address), 0);
        if let (SocketAddr::V6(bound), Some(interface)) = (&mut bound, from)
            && bound.ip().is_unicast_link_local()
        {
            bound.set_scope_id(interface.index);
        }
        socket.bind(&bound.into())?;
        // Connected, the route is looked up once and not for every packet.
        socket.connect(&to.into())?;
        Ok(socket.into())
    }

    /// The address that packets come from.
    pub(super) fn local_address(&self) -> IpAddr {
        self.local
    }

    /// Where they go.
    pub(super) fn to(&self) -> SocketAddr {
        self.to
    }

    pub(super) fn send(&self, datagram: &[u8]) -> Result<(), SendError> {
        loop {
            match self.socket.send(datagram) {
                Ok(_) => return Ok(()),
                // An answer to an earlier packet: nobody listens there yet. This one hasn't left: again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SendError::network(self.to, &error)),
            }
        }
    }
}

/// An interface, and its address of the destination's kind.
#[derive(Debug)]
struct Interface {
    index: u32,
    address: IpAddr,
}

impl Interface {
    /// By name, or by an address that it has.
    fn find(wanted: &str, to: IpAddr) -> Result<Self, SendError> {
        let unreadable = |error: nix::Error| SendError::network(to, &error.into());
        let by_address: Option<IpAddr> = wanted.parse().ok();
        let mut known: Vec<String> = Vec::new();
        let mut found = None;
        for entry in getifaddrs().map_err(unreadable)? {
            if !known.contains(&entry.interface_name) {
                known.push(entry.interface_name.clone());
            }
            let address = entry.address.as_ref().and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            });
            let Some(address) = address.filter(|address| address.is_ipv4() == to.is_ipv4()) else { continue };
            let meant = by_address.map_or(entry.interface_name == wanted, |wanted| wanted == address);
            if meant && found.is_none() {
                found = Some((entry.interface_name, address));
            }
        }
        let Some((name, address)) = found else {
            let kind = if to.is_ipv4() { "IPv4" } else { "IPv6" };
            let sentence = if known.iter().any(|name| name == wanted) {
                format!("the interface {wanted} has no {kind} address; give it one or choose another")
            } else {
                format!(
                    "there is no interface {wanted} with an {kind} address; choose one of: {}",
                    known.join(", ")
                )
            };
            return Err(SendError::Usage(sentence));
        };
        let index = if_nametoindex(name.as_str()).map_err(unreadable)?;
        Ok(Self { index, address })
    }
}
