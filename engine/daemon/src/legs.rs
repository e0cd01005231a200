//! The legs of a flow (ST 2022-7): a socket, a ring and counters for each, and one timeline.
//!
//! Owns: the order in which a worker takes the datagrams of two rings; what control keeps of a leg and tells of it.
//! Never: what a packet means; the receiver knows that.
//!
//! A flow runs as soon as one of its legs is open; the other is tried again and joins it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use audyn_api::{FlowSnapshot, FlowState, LegConfig, LegCounters, LegSnapshot, LegState, SourceConfig};
use audyn_core::flow::{self, Leg, LegReport};
use audyn_units::{Mono, Nanos, SkewClass, Timestamp};

use crate::capture::{Filled, WorkerPort};
use crate::diagnosis::Trouble;
use crate::keep::KeptSockets;
use crate::network::Hold;
use crate::shared::{FlowShared, FlowStatus};

/// A packet waits for the other ring's earlier ones for no longer than this: that ring may be choked by a flood.
const PATIENCE: Nanos = Nanos::from_millis(20);

/// A lag is measured to this.
const MEASURED: Nanos = Nanos::from_millis(2);

/// A leg, as control sees it.
pub(crate) struct LegEntry {
    pub(crate) leg: Leg,
    pub(crate) shared: Arc<FlowShared>,
    pub(crate) granted: usize,
    /// Why it is not open.
    pub(crate) error: Option<String>,
    pub(crate) open: bool,
    pub(crate) last_try: Timestamp<Mono>,
    /// Its socket's place on the network.
    pub(crate) hold: Option<Hold>,
    /// What is wrong with its place on the network now.
    pub(crate) trouble: Option<Trouble>,
    /// The name under which the service manager keeps its socket.
    pub(crate) kept_as: Option<String>,
}

impl LegEntry {
    /// The legs of a source; the first one shares `first` with the flow.
    pub(crate) fn of(source: &SourceConfig, first: &Arc<FlowShared>) -> Vec<Self> {
        let entry = |leg, shared| Self {
            leg,
            shared,
            granted: 0,
            error: None,
            open: false,
            last_try: Timestamp::ZERO,
            hold: None,
            trouble: None,
            kept_as: None,
        };
        let mut legs = vec![entry(Leg::First, Arc::clone(first))];
        if source.second_leg.is_some() {
            legs.push(entry(Leg::Second, Arc::default()));
        }
        legs
    }

    /// Its socket is closed, or about to be, wherever it is kept.
    pub(crate) fn let_go(&mut self, kept: &KeptSockets) {
        self.open = false;
        self.hold = None;
        if let Some(name) = self.kept_as.take() {
            kept.forget(&name);
        }
    }

    /// What the service manager's name of its socket begins with.
    pub(crate) fn label(&self, source: &SourceConfig) -> String {
        match self.leg {
            Leg::First => source.id.to_string(),
            Leg::Second => format!("{}-2", source.id),
        }
    }
}

/// Where a leg of a source is received: the second one, too, on the source's interface where it names none of its own.
pub(crate) fn place(source: &SourceConfig, leg: Leg) -> LegConfig {
    match (leg, &source.second_leg) {
        (Leg::Second, Some(second)) => {
            let interface = second.interface.clone().or_else(|| source.interface.clone());
            LegConfig { interface, ..LegConfig::clone(second) }
        }
        _ => LegConfig {
            address: source.address,
            port: source.port,
            interface: source.interface.clone(),
            source_filter: source.source_filter,
        },
    }
}

/// The worker's ends of a flow's legs.
#[derive(Default)]
pub(crate) struct Ports {
    ports: [Option<WorkerPort>; 2],
    /// Up to when each leg's ring holds all that came, as of the turn's begin.
    captured: [Timestamp<Mono>; 2],
    /// What waited before the flow began is still being taken.
    patient: bool,
    /// No turn will follow this one.
    last: bool,
    pub(crate) senders: [Option<IpAddr>; 2],
}

impl Ports {
    pub(crate) fn add(&mut self, leg: Leg, port: WorkerPort) {
        self.ports[leg.index()] = Some(port);
    }

