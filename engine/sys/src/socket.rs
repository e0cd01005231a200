//! The socket of a flow: bound, joined and ready for [`crate::BatchReceiver`].
//!
//! Owns: the order and the choice of the options, and the sentence for each way in which it fails.
//! Never: receives, or changes by itself: [`Membership`] joins anew, beside whoever receives.
//!
//! One group, one socket: it is bound to the *group's* address, so that the kernel hands it nothing of another
//! group on the same port, and IP_MULTICAST_ALL is off, so that it hears only what it joined itself, on the
//! interface where it joined (`ip(7)`; otherwise any socket hears every group that anyone on the machine joined).

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, SockAddr, Socket, Type};

use crate::interfaces::{InterfaceInfo, InterfaceRef, interfaces, is_link_local_v6, known};
use crate::{Membership, SysError};

/// What a flow's socket is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSocketConfig {
    /// A multicast group; or an address of this machine; or `0.0.0.0`/`::` for unicast to any of its addresses.
    pub address: IpAddr,
    /// The UDP port; 0 for unicast lets the kernel choose ([`FlowSocket::local_address`] tells).
    pub port: u16,
    /// Where to join; `None` leaves it to the routing table. For unicast: the interface whose address to use.
    pub interface: Option<InterfaceRef>,
    /// Hear this sender only (RFC 4607, SDP's `a=source-filter`); multicast only.
    pub source: Option<IpAddr>,
    /// The receive buffer to ask for, in bytes as the kernel counts them: a small datagram takes about 1.3 KB.
    pub receive_buffer: usize,
}

/// A bound and joined UDP socket: non-blocking, close-on-exec, with kernel receive times (`SO_TIMESTAMPNS`), the drop
/// counter (`SO_RXQ_OVFL`), TTL and traffic class (`IP_RECVTTL`, `IP_RECVTOS` and IPv6's) on; the last two until
/// [`Membership::tell_marks`] says otherwise.
///
/// A multicast socket shares its port (`SO_REUSEADDR`): each one hears all datagrams. A unicast socket doesn't, since
/// of two on one address only the later one would hear, silently.
///
/// # Multicast over `lo`
/// It works, though `lo` lacks the MULTICAST flag: join with `interface: "lo"`. The sender must be told to send there,
/// or routing takes its datagrams elsewhere: `IP_MULTICAST_IF` 127.0.0.1 (`set_multicast_if_v4`), with
/// `IP_MULTICAST_LOOP` left on, as it is; any TTL will do. IPv6 has no multicast route on `lo` and refuses to send
/// (ENETUNREACH) until `ip -6 route add multicast ff00::/8 dev lo table local`.
#[derive(Debug)]
pub struct FlowSocket {
    socket: Socket,
    local: SocketAddr,
    granted: usize,
    forced: bool,
    /// Where it joined; 0 where neither the configuration nor routing says so.
    index: u32,
}

