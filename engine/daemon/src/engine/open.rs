//! Which flows are received: from opening their sockets to giving their ends to the capture thread and to a worker.
//!
//! Owns: the order in which the two get to know a flow, and what waits while flows are held. Never: asks a disk; reads a packet.

use std::sync::Arc;

use audyn_api::SilenceCause;
use audyn_units::{Mono, Nanos, Timestamp};

use super::Engine;
use super::flow::FlowEntry;
use crate::capture;
use crate::diagnosis::cause_of;
use crate::keep::KeptSockets;
use crate::worker::Order;

/// Time between two tries to open a flow that failed.
pub(super) const RETRY: Nanos = Nanos::from_secs(2);

/// What waits until all recordings that begin with the engine have begun.
#[derive(Default)]
pub(super) struct Held {
    orders: Vec<(usize, Order)>,
    #[expect(clippy::vec_box, reason = "a port goes to the capture thread as it is, in its box")]
    ports: Vec<Box<capture::CapturePort>>,
}

impl Engine {
    /// Takes over the sockets that an earlier engine left. From now to [`Engine::release`] flows are opened, tapped and recorded,
    /// and nothing of them is read: so that what waits in a socket meets its recording.
    pub fn hold(&mut self, kept: KeptSockets) {
        self.kept = kept;
        self.held = Some(Held::default());
    }

    /// Reads the flows from here on, and closes the kept sockets that none of them has claimed.
    pub fn release(&mut self) {
        self.kept.drop_rest();
        self.resume.forget();
        self.mirror.iter_mut().for_each(super::Mirror::forget);
        let Some(Held { orders, ports }) = self.held.take() else { return };
        let mut together: Vec<Vec<Order>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (worker, order) in orders {
            together[worker].push(order);
        }
        for (worker, orders) in together.into_iter().enumerate() {
            self.workers[worker].order(Order::Together(orders));
        }
        for port in ports {
            // There is room for more than there are flows, and nothing was asked of the capture thread before.
            if !self.capture.add(port) {
                tracing::error!("the capture thread takes no flow; restart the engine");
            }
        }
    }

    pub(super) fn tell(&mut self, worker: usize, order: Order) {
        match &mut self.held {
            Some(held) => held.orders.push((worker, order)),
            None => self.workers[worker].order(order),
        }
    }

    pub(super) fn open_flow(&mut self, at: usize, now: Timestamp<Mono>) {
        let options = &self.options;
        let flow = &mut self.flows[at];
        flow.last_try = now;
        match flow.open(options, &mut self.kept, Some(&self.keeper)) {
            Ok((captured, ports, receiver)) => {
                let (flow, shared) = (flow.id, Arc::clone(&flow.shared));
                let order = Order::AddFlow { flow, shared, ports, receiver, taps: Vec::new() };
                let worker = self.add_flow(flow, order, captured);
                let flow = &mut self.flows[at];
                flow.worker = worker;
                flow.failure = worker
                    .is_none()
                    .then(|| (SilenceCause::Join, "the capture thread is busy; trying again".to_owned()));
                if flow.failure.is_some() {
                    self.let_go(at);
                }
            }
            Err(error) => {
                self.let_go(at);
                let flow = &mut self.flows[at];
                let failure = (cause_of(&error), error.to_string());
                if flow.failure.as_ref() != Some(&failure) {
                    // The snapshot carries it; whoever shows that says it louder.
                    tracing::info!(source = %flow.source.id, "{error}");
                }
                flow.failure = Some(failure);
            }
        }
    }

    /// Closes the control's end of a flow's socket, wherever it is kept.
    fn let_go(&mut self, at: usize) {
        for leg in &mut self.flows[at].legs {
            leg.let_go(&self.kept);
        }
    }

    /// Gives a leg to the capture thread, or lays it by while flows are held.
    fn give(&mut self, port: Box<capture::CapturePort>) -> bool {
        match &mut self.held {
            Some(held) => {
                held.ports.push(port);
                true
            }
            None => self.capture.add(port),
        }
    }

    /// Gives a flow to the capture thread and, by `order`, to a worker, and tells which. None if the capture thread has too
    /// much to do now.
    pub(crate) fn add_flow(
        &mut self,
        flow: u32,
        order: Order,
        ports: impl IntoIterator<Item = Box<capture::CapturePort>>,
    ) -> Option<usize> {
        let worker = (0..self.workers.len())
            .min_by_key(|&n| self.workers[n].flows)
            .expect("there is at least one worker");
        // The worker first: it must be there when the first datagram comes.
        self.tell(worker, order);
        if ports.into_iter().all(|port| self.give(port)) {
            self.workers[worker].flows += 1;
            return Some(worker);
        }
        self.capture.remove(flow);
        self.workers[worker].order(Order::RemoveFlow { flow });
        None
    }

    pub(crate) fn remove_flow(&mut self, flow: u32, worker: usize) {
        self.capture.remove(flow);
        self.workers[worker].order(Order::RemoveFlow { flow });
        self.workers[worker].flows -= 1;
    }

    /// Opens the legs of a running flow that could not be opened with it.
    pub(super) fn open_missing_legs(&mut self, at: usize, now: Timestamp<Mono>) {
        let flow = &mut self.flows[at];
        let Some(worker) = flow.worker else { return };
        for n in 0..flow.legs.len() {
            let flow = &mut self.flows[at];
            if flow.legs[n].open || now - flow.legs[n].last_try < RETRY {
                continue;
            }
            if let Some((port, worker_port)) =
                flow.open_leg(n, &self.options, &mut self.kept, Some(&self.keeper), now)
            {
                let (id, leg) = (flow.id, flow.legs[n].leg);
                self.tell(worker, Order::AddLeg { flow: id, leg, port: worker_port });
                if !self.give(port) {
                    self.flows[at].legs[n].let_go(&self.kept);
                }
            }
        }
    }

    pub(super) fn close_flow(&mut self, flow: &FlowEntry) {
        if let Some(worker) = flow.worker {
            self.remove_flow(flow.id, worker);
        }
    }
}
