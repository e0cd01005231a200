//! The machine's network interfaces, and finding the one that a configuration means.
//!
//! Owns: reading them (`getifaddrs(3)`), by name or by one of their addresses.
//! Never: changes one, or keeps what it read: interfaces come and go.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::SysError;

/// A network interface as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// The kernel's name, e.g. `eth0`.
    pub name: String,
    /// The kernel's number for it, above zero.
    pub index: u32,
    /// Its addresses, IPv4 first, in the kernel's order.
    pub addresses: Vec<IpAddr>,
    /// It is switched on (IFF_UP); says nothing of the cable.
    pub up: bool,
    /// Its link carries (IFF_RUNNING): the cable is in, and the other end is there.
    pub running: bool,
    /// It says that it can multicast. `lo` doesn't say so, and yet can, see [`crate::FlowSocket`].
    pub multicast: bool,
    /// It is the machine's own loopback.
    pub loopback: bool,
}

impl InterfaceInfo {
    /// Whether an address is one of its own. All of 127.0.0.0/8 is the loopback's, listed or not.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || self.loopback && address.is_loopback()
    }

    /// Its first address of the same IP version as `like`; of IPv6 a routable one before a link-local one.
    #[must_use]
    pub fn address_like(&self, like: IpAddr) -> Option<IpAddr> {
        let mut same = self.addresses.iter().copied().filter(|address| address.is_ipv4() == like.is_ipv4());
        same.clone().find(|address| !is_link_local_v6(*address)).or_else(|| same.next())
    }
}

impl fmt::Display for InterfaceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let state = match (self.up, self.running) {
            (false, _) => ", down",
            (true, false) => ", no link",
            (true, true) => "",
        };
        match addresses.is_empty() {
            true => write!(f, "{} (no address{state})", self.name),
            false => write!(f, "{} ({}{state})", self.name, addresses.join(", ")),
        }
    }
}

/// How a person names an interface: by its name, or by one of its addresses (`--interface eth0`, `--interface 10.0.0.5`).
///
/// ```
/// use audyn_sys::InterfaceRef;
/// assert_eq!("eth0".parse(), Ok(InterfaceRef::Name("eth0".into())));
/// assert_eq!("10.0.0.5".parse(), Ok(InterfaceRef::Address([10, 0, 0, 5].into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InterfaceRef {
    /// The kernel's name.
    Name(String),
    /// An address of it.
    Address(IpAddr),
}

impl FromStr for InterfaceRef {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address))
    }
}

impl fmt::Display for InterfaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "named {name:?}"),
            Self::Address(address) => write!(f, "with the address {address}"),
        }
    }
}

impl InterfaceRef {
    /// Finds the interface that is meant.
    ///
    /// # Errors
    /// [`SysError::NoSuchInterface`] lists those that exist; [`SysError::Interfaces`] if they can't be read.
    pub fn find(&self) -> Result<InterfaceInfo, SysError> {
        let all = interfaces()?;
        self.among(&all)
            .cloned()
            .ok_or_else(|| SysError::NoSuchInterface { wanted: self.to_string(), known: known(&all) })
    }

    /// The interface that is meant, among those read before.
    #[must_use]
    pub fn among<'a>(&self, all: &'a [InterfaceInfo]) -> Option<&'a InterfaceInfo> {
        all.iter().find(|info| match self {
            Self::Name(name) => info.name == *name,
            Self::Address(address) => info.addresses.contains(address),
        })
    }
}

/// All interfaces, by the kernel's numbers: those without an address and those that are down, too.
///
/// # Errors
/// [`SysError::Interfaces`] if the kernel doesn't tell.
pub fn interfaces() -> Result<Vec<InterfaceInfo>, SysError> {
    let entries =
        nix::ifaddrs::getifaddrs().map_err(|error| SysError::Interfaces { source: error.into() })?;
    let mut found = BTreeMap::<u32, InterfaceInfo>::new();
    // One entry an address, and one without for the link itself.
    for entry in entries {
        // An address with a label of its own comes under that, "eth0:1" (ip-address(8)).
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        // An interface that went away since the list was made has no number: leave it out.
        let Ok(index) = if_nametoindex(name) else { continue };
        let flags = entry.flags;
        let info = found.entry(index).or_insert_with(|| InterfaceInfo {
            name: name.to_owned(),
            index,
            addresses: Vec::new(),
            up: flags.contains(InterfaceFlags::IFF_UP),
            running: flags.contains(InterfaceFlags::IFF_RUNNING),
            multicast: flags.contains(InterfaceFlags::IFF_MULTICAST),
            loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
        });
        if let Some(address) = entry.address {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
            info.addresses.extend(v4.or(v6));
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    for info in &mut found {
        info.addresses.sort_by_key(IpAddr::is_ipv6); // stable: the kernel's order within a version stays
    }
    Ok(found)
}

/// The interfaces for a sentence: "lo (127.0.0.1, ::1), eth0 (no address, down)".
pub(crate) fn known(all: &[InterfaceInfo]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// fe80::/10 (RFC 4291 §2.5.6): means something only together with an interface.
pub(crate) fn is_link_local_v6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_listed_and_found_by_name_and_by_address() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|info| info.loopback).unwrap();
        assert!(lo.up && lo.index > 0, "{lo:?}");
        assert!(lo.addresses.contains(&[127, 0, 0, 1].into()), "{lo:?}");
        assert_eq!(InterfaceRef::Name(lo.name.clone()).find().unwrap(), *lo);
        assert_eq!(InterfaceRef::Address([127, 0, 0, 1].into()).find().unwrap(), *lo);
        let mut indices: Vec<u32> = all.iter().map(|info| info.index).collect();
        indices.dedup();
        assert_eq!(indices.len(), all.len(), "an interface is listed once");
    }

    #[test]
    fn an_unknown_interface_is_told_with_those_that_exist() {
        for wanted in ["nosuch0", "203.0.113.77", "eth0\0x"] {
            let error = wanted.parse::<InterfaceRef>().unwrap().find().unwrap_err().to_string();
            assert!(
                error.starts_with("there is no network interface") && error.contains("lo (127.0.0.1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_routable_address_goes_before_a_link_local_one() {
        let info = InterfaceInfo {
            name: "eth0".into(),
            index: 2,
            addresses: vec![
                "10.0.0.1".parse().unwrap(),
                "fe80::1".parse().unwrap(),
                "fd00::1".parse().unwrap(),
            ],
            up: false,
            running: false,
            multicast: true,
            loopback: false,
        };
        assert_eq!(info.address_like("::".parse().unwrap()), Some("fd00::1".parse().unwrap()));
        assert_eq!(info.address_like("0.0.0.0".parse().unwrap()), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(info.to_string(), "eth0 (10.0.0.1, fe80::1, fd00::1, down)");
        let bare = InterfaceInfo { addresses: vec![], ..info };
        assert_eq!(bare.address_like("::".parse().unwrap()), None);
        assert_eq!(bare.to_string(), "eth0 (no address, down)");
    }
}