impl FlowSocket {
    /// Opens, binds and joins. Nothing that is not the flow's reaches the socket at any moment of it.
    ///
    /// # Errors
    /// [`SysError`] has a variant for each cause that a person can remove; nothing stays open.
    pub fn open(config: &FlowSocketConfig) -> Result<Self, SysError> {
        let (interface, local) = place(config)?;
        let group = config.address.is_multicast();
        let domain = Domain::for_address(local);
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)
            .map_err(|error| failed("open a UDP socket", error))?;
        set_options(&socket, local.ip()).map_err(|error| failed("prepare a UDP socket", error))?;
        let (granted, forced) = set_receive_buffer(&socket, config.receive_buffer)
            .map_err(|error| failed("size a receive buffer", error))?;
        if let Some(interface) = interface.as_ref().filter(|_| group && local.is_ipv6()) {
            // IPv6 matches a membership by its group alone (inet6_mc_check in the kernel), so the interface needs saying.
            socket
                .bind_device(Some(interface.name.as_bytes()))
                .map_err(|error| failed(&format!("hold a socket to interface {}", interface.name), error))?;
        }
        socket.bind(&local.into()).map_err(|error| bind_failed(local, error))?;
        let index = index_of(config, interface.as_ref());
        if group {
            join(&socket, config, index).map_err(|error| join_failed(config, interface.as_ref(), error))?;
        }
        let local = socket.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(local);
        Ok(Self { socket, local, granted, forced, index })
    }

    /// Takes a socket over that an earlier process opened for the same flow, with all that waits in it: bound to the flow's address,
    /// on its interface, and joined; what it has joined stays joined. Which flow it is of is told by its
    /// [name](FlowSocketConfig::store_name); what can be asked of the socket itself is asked.
    ///
    /// # Errors
    /// [`SysError::NotThisFlow`] if it is something else, and as for [`FlowSocket::open`]. The descriptor is closed then.
    pub fn adopt(descriptor: OwnedFd, config: &FlowSocketConfig) -> Result<Self, SysError> {
        let (interface, local) = place(config)?;
        let socket = Socket::from(descriptor);
        let odd = |found: String| SysError::NotThisFlow { wanted: local, found };
        let said = |error: io::Error| odd(error.to_string());
        if socket.r#type().map_err(said)? != Type::DGRAM {
            return Err(odd("it takes no datagrams".to_owned()));
        }
        let bound = socket.local_addr().map_err(said)?.as_socket();
        if bound != Some(local) {
            return Err(odd(bound
                .map_or("it is bound to no address".to_owned(), |other| format!("it is bound to {other}"))));
        }
        let group = config.address.is_multicast();
        let held = socket.device().map_err(said)?;
        let holder = interface.as_ref().filter(|_| group && local.is_ipv6());
        if held.as_deref() != holder.map(|interface| interface.name.as_bytes()) {
            return Err(odd("it is held to another interface".to_owned()));
        }
        socket.set_nonblocking(true).map_err(said)?;
        set_receive_options(&socket, local.ip()).map_err(said)?;
        let (granted, forced) = set_receive_buffer(&socket, config.receive_buffer).map_err(said)?;
        let index = index_of(config, interface.as_ref());
        if group && let Err(error) = join(&socket, config, index) {
            // As it should be: EADDRINUSE for a group, EADDRNOTAVAIL for a source of it that it hears already.
            if !matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)) {
                return Err(join_failed(config, interface.as_ref(), error));
            }
        }
        Ok(Self { socket, local, granted, forced, index })
    }

    /// A hold on its place on the network, for whoever watches over it while another thread reads the socket.
    /// `config` is what it was opened with.
    ///
    /// # Errors
    /// [`SysError::Socket`] without a free descriptor.
    pub fn membership(&self, config: FlowSocketConfig) -> Result<Membership, SysError> {
        let socket = self.socket.try_clone().map_err(|error| failed("hold a flow's socket twice", error))?;
        Ok(Membership::new(socket, config, self.local, self.index))
    }

    /// The address that it is bound to: the group's, or one of this machine.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The receive buffer that the kernel granted, in bytes, in the terms of [`FlowSocketConfig::receive_buffer`]: less than
    /// asked for where `net.core.rmem_max` is lower and [`FlowSocket::forced`] is false.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.granted
    }

    /// Whether the buffer was set past `net.core.rmem_max`'s authority (`SO_RCVBUFFORCE`, needs CAP_NET_ADMIN).
    #[must_use]
    pub fn forced(&self) -> bool {
        self.forced
    }
}

impl FlowSocketConfig {
    /// The name under which a service manager keeps this flow's socket: what it is bound to, where it is joined (the interface's
    /// number, so that one made anew is another) and from whom it hears; `label` says whose it is. Letters, digits and some
    /// marks, no colon, as sd_pid_notify_with_fds(3) asks. None where the kernel chose the port, or the interface isn't there.
    #[must_use]
    pub fn store_name(&self, label: &str) -> Option<String> {
        let (interface, local) = place(self).ok().filter(|_| self.port != 0)?;
        let index = index_of(self, interface.as_ref());
        let source = self.source.map_or_else(|| "any".to_owned(), |source| source.to_string());
        let name = format!("flow-{label}-{}-{}-on-{index}-from-{source}", local.ip(), local.port());
        Some(name.replace(':', "_"))
    }
}

impl FlowSocket {
    /// Asks for the card's time stamps beside the kernel's (`SO_TIMESTAMPING`): of those datagrams that the card stamps, which
    /// is whoever set its filter's choice (ptp4l's `hwts_filter`), not ours. With `virtual_clock`, by the hardware clock of that number,
    /// a virtual one on the card's (`SOF_TIMESTAMPING_BIND_PHC`); the socket is then held to `interface`, which the kernel wants.
    ///
    /// # Errors
    /// [`SysError::Socket`] if the kernel refuses; the socket goes on with the kernel's stamps.
    pub fn stamp_by_card(&self, interface: &str, virtual_clock: Option<u32>) -> Result<(), SysError> {
        let what = || format!("have packets stamped by the card of {interface}");
        if virtual_clock.is_some() {
            self.socket.bind_device(Some(interface.as_bytes())).map_err(|error| failed(&what(), error))?;
        }
        set_stamping(&self.socket, virtual_clock).map_err(|error| failed(&what(), error))
    }
}

/// The kernel's `struct so_timestamping`.
#[repr(C)]
struct SoTimestamping {
    flags: u32,
    bind_phc: u32,
}