    /// Begins a turn, before the rings are looked into. Returns up to when everything will have been taken.
    ///
    /// `behind`: the flow has begun just now. A socket that was kept while the engine restarted may hold seconds, and the other
    /// leg's, if that was dead, nothing: then a leg waits for what the other holds for as long as that has not been empty once.
    pub(crate) fn begin_turn(&mut self, behind: bool) -> Timestamp<Mono> {
        self.patient = behind;
        for (port, captured) in self.ports.iter().zip(&mut self.captured) {
            if let Some(port) = port {
                *captured = Timestamp::from_nanos(port.shared.captured_until.load(Acquire));
            }
        }
        match &self.ports {
            [Some(_), Some(_)] => {
                let [one, other] = self.captured;
                one.min(other).max(self.waits_until(Leg::First)).max(self.waits_until(Leg::Second))
            }
            [Some(_), None] => self.captured[0],
            [None, Some(_)] => self.captured[1],
            [None, None] => Timestamp::ZERO,
        }
    }

    /// The next datagram in the order of arrival. One whose elders may still be on their way to the other ring waits for the
    /// next turn.
    pub(crate) fn next(&mut self) -> Option<(Leg, Filled)> {
        let head = |port: &mut Option<WorkerPort>| {
            port.as_mut().and_then(|port| port.filled.peek().ok().map(|filled| filled.arrival))
        };
        let [first, second] = &mut self.ports;
        let leg = match (head(first), head(second)) {
            (None, None) => return None,
            (Some(one), Some(other)) if one <= other => Leg::First,
            (Some(_), Some(_)) => Leg::Second,
            (Some(one), None) if self.may_go(Leg::First, one) => Leg::First,
            (None, Some(other)) if self.may_go(Leg::Second, other) => Leg::Second,
            _ => return None,
        };
        let port = self.ports[leg.index()].as_mut().expect("a datagram was seen in its ring");
        Some((leg, port.filled.pop().expect("it was seen there, and nobody else takes from it")))
    }

    fn may_go(&self, leg: Leg, arrival: Timestamp<Mono>) -> bool {
        let other = 1 - leg.index();
        self.last || self.ports[other].is_none() || arrival <= self.captured[other].max(self.waits_until(leg))
    }

    /// Up to when this leg waits no more for the other.
    fn waits_until(&self, leg: Leg) -> Timestamp<Mono> {
        let (own, other) = (self.captured[leg.index()], self.captured[1 - leg.index()]);
        if self.patient && other == Timestamp::ZERO { Timestamp::ZERO } else { own - PATIENCE }
    }

    /// From here on no datagram waits for the other leg's: nothing will come to either ring any more.
    pub(crate) fn end(&mut self) {
        self.last = true;
    }

    /// The bytes of a datagram.
    pub(crate) fn bytes<'a>(&'a self, leg: Leg, filled: &'a Filled) -> &'a [u8] {
        let port = self.ports[leg.index()].as_ref().expect("the datagram came by this port");
        &port.slab.bytes(&filled.slot)[..usize::from(filled.len)]
    }

    /// Gives a slot back.
    pub(crate) fn give_back(&mut self, leg: Leg, filled: Filled) {
        let port = self.ports[leg.index()].as_mut().expect("the datagram came by this port");
        assert!(port.returned.push(filled.slot).is_ok(), "the ring holds as many as there are slots");
    }
}

/// What is told of each leg of a flow.
pub(crate) fn snapshots(source: &SourceConfig, legs: &[LegEntry], status: &FlowStatus) -> Vec<LegSnapshot> {
    legs.iter()
        .map(|entry| {
            let place = place(source, entry.leg);
            let report = status.legs[entry.leg.index()];
            let socket = socket_error(entry.shared.socket_errno.load(Relaxed));
            LegSnapshot {
                address: SocketAddr::new(place.address, place.port).to_string(),
                interface: place.interface,
                state: if entry.open { state(report.as_ref()) } else { LegState::Failed },
                ssrc: report.and_then(|report| report.ssrc),
                sender: status.senders[entry.leg.index()],
                counters: counters(report.as_ref(), entry.shared.kernel_dropped.load(Relaxed)),
                behind_nanos: report.map_or(0, |report| report.behind.0.unsigned_abs()),
                receive_buffer_bytes: entry.granted as u64,
                error: entry
                    .error
                    .clone()
                    .or_else(|| entry.trouble.as_ref().map(|(_, sentence)| sentence.clone()))
                    .or(socket),
            }
        })
        .collect()
}

