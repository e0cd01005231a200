//! The network below the flows: each socket keeps its place while interfaces come, go and change.
//!
//! Owns: the watch on links and addresses, and per flow the hold on its socket ([`Hold`]): when it joins anew, when
//! another socket takes its place, and when it tells TTL and DSCP. Never: the capture thread's business: sockets are exchanged by a message to it, and
//! the flow's receiver and recordings know nothing of it; what was missed is a gap like any other.
//!
//! ```text
//!           interface gone, off, without link or address        all of it is back: join anew
//!  [joined] ──────────────────────────────────────────► [broken] ───────────────────────────► [joined]
//!     │ another number or address, or the kernel's list lacks the group: join anew, or exchange the socket
//!     └──────────────────────────────────────────────────────────────────────────────────────► [joined]
//! ```
//!
//! News comes by netlink; where that is refused, and beside it, everything is looked at once a second.

use std::net::IpAddr;
use std::os::fd::AsFd;

use audyn_api::SilenceCause;
use audyn_sys::{
    FlowSocket, FlowSocketConfig, InterfaceInfo, InterfaceRef, Membership, Memberships, NetworkNews,
    NetworkWatch, Rejoined, SysError, clock, interfaces,
};
use audyn_units::{Mono, Nanos, Timestamp};

use crate::diagnosis::{Trouble, cause_of};
use crate::engine::{Engine, FlowEntry, stamped};
use crate::error::EngineError;
use crate::legs::place;

/// Time between two looks without news.
const LOOK: Nanos = Nanos::from_secs(1);

/// Time between two tries to join where the kernel does not take it.
const RETRY: Nanos = Nanos::from_secs(2);

/// Time between two glances at what IP headers say.
const GLANCE_EACH: Nanos = Nanos::from_secs(1);

/// How long one lasts: some turns of the capture thread, and some packets of the slowest flow.
const GLANCE: Nanos = Nanos::from_millis(50);

/// TTL and DSCP are for people, and change with the network, not with the packet: the kernel tells them for a moment each second,
/// so that capture does not pay for them at each datagram. A socket that is opened anew tells them until the next glance ends.
#[derive(Debug, Default)]
struct Glances {
    begun: Timestamp<Mono>,
    open: bool,
}

impl Glances {
    /// Whether the kernel is to tell them from now on, if that changes now.
    fn turn(&mut self, now: Timestamp<Mono>) -> Option<bool> {
        let since = now - self.begun;
        if !self.open && since >= GLANCE_EACH {
            *self = Self { begun: now, open: true };
            return Some(true);
        }
        if self.open && since >= GLANCE {
            self.open = false;
            return Some(false);
        }
        None
    }
}

/// What is known of the network.
#[derive(Debug)]
pub(crate) struct Network {
    watch: Option<NetworkWatch>,
    last_look: Timestamp<Mono>,
    glances: Glances,
}

impl Network {
    /// Subscribes to news; without it the network is looked at once a second.
    pub(crate) fn watch() -> Self {
        let watch = NetworkWatch::open().inspect_err(|error| tracing::warn!("{error}")).ok();
        Self { watch, last_look: Timestamp::ZERO, glances: Glances::default() }
    }

    fn news(&mut self) -> Vec<NetworkNews> {
        let Some(watch) = &self.watch else { return Vec::new() };
        watch.news().unwrap_or_else(|source| {
            tracing::warn!("{}", SysError::Watch { source });
            self.watch = None;
            Vec::new()
        })
    }
}

/// A flow's socket and its place on the network.
#[derive(Debug)]
pub(crate) struct Hold {
    membership: Membership,
    config: FlowSocketConfig,
    /// Its interface's address when it joined.
    own: Option<IpAddr>,
    /// It was without link, address or interface since it joined.
    broken: bool,
    last_try: Timestamp<Mono>,
}

/// What a look at a flow came to.
enum Finding {
    Well,
    Wrong(Trouble),
    /// It has to join anew, on this interface.
    Join(InterfaceInfo),
}

