//! The capture thread: moves datagrams from the kernel into slots, and nothing else.
//!
//! Owns: every flow's socket, on an absolute time grid. Never, after start: parses, allocates, locks, logs or waits on
//! anything but its tick. What is full is counted. A flow that ends is handed back to be dropped elsewhere, and so is a
//! socket that another took the place of, once it is empty.
//!
//! ```text
//!  tick ─► ports that come and go ─► for each port: take back slots, drain the socket into slots,
//!   ▲                                pass slot numbers on, then say up to when it was drained
//!   └───────────────────────────────────────────────────────────────────────┘
//! ```

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::JoinHandle;

use audyn_core::flow::Leg;
use audyn_sys::{
    BatchReceiver, ClockPair, FlowSocket, Grid, RealtimeRequest, Slab, Slot, SysError, ThreadId, clock,
    prefetch, realtime,
};
use audyn_units::{Mono, Nanos, Timestamp};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::keeper::link::{Link, SharedLink};
use crate::shared::{CaptureShared, FlowShared, Stamps};

/// Bytes of a slot: an Ethernet frame's UDP payload and some. AES67 §7.1 ends at 1,452 with the RTP header.
const SLOT_BYTES: usize = 1_536;

/// Datagrams taken by one system call.
pub(crate) const BATCH: usize = 64;

/// How many more datagrams a turn's first call asks for than the turn before took: a flow's packets come one more or one less
/// a turn, and one more must be asked for than comes, or a second call is needed to see that this was all.
const MARGIN: usize = 4;

/// Slots that must be under way before any is taken back. Few, since what was just read is still in the cache.
const TAKE_BACK: usize = 32;

/// Slots that are fetched into the cache ahead of a turn, at most: a turn's at 1 ms. Of more, the first are in use when the
/// last come.
const FORESEEN: usize = 8;

/// Flows that can be open at once.
pub(crate) const MAX_FLOWS: usize = 64;

/// Sockets of those: two legs each, as many again while flows are exchanged, and the self-test's.
const MAX_PORTS: usize = MAX_FLOWS * 4;

/// A slot with a datagram in it, on its way to the worker.
pub(crate) struct Filled {
    pub(crate) slot: Slot,
    pub(crate) len: u16,
    pub(crate) truncated: bool,
    pub(crate) arrival: Timestamp<Mono>,
    pub(crate) sender: IpAddr,
    pub(crate) port: u16,
    /// What the IP header said.
    pub(crate) ttl: Option<u8>,
    pub(crate) dscp: Option<u8>,
}

/// The capture thread's end of a flow.
pub(crate) struct CapturePort {
    pub(crate) flow: u32,
    pub(crate) leg: Leg,
    socket: FlowSocket,
    /// The socket that `socket` took the place of, until what waited there is taken.
    former: Option<FlowSocket>,
    slab: Arc<Slab>,
    free: Vec<Slot>,
    returned: Consumer<Slot>,
    filled: Producer<Filled>,
    shared: Arc<FlowShared>,
    /// Datagrams of the turn before.
    usual: usize,
    /// Bytes of the last one.
    usual_bytes: usize,
    /// Up to when the socket was emptied: what comes out of it next arrived later.
    emptied: Timestamp<Mono>,
    /// The last arrival that was passed on.
    last_arrival: Timestamp<Mono>,
    /// The clock of the card that stamps, where one may.
    card: Option<CardClock>,
}

/// The way from a card's clock to ours.
struct CardClock {
    shared: Arc<SharedLink>,
    /// As last read.
    link: Option<Link>,
}

impl CapturePort {
    /// Believes the card's stamps, by this link to its clock, where they come and agree with the kernel's.
    pub(crate) fn stamp_by(&mut self, shared: Arc<SharedLink>) {
        self.card = Some(CardClock { shared, link: None });
    }
}

/// The worker's end of a flow.
pub(crate) struct WorkerPort {
    pub(crate) slab: Arc<Slab>,
    pub(crate) filled: Consumer<Filled>,
    pub(crate) returned: Producer<Slot>,
    pub(crate) shared: Arc<FlowShared>,
}

impl CapturePort {
    /// Has the list of free slots fetched where it will be read, before [`Self::foresee`] reads it.
    fn foresee_list(&self) {
        let at = self.free.len().saturating_sub(self.usual.min(FORESEEN));
        prefetch(&self.free[at..]);
    }

