//! Socket and batch together, over the loopback interface: unicast, and multicast with `lo` named on both sides.
//!
//! No sleeps: a receiver turns until what was sent has come, and fails after a minute. That something does *not*
//! come is shown by a later datagram of the same sender that does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use audyn_units::Nanos;
use socket2::{Domain, Socket, Type};

use crate::{
    BatchReceiver, ClockPair, Datagram, FlowSocket, FlowSocketConfig, InterfaceRef, Memberships, Rejoined,
    Slab, Slot, SysError, clock, interfaces,
};

const SLOT: usize = 256;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Everything that the capture thread has.
struct Bench {
    receiver: BatchReceiver,
    slab: Arc<Slab>,
    free: Vec<Slot>,
    got: Vec<(Vec<u8>, Datagram)>,
}

impl Bench {
    fn new(batch: usize, slots: usize) -> Self {
        let (slab, free) = Slab::new(slots, SLOT).unwrap();
        Self { receiver: BatchReceiver::new(batch), slab, free, got: Vec::new() }
    }

    /// One call; slots are read and given back at once.
    fn turn(&mut self, socket: &impl AsFd) -> usize {
        let (slab, got) = (&self.slab, &mut self.got);
        let mut used = Vec::new();
        let received = self.receiver.receive(usize::MAX, socket.as_fd(), slab, &mut self.free).unwrap();
        let count = received.len();
        for (slot, datagram) in received {
            got.push((slab.bytes(&slot)[..datagram.len].to_vec(), datagram));
            used.push(slot);
        }
        self.free.append(&mut used);
        count
    }

    /// Turns until `count` datagrams are there in all, then once more; returns their bytes.
    fn collect(&mut self, socket: &impl AsFd, count: usize) -> Vec<Vec<u8>> {
        let deadline = clock::mono_now() + Nanos::from_secs(3);
        while self.got.len() < count {
            assert!(clock::mono_now() < deadline, "{} of {count} datagrams came", self.got.len());
            self.turn(socket);
            std::thread::yield_now();
        }
        self.turn(socket);
        self.got.iter().map(|(bytes, _)| bytes.clone()).collect()
    }
}

fn config(address: &str, port: u16) -> FlowSocketConfig {
    let address: IpAddr = address.parse().unwrap();
    let interface = address.is_multicast().then(loopback);
    FlowSocketConfig { address, port, interface, source: None, receive_buffer: 1 << 20 }
}

fn loopback() -> InterfaceRef {
    InterfaceRef::Name(interfaces().unwrap().into_iter().find(|info| info.loopback).unwrap().name)
}

fn open(address: &str, port: u16) -> FlowSocket {
    FlowSocket::open(&config(address, port)).unwrap()
}

