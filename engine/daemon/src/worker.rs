//! Workers: each owns some flows, and turns their datagrams into timelines.
//!
//! Owns: the receivers and the taps. Wakes on a grid of its own; what has come since is in the rings. Never: touches a
//! socket or a file, or waits for a reader.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::thread::JoinHandle;

use audyn_core::clock::TaiReading;
use audyn_core::flow::{GapCause, Leg, Placed, Receiver};
use audyn_core::segment::TimeAnchor;
use audyn_sys::clock::{mono_now, sleep_until};
use audyn_sys::{ClockPair, Grid, SysError};
use audyn_units::{Mono, Nanos, Timestamp};

use crate::capture::WorkerPort;
use crate::feed::{Done, Feed};
use crate::legmeter::LegMeter;
use crate::legs::Ports;
use crate::shared::{ClockShared, FlowShared, FlowStatus};
use crate::tap::{Tap, Taps};

/// What a worker is told.
pub(crate) enum Order {
    /// Own this flow, with these taps from its first packet on.
    AddFlow { flow: u32, shared: Arc<FlowShared>, ports: Ports, receiver: Box<Receiver>, taps: Vec<Tap> },
    /// A leg of the flow has been opened later than the other.
    AddLeg { flow: u32, leg: Leg, port: WorkerPort },
    /// Forget this flow; its recordings end.
    RemoveFlow { flow: u32 },
    /// Meter a recorder on a flow.
    AddTap { flow: u32, tap: Box<Tap> },
    /// Forget a recorder; its recording ends, and `done` is called when its file is closed.
    RemoveTap { flow: u32, recorder: String, done: Done },
    /// Begin to record, and to mirror if there is a mirror.
    Record { flow: u32, recorder: String, feed: Box<Feed>, mirror: Option<Box<Feed>> },
    /// Mirror from now on what is being recorded already.
    Mirror { flow: u32, recorder: String, feed: Box<Feed> },
    /// End recording; `done` is called when the file is closed.
    EndRecording { flow: u32, recorder: String, done: Done },
    /// All of these, with no datagram taken between.
    Together(Vec<Order>),
}

pub(crate) struct FlowWorker {
    flow: u32,
    shared: Arc<FlowShared>,
    ports: Ports,
    receiver: Receiver,
    taps: Vec<Tap>,
    /// Recordings whose tap has gone and whose end the disk writer has not been told yet.
    ending: Vec<Feed>,
    sender: Option<IpAddr>,
    /// Cause of the gap that the flow stands in, if it stands in one.
    cause: GapCause,
    /// When a sample last came that was not zero, or nothing came at all.
    heard: Timestamp<Mono>,
    /// How the running stretch was placed.
    placed: Option<Placed>,
    /// Until then it takes what waited before it began only as fast as the disk writer does.
    catch_up: Timestamp<Mono>,
    meters: [LegMeter; 2],
}

/// The handle of a running worker. Dropping it ends the thread.
pub(crate) struct Worker {
    orders: Sender<Order>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Flows that it owns.
    pub(crate) flows: usize,
}

impl Worker {
    /// Starts worker `n`, which wakes each `period` and reads the clock with what is known of it.
    pub(crate) fn start(n: usize, period: Nanos, clock: Arc<ClockShared>) -> Result<Self, SysError> {
        let mut grid = Grid::new(period)?;
        let (orders, inbox) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(format!("audyn-worker-{n}"))
            .spawn(move || {
                let mut flows = Vec::new();
                while !stopped.load(Acquire) {
                    sleep_until(grid.next_after(mono_now()).at);
                    turn(&mut flows, &inbox, &clock, false);
                }
                // The capture thread ended before: what it read is in the rings, and all that there will be.
                turn(&mut flows, &inbox, &clock, true);
            })
            .map_err(|source| SysError::Thread { source })?;
        Ok(Self { orders, stop, thread: Some(thread), flows: 0 })
    }