    /// Has the memory fetched that this turn will write: as many slots as were filled before, as far as they were, and their
    /// places in the ring.
    fn foresee(&mut self) {
        let usual = self.usual.min(FORESEEN);
        prefetch(&self.shared.captured_until);
        for slot in self.free.iter().rev().take(usual) {
            prefetch(&self.slab.bytes(slot)[..self.usual_bytes.min(SLOT_BYTES)]);
        }
        if let Ok(mut places) = self.filled.write_chunk_uninit(usual) {
            let (these, those) = places.as_mut_slices();
            prefetch(these);
            prefetch(those);
        }
    }
}

/// Makes both ends of a flow with `slots` slots between them. Each ring holds all of them, so neither can be full.
pub(crate) fn connect(
    flow: u32,
    socket: FlowSocket,
    slots: usize,
    shared: &Arc<FlowShared>,
) -> Result<(Box<CapturePort>, WorkerPort), SysError> {
    let (slab, free) = Slab::new(slots, SLOT_BYTES)?;
    let (mut filled_in, mut filled_out) = RingBuffer::new(slots);
    let free = once_around(free, &mut filled_in, &mut filled_out);
    let (returned_in, returned_out) = RingBuffer::new(slots);
    let capture = CapturePort {
        flow,
        leg: Leg::First,
        socket,
        former: None,
        slab: Arc::clone(&slab),
        free,
        returned: returned_out,
        filled: filled_in,
        shared: Arc::clone(shared),
        usual: 0,
        usual_bytes: 0,
        emptied: Timestamp::ZERO,
        last_arrival: Timestamp::ZERO,
        card: None,
    };
    let worker = WorkerPort { slab, filled: filled_out, returned: returned_in, shared: Arc::clone(shared) };
    Ok((Box::new(capture), worker))
}

/// Sends all slots once through the ring that the capture thread writes, so that its memory is present even where it could
/// not be locked: a page that is not there yet is a wait for the kernel's allocator. (The other ring is the worker's to write.)
fn once_around(
    free: Vec<Slot>,
    ring_in: &mut Producer<Filled>,
    ring_out: &mut Consumer<Filled>,
) -> Vec<Slot> {
    let slots = free.len();
    for slot in free {
        let empty = Filled {
            slot,
            len: 0,
            truncated: false,
            arrival: Timestamp::ZERO,
            sender: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            port: 0,
            ttl: None,
            dscp: None,
        };
        assert!(ring_in.push(empty).is_ok(), "the ring holds as many as there are slots");
    }
    let mut back = Vec::with_capacity(slots);
    while let Ok(filled) = ring_out.pop() {
        back.push(filled.slot);
    }
    back
}

/// Says to the capture thread which flows there are.
enum Change {
    Add(Box<CapturePort>),
    Remove(u32),
    /// Read this flow from another socket, after what waits in the one before.
    Replace(u32, Leg, FlowSocket),
}

/// What the capture thread has done with, to be dropped by others: closing a socket takes time.
enum Retired {
    #[expect(dead_code, reason = "held to be dropped")]
    Port(Box<CapturePort>),
    #[expect(dead_code, reason = "held to be dropped")]
    Socket(FlowSocket),
}

/// What the capture thread asked for, and got.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) thread: ThreadId,
    pub(crate) fifo_priority: Option<u8>,
    /// The CPU that it is pinned to.
    pub(crate) cpu: Option<usize>,
    pub(crate) memory_locked: bool,
    /// What it may not have, each a sentence.
    pub(crate) missing: Vec<String>,
}