/// What is wrong with the protection of a flow that is received, in a sentence. Its legs may lie as far apart as `skew` says.
pub(crate) fn complaint(flow: &FlowSnapshot, skew: SkewClass) -> Option<String> {
    let [first, second] = flow.legs.as_slice() else { return None };
    if flow.state != FlowState::Receiving {
        return None;
    }
    [(first, second), (second, first)].into_iter().find_map(|(leg, other)| match leg.state {
        LegState::Receiving => lags(leg, other, skew),
        LegState::Differs => Some(format!(
            "legs differ: {} carries another stream than {}, and nothing of it is recorded; check the addresses of both legs",
            leg.address, other.address
        )),
        LegState::Failed => {
            let why = leg.error.as_deref().unwrap_or("it is not open yet");
            Some(format!("only {} protects the recording: {why}", other.address))
        }
        LegState::Waiting | LegState::Silent if leg.error.is_some() => Some(format!(
            "only {} protects the recording: {}",
            other.address,
            leg.error.as_deref().unwrap_or_default()
        )),
        LegState::Waiting | LegState::Silent if leg.counters.refused > 0 => Some(format!(
            "what comes to {} is refused, and only {} protects the recording: it has another payload type, or does not hold whole frames of \
             the flow; check that both legs are of one sender's stream",
            leg.address, other.address
        )),
        LegState::Waiting | LegState::Silent => Some(format!(
            "nothing comes from {}, only {} protects the recording; check that leg's network",
            leg.address, other.address
        )),
    })
}

/// What is to be said of a leg that lies further behind than its class allows: it looks as if it protected the other.
fn lags(leg: &LegSnapshot, other: &LegSnapshot, skew: SkewClass) -> Option<String> {
    let behind = Nanos(i64::try_from(leg.behind_nanos).unwrap_or(i64::MAX));
    if behind <= skew.skew() + MEASURED {
        return None;
    }
    let wider = SkewClass::ALL.into_iter().find(|class| behind <= class.skew());
    let remedy = match wider {
        Some(class) => format!("set the skew class {class}, or shorten its path"),
        None => "no skew class bears that; shorten its path".to_owned(),
    };
    Some(format!(
        "{} lies {:.1} ms behind {}, more than the {:.0} ms of skew class {skew}: what the other loses it may bring too late; {remedy}",
        leg.address,
        behind.as_secs_f64() * 1e3,
        other.address,
        skew.skew().as_secs_f64() * 1e3
    ))
}

/// What the kernel said of a socket last.
pub(crate) fn socket_error(errno: u32) -> Option<String> {
    (errno != 0).then(|| {
        let error = std::io::Error::from_raw_os_error(errno as i32);
        format!("the socket reported an error and is read on: {error}; check the interface")
    })
}

fn state(report: Option<&LegReport>) -> LegState {
    match report.map(|report| report.state) {
        None | Some(flow::LegState::Waiting) => LegState::Waiting,
        Some(flow::LegState::Receiving) => LegState::Receiving,
        Some(flow::LegState::Silent) => LegState::Silent,
        Some(flow::LegState::Differs) => LegState::Differs,
    }
}