impl Hold {
    /// Takes hold of a socket that is about to be read.
    pub(crate) fn of(socket: &FlowSocket, config: &FlowSocketConfig) -> Result<Self, SysError> {
        let membership = socket.membership(config.clone())?;
        let all = interfaces().unwrap_or_default();
        let own = membership.interface(&all).and_then(|info| info.address_like(config.address));
        Ok(Self { membership, config: config.clone(), own, broken: false, last_try: Timestamp::ZERO })
    }

    fn hear(&mut self, news: &[NetworkNews]) {
        let at = self.membership.index();
        self.broken |= news.iter().any(|news| match *news {
            NetworkNews::Link { index, carries } => index == at && !carries,
            NetworkNews::LinkGone { index } => index == at,
            NetworkNews::Lost => true,
            // An address that is told anew, by each renewal of a lease, changes nothing; another one is seen by looking.
            NetworkNews::Address { .. } | NetworkNews::AddressGone { .. } => false,
        });
    }

    fn look(&mut self, all: &[InterfaceInfo], joined: Option<&Memberships>, now: Timestamp<Mono>) -> Finding {
        if self.config.interface.is_none() && self.membership.index() == 0 {
            return Finding::Well;
        }
        let Some(interface) = self.membership.interface(all) else {
            self.broken = true;
            return Finding::Wrong(absent(self.config.interface.as_ref(), all));
        };
        if let Some(trouble) = unfit(interface, self.config.address) {
            self.broken = true;
            return Finding::Wrong(trouble);
        }
        let address = self.config.address;
        if !self.membership.is_group() && !address.is_unspecified() && !interface.has(address) {
            self.broken = true;
            let (owner, known) = (format!("interface {}", interface.name), interface.to_string());
            return Finding::Wrong((
                SilenceCause::Address,
                SysError::NotLocal { address, owner, known }.to_string(),
            ));
        }
        let forgotten = joined.is_some_and(|joined| !self.membership.is_in(joined));
        let own = interface.address_like(self.config.address);
        let moved = interface.index != self.membership.index() && self.membership.index() != 0;
        if !(self.broken || moved || forgotten || own != self.own) {
            return Finding::Well;
        }
        // Nothing has happened, and yet the group is not on the list: it was joined, and that did not last.
        if forgotten && !self.broken && !moved && now - self.last_try < RETRY {
            let sentence = format!(
                "the kernel does not keep {} joined on {}; it is joined again and again, so look into the system's log",
                self.config.address, interface.name
            );
            return Finding::Wrong((SilenceCause::Join, sentence));
        }
        Finding::Join(interface.clone())
    }

    /// Joins anew; a socket that takes the place of this one is handed back.
    fn join(&mut self, on: &InterfaceInfo, now: Timestamp<Mono>) -> Result<Option<FlowSocket>, SysError> {
        self.last_try = now;
        let another = match self.membership.rejoin(on)? {
            Rejoined::Same => None,
            Rejoined::NeedsAnother => {
                let socket = FlowSocket::open(&self.config)?;
                self.membership = socket.membership(self.config.clone())?;
                Some(socket)
            }
        };
        self.own = on.address_like(self.config.address);
        self.broken = false;
        Ok(another)
    }
}

/// The sentence for an interface that is not there.
pub(crate) fn absent(wanted: Option<&InterfaceRef>, all: &[InterfaceInfo]) -> Trouble {
    let known = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let wanted = wanted.map_or_else(|| "of this flow any more".to_owned(), ToString::to_string);
    (SilenceCause::Link, SysError::NoSuchInterface { wanted, known }.to_string())
}

/// What keeps an interface from receiving.
pub(crate) fn unfit(interface: &InterfaceInfo, like: IpAddr) -> Option<Trouble> {
    let name = &interface.name;
    if !interface.up {
        return Some((SilenceCause::Link, format!("interface {name} is switched off; switch it on")));
    }
    if !interface.running {
        let sentence = format!("interface {name} has no link; check the cable and the switch's port");
        return Some((SilenceCause::Link, sentence));
    }
    if interface.address_like(like).is_none() {
        let family = if like.is_ipv4() { "IPv4" } else { "IPv6" };
        let error = SysError::NoInterfaceAddress { interface: name.clone(), family };
        return Some((SilenceCause::Address, error.to_string()));
    }
    None
}