impl Granted {
    /// Asks for what is wanted, for the calling thread.
    fn ask(rights: RealtimeRequest) -> Self {
        let refused = rights.apply();
        let got = |refusal: fn(&SysError) -> bool| !refused.iter().any(refusal);
        Self {
            thread: ThreadId::current(),
            fifo_priority: rights
                .fifo_priority
                .filter(|_| got(|error| matches!(error, SysError::Fifo { .. }))),
            cpu: rights.cpu.filter(|_| got(|error| matches!(error, SysError::Pin { .. }))),
            memory_locked: rights.lock_memory && got(|error| matches!(error, SysError::LockMemory { .. })),
            missing: refused.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The handle of the running capture thread. Dropping it ends the thread.
pub(crate) struct Capture {
    pub(crate) shared: Arc<CaptureShared>,
    pub(crate) granted: Granted,
    changes: Producer<Change>,
    retired: Consumer<Retired>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts the thread. It runs without what it may not have (real-time priority, a CPU of its own, memory that stays).
    pub(crate) fn start(period: Nanos, rights: RealtimeRequest) -> Result<Self, SysError> {
        let grid = Grid::new(period)?;
        let shared = Arc::new(CaptureShared::default());
        let (changes, incoming) = RingBuffer::new(MAX_PORTS);
        let (outgoing, retired) = RingBuffer::new(MAX_PORTS);
        let (report, granted) = std::sync::mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || {
                let granted = Granted::ask(rights);
                of_thread.realtime.store(granted.fifo_priority.is_some(), Relaxed);
                // The other side waits for exactly this message; if it has gone there is nobody to tell.
                let _ = report.send(granted);
                run(grid, &of_thread, incoming, outgoing);
            })
            .map_err(|source| SysError::Thread { source })?;
        let granted = granted.recv().expect("the thread's first act is to tell");
        tracing::info!(
            fifo_priority = granted.fifo_priority,
            cpu = granted.cpu,
            memory_locked = granted.memory_locked,
            "capture runs"
        );
        Ok(Self { shared, granted, changes, retired, thread: Some(thread) })
    }

    /// Begins to receive a flow. False if there are too many changes at once; try again.
    pub(crate) fn add(&mut self, port: Box<CapturePort>) -> bool {
        self.sweep();
        self.changes.push(Change::Add(port)).is_ok()
    }

    /// Ends receiving a flow.
    pub(crate) fn remove(&mut self, flow: u32) -> bool {
        self.sweep();
        self.changes.push(Change::Remove(flow)).is_ok()
    }

    /// Goes on with a flow on another socket; what waits in the one before is taken first. False if there are too many changes
    /// at once, and then the new socket is closed.
    pub(crate) fn replace(&mut self, flow: u32, leg: Leg, socket: FlowSocket) -> bool {
        self.sweep();
        self.changes.push(Change::Replace(flow, leg, socket)).is_ok()
    }

    /// Drops what the thread handed back.
    pub(crate) fn sweep(&mut self) {
        while self.retired.pop().is_ok() {}
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed; there is nothing to add to it here.
            let _ = thread.join();
        }
    }
}

fn run(
    mut grid: Grid,
    shared: &CaptureShared,
    mut incoming: Consumer<Change>,
    mut outgoing: Producer<Retired>,
) {
    // Not capture yet: what follows is all that the thread ever allocates.
    let mut receiver = BatchReceiver::new(BATCH);
    let mut ports: Vec<Box<CapturePort>> = Vec::with_capacity(MAX_PORTS);
    realtime::prefault_stack();
    let _ = realtime::set_thread_name("audyn-capture");

    while !shared.stop.load(Acquire) {
        let tick = grid.next_after(clock::mono_now());
        clock::sleep_until(tick.at);
        let clocks = ClockPair::sample();
        let lateness = (clocks.at - tick.at).0.max(0) as u64;
        shared.worst_lateness.fetch_max(lateness, Relaxed);
        shared.lateness.note(clocks.at, lateness);
        shared.missed_ticks.fetch_add(tick.missed, Relaxed);

        while let Ok(change) = incoming.peek() {
            if let Change::Replace(flow, leg, _) = change
                && ports.iter().any(|port| (port.flow, port.leg) == (*flow, *leg) && port.former.is_some())
            {
                // One exchange a turn: what waits in the socket before must not be forgotten.
                break;
            }
            let Ok(change) = incoming.pop() else { break };
            match change {
                Change::Add(port) => ports.push(port),
                Change::Remove(flow) => {
                    // One for each leg.
                    while let Some(at) = ports.iter().position(|port| port.flow == flow) {
                        // The ring holds more than there are ports; and if not, the drop happens here.
                        let _ = outgoing.push(Retired::Port(ports.swap_remove(at)));
                    }
                }
                Change::Replace(flow, leg, socket) => {
                    match ports.iter_mut().find(|port| (port.flow, port.leg) == (flow, leg)) {
                        Some(port) => port.former = Some(std::mem::replace(&mut port.socket, socket)),
                        None => {
                            let _ = outgoing.push(Retired::Socket(socket));
                        }
                    }
                }
            }
        }
        for at in 0..ports.len() {
            // 64 flows and what else a machine does drive each other out of the cache between two turns. What the next
            // flows will need comes while the kernel works for this one.
            if let Some(port) = ports.get(at + 3) {
                prefetch(&**port);
            }
            if let Some(port) = ports.get(at + 2) {
                port.foresee_list();
            }
            if let Some(port) = ports.get_mut(at + 1) {
                port.foresee();
            }
            let port = &mut ports[at];
            let CapturePort { former, .. } = &mut **port;
            if let Some(socket) = former.take() {
                if drain(port, Some(&socket), &mut receiver, &clocks, shared) {
                    // What waits in the new one came since it was opened.
                    port.emptied = Timestamp::ZERO;
                    let _ = outgoing.push(Retired::Socket(socket));
                } else {
                    port.former = Some(socket);
                    continue;
                }
            }
            drain(port, None, &mut receiver, &clocks, shared);
        }
        shared.turns.fetch_add(1, Release);
    }
}

/// Takes all that the kernel holds for one flow, as far as slots reach, from its socket or from the one that was before.
/// Tells whether that is empty.
pub(crate) fn drain(
    port: &mut CapturePort,
    from: Option<&FlowSocket>,
    receiver: &mut BatchReceiver,
    clocks: &ClockPair,
    shared: &CaptureShared,
) -> bool {
    take_back(port);
    let CapturePort {
        socket,
        slab,
        free,
        filled,
        shared: flow,
        usual,
        usual_bytes,
        emptied,
        last_arrival,
        card,
        ..
    } = port;
    let former = from.is_some();
    let socket = from.unwrap_or(socket);
    let link = card.as_mut().and_then(|card| {
        card.shared.read(&mut card.link);
        card.link
    });
    let (mut taken, mut stamps) = (0, Stamps::Kernel);
    let mut most = *usual + MARGIN;
    let empty = loop {
        if free.is_empty() {
            // What waits in the kernel keeps its receive time; nothing is lost until its buffer is full.
            shared.slots_exhausted.fetch_add(1, Relaxed);
            break false;
        }
        let asked = free.len().min(receiver.batch()).min(most);
        match receiver.receive(asked, socket.as_fd(), slab, free) {
            Ok(received) => {
                let count = received.len();
                let datagrams = received.map(|(slot, datagram)| {
                    let kernel = datagram.kernel_time.map_or(clocks.at, |utc| clocks.to_mono(utc));
                    let by_card = link.zip(datagram.card_time);
                    let by_card = by_card.and_then(|(link, phc)| believed(link.to_mono(phc)?, kernel));
                    stamps = if by_card.is_some() { Stamps::Card } else { Stamps::Kernel };
                    let arrival = plausible(by_card.unwrap_or(kernel), *emptied, *last_arrival, clocks.at);
                    *last_arrival = arrival;
                    *usual_bytes = datagram.len;
                    if let Some(dropped) = datagram.dropped {
                        flow.kernel_dropped.store(dropped, Relaxed);
                    }
                    Filled {
                        slot,
                        len: datagram.len as u16,
                        truncated: datagram.truncated,
                        arrival,
                        sender: datagram.source.0,
                        port: datagram.source.1,
                        ttl: datagram.ttl,
                        dscp: datagram.dscp,
                    }
                });
                // All of a call at once: the worker's processor is told once where they end.
                let room =
                    filled.write_chunk_uninit(count).expect("the ring holds as many as there are slots");
                room.fill_from_iter(datagrams);
                if count > 0 {
                    flow.stamps.store(stamps as u8, Relaxed);
                }
                taken += count;
                most = receiver.batch();
                if count < asked {
                    *emptied = clocks.at;
                    if !former {
                        flow.captured_until.store(clocks.at.as_nanos(), Release);
                    }
                    break true;
                }
            }
            Err(error) => {
                flow.socket_errno.store(error.raw_os_error().unwrap_or(-1).unsigned_abs(), Relaxed);
                if !former {
                    flow.captured_until.store(clocks.at.as_nanos(), Release);
                }
                // The call has cleared the error; what waits is asked for at the next turn.
                break false;
            }
        }
    };
    *usual = taken;
    shared.datagrams.fetch_add(taken as u64, Relaxed);
    empty
}

/// Takes back the slots that the worker has read, once there are some: to look is to wait for a line of the worker's cache.
fn take_back(port: &mut CapturePort) {
    if port.slab.slots() - port.free.len() < TAKE_BACK && !port.free.is_empty() {
        return;
    }
    let waiting = port.returned.slots();
    if let Ok(slots) = port.returned.read_chunk(waiting) {
        // There is room for all slots, so this allocates nothing.
        port.free.extend(slots);
    }
}

/// The arrival of a datagram, from what the kernel's clock told. That is the clock of the day, and when it is set while the
/// datagram waits, the two differ by the step. But it came after the socket was last emptied, after the datagram before it,
/// and before now.
fn plausible(
    told: Timestamp<Mono>,
    emptied: Timestamp<Mono>,
    before: Timestamp<Mono>,
    now: Timestamp<Mono>,
) -> Timestamp<Mono> {
    // What comes while the socket is being emptied is later than `now`, by less than this.
    let latest = now + Nanos::from_millis(1);
    told.min(latest).max(emptied).max(before)
}

/// The card's stamp of a datagram, if the kernel's bears it out: it is the earlier of the two, by what an interrupt and the way
/// through the driver take. So a card whose clock was set is not believed from the first datagram on, until the link to it is told
/// anew.
fn believed(card: Timestamp<Mono>, kernel: Timestamp<Mono>) -> Option<Timestamp<Mono>> {
    /// What the link and the kernel's link to its own clock may be off by.
    const EARLY: Nanos = Nanos::from_micros(-200);
    /// Interrupts are put off by some cards, and by a busy machine.
    const LATE: Nanos = Nanos::from_millis(20);
    (EARLY..=LATE).contains(&(kernel - card)).then_some(card)
}

#[cfg(test)]
mod tests {
    use audyn_sys::FlowSocketConfig;

