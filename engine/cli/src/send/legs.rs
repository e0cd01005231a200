//! The ways to the network: one, or two that carry the same datagrams (ST 2022-7).
//!
//! Owns: what leaves on which leg, and when on the later one. Never: a datagram's content.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use audyn_core::sender::{LegFates, LegsTruth, Sent};
use audyn_units::FrameIndex;

use super::error::SendError;
use super::socket::Line;

/// One way, or two.
#[derive(Debug)]
pub(super) struct Lines {
    first: Line,
    second: Option<Second>,
}

/// The second way, and what is lost on either.
#[derive(Debug)]
pub(super) struct Second {
    line: Line,
    fates: LegFates,
    /// By how much it is later than the first.
    delay: Duration,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Second {
    pub(super) fn new(line: Line, fates: LegFates, delay: Duration) -> Self {
        Self { line, fates, delay, waiting: VecDeque::new(), spare: Vec::new() }
    }
}

impl Lines {
    pub(super) fn new(first: Line, second: Option<Second>) -> Self {
        Self { first, second }
    }

    /// Sends a datagram whose slot is due at `due` and stands at `now` of the timeline.
    pub(super) fn send(
        &mut self,
        now: FrameIndex,
        due: Instant,
        sent: &Sent,
        datagram: &[u8],
    ) -> Result<(), SendError> {
        let Some(second) = &mut self.second else { return self.first.send(datagram) };
        let [on_first, on_second] = second.fates.draw(now, sent);
        if on_first {
            self.first.send(datagram)?;
        }
        if on_second && second.delay.is_zero() {
            second.line.send(datagram)?;
        } else if on_second {
            let mut bytes = second.spare.pop().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(datagram);
            second.waiting.push_back((due + second.delay, bytes));
        }
        Ok(())
    }

    /// When the next one leaves that waits for the later leg.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.second.as_ref().and_then(|second| second.waiting.front()).map(|(due, _)| *due)
    }

    /// Sends what waits for the later leg and is due by `now`.
    pub(super) fn send_due(&mut self, now: Instant) -> Result<(), SendError> {
        let Some(second) = &mut self.second else { return Ok(()) };
        while let Some((_, bytes)) = second.waiting.pop_front_if(|(due, _)| *due <= now) {
            second.line.send(&bytes)?;
            second.spare.push(bytes);
        }
        Ok(())
    }

    /// What left on which leg, if there are two.
    pub(super) fn truth(&self) -> Option<&LegsTruth> {
        self.second.as_ref().map(|second| second.fates.truth())
    }

    /// The address that the first leg's packets come from.
    pub(super) fn local_address(&self) -> std::net::IpAddr {
        self.first.local_address()
    }

    /// Where the second leg goes.
    pub(super) fn second_to(&self) -> Option<SocketAddr> {
        self.second.as_ref().map(|second| second.line.to())
    }
}