#[expect(
    unsafe_code,
    reason = "socket2 and nix take SO_TIMESTAMPING's flags only, without the clock to bind to"
)]
fn set_stamping(socket: &Socket, virtual_clock: Option<u32>) -> io::Result<()> {
    let bind = virtual_clock.map_or(0, |_| libc::SOF_TIMESTAMPING_BIND_PHC);
    let request = SoTimestamping {
        flags: libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE | bind,
        bind_phc: virtual_clock.unwrap_or(0),
    };
    // SAFETY: the pointer and the length are those of `request`, which outlives the call and is only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const request).cast(),
            size_of::<SoTimestamping>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AsFd for FlowSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The interface that is named, and the address to bind to.
fn place(config: &FlowSocketConfig) -> Result<(Option<InterfaceInfo>, SocketAddr), SysError> {
    check_source(config)?;
    let interface = config.interface.as_ref().map(InterfaceRef::find).transpose()?;
    let local = if config.address.is_multicast() {
        group_address(config, interface.as_ref())?
    } else {
        unicast_address(config, interface.as_ref())?
    };
    Ok((interface, local))
}

/// Where a flow joins: on the interface that is named, else where routing sends its group; 0 where nothing says so.
fn index_of(config: &FlowSocketConfig, interface: Option<&InterfaceInfo>) -> u32 {
    match interface {
        Some(interface) => interface.index,
        None if config.address.is_multicast() => routed(config.address),
        None => 0,
    }
}

fn check_source(config: &FlowSocketConfig) -> Result<(), SysError> {
    let Some(source) = config.source else { return Ok(()) };
    let address = config.address;
    if !address.is_multicast() {
        return Err(SysError::SourceFilterWithoutGroup { filter: source, address });
    }
    if source.is_ipv4() != address.is_ipv4() || source.is_multicast() || source.is_unspecified() {
        return Err(SysError::BadSource { address, other: source });
    }
    Ok(())
}

fn group_address(
    config: &FlowSocketConfig,
    interface: Option<&InterfaceInfo>,
) -> Result<SocketAddr, SysError> {
    let group = config.address;
    match interface {
        // Without an address it would report its membership from 0.0.0.0, which many a switch ignores.
        Some(interface) if interface.address_like(group).is_none() => Err(no_address(interface, group)),
        Some(interface) => Ok(socket_address(group, config.port, interface.index)),
        None if needs_scope(group) => Err(SysError::NoRoute { group, known: known(&interfaces()?) }),
        None => Ok(socket_address(group, config.port, 0)),
    }
}

fn unicast_address(
    config: &FlowSocketConfig,
    interface: Option<&InterfaceInfo>,
) -> Result<SocketAddr, SysError> {
    let address = config.address;
    match interface {
        Some(interface) if address.is_unspecified() => {
            let own = interface.address_like(address).ok_or_else(|| no_address(interface, address))?;
            Ok(socket_address(own, config.port, interface.index))
        }
        Some(interface) if !interface.has(address) => {
            let owner = format!("interface {}", interface.name);
            Err(SysError::NotLocal { address, owner, known: interface.to_string() })
        }
        Some(interface) => Ok(socket_address(address, config.port, interface.index)),
        None if is_link_local_v6(address) => {
            let owner = InterfaceRef::Address(address).find().map_err(|_| not_local(address))?;
            Ok(socket_address(address, config.port, owner.index))
        }
        None => Ok(socket_address(address, config.port, 0)),
    }
}

/// The scope (an interface's index) is for the addresses that mean nothing without; bind(2) gives it back otherwise.
fn socket_address(address: IpAddr, port: u16, index: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if needs_scope(address) => SocketAddrV6::new(v6, port, 0, index).into(),
        _ => SocketAddr::new(address, port),
    }
}

/// Link-local addresses, and groups of interface-local or link-local scope (RFC 4291 §2.7: ff01, ff02).
fn needs_scope(address: IpAddr) -> bool {
    is_link_local_v6(address)
        || matches!(address, IpAddr::V6(v6) if v6.is_multicast() && matches!(v6.octets()[1] & 0x0f, 1 | 2))
}

/// All that must hold before the first datagram can be queued, so before bind.
fn set_options(socket: &Socket, address: IpAddr) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.is_multicast() {
        socket.set_reuse_address(true)?;
    }
    set_receive_options(socket, address)
}

/// What can be set at any time.
fn set_receive_options(socket: &Socket, address: IpAddr) -> io::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(socket, sockopt::RxqOvfl, &1)?;
    match address {
        IpAddr::V4(_) => socket.set_multicast_all_v4(false),
        IpAddr::V6(_) => socket.set_multicast_all_v6(false),
    }?;
    tell_marks(socket, address, true)
}

/// Has TTL and traffic class told with each datagram that is received from now on, or not.
pub(crate) fn tell_marks(socket: &Socket, address: IpAddr, tell: bool) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => {
            setsockopt(socket, sockopt::Ipv4RecvTtl, &tell)?;
            socket.set_recv_tos_v4(tell)
        }
        IpAddr::V6(_) => {
            socket.set_recv_hoplimit_v6(tell)?;
            socket.set_recv_tclass_v6(tell)
        }
    }
}