    use super::*;

    fn socket() -> FlowSocket {
        let address = IpAddr::from([127, 0, 0, 1]);
        let config =
            FlowSocketConfig { address, port: 0, interface: None, source: None, receive_buffer: 1 << 20 };
        FlowSocket::open(&config).unwrap()
    }

    #[test]
    fn an_exchanged_socket_loses_nothing_of_what_waits_in_either() {
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |to: std::net::SocketAddr, from: u8, count: u8| {
            for n in from..from + count {
                sender.send_to(&[n], to).unwrap();
            }
        };
        // Few slots, so that the first is not emptied in one turn; and a second exchange before it is.
        let (first, second, third) = (socket(), socket(), socket());
        let (one, two, three) = (first.local_address(), second.local_address(), third.local_address());
        send(one, 0, 50);
        let shared = Arc::default();
        let (port, mut worker) = connect(7, first, 4, &shared).unwrap();
        let rights = RealtimeRequest { fifo_priority: None, cpu: None, lock_memory: false };
        let mut capture = Capture::start(Nanos::from_millis(1), rights).unwrap();
        assert!(capture.add(port));
        send(two, 50, 50);
        send(three, 100, 50);
        assert!(capture.replace(7, Leg::First, second) && capture.replace(7, Leg::First, third));
        let mut seen = Vec::new();
        let mut arrival = Timestamp::ZERO;
        let deadline = clock::mono_now() + Nanos::from_secs(60);
        while seen.len() < 150 && clock::mono_now() < deadline {
            while let Ok(filled) = worker.filled.pop() {
                assert!(filled.arrival >= arrival, "arrivals keep their order");
                arrival = filled.arrival;
                seen.push(worker.slab.bytes(&filled.slot)[0]);
                worker.returned.push(filled.slot).unwrap();
            }
            std::thread::yield_now();
        }
        assert_eq!(seen, (0..150).collect::<Vec<u8>>());
        // The sockets that were exchanged are closed once they are handed back.
        while capture.changes.slots() < MAX_FLOWS * 2 || std::net::UdpSocket::bind(two).is_err() {
            assert!(clock::mono_now() < deadline);
            capture.sweep();
        }
    }

