//! From which address each leg is followed.
//!
//! Owns: the address and port of the packets that are followed on a leg, and when they were last heard. Never: a decision.
//!
//! A leg is pinned to the address of the first packet that is placed on it; each leg of ST 2022-7 has its own. What has the flow's SSRC and comes from
//! elsewhere is a stranger's, as another SSRC is: it waits, is counted as such, and is believed when the pinned address has been silent for
//! [`TAKEOVER`] on every leg and the flow with it. Then a redundant sender that takes over goes on where the first one ended, and nothing that waited is
//! lost; the ledger says who was followed by whom. Of two legs one goes on meanwhile; there the other is pinned anew as soon as its own address
//! has been silent for as long, if its counters are the flow's.
//!
//! # What this does not defend against
//!
//! A stranger who is heard first, or in a pause of the sender (on two legs: of one leg's); and one who forges the address itself.

use core::net::SocketAddr;

use audyn_units::{Mono, Timestamp};

use super::{Leg, TAKEOVER};

/// How a datagram came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came<'a> {
    pub(super) leg: Leg,
    pub(super) arrival: Timestamp<Mono>,
    /// From which address, where that is told.
    pub(super) from: Option<&'a SocketAddr>,
}

/// Whose a datagram is, by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of the address that the leg follows, or nobody tells addresses.
    Pinned,
    /// The leg follows none yet.
    First,
    /// Of another one; the leg's own has been `silent` or not.
    Elsewhere { silent: bool },
}

#[derive(Debug, Clone, Copy)]
struct Pin {
    from: SocketAddr,
    heard: Timestamp<Mono>,
}

/// The address of each leg.
#[derive(Debug, Default)]
pub(super) struct Pins([Option<Pin>; 2]);

impl Pins {
    /// Takes note of a datagram, and tells whose it is.
    pub(super) fn hear(&mut self, came: &Came<'_>) -> Whose {
        let Some(from) = came.from else { return Whose::Pinned };
        match &mut self.0[came.leg.index()] {
            None => Whose::First,
            Some(pin) if pin.from == *from => {
                pin.heard = came.arrival;
                Whose::Pinned
            }
            Some(pin) => Whose::Elsewhere { silent: came.arrival - pin.heard >= TAKEOVER },
        }
    }

    /// Follows the address that a datagram came from. Tells which one that leg followed before, if it was another.
    pub(super) fn follow(&mut self, came: &Came<'_>) -> Option<SocketAddr> {
        let from = *came.from?;
        let before = self.0[came.leg.index()].replace(Pin { from, heard: came.arrival });
        before.map(|pin| pin.from).filter(|&before| before != from)
    }

    /// The address that a leg follows.
    pub(super) fn of(&self, leg: Leg) -> Option<SocketAddr> {
        self.0[leg.index()].map(|pin| pin.from)
    }

    /// Whether no leg has heard its address of late.
    pub(super) fn are_silent(&self, now: Timestamp<Mono>) -> bool {
        self.0.iter().flatten().all(|pin| now - pin.heard >= TAKEOVER)
    }

    /// The flow has another sender, whose address on this leg is not known yet.
    pub(super) fn let_go(&mut self, leg: Leg) {
        self.0[leg.index()] = None;
    }
}