    /// Tells the worker something. A worker that has died has said why; there is nobody left to tell.
    pub(crate) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How long a flow that begins with a backlog waits for the disk writer rather than for its own silence: a disk that hangs must not
/// hold up what comes now.
const CATCH_UP: Nanos = Nanos::from_secs(2);

/// A turn; after the `last` no packet will come any more.
fn turn(flows: &mut Vec<FlowWorker>, inbox: &Inbox<Order>, clock: &ClockShared, last: bool) {
    while let Ok(order) = inbox.try_recv() {
        obey(flows, order);
    }
    let reading = clock.reading(&ClockPair::sample());
    for flow in flows {
        flow.turn(reading, last);
    }
}

pub(crate) fn obey(flows: &mut Vec<FlowWorker>, order: Order) {
    let find = |flows: &mut Vec<FlowWorker>, id: u32| flows.iter().position(|flow| flow.flow == id);
    match order {
        Order::AddFlow { flow, shared, ports, receiver, taps } => flows.push(FlowWorker {
            flow,
            shared,
            ports,
            meters: [LegMeter::new(receiver.format()), LegMeter::new(receiver.format())],
            receiver: *receiver,
            taps,
            ending: Vec::new(),
            sender: None,
            cause: GapCause::Loss,
            heard: mono_now(),
            placed: None,
            catch_up: mono_now() + CATCH_UP,
        }),
        Order::AddLeg { flow, leg, port } => {
            if let Some(at) = find(flows, flow) {
                flows[at].ports.add(leg, port);
            }
        }
        Order::RemoveFlow { flow } => {
            if let Some(at) = find(flows, flow) {
                flows.swap_remove(at);
            }
        }
        Order::Together(orders) => {
            for order in orders {
                obey(flows, order);
            }
        }
        Order::AddTap { flow, tap } => {
            if let Some(at) = find(flows, flow) {
                flows[at].taps.push(*tap);
            }
        }
        Order::RemoveTap { flow, recorder, done } => match find(flows, flow) {
            Some(at) => flows[at].remove_tap(&recorder, done),
            None => done(),
        },
        Order::Record { flow, recorder, feed, mirror } => {
            if let Some(at) = find(flows, flow) {
                let placed = flows[at].placed;
                if let Some(tap) = flows[at].tap(&recorder) {
                    let before: Vec<Feed> = tap.take_feeds().collect();
                    tap.feed = Some(*feed);
                    tap.mirror = mirror.map(|mirror| *mirror);
                    for feed in tap.feeds() {
                        placed.iter().for_each(|placed| feed.placed(placed));
                    }
                    for mut before in before {
                        before.end(None);
                        flows[at].ending.push(before);
                    }
                }
            }
        }
        Order::Mirror { flow, recorder, mut feed } => {
            if let Some(at) = find(flows, flow) {
                let placed = flows[at].placed;
                // Where the recording has ended meanwhile, the feed goes, and by that its other end ends.
                if let Some(tap) = flows[at].tap(&recorder).filter(|tap| tap.is_alone()) {
                    placed.iter().for_each(|placed| feed.placed(placed));
                    tap.mirror = Some(*feed);
                }
            }
        }
        Order::EndRecording { flow, recorder, done } => {
            let left = match find(flows, flow).and_then(|at| flows[at].tap(&recorder)) {
                Some(tap) => tap.end(done),
                None => Some(done),
            };
            left.into_iter().for_each(|done| done());
        }
    }
}

impl FlowWorker {
    fn tap(&mut self, recorder: &str) -> Option<&mut Tap> {
        self.taps.iter_mut().find(|tap| tap.recorder == recorder)
    }

    fn remove_tap(&mut self, recorder: &str, done: Done) {
        let Some(at) = self.taps.iter().position(|tap| tap.recorder == recorder) else { return done() };
        let mut tap = self.taps.swap_remove(at);
        if let Some(done) = tap.end(done) {
            done();
        }
        self.ending.extend(tap.take_feeds());
    }