    #[test]
    fn a_cards_stamp_counts_only_while_the_kernels_bears_it_out() {
        let at = |micros| Timestamp::<Mono>::ZERO + Nanos::from_micros(micros);
        assert_eq!(believed(at(1_000), at(1_030)), Some(at(1_000)));
        assert_eq!(believed(at(1_000), at(950)), Some(at(1_000)));
        assert_eq!(believed(at(1_000), at(21_001)), None, "its clock was set back, or this datagram is old");
        assert_eq!(believed(at(1_000), at(700)), None, "its clock was set forward");
    }

    #[test]
    fn a_step_of_the_clock_moves_no_arrival_out_of_its_turn() {
        let at = |millis| Timestamp::<Mono>::ZERO + Nanos::from_millis(millis);
        let hour = Nanos::from_secs(3_600);
        assert_eq!(plausible(at(1_002), at(1_000), at(1_001), at(1_004)), at(1_002));
        assert_eq!(plausible(at(1_002) - hour, at(1_000), at(990), at(1_004)), at(1_000));
        assert_eq!(plausible(at(1_002) + hour, at(1_000), at(990), at(1_004)), at(1_005));
        assert_eq!(plausible(at(1_002) - hour, at(1_000), at(1_003), at(1_004)), at(1_003));
    }
}