fn counters(report: Option<&LegReport>, kernel_dropped: u32) -> LegCounters {
    let flow::LegCounters {
        received,
        bytes,
        used,
        lost,
        late,
        reordered,
        duplicated,
        foreign,
        differing,
        refused,
    } = report.map(|report| report.counters).unwrap_or_default();
    LegCounters {
        received,
        bytes,
        used,
        lost,
        late,
        reordered,
        duplicated,
        foreign,
        differing,
        refused,
        kernel_dropped: u64::from(kernel_dropped),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Release;

    use audyn_sys::Slab;
    use rtrb::{Producer, RingBuffer};

    use super::*;

    struct Ring {
        filled: Producer<Filled>,
        shared: Arc<FlowShared>,
        slots: Vec<audyn_sys::Slot>,
    }

    fn at(millis: i64) -> Timestamp<Mono> {
        Timestamp::ZERO + Nanos::from_millis(millis)
    }

    impl Ring {
        fn new() -> (Self, WorkerPort) {
            let (slab, slots) = Slab::new(16, 64).unwrap();
            let (filled_in, filled_out) = RingBuffer::new(16);
            let (returned, _) = RingBuffer::new(16);
            let shared = Arc::<FlowShared>::default();
            let port = WorkerPort { slab, filled: filled_out, returned, shared: Arc::clone(&shared) };
            (Self { filled: filled_in, shared, slots }, port)
        }

        fn arrive(&mut self, millis: i64) {
            let filled = Filled {
                slot: self.slots.pop().unwrap(),
                len: 1,
                truncated: false,
                arrival: at(millis),
                sender: IpAddr::from([127, 0, 0, 1]),
                port: 5004,
                ttl: None,
                dscp: None,
            };
            assert!(self.filled.push(filled).is_ok());
        }

        fn captured(&self, millis: i64) {
            self.shared.captured_until.store(at(millis).as_nanos(), Release);
        }
    }

    fn take(ports: &mut Ports) -> (Timestamp<Mono>, Vec<(Leg, Timestamp<Mono>)>) {
        take_as(ports, false)
    }

    fn take_as(ports: &mut Ports, behind: bool) -> (Timestamp<Mono>, Vec<(Leg, Timestamp<Mono>)>) {
        let known = ports.begin_turn(behind);
        let mut taken = Vec::new();
        while let Some((leg, filled)) = ports.next() {
            taken.push((leg, filled.arrival));
        }
        (known, taken)
    }

    #[test]
    fn two_rings_come_out_in_the_order_of_arrival() {
        let ((mut one, first), (mut two, second)) = (Ring::new(), Ring::new());
        let mut ports = Ports::default();
        ports.add(Leg::First, first);
        ports.add(Leg::Second, second);
        one.arrive(1);
        one.arrive(5);
        two.arrive(2);
        one.captured(8);
        two.captured(4);
        // The one at 5 may have an elder in the other ring, which is known up to 4.
        assert_eq!(take(&mut ports), (at(4), vec![(Leg::First, at(1)), (Leg::Second, at(2))]));
        two.arrive(5);
        two.arrive(9);
        two.captured(12);
        one.captured(12);
        let rest = vec![(Leg::First, at(5)), (Leg::Second, at(5)), (Leg::Second, at(9))];
        assert_eq!(take(&mut ports), (at(12), rest));
    }

    #[test]
    fn a_leg_that_is_choked_or_absent_holds_the_other_up_for_20_ms_at_most() {
        let ((mut one, first), (two, second)) = (Ring::new(), Ring::new());
        let mut ports = Ports::default();
        ports.add(Leg::First, first);
        one.arrive(1);
        one.captured(3);
        assert_eq!(take(&mut ports), (at(3), vec![(Leg::First, at(1))]), "alone");
        ports.add(Leg::Second, second);
        two.captured(3);
        one.arrive(10);
        one.arrive(30);
        one.captured(40);
        assert_eq!(take(&mut ports), (at(20), vec![(Leg::First, at(10))]));
        one.captured(60);
        assert_eq!(take(&mut ports), (at(40), vec![(Leg::First, at(30))]));
    }

    #[test]
    fn a_leg_that_was_dead_waits_for_the_seconds_that_the_other_ones_kept_socket_holds() {
        let ((mut one, first), (mut two, second)) = (Ring::new(), Ring::new());
        let mut ports = Ports::default();
        ports.add(Leg::First, first);
        ports.add(Leg::Second, second);
        // More waits in the first socket than its ring holds; the second one's leg came back at 3,000.
        one.arrive(1_000);
        two.arrive(3_000);
        two.captured(4_000);
        assert_eq!(
            take_as(&mut ports, true),
            (Timestamp::ZERO, vec![(Leg::First, at(1_000))]),
            "nothing is silent yet"
        );
        one.arrive(2_000);
        assert_eq!(take_as(&mut ports, true), (Timestamp::ZERO, vec![(Leg::First, at(2_000))]));
        two.captured(4_004);
        assert_eq!(take_as(&mut ports, true), (Timestamp::ZERO, vec![]));
        one.arrive(3_500);
        one.captured(4_004);
        let rest = vec![(Leg::Second, at(3_000)), (Leg::First, at(3_500))];
        assert_eq!(take_as(&mut ports, true), (at(4_004), rest));
        // From here on as ever.
        one.arrive(4_010);
        one.captured(4_040);
        assert_eq!(take_as(&mut ports, true), (at(4_020), vec![(Leg::First, at(4_010))]));
    }

    #[test]
    fn the_last_turn_leaves_nothing_behind() {
        let ((mut one, first), (two, second)) = (Ring::new(), Ring::new());
        let mut ports = Ports::default();
        ports.add(Leg::First, first);
        ports.add(Leg::Second, second);
        // It came while the capture thread emptied the sockets, as of 8.
        one.arrive(9);
        one.captured(8);
        two.captured(8);
        assert_eq!(take(&mut ports).1, []);
        ports.end();
        assert_eq!(take(&mut ports).1, [(Leg::First, at(9))]);
    }

    #[test]
    fn a_socket_that_is_never_empty_holds_the_other_leg_up_for_no_longer_than_the_beginning() {
        let ((mut one, first), (_two, second)) = (Ring::new(), Ring::new());
        let mut ports = Ports::default();
        ports.add(Leg::First, first);
        ports.add(Leg::Second, second);
        one.arrive(10);
        one.captured(40);
        assert_eq!(take_as(&mut ports, true), (Timestamp::ZERO, vec![]));
        assert_eq!(take_as(&mut ports, false), (at(20), vec![(Leg::First, at(10))]));
    }

    #[test]
    fn a_second_leg_without_an_interface_is_received_on_the_first_ones() {
        let source = |second: &str| -> SourceConfig {
            let first = r#""id":"desk","name":"Desk","address":"239.1.0.1","interface":"eth0""#;
            serde_json::from_str(&format!("{{{first},\"second_leg\":{second}}}")).unwrap()
        };
        let on = |second: &str| place(&source(second), Leg::Second).interface;
        assert_eq!(on(r#"{"address":"239.2.0.1"}"#).as_deref(), Some("eth0"));
        assert_eq!(on(r#"{"address":"239.2.0.1","interface":"eth1"}"#).as_deref(), Some("eth1"));
    }

    #[test]
    fn a_complaint_is_a_sentence_about_the_leg_that_lacks() {
        let leg =
            |address: &str, state| LegSnapshot { address: address.into(), state, ..LegSnapshot::default() };
        let flow = |one, two| FlowSnapshot {
            state: FlowState::Receiving,
            legs: vec![leg("239.1.0.1:5004", one), leg("239.2.0.1:5004", two)],
            ..FlowSnapshot::default()
        };
        let complaint = |flow: &FlowSnapshot| super::complaint(flow, SkewClass::A);
        assert_eq!(complaint(&flow(LegState::Receiving, LegState::Receiving)), None);
        for (millis, said) in [
            (10, None),
            (11, None),
            (
                30,
                Some(
                    "239.2.0.1:5004 lies 30.0 ms behind 239.1.0.1:5004, more than the 10 ms of skew class a: what the other loses it may \
                       bring too late; set the skew class b, or shorten its path",
                ),
            ),
            (
                600,
                Some(
                    "239.2.0.1:5004 lies 600.0 ms behind 239.1.0.1:5004, more than the 10 ms of skew class a: what the other loses it may \
                        bring too late; no skew class bears that; shorten its path",
                ),
            ),
        ] {
            let mut late = flow(LegState::Receiving, LegState::Receiving);
            late.legs[1].behind_nanos = millis * 1_000_000;
            assert_eq!(complaint(&late).as_deref(), said, "{millis} ms");
        }
        let mut refused = flow(LegState::Receiving, LegState::Waiting);
        refused.legs[1].counters.refused = 9;
        let said = complaint(&refused).unwrap();
        assert!(
            said.starts_with("what comes to 239.2.0.1:5004 is refused, and only 239.1.0.1:5004"),
            "{said}"
        );
        let said = complaint(&flow(LegState::Receiving, LegState::Differs)).unwrap();
        assert!(said.starts_with("legs differ: 239.2.0.1:5004"), "{said}");
        let said = complaint(&flow(LegState::Silent, LegState::Receiving)).unwrap();
        assert!(said.starts_with("nothing comes from 239.1.0.1:5004, only 239.2.0.1:5004"), "{said}");
        assert_eq!(
            complaint(&FlowSnapshot {
                legs: vec![leg("x", LegState::Silent)],
                ..flow(LegState::Silent, LegState::Silent)
            }),
            None
        );
    }
}
