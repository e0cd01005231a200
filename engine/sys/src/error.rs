//! The crate's errors: one sentence each, what was wrong and what to do.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// What the operating system refused, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SysError {
    /// The size asked of a slab cannot be.
    #[error(
        "cannot make {slots} slots of {slot_bytes} bytes: ask for at least one of each, and for less than the address space"
    )]
    SlabSize {
        /// Slots asked for.
        slots: usize,
        /// Bytes asked for each.
        slot_bytes: usize,
    },
    /// The memory of a slab was refused.
    #[error(
        "no memory for {bytes} bytes of receive slots ({source}): configure fewer flows or a smaller buffer, or free memory"
    )]
    SlabMemory {
        /// Bytes in all.
        bytes: usize,
        /// What the system said.
        source: io::Error,
    },

    /// No interface has that name or address.
    #[error("there is no network interface {wanted}: use one of {known}")]
    NoSuchInterface {
        /// The name or address asked for.
        wanted: String,
        /// Those that exist, with their addresses, for people.
        known: String,
    },
    /// The interface has no address of the family that the flow has.
    #[error(
        "interface {interface} has no {family} address: give it one (DHCP may still be running), or choose another interface"
    )]
    NoInterfaceAddress {
        /// The interface's name.
        interface: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// The unicast address is not one of this machine, or not of the interface that was named with it.
    #[error("{address} is not an address of {owner}: use one of {known}, or the multicast group of the flow")]
    NotLocal {
        /// The address asked for.
        address: IpAddr,
        /// "this machine" or "interface NAME".
        owner: String,
        /// The addresses that would do, for people.
        known: String,
    },
    /// Another socket holds the port and doesn't share it.
    #[error(
        "{address} is in use by another program or flow that does not share it: stop that one (`ss -ulpn` shows it), or use another port"
    )]
    PortInUse {
        /// The address and port asked for.
        address: SocketAddr,
    },
    /// The kernel's limit of memberships or of source filters is reached.
    #[error(
        "cannot join {group}, the kernel's limit is reached: raise net.ipv4.igmp_max_memberships (or igmp_max_msf for sources; net.ipv6.mld_max_msf) by sysctl"
    )]
    TooManyMemberships {
        /// The group asked for.
        group: IpAddr,
    },
    /// No interface was named, and routing doesn't say which one a group is to be joined on.
    #[error("no route says on which interface to join {group}: name the interface, one of {known}")]
    NoRoute {
        /// The group asked for.
        group: IpAddr,
        /// The interfaces that exist, with their addresses, for people.
        known: String,
    },
    /// A source filter was given for a flow that is no multicast group.
    #[error(
        "the source filter {filter} needs a multicast group, but {address} is none: leave the filter out"
    )]
    SourceFilterWithoutGroup {
        /// The filter's sender.
        filter: IpAddr,
        /// The flow's address.
        address: IpAddr,
    },
    /// IPv4 and IPv6 were mixed in one flow, or the source is no sender's address.
    #[error(
        "{other} cannot be the source of {address}: give the sender's own address, of the same IP version"
    )]
    BadSource {
        /// The flow's address.
        address: IpAddr,
        /// The source given.
        other: IpAddr,
    },
    /// The right to bind or to join is missing.
    #[error(
        "the system forbids to {what}: ports below 1024 need CAP_NET_BIND_SERVICE; else look for a sandbox rule of the service (SocketBindDeny=, RestrictAddressFamilies=)"
    )]
    Forbidden {
        /// What was tried.
        what: String,
    },
    /// Any other failure of a socket call.
    #[error(
        "cannot {what}: {source}; if the interface is up and the address is right, this kernel lacks what a flow needs"
    )]
    Socket {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A socket that was kept from an earlier process is not what its name says.
    #[error("a kept socket for {wanted} is none: {found}; another one is opened")]
    NotThisFlow {
        /// What the flow is.
        wanted: SocketAddr,
        /// What was found instead.
        found: String,
    },
    /// The interfaces can't be listed.
    #[error("cannot list the network interfaces ({source}): allow AF_NETLINK in the service's sandbox")]
    Interfaces {
        /// What the system said.
        source: io::Error,
    },
    /// The kernel doesn't tell what happens on the network.
    #[error(
        "changes of the network are seen a second late ({source}): allow AF_NETLINK in the service's sandbox"
    )]
    Watch {
        /// What the system said.
        source: io::Error,
    },

    /// A PTP hardware clock can't be read.
    #[error(
        "cannot read the hardware clock {} ({source}): name one that is there (`ls /dev/ptp*`), and let this user read it", .path.display()
    )]
    Phc {
        /// The device.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be asked what an interface can stamp.
    #[error("cannot ask what interface {interface:?} can stamp ({source}): name one of `ip link`")]
    InterfaceStamps {
        /// The interface's name.
        interface: String,
        /// What the system said.
        source: io::Error,
    },

    /// SCHED_FIFO was refused.
    #[error("no real-time priority {priority} for this thread ({source}): {remedy}")]
    Fifo {
        /// The priority asked for.
        priority: u8,
        /// The right that is missing and where to give it.
        remedy: String,
        /// What the system said.
        source: io::Error,
    },
    /// The thread can't be pinned.
    #[error("cannot run this thread on CPU {cpu} alone ({source}): {remedy}")]
    Pin {
        /// The CPU asked for.
        cpu: usize,
        /// Which CPUs are allowed.
        remedy: String,
        /// What the system said.
        source: io::Error,
    },
    /// Memory can't be locked.
    #[error("memory is not locked, so paging may delay the capture: {remedy}")]
    LockMemory {
        /// The right that is missing and where to give it.
        remedy: String,
    },
    /// The list of isolated CPUs can't be read.
    #[error(
        "cannot read which CPUs are isolated ({detail}): mount /sys, or name the CPU in the configuration"
    )]
    IsolatedCpus {
        /// What was found instead.
        detail: String,
    },
    /// A thread name that the kernel doesn't take.
    #[error("{name:?} is no thread name: use 1 to 15 bytes without a NUL")]
    ThreadName {
        /// The name asked for.
        name: String,
    },

    /// A thread can't be started.
    #[error("cannot start a thread ({source}): raise the service's TasksMax= or free memory")]
    Thread {
        /// What the system said.
        source: io::Error,
    },

    /// A grid needs a period above zero.
    #[error("a time grid of {nanos} ns has no ticks: use a period above zero")]
    GridPeriod {
        /// The period asked for.
        nanos: i64,
    },
}