/// A port that nobody has at the moment; groups of their own keep the tests apart beyond that.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A sender that sends multicast over the loopback.
fn sender(from: impl Into<IpAddr>) -> UdpSocket {
    let socket = UdpSocket::bind((from.into(), 0)).unwrap();
    socket2::SockRef::from(&socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket
}

fn sentence(config: &FlowSocketConfig) -> String {
    FlowSocket::open(config).unwrap_err().to_string()
}

#[test]
fn unicast_arrives_in_order_with_sender_and_time() {
    let socket = open("127.0.0.1", 0);
    let sender = sender(LOCALHOST);
    let before = clock::utc_now();
    for n in 0..10u8 {
        sender.send_to(&[n; 30], socket.local_address()).unwrap();
    }
    let mut bench = Bench::new(4, 8);
    let bytes = bench.collect(&socket, 10);
    let after = clock::utc_now();
    assert_eq!(bytes, (0..10u8).map(|n| vec![n; 30]).collect::<Vec<_>>());
    let pair = ClockPair::sample();
    for (_, datagram) in &bench.got {
        assert_eq!(SocketAddr::from(datagram.source), sender.local_addr().unwrap());
        assert_eq!((datagram.len, datagram.truncated, datagram.dropped), (30, false, None));
        let time = datagram.kernel_time.expect("SO_TIMESTAMPNS is on");
        assert!(before <= time && time <= after, "{before:?} {time:?} {after:?}");
        assert!(pair.to_mono(time) <= pair.at + pair.uncertainty);
    }
}

#[test]
fn ipv6_unicast_arrives() {
    if !loopback().find().unwrap().addresses.contains(&Ipv6Addr::LOCALHOST.into()) {
        println!("path: no IPv6 here");
        return;
    }
    let (socket, sender) = (open("::1", 0), UdpSocket::bind("[::1]:0").unwrap());
    sender.send_to(b"x", socket.local_address()).unwrap();
    let mut bench = Bench::new(4, 4);
    assert_eq!(bench.collect(&socket, 1), [b"x"]);
    assert_eq!(SocketAddr::from(bench.got[0].1.source), sender.local_addr().unwrap());
    assert!(bench.got[0].1.kernel_time.is_some());
}

#[test]
fn what_the_ip_header_said_comes_with_the_datagram() {
    for address in ["127.0.0.1", "::1"] {
        if address == "::1" && !loopback().find().unwrap().addresses.contains(&Ipv6Addr::LOCALHOST.into()) {
            println!("path: no IPv6 here");
            continue;
        }
        let socket = open(address, 0);
        let sender = UdpSocket::bind((address, 0)).unwrap();
        let options = socket2::SockRef::from(&sender);
        for (ttl, dscp) in [(15, 34), (1, 46), (255, 0), (64, 63)] {
            if address == "::1" {
                options.set_unicast_hops_v6(ttl).unwrap();
                options.set_tclass_v6(dscp << 2 | 1).unwrap();
            } else {
                options.set_ttl_v4(ttl).unwrap();
                options.set_tos_v4(dscp << 2 | 1).unwrap();
            }
            sender.send_to(b"x", socket.local_address()).unwrap();
            let mut bench = Bench::new(4, 4);
            bench.collect(&socket, 1);
            let datagram = bench.got[0].1;
            assert_eq!(
                (datagram.ttl, datagram.dscp),
                (u8::try_from(ttl).ok(), u8::try_from(dscp).ok()),
                "{address}"
            );
            assert!(datagram.kernel_time.is_some());
        }
        let hold = socket.membership(config(address, 0)).unwrap();
        for tell in [false, true] {
            hold.tell_marks(tell).unwrap();
            sender.send_to(b"x", socket.local_address()).unwrap();
            let mut bench = Bench::new(4, 4);
            bench.collect(&socket, 1);
            let datagram = bench.got[0].1;
            let told = (datagram.ttl.is_some(), datagram.dscp.is_some(), datagram.kernel_time.is_some());
            assert_eq!(told, (tell, tell, true), "{address}");
        }
    }
}

/// IPv6 has no multicast route on `lo` of itself, so the other interfaces are tried too, with groups of interface-local
/// scope: their datagrams come back to this machine and never reach the wire.
#[test]
fn two_ipv6_groups_on_one_port_do_not_mix() {
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    for on in interfaces().unwrap().into_iter().filter(|info| info.up && info.address_like(any).is_some()) {
        let port = free_port();
        let [first, second] = ["ff01::a0d:1", "ff01::a0d:2"].map(|group| {
            let interface = Some(InterfaceRef::Name(on.name.clone()));
            FlowSocket::open(&FlowSocketConfig { interface, ..config(group, port) }).unwrap()
        });
        let sender = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        sender.set_multicast_if_v6(on.index).unwrap();
        let sender = UdpSocket::from(sender);
        if let Err(error) = sender.send_to(&[1], first.local_address()) {
            println!("path: no IPv6 multicast on {} ({error})", on.name);
            continue;
        }
        println!("path: IPv6 multicast on {}", on.name);
        sender.send_to(&[2], second.local_address()).unwrap();
        assert_eq!(Bench::new(4, 4).collect(&second, 1), [[2]]);
        assert_eq!(Bench::new(4, 4).collect(&first, 1), [[1]]);

        let own = on.address_like(any).unwrap();
        let interface = Some(InterfaceRef::Name(on.name.clone()));
        let filtered = FlowSocketConfig { source: Some(own), interface, ..config("ff01::a0d:3", port) };
        let filtered = FlowSocket::open(&filtered).unwrap();
        drop(sender);
        for mark in [3, 4] {
            let sender = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
            sender.set_multicast_if_v6(on.index).unwrap();
            if mark == 4 {
                // Its only address may be a link-local one, which means nothing without the interface.
                sender.bind(&std::net::SocketAddrV6::new(ipv6(own), 0, 0, on.index).into()).unwrap();
            } else if let Some(other) = on.addresses.iter().find(|a| a.is_ipv6() && **a != own) {
                sender.bind(&std::net::SocketAddrV6::new(ipv6(*other), 0, 0, on.index).into()).unwrap();
            } else {
                continue; // no second address to send from
            }
            UdpSocket::from(sender).send_to(&[mark], filtered.local_address()).unwrap();
        }
        assert_eq!(Bench::new(4, 4).collect(&filtered, 1), [[4]], "the other address of {on} is filtered");
    }
}

fn ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(v6) => v6,
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
    }
}