    pub(crate) fn turn(&mut self, reading: TaiReading, last: bool) {
        // Read before the rings: what the kernel had up to then lies in them.
        let now = reading.at;
        let begins = now < self.catch_up && !last;
        if last {
            self.ports.end();
        }
        let captured = self.ports.begin_turn(begins);
        let mut heard = false;
        let receiver = &mut self.receiver;
        let mut sink = Taps {
            taps: &mut self.taps,
            anchor: TimeAnchor {
                position: receiver.position(),
                utc: reading.utc,
                rate: receiver.format().rate,
                exact: false,
                tai_offset: reading.tai_offset,
            },
            cause: &mut self.cause,
            placed: &mut self.placed,
            heard: &mut heard,
        };
        receiver.on_clock(reading, &mut sink);
        sink.anchor = receiver.time_anchor(now).unwrap_or(sink.anchor);

        // While its socket has not been empty yet, seconds of audio may wait there, and in the ring to the disk is room for ten.
        let behind = captured == Timestamp::ZERO && now < self.catch_up;
        while !(behind && sink.is_crowded())
            && let Some((leg, filled)) = self.ports.next()
        {
            if filled.truncated {
                receiver.on_oversized(leg);
            } else {
                let before = receiver.counters().received;
                let late = receiver.counters().late;
                let bytes = self.ports.bytes(leg, &filled);
                let from = SocketAddr::new(filled.sender, filled.port);
                let followed = receiver.on_packet_from(leg, filled.arrival, &from, bytes, &mut sink);
                let late = receiver.counters().late - late;
                let meter = &mut self.meters[leg.index()];
                if followed {
                    meter.take(&filled, bytes, receiver, &reading, late);
                } else {
                    meter.elsewhere(receiver.follows(leg).filter(|&follows| follows != from), late);
                }
                if receiver.counters().received > before {
                    self.sender = Some(filled.sender);
                    self.ports.senders[leg.index()] = Some(filled.sender);
                }
            }
            self.ports.give_back(leg, filled);
        }
        receiver.on_time(captured, &mut sink);
        // What a hole holds up may still come, by the other leg, to the next engine.
        let whole = receiver.position();
        if last {
            receiver.flush(&mut sink);
        }

        let anchor = sink.anchor;
        let head = receiver.position();
        let (receiving, drift) = (receiver.is_receiving(now), receiver.drift_ppm());
        if heard || !receiving {
            self.heard = now;
        }
        for tap in &mut self.taps {
            tap.turn(now, receiving, head, Some(&anchor), drift);
            if last {
                tap.feeds().for_each(|feed| feed.leave(whole));
            }
        }
        for feed in &mut self.ending {
            feed.turn(head, None);
        }
        self.ending.retain(|feed| !feed.is_finished());
        self.publish(now);
        for leg in Leg::ALL {
            self.meters[leg.index()].miss(now, self.receiver.missed(leg));
        }
        // Once one leg was heard, the other's silence says something as well.
        let heard = self.meters.iter().any(LegMeter::has_heard);
        for (n, meter) in self.meters.iter_mut().enumerate() {
            if let Some(reading) = meter.due(now)
                && let Ok(mut told) = self.shared.statistics.try_lock()
            {
                told[n] = heard.then_some(reading);
            }
        }
    }

    fn publish(&self, now: Timestamp<Mono>) {
        // A reader that holds the lock costs one reading; the next comes with the next turn.
        if let Ok(mut status) = self.shared.status.try_lock() {
            let source = self.receiver.sender();
            *status = FlowStatus {
                counters: *self.receiver.counters(),
                position: self.receiver.position(),
                ssrc: source.map(|(ssrc, _)| ssrc),
                packet_frames: source.map(|(_, frames)| frames),
                sender: self.sender,
                receiving: self.receiver.is_receiving(now),
                quiet: now - self.heard,
                placement: self.receiver.placement(),
                drift_ppm: self.receiver.drift_ppm(),
                behind: self.receiver.behind(now),
                legs: Leg::ALL.map(|leg| Some(self.receiver.leg(leg, now))),
                senders: self.ports.senders,
            };
        }
    }
}