impl Engine {
    /// Looks after the flows' places on the network. Call it often: while nothing happens it is one system call.
    pub fn watch_network(&mut self) {
        let news = self.network.news();
        let now = clock::mono_now();
        if let Some(tell) = self.network.glances.turn(now) {
            for hold in self.flows.iter().flat_map(|flow| &flow.legs).filter_map(|leg| leg.hold.as_ref()) {
                // Opening asked the same; a kernel that takes it no more has lost the socket, and that is seen below.
                let _ = hold.membership.tell_marks(tell);
            }
        }
        if news.is_empty() && now - self.network.last_look < LOOK {
            return;
        }
        self.network.last_look = now;
        self.look(&news, now);
        let lacks = |flow: &FlowEntry| flow.failure.is_some() || flow.legs.iter().any(|leg| !leg.open);
        if !news.is_empty() && self.flows.iter().any(lacks) {
            for flow in self.flows.iter_mut().filter(|flow| lacks(flow)) {
                flow.last_try = Timestamp::ZERO;
                flow.legs.iter_mut().for_each(|leg| leg.last_try = Timestamp::ZERO);
            }
            self.reconcile();
        }
    }

    fn look(&mut self, news: &[NetworkNews], now: Timestamp<Mono>) {
        let Ok(all) = interfaces() else { return };
        let joined = Memberships::read().ok();
        for flow in &mut self.flows {
            if let Ok(status) = flow.shared.status.try_lock() {
                flow.recent.note(status.counters);
            }
            for leg in &mut flow.legs {
                let label = leg.label(&flow.source);
                let Some(hold) = &mut leg.hold else {
                    let place = place(&flow.source, leg.leg);
                    let named = place.interface.as_deref().map(interface_ref);
                    leg.trouble = named.as_ref().and_then(|named| match named.among(&all) {
                        Some(interface) => unfit(interface, place.address),
                        None => Some(absent(Some(named), &all)),
                    });
                    continue;
                };
                hold.hear(news);
                leg.trouble = match hold.look(&all, joined.as_ref(), now) {
                    Finding::Well => None,
                    Finding::Wrong(trouble) => Some(trouble),
                    Finding::Join(interface) => match hold.join(&interface, now) {
                        Ok(another) => {
                            tracing::info!(source = %flow.source.id, interface = interface.name, "joined anew");
                            // What is kept under the name that was is not what is read now, or is not where it says.
                            let name = hold.config.store_name(&label);
                            if another.is_some() || name != leg.kept_as {
                                if let Some(before) = leg.kept_as.take() {
                                    self.kept.forget(&before);
                                }
                                if let Some(name) = &name {
                                    self.kept.keep(name, hold.membership.as_fd());
                                }
                                leg.kept_as = name;
                            }
                            if let Some(socket) = another {
                                // The link to the card's clock, if there is one, is the leg's already.
                                let place = place(&flow.source, leg.leg);
                                stamped(&flow.source, place.interface.as_deref(), &socket, &self.keeper);
                                hold.broken |= !self.capture.replace(flow.id, leg.leg, socket);
                            }
                            None
                        }
                        Err(error) => {
                            hold.broken = true;
                            let error = EngineError::from(error);
                            Some((cause_of(&error), error.to_string()))
                        }
                    },
                };
            }
        }
    }
}

/// The interface that a configuration names.
pub(crate) fn interface_ref(named: &str) -> InterfaceRef {
    match named.parse() {
        Ok(interface) => interface,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_headers_are_looked_at_for_a_moment_each_second() {
        let mut glances = Glances::default();
        let mut turn = |millis| glances.turn(Timestamp::ZERO + Nanos::from_millis(millis));
        assert_eq!(turn(10_000), Some(true));
        assert_eq!(turn(10_033), None);
        assert_eq!(turn(10_066), Some(false));
        assert_eq!(turn(10_999), None);
        assert_eq!(turn(11_000), Some(true));
        assert_eq!(turn(15_000), Some(false), "also when it could not be ended in time");
    }
}