#[test]
fn a_datagram_longer_than_the_slot_is_marked_and_one_that_fits_is_not() {
    let socket = open("127.0.0.1", 0);
    let sender = sender(LOCALHOST);
    for len in [SLOT - 1, SLOT, SLOT + 1, 0] {
        sender.send_to(&vec![7; len], socket.local_address()).unwrap();
    }
    let mut bench = Bench::new(8, 8);
    bench.collect(&socket, 4);
    let seen: Vec<_> = bench.got.iter().map(|(_, datagram)| (datagram.len, datagram.truncated)).collect();
    assert_eq!(seen, [(SLOT - 1, false), (SLOT, false), (SLOT, true), (0, false)]);
}

#[test]
fn slots_that_run_out_leave_the_rest_queued() {
    let socket = open("127.0.0.1", 0);
    let sender = sender(LOCALHOST);
    for n in 0..6u8 {
        sender.send_to(&[n], socket.local_address()).unwrap();
    }
    let mut bench = Bench::new(8, 4);
    let (slab, mut held) = (Arc::clone(&bench.slab), Vec::new());
    while held.len() < 4 {
        let received = bench.receiver.receive(8, socket.as_fd(), &slab, &mut bench.free).unwrap();
        held.extend(received.map(|(slot, _)| slot));
    }
    assert!(bench.free.is_empty());
    assert_eq!(bench.turn(&socket), 0, "nothing is received without a free slot");
    assert_eq!(held.iter().map(|slot| slab.bytes(slot)[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    bench.free.append(&mut held);
    assert_eq!(bench.collect(&socket, 2), [[4], [5]]);
    assert_eq!(bench.free.len(), 4, "no slot is lost");
}

#[test]
fn a_datagram_that_is_not_taken_out_loses_no_slot() {
    let socket = open("127.0.0.1", 0);
    let sender = sender(LOCALHOST);
    let mut bench = Bench::new(8, 8);
    for n in 0..3u8 {
        sender.send_to(&[n], socket.local_address()).unwrap();
    }
    let first = bench.receiver.receive(8, socket.as_fd(), &bench.slab, &mut bench.free).unwrap().next();
    let (slot, _) = first.expect("what is sent on the loopback interface is there");
    assert_eq!(bench.slab.bytes(&slot)[0], 0);
    assert_eq!(bench.free.len(), 7, "two more came, and went with what was received");
    bench.free.push(slot);
    assert_eq!(bench.turn(&socket), 0);
}

#[test]
fn what_the_socket_drops_is_counted() {
    let config = FlowSocketConfig { receive_buffer: 16 << 10, ..config("127.0.0.1", 0) };
    let socket = FlowSocket::open(&config).unwrap();
    let sender = sender(LOCALHOST);
    for _ in 0..500 {
        sender.send_to(&[1; 200], socket.local_address()).unwrap();
    }
    let mut bench = Bench::new(64, 64);
    while bench.turn(&socket) > 0 {}
    let queued = bench.got.len();
    sender.send_to(&[2], socket.local_address()).unwrap();
    bench.collect(&socket, queued + 1);
    let (bytes, last) = bench.got.last().unwrap();
    assert_eq!(*bytes, [2]);
    assert_eq!(last.dropped, Some((500 - queued) as u32));
}

#[test]
fn two_groups_on_one_port_do_not_mix() {
    let port = free_port();
    let (first, second) = (open("239.83.21.1", port), open("239.83.21.2", port));
    let third: SocketAddr = (Ipv4Addr::new(239, 83, 21, 3), port).into();
    let sender = sender(LOCALHOST);
    for n in 0..20u8 {
        sender.send_to(&[1, n], first.local_address()).unwrap();
        sender.send_to(&[2, n], second.local_address()).unwrap();
        sender.send_to(&[3, n], third).unwrap();
        sender.send_to(&[4, n], (LOCALHOST, port)).ok(); // unicast to the port is neither's
    }
    for (socket, mark) in [(first, 1), (second, 2)] {
        let bytes = Bench::new(16, 16).collect(&socket, 20);
        assert_eq!(bytes, (0..20u8).map(|n| vec![mark, n]).collect::<Vec<_>>());
    }
}

#[test]
fn a_unicast_socket_on_any_address_hears_no_group_of_another() {
    let port = free_port();
    let config = FlowSocketConfig { address: Ipv4Addr::UNSPECIFIED.into(), ..config("127.0.0.1", port) };
    let any = FlowSocket::open(&config).unwrap();
    // Some other program joins a group (a socket of another port will do: it is the machine that is a member).
    let _member = open("239.83.21.9", free_port());
    let sender = sender(LOCALHOST);
    sender.send_to(b"group", (Ipv4Addr::new(239, 83, 21, 9), port)).unwrap();
    sender.send_to(b"mine", (LOCALHOST, port)).unwrap();
    assert_eq!(Bench::new(4, 4).collect(&any, 1), [b"mine"]);
}

#[test]
fn a_source_filter_hears_its_sender_only() {
    let port = free_port();
    let wanted = IpAddr::from([127, 0, 0, 2]);
    let config = FlowSocketConfig { source: Some(wanted), ..config("239.83.21.4", port) };
    let socket = FlowSocket::open(&config).unwrap();
    sender(LOCALHOST).send_to(b"other", socket.local_address()).unwrap();
    sender(wanted).send_to(b"wanted", socket.local_address()).unwrap();
    let mut bench = Bench::new(4, 4);
    assert_eq!(bench.collect(&socket, 1), [b"wanted"]);
    assert_eq!(bench.got[0].1.source.0, wanted);
}

#[test]
fn a_lost_membership_is_seen_and_joining_anew_keeps_what_waits() {
    for source in [None, Some(LOCALHOST)] {
        let group = if source.is_some() { "239.83.21.10" } else { "239.83.21.11" };
        let config = FlowSocketConfig { source, ..config(group, free_port()) };
        let socket = FlowSocket::open(&config).unwrap();
        let mut place = socket.membership(config.clone()).unwrap();
        let lo = loopback().find().unwrap();
        assert!(place.is_in(&Memberships::read().unwrap()));
        assert_eq!(place.interface(&interfaces().unwrap()), Some(&lo));
        let sender = sender(LOCALHOST);
        sender.send_to(b"before", socket.local_address()).unwrap();

        // What a kernel does that takes IP off the interface; here by leaving on the same socket.
        let group = Ipv4Addr::from_bits(u32::from_be_bytes(match config.address {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => unreachable!("the groups above are of IPv4"),
        }));
        let on = socket2::InterfaceIndexOrAddress::Index(lo.index);
        socket2::SockRef::from(&socket).leave_multicast_v4_n(&group, &on).unwrap();
        assert!(!place.is_in(&Memberships::read().unwrap()));
        sender.send_to(b"between", socket.local_address()).unwrap();

        for mark in [b"after", b"again"] {
            assert_eq!(place.rejoin(&lo).unwrap(), Rejoined::Same);
            assert!(place.is_in(&Memberships::read().unwrap()));
            sender.send_to(mark, socket.local_address()).unwrap();
        }
        let bytes = Bench::new(4, 4).collect(&socket, 3);
        assert_eq!(bytes, [b"before".to_vec(), b"after".to_vec(), b"again".to_vec()]);
    }
}

#[test]
fn a_kept_socket_is_taken_over_with_what_waits_in_it_and_a_strange_one_is_not() {
    let kept = |socket: &FlowSocket| socket.as_fd().try_clone_to_owned().unwrap();
    let port = free_port();
    for (address, source) in [("239.83.21.13", None), ("239.83.21.14", Some(LOCALHOST)), ("127.0.0.1", None)]
    {
        let config = FlowSocketConfig { source, interface: Some(loopback()), ..config(address, port) };
        let first = FlowSocket::open(&config).unwrap();
        let to = first.local_address();
        let descriptor = kept(&first);
        let sender = sender(LOCALHOST);
        sender.send_to(b"before", to).unwrap();
        drop(first);
        sender.send_to(b"between", to).unwrap();
        let second = FlowSocket::adopt(descriptor, &config).unwrap();
        sender.send_to(b"after", to).unwrap();
        let mut bench = Bench::new(4, 4);
        assert_eq!(
            bench.collect(&second, 3),
            [b"before".to_vec(), b"between".to_vec(), b"after".to_vec()],
            "{address}"
        );
        assert!(bench.got.iter().all(|(_, datagram)| datagram.kernel_time.is_some()));
        assert!(second.membership(config).unwrap().is_in(&Memberships::read().unwrap()));
    }

    let wanted = FlowSocketConfig { interface: Some(loopback()), ..config("239.83.21.13", port) };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let elsewhere = FlowSocketConfig { interface: Some(loopback()), ..config("239.83.21.15", port) };
    let elsewhere = FlowSocket::open(&elsewhere).unwrap();
    for strange in [listener.into(), file.into(), kept(&elsewhere)] {
        let error = FlowSocket::adopt(strange, &wanted).unwrap_err();
        assert!(matches!(error, SysError::NotThisFlow { .. }), "{error}");
    }
}

#[test]
fn the_name_of_a_kept_socket_says_all_that_it_is() {
    let base = FlowSocketConfig { interface: Some(loopback()), ..config("239.83.21.16", 5004) };
    let lo = loopback().find().unwrap().index;
    let name = base.store_name("desk").unwrap();
    assert_eq!(name, format!("flow-desk-239.83.21.16-5004-on-{lo}-from-any"));
    let others = [
        FlowSocketConfig { address: [239, 83, 21, 17].into(), ..base.clone() },
        FlowSocketConfig { port: 5006, ..base.clone() },
        FlowSocketConfig { source: Some(LOCALHOST), ..base.clone() },
    ];
    assert!(others.iter().all(|other| other.store_name("desk").unwrap() != name));
    assert_ne!(base.store_name("other").unwrap(), name);
    let six = FlowSocketConfig { interface: None, ..config("::1", 5004) };
    assert!(six.store_name("six").is_none_or(|name| !name.contains(':')));
    assert_eq!(FlowSocketConfig { port: 0, ..config("127.0.0.1", 0) }.store_name("x"), None);
    assert_eq!(
        FlowSocketConfig { interface: Some("nosuch0".parse().unwrap()), ..base }.store_name("x"),
        None
    );
}

#[test]
fn without_a_named_interface_the_one_of_the_route_is_known_or_none() {
    let config = FlowSocketConfig { interface: None, ..config("239.83.21.12", free_port()) };
    match FlowSocket::open(&config) {
        Ok(socket) => {
            let place = socket.membership(config).unwrap();
            let all = interfaces().unwrap();
            println!("path: joined on {:?}", place.interface(&all));
            assert!(place.is_in(&Memberships::read().unwrap()));
        }
        Err(error) => println!("path: {error}"),
    }
}

#[test]
fn unicast_needs_another_socket_only_where_its_address_changed() {
    let lo = loopback().find().unwrap();
    let moved = crate::InterfaceInfo { addresses: vec![[127, 0, 0, 9].into()], ..lo.clone() };
    let fixed = config("127.0.0.1", 0);
    let any = FlowSocketConfig {
        address: Ipv4Addr::UNSPECIFIED.into(),
        interface: Some(loopback()),
        ..config("127.0.0.1", 0)
    };
    for (config, wanted) in [(fixed, Rejoined::Same), (any, Rejoined::NeedsAnother)] {
        let mut place = FlowSocket::open(&config).unwrap().membership(config).unwrap();
        assert_eq!(place.rejoin(&lo).unwrap(), Rejoined::Same);
        assert_eq!(place.rejoin(&moved).unwrap(), wanted);
        // Of an interface that was made again it is the new number that counts.
        place.rejoin(&crate::InterfaceInfo { index: 4_711, ..lo.clone() }).unwrap();
        assert_eq!(place.index(), 4_711);
    }
}

#[test]
fn an_interface_is_named_by_its_address_as_well() {
    let port = free_port();
    let config =
        FlowSocketConfig { interface: Some(InterfaceRef::Address(LOCALHOST)), ..config("239.83.21.5", port) };
    let socket = FlowSocket::open(&config).unwrap();
    sender(LOCALHOST).send_to(b"x", socket.local_address()).unwrap();
    assert_eq!(Bench::new(4, 4).collect(&socket, 1), [b"x"]);

    let unspecified = FlowSocketConfig { address: Ipv4Addr::UNSPECIFIED.into(), port: 0, ..config };
    let socket = FlowSocket::open(&unspecified).unwrap();
    assert_eq!(socket.local_address().ip(), LOCALHOST);
}

#[test]
fn the_receive_buffer_is_told_as_granted() {
    let wanted = 64 << 20; // beyond net.core.rmem_max of any ordinary machine
    let socket =
        FlowSocket::open(&FlowSocketConfig { receive_buffer: wanted, ..config("127.0.0.1", 0) }).unwrap();
    if socket.forced() {
        println!("path: SO_RCVBUFFORCE was granted");
        assert_eq!(socket.granted(), wanted);
    } else {
        println!("path: net.core.rmem_max holds: {} bytes", socket.granted());
        let most: usize =
            std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        assert_eq!(socket.granted(), wanted.min(most));
    }
}

#[test]
fn each_mistake_is_told_in_a_sentence_with_what_to_do() {
    let base = config("239.83.21.6", free_port());
    let named = |name: &str| FlowSocketConfig { interface: Some(name.parse().unwrap()), ..base.clone() };
    let with = |address: &str| FlowSocketConfig {
        address: address.parse().unwrap(),
        interface: None,
        ..base.clone()
    };
    let source = |text: &str, config: &FlowSocketConfig| FlowSocketConfig {
        source: Some(text.parse().unwrap()),
        ..config.clone()
    };
    for (config, wants) in [
        (named("nosuch0"), "there is no network interface named \"nosuch0\": use one of lo ("),
        (named("203.0.113.5"), "there is no network interface with the address 203.0.113.5: use one of lo ("),
        (with("203.0.113.5"), "203.0.113.5 is not an address of this machine: use one of lo ("),
        (with("fe80::dead:1"), "fe80::dead:1 is not an address of this machine: use one of lo ("),
        (with("ff02::a0d:1"), "no route says on which interface to join ff02::a0d:1: name the interface"),
        (
            FlowSocketConfig { interface: Some(loopback()), ..with("203.0.113.5") },
            "not an address of interface lo",
        ),
        (source("10.0.0.1", &with("127.0.0.1")), "the source filter 10.0.0.1 needs a multicast group"),
        (source("ff02::1", &base), "ff02::1 cannot be the source of 239.83.21.6"),
        (source("0.0.0.0", &base), "0.0.0.0 cannot be the source of 239.83.21.6"),
    ] {
        let text = sentence(&config);
        assert!(text.contains(wants), "{text}\nwants: {wants}");
    }
    // An interface without an address, where the machine has one.
    match interfaces().unwrap().into_iter().find(|info| info.address_like(base.address).is_none()) {
        Some(bare) => {
            let text = sentence(&named(&bare.name));
            assert!(text.contains(&format!("interface {} has no IPv4 address", bare.name)), "{text}");
        }
        None => println!("path: every interface here has an IPv4 address"),
    }
}

#[test]
fn a_port_in_use_is_told_for_unicast_and_shared_for_a_group() {
    let first = open("127.0.0.1", 0);
    let text = sentence(&config("127.0.0.1", first.local_address().port()));
    assert!(text.contains(&format!("{} is in use", first.local_address())), "{text}");

    let port = free_port();
    let both = [open("239.83.21.7", port), open("239.83.21.7", port)];
    sender(LOCALHOST).send_to(b"x", both[0].local_address()).unwrap();
    for socket in &both {
        assert_eq!(Bench::new(4, 4).collect(socket, 1), [b"x"], "each socket hears the group");
    }
}

#[test]
fn a_low_port_is_bound_or_the_missing_right_is_named() {
    match FlowSocket::open(&config("127.0.0.1", 1)) {
        Ok(_) => println!("path: low ports are allowed"),
        Err(error) => {
            println!("path: {error}");
            assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
        }
    }
}

#[test]
fn the_kernels_limit_of_memberships_is_told() {
    let joined = || SysError::TooManyMemberships { group: [239, 1, 1, 1].into() }.to_string();
    assert!(joined().contains("igmp_max_memberships"));
    // A limit of 0 or the real one of 20 cannot be reached with one membership a socket, so the mapping is tried alone.
    let error = std::io::Error::from_raw_os_error(libc::ENOBUFS);
    let mapped = crate::socket::join_failed(&config("239.1.1.1", 5004), None, error);
    assert_eq!(mapped.to_string(), joined());
}

#[test]
fn sockets_close_on_exec_and_do_not_block() {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    let socket = open("127.0.0.1", 0);
    assert!(
        FdFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFD).unwrap()).contains(FdFlag::FD_CLOEXEC)
    );
    assert!(OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_socket_without_the_options_has_neither_time_nor_counter_and_errors_are_returned() {
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender(LOCALHOST).send_to(b"x", plain.local_addr().unwrap()).unwrap();
    let mut bench = Bench::new(2, 2);
    bench.collect(&plain, 1);
    assert_eq!((bench.got[0].1.kernel_time, bench.got[0].1.dropped), (None, None));

    // A connected socket learns that nobody listens; the pending error is returned once, and no slot is lost.
    let nobody = free_port();
    plain.connect(("127.0.0.1", nobody)).unwrap();
    plain.send(b"x").unwrap();
    let deadline = clock::mono_now() + Nanos::from_secs(3);
    let error = loop {
        match bench.receiver.receive(2, plain.as_fd(), &bench.slab, &mut bench.free) {
            Err(error) => break error,
            Ok(received) => assert!(received.len() == 0 && clock::mono_now() < deadline),
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(bench.free.len(), 2);
    assert_eq!(bench.turn(&plain), 0);
}

#[test]
#[should_panic(expected = "the slab that it was made with")]
fn a_free_slot_of_another_slab_is_refused_before_the_kernel_sees_it() {
    let (_other, mut foreign) = Slab::new(1, SLOT).unwrap();
    let (slab, _) = Slab::new(1, SLOT).unwrap();
    let socket = open("127.0.0.1", 0);
    let _ = BatchReceiver::new(1).receive(1, socket.as_fd(), &slab, &mut foreign);
}