fn set_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<(usize, bool)> {
    let bytes = bytes.min(i32::MAX as usize / 2);
    let forced = setsockopt(socket, sockopt::RcvBufForce, &bytes).is_ok();
    if !forced {
        socket.set_recv_buffer_size(bytes)?;
    }
    // The kernel doubles what is asked for, for its own bookkeeping, and tells the double (socket(7)).
    Ok((socket.recv_buffer_size()? / 2, forced))
}

/// The interface to which routing sends a group, which is where the kernel joins it if none is named: the one that has the
/// address from which a datagram to the group would leave. 0 if there is none; nothing is sent.
pub(crate) fn routed(group: IpAddr) -> u32 {
    let asked = || -> io::Result<Option<IpAddr>> {
        let probe = Socket::new(Domain::for_address(SocketAddr::new(group, 9)), Type::DGRAM.cloexec(), None)?;
        probe.connect(&SocketAddr::new(group, 9).into())?;
        Ok(probe.local_addr()?.as_socket().map(|own| own.ip()))
    };
    let own = asked().ok().flatten().map(|own| InterfaceRef::Address(own).find());
    own.and_then(Result::ok).map_or(0, |interface| interface.index)
}

/// Joins by the interface's index; 0 is the routing table's choice.
pub(crate) fn join(socket: &Socket, config: &FlowSocketConfig, index: u32) -> io::Result<()> {
    match (config.address, config.source) {
        (group, Some(source)) => join_source(socket, group, source, index),
        (IpAddr::V4(group), None) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
        }
        (IpAddr::V6(group), None) => socket.join_multicast_v6(&group, index),
    }
}

/// RFC 3678 §5.1; takes the interface by index for both IP versions, which IP_ADD_SOURCE_MEMBERSHIP doesn't.
#[expect(unsafe_code, reason = "socket2 and nix have no MCAST_JOIN_SOURCE_GROUP")]
fn join_source(socket: &Socket, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    let storage = |address: IpAddr| -> libc::sockaddr_storage {
        let address = SockAddr::from(SocketAddr::new(address, 0));
        // SAFETY: a SockAddr holds a whole sockaddr_storage, zeroed beyond the address, whatever its length says;
        // socket2 documents SockAddrStorage as having that layout.
        unsafe { address.as_ptr().cast::<libc::sockaddr_storage>().read() }
    };
    let request = libc::group_source_req {
        gsr_interface: index,
        gsr_group: storage(group),
        gsr_source: storage(source),
    };
    let level = if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    // SAFETY: the pointer and the length are those of `request`, which outlives the call and is only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            libc::MCAST_JOIN_SOURCE_GROUP,
            (&raw const request).cast(),
            size_of::<libc::group_source_req>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind_failed(local: SocketAddr, error: io::Error) -> SysError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => SysError::PortInUse { address: local },
        Some(libc::EADDRNOTAVAIL) => not_local(local.ip()),
        _ => failed(&format!("bind to {local}"), error),
    }
}

pub(crate) fn join_failed(
    config: &FlowSocketConfig,
    interface: Option<&InterfaceInfo>,
    error: io::Error,
) -> SysError {
    let group = config.address;
    let known = || interfaces().map_or_else(|_| "those of `ip link`".to_owned(), |all| known(&all));
    match (error.raw_os_error(), interface) {
        (Some(libc::ENOBUFS | libc::ENOMEM), _) => SysError::TooManyMemberships { group },
        (Some(libc::ENODEV | libc::ENETUNREACH), None) => SysError::NoRoute { group, known: known() },
        // It was there a moment ago.
        (Some(libc::ENODEV), Some(gone)) => SysError::NoSuchInterface {
            wanted: InterfaceRef::Name(gone.name.clone()).to_string(),
            known: known(),
        },
        (_, on) => {
            let place = on.map(|interface| format!(" on {}", interface.name)).unwrap_or_default();
            failed(&format!("join {group}{place}"), error)
        }
    }
}

fn not_local(address: IpAddr) -> SysError {
    match interfaces() {
        Ok(all) => SysError::NotLocal { address, owner: "this machine".to_owned(), known: known(&all) },
        Err(error) => error,
    }
}

fn no_address(interface: &InterfaceInfo, like: IpAddr) -> SysError {
    let family = if like.is_ipv4() { "IPv4" } else { "IPv6" };
    SysError::NoInterfaceAddress { interface: interface.name.clone(), family }
}

fn failed(what: &str, source: io::Error) -> SysError {
    let what = what.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => SysError::Forbidden { what },
        _ => SysError::Socket { what, source },
    }
}
